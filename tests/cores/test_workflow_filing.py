"""What a filing must pass before it is queued: each rule refuses by its own code."""

from collections.abc import Sequence
from typing import Any

import pytest

from coordinator.workflow.events import Cancelled, Moved, Unfit
from coordinator.workflow.filing import MAX_WAITING, filing_refusal, new_request
from protocol.charter import Charter, Floor
from protocol.commands.bodies import (
    AddAdministrator,
    Body,
    CommitNewRegister,
    LoadNewRegister,
    NamedPart,
    RemoveAdministrator,
    SetAttribute,
    SetControlPoint,
    SetImmediate,
    SetThresholds,
    Void,
)
from protocol.identifiers import VP, Signature, UnitId
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import Filing, Request, RequestState
from protocol.unit_state import UnitState
from tests.cast.charters import instance
from tests.cast.commands import NOON, adds, load_of
from tests.cast.keys import noise
from tests.cast.people import ALICE, BOB, CAROL, EVERYBODY, MALLORY
from tests.cast.requests import Asked, filing
from tests.cast.units import CastUnit

BODY = SetControlPoint(point=66, on=True)
PARTS = [(ALICE, ALICE.part()), (BOB, BOB.part())]


class Hall:
    """A charter, units, and what the coordinator knows when somebody files."""

    def __init__(self, people: int = 3, *, installed: int = 3, units: int = 2) -> None:
        self.charter, self.people, self.units = instance(people, units)
        for unit in self.units:
            unit.leave_imprint(self.people[:installed])

    @property
    def states(self) -> dict[UnitId, UnitState]:
        return {unit.id: unit.state for unit in self.units}

    def refusal(
        self, body: Body, requests: Sequence[Request] = (), **changes: Any
    ) -> Refusal | None:
        voided = changes.pop("voided", None)
        return filing_refusal(
            filing(self.charter, body, self.units, **changes),
            self.charter,
            self.states,
            requests,
            voided=voided,
        )

    def rule(self, body: Body, requests: Sequence[Request] = (), **changes: Any) -> Rule | None:
        found = self.refusal(body, requests, **changes)
        return None if found is None else found.rule


def test_a_good_filing_is_queued():
    hall = Hall()
    assert hall.refusal(BODY) is None
    asked = filing(hall.charter, BODY, hall.units)
    signature = Signature(bytes(64))
    request = new_request(7, asked, signature, at=NOON)
    assert (request.id, request.filing, request.signature) == (7, asked, signature)
    assert (request.state, request.opening) == (RequestState.WAITING_IN_LINE, None)
    assert (request.filed, request.changed) == (NOON, NOON)


def test_nothing_is_queued_before_a_charter_is_in_force():
    hall = Hall()
    asked = filing(hall.charter, BODY, hall.units)
    found = filing_refusal(asked, None, hall.states, (), voided=None)
    assert found is not None
    assert found.rule is Rule.CHARTER_NOT_IN_FORCE


def test_the_queue_has_a_bound():
    hall = Hall()
    asked = filing(hall.charter, SetAttribute(attribute="zeroize-one", on=False), hall.units)
    waiting = [new_request(number, asked, None, at=NOON) for number in range(MAX_WAITING)]
    assert hall.rule(BODY, waiting) is Rule.QUEUE_FULL
    assert hall.rule(BODY, waiting[1:]) is None


# units and people


def test_a_unit_that_the_charter_does_not_hold_is_refused():
    hall = Hall()
    stranger = CastUnit(9)
    targets = tuple(sorted([stranger.id, hall.units[0].id]))
    assert hall.rule(BODY, targets=targets) is Rule.UNIT_NOT_IN_CHARTER


def test_a_newcomer_whom_the_charter_does_not_name_is_refused():
    hall = Hall(4)
    assert hall.rule(adds(MALLORY)) is Rule.NOT_IN_CHARTER
    assert hall.rule(adds(EVERYBODY[3])) is None


def test_a_part_of_somebody_whom_the_charter_does_not_name_is_refused():
    hall = Hall()
    given = [(ALICE, ALICE.part()), (MALLORY, MALLORY.part())]
    assert hall.rule(load_of(given)) is Rule.NOT_IN_CHARTER
    assert hall.rule(load_of(PARTS)) is None


