"""Whose signature counts for a request, once; and when those who are left can't complete it."""

from collections.abc import Sequence
from typing import Any

import pytest

from coordinator.workflow import counting
from coordinator.workflow.course import Prepare, deadline, wanted
from coordinator.workflow.events import Approved, Outdated, TimePassed
from protocol.charter import Charter
from protocol.commands.bodies import AddAdministrator, SetControlPoint, SetThresholds
from protocol.commands.command import Approval
from protocol.identifiers import Digest, Instant, Signature, StateVersion
from protocol.refusals import Rule
from protocol.request import RequestState
from protocol.session.messages import UnitApproval
from tests.cast.charters import FLOOR, charter, instance
from tests.cast.commands import SOME_CHARTER, adds
from tests.cast.keys import noise
from tests.cast.people import ALICE, BOB, CAROL, MALLORY, Custodian, custodian
from tests.cast.requests import Asked
from tests.cast.units import CastUnit

BODY = SetControlPoint(point=66, on=True)
ANN = custodian("ann", keys=2)
"""Somebody with two signature keys."""


def collecting(people: int = 3, *, signatures: int = 2, units: int = 2) -> Asked:
    """Collects for units whose administrators are all people of the charter."""
    made, custodians, cast = instance(people, units)
    for unit in cast:
        unit.leave_imprint(custodians, signatures=signatures, revocations=signatures)
    return Asked(made, cast, BODY).open()


def with_two_keys_of_ann(*others: Custodian, signatures: int) -> Asked:
    """Both of Ann's keys are installed beside the others' in both units."""
    people = [ANN, *others]
    units = [CastUnit(1), CastUnit(2)]
    for unit in units:
        unit.install(people)
        unit.run(
            SetThresholds(signatures=signatures, revocations=signatures),
            [ANN, *others][:signatures],
        )
    made = charter(people, units, floor=FLOOR)
    second = ANN.keys[1]
    for unit in units:
        unit.run(AddAdministrator(key=ANN.proven(second)), [ANN, *others][:signatures])
    return Asked(made, units, BODY).open()


def waits_for(asked: Asked) -> tuple[set[str], int, int]:
    names, have, needed = counting.waiting_for(asked.request, asked.charter)
    return set(names), have, needed


def test_two_of_three_make_it_ready_and_each_signature_is_kept():
    asked = collecting().sign(ALICE)
    assert asked.state() is RequestState.COLLECTING
    assert waits_for(asked) == ({"bob", "carol"}, 1, 2)
    asked.sign(CAROL)
    assert asked.state() is RequestState.READY
    assert wanted(asked.request) == Prepare(asked.targets)
    for unit in asked.targets:
        skis = [approval.ski for approval in asked.on(unit).approvals]
        assert skis == sorted([ALICE.key.ski, CAROL.key.ski])


def test_a_third_signature_is_kept_while_it_is_ready():
    asked = collecting().sign(ALICE, BOB, CAROL)
    assert asked.state() is RequestState.READY
    assert len(asked.on(asked.targets[0]).approvals) == 3


def test_signatures_for_one_unit_only_leave_the_other_waiting():
    asked = collecting()
    first, second = asked.targets
    asked.take(asked.approved(ALICE.key, units=[first]))
    asked.take(asked.approved(BOB.key, units=[first]))
    assert asked.state() is RequestState.COLLECTING
    assert waits_for(asked) == ({"alice", "bob", "carol"}, 0, 2)
    asked.take(asked.approved(ALICE.key))
    asked.take(asked.approved(CAROL.key, units=[second]))
    assert asked.state() is RequestState.READY


def test_the_same_signatures_twice_change_nothing_whatever_has_happened_since():
    asked = collecting().sign(ALICE)
    again = asked.approved(ALICE.key)
    assert asked.ignores(again)
    asked.sign(BOB)
    assert asked.ignores(again)
    asked.prepare()
    assert asked.ignores(again)
    for unit in asked.targets:
        asked.take(asked.ran(unit))
    assert asked.state() is RequestState.EXECUTED
    assert asked.ignores(again)


