"""The one way in which anything changes: stored, logged and put into the feed in one transaction.

async with_change(change) ->
    begin; result = change(Change), which saves; append to the log; tell; commit
    then: push the news, wake the pursuit

Changes that are committed together are logged and told together, in their order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from coordinator.engine.change import Change, Gathered, Known
from coordinator.engine.hub import Hub
from coordinator.steps import STORED, Write
from coordinator.store import feed, record, singles
from coordinator.store.connection import Connection
from coordinator.store.database import Database
from protocol.displayable import InstanceName
from protocol.identifiers import Digest, IdentityKey, Instant
from protocol.record.checkpoints import Checkpoint, log_origin, sign_checkpoint
from protocol.record.entries import Salt
from protocol.signing.statements import Sign
from quorate.crash_points import crash_point

T = TypeVar("T")
EPOCH = "epoch"
WITHHELD_SECONDS = 0.02
"""How long news may wait for more that is about to be stored: a write to everybody costs much."""


@dataclass(frozen=True)
class OwnKeys:
    """The coordinator's identity key and log key, with what signs by them."""

    identity: IdentityKey
    sign: Sign
    log: IdentityKey
    sign_log: Sign


class Ledger:
    """The store of one instance, with its log and its feed."""

    def __init__(
        self,
        database: Database,
        instance: InstanceName,
        keys: OwnKeys,
        *,
        now: Callable[[], Instant],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.database = database
        self.instance = instance
        self.keys = keys
        self.hub = Hub()
        self.now = now
        self.entropy = entropy
        self.rolled_back = False
        """Whether an agent has seen more of the log than it holds: nothing runs then."""
        self.wake: Callable[[], None] = lambda: None
        self._untold: list[feed.Item] = []
        self._known: Known | None = None
        self._gathered: Gathered | None = None
        database.at_the_end = self._write_down

    async def change(self, work: Callable[[Change], Awaitable[T]]) -> T:
        """Runs `work` and stores, logs and tells what it changed; then pushes the news."""

        async def with_change(connection: Connection) -> T:
            return await work(await self.within(connection))

        return await self.database.write(with_change)

    async def within(self, connection: Connection) -> Change:
        """A change within a transaction that was begun for something else."""
        return Change(
            connection=connection,
            instance=self.instance,
            at=self.now(),
            salt=lambda: Salt(self.entropy(32)),
            log_key=self.keys.log,
            gathered=await self._gathering(connection),
        )

    async def known(self) -> Known:
        """What is durable: read once, then followed as it changes."""
        if self._known is None:
            await self.database.write(self._gathering)
        if self._known is None:
            raise AssertionError("what was written is known")
        return self._known

    async def _gathering(self, connection: Connection) -> Gathered:
        """What this transaction has gathered. Every transaction has a connection of its own."""
        gathered = self._gathered
        if gathered is not None and gathered.connection is connection:
            return gathered
        if gathered is not None or self._known is None:  # the last one failed, or this is the first
            self._known = None
            known = await Known.read(connection, self.instance)
        else:
            known = self._known
        self._gathered = Gathered(connection, self.instance, known)
        return self._gathered

    async def _write_down(self, connection: Connection) -> Callable[[], None]:
        """The last step of a transaction; what it gives is called once all of it is durable."""
        gathered = await self._gathering(connection)
        await gathered.write_down()
        writes = gathered.writes or {Write.OTHER}
        for write in writes:
            crash_point(write.before_commit)

        def committed() -> None:
            for write in writes:
                crash_point(write.after_commit)
            self._known = gathered.known.after(gathered)
            self._gathered = None
            self._push(gathered.items)

        return committed

    def _push(self, items: list[feed.Item]) -> None:
        if not items:
            return
        crash_point(STORED)
        self._untold += items
        self.wake()
        if self.database.more_to_come:
            asyncio.get_running_loop().call_later(WITHHELD_SECONDS, self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        self.hub.tell(self._untold)
        self._untold = []

    async def epoch(self) -> bytes:
        """Names this store's life: agents' cursors are good for one epoch only."""

        async def read_or_make(connection: Connection) -> bytes:
            stored = await singles.get(connection, EPOCH)
            if stored is None:
                stored = self.entropy(16)
                await singles.put(connection, EPOCH, stored)
            return stored

        return await self.database.write(read_or_make)

    async def new_epoch(self) -> bytes:
        """Another epoch: every agent reads the feed anew, and sends again what we lack."""
        epoch = self.entropy(16)
        await self.database.write(lambda connection: singles.put(connection, EPOCH, epoch))
        return epoch

    async def checkpoint(self, connection: Connection) -> tuple[bytes, int, Digest]:
        """Signs and keeps a checkpoint of the log as it is in this transaction."""
        gathered = await self._gathering(connection)
        await gathered.write_down()
        size, root = gathered.log.size, gathered.log.root
        checkpoint = Checkpoint(origin=log_origin(self.keys.log), size=size, root=root)
        note = sign_checkpoint(checkpoint, public_key=self.keys.log, sign=self.keys.sign_log)
        return note, size, await record.add_checkpoint(connection, note, size)
