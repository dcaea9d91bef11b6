"""An operator without an agent files TKE's commands by name, and custodians sign them.

The tests share one stack and go on where the one before has ended, in their order in this file:
from units in imprint mode to zeroized ones.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coordinator.rehearsal.acting import Actor, Operator
from coordinator.rehearsal.ceremony import Ceremony
from coordinator.rehearsal.kit import Rehearsal
from coordinator.rehearsal.plan import Plan, Silent
from tests.scenarios.operators import TwoHosts, says

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stack(quorate_module_stack) -> Rehearsal:
    """Three custodians with their own agents, two units at one host and one at another."""
    made: Rehearsal = quorate_module_stack(people=3, kind=TwoHosts)
    return made


@pytest.fixture(scope="module")
def amy(stack: Rehearsal) -> Operator:
    return stack.operator("amy")


@pytest.fixture
def people(stack: Rehearsal) -> tuple[Actor, ...]:
    """Alice, Bob and Carol."""
    return stack.people


def registers(amy: Operator) -> list[tuple[str, str]]:
    """The new and the current register's states, unit by unit."""
    units = amy.run("tke", "cryptounit-mk").data["units"]
    return [(unit["new"]["state"], unit["current"]["state"]) for unit in units]


def test_who_has_neither_agent_nor_login_is_told_of_both(tmp_path):
    nobody = Operator.__new__(Operator)
    nobody.environment = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    said = says(nobody, "tke", "cryptounits", expect=2)
    assert "quorate agent init" in said and "quorate login" in said
    said = says(nobody, "tke", "cryptounits", "--profile", "b", "--agent", "c", expect=2)
    assert "give one" in said
    said = says(nobody, "tke", "cryptounits", "--profile", "b", expect=3)
    assert "you aren't logged in" in said


def test_units_are_chosen_once_there_is_a_charter(stack: Rehearsal, amy: Operator):
    assert "no charter yet" in amy.refused("tke", "cryptounits")["message"]
    plan = Plan(people=("alice", "bob", "carol"), threshold=2, parts=(None, None))
    ceremony = Ceremony(stack.stack, plan, Silent())
    stack.do(ceremony.make_keys())
    stack.do(ceremony.accept_charter())

    found = amy.run("tke", "cryptounits").data
    assert (found["instance"], found["verified"]) == ("ledger-eu", False)
    assert [(one["type"], one["in_reach"]) for one in found["units"]] == [
        ("operational", True),
        ("operational", True),
        ("failover", True),
    ]
    assert amy.refused("tke", "cryptounit-admins")["message"].startswith("no crypto units are")
    said = says(amy, "tke", "cryptounit-add", "1", "2")
    assert "✓ selected: 2 of the 3 units of ledger-eu" in said
    assert "! left out: FAILOVER" in said
    amy.run("tke", "cryptounit-add", "3")
    said = says(amy, "tke", "cryptounits")
    assert said.count("  true      ") == 3
    assert "! not verified: as the coordinator tells" in said


def test_administrators_are_added_unsigned_in_imprint_mode(amy: Operator, people):
    added = amy.run(
        *("tke", "cryptounit-admin-add", "--key", "alice", "--key", "bob", "--key", "carol"),
        *("--wait", "--timeout", "60"),
    ).data
    assert (added["requests"], added["state"]) == ([1, 2, 3], "executed")
    assert added["receipts_verified"] == 3
    shown = amy.run("tke", "cryptounit-admins").data
    assert shown["verified"] is False
    assert [sorted(one["name"] for one in unit["administrators"]) for unit in shown["units"]] == [
        ["alice", "bob", "carol"]
    ] * 3
    assert {one["ski"] for one in shown["units"][0]["administrators"]} == {
        one.ski for one in people
    }
    no = amy.refused("tke", "cryptounit-admin-add", "--key", "dave")
    assert no["rule"] == "NOT_IN_CHARTER"
    no = amy.refused("tke", "cryptounit-thrhld-set", "--signature", "4", "--revocation", "2")
    assert no["rule"] == "THRESHOLD_ABOVE_ADMINISTRATORS"
    assert no["message"].endswith("; nothing was filed")
    said = says(
        amy,
        *("tke", "cryptounit-thrhld-set", "--signature", "4", "--revocation", "2"),
        expect=3,
    )
    assert "rule      THRESHOLD_ABOVE_ADMINISTRATORS, return 209 reason 57" in said


