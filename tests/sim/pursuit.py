"""Does for each request what it wants next, as `coordinator.engine.pursuit` does."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from coordinator.workflow.course import Execute, Prepare, deadline, wanted
from coordinator.workflow.events import Event, Opened, Prepared, Ran, SaidNoUnit, TimePassed, Unfit
from coordinator.workflow.line import next_to_open
from protocol.charter import Charter
from protocol.commands.bodies import LoadNewRegister
from protocol.commands.command import SignedCommand, signed_command
from protocol.commands.rules import refusal_of
from protocol.identifiers import Instant, UnitId
from protocol.receipts import StateAnswer
from protocol.record.checkpoints import checkpoint_digest
from protocol.record.entries import EntryKind
from protocol.refusals import Refusal
from protocol.request import Opening, Outcome, Request, Target, TargetProgress
from protocol.schema import Struct, to_bytes
from protocol.signing.statements import Signed
from protocol.standing import needed_by_people
from quorate.unavailable import Unavailable
from tests.sim.ledger import Ledger
from tests.sim.reach import AWAY, REST, Reach
from tests.sim.store import Change
from tests.sim.world import Signal

Doing = Callable[[Request], Coroutine[Signal[Any], None, bool]]
"""Whether it went on; where it didn't, it is tried again after a rest."""


class Pursuit:
    """The background work; nothing is remembered but what is under way."""

    def __init__(self, ledger: Ledger, reach: Reach) -> None:
        self._ledger, self._reach = ledger, reach
        self.begin_anew()

    def begin_anew(self) -> None:
        """After a crash nothing is under way."""
        self._busy: set[int] = set()
        self._resting: dict[int, int] = {}
        self._limits: set[Instant] = set()
        self._due = False

    def wake(self) -> None:
        """Looks at all requests, soon."""
        if not self._due:
            self._due = True
            self._ledger.later(0, self._round)

    def _round(self) -> None:
        self._due = False
        now = self._ledger.now
        for request in self._ledger.store.standing():
            limit = deadline(request)
            if limit is not None and limit <= now:
                self._apply(request.id, TimePassed())
            elif limit is not None and limit not in self._limits:
                self._limits.add(limit)
                self._ledger.later(limit - now, self.wake)
        standing = self._ledger.store.standing()
        for request in next_to_open(standing):
            self._start(request, self._open)
        for request in standing:
            match wanted(request):
                case Prepare(units=units):
                    self._start(request, partial(self._prepare, units=units))
                case Execute(units=units):
                    self._start(request, partial(self._execute, units=units))

    def _start(self, request: Request, doing: Doing) -> None:
        rest = self._resting.get(request.id, 0) - self._ledger.world.now
        if request.id not in self._busy and rest <= 0:
            self._busy.add(request.id)
            self._ledger.begin(self._watched(request, doing))

    async def _watched(self, request: Request, doing: Doing) -> None:
        rest = REST
        try:
            went_on = await doing(request)
        except Unavailable:
            went_on, rest = False, AWAY
        if not went_on:
            self._resting[request.id] = self._ledger.world.now + rest
            self._ledger.later(rest, self.wake)
        self._busy.discard(request.id)
        self.wake()

    # --- opening --------------------------------------------------------------------------------

    async def _open(self, request: Request) -> bool:
        """Asks the targets for their states and fixes what people will be asked to sign."""
        charter = self._ledger.store.charter
        assert charter is not None, "a request is only filed under a charter in force"
        states: dict[UnitId, StateAnswer] = {}
        for unit in request.filing.targets:
            _, states[unit] = await self._reach.state(unit, (self._ledger.nonce(),))
        needed: dict[UnitId, int] = {}
        for unit, state in states.items():
            fit = _fit(request, state, charter)
            if isinstance(fit, Refusal):
                self._apply(request.id, Unfit(unit, fit))
                return True
            needed[unit] = fit
        opening = self._ledger.change(partial(self._fix, request=request, charter=charter))
        progress = [
            await self._progress(request, opening, states[unit], needed[unit])
            for unit in opening.targets
        ]
        self._apply(request.id, Opened(opening, tuple(progress)), (EntryKind.OPENING, opening))
        return True

    def _fix(self, change: Change, request: Request, charter: Charter) -> Opening:
        filing = request.filing
        return Opening(
            filing=filing.digest,
            charter=charter.digest,
            practice=charter.practice,
            targets=filing.targets,
            left_out=(),
            checkpoint=checkpoint_digest(change.checkpoint()),
            not_before=change.at,
            not_after=Instant(change.at + filing.valid_for),
            nonce=self._ledger.nonce(),
        )

    async def _progress(
        self, request: Request, opening: Opening, state: StateAnswer, needed: int
    ) -> TargetProgress:
        importer: Signed | None = None
        digest = None
        if isinstance(request.filing.body, LoadNewRegister):
            importer, key = await self._reach.importer_key(state.unit, opening.digest)
            digest = key.digest
        return TargetProgress(
            target=Target(
                unit=state.unit,
                incarnation=state.incarnation,
                version=state.version,
                state=state.state_digest,
                importer=digest,
            ),
            state=state.state,
            needed=needed,
            importer=importer,
            receivers=(),
            approvals=(),
            contributions=(),
            outcome=Outcome.OPEN,
            receipt=None,
            refusal=None,
            reachable=self._reach.in_reach(state.unit),
        )

    # --- running --------------------------------------------------------------------------------

    async def _prepare(self, request: Request, units: tuple[UnitId, ...]) -> bool:
        """Asks every unit for the full check, at once."""
        asked = [self._reach.prepare(unit, command_of(request, unit)) for unit in units]
        answers = dict(zip(units, await self._ledger.together(asked), strict=True))
        noes = [answer for answer in answers.values() if answer is not None]
        self._apply(
            request.id, Prepared(answers), *((EntryKind.REFUSAL, signed) for signed, _ in noes)
        )
        return not any(answer.can_still_run for _, answer in noes)

    async def _execute(self, request: Request, units: tuple[UnitId, ...]) -> bool:
        """Has every unit run it; each answer is stored as it comes."""
        return all(await self._ledger.together([self._run(request, unit) for unit in units]))

    async def _run(self, request: Request, unit: UnitId) -> bool:
        outcome = await self._reach.execute(unit, command_of(request, unit))
        if isinstance(outcome, Signed):
            self._apply(request.id, Ran(unit, outcome))
            return True
        signed, answer = outcome
        self._apply(request.id, SaidNoUnit(unit, signed, answer), (EntryKind.REFUSAL, signed))
        return not answer.can_still_run

    def _apply(self, number: int, event: Event, *logged: tuple[EntryKind, Struct]) -> None:
        def work(change: Change) -> None:
            before = change.store.requests[number]
            if change.apply(number, event) != before:
                for kind, body in logged:
                    change.log(kind, body)

        self._ledger.change(work)


def _fit(request: Request, state: StateAnswer, charter: Charter) -> int | Refusal:
    needed = needed_by_people(request.filing.body, state.state, charter)
    return refusal_of(request.filing.body, state.state) or needed


def command_of(request: Request, unit: UnitId) -> SignedCommand:
    """The request's command for a unit, with all that has come for it."""
    one = request.progress_on(unit)
    assert one is not None, "only targets of the request are asked"
    return signed_command(
        command=to_bytes(request.command(one.target)),
        approvals=one.approvals,
        contributions=one.contributions,
    )
