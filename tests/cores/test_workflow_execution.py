"""Prepare on all, then execute: what holds it, what ends it, what stays partly executed."""

import pytest

from coordinator.workflow.course import Execute, Prepare, deadline, held_by, wanted
from coordinator.workflow.events import (
    Cancelled,
    Moved,
    Outdated,
    Prepared,
    Proceeded,
    Ran,
    Reached,
    TimePassed,
)
from coordinator.workflow.live import expires
from protocol.commands.bodies import SetControlPoint, Void, Zeroize
from protocol.identifiers import MINUTE, Duration, Instant
from protocol.live import live_copies
from protocol.refusals import Rule
from protocol.request import Outcome, RequestState
from tests.cast.charters import instance
from tests.cast.commands import NOON
from tests.cast.people import ALICE, BOB, CAROL
from tests.cast.requests import Asked

BODY = SetControlPoint(point=66, on=True)


def ready(units: int = 3) -> Asked:
    """Two of three have signed."""
    made, custodians, cast = instance(3, units)
    for unit in cast:
        unit.leave_imprint(custodians)
    return Asked(made, cast, BODY).open().sign(ALICE, BOB)


def outcomes(asked: Asked) -> list[Outcome]:
    return [one.outcome for one in asked.request.progress]


def limit(asked: Asked) -> Instant:
    found = deadline(asked.request)
    assert found is not None
    return found


def test_prepare_on_every_target_then_execute_on_every_target():
    asked = ready()
    assert wanted(asked.request) == Prepare(asked.targets)
    asked.prepare()
    assert asked.state() is RequestState.EXECUTING
    for number, unit in enumerate(asked.targets):
        assert wanted(asked.request) == Execute(asked.targets[number:])
        asked.take(asked.ran(unit))
    assert asked.state() is RequestState.EXECUTED
    assert wanted(asked.request) is None
    assert [one.receipt for one in asked.request.progress] == [
        asked.units[unit].entries[-1] for unit in asked.targets
    ]


def test_a_receipt_that_comes_twice_changes_nothing():
    asked = ready().prepare()
    ran = asked.ran(asked.targets[0])
    asked.take(ran)
    assert asked.ignores(ran)


# when one would refuse, none runs


@pytest.mark.parametrize("rule", [Rule.VP_MISMATCH, Rule.IMPRINT_MODE, Rule.VALID_TOO_LONG])
def test_when_one_target_would_refuse_none_runs(rule: Rule):
    asked = ready()
    asked.take(asked.prepared({asked.targets[1]: rule}))
    assert asked.state() is RequestState.FAILED
    assert wanted(asked.request) is None
    assert outcomes(asked) == [Outcome.OPEN, Outcome.REFUSED, Outcome.OPEN]
    assert asked.on(asked.targets[1]).refusal is not None


def test_when_one_target_says_that_the_time_ran_out_none_runs():
    asked = ready()
    asked.take(asked.prepared({asked.targets[1]: Rule.EXPIRED}))
    assert asked.state() is RequestState.EXPIRED
    assert wanted(asked.request) is None


def test_when_one_target_would_run_it_later_all_wait():
    asked = ready()
    asked.take(asked.prepared({asked.targets[1]: Rule.NOT_YET_VALID}))
    assert asked.state() is RequestState.READY
    assert wanted(asked.request) == Prepare(asked.targets)
    again = asked.prepared({asked.targets[1]: Rule.NOT_YET_VALID})
    assert asked.ignores(again), "the same No again is no news"
    asked.prepare()
    assert asked.state() is RequestState.EXECUTING


def test_answers_that_do_not_cover_who_is_in_reach_now_begin_nothing():
    asked = ready()
    third = asked.targets[2]
    asked.take(Reached(third, False))
    asked.take(Proceeded())
    answers = asked.prepared()
    asked.take(Reached(third, True))
    assert asked.ignores(answers)
    asked.prepare()
    assert asked.state() is RequestState.EXECUTING


def test_no_answers_at_all_begin_nothing():
    asked = ready()
    for unit in asked.targets:
        asked.take(Reached(unit, False))
    asked.take(Proceeded())
    assert wanted(asked.request) is None
    assert asked.ignores(Prepared({}))


# out of reach, and proceed