# what a unit would refuse is refused before it is queued


def nine_people() -> Hall:
    return Hall(9, installed=8)


def test_a_ninth_administrator_is_refused():
    hall = nine_people()
    assert hall.rule(adds(EVERYBODY[8])) is Rule.TOO_MANY_ADMINISTRATORS
    assert Hall(9, installed=7).rule(adds(EVERYBODY[8])) is None


def test_the_same_key_twice_is_refused():
    assert Hall().rule(adds(ALICE)) is Rule.ADMINISTRATOR_EXISTS


@pytest.mark.parametrize(
    "title",
    [
        "",
        "a name of more than thirty characters",
        "al*ce",
        "alïce",
        "a\u202ee",
        " alice",
        "alice ",
    ],
)
def test_a_name_that_no_administrator_can_have_is_refused(title: str):
    hall = Hall(4, installed=3)
    body = AddAdministrator(key=EVERYBODY[3].proven(title=title))
    assert hall.rule(body) is Rule.ADMINISTRATOR_NAME


def test_a_key_that_does_not_prove_possession_is_refused():
    hall = Hall(4, installed=3)
    proven = EVERYBODY[3].proven()
    forged = AddAdministrator(key=proven.but(proof=Signature(bytes(64))))
    assert hall.rule(forged) is Rule.ADMINISTRATOR_KEY


@pytest.mark.parametrize(
    ("signatures", "revocations", "rule"),
    [
        (0, 2, Rule.SIGNATURE_THRESHOLD_RANGE),
        (9, 2, Rule.SIGNATURE_THRESHOLD_RANGE),
        (2, 0, Rule.REVOCATION_THRESHOLD_RANGE),
        (2, 9, Rule.REVOCATION_THRESHOLD_RANGE),
        (4, 2, Rule.THRESHOLD_ABOVE_ADMINISTRATORS),
        (2, 4, Rule.REVOCATION_ABOVE_ADMINISTRATORS),
        (1, 2, Rule.BELOW_FLOOR),
        (2, 1, Rule.BELOW_FLOOR),
        (3, 3, None),
    ],
)
def test_bad_thresholds_are_refused(signatures: int, revocations: int, rule: Rule | None):
    body = SetThresholds(signatures=signatures, revocations=revocations)
    assert Hall().rule(body) is rule


def test_a_unit_below_a_floor_raised_since_may_be_raised():
    hall = Hall()
    hall.charter = hall.charter.but(floor=Floor(signatures=3, revocations=3, exit_people=2))
    refusal = hall.refusal(SetThresholds(signatures=3, revocations=2))
    assert refusal is not None and refusal.rule is Rule.BELOW_FLOOR
    assert refusal.expected == "at least 3 and 3, by charter version 1"
    assert refusal.found == "3 and 2"
    assert hall.rule(SetThresholds(signatures=3, revocations=3)) is None


def test_a_removal_that_leaves_too_few_is_refused():
    hall = Hall(2, installed=2)
    assert hall.rule(RemoveAdministrator(ski=ALICE.key.ski)) is Rule.REMOVAL_LEAVES_THRESHOLD
    assert hall.rule(RemoveAdministrator(ski=CAROL.key.ski)) is Rule.NO_SUCH_ADMINISTRATOR


@pytest.mark.parametrize("number", [0, 1, 4])
def test_a_load_of_any_other_number_of_parts_than_two_or_three_is_refused(number: int):
    parts = tuple(
        NamedPart(vp=VP(noise(f"part {n}")), custodian=ALICE.agent) for n in range(number)
    )
    assert Hall().rule(LoadNewRegister(parts=parts)) is Rule.PART_COUNT


def test_the_same_part_twice_is_refused():
    part = NamedPart(vp=VP(noise("part")), custodian=ALICE.agent)
    assert Hall().rule(LoadNewRegister(parts=(part, part))) is Rule.PART_TWICE


