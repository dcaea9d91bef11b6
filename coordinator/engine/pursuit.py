"""Does for each request what it wants next: opens it, prepares it, runs it, lets it expire.

Nothing is remembered here but what is under way: after a restart the stored requests say what they
want, and everything that is asked of a unit may be asked again.
"""

import asyncio
from collections.abc import Awaitable, Sequence

import structlog

from coordinator.engine.change import Change
from coordinator.engine.charters import judge_proposals
from coordinator.engine.ledger import Ledger
from coordinator.engine.opening import fit, fix, progress
from coordinator.engine.operations import state_digests
from coordinator.engine.units import Units
from coordinator.steps import PREPARED, Write
from coordinator.store import histories, requests
from coordinator.store.connection import Connection
from coordinator.workflow.course import Execute, Prepare, deadline, wanted
from coordinator.workflow.events import (
    Event,
    Moved,
    Needless,
    Opened,
    Prepared,
    Ran,
    Reached,
    SaidNoUnit,
    TimePassed,
    Unfit,
)
from coordinator.workflow.line import next_to_open
from protocol.commands.bodies import ExportKey, ImportKey, LoadNewRegister
from protocol.commands.command import ReceiverProof, SignedCommand
from protocol.history import History
from protocol.identifiers import Nonce, UnitId
from protocol.live import live_copies
from protocol.receipts import Receipt, RefusalAnswer, StateAnswer
from protocol.record.entries import EntryKind
from protocol.request import Opening, Request, RequestState, TargetProgress
from protocol.schema import to_bytes
from protocol.sealing.importer import ImporterKey
from protocol.signing.statements import Signed
from protocol.unit_identity import unit_id
from protocol.violations import Violation
from quorate.crash_points import crash_point
from quorate.exits import Trouble
from quorate.unavailable import Unavailable

RETRY_SECONDS = 1.0
_log = structlog.get_logger("coordinator.pursuit")