def test_a_target_out_of_reach_holds_the_request():
    asked = ready()
    first = asked.targets[0]
    asked.take(Reached(first, False))
    assert held_by(asked.request) == (first,)
    assert wanted(asked.request) is None
    asked.take(Reached(first, True))
    assert held_by(asked.request) == ()
    assert wanted(asked.request) == Prepare(asked.targets)


def test_answers_do_not_begin_it_while_it_is_held():
    asked = ready()
    answers = asked.prepared()
    asked.take(Reached(asked.targets[0], False))
    assert asked.ignores(answers)


def test_proceed_runs_the_others_and_leaves_it_partly_executed():
    asked = ready()
    first, second, third = asked.targets
    asked.take(Reached(first, False))
    asked.take(Proceeded())
    assert asked.ignores(Proceeded()), "said twice is said once"
    assert wanted(asked.request) == Prepare((second, third))
    asked.prepare()
    assert wanted(asked.request) == Execute((second, third))
    asked.take(asked.ran(second))
    assert asked.state() is RequestState.EXECUTING
    asked.take(asked.ran(third))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    assert not asked.request.ended
    assert wanted(asked.request) is None


def partly(units: int = 3) -> Asked:
    """It ran on all units but the first, which is out of reach."""
    asked = ready(units)
    first, *others = asked.targets
    asked.take(Reached(first, False))
    asked.take(Proceeded())
    asked.prepare()
    for unit in others:
        asked.take(asked.ran(unit))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    return asked


def test_partly_executed_goes_on_when_the_unit_is_back():
    asked = partly()
    first = asked.targets[0]
    asked.take(Reached(first, True))
    assert wanted(asked.request) == Execute((first,))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    asked.take(asked.ran(first))
    assert asked.state() is RequestState.EXECUTED


def test_partly_executed_ends_when_the_missing_unit_will_not_run_it():
    asked = partly()
    first = asked.targets[0]
    asked.take(Reached(first, True))
    asked.take(asked.said_no_unit(first, Rule.WRONG_INCARNATION))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    assert asked.request.ended
    assert asked.on(first).outcome is Outcome.SUPERSEDED
    assert asked.on(first).refusal is not None


def test_partly_executed_ends_when_its_time_runs_out():
    asked = partly()
    asked.take(TimePassed(), at=limit(asked))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    assert asked.request.ended
    assert asked.on(asked.targets[0]).outcome is Outcome.EXPIRED


def test_partly_executed_ends_when_a_newer_charter_is_in_force():
    asked = partly()
    asked.take(Outdated())
    assert asked.state() is RequestState.PARTLY_EXECUTED
    assert asked.request.ended


def test_a_unit_that_goes_out_of_reach_while_it_executes_leaves_it_partly_executed():
    asked = ready(2).prepare()
    first, second = asked.targets
    asked.take(asked.ran(first))
    asked.take(Reached(second, False))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    assert wanted(asked.request) is None
    asked.take(Reached(second, True))
    assert wanted(asked.request) == Execute((second,))


def test_nothing_is_held_before_it_is_ready_so_nothing_proceeds():
    made, custodians, units = instance(3, 2)
    for unit in units:
        unit.leave_imprint(custodians)
    asked = Asked(made, units, BODY)
    assert asked.refuses(Proceeded()) is Rule.REQUEST_NOT_OPEN
    asked.open()
    asked.take(Reached(asked.targets[0], False))
    asked.refuses(Proceeded())
    asked.sign(ALICE, BOB)
    asked.take(Proceeded())


# the state under it changed


def test_one_superseded_target_holds_the_rest_until_proceed():
    asked = ready()
    first, second, third = asked.targets
    asked.take(Moved(first, "version 9"))
    assert asked.on(first).outcome is Outcome.SUPERSEDED
    assert held_by(asked.request) == (first,)
    assert wanted(asked.request) is None
    asked.take(Proceeded())
    assert wanted(asked.request) == Prepare((second, third))
    asked.prepare()
    for unit in (second, third):
        asked.take(asked.ran(unit))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    assert asked.request.ended


