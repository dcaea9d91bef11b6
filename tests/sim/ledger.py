"""The simulated coordinator's transactions: changed, committed, and only then told."""

from collections.abc import Callable
from typing import TypeVar

from protocol.identifiers import Nonce
from protocol.session.messages import News
from tests.cast.keys import noise
from tests.sim.network import Network
from tests.sim.store import Change, Store
from tests.sim.weather import Fault
from tests.sim.world import Party, World

T = TypeVar("T")


class Ledger(Party):
    """A party whose disk is a `Store`."""

    crashes_before = Fault.COORDINATOR_CRASH_BEFORE_COMMIT
    crashes_after = Fault.COORDINATOR_CRASH_AFTER_COMMIT

    def __init__(self, world: World, network: Network, name: str) -> None:
        super().__init__(world, name)
        self.network = network
        self.store = Store()
        self._drawn = 0

    def change(self, work: Callable[[Change], T]) -> T:
        """One transaction; then the news are pushed, and what is wanted now is done."""
        change = Change(store=self.store.copy(), at=self.now)
        result = work(change)

        def write() -> None:
            self.store = change.store

        self.commit(write)
        for position, news in change.told:
            self.push(position, news)
        if change.told:
            self.wake()
        return result

    def push(self, position: int, news: News) -> None:
        """Tells those who are connected."""

    def wake(self) -> None:
        """Something has changed: look what is wanted."""

    def nonce(self) -> Nonce:
        """A fresh one."""
        self._drawn += 1
        return Nonce(noise(f"{self.name} nonce {self._drawn}"))
