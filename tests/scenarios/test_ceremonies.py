"""Ceremonies from files: checked, run with interruptions at every step, to one master key."""

from pathlib import Path
from typing import Any

import pytest

from coordinator.rehearsal.acting import Actor
from coordinator.rehearsal.ceremony import Ceremony
from coordinator.rehearsal.kit import Rehearsal
from coordinator.rehearsal.plan import Plan, Silent
from protocol.commands.bodies import kind_of
from protocol.location import UnitType
from signer_agent.cli.tke.failover import with_failover
from tests.cast.charters import charter_unit
from tests.cast.units import CastUnit

pytestmark = [pytest.mark.timeout(300)]

FROM_RECOVERY = """
ceremony = "initialise from recovery units"
instance = "ledger-eu"
purpose = "First initialisation, ticket CER-12"
administrators = ["alice", "bob", "carol"]
thresholds = { signatures = 2, revocations = 2 }

[[confirm]]
before = "generate"
who = "carol"
text = "look at the recovery unit's tamper seal"
"""
CHANGE = """
ceremony = "change thresholds"
thresholds = { signatures = 3, revocations = 2 }
"""


@pytest.fixture(scope="module")
def stack(quorate_module_stack) -> Rehearsal:
    """Three custodians with keys and a charter; two operational units, recovery, failover."""
    made: Rehearsal = quorate_module_stack(people=3, units=4)
    names = tuple(one.name for one in made.people)
    ceremony = Ceremony(made.stack, Plan(people=names, threshold=2, parts=(None, None)), Silent())
    made.do(ceremony.make_keys())
    made.do(ceremony.accept_charter())
    return made


def written(stack: Rehearsal, name: str, text: str) -> str:
    path = stack.directory / name
    path.write_text(text)
    return str(path)


def to_the_end(alice: Actor, bob: Actor, plan: str, *options: str) -> dict[str, Any]:
    """Every step ends a run, as if it was broken off; Bob signs, and Alice resumes it."""
    for _ in range(60):
        line = ("ceremony", "resume", plan, "--timeout", "1", *options)
        ended = alice.run(*line, password=True, expect=(0, 6))
        if ended.code == 0:
            return dict(ended.data)
        number = ended.data["requests"][-1]["request"]
        if bob.knows(number)["state"] == "collecting":
            bob.approve(number)
        alice.wait(number)
    raise AssertionError("it goes on for ever")


def test_a_random_key_by_a_plan_that_is_broken_off_at_every_step(stack: Rehearsal):
    alice, bob, _ = stack.people
    plan = written(stack, "first.toml", FROM_RECOVERY)
    checked = alice.run("ceremony", "check", plan).data
    assert checked["possible"] and checked["warnings"] == []
    foreseen = [one["stage"] for one in checked["steps"]]
    assert foreseen == [
        *["administrators"] * 3,
        "thresholds",
        "generate",
        "export",
        "import",
        "commit",
        "activate",
    ]
    began = alice.run("ceremony", "run", plan, "--timeout", "1", password=True, expect=(6,)).data
    assert [one["stage"] for one in began["requests"]] == foreseen[:4]
    bob.approve(began["requests"][-1]["request"])
    unconfirmed = alice.refused("ceremony", "resume", plan, password=True, code=2)
    assert "--confirmed carol" in unconfirmed["next"]
    done = to_the_end(alice, bob, plan, "--confirmed", "carol")
    assert [one["stage"] for one in done["requests"]] == foreseen
    assert [(one["who"], one["before"]) for one in done["confirmed"]] == [("carol", "generate")]
    alice.choose()
    registers = alice.run("tke", "cryptounit-mk").data["units"]
    assert len({one["current"]["vp"] for one in registers}) == 1
    assert {one["current"]["state"] for one in registers} == {"Valid"}
    assert alice.run("ceremony", "check", plan).data["steps"] == []


def test_its_report_proves_every_command(stack: Rehearsal):
    for receipts in stack.receipts().values():
        kinds = [kind_of(one.parsed().body) for one in receipts]
        assert kinds.count("add-administrator") == 3
        assert kinds[-2:] == ["commit-new-register", "set-immediate"]