def test_commands_for_registers_are_refused_where_the_register_is_not_so():
    hall = Hall()
    vp = VP(noise("key"))
    assert hall.rule(CommitNewRegister(vp=vp)) is Rule.NEW_REGISTER_NOT_UNCOMMITTED
    assert hall.rule(SetImmediate(vp=vp)) is Rule.NEW_REGISTER_NOT_COMMITTED
    for unit in hall.units:
        unit.load(PARTS, [ALICE])
    assert hall.rule(load_of(PARTS)) is Rule.NEW_REGISTER_NOT_EMPTY
    assert hall.rule(CommitNewRegister(vp=vp)) is Rule.VP_MISMATCH


def test_what_a_unit_in_imprint_mode_does_not_run_is_refused():
    charter, _, units = instance(2, 1)
    states = {units[0].id: units[0].state}
    found = filing_refusal(filing(charter, BODY, units), charter, states, (), voided=None)
    assert found is not None
    assert found.rule is Rule.IMPRINT_MODE


def test_it_is_refused_when_any_target_would_refuse_it():
    hall = Hall(4, installed=3)
    hall.units[1].run(adds(EVERYBODY[3]), [ALICE, BOB])
    assert hall.rule(adds(EVERYBODY[3])) is Rule.ADMINISTRATOR_EXISTS


def test_units_that_would_refuse_it_may_be_left_out_but_not_all_of_them():
    hall = Hall(4, installed=3)
    hall.units[1].run(adds(EVERYBODY[3]), [ALICE, BOB])
    assert hall.rule(adds(EVERYBODY[3]), leave_out=True) is None
    assert nine_people().rule(adds(EVERYBODY[8]), leave_out=True) is Rule.TOO_MANY_ADMINISTRATORS


def test_of_a_unit_that_was_never_in_reach_nothing_is_known():
    hall = Hall()
    asked = filing(hall.charter, adds(ALICE), hall.units)
    assert filing_refusal(asked, hall.charter, {}, (), voided=None) is None


# those ahead in line


def test_it_is_judged_as_if_those_ahead_had_run():
    hall = Hall(4, installed=3)
    dave = EVERYBODY[3]
    ahead = Asked(hall.charter, hall.units, adds(dave)).request
    assert hall.rule(RemoveAdministrator(ski=dave.key.ski)) is Rule.NO_SUCH_ADMINISTRATOR
    assert hall.rule(RemoveAdministrator(ski=dave.key.ski), [ahead]) is None
    assert hall.rule(SetThresholds(signatures=4, revocations=4), [ahead]) is None


def test_a_ninth_administrator_is_refused_behind_an_eighth():
    hall = Hall(9, installed=7)
    ahead = Asked(hall.charter, hall.units, adds(EVERYBODY[7])).request
    assert hall.rule(adds(EVERYBODY[8]), [ahead]) is Rule.TOO_MANY_ADMINISTRATORS


def test_one_that_waits_for_another_unit_changes_nothing_here():
    hall = Hall(4, installed=3)
    dave, (first, second) = EVERYBODY[3], hall.units
    ahead = Asked(hall.charter, [first], adds(dave)).request
    removal = RemoveAdministrator(ski=dave.key.ski)
    assert hall.rule(removal, [ahead], targets=(first.id,)) is None
    assert hall.rule(removal, [ahead], targets=(second.id,)) is Rule.NO_SUCH_ADMINISTRATOR


def test_one_that_the_unit_would_refuse_itself_is_not_reckoned_with():
    hall = Hall()
    ahead = Asked(hall.charter, hall.units, SetThresholds(signatures=9, revocations=9)).request
    assert hall.rule(BODY, [ahead]) is None


def test_a_key_that_a_load_ahead_will_make_is_not_known():
    hall = Hall()
    ahead = Asked(hall.charter, hall.units, load_of(PARTS)).request
    assert hall.rule(load_of(PARTS[::-1]), [ahead]) is Rule.NEW_REGISTER_NOT_EMPTY
    assert hall.rule(CommitNewRegister(vp=VP(noise("key"))), [ahead]) is Rule.VP_MISMATCH


# the same again


