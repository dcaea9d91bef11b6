"""Every order in which a small request's events can come, against invariants written here."""

import pytest

from coordinator.workflow import counting, course
from coordinator.workflow.course import Execute, Prepare
from coordinator.workflow.events import Event
from protocol.identifiers import Instant
from protocol.request import Outcome, Request, RequestState
from tests.cast.commands import NOON
from tests.properties.workflow_model import (
    Invariant,
    Situation,
    Small,
    StepInvariant,
    in_reach,
    walk,
)

EVERYBODY = frozenset({"alice", "bob", "carol"})
THRESHOLD = 2
RUNS = (RequestState.EXECUTING, RequestState.PARTLY_EXECUTED)

# what must hold in every situation: what it is called, and what is wrong when it doesn't


def runs_only_what_enough_people_signed(small: Small, here: Situation) -> bool:
    return not here.ghost.told or len(here.ghost.signed) >= THRESHOLD


def claims_only_what_ran(small: Small, here: Situation) -> bool:
    claimed = {one.unit for one in here.request.progress if one.outcome is Outcome.EXECUTED}
    if not claimed <= here.ghost.ran:
        return False
    return here.request.state is not RequestState.EXECUTED or len(here.ghost.ran) == 2


def ended_wants_nothing(small: Small, here: Situation) -> bool:
    if not here.request.ended:
        return True
    return course.wanted(here.request) is None and course.deadline(here.request) is None


def wants_what_its_state_says(small: Small, here: Situation) -> bool:
    match course.wanted(here.request):
        case Prepare(units=units):
            state_fits = here.request.state is RequestState.READY
        case Execute(units=units):
            state_fits = here.request.state in RUNS
        case None:
            return True
    first_fits = in_reach(here, small.first) or small.first not in units
    return state_fits and first_fits and len(units) > 0


def has_a_deadline_until_it_ends(small: Small, here: Situation) -> bool:
    return here.request.ended == (course.deadline(here.request) is None)


def somebody_has_to_act(small: Small, here: Situation) -> bool:
    """It wants something of units, or waits for people, for the operator, or for a named unit."""
    request = here.request
    if request.ended or course.wanted(request) is not None:
        return True
    if request.state is RequestState.COLLECTING:
        names, have, needed = counting.waiting_for(request, small.charter)
        return have < needed and bool(names) and not names & here.ghost.signed
    away = [one.unit for one in request.progress if one.open and not one.reachable]
    return bool(course.held_by(request)) or away == [small.first]


def all_or_none_unless_somebody_says_proceed(small: Small, here: Situation) -> bool:
    """Told to run it: all were asked before and would; fewer only on the operator's word."""
    ghost = here.ghost
    if not ghost.told:
        return True
    return ghost.proceeded or ghost.told | ghost.would >= {small.first, small.second}


def is_rejected_when_the_rest_are_too_few(small: Small, here: Situation) -> bool:
    could = here.ghost.signed | (EVERYBODY - here.ghost.said_no)
    if here.request.state is RequestState.REJECTED:
        return len(could) < THRESHOLD
    return here.request.state is not RequestState.COLLECTING or len(could) >= THRESHOLD


def is_ready_when_enough_have_signed(small: Small, here: Situation) -> bool:
    enough = len(here.ghost.signed) >= THRESHOLD
    match here.request.state:
        case RequestState.COLLECTING:
            return not enough
        case RequestState.READY:
            return enough
        case _:
            return True


def is_cancelled_only_before_anybody_was_told(small: Small, here: Situation) -> bool:
    cancelled = here.request.state is RequestState.CANCELLED
    return cancelled <= (here.ghost.cancelled and not here.ghost.told)


def expires_only_when_time_has_run_out(small: Small, here: Situation) -> bool:
    if here.request.state is not RequestState.EXPIRED:
        return True
    said_by_unit = any(one.outcome is Outcome.EXPIRED for one in here.request.progress)
    return here.ghost.late or said_by_unit


INVARIANTS: tuple[Invariant, ...] = (
    runs_only_what_enough_people_signed,
    claims_only_what_ran,
    ended_wants_nothing,
    wants_what_its_state_says,
    has_a_deadline_until_it_ends,
    somebody_has_to_act,
    all_or_none_unless_somebody_says_proceed,
    is_rejected_when_the_rest_are_too_few,
    is_ready_when_enough_have_signed,
    is_cancelled_only_before_anybody_was_told,
    expires_only_when_time_has_run_out,
)


