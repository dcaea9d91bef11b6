"""Ceremonies as goals: from any beginning, broken off anywhere, the next step leads on."""

import itertools
from random import Random

import pytest

from protocol.ceremony.forecast import forecast
from protocol.ceremony.goals import Obstacle, Step, next_step
from protocol.ceremony.plan import CeremonyKind, Stage, parse_plan
from protocol.commands.bodies import (
    ClearCurrentRegister,
    ExportKey,
    GenerateRandom,
    ImportKey,
    RemoveAdministrator,
    Void,
)
from protocol.identifiers import VP
from protocol.refusals import Rule
from protocol.sealing.contribution import vp_of
from protocol.unit_state import RegisterState
from protocol.violations import Violation
from tests.cast.ceremonies import (
    CHANGE,
    FROM_PARTS,
    FROM_RECOVERY,
    NAMES,
    RECOVER,
    REPLACE,
    Instance,
)
from tests.cast.people import ALICE, BOB, CAROL


def one_key(instance: Instance) -> VP:
    (vp,) = {unit.state.current.vp for unit in instance.units}
    assert vp is not None
    assert {unit.state.current.state for unit in instance.units} == {RegisterState.VALID}
    assert {unit.memory.current_key.reveal() for unit in instance.units}.__len__() == 1  # type: ignore[union-attr]
    return vp


@pytest.mark.parametrize("text", [FROM_PARTS, FROM_RECOVERY])
def test_from_cleared_units_to_one_master_key(text: str):
    instance = Instance()
    plan = parse_plan(text)
    foreseen = [one.step.stage for one in forecast(plan, instance.situation).steps]
    assert instance.run(plan) == foreseen
    one_key(instance)
    for unit in instance.units:
        assert {one.name for one in unit.state.administrators} == set(NAMES)
    assert next_step(plan, instance.situation) is None


@pytest.mark.parametrize("text", [FROM_PARTS, FROM_RECOVERY])
@pytest.mark.parametrize("seed", range(12))
def test_broken_off_anywhere_it_goes_on_from_there(text: str, seed: int):
    """Each step reaches only some units: others were away, or somebody stopped in the middle."""
    instance = Instance()
    instance.run(parse_plan(text), Random(seed))
    one_key(instance)


def test_a_unit_that_was_zeroized_gets_the_key_again_from_the_recovery_unit():
    instance = Instance()
    instance.run(parse_plan(FROM_RECOVERY))
    vp = one_key(instance)
    lost = instance.units[0]
    lost.zeroize_by_hand()
    lost.leave_imprint((ALICE, BOB, CAROL), signatures=2, revocations=3)
    taken = instance.run(parse_plan(RECOVER))
    assert taken == [Stage.EXPORT, Stage.IMPORT, Stage.COMMIT, Stage.ACTIVATE]
    assert one_key(instance) == vp


def test_a_receiver_that_ran_something_since_needs_another_export():
    instance = Instance()
    plan = parse_plan(FROM_RECOVERY)
    while not instance.exports:
        step = next_step(plan, instance.situation)
        assert isinstance(step, Step)
        instance.take(step)
    instance.units[0].run(Void(), [ALICE])
    step = next_step(plan, instance.situation)
    assert isinstance(step, Step) and step.stage is Stage.EXPORT
    instance.run(plan)
    one_key(instance)


def test_an_administrator_is_replaced_and_thresholds_are_changed():
    instance = Instance(2)
    instance.run(parse_plan(FROM_PARTS))
    assert instance.run(parse_plan(REPLACE)) == [Stage.ADMINISTRATORS, Stage.REMOVE]
    for unit in instance.units:
        assert {one.name for one in unit.state.administrators} == {"alice", "bob", "dave"}
    assert instance.run(parse_plan(CHANGE)) == [Stage.THRESHOLDS]
    assert {unit.state.signature_threshold for unit in instance.units} == {3}


# --- what is in the way --------------------------------------------------------------------------


def obstacle(plan: str, instance: Instance) -> Obstacle:
    found = forecast(parse_plan(plan), instance.situation).obstacle
    assert found is not None
    return found


def test_a_part_that_nobody_announced_is_said_before_anyone_is_troubled():
    instance = Instance()
    instance.offered[BOB.agent] = ()
    found = obstacle(FROM_PARTS, instance)
    assert found.stage is Stage.LOAD
    assert "bob" in found.what and found.found == "0"


def test_two_parts_of_one_custodian_leave_it_open_which_is_meant():
    instance = Instance()
    instance.offered[BOB.agent] = (vp_of(BOB.part()), vp_of(BOB.part("another")))
    assert obstacle(FROM_PARTS, instance).found == "2"


def test_units_that_hold_different_keys_are_an_obstacle():
    instance = Instance(2)
    plan = parse_plan(FROM_PARTS)
    instance.run(plan)
    unit = instance.units[0]
    vp = unit.state.current.vp
    assert vp is not None
    unit.run(ClearCurrentRegister(vp=vp), [ALICE])
    unit.load([(CAROL, CAROL.part()), (BOB, BOB.part())], [ALICE])
    found = next_step(plan, instance.situation)
    assert isinstance(found, Obstacle)
    assert found.what == "units hold different master keys"