def test_a_target_that_moved_while_it_collected_needs_no_more_signatures():
    made, custodians, units = instance(3, 2)
    for unit in units:
        unit.leave_imprint(custodians)
    asked = Asked(made, units, BODY).open()
    first, second = asked.targets
    asked.take(asked.approved(ALICE.key, units=[second]))
    asked.take(asked.approved(BOB.key, units=[second]))
    assert asked.state() is RequestState.COLLECTING
    asked.take(Moved(first, "version 9"))
    assert asked.state() is RequestState.READY
    assert asked.ignores(asked.approved(CAROL.key, units=[first]))


@pytest.mark.parametrize("rule", [Rule.STATE_CHANGED, Rule.WRONG_INCARNATION])
def test_a_unit_that_says_so_at_prepare_is_superseded(rule: Rule):
    asked = ready()
    first = asked.targets[0]
    asked.take(asked.prepared({first: rule}))
    assert asked.state() is RequestState.READY
    assert asked.on(first).outcome is Outcome.SUPERSEDED
    assert held_by(asked.request) == (first,)


def test_it_is_superseded_when_the_state_under_all_of_it_changed():
    asked = ready(2)
    for unit in asked.targets:
        asked.take(Moved(unit, "version 9"))
    assert asked.state() is RequestState.SUPERSEDED


def test_what_its_own_command_moved_is_not_superseded():
    asked = ready(2).prepare()
    first = asked.targets[0]
    ran = asked.ran(first)
    assert asked.ignores(Moved(first, "version 9"))
    asked.take(ran)
    assert asked.on(first).outcome is Outcome.EXECUTED


def test_a_void_whose_units_moved_on_is_needless():
    made, custodians, units = instance(3, 2)
    for unit in units:
        unit.leave_imprint(custodians)
    void = Asked(made, units, Void()).open()
    first, second = void.targets
    void.take(Moved(first, "version 9"))
    assert void.state() is RequestState.COLLECTING
    void.take(Moved(second, "version 9"))
    assert void.state() is RequestState.NEEDLESS


def test_a_void_that_a_newer_charter_overtook_is_superseded():
    made, custodians, units = instance(3, 1)
    units[0].leave_imprint(custodians)
    void = Asked(made, units, Void()).open()
    void.take(Outdated())
    assert void.state() is RequestState.SUPERSEDED


def test_a_void_can_be_withdrawn():
    made, custodians, units = instance(3, 1)
    units[0].leave_imprint(custodians)
    void = Asked(made, units, Void()).open()
    void.take(Cancelled("alice", "it has expired by now"))
    assert void.state() is RequestState.CANCELLED


# execution that fails


def test_it_fails_when_no_unit_ran_it():
    asked = ready(2).prepare()
    for unit in asked.targets:
        asked.take(asked.said_no_unit(unit, Rule.VP_MISMATCH))
    assert asked.state() is RequestState.FAILED


def test_it_is_partly_executed_and_over_when_one_unit_refused_to_execute():
    asked = ready(2).prepare()
    first, second = asked.targets
    asked.take(asked.ran(first))
    asked.take(asked.said_no_unit(second, Rule.VP_MISMATCH))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    assert asked.request.ended
    assert wanted(asked.request) is None


def test_a_unit_that_would_run_it_later_is_asked_again():
    asked = ready(2).prepare()
    first, second = asked.targets
    asked.take(asked.ran(first))
    asked.take(asked.said_no_unit(second, Rule.NOT_YET_VALID))
    assert wanted(asked.request) == Execute((second,))
    assert asked.ignores(asked.said_no_unit(second, Rule.NOT_YET_VALID))


# late receipts


def ended_with_copies(end: RequestState) -> Asked:
    """Somebody has signed, and it ended before any unit was told to run it."""
    asked = ready()
    match end:
        case RequestState.CANCELLED:
            asked.take(Cancelled("operator amy", "not wanted any more"))
        case RequestState.REJECTED:
            asked = Asked(asked.charter, list(asked.units.values()), BODY).open().sign(ALICE)
            asked.take(asked.said_no(BOB))
            asked.take(asked.said_no(CAROL))
        case _:
            asked.take(asked.prepared({asked.targets[1]: Rule.VP_MISMATCH}))
    assert asked.state() is end
    return asked


