"""A load collects key parts and signatures in any order; what isn't named for it is not wanted."""

from itertools import permutations

import pytest

from coordinator.workflow import counting
from coordinator.workflow.course import Prepare, wanted
from protocol.commands.bodies import SetControlPoint
from protocol.identifiers import Digest
from protocol.refusals import Rule
from protocol.request import RequestState
from tests.cast.charters import instance
from tests.cast.commands import Given, load_of
from tests.cast.keys import noise
from tests.cast.people import ALICE, BOB, CAROL, MALLORY
from tests.cast.requests import Asked

GIVEN: tuple[Given, Given] = ((ALICE, ALICE.part()), (BOB, BOB.part()))


def load() -> Asked:
    """A load of two parts, which one of three administrators must sign."""
    made, custodians, units = instance(3, 2)
    for unit in units:
        unit.leave_imprint(custodians)
    return Asked(made, units, load_of(GIVEN)).open()


def waited_for(asked: Asked) -> set[str]:
    return set(counting.waiting_for(asked.request, asked.charter)[0])


@pytest.mark.parametrize("order", list(permutations(["alice's part", "bob's part", "signature"])))
def test_parts_and_the_signature_come_in_any_order(order: tuple[str, ...]):
    asked = load()
    for number, what in enumerate(order, start=1):
        match what:
            case "alice's part":
                asked.give(GIVEN[0])
            case "bob's part":
                asked.give(GIVEN[1])
            case _:
                asked.sign(CAROL)
        assert asked.state() is (RequestState.READY if number == 3 else RequestState.COLLECTING)
    assert wanted(asked.request) == Prepare(asked.targets)


def test_what_was_collected_is_what_the_units_take():
    asked = load().give(*GIVEN).sign(CAROL).prepare()
    for unit in asked.targets:
        asked.take(asked.ran(unit))
    assert asked.state() is RequestState.EXECUTED
    vps = {unit.state.new.vp for unit in asked.units.values()}
    assert len(vps) == 1
    assert vps != {None}


def test_it_waits_for_those_who_owe_a_part_anywhere():
    asked = load()
    first, second = asked.targets
    assert waited_for(asked) == {"alice", "bob", "carol"}
    asked.sign(CAROL)
    assert waited_for(asked) == {"alice", "bob"}
    asked.give(GIVEN[1])
    asked.take(asked.contributed(GIVEN[0], units=[first]))
    assert asked.state() is RequestState.COLLECTING
    assert waited_for(asked) == {"alice"}
    asked.take(asked.contributed(GIVEN[0], units=[second]))
    assert asked.state() is RequestState.READY


def test_a_part_that_comes_twice_changes_nothing_whatever_has_happened_since():
    asked = load()
    once = asked.contributed(GIVEN[0])
    asked.take(once)
    assert asked.ignores(once)
    sealed_anew = asked.contributed(GIVEN[0])
    assert sealed_anew != once
    assert asked.ignores(sealed_anew)
    asked.give(GIVEN[1]).sign(CAROL).prepare()
    for unit in asked.targets:
        asked.take(asked.ran(unit))
    assert asked.ignores(once)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param((CAROL, CAROL.part()), id="a part that isn't named"),
        pytest.param((MALLORY, ALICE.part()), id="a named part, by a stranger"),
        pytest.param((BOB, ALICE.part()), id="a named part, by another custodian"),
        pytest.param((ALICE, ALICE.part("another")), id="another part of a named custodian"),
    ],
)
def test_a_part_that_the_load_does_not_name_is_not_wanted(given: Given):
    asked = load()
    assert asked.refuses(asked.contributed(given)) is Rule.PART_NOT_WANTED


def test_a_part_for_another_load_is_not_wanted():
    asked = load()
    other = asked.contributed(GIVEN[0], request=Digest(noise("another request")))
    assert asked.refuses(other) is Rule.PART_NOT_WANTED


def test_parts_that_belong_to_the_other_target_are_not_wanted():
    asked = load()
    first, second = asked.contributed(GIVEN[0]).contributions
    crossed = (first.but(unit=second.unit), second.but(unit=first.unit))
    event = asked.contributed(GIVEN[0])
    assert asked.refuses(type(event)(crossed)) is Rule.PART_NOT_WANTED


def test_a_part_whose_signature_is_broken_is_not_wanted():
    asked = load()
    event = asked.contributed(GIVEN[0])
    first, *others = event.contributions
    forged = first.contribution.but(signature=others[0].contribution.signature)
    bent = type(event)((first.but(contribution=forged), *others))
    assert asked.refuses(bent) is Rule.PART_NOT_WANTED


def test_a_command_that_is_no_load_wants_no_part():
    made, custodians, units = instance(2, 1)
    units[0].leave_imprint(custodians)
    asked = Asked(made, units, SetControlPoint(point=66, on=True)).open()
    assert asked.refuses(asked.contributed(GIVEN[0])) is Rule.PART_NOT_WANTED


@pytest.mark.parametrize("signed", [False, True])
def test_it_is_rejected_when_a_named_contributor_refuses(signed: bool):
    asked = load()
    if signed:
        asked.sign(CAROL)
    asked.give(GIVEN[0])
    asked.take(asked.said_no(BOB))
    assert asked.state() is RequestState.REJECTED


def test_it_is_rejected_when_a_contributor_who_has_signed_refuses_the_part():
    asked = load().sign(BOB)
    asked.take(asked.said_no(BOB))
    assert asked.state() is RequestState.REJECTED


def test_a_contributor_who_has_given_may_say_no_to_signing():
    asked = load().give(*GIVEN)
    asked.take(asked.said_no(ALICE))
    assert asked.state() is RequestState.COLLECTING
    assert waited_for(asked) == {"bob", "carol"}
    asked.sign(CAROL)
    assert asked.state() is RequestState.READY


@pytest.mark.parametrize("rule", [Rule.PART_UNREADABLE, Rule.PART_MISMATCH])
def test_a_part_that_a_unit_could_not_take_may_be_given_again(rule: Rule):
    asked = load().give(*GIVEN).sign(CAROL)
    first, second = asked.targets
    before = asked.on(first).contributions
    asked.take(asked.prepared({first: rule}))
    assert asked.state() is RequestState.READY
    asked.give(GIVEN[1])
    after = asked.on(first).contributions
    assert len(after) == 2
    assert before[0] in after
    assert before[1] not in after
    assert asked.on(first).refusal is None
    assert asked.ignores(asked.contributed(GIVEN[1], units=[second]))
    asked.prepare()
    for unit in asked.targets:
        asked.take(asked.ran(unit))
    assert asked.state() is RequestState.EXECUTED