def test_without_a_recovery_unit_there_is_no_random_key():
    found = obstacle(FROM_RECOVERY, Instance(2))
    assert (found.stage, found.found) == (Stage.GENERATE, "none")
    assert obstacle(RECOVER, Instance(2)).stage is Stage.EXPORT
    empty = obstacle(RECOVER, Instance(3))
    assert empty.found == "empty registers"


def test_who_isnt_in_the_charter_is_an_obstacle():
    text = FROM_PARTS.replace('"carol"', '"mallory"')
    assert obstacle(text, Instance()).found == "mallory"


def test_what_a_unit_would_refuse_is_foreseen():
    instance = Instance(2)
    instance.run(parse_plan(FROM_PARTS))
    for unit in instance.units:
        unit.run(RemoveAdministrator(ski=CAROL.key.ski), [ALICE, BOB])
    foreseen = forecast(parse_plan(CHANGE), instance.situation)
    assert not foreseen.possible
    refusal = foreseen.steps[-1].refusal
    assert refusal is not None and refusal.rule is Rule.THRESHOLD_ABOVE_ADMINISTRATORS


# --- what people should think about --------------------------------------------------------------


@pytest.mark.parametrize(
    ("signatures", "revocations", "words"),
    [
        (2, 3, ["one lost key locks all out"]),
        (3, 2, ["one lost key locks all out"]),
        (2, 2, []),
    ],
)
def test_a_plan_that_could_lock_everybody_out(signatures: int, revocations: int, words: list[str]):
    text = FROM_PARTS.replace(
        "signatures = 2, revocations = 2", f"signatures = {signatures}, revocations = {revocations}"
    )
    warnings = forecast(parse_plan(text), Instance().situation).warnings
    assert len(warnings) == len(words)
    for warning, word in itertools.zip_longest(warnings, words):
        assert word in warning


def test_a_plan_by_which_one_person_could_be_alone():
    instance = Instance()
    low = instance.charter.floor.but(signatures=1, revocations=1, exit_people=1)
    instance.charter = instance.charter.but(floor=low, alone=True)
    text = FROM_PARTS.replace("signatures = 2", "signatures = 1")
    text = text.replace('parts = ["alice", "bob"]', 'parts = ["alice", "alice"]')
    instance.offered[ALICE.agent] = (vp_of(ALICE.part()), vp_of(ALICE.part("second")))
    warnings = forecast(parse_plan(text), instance.situation).warnings
    assert any("one person alone could sign" in one for one in warnings)
    assert any("more than one part" in one for one in warnings)


def test_below_the_charters_floor_nothing_is_begun():
    text = CHANGE.replace("signatures = 3", "signatures = 1")
    instance = Instance(2)
    instance.run(parse_plan(FROM_PARTS))
    refusal = forecast(parse_plan(text), instance.situation).steps[0].refusal
    assert refusal is not None and refusal.rule is Rule.BELOW_FLOOR


def test_how_many_must_sign_and_who_could_is_foreseen():
    steps = forecast(parse_plan(FROM_PARTS), Instance().situation).steps
    by_stage = {one.step.stage: one for one in steps}
    assert by_stage[Stage.ADMINISTRATORS].needed == 0
    assert by_stage[Stage.THRESHOLDS].needed == 2
    assert by_stage[Stage.COMMIT].needed == 2
    assert by_stage[Stage.ACTIVATE].needed == 1
    assert by_stage[Stage.COMMIT].signers == set(NAMES)


# --- plans ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ceremony = ", "not TOML"),
        ('ceremony = "make coffee"', "ceremony"),
        ("", "ceremony"),
        (FROM_PARTS + 'more = "x"', "more"),
        (FROM_PARTS.replace("signatures = 2", "signatures = 9"), "signatures"),
        (FROM_PARTS.replace("signatures = 2, ", ""), "signatures"),
        ('ceremony = "change thresholds"', "[thresholds] is missing"),
        (FROM_RECOVERY + "key = { parts = ['alice', 'bob'] }", "doesn't belong"),
        (FROM_PARTS.replace('parts = ["alice", "bob"]', 'parts = ["alice"]'), "two or three"),
        (FROM_PARTS.replace('"carol"', '"alice"'), "named twice"),
        (REPLACE.replace('remove = "carol"', 'remove = "dave"'), "can't be added and removed"),
        (REPLACE.replace('remove = "carol"', ""), "remove is missing"),
        (
            CHANGE + '[[confirm]]\nbefore = "load"\nwho = "x"\ntext = "y"',
            "no stage load",
        ),
        ("key = 1\n" + RECOVER, "[key]"),
        ("#" * 70_000, "at most"),
    ],
)
def test_a_plan_that_isnt_one_says_why(text: str, why: str):
    with pytest.raises(Violation) as violation:
        parse_plan(text)
    assert why in str(violation.value)


def test_a_plan_reads_as_it_was_written():
    plan = parse_plan(
        FROM_PARTS + '[[confirm]]\nbefore = "load"\nwho = "carol"\ntext = "the sealed envelope"'
    )
    assert plan.ceremony is CeremonyKind.INITIALISE_FROM_PARTS
    assert plan.confirm[0].before is Stage.LOAD
    assert (plan.instance, plan.remove, plan.purpose) == (None, None, "")


def test_every_kind_of_command_of_a_ceremony_is_met():
    instance = Instance()
    steps = forecast(parse_plan(FROM_RECOVERY), instance.situation).steps
    kinds = {type(one.step.body) for one in steps}
    assert {GenerateRandom, ExportKey, ImportKey} <= kinds
