"""Every state of a request answers every event: with a request or a refusal, as the table says."""

from functools import cache
from itertools import product
from typing import get_args

import pytest

from coordinator.workflow import course
from coordinator.workflow.course import Event
from protocol.commands.bodies import SetControlPoint
from protocol.identifiers import Instant, Signature, UnitId
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import LAST_MINUTE, Outcome, Request, RequestState
from protocol.signing.statements import Signed
from tests.cast.charters import instance
from tests.cast.commands import NOON
from tests.cast.people import ALICE, BOB, CAROL
from tests.cast.requests import Asked

KINDS: tuple[type[Event], ...] = get_args(Event)
BODY = SetControlPoint(point=66, on=True)

W, C, R, X, P = (
    RequestState.WAITING_IN_LINE,
    RequestState.COLLECTING,
    RequestState.READY,
    RequestState.EXECUTING,
    RequestState.PARTLY_EXECUTED,
)
ENDS = tuple(state for state in RequestState if state not in (W, C, R, X, P))
STATES = tuple(RequestState)

PEOPLE = (course.Approved, course.Contributed, course.SaidNo, course.Cancelled, course.Proceeded)

NEXT: dict[tuple[RequestState, type[Event]], RequestState] = {
    # alice has signed; of two units the first answers, the second is out of reach where P says so
    (W, course.Opened): C,
    (W, course.Unfit): RequestState.FAILED,
    (W, course.Cancelled): RequestState.CANCELLED,
    (W, course.Needless): RequestState.NEEDLESS,
    (C, course.Approved): R,
    (C, course.SaidNo): C,
    (C, course.Cancelled): RequestState.CANCELLED,
    (C, course.Reached): C,
    (C, course.Moved): C,
    (C, course.Ran): C,
    (C, course.SaidNoUnit): RequestState.FAILED,
    (C, course.Outdated): RequestState.SUPERSEDED,
    (C, course.Needless): RequestState.NEEDLESS,
    (R, course.Approved): R,
    (R, course.SaidNo): R,
    (R, course.Cancelled): RequestState.CANCELLED,
    (R, course.Reached): R,
    (R, course.Moved): R,
    (R, course.Prepared): X,
    (R, course.Ran): R,
    (R, course.SaidNoUnit): RequestState.FAILED,
    (R, course.Outdated): RequestState.SUPERSEDED,
    (R, course.Needless): RequestState.NEEDLESS,
    (X, course.Reached): X,
    (X, course.Ran): X,
    (X, course.SaidNoUnit): X,
    (P, course.Ran): RequestState.EXECUTED,
    (P, course.SaidNoUnit): P,
    (P, course.Outdated): P,
    (P, course.Reached): P,
    (P, course.Cancelled): P,
    # a receipt that comes late: told, and nothing is begun again
    (RequestState.REJECTED, course.Ran): RequestState.REJECTED,
    (RequestState.CANCELLED, course.Ran): RequestState.CANCELLED,
    (RequestState.FAILED, course.Ran): RequestState.FAILED,
    (RequestState.NEEDLESS, course.Ran): RequestState.NEEDLESS,
    (RequestState.EXPIRED, course.Ran): P,
    (RequestState.SUPERSEDED, course.Ran): P,
}

REFUSED: dict[tuple[RequestState, type[Event]], Rule] = {
    **{
        (state, kind): Rule.REQUEST_ENDED
        for state, kind in product((X, P, *ENDS), PEOPLE)
        # said before: it is answered as it was then; what has run can't be cancelled, only given up
        if (state, kind) not in ((P, course.Proceeded), (P, course.Cancelled))
    },
    **{(W, kind): Rule.REQUEST_NOT_OPEN for kind in PEOPLE if kind is not course.Cancelled},
    (C, course.Contributed): Rule.PART_NOT_WANTED,
    (R, course.Contributed): Rule.PART_NOT_WANTED,
    (C, course.Proceeded): Rule.REQUEST_ENDED,
    (R, course.Proceeded): Rule.REQUEST_ENDED,
}


@cache
def case(state: RequestState) -> Asked:
    """A request in this state, for two units and three administrators of whom two must sign."""
    charter, people, units = instance(3, 2)
    for unit in units:
        unit.leave_imprint(people)
    asked = Asked(charter, units, BODY)
    if state is W:
        return asked
    asked.open().sign(ALICE)
    first, second = asked.targets
    match state:
        case RequestState.COLLECTING:
            pass
        case RequestState.REJECTED:
            asked.take(asked.said_no(BOB))
            asked.take(asked.said_no(CAROL))
        case RequestState.CANCELLED:
            asked.take(course.Cancelled("alice", "not wanted any more"))
        case RequestState.NEEDLESS:
            asked.take(course.Needless())
        case RequestState.EXPIRED:
            assert asked.request.opening is not None
            late = Instant(asked.request.opening.not_after - LAST_MINUTE)
            asked.take(course.TimePassed(), at=late)
        case RequestState.SUPERSEDED:
            asked.take(course.Moved(first, "version 9"))
            asked.take(course.Moved(second, "version 9"))
        case RequestState.FAILED:
            asked.sign(BOB).take(asked.prepared({first: Rule.VP_MISMATCH}))
        case RequestState.READY:
            asked.sign(BOB)
        case RequestState.EXECUTING:
            asked.sign(BOB).prepare()
        case RequestState.PARTLY_EXECUTED:
            asked.sign(BOB).take(course.Reached(second, False))
            asked.take(course.Proceeded())
            asked.prepare().take(course.Ran(first, receipt(first)))
        case RequestState.EXECUTED:
            asked.sign(BOB).prepare()
            for target in asked.targets:
                asked.take(course.Ran(target, receipt(target)))
    assert asked.state() is state
    return asked


