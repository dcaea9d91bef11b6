"""Every state of a request answers every event: with a request or a refusal, as the table says."""

from functools import cache
from itertools import product
from typing import get_args

import pytest

from coordinator.workflow import course, events
from coordinator.workflow.events import Event
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

PEOPLE = (events.Approved, events.Contributed, events.SaidNo, events.Cancelled, events.Proceeded)

NEXT: dict[tuple[RequestState, type[Event]], RequestState] = {
    # alice has signed; of two units the first answers, the second is out of reach where P says so
    (W, events.Opened): C,
    (W, events.Unfit): RequestState.FAILED,
    (W, events.Cancelled): RequestState.CANCELLED,
    (W, events.Needless): RequestState.NEEDLESS,
    (C, events.Approved): R,
    (C, events.SaidNo): C,
    (C, events.Cancelled): RequestState.CANCELLED,
    (C, events.Reached): C,
    (C, events.Moved): C,
    (C, events.Ran): C,
    (C, events.SaidNoUnit): RequestState.FAILED,
    (C, events.Outdated): RequestState.SUPERSEDED,
    (C, events.Needless): RequestState.NEEDLESS,
    (R, events.Approved): R,
    (R, events.SaidNo): R,
    (R, events.Cancelled): RequestState.CANCELLED,
    (R, events.Reached): R,
    (R, events.Moved): R,
    (R, events.Prepared): X,
    (R, events.Ran): R,
    (R, events.SaidNoUnit): RequestState.FAILED,
    (R, events.Outdated): RequestState.SUPERSEDED,
    (R, events.Needless): RequestState.NEEDLESS,
    (X, events.Reached): X,
    (X, events.Ran): X,
    (X, events.SaidNoUnit): X,
    (P, events.Ran): RequestState.EXECUTED,
    (P, events.SaidNoUnit): P,
    (P, events.Outdated): P,
    (P, events.Reached): P,
    (P, events.Cancelled): P,
    # a receipt that comes late: told, and nothing is begun again
    (RequestState.REJECTED, events.Ran): RequestState.REJECTED,
    (RequestState.CANCELLED, events.Ran): RequestState.CANCELLED,
    (RequestState.FAILED, events.Ran): RequestState.FAILED,
    (RequestState.NEEDLESS, events.Ran): RequestState.NEEDLESS,
    (RequestState.EXPIRED, events.Ran): P,
    (RequestState.SUPERSEDED, events.Ran): P,
}

REFUSED: dict[tuple[RequestState, type[Event]], Rule] = {
    **{
        (state, kind): Rule.REQUEST_ENDED
        for state, kind in product((X, P, *ENDS), PEOPLE)
        # said before: it is answered as it was then; what has run can't be cancelled, only given up
        if (state, kind) not in ((P, events.Proceeded), (P, events.Cancelled))
    },
    **{(W, kind): Rule.REQUEST_NOT_OPEN for kind in PEOPLE if kind is not events.Cancelled},
    (C, events.Contributed): Rule.PART_NOT_WANTED,
    (R, events.Contributed): Rule.PART_NOT_WANTED,
    (C, events.Proceeded): Rule.REQUEST_ENDED,
    (R, events.Proceeded): Rule.REQUEST_ENDED,
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
            asked.take(events.Cancelled("alice", "not wanted any more"))
        case RequestState.NEEDLESS:
            asked.take(events.Needless())
        case RequestState.EXPIRED:
            assert asked.request.opening is not None
            late = Instant(asked.request.opening.not_after - LAST_MINUTE)
            asked.take(events.TimePassed(), at=late)
        case RequestState.SUPERSEDED:
            asked.take(events.Moved(first, "version 9"))
            asked.take(events.Moved(second, "version 9"))
        case RequestState.FAILED:
            asked.sign(BOB).take(asked.prepared({first: Rule.VP_MISMATCH}))
        case RequestState.READY:
            asked.sign(BOB)
        case RequestState.EXECUTING:
            asked.sign(BOB).prepare()
        case RequestState.PARTLY_EXECUTED:
            asked.sign(BOB).take(events.Reached(second, False))
            asked.take(events.Proceeded())
            asked.prepare().take(events.Ran(first, receipt(first)))
        case RequestState.EXECUTED:
            asked.sign(BOB).prepare()
            for target in asked.targets:
                asked.take(events.Ran(target, receipt(target)))
    assert asked.state() is state
    return asked


def event(kind: type[Event], state: RequestState) -> Event:
    """An event of this kind that would change something, if any could."""
    asked = case(state)
    opened = asked if state is not W else case(C)
    first, second = asked.targets
    unit = second if state is P else first
    refusal = refuse(Rule.TOO_MANY_ADMINISTRATORS, expected=8, found=9)
    of_each: dict[type[Event], Event] = {
        events.Opened: case(W).opened(),
        events.Unfit: events.Unfit(unit, refusal),
        events.Approved: opened.approved(CAROL.key),
        events.Contributed: opened.contributed((ALICE, ALICE.part())),
        events.SaidNo: opened.said_no(ALICE if state is RequestState.REJECTED else CAROL),
        events.Cancelled: events.Cancelled("operator amy", "another plan"),
        events.Proceeded: events.Proceeded(),
        events.Reached: events.Reached(unit, state is P),
        events.Moved: events.Moved(unit, "version 9"),
        events.Prepared: opened.prepared(),
        events.Ran: events.Ran(unit, receipt(unit)),
        events.SaidNoUnit: opened.said_no_unit(unit, Rule.VP_MISMATCH),
        events.TimePassed: events.TimePassed(),
        events.Outdated: events.Outdated(),
        events.Needless: events.Needless(),
    }
    return of_each[kind]


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
        said_before = (state, kind) == (P, events.Proceeded)
        assert isinstance(decided, Refusal) != said_before
    elif kind in (events.Ran, events.SaidNoUnit, events.Reached):
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
    if kind is not events.Ran:
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
            request, events.Ran(unit, receipt(unit)), asked.charter, at=asked.now
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
    decided = asked.decide(events.Reached(asked.targets[0], False), at=later)
    assert isinstance(decided, Request)
    assert decided.changed == later
    assert decided.filed == NOON
    assert asked.decide(events.TimePassed(), at=later) is asked.request