def test_filing_says_who_can_sign_and_waiting_shows_the_end(amy: Operator, people):
    alice, bob, _ = people
    command = ("tke", "cryptounit-thrhld-set", "--signature", "2", "--revocation", "2")
    filed = amy.run(*command, "--purpose", "CER-12", "--idempotency-key", "t2").data
    assert (filed["state"], filed["needed"], filed["filed"]) == ("collecting", 2, "now")
    assert filed["waiting_for"] == ["alice", "bob", "carol"]
    number = filed["request"]
    seen = alice.knows(number) and alice.show(number)
    assert (seen["purpose"], seen["filed_by"]["name"]) == ("CER-12", "amy")
    assert (seen["filed_by"]["operator"], seen["filed_by"]["verified"]) == (True, False)
    alice.approve(number)
    # the same line, any number of times, is one request
    waits = amy.run(
        *(*command, "--purpose", "CER-12", "--idempotency-key", "t2", "--wait", "--timeout", "1"),
        expect=(6,),
    ).data
    assert (waits["request"], waits["filed"], waits["exit"]) == (number, "before", "waiting")
    assert (waits["waiting_for"], waits["signed_by"]) == (["bob", "carol"], [alice.ski])
    assert waits["next"] == f"quorate requests watch {number}"
    bob.approve(number)
    done = amy.run(
        *(*command, "--purpose", "CER-12", "--idempotency-key", "t2", "--wait", "--timeout", "60")
    ).data
    assert (done["state"], done["receipts_verified"]) == ("executed", 3)
    assert done["approvals"] == sorted([alice.ski, bob.ski])
    other = amy.refused("tke", "cryptounit-mk-clrnew", "--idempotency-key", "t2")
    assert other["rule"] == "IDEMPOTENCY_KEY_USED"
    said = says(amy, "tke", "cryptounit-thrhlds")
    assert "1                2                    2" in said
    assert "! not verified" in said


def test_a_key_is_loaded_committed_and_set(amy: Operator, people):
    alice, bob, carol = people
    vps = [alice.make_part("alice part"), bob.make_part("bob part")]
    no = amy.refused("tke", "cryptounit-mk-load", "--part", "00" * 32)
    assert no["rule"] == "PART_NOT_WANTED"
    no = amy.refused("tke", "cryptounit-mk-commit")
    assert (no["rule"], no["next"]) == ("VP_MISMATCH", "quorate tke cryptounit-mk-load")
    # by hand it shows the parts, and asks; a script is told what to give instead
    said = says(amy, "tke", "cryptounit-mk-load", expect=2)
    assert f"1       alice part   {vps[0]}  alice" in said
    assert "alice, here" not in said and "--part VP" in said
    filed = amy.run("tke", "cryptounit-mk-load", "--part", vps[0], "--part", vps[1][:16]).data
    assert filed["parts_from"] == ["alice", "bob"]
    number = filed["request"]
    alice.approve(number)
    bob.approve(number)
    assert amy.wait(number)["state"] == "executed"
    assert registers(amy) == [("Full uncommitted", "Empty")] * 3

    said = says(amy, "tke", "cryptounit-mk-commit", "--purpose", "CER-12")
    number += 1
    assert f"✓ filed as request {number} by operator amy; an account can't sign" in said
    assert "… 0 of 2    waiting for alice, bob or carol" in said
    bob.approve(number)
    carol.approve(number)
    assert amy.wait(number)["state"] == "executed"

    said = says(amy, "tke", "cryptounit-mk-setimm", expect=2)
    assert "Here   current register Empty on 3 of 3 units." in said
    assert "Not looked for: root keys" in said and "--yes" in said
    number = amy.file("cryptounit-mk-setimm", "--yes")
    carol.approve(number)
    assert amy.wait(number)["state"] == "executed"
    assert registers(amy) == [("Empty", "Valid")] * 3


