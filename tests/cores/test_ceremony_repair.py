"""Drift: whatever differs between units, the proposed commands make them equal, in their order."""

from random import Random

import pytest

from protocol.ceremony.forecast import play
from protocol.ceremony.goals import Obstacle, Step
from protocol.ceremony.plan import Stage, parse_plan
from protocol.ceremony.repair import next_repair, reference_of
from protocol.commands.bodies import (
    AddAdministrator,
    CommitNewRegister,
    GenerateRandom,
    RemoveAdministrator,
    RemoveKeyUser,
    SetAttribute,
    SetControlPoint,
    SetImmediate,
    SetThresholds,
)
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.unit_state import UnitState
from tests.cast.ceremonies import FROM_RECOVERY, Instance
from tests.cast.commands import adds, signed
from tests.cast.key_users import ALL_RIGHTS, BACKUP, PAYROLL
from tests.cast.people import ALICE, BOB, CAROL, DAVE
from tests.cast.units import CastUnit

THREE = (ALICE, BOB, CAROL)


def initialised(units: int = 4) -> Instance:
    instance = Instance(units)
    instance.run(parse_plan(FROM_RECOVERY))
    return instance


def repaired(instance: Instance, like: CastUnit | None = None) -> list[Step]:
    """Runs what is proposed until nothing is; the steps."""
    right = like.id if like is not None else reference_of(instance.situation).id
    foreseen = play(lambda then: next_repair(right, then), instance.situation)
    assert foreseen.possible, foreseen
    taken: list[Step] = []
    while (step := next_repair(right, instance.situation)) is not None:
        assert isinstance(step, Step), step
        taken.append(step)
        instance.take(step)
        assert len(taken) < 60
    assert [one.step.stage for one in foreseen.steps] == [one.stage for one in taken]
    return taken


def states(instance: Instance) -> set[UnitState]:
    return {unit.state for unit in instance.units}


def drift(unit: CastUnit, dice: Random) -> None:
    """One of the things that make a unit differ."""
    everybody = [who for who in (*THREE, DAVE) if unit.state.administrator(who.key.ski)]
    match dice.choice(["add", "remove", "thresholds", "point", "attribute", "key user", "zeroize"]):
        case "add" if unit.state.administrator(DAVE.key.ski) is None:
            unit.run(adds(DAVE), everybody)
        case "remove" if not unit.state.imprint and len(everybody) > 3:
            unit.run(RemoveAdministrator(ski=everybody[-1].key.ski), everybody)
        case "thresholds" if len(everybody) >= 2:
            number = dice.randint(1, len(everybody))
            unit.run(SetThresholds(signatures=number, revocations=number), everybody)
        case "point" if not unit.state.imprint:
            unit.run(
                SetControlPoint(point=dice.choice([55, 66]), on=dice.random() < 0.7), everybody
            )
        case "attribute" if not unit.state.imprint:
            unit.run(SetAttribute(attribute="zeroize-one", on=dice.random() < 0.5), everybody)
        case "key user" if not unit.state.imprint:
            who = dice.choice((PAYROLL, BACKUP))
            if unit.state.key_user(who.public_key) is None:
                unit.run(who.added(dice.choice(ALL_RIGHTS)), everybody)
            else:
                unit.run(RemoveKeyUser(public_key=who.public_key), everybody)
        case "zeroize":
            unit.zeroize_by_hand()


@pytest.mark.parametrize("seed", range(60))
def test_whatever_differs_they_are_equal_afterwards(seed: int):
    dice = Random(seed)
    instance = initialised(dice.choice([3, 4]))
    right = dice.choice(instance.units)
    for unit in instance.units:
        # The one that is right keeps its key: elsewhere it could not come from.
        for _ in range(dice.randint(0, 4)):
            if unit is not right and unit.certificate.type != "recovery":
                drift(unit, dice)
    repaired(instance, right)
    assert len(states(instance)) == 1


def test_units_that_are_equal_need_nothing():
    assert repaired(initialised()) == []


