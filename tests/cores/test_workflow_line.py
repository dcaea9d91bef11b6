"""The line before each unit: who is opened, who waits behind whom, what a unit will be by then."""

from coordinator.workflow.events import Cancelled, Moved, Proceeded, Reached
from coordinator.workflow.line import behind, holds, in_order, next_to_open, projected
from protocol.commands.bodies import (
    Body,
    ClearNewRegister,
    RemoveAdministrator,
    SetControlPoint,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.commands.effects import after
from protocol.identifiers import VP
from protocol.request import Request, RequestState
from protocol.unit_state import IMPRINT, RegisterState
from tests.cast.charters import instance
from tests.cast.commands import adds, load_of
from tests.cast.keys import noise
from tests.cast.people import ALICE, BOB, EVERYBODY
from tests.cast.requests import Asked
from tests.cast.units import CastUnit

CHARTER, PEOPLE, UNITS = instance(3, 3)
for _unit in UNITS:
    _unit.leave_imprint(PEOPLE)
A, B, C = UNITS


def asks(number: int, *units: CastUnit, body: Body | None = None) -> Asked:
    """A waiting request; unless said, each for a command of its own."""
    return Asked(CHARTER, units, body or SetControlPoint(point=number, on=True), number=number)


def ids(requests: list[Request]) -> list[int]:
    return [request.id for request in requests]


def opened_first(*asked: Asked) -> list[int]:
    return ids(next_to_open(one.request for one in asked))


def test_requests_for_other_units_are_opened_side_by_side():
    assert opened_first(asks(1, A), asks(2, B), asks(3, C)) == [1, 2, 3]


def test_of_two_for_the_same_unit_the_first_filed_is_opened():
    assert opened_first(asks(2, A), asks(1, A)) == [1]


def test_what_is_opened_keeps_its_place_until_it_has_ended():
    first, second = asks(1, A).open(), asks(2, A)
    assert opened_first(first, second) == []
    first.take(Cancelled("alice", "not wanted any more"))
    assert opened_first(first, second) == [2]


def test_a_request_is_opened_when_it_is_first_on_every_target():
    first, both, last = asks(1, A).open(), asks(2, A, B), asks(3, B)
    assert opened_first(first, both, last) == [], "3 stands behind 2, which stands behind 1"
    first.take(Cancelled("alice", "not wanted any more"))
    assert opened_first(first, both, last) == [2]


def test_nobody_overtakes_on_a_unit_that_somebody_waits_for():
    assert opened_first(asks(1, A, B), asks(2, B, C), asks(3, C)) == [1]


def test_voids_come_before_all_others_that_still_wait():
    opened, waiting, void = asks(1, A).open(), asks(2, A), asks(3, A, body=Void())
    requests = [opened.request, waiting.request, void.request]
    assert ids(in_order(requests)) == [1, 3, 2]
    assert opened_first(opened, waiting, void) == []
    opened.take(Cancelled("alice", "not wanted any more"))
    assert opened_first(opened, waiting, void) == [3]
    assert opened_first(waiting, asks(4, B), void) == [3, 4]


def test_the_line_is_visible():
    requests = [
        one.request
        for one in (asks(1, A).open(), asks(2, B), asks(3, A, C), asks(4, C), asks(5, B))
    ]
    assert [behind(request, requests) for request in requests] == [[], [], [1], [3], [2]]


def test_what_has_ended_stands_in_no_line():
    ended, waiting = asks(1, A), asks(2, A)
    ended.take(Cancelled("alice", "not wanted any more"))
    assert holds(ended.request) == frozenset()
    assert in_order([ended.request, waiting.request]) == [waiting.request]
    assert behind(waiting.request, [ended.request, waiting.request]) == []


def test_a_partly_executed_request_keeps_its_place_in_the_missing_units_line_only():
    units = tuple(CastUnit(number) for number in (4, 5))
    for unit in units:
        unit.leave_imprint(PEOPLE)
    asked = Asked(CHARTER, units, SetControlPoint(point=66, on=True)).open().sign(ALICE, BOB)
    first, second = asked.targets
    asked.take(Reached(first, False))
    asked.take(Proceeded())
    asked.prepare().take(asked.ran(second))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    assert holds(asked.request) == {first}
    by_id = {unit.id: unit for unit in units}
    assert opened_first(asked, asks(2, by_id[first]), asks(3, by_id[second])) == [3]


def test_a_target_that_was_superseded_is_free_for_others():
    asked = asks(1, A, B).open()
    asked.take(Moved(A.id, "version 9"))
    assert opened_first(asked, asks(2, A), asks(3, B)) == [2]


# what a unit will be by then


def test_the_state_is_projected_through_all_that_stand_in_line():
    dave = EVERYBODY[3]
    line = [
        asks(1, A, body=adds(dave)).open(),
        asks(2, A, B, body=SetThresholds(signatures=4, revocations=4)),
        asks(3, B, body=RemoveAdministrator(ski=ALICE.key.ski)),
    ]
    then = projected(A.id, A.state, [one.request for one in line])
    expected = after(A.state, adds(dave)).but(signature_threshold=4, revocation_threshold=4)
    assert then == expected
    assert projected(C.id, C.state, [one.request for one in line]) == C.state


def test_what_a_rule_would_refuse_by_then_changes_nothing():
    line = [asks(1, A, body=SetThresholds(signatures=4, revocations=4)).request]
    assert projected(A.id, A.state, line) == A.state


def test_a_load_ahead_makes_a_key_that_nobody_knows_yet():
    load = asks(1, A, body=load_of([(ALICE, ALICE.part()), (BOB, BOB.part())])).request
    then = projected(A.id, A.state, [load])
    assert then.new.state is RegisterState.FULL_UNCOMMITTED
    wrong = asks(2, A, body=ClearNewRegister(vp=VP(noise("key")))).request
    assert projected(A.id, A.state, [load, wrong]) == then


def test_after_a_zeroize_ahead_the_unit_is_cleared():
    line = [asks(1, A, body=Zeroize()).request]
    assert projected(A.id, A.state, line) == IMPRINT


def test_where_it_has_run_already_it_is_not_reckoned_twice():
    unit = CastUnit(6)
    unit.leave_imprint(PEOPLE)
    asked = Asked(CHARTER, [unit], adds(EVERYBODY[3])).open().sign(ALICE, BOB).prepare()
    asked.take(asked.ran(unit.id))
    assert projected(unit.id, unit.state, [asked.request]) == unit.state