def test_a_quorum_lets_a_key_user_in_and_keys_are_used(
    stack: Rehearsal, amy: Operator, people, tmp_path: Path
):
    """From nothing to a data key that one unit wrapped and another opened; and out again."""
    alice, bob, _ = people
    hosts = stack.stack
    assert isinstance(hosts, TwoHosts)
    home = Operator.__new__(Operator)
    home.environment = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "QUORATE_KEY_USER": str(tmp_path / "payroll.pem"),
        "QUORATE_KEY_UNITS": str(tmp_path / "units.toml"),
    }
    said = says(home, "keys", "stats", expect=2)
    assert "quorate unit show DIR --for-key-users FILE" in said
    near = str(hosts.directory / "units")
    says(home, "unit", "show", near, "--for-key-users", str(tmp_path / "units.toml"))
    said = says(home, "keys", "stats", expect=2)
    assert "quorate keys identity" in said
    runs = partial(_runs, home)
    key = runs("keys", "identity", str(tmp_path / "payroll.pem"))["public_key"]
    assert runs("keys", "identity", str(tmp_path / "payroll.pem"))["public_key"] == key
    assert runs("keys", "create", expect=3)["rule"] == "KEY_USER_UNKNOWN"

    command = ("key-user", "add", "payroll", "--key", key)
    rights = [part for right in ("create", "wrap", "unwrap") for part in ("--right", right)]
    assert amy.refused(*command, code=2)["exit"] == "usage"
    number = amy.run(*command, *rights, "--purpose", "payroll").data["request"]
    shown = alice.knows(number) and alice.show(number)
    assert "payroll" in str(shown)
    alice.approve(number)
    bob.approve(number)
    assert amy.wait(number)["state"] == "executed"
    (user,) = amy.run("key-user", "list").data["key_users"]
    assert (user["name"], user["public_key"]) == ("payroll", key)
    assert (user["rights"], len(user["units"])) == (["create", "unwrap", "wrap"], 3)
    assert "payroll" in says(amy, "key-user", "list")
    assert amy.refused("key-user", "rm", "pay")["rule"] == "NO_SUCH_KEY_USER"

    (made,) = runs("keys", "create", "--name", "salaries")["keys"]
    plain, wrapped, opened = (tmp_path / name for name in ("plain", "wrapped", "opened"))
    plain.write_bytes(b"a data key")
    bound = ("--associated", "2026")
    runs("keys", "wrap", made["id"], "--in", str(plain), "--out", str(wrapped), *bound)
    for _ in range(2):
        runs("keys", "unwrap", "--in", str(wrapped), "--out", str(opened), *bound)
        assert opened.read_bytes() == b"a data key"
        opened.unlink()
    unwrap = ("keys", "unwrap", "--in", str(wrapped), "--out", str(opened))
    assert runs(*unwrap, expect=3)["rule"] == "ASSOCIATED_DATA"
    assert runs("keys", "delete", made["id"], expect=3)["rule"] == "KEY_RIGHT"
    assert [one["name"] for one in runs("keys", "list")["keys"]] == ["salaries"]
    assert runs("keys", "show", made["id"])["keys"] == [made]
    assert runs("keys", "show", "00" * 16, expect=3)["rule"] == "NO_SUCH_KEY"
    assert runs("keys", "show", "salaries", expect=2)["expected"] == "32 hex digits"
    assert runs("keys", "stats")["active"] == 1
    said = says(home, "keys", "list")
    assert made["id"] in said and "salaries" in said and "active" in said
    wrapped.write_bytes(wrapped.read_bytes()[:-1])
    assert runs(*unwrap, *bound, expect=5)["rule"] == "BLOB_DAMAGED"
    assert not opened.exists()

    number = amy.run("key-user", "rm", "payroll").data["request"]
    alice.approve(number)
    bob.approve(number)
    assert amy.wait(number)["state"] == "executed"
    assert runs("keys", "list", expect=3)["rule"] == "KEY_USER_UNKNOWN"
    assert amy.run("key-user", "list").data["key_users"] == []