class Pursuit:
    """The background work of an instance."""

    def __init__(self, ledger: Ledger, units: Units) -> None:
        self._ledger = ledger
        self._units = units
        self._awake = asyncio.Event()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._resting: dict[int, float] = {}
        self._changing: dict[UnitId, asyncio.Lock] = {}
        ledger.wake = self._awake.set

    async def run(self) -> None:
        """Goes on until cancelled."""
        try:
            while True:
                self._awake.clear()
                try:
                    pause = await self._round()
                except Trouble as trouble:
                    _log.error("nothing goes on", why=trouble.what)
                    pause = RETRY_SECONDS
                try:
                    async with asyncio.timeout(pause):
                        await self._awake.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def unit_changed(self, unit: UnitId) -> None:
        """A unit came into or went out of reach, or its history grew.

        One after the other for each unit, so that what is stored last is what is so now.
        """
        async with self._changing.setdefault(unit, asyncio.Lock()):
            await self._follow(unit)
        self._resting.clear()  # what it held up may go on at once
        self._awake.set()

    async def _follow(self, unit: UnitId) -> None:
        await judge_proposals(self._ledger, self._units.histories)
        history = self._units.histories.get(unit)
        for request in [*(await self._ledger.known()).standing]:
            one = request.progress_on(unit)
            if one is None or not one.open:
                continue
            reachable = self._units.reachable(unit)
            if one.reachable != reachable:
                await self._apply(request.id, Reached(unit, reachable))
            if history is not None and await self._ran_before(request, one, history):
                continue
            if (
                history is not None
                and request.state in (RequestState.COLLECTING, RequestState.READY)
                and one.target.state != history.state_digest
            ):
                found = f"state version {len(history.entries)}"
                await self._apply(request.id, Moved(unit, found))

    async def _ran_before(self, request: Request, one: TargetProgress, history: History) -> bool:
        """Whether the unit's history holds the receipt: its answer was lost, or others ran it."""
        place = one.target.version
        entry = history.entries[place] if place < len(history.entries) else None
        if not isinstance(entry, Receipt) or entry.parsed() != request.command(one.target):
            return False

        async def read(connection: Connection) -> Sequence[Signed]:
            return await histories.page(connection, one.unit, place, 1)

        (receipt,) = await self._ledger.database.read(read)
        logged = (EntryKind.EXECUTION, to_bytes(receipt))
        await self._apply(request.id, Ran(one.unit, receipt), logged)
        return True

    async def _round(self) -> float | None:
        """Starts whatever is wanted; gives the seconds until something has to be looked at."""
        now = self._ledger.now()
        clock = asyncio.get_running_loop().time()
        waiting = [*(await self._ledger.known()).standing]
        pauses: list[float] = []
        for request in waiting:
            limit = deadline(request)
            if limit is not None and limit <= now:
                await self._apply(request.id, TimePassed())
            elif limit is not None:
                pauses.append((limit - now) / 1000)
        if self._ledger.rolled_back:
            return min(pauses, default=None)
        waiting = [one for one in waiting if not await self._ended_needless(one)]
        openable = {request.id for request in next_to_open(waiting)}
        for request in waiting:
            rest = self._resting.get(request.id, 0.0) - clock
            if rest > 0:
                pauses.append(rest)
                continue
            if request.id in openable:
                self._start(request.id, self._open(request))
            match wanted(request):
                case Prepare(units=units):
                    self._start(request.id, self._prepare(request, units))
                case Execute(units=units):
                    self._start(request.id, self._execute(request, units))
        return min(pauses, default=None)

    def _start(self, number: int, work: Awaitable[bool]) -> None:
        if number in self._busy:
            if asyncio.iscoroutine(work):
                work.close()
            return

        async def watched() -> None:
            try:
                went_on = await work
            except (Unavailable, Violation, Trouble) as error:
                _log.warning("request held up", request=number, why=str(error))
                went_on = False
            except Exception:
                _log.exception("request held up by a bug", request=number)
                went_on = False
            if not went_on:
                self._resting[number] = asyncio.get_running_loop().time() + RETRY_SECONDS
            else:
                self._resting.pop(number, None)
            del self._busy[number]
            self._awake.set()

        self._busy[number] = asyncio.create_task(watched(), name=f"request {number}")

    async def _open(self, request: Request) -> bool:
        """Asks the targets for their states and fixes what people will be asked to sign."""
        charter = (await self._ledger.known()).in_force
        if charter is None:
            return False
        nonce = Nonce(self._ledger.entropy(32))
        states: dict[UnitId, StateAnswer] = {}
        answers = await asyncio.gather(
            *(self._units.state(unit, (nonce,)) for unit in request.filing.targets),
            return_exceptions=True,
        )
        for unit, answer in zip(request.filing.targets, answers, strict=True):
            if not isinstance(answer, BaseException):
                states[unit] = answer[1]
            elif not (isinstance(answer, Unavailable) and request.filing.leave_out):
                raise answer
        if await self._ended_needless(request):
            return True
        needed: dict[UnitId, int] = {}
        for unit, state in states.items():
            found = fit(request, state, charter)
            if isinstance(found, int):
                needed[unit] = found
            elif not request.filing.leave_out:
                await self._apply(request.id, Unfit(unit, found))
                return True
        if not needed:
            return False
        opening: Opening | None = None
        importers: dict[UnitId, tuple[Signed, ImporterKey]] = {}
        receivers: tuple[ReceiverProof, ...] = ()
        body = request.filing.body
        if isinstance(body, LoadNewRegister | ExportKey):
            # The units make importer keys for this very opening before anybody is asked.
            opening = await self._ledger.change(
                lambda change: fix(self._ledger, change, request, charter, list(needed))
            )
        if isinstance(body, LoadNewRegister) and opening is not None:
            for unit in opening.targets:
                importers[unit] = await self._units.importer_key(unit, opening.digest)
        if isinstance(body, ExportKey) and opening is not None:
            digest = opening.digest
            receivers = tuple(
                await asyncio.gather(
                    *(self._units.receiver_proof(unit, digest) for unit in body.receivers)
                )
            )

        async def open_it(change: Change) -> None:
            fixed = opening or await fix(self._ledger, change, request, charter, list(needed))
            targets = tuple(
                progress(states[unit], needed[unit], importers.get(unit), receivers)
                for unit in fixed.targets
            )
            logged = (EntryKind.OPENING, to_bytes(fixed))
            await _apply(change, request.id, Opened(fixed, targets), logged)

        await self._ledger.change(open_it)
        return True

    async def _ended_needless(self, request: Request) -> bool:
        """Ends a waiting void when the copies that it is for can't run on any unit any more.

        Once it is opened, its own state says so: it is bound to the same one.
        """
        origin = request.filing.voids
        if origin is None or request.state is not RequestState.WAITING_IN_LINE:
            return False

        async def read(connection: Connection) -> Request | None:
            return await requests.by_digest(connection, origin)

        voided = await self._ledger.database.read(read)
        if voided is None:
            return False
        live = live_copies(voided, state_digests(self._units), self._ledger.now())
        if {copy.unit for copy in live} & set(request.filing.targets):
            return False
        await self._apply(request.id, Needless())
        return True

    async def _prepare(self, request: Request, units: tuple[UnitId, ...]) -> bool:
        """Asks every unit for the full check, at once."""
        answers = await asyncio.gather(
            *(self._prepare_on(request, unit) for unit in units),
            return_exceptions=True,
        )
        prepared: dict[UnitId, tuple[Signed, RefusalAnswer] | None] = {}
        for unit, answer in zip(units, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            prepared[unit] = answer
        logged = [(EntryKind.REFUSAL, to_bytes(a[0])) for a in prepared.values() if a is not None]
        crash_point(PREPARED)
        await self._apply(request.id, Prepared(prepared), *logged)
        return not any(
            answer is not None and answer[1].can_still_run for answer in prepared.values()
        )

    async def _prepare_on(
        self, request: Request, unit: UnitId
    ) -> tuple[Signed, RefusalAnswer] | None:
        return await self._units.prepare(unit, await self._command(request, unit))

    async def _command(self, request: Request, unit: UnitId) -> SignedCommand:
        """The command for a unit, with all that has come for it and what it needs besides."""
        one = request.progress_on(unit)
        if one is None:
            raise AssertionError("only targets of the request are asked")
        body = request.filing.body
        export = None
        if isinstance(body, ImportKey):
            export = await self._units.receipt(unit_id(body.source), body.export)
        return SignedCommand(
            command=to_bytes(request.command(one.target)),
            approvals=one.approvals,
            contributions=one.contributions,
            receivers=one.receivers,
            export=export,
        )

    async def _execute(self, request: Request, units: tuple[UnitId, ...]) -> bool:
        """Has every unit run it; each answer is stored as it comes."""
        went_well = await asyncio.gather(
            *(self._execute_on(request, unit) for unit in units), return_exceptions=True
        )
        for result in went_well:
            if isinstance(result, BaseException):
                raise result
        return all(went_well)

    async def _execute_on(self, request: Request, unit: UnitId) -> bool:
        """Whether the unit said its last word: a No that may become a Yes isn't."""

        async def ran(connection: Connection, receipt: Signed) -> None:
            logged = (EntryKind.EXECUTION, to_bytes(receipt))
            change = await self._ledger.within(connection)
            await _apply(change, request.id, Ran(unit, receipt), logged)

        outcome = await self._units.execute(unit, await self._command(request, unit), ran)
        if outcome is None:
            return True  # stored with its receipt, here or by `_follow`
        refusal, answer = outcome
        logged = (EntryKind.REFUSAL, to_bytes(refusal))
        await self._apply(request.id, SaidNoUnit(unit, refusal, answer), logged)
        return not answer.can_still_run

    async def _apply(self, number: int, event: Event, *logged: tuple[EntryKind, bytes]) -> None:
        await self._ledger.change(lambda change: _apply(change, number, event, *logged))


async def _apply(
    change: Change, number: int, event: Event, *logged: tuple[EntryKind, bytes]
) -> None:
    request = await change.request(number)
    if request is None:
        raise AssertionError(f"request {number} was stored before")
    if isinstance(event, Opened):
        in_force = change.in_force()
        if in_force is None or in_force.digest != event.opening.charter:
            return  # a newer version came into force meanwhile: it is opened under that
    changed = await change.apply(request, event)
    if changed != request:
        for kind, body in logged:
            change.log(kind, body)
        if isinstance(event, Prepared):
            change.writes(Write.PREPARED)
        elif not logged:
            change.writes(Write.COURSE)