def event(kind: type[Event], state: RequestState) -> Event:
    """An event of this kind that would change something, if any could."""
    asked = case(state)
    opened = asked if state is not W else case(C)
    first, second = asked.targets
    unit = second if state is P else first
    refusal = refuse(Rule.TOO_MANY_ADMINISTRATORS, expected=8, found=9)
    events: dict[type[Event], Event] = {
        course.Opened: case(W).opened(),
        course.Unfit: course.Unfit(unit, refusal),
        course.Approved: opened.approved(CAROL.key),
        course.Contributed: opened.contributed((ALICE, ALICE.part())),
        course.SaidNo: opened.said_no(ALICE if state is RequestState.REJECTED else CAROL),
        course.Cancelled: course.Cancelled("operator amy", "another plan"),
        course.Proceeded: course.Proceeded(),
        course.Reached: course.Reached(unit, state is P),
        course.Moved: course.Moved(unit, "version 9"),
        course.Prepared: opened.prepared(),
        course.Ran: course.Ran(unit, receipt(unit)),
        course.SaidNoUnit: opened.said_no_unit(unit, Rule.VP_MISMATCH),
        course.TimePassed: course.TimePassed(),
        course.Outdated: course.Outdated(),
        course.Needless: course.Needless(),
    }
    return events[kind]


def receipt(unit: UnitId) -> Signed:
    """A receipt; it was verified before it became an event, and isn't opened here."""
    return Signed(statement=b"receipt of " + unit, signature=Signature(b"signature"))


def test_the_table_knows_every_event():
    assert {type(event(kind, C)) for kind in KINDS} == set(KINDS)


@pytest.mark.parametrize(("state", "kind"), list(product(STATES, KINDS)))
def test_every_state_answers_every_event(state: RequestState, kind: type[Event]):
    asked = case(state)
    decided = asked.decide(event(kind, state))
    if (state, kind) in REFUSED:
        assert isinstance(decided, Refusal)
        assert decided.rule is REFUSED[state, kind]
        return
    assert isinstance(decided, Request)
    assert decided.state is NEXT.get((state, kind), state)
    assert (decided != asked.request) == ((state, kind) in NEXT)


@pytest.mark.parametrize(("state", "kind"), list(product(STATES, KINDS)))
def test_past_its_time_a_request_expires_whatever_comes(state: RequestState, kind: type[Event]):
    asked = case(state)
    limit = course.deadline(asked.request)
    if limit is None:
        assert asked.request.ended
        return
    decided = asked.decide(event(kind, state), at=limit)
    if kind in PEOPLE:
        said_before = (state, kind) == (P, course.Proceeded)
        assert isinstance(decided, Refusal) != said_before
    elif kind in (course.Ran, course.SaidNoUnit, course.Reached):
        assert isinstance(decided, Request)
        assert decided.state is NEXT.get((state, kind), state)
    else:
        assert isinstance(decided, Request)
        assert decided.ended
        assert decided.state is (P if state is P else RequestState.EXPIRED)


@pytest.mark.parametrize(("state", "kind"), list(product(ENDS, KINDS)))
def test_only_a_late_receipt_changes_an_ended_request(state: RequestState, kind: type[Event]):
    asked = case(state)
    decided = asked.decide(event(kind, state))
    if kind is not course.Ran:
        assert decided == asked.request or isinstance(decided, Refusal)
        return
    assert isinstance(decided, Request)
    assert decided.ended
    assert course.wanted(decided) is None
    assert course.deadline(decided) is None


@pytest.mark.parametrize("state", STATES)
def test_a_receipt_on_every_unit_means_executed_whatever_was_said_before(state: RequestState):
    asked = case(state)
    if not asked.request.progress:
        return
    request = asked.request
    for unit in asked.targets:
        decided = course.decide(
            request, course.Ran(unit, receipt(unit)), asked.charter, at=asked.now
        )
        assert isinstance(decided, Request)
        request = decided
    assert request.state is RequestState.EXECUTED
    assert {one.outcome for one in request.progress} == {Outcome.EXECUTED}


@pytest.mark.parametrize("state", STATES)
def test_what_is_wanted_and_until_when_follows_from_the_state(state: RequestState):
    request = case(state).request
    wanted = course.wanted(request)
    assert isinstance(wanted, course.Prepare) == (state is R)
    assert isinstance(wanted, course.Execute) == (state is X)
    assert (course.deadline(request) is None) == request.ended


def test_the_time_of_a_change_is_kept_and_nothing_else_is_touched():
    asked = case(C)
    later = Instant(NOON + 1)
    decided = asked.decide(course.Reached(asked.targets[0], False), at=later)
    assert isinstance(decided, Request)
    assert decided.changed == later
    assert decided.filed == NOON
    assert asked.decide(course.TimePassed(), at=later) is asked.request