@pytest.mark.parametrize(
    "end", [RequestState.CANCELLED, RequestState.REJECTED, RequestState.FAILED]
)
def test_a_late_receipt_of_one_unit_is_told_and_the_others_are_left_alone(end: RequestState):
    asked = ended_with_copies(end)
    first = asked.targets[0]
    asked.take(Ran(first, asked.no(first, Rule.EXPIRED)[0]))
    assert asked.state() is end
    assert asked.request.ended
    assert asked.on(first).outcome is Outcome.EXECUTED
    assert wanted(asked.request) is None
    assert deadline(asked.request) is None
    assert "all the same" in asked.request.why


def test_a_cancelled_request_that_ran_everywhere_all_the_same_is_executed():
    asked = ready(2)
    asked.take(Cancelled("operator amy", "not wanted any more"))
    for unit in asked.targets:
        asked.take(asked.ran(unit))
    assert asked.state() is RequestState.EXECUTED


def test_a_receipt_that_comes_after_its_time_ran_out_still_counts():
    asked = ready(2).prepare()
    receipts = [asked.ran(unit) for unit in asked.targets]
    asked.take(TimePassed(), at=limit(asked))
    assert asked.state() is RequestState.EXPIRED
    asked.take(receipts[0])
    assert asked.state() is RequestState.PARTLY_EXECUTED
    assert asked.request.ended
    asked.take(receipts[1])
    assert asked.state() is RequestState.EXECUTED


def test_receipts_that_come_before_anybody_was_asked_count_too():
    """A coordinator whose store is behind learns from the units what has happened."""
    asked = ready(2)
    for unit in asked.targets:
        asked.take(asked.ran(unit))
    assert asked.state() is RequestState.EXECUTED


# time


def test_what_was_never_opened_expires_after_seven_days():
    made, _, units = instance(3, 1)
    asked = Asked(made, units, Zeroize())
    week = Instant(NOON + 7 * 24 * 60 * MINUTE)
    assert deadline(asked.request) == week
    assert asked.ignores(TimePassed(), at=Instant(week - 1))
    asked.take(TimePassed(), at=week)
    assert asked.state() is RequestState.EXPIRED


def test_a_void_expires_with_the_copies_that_it_is_for_opened_or_not():
    made, _, units = instance(3, 1)
    asked = Asked(made, units, Void(), valid_for=Duration(2 * 60 * MINUTE))
    last = Instant(NOON + 119 * MINUTE)
    assert deadline(asked.request) == last
    later = Instant(NOON + 60 * MINUTE)
    assert expires(asked.request, later) == last + MINUTE
    asked.take(TimePassed(), at=last)
    assert asked.state() is RequestState.EXPIRED


def test_nothing_holds_a_void():
    made, people, units = instance(3, 2)
    for unit in units:
        unit.leave_imprint(people)
    asked = Asked(made, units, Void()).open().sign(ALICE)
    there, lost = asked.targets
    asked.take(Reached(lost, False))
    assert (asked.state(), held_by(asked.request)) == (RequestState.READY, ())
    assert wanted(asked.request) == Prepare((there,))


def test_what_ran_on_some_units_is_given_up_on_the_others():
    asked = ready(2)
    there, lost = asked.targets
    asked.take(Reached(lost, False))
    asked.take(Proceeded())
    asked.prepare().take(asked.ran(there))
    assert asked.state() is RequestState.PARTLY_EXECUTED
    asked.take(Cancelled("amy", "that unit won't come back"))
    assert (asked.state(), asked.request.ended) == (RequestState.PARTLY_EXECUTED, True)
    assert outcomes(asked) == [Outcome.EXECUTED, Outcome.GIVEN_UP]
    (copy,) = live_copies(asked.request, {}, NOON)
    assert (copy.unit, len(copy.signed_by)) == (lost, 2)
    asked.take(asked.ran(lost))
    assert asked.state() is RequestState.EXECUTED


def test_execution_does_not_begin_within_a_minute_of_not_after():
    asked = ready(2)
    assert asked.request.opening is not None
    last = Instant(asked.request.opening.not_after - MINUTE)
    assert limit(asked) == last
    begun = asked.decide(asked.prepared(), at=Instant(last - 1))
    assert begun == asked.request.but(state=RequestState.EXECUTING, changed=last - 1)
    asked.take(asked.prepared(), at=last)
    assert asked.state() is RequestState.EXPIRED


def test_cancelling_is_too_late_once_units_were_told_to_run_it():
    asked = ready(2).prepare()
    assert asked.refuses(Cancelled("alice", "too late")) is Rule.REQUEST_ENDED