def test_another_signature_by_a_key_that_has_signed_is_refused():
    asked = collecting().sign(ALICE)
    approvals = tuple(
        UnitApproval(
            unit=given.unit,
            approval=Approval(ski=ALICE.key.ski, signature=Signature(bytes(64))),
        )
        for given in asked.approved(ALICE.key).approvals
    )
    assert asked.refuses(Approved(ALICE.key.ski, approvals)) is Rule.SIGNED_BEFORE


BENT: dict[str, dict[str, Any]] = {
    "another unit": {"unit": CastUnit(9).id},
    "another state": {"state": Digest(noise("state"))},
    "another version": {"version": StateVersion(99)},
    "another command": {"body": SetControlPoint(point=66, on=False)},
    "another charter": {"charter": SOME_CHARTER},
    "another request": {"request": Digest(noise("request"))},
    "another time": {"not_after": Instant(1)},
    "practice": {"practice": False},
}


@pytest.mark.parametrize("what", BENT)
def test_a_signature_over_anything_else_is_not_counted(what: str):
    asked = collecting()
    changes = BENT[what] | ({"not_before": Instant(0)} if what == "another time" else {})
    assert asked.refuses(asked.approved(ALICE.key, **changes)) is Rule.SIGNATURE_NOT_WANTED


def test_a_signature_that_belongs_to_the_other_target_is_not_counted():
    asked = collecting()
    first, second = asked.approved(ALICE.key).approvals
    crossed = (first.but(unit=second.unit), second.but(unit=first.unit))
    assert asked.refuses(Approved(ALICE.key.ski, crossed)) is Rule.SIGNATURE_NOT_WANTED
    elsewhere = (first, second.but(unit=CastUnit(9).id))
    assert asked.refuses(Approved(ALICE.key.ski, elsewhere)) is Rule.SIGNATURE_NOT_WANTED
    assert asked.refuses(Approved(BOB.key.ski, (first, second))) is Rule.SIGNATURE_NOT_WANTED


def test_a_strangers_signature_is_not_counted():
    asked = collecting()
    assert asked.refuses(asked.approved(MALLORY.key)) is Rule.SIGNATURE_NOT_WANTED


def test_an_installed_administrator_outside_the_charter_does_not_count():
    units = [CastUnit(1), CastUnit(2)]
    for unit in units:
        unit.leave_imprint([ALICE, BOB, CAROL])
    made = charter([ALICE, BOB], units)
    asked = Asked(made, units, BODY).open()
    assert asked.refuses(asked.approved(CAROL.key)) is Rule.SIGNATURE_NOT_WANTED
    assert waits_for(asked) == ({"alice", "bob"}, 0, 2)


def test_two_keys_of_one_person_count_once_and_the_second_is_refused():
    asked = with_two_keys_of_ann(BOB, CAROL, signatures=3)
    asked.sign(ANN)
    assert waits_for(asked) == ({"bob", "carol"}, 1, 3)
    assert asked.refuses(asked.approved(ANN.keys[1])) is Rule.SIGNED_BEFORE
    asked.sign(BOB)
    assert asked.state() is RequestState.COLLECTING
    asked.sign(CAROL)
    assert asked.state() is RequestState.READY


def test_where_one_person_may_be_alone_keys_are_counted():
    units = [CastUnit(1)]
    units[0].install([ANN])
    units[0].run(AddAdministrator(key=ANN.proven(ANN.keys[1])))
    units[0].run(SetThresholds(signatures=2, revocations=2), ANN.keys)
    made = charter([ANN], units, alone=True)
    asked = Asked(made, units, BODY).open().sign(ANN)
    assert waits_for(asked) == ({"ann"}, 1, 2)
    asked.take(asked.approved(ANN.keys[1]))
    assert asked.state() is RequestState.READY


def exit_by(people: Sequence[Custodian], *, alone: bool = False) -> tuple[Charter, list[CastUnit]]:
    units = [CastUnit(1), CastUnit(2)]
    for unit in units:
        unit.install(people)
    return charter(people, units, alone=alone), units