def _runs(who: Operator, *arguments: str, expect: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(says(who, *arguments, "--json", expect=expect))
    return found


def test_a_unit_that_is_lost_is_shown_and_brought_along(stack: Rehearsal, amy: Operator, people):
    alice, bob, _ = people
    hosts = stack.stack
    assert isinstance(hosts, TwoHosts)
    vps = [alice.make_part("second"), bob.make_part("second")]
    parts = [one for vp in vps for one in ("--part", vp)]
    alice.until(("charter", "show"), lambda data: set(vps) <= set(data["announced_parts"]) or None)
    number = alice.file("cryptounit-mk-load", *parts)
    stack.do(hosts.far.kill())
    bob.approve(number)
    # its filer goes on without it, by their own agent
    assert bob.refused("agent", "proceed", str(number), "--yes")["rule"] == "NOT_YOUR_REQUEST"
    held = alice.until(
        ("agent", "pending", "--all"),
        lambda data: next(
            (one for one in data["requests"] if (one["id"], one["state"]) == (number, "ready")),
            None,
        ),
    )
    assert held["waiting_for"] == []
    asked = alice.refused("agent", "proceed", str(number), code=2)
    assert "--yes" in str(asked["next"])
    partly = alice.refused("agent", "proceed", str(number), "--yes", code=6)
    assert (partly["state"], partly["receipts_verified"]) == ("partly executed", 2)

    differ = amy.refused("tke", "cryptounit-compare", code=15)
    assert (differ["verified"], differ["differ"]) == (False, ["master key registers"])
    assert list(differ["lacks"].values()) == [number]
    assert differ["out_of_reach"] == list(differ["lacks"])
    stack.do(hosts.far.start())
    assert amy.wait(number)["state"] == "executed"
    same = amy.run("tke", "cryptounit-compare").data
    assert (same["differ"], same["out_of_reach"], same["lacks"]) == ([], [], {})
    number = amy.file("cryptounit-mk-clrnew")
    bob.approve(number)
    assert amy.wait(number)["state"] == "executed"
    assert registers(amy) == [("Empty", "Valid")] * 3


def test_what_ran_in_part_is_given_up_voided_and_asked_for_again(
    stack: Rehearsal, amy: Operator, people
):
    alice, bob, carol = people
    hosts = stack.stack
    assert isinstance(hosts, TwoHosts)
    number = alice.file("cryptounit-thrhld-set", "--signature", "2", "--revocation", "2")
    stack.do(hosts.far.kill())
    bob.approve(number)
    alice.refused("agent", "proceed", str(number), "--yes", code=6)
    # the filer gives up on the unit that is lost; what was signed for it could still run there
    void = alice.run("agent", "void", str(number)).data["request"]
    assert void == number + 1
    given_up = alice.wait(number)
    assert (given_up["exit"], given_up["state"]) == ("failed", "partly executed")
    assert len(given_up["live"]["units"]) == 1
    stack.do(hosts.far.start())
    carol.approve(void)
    assert alice.wait(void)["state"] == "executed"
    assert alice.wait(number)["live"] is None
    assert alice.refused("agent", "refile", str(void))["rule"] == "VOID_ORIGIN"
    again = alice.run("agent", "refile", str(number)).data["request"]
    view = amy.run("requests", "show", str(again)).data
    assert (len(view["units"]), view["title"]) == (1, "set the thresholds to 2 and 2")
    amy.run("requests", "cancel", str(again))


def test_an_administrator_is_removed_and_all_is_zeroized(amy: Operator, people):
    alice, bob, _ = people
    filed = amy.run("tke", "cryptounit-admin-rm", "--key", "carol").data
    assert filed["needed"] == 2
    alice.approve(filed["request"])
    bob.approve(filed["request"])
    assert amy.wait(filed["request"])["state"] == "executed"
    no = amy.refused("tke", "cryptounit-zeroize", "--yes-destroy", "ledger-us", code=2)
    assert (no["expected"], no["found"]) == ("ledger-eu", "ledger-us")
    said = says(amy, "tke", "cryptounit-zeroize", expect=2)
    assert "2 administrators, new Empty, current Valid" in said
    number = amy.file("cryptounit-zeroize", "--yes-destroy", "ledger-eu")
    bob.approve(number)
    assert amy.wait(number)["state"] == "executed"
    units = amy.run("tke", "cryptounit-admins").data["units"]
    assert [unit["administrators"] for unit in units] == [[], [], []]


def test_who_has_both_says_which(amy: Operator, people):
    """An agent goes first, as custodians sign in the same visit; `--profile` is the operator."""
    alice = people[0]
    both = Operator.__new__(Operator)
    both.environment = {**amy.environment, **alice.environment}
    assert "not verified" not in says(both, "tke", "cryptounits")
    assert "not verified" in says(both, "tke", "cryptounits", "--profile", "default")