def test_an_identical_open_request_is_refused_with_its_id():
    hall = Hall()
    there = Asked(hall.charter, hall.units, BODY, number=7).request
    found = hall.refusal(BODY, [there])
    assert found is not None
    assert found.rule is Rule.SAME_REQUEST_OPEN
    assert "7" in found.found


def test_another_command_or_other_targets_are_not_the_same():
    hall = Hall()
    there = Asked(hall.charter, hall.units, BODY).request
    assert hall.rule(BODY.but(on=False), [there]) is None
    assert hall.rule(BODY, [there], targets=(hall.units[0].id,)) is None


# voids


def cancelled(hall: Hall, *, signed: bool = True) -> Asked:
    asked = Asked(hall.charter, hall.units, BODY).open()
    if signed:
        asked.sign(ALICE)
    asked.take(Cancelled("alice", "not wanted any more"))
    return asked


def void_rule(hall: Hall, voided: Asked | None, **changes: Any) -> Rule | None:
    request = None if voided is None else voided.request
    return hall.rule(Void(), voided=request, **changes)


def test_a_void_is_for_a_request_that_ended_with_signed_copies_out():
    hall = Hall()
    assert void_rule(hall, cancelled(hall)) is None


def test_a_void_has_no_other_origin():
    hall = Hall()
    assert void_rule(hall, None) is Rule.VOID_ORIGIN
    assert void_rule(hall, cancelled(hall, signed=False)) is Rule.VOID_ORIGIN
    still_open = Asked(hall.charter, hall.units, BODY).open().sign(ALICE)
    assert void_rule(hall, still_open) is Rule.VOID_ORIGIN


def test_nothing_is_to_be_voided_when_a_request_ran_or_its_time_is_over():
    hall = Hall()
    ran = Asked(hall.charter, hall.units, BODY).open().sign(ALICE, BOB).prepare()
    for unit in ran.targets:
        ran.take(ran.ran(unit))
    assert ran.state() is RequestState.EXECUTED
    assert void_rule(hall, ran) is Rule.VOID_ORIGIN


def test_a_void_is_only_for_units_that_the_copies_are_for():
    hall = Hall()
    asked = Asked(hall.charter, hall.units, BODY).open()
    first, second = asked.targets
    asked.take(asked.approved(ALICE.key, units=[first]))
    asked.take(Cancelled("alice", "not wanted any more"))
    assert void_rule(hall, asked) is Rule.VOID_ORIGIN
    assert void_rule(hall, asked, targets=(second,)) is Rule.VOID_ORIGIN
    assert void_rule(hall, asked, targets=(first,)) is None


@pytest.mark.parametrize("end", [RequestState.SUPERSEDED, RequestState.REJECTED])
def test_copies_are_out_after_these_ends_too(end: RequestState):
    hall = Hall()
    asked = Asked(hall.charter, hall.units, BODY).open().sign(ALICE)
    if end is RequestState.SUPERSEDED:
        for unit in asked.targets:
            asked.take(Moved(unit, "version 9"))
    else:
        asked.take(asked.said_no(BOB))
        asked.take(asked.said_no(CAROL))
    assert asked.state() is end
    assert void_rule(hall, asked) is None


def test_the_charter_decides_whom_a_filing_may_name():
    """The newest version in force is asked, not the one that the filer had in mind."""
    hall = Hall()
    without_carol: Charter = hall.charter.but(people=hall.charter.people[:2])
    asked: Filing = filing(
        hall.charter, load_of([(ALICE, ALICE.part()), (CAROL, b"c" * 32)]), hall.units
    )
    found = filing_refusal(asked, without_carol, hall.states, (), voided=None)
    assert found is not None
    assert found.rule is Rule.NOT_IN_CHARTER


def test_what_is_unfit_when_it_comes_first_in_line_fails_and_says_why():
    hall = Hall()
    asked = Asked(hall.charter, hall.units, BODY)
    refusal = refuse(Rule.IMPRINT_MODE, expected="thresholds of at least 1", found="0 and 0")
    asked.take(Unfit(hall.units[0].id, refusal))
    assert asked.state() is RequestState.FAILED
    assert "IMPRINT_MODE" in asked.request.why
    assert asked.ignores(asked.opened())
