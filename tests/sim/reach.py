"""The simulated coordinator's way to the units: asks them, and follows their histories."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from coordinator.workflow.events import Moved, Ran, Reached
from hsm_backend.wire import Outcome
from hsm_backend.wire import Ran as UnitRan
from protocol.commands.command import SignedCommand
from protocol.history import History, verify_history
from protocol.identifiers import Digest, IdentityKey, Nonce, StateVersion, UnitId
from protocol.receipts import (
    Receipt,
    RefusalAnswer,
    StateAnswer,
    entry_hash,
    open_entry,
    open_refusal,
    open_state,
)
from protocol.record.entries import EntryKind
from protocol.request import RequestState
from protocol.sealing.importer import ImporterKey, open_importer_key
from protocol.signing.statements import Signed
from quorate.unavailable import Unavailable
from tests.sim.ledger import Ledger
from tests.sim.publications import judge_proposals
from tests.sim.store import Change
from tests.sim.unit import SimUnit

T = TypeVar("T")
AWAY = 30_000
"""How long to wait before a unit out of reach is tried again, in milliseconds."""
REST = 5_000
"""How long to wait before what didn't work is tried again, in milliseconds."""


class Reach:
    """The units, and whether the last attempt to reach each went well."""

    def __init__(self, ledger: Ledger, units: Mapping[UnitId, SimUnit]) -> None:
        self._ledger = ledger
        self._units = units
        self.begin_anew()

    def begin_anew(self) -> None:
        """After a crash nothing is known of who is in reach."""
        self._in_reach: dict[UnitId, bool] = {}
        self._watched: set[UnitId] = set()

    def start(self) -> None:
        """Looks for all units."""
        for unit in self._units:
            self._watch(unit)

    def in_reach(self, unit: UnitId) -> bool:
        """Whether the last attempt to reach it went well."""
        return self._in_reach.get(unit, False)

    # --- questions ------------------------------------------------------------------------------

    async def state(self, unit: UnitId, nonces: tuple[Nonce, ...]) -> tuple[Signed, StateAnswer]:
        """A unit's state, verified; its history is followed to there."""
        signed = await self._ask(unit, lambda: self._units[unit].state(nonces))
        answer = open_state(signed, self._identity(unit))
        await self._follow(unit, answer.last_receipt)
        return signed, answer

    async def importer_key(self, unit: UnitId, request: Digest) -> tuple[Signed, ImporterKey]:
        """A unit's importer key for a request."""
        signed = await self._ask(unit, lambda: self._units[unit].importer_key(request))
        return signed, open_importer_key(signed, self._identity(unit))

    async def prepare(
        self, unit: UnitId, command: SignedCommand
    ) -> tuple[Signed, RefusalAnswer] | None:
        """None where it would run it; else its verified refusal."""
        refusal = await self._ask(unit, lambda: self._units[unit].prepare(command))
        return None if refusal is None else (refusal, self._opened(unit, refusal))

    async def execute(
        self, unit: UnitId, command: SignedCommand
    ) -> Signed | tuple[Signed, RefusalAnswer]:
        """The receipt, which its verified history holds; else the verified refusal."""
        outcome: Outcome = await self._ask(unit, lambda: self._units[unit].execute(command))
        if isinstance(outcome, UnitRan):
            entry = open_entry(outcome.receipt, self._identity(unit))
            assert isinstance(entry, Receipt) and entry.command == command.command
            await self._follow(unit, entry_hash(outcome.receipt))
            return outcome.receipt
        return outcome.refusal, self._opened(unit, outcome.refusal)

    def _opened(self, unit: UnitId, refusal: Signed) -> RefusalAnswer:
        return open_refusal(refusal, self._identity(unit))

    def _identity(self, unit: UnitId) -> IdentityKey:
        return self._units[unit].cast.key.identity

    def _ask(self, unit: UnitId, question: Callable[[], T]) -> Awaitable[T]:
        return self._asked(unit, question)

    async def _asked(self, unit: UnitId, question: Callable[[], T]) -> T:
        try:
            answer = await self._ledger.network.ask(self._ledger, self._units[unit], question)
        except Unavailable:
            self._note(unit, reached=False)
            self._watch(unit)
            raise
        self._note(unit, reached=True)
        return answer

    # --- what is noticed ------------------------------------------------------------------------

    def _note(self, unit: UnitId, *, reached: bool) -> None:
        if self._in_reach.get(unit) != reached:
            self._in_reach[unit] = reached
            self._ledger.change(lambda change: self._tell(change, unit))

    def _tell(self, change: Change, unit: UnitId) -> None:
        for request in change.store.standing():
            one = request.progress_on(unit)
            if one is not None and one.reachable != self.in_reach(unit):
                change.apply(request.id, Reached(unit, self.in_reach(unit)))

    async def _follow(self, unit: UnitId, head: Digest) -> None:
        """Fetches and verifies the history up to the entry with this hash, and stores it."""
        known = self._ledger.store.histories.get(unit)
        if known is not None and known.position(head) is not None:
            return
        version = StateVersion(0 if known is None else len(known.entries))
        fetched = await self._ask(unit, lambda: self._units[unit].history(version))
        known = self._ledger.store.histories.get(unit)
        entries = fetched[(0 if known is None else len(known.entries)) - version :]
        if entries:
            history = verify_history(entries, self._identity(unit), known=known)
            self._ledger.change(lambda change: _learn(change, history, entries))

    def _watch(self, unit: UnitId) -> None:
        if unit not in self._watched:
            self._watched.add(unit)
            self._ledger.begin(self._until_it_answers(unit))

    async def _until_it_answers(self, unit: UnitId) -> None:
        while True:
            try:
                await self.state(unit, (self._ledger.nonce(),))
            except Unavailable:
                await self._ledger.world.sleep(AWAY)
            else:
                self._watched.discard(unit)
                return


def _learn(change: Change, history: History, entries: tuple[Signed, ...]) -> None:
    """Keeps a longer history, and tells each request what it means for it."""
    store, unit = change.store, history.unit
    store.histories[unit] = history
    store.signed_histories[unit] = (*store.signed_histories.get(unit, ()), *entries)
    judge_proposals(change)
    for signed, entry in zip(entries, history.entries[-len(entries) :], strict=True):
        if isinstance(entry, Receipt):
            number = store.numbers.get(entry.parsed().request)
            if number is not None:
                change.apply(number, Ran(unit, signed))
                change.log(EntryKind.EXECUTION, signed)
    for request in store.standing():
        one = request.progress_on(unit)
        collects = request.state in (RequestState.COLLECTING, RequestState.READY)
        if one is not None and collects and one.target.state != history.state_digest:
            change.apply(request.id, Moved(unit, f"state version {len(history.entries)}"))
