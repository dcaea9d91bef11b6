"""All that can happen to a small request, and a walk through every situation that it leads to.

Two units, three administrators of whom two must sign. People sign, say No, cancel and say proceed;
the first unit goes out of reach, comes back and moves on; questions to units are asked as `wanted`
says, and are answered, refused or lost; time runs out. The walk is breadth first and visits equal
situations once, so that it covers every order.

`Ghost` is what really happened, kept beside the request by the model alone.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from coordinator.workflow import course
from coordinator.workflow.course import Execute, Prepare
from coordinator.workflow.events import (
    Cancelled,
    Event,
    Moved,
    Prepared,
    Proceeded,
    Ran,
    Reached,
    SaidNoUnit,
    TimePassed,
)
from protocol.commands.bodies import SetControlPoint
from protocol.identifiers import Instant, Signature, UnitId
from protocol.refusals import Refusal, Rule
from protocol.request import Request, RequestState
from protocol.signing.statements import Signed
from tests.cast.charters import instance
from tests.cast.commands import NOON
from tests.cast.people import ALICE, BOB, CAROL
from tests.cast.requests import Asked


@dataclass(frozen=True)
class Ghost:
    """What has really happened. `asked` is the question that is out, `first` the unit that moves.

    `told` are the units that were ever told to run it, `ran` those that did, `would` those that
    said, when last asked together, that they would; `late` says that time has run out.
    """

    signed: frozenset[str] = frozenset()
    said_no: frozenset[str] = frozenset()
    proceeded: bool = False
    cancelled: bool = False
    down: bool = False
    moved: bool = False
    late: bool = False
    asked: Prepare | Execute | None = None
    would: frozenset[UnitId] = frozenset()
    told: frozenset[UnitId] = frozenset()
    ran: frozenset[UnitId] = frozenset()


@dataclass(frozen=True)
class Situation:
    """The request as the workflow has it, and what really happened."""

    request: Request
    ghost: Ghost


class Small:
    """The small instance; `steps` are all that can happen next."""

    def __init__(self) -> None:
        charter, people, units = instance(3, 2)
        for unit in units:
            unit.leave_imprint(people)
        self.asked = Asked(charter, units, SetControlPoint(point=66, on=True)).open()
        self.charter = charter
        self.first, self.second = self.asked.targets
        self.start = Situation(self.asked.request, Ghost())
        limit = course.deadline(self.start.request)
        assert limit is not None
        self.limit: Instant = limit
        self.approvals = {who.name: self.asked.approved(who.key) for who in (ALICE, BOB, CAROL)}
        self.noes = {who.name: self.asked.said_no(who) for who in (BOB, CAROL)}
        self.refusals = {
            (unit, rule): self.asked.no(unit, rule)
            for unit in self.asked.targets
            for rule in (Rule.STATE_CHANGED, Rule.VP_MISMATCH, Rule.EXPIRED)
        }

    def decide(self, here: Situation, event: Event) -> Request | Refusal:
        at = self.limit if here.ghost.late else NOON
        decided = course.decide(here.request, event, self.charter, at=at)
        # when it last changed makes no difference to what can follow
        return decided.but(changed=NOON) if isinstance(decided, Request) else decided

    def on(self, here: Situation, event: Event, ghost: Ghost) -> Situation:
        """The situation after an event; a refused one changes nothing."""
        decided = self.decide(here, event)
        if isinstance(decided, Refusal):
            return here
        return Situation(decided, ghost)

    # --- what can happen ------------------------------------------------------------------------

    def steps(self, here: Situation) -> Iterator[tuple[str, Situation]]:
        yield from self._by_people(here)
        yield from self._by_the_first_unit(here)
        yield from self._questions(here)
        if not here.ghost.late:
            late = replace(here, ghost=replace(here.ghost, late=True))
            yield "time passes", self.on(late, TimePassed(), late.ghost)

    def _by_people(self, here: Situation) -> Iterator[tuple[str, Situation]]:
        ghost = here.ghost
        for name, approval in self.approvals.items():
            signed = replace(ghost, signed=ghost.signed | {name}, said_no=ghost.said_no - {name})
            yield f"approve {name}", self.on(here, approval, signed)
        for name, no in self.noes.items():
            noes = ghost.said_no if name in ghost.signed else ghost.said_no | {name}
            yield f"reject {name}", self.on(here, no, replace(ghost, said_no=noes))
        cancelled = replace(ghost, cancelled=True)
        yield "cancel", self.on(here, Cancelled("alice", "not wanted any more"), cancelled)
        yield "proceed", self.on(here, Proceeded(), replace(ghost, proceeded=True))

    def _by_the_first_unit(self, here: Situation) -> Iterator[tuple[str, Situation]]:
        ghost, first = here.ghost, self.first
        for down in (True, False):
            if ghost.down != down:
                news = Reached(first, not down)
                yield f"down {down}", self.on(here, news, replace(ghost, down=down))
        if not ghost.moved and first not in ghost.ran:
            yield "moves on", replace(here, ghost=replace(ghost, moved=True))
        if ghost.moved or first in ghost.ran:
            yield "news of a move", self.on(here, Moved(first, "version 9"), ghost)

    def _questions(self, here: Situation) -> Iterator[tuple[str, Situation]]:
        ghost = here.ghost
        match ghost.asked:
            case None:
                wanted = course.wanted(here.request)
                if wanted is not None and not ghost.late:
                    told = (
                        ghost.told | {*wanted.units} if isinstance(wanted, Execute) else ghost.told
                    )
                    yield "ask", replace(here, ghost=replace(ghost, asked=wanted, told=told))
            case Prepare(units=units):
                done = replace(ghost, asked=None)
                yield "prepare lost", replace(here, ghost=done)
                if not (ghost.down and self.first in units):
                    yield from self._prepared(here, units, done)
            case Execute(units=units):
                yield "execute lost", replace(here, ghost=replace(ghost, asked=None))
                for unit in units:
                    if not (ghost.down and unit == self.first):
                        yield from self._executed(here, unit)

    def _prepared(
        self, here: Situation, units: tuple[UnitId, ...], done: Ghost
    ) -> Iterator[tuple[str, Situation]]:
        gone = done.moved and self.first in units
        changed = {self.first: self.refusals[self.first, Rule.STATE_CHANGED]} if gone else {}
        answers = dict.fromkeys(units) | changed
        would = frozenset() if gone else frozenset(units)
        yield "prepare answers", self.on(here, Prepared(answers), replace(done, would=would))
        for rule in (Rule.VP_MISMATCH, Rule.EXPIRED):
            worse = answers | {self.second: self.refusals[self.second, rule]}
            if self.second in units:
                nobody = replace(done, would=frozenset())
                yield "prepare refuses", self.on(here, Prepared(worse), nobody)

    def _executed(self, here: Situation, unit: UnitId) -> Iterator[tuple[str, Situation]]:
        ghost = here.ghost
        assert isinstance(ghost.asked, Execute)
        others = tuple(one for one in ghost.asked.units if one != unit)
        rest = replace(ghost, asked=Execute(others) if others else None)
        if ghost.late and unit not in ghost.ran:
            too_late = SaidNoUnit(unit, *self.refusals[unit, Rule.EXPIRED])
            yield "execute expired", self.on(here, too_late, rest)
        if unit in ghost.ran or not (ghost.moved and unit == self.first):
            ran = replace(rest, ran=rest.ran | {unit})
            yield "execute answers", self.on(here, Ran(unit, receipt(unit)), ran)
            yield "execute answer lost", replace(here, ghost=ran)
        else:
            no = SaidNoUnit(unit, *self.refusals[unit, Rule.STATE_CHANGED])
            yield "execute refused", self.on(here, no, rest)


def receipt(unit: UnitId) -> Signed:
    return Signed(statement=b"receipt of " + unit, signature=Signature(b"signature"))


@dataclass
class Walk:
    """What a walk through all situations has seen, and the first path to each broken invariant."""

    situations: int
    states: set[RequestState]
    broken: dict[str, list[str]]


def in_reach(here: Situation, unit: UnitId) -> bool:
    """Whether a unit is an open target that the request knows to be in reach."""
    one = here.request.progress_on(unit)
    return one is not None and one.open and one.reachable


Invariant = Callable[[Small, Situation], bool]
StepInvariant = Callable[[Small, Situation, Situation], bool]
CameBy = dict[Situation, tuple[Situation, str] | None]


def walk(
    small: Small,
    invariants: Sequence[Invariant],
    steps: Sequence[StepInvariant],
    *,
    until: str | None = None,
) -> Walk:
    """Visits every situation; ends when the invariant `until` is broken."""
    came_by: CameBy = {small.start: None}
    found = Walk(0, set(), {})
    waiting = deque([small.start])
    while waiting and until not in found.broken:
        here = waiting.popleft()
        found.situations += 1
        found.states.add(here.request.state)
        for invariant in invariants:
            if not invariant(small, here):
                found.broken.setdefault(invariant.__name__, path(came_by, here))
        for what, after in small.steps(here):
            for rule in steps:
                if not rule(small, here, after):
                    found.broken.setdefault(rule.__name__, [*path(came_by, here), what])
            if after not in came_by:
                came_by[after] = (here, what)
                waiting.append(after)
    return found


def path(came_by: CameBy, here: Situation) -> list[str]:
    """What happened on the way to a situation."""
    steps: list[str] = []
    before = came_by[here]
    while before is not None:
        here, what = before
        steps.append(what)
        before = came_by[here]
    return steps[::-1]