def test_the_exit_from_imprint_mode_needs_as_many_people_as_the_charter_says():
    made, units = exit_by([ALICE, BOB, CAROL])
    made = made.but(floor=FLOOR.but(exit_people=3))
    asked = Asked(made, units, SetThresholds(signatures=2, revocations=2)).open()
    asked.sign(ALICE, BOB)
    assert asked.state() is RequestState.COLLECTING
    asked.sign(CAROL)
    assert asked.state() is RequestState.READY


def test_a_command_that_needs_no_signature_is_ready_at_once():
    made, units = exit_by([ALICE, BOB])
    assert Asked(made, units, adds(CAROL)).open().state() is RequestState.READY


# rejections


def test_it_is_rejected_when_those_who_are_left_cannot_reach_the_threshold():
    asked = collecting()
    asked.take(asked.said_no(ALICE))
    assert asked.state() is RequestState.COLLECTING
    assert waits_for(asked)[0] == {"bob", "carol"}
    asked.take(asked.said_no(CAROL))
    assert asked.state() is RequestState.REJECTED
    assert wanted(asked.request) is None


def test_a_person_with_two_keys_says_no_for_both():
    asked = with_two_keys_of_ann(BOB, CAROL, signatures=3)
    asked.take(asked.said_no(ANN))
    assert asked.state() is RequestState.REJECTED


def test_a_rejection_may_become_an_approval_while_the_request_is_open():
    asked = collecting()
    asked.take(asked.said_no(ALICE))
    asked.sign(ALICE)
    assert asked.request.rejections == ()
    asked.take(asked.said_no(BOB))
    assert asked.state() is RequestState.COLLECTING
    asked.sign(CAROL)
    assert asked.state() is RequestState.READY
    assert len(asked.request.rejections) == 1


def test_a_no_counts_once_and_comes_twice_without_harm():
    asked = collecting()
    no = asked.said_no(ALICE)
    asked.take(no)
    assert asked.ignores(no)
    asked.take(asked.said_no(BOB))
    assert asked.state() is RequestState.REJECTED
    assert asked.ignores(no)
    assert asked.refuses(asked.said_no(CAROL)) is Rule.REQUEST_ENDED


def test_what_was_signed_is_not_taken_back_by_a_no():
    """A No that comes again after the Yes that followed it must not undo it."""
    asked = collecting()
    no = asked.said_no(ALICE)
    asked.take(no)
    asked.sign(ALICE)
    assert asked.ignores(no)


def test_a_no_by_somebody_who_could_not_sign_anyway_changes_nothing_for_the_others():
    asked = collecting(2)
    asked.take(asked.said_no(MALLORY))
    assert asked.state() is RequestState.COLLECTING
    asked.sign(ALICE, BOB)
    assert asked.state() is RequestState.READY


def test_it_is_rejected_at_once_where_the_charter_names_too_few_of_the_administrators():
    units = [CastUnit(1)]
    units[0].leave_imprint([ALICE, CAROL])
    made = charter([ALICE, BOB], units)
    assert Asked(made, units, BODY).open().state() is RequestState.REJECTED


# charters


def test_a_newer_charter_supersedes_what_collects_and_leaves_what_waits():
    made, custodians, units = instance(3, 2)
    for unit in units:
        unit.leave_imprint(custodians)
    waiting = Asked(made, units, BODY)
    assert waiting.ignores(Outdated())
    asked = waiting.open().sign(ALICE, BOB)
    asked.take(Outdated())
    assert asked.state() is RequestState.SUPERSEDED
    assert "charter" in asked.request.why
    assert asked.refuses(asked.approved(CAROL.key)) is Rule.REQUEST_ENDED


def test_an_approval_that_comes_too_late_is_refused_and_not_kept():
    asked = collecting().sign(ALICE)
    limit = deadline(asked.request)
    assert limit is not None
    assert asked.refuses(asked.approved(BOB.key), at=limit) is Rule.REQUEST_ENDED
    asked.take(TimePassed(), at=limit)
    assert asked.state() is RequestState.EXPIRED