def all_said_first_that_they_would(small: Small, before: Situation, after: Situation) -> bool:
    """The first time that units are told to run it, all of those have said that they would.

    But for one that was away then, without which the operator said proceed, and that is back.
    """
    if before.ghost.told or not after.ghost.told:
        return True
    unasked = after.ghost.told - before.ghost.would
    return not unasked or (before.ghost.proceeded and unasked == {small.first})


def an_end_is_an_end(small: Small, before: Situation, after: Situation) -> bool:
    """Nothing changes an ended request but a receipt, and no receipt opens it again."""
    if not before.request.ended or after.request == before.request:
        return True
    news = [one.unit for one in after.request.progress if one.receipt is not None]
    old = [one.unit for one in before.request.progress if one.receipt is not None]
    return after.request.ended and len(news) > len(old)


STEPS: tuple[StepInvariant, ...] = (
    all_said_first_that_they_would,
    an_end_is_an_end,
)


def test_every_order_of_events_keeps_every_invariant():
    found = walk(Small(), INVARIANTS, STEPS)
    assert found.broken == {}
    assert found.states == set(RequestState) - {
        RequestState.WAITING_IN_LINE,  # it begins opened
        RequestState.SUPERSEDED,  # only one unit moves on
        RequestState.NEEDLESS,  # it is no void
    }
    assert found.situations > 10_000


# A broken workflow for each invariant: what is replaced in which module, and by what.


def _wants_after_the_end(request: Request) -> Execute:
    return Execute(tuple(one.unit for one in request.progress))


def _reopens(request: Request, event: Event, at: Instant) -> Request:
    assert request.opening is not None
    return request.but(state=RequestState.COLLECTING)


def _forgets_who_is_away(request: Request) -> Prepare | Execute | None:
    open_ones = tuple(one.unit for one in request.progress if one.open)
    match request.state:
        case RequestState.READY:
            return Prepare(open_ones)
        case RequestState.EXECUTING | RequestState.PARTLY_EXECUTED if open_ones:
            return Execute(open_ones)
        case _:
            return None


def _begins_unasked(request: Request) -> Execute | None:
    open_ones = tuple(one.unit for one in request.progress if one.open and one.reachable)
    ready = request.state in (RequestState.READY, *RUNS)
    return Execute(open_ones) if ready and open_ones else None


def _ran_without_receipt(request: Request, answers: object) -> Request:
    progress = (one.but(outcome=Outcome.EXECUTED) for one in request.progress)
    return request.but(state=RequestState.EXECUTED, progress=tuple(progress))


def _expires_early(request: Request, event: Event, charter: object) -> Request:
    return request.but(state=RequestState.EXPIRED)


MUTANTS: dict[str, tuple[object, str, object]] = {
    runs_only_what_enough_people_signed.__name__: (counting, "complete", lambda *_: True),
    claims_only_what_ran.__name__: (course, "_prepared", _ran_without_receipt),
    ended_wants_nothing.__name__: (course, "wanted", _wants_after_the_end),
    wants_what_its_state_says.__name__: (course, "wanted", _forgets_who_is_away),
    has_a_deadline_until_it_ends.__name__: (course, "deadline", lambda _: NOON),
    somebody_has_to_act.__name__: (course, "wanted", lambda _: None),
    all_or_none_unless_somebody_says_proceed.__name__: (course, "held_by", lambda _: ()),
    is_rejected_when_the_rest_are_too_few.__name__: (counting, "still_possible", lambda *_: True),
    is_ready_when_enough_have_signed.__name__: (counting, "complete", lambda *_: False),
    is_cancelled_only_before_anybody_was_told.__name__: (course, "_CANCELLABLE", RequestState),
    expires_only_when_time_has_run_out.__name__: (course, "_decide", _expires_early),
    all_said_first_that_they_would.__name__: (course, "wanted", _begins_unasked),
    an_end_is_an_end.__name__: (course, "_after_the_end", _reopens),
}


def test_every_invariant_has_a_mutant():
    assert MUTANTS.keys() == {one.__name__ for one in (*INVARIANTS, *STEPS)}


@pytest.mark.parametrize("invariant", MUTANTS)
def test_a_broken_workflow_breaks_the_invariant(invariant: str, monkeypatch: pytest.MonkeyPatch):
    module, name, broken = MUTANTS[invariant]
    small = Small()
    monkeypatch.setattr(module, name, broken)
    assert invariant in walk(small, INVARIANTS, STEPS, until=invariant).broken