def test_it_takes_as_few_commands_as_there_are_differences():
    """Two units lack the same administrator: one command, for both."""
    instance = initialised()
    for unit in instance.units[:2]:
        unit.run(adds(DAVE), THREE)
    steps = repaired(instance, instance.units[0])
    (step,) = steps
    assert isinstance(step.body, AddAdministrator)
    assert set(step.targets) == {unit.id for unit in instance.units[2:]}


def test_key_users_are_made_equal_rights_and_names_included():
    """One has too many rights, another lacks somebody, a third holds the name for another key."""
    instance = initialised()
    right, *others = instance.units
    for unit in (right, *others[1:]):
        unit.run(PAYROLL.added("wrap"), THREE)
    others[0].run(PAYROLL.added("wrap", "unwrap"), THREE)
    others[1].run(RemoveKeyUser(public_key=PAYROLL.public_key), THREE)
    others[1].run(BACKUP.added("wrap").but(name="payroll"), THREE)
    kinds = [type(step.body).__name__ for step in repaired(instance, right)]
    assert kinds == ["RemoveKeyUser", "RemoveKeyUser", "AddKeyUser"]
    assert len({unit.state.key_users for unit in instance.units}) == 1
    assert right.state.key_users[0].public_key == PAYROLL.public_key


def test_most_units_are_right_unless_somebody_says_otherwise():
    instance = initialised()
    odd = instance.units[0]
    odd.run(SetControlPoint(point=66, on=True), THREE)
    assert reference_of(instance.situation).id != odd.id
    (step,) = repaired(instance)
    assert step.targets == (odd.id,)
    odd.run(SetControlPoint(point=66, on=True), THREE)
    (step,) = repaired(instance, odd)
    assert len(step.targets) == 3


def test_a_zeroized_unit_comes_back_whole():
    instance = initialised()
    instance.units[1].zeroize_by_hand()
    stages = [step.stage for step in repaired(instance)]
    assert stages == [
        *[Stage.ADMINISTRATORS] * 3,
        Stage.THRESHOLDS,
        Stage.EXPORT,
        Stage.IMPORT,
        Stage.COMMIT,
        Stage.ACTIVATE,
    ]
    assert len(states(instance)) == 1


def test_a_key_that_no_recovery_unit_holds_is_an_obstacle():
    instance = initialised(2 + 1)
    recovery = instance.units[2]
    right, other = instance.units[:2]
    recovery.zeroize_by_hand()
    other.zeroize_by_hand()
    found = play(lambda then: next_repair(right.id, then), instance.situation).obstacle
    assert isinstance(found, Obstacle)
    assert not play(lambda then: next_repair(right.id, then), instance.situation).possible


def test_a_recovery_unit_with_another_key_makes_nothing_equal():
    """It is the one that differs: its key must not spread."""
    instance = initialised(3)
    right, _, recovery = instance.units
    recovery.zeroize_by_hand()
    recovery.leave_imprint(THREE, signatures=2, revocations=3)
    recovery.run(GenerateRandom(), [ALICE])
    vp = recovery.state.new.vp
    assert vp is not None
    recovery.run(CommitNewRegister(vp=vp), THREE)
    recovery.run(SetImmediate(vp=vp), [ALICE])
    found = next_repair(right.id, instance.situation)
    assert isinstance(found, Obstacle)


# --- a plan in other hands -----------------------------------------------------------------------


def test_a_plan_in_another_order_or_altered_fails():
    """All is signed for the states that its steps were opened in: no other order runs."""
    instance = initialised()
    right, odd = instance.units[:2]
    odd.run(adds(DAVE), THREE)
    odd.run(SetControlPoint(point=66, on=True), THREE)
    first = next_repair(right.id, instance.situation)
    assert isinstance(first, Step) and isinstance(first.body, RemoveAdministrator)
    second = SetControlPoint(point=66, on=False)
    signers = (ALICE, BOB, CAROL)
    for_first, for_second = (
        signed(odd.command(first.body), signers),
        signed(odd.command(second), signers),
    )
    altered = signed(odd.command(RemoveAdministrator(ski=ALICE.key.ski)), ())
    assert odd.refuses(altered.but(approvals=for_first.approvals)).rule is Rule.SIGNATURE_INVALID
    assert isinstance(odd.execute(for_second), Receipt)
    assert odd.refuses(for_first).rule is Rule.STATE_CHANGED
