"""Control points and cleared registers: filed by TKE's names, signed by agents, run by units.

The tests share one stack and go on where the one before has ended, in their order in this file:
from units with a master key to units without one.
"""

import pytest

from coordinator.rehearsal.acting import Actor, Operator
from coordinator.rehearsal.kit import Rehearsal
from tests.scenarios.operators import says

pytestmark = [pytest.mark.xdist_group("tke commands"), pytest.mark.timeout(300)]

DESTROY = ("--yes-destroy", "ledger-eu")


@pytest.fixture(scope="module")
def stack(quorate_module_stack) -> Rehearsal:
    """Two custodians, two units with a master key, thresholds 2 and 2."""
    made: Rehearsal = quorate_module_stack(people=2, units=2)
    made.initialise(threshold=2)
    number = commit(made)
    assert made.as_("alice").wait(number)["state"] == "executed"
    made.as_("bob").approve(made.as_("bob").file("cryptounit-mk-setimm", "--yes", sign=False))
    return made


@pytest.fixture(scope="module")
def amy(stack: Rehearsal) -> Operator:
    return stack.operator("amy")


@pytest.fixture
def alice(stack: Rehearsal) -> Actor:
    return stack.as_("alice")


@pytest.fixture
def bob(stack: Rehearsal) -> Actor:
    return stack.as_("bob")


def commit(stack: Rehearsal, *values: str) -> int:
    """Loads another master key and commits it."""
    alice, bob = stack.people
    alice.wait(stack.load(*values))
    number = alice.file("cryptounit-mk-commit")
    bob.approve(number)
    return number


def units(who: Actor | Operator, *command: str) -> list[dict[str, object]]:
    """What a command shows of each unit."""
    found: list[dict[str, object]] = who.run("tke", *command).data["units"]
    return found


def current(who: Actor) -> set[str]:
    """The states of the units' current registers, by TKE's other name of the command."""
    return {one["current"]["state"] for one in units(who, "cryptounit-mks")}  # type: ignore[index]


def test_a_control_point_is_set_by_two_signatures(alice: Actor, bob: Actor):
    number = alice.file("cryptounit-cp-btc", "set", "--purpose", "wallets")
    screen = bob.knows(number) and bob.show(number)
    assert screen["title"] == "set control point 66 (XCP_CPB_BTC)"
    assert (screen["have"], screen["needed"]) == (1, 2)
    bob.approve(number)
    done = alice.wait(number)
    assert (done["state"], done["command"]) == ("executed", "cryptounit-cp")
    assert done["receipts_verified"] == 2
    assert [one["set"] for one in units(alice, "cryptounit-cp-btc")] == [True, True]
    assert [one["control_points"] for one in units(bob, "cryptounit-cp")] == [[66], [66]]


def test_an_operator_unsets_it_by_number_and_waits(amy: Operator, alice: Actor, bob: Actor):
    line = ("cryptounit-cp", "66", "unset", "--idempotency-key", "c1")
    number = amy.file(*line)
    alice.approve(number)
    waits = amy.run("tke", *line, "--wait", "--timeout", "0.5", expect=(6,)).data
    assert (waits["request"], waits["filed"], waits["waiting_for"]) == (number, "before", ["bob"])
    bob.approve(number)
    done = amy.run("tke", *line, "--wait", "--timeout", "60").data
    assert (done["state"], done["receipts_verified"]) == ("executed", 2)
    said = says(amy, "tke", *line, "--wait")
    assert "receipts verified. Control point 66 (XCP_CPB_BTC): Not Set\n" in said
    found = amy.run("tke", "cryptounit-cp-btc").data
    assert (found["verified"], found["point"]) == (False, 66)
    assert [one["set"] for one in found["units"]] == [False, False]


def test_units_that_differ_in_a_control_point(alice: Actor, bob: Actor):
    alice.select(1)
    number = alice.file("cryptounit-cp-eddsa", "set")
    bob.approve(number)
    alice.wait(number)
    alice.select()
    assert alice.refused("tke", "cryptounit-compare", code=15)["differ"] == ["control points"]
    assert [one["set"] for one in units(alice, "cryptounit-cp-eddsa")] == [True, False]
    number = alice.file("cryptounit-cp", "55", "unset")
    bob.approve(number)
    alice.wait(number)
    assert alice.run("tke", "cryptounit-compare").data["differ"] == []


def test_set_immediate_over_another_key_wants_the_instances_name(stack: Rehearsal, alice: Actor):
    alice.wait(commit(stack))
    before = alice.requests()
    said = alice.refused("tke", "cryptounit-mk-setimm", "--yes", password=True, code=2)
    assert said["found"] == "current register Valid with another key on 2 of 2 units"
    assert "--yes-destroy NAME" in said["next"]
    wrong = ("tke", "cryptounit-mk-setimm", "--yes-destroy", "ledger-us")
    assert alice.refused(*wrong, password=True, code=2)["expected"] == "ledger-eu"
    assert alice.refused("tke", "cryptounit-mk-setimm", code=2)["next"].startswith("give --yes-d")
    assert alice.requests() == before
    number = alice.file("cryptounit-mk-setimm", *DESTROY)
    assert alice.wait(number)["state"] == "executed"


def test_the_current_register_is_cleared_by_one_signature(alice: Actor, bob: Actor):
    before = alice.requests()
    for name, code in (((), 2), (("--yes-destroy", "ledger"), 2)):
        said = alice.refused("tke", "cryptounit-mk-clrcur", *name, password=True, code=code)
        assert said["exit"] == "usage"
    assert alice.requests() == before
    line = ("tke", "cryptounit-mk-clrcur", *DESTROY, "--idempotency-key", "c2")
    filed = alice.run(*line, "--unsigned").data
    assert (filed["command"], filed["needed"]) == ("cryptounit-mk-clrcur", 1)
    screen = bob.knows(filed["request"]) and bob.show(filed["request"])
    assert any("until it is loaded again" in text for text in screen["cautions"])
    bob.approve(filed["request"])
    done = alice.wait(filed["request"])
    assert (done["state"], done["receipts_verified"]) == ("executed", 2)
    assert current(alice) == {"Empty"}
    # The register is empty now, and the same line still is the same request.
    assert alice.run(*line, password=True).data["filed"] == "before"
    assert "receipts verified. Current register: Empty\n" in says(alice, *line, "--wait")
    no = alice.refused("tke", "cryptounit-mk-clrcur", *DESTROY)
    assert (no["rule"], no["found"]) == ("VP_MISMATCH", "Empty")


def test_the_deprecated_name_sets_thresholds(amy: Operator, alice: Actor, bob: Actor):
    set_ = ("--signature", "2", "--revocation", "2")
    filed = amy.run("tke", "cryptounit-exit-impr", *set_, "--purpose", "as it was").data
    assert (filed["command"], filed["needed"]) == ("cryptounit-thrhld-set", 2)
    alice.approve(filed["request"])
    bob.approve(filed["request"])
    assert amy.wait(filed["request"])["state"] == "executed"


def test_an_operator_files_a_clearing_too(stack: Rehearsal, amy: Operator, alice: Actor):
    alice.wait(commit(stack))
    number = amy.file("cryptounit-mk-setimm", "--yes")
    alice.approve(number)
    assert amy.wait(number)["state"] == "executed"
    assert amy.refused("tke", "cryptounit-mk-clrcur", code=2)["next"] == "give --yes-destroy NAME"
    number = amy.file("cryptounit-mk-clrcur", *DESTROY)
    alice.approve(number)
    assert amy.wait(number)["state"] == "executed"
    assert current(alice) == {"Empty"}