def test_it_stops_at_the_first_no(stack: Rehearsal):
    alice, bob, carol = stack.people
    plan = written(stack, "change.toml", CHANGE)
    checked = alice.run("ceremony", "check", plan).data
    assert "one lost key locks all out" in checked["warnings"][0]
    began = alice.run("ceremony", "run", plan, "--timeout", "1", password=True, expect=(6,)).data
    number = began["requests"][-1]["request"]
    for who in (bob, carol):
        who.reject(number, "not this week")
    alice.wait(number)
    said = alice.refused("ceremony", "resume", plan, "--timeout", "1", password=True)
    assert (said["request"], said["state"]) == (number, "rejected")
    again = alice.run(
        "ceremony", "resume", plan, "--timeout", "1", password=True, expect=(6,)
    ).data["requests"][-1]["request"]
    assert again != number
    alice.run("agent", "cancel", str(again), "--reason", "enough")
    alice.wait(again)


def test_a_plan_for_another_instance_or_that_isnt_one(stack: Rehearsal):
    alice = stack.people[0]
    other = written(stack, "other.toml", CHANGE + 'instance = "ledger-us"')
    assert alice.refused("ceremony", "run", other)["found"] == "ledger-eu"
    broken = written(stack, "broken.toml", CHANGE + 'more = "x"')
    assert "a plan has no 'more'" in alice.refused("ceremony", "check", broken, code=2)["message"]
    missing = str(Path(stack.directory) / "missing.toml")
    assert alice.refused("ceremony", "check", missing, code=2)["exit"] == "usage"
    fresh = written(stack, "fresh.toml", CHANGE)
    assert "begun" in alice.refused("ceremony", "resume", fresh)["message"]


def test_tkes_guided_recovery_has_nothing_to_do_where_all_units_have_the_key(stack: Rehearsal):
    alice = stack.people[0]
    plan = str(stack.directory / "recover.toml")
    done = alice.run("tke", "auto-recover", "--plan", plan, password=True).data
    assert (done["taken"], done["requests"]) == (0, [])
    assert "is there already" in alice.refused("tke", "auto-recover", "--plan", plan)["message"]
    short = ("tke", "auto-init", "--plan", plan + "2", "--administrator", "alice")
    assert "--signature N" in alice.refused(*short, code=2)["next"]


def test_a_unit_that_differs_is_repaired_by_signed_requests(stack: Rehearsal):
    alice, bob, _ = stack.people
    alice.select(1)
    number = alice.file("cryptounit-cp-btc", "set")
    bob.approve(number)
    alice.wait(number)
    alice.select()
    found = alice.run("repair", "plan").data
    assert [one["command"] for one in found["steps"]] == ["set-control-point"]
    assert found["requests"] == []
    filed = alice.run("repair", "plan", "--file", "--purpose", "drift of Tuesday").data
    (request,) = filed["requests"]
    for who in (alice, bob):
        who.approve(request)
    assert alice.wait(request)["state"] == "executed"
    assert alice.run("repair", "plan").data["steps"] == []
    assert alice.run("tke", "cryptounit-compare").data["differ"] == []
    liked = alice.run("repair", "plan", "--like", "2").data
    assert liked["steps"] == []
    assert alice.refused("repair", "plan", "--like", "9", code=2)["expected"] == "1 to 4"


def test_a_host_without_a_new_failover_unit_changes_no_charter(stack: Rehearsal):
    offered = str(stack.stack.units_file)
    said = stack.people[0].refused("tke", "failover-enable", "--units", offered)
    assert "no failover unit in it that the charter lacks" in said["message"]
    stranger = CastUnit(4, kind=UnitType.FAILOVER)
    now = (charter_unit(CastUnit(1)), charter_unit(CastUnit(3, kind=UnitType.RECOVERY)))
    others = (charter_unit(stranger), charter_unit(CastUnit(2)))
    assert {unit.id for unit in with_failover(now, others)} == {
        stranger.id,
        *(unit.id for unit in now),
    }
