"""Three custodians with their own agents, two of three needed: what happens to requests.

All tests share one stack and leave it as they found it: initialised, nothing open.
"""

import pytest

from coordinator.rehearsal.acting import Actor
from coordinator.rehearsal.kit import Rehearsal
from coordinator.rehearsal.process import CommandFailed
from protocol.record.entries import EntryKind

pytestmark = pytest.mark.timeout(300)

AS_THEY_ARE = ("cryptounit-thrhld-set", "--signature", "2", "--revocation", "2")
"""A command that needs the signature threshold and changes nothing but the state version."""


@pytest.fixture(scope="module")
def stack(quorate_module_stack) -> Rehearsal:
    made: Rehearsal = quorate_module_stack(people=3, units=2)
    made.initialise(threshold=2)
    return made


@pytest.fixture
def people(stack: Rehearsal) -> tuple[Actor, ...]:
    """Alice, Bob and Carol."""
    return stack.people


def new_register(who: Actor) -> set[str]:
    """The states of the units' new registers."""
    who.choose()
    units = who.run("tke", "cryptounit-mk").data["units"]
    return {unit["new"]["state"] for unit in units}


def test_one_of_three_rejects_and_the_others_carry_it(stack: Rehearsal, people):
    alice, bob, carol = people
    number = alice.file(*AS_THEY_ARE, "--purpose", "with one No")
    assert carol.reject(number, "not on the agenda")["state"] == "collecting"
    assert [one["reason"] for one in bob.show(number)["rejections"]] == ["not on the agenda"]
    assert bob.approve(number)["state"] == "executed"
    done = carol.wait(number)
    assert (done["exit"], sorted(done["approvals"])) == ("done", sorted([alice.ski, bob.ski]))
    kinds = [entry.kind for entry in stack.log()]
    assert kinds.count(EntryKind.REJECTION) == 1


def test_two_of_three_rejecting_ends_it(people):
    alice, bob, carol = people
    number = alice.file(*AS_THEY_ARE, sign=False)
    assert carol.reject(number, "no")["state"] == "collecting"
    assert bob.reject(number, "no")["state"] == "rejected"
    ended = alice.wait(number)
    assert (ended["exit"], ended["state"], ended["approvals"]) == ("refused", "rejected", [])
    assert alice.refused("agent", "approve", str(number), password=True)["rule"] == "REQUEST_ENDED"


def test_a_custodian_cancels_voids_and_refiles(people):
    alice, bob, carol = people
    number = alice.file(*AS_THEY_ARE, "--purpose", "on second thoughts")
    bob.knows(number)
    said = bob.refused("agent", "cancel", str(number))
    assert (said["rule"], said["message"]) == (
        "NOT_YOUR_REQUEST",
        "somebody else filed that request; nothing was stored",
    )
    assert alice.refused("agent", "void", str(number))["rule"] == "VOID_ORIGIN"
    assert alice.refused("agent", "refile", str(number))["rule"] == "SAME_REQUEST_OPEN"

    cancelled = alice.run("agent", "cancel", str(number), "--reason", "not now").data
    assert cancelled["state"] == "cancelled"
    live = cancelled["live"]
    assert (live["signed_by"], live["have"], live["needed"]) == (["alice"], 1, 2)
    assert (live["could_add"], len(live["units"])) == (["bob", "carol"], 2)
    ended = carol.wait(number)
    assert (ended["exit"], ended["live"]["signed_by"]) == ("ended", ["alice"])
    assert ended["next"].startswith(f"quorate agent void {number} ")

    # a void is anybody's to ask for, and asked for once
    filed = carol.run("agent", "void", str(number)).data
    assert (filed["command"], filed["filed"], filed["needed"]) == ("void", "now", 1)
    void = filed["request"]
    alice.knows(void)
    again = alice.run("agent", "void", str(number)).data
    assert (again["request"], again["filed"]) == (void, "before")
    assert bob.approve(void)["state"] == "executed"
    carol.wait(void)
    assert carol.refused("agent", "void", str(number))["rule"] == "VOID_ORIGIN"
    ended = carol.wait(number)
    assert (ended["live"], ended["next"].split("  ")[0]) == (None, f"quorate agent refile {number}")

    anew = carol.run("agent", "refile", str(number)).data
    assert (anew["command"], anew["state"]) == ("cryptounit-thrhld-set", "collecting")
    alice.knows(anew["request"])
    assert alice.show(anew["request"])["purpose"] == "on second thoughts"
    assert alice.show(anew["request"])["filed_by"]["name"] == "carol"
    carol.run("agent", "cancel", str(anew["request"]))
    assert alice.wait(anew["request"])["live"] is None


def test_an_agent_off_line_until_the_others_have_signed(people):
    alice, bob, carol = people
    carol.agent.stop()
    number = alice.file(*AS_THEY_ARE, "--purpose", "without carol")
    assert bob.approve(number)["state"] == "executed"
    carol.agent.start()
    done = carol.wait(number)
    assert (done["exit"], done["receipts_verified"]) == ("done", 2)
    late = carol.refused("agent", "approve", str(number), password=True)
    assert (late["rule"], late["found"]) == ("REQUEST_ENDED", "executed")


def test_an_agent_killed_while_others_sign_gives_the_last_signature(people):
    alice, bob, _ = people
    bob.agent.kill()
    number = alice.file(*AS_THEY_ARE)
    bob.agent.start()
    assert bob.approve(number)["state"] == "executed"


def test_a_coordinator_killed_between_two_signatures_goes_on(stack: Rehearsal, people):
    alice, bob, _ = people
    number = alice.file(*AS_THEY_ARE)
    stack.coordinator.kill()
    down = bob.until(("agent", "status"), lambda data: data if not data["connected"] else None)
    assert down["charter"] == 1
    assert bob.refused("agent", "show", str(number), code=7)["exit"] == "unreachable"
    stack.coordinator.start()
    # Nobody waits for the end of a pause: who asks makes the agent try at once.
    assert bob.approve(number)["state"] == "executed"


def test_two_requests_in_line_for_the_same_units(people):
    alice, bob, carol = people
    first = alice.file(*AS_THEY_ARE, sign=False)
    bob.choose()
    same = bob.refused("tke", *AS_THEY_ARE, "--unsigned")
    assert (same["rule"], same["found"]) == ("SAME_REQUEST_OPEN", f"request {first}")
    second = bob.file("cryptounit-thrhld-set", "--signature", "2", "--revocation", "3", sign=False)
    states = {id_: one["state"] for id_, one in bob.requests().items() if id_ >= first}
    assert states == {first: "collecting", second: "waiting in line"}
    in_line = bob.refused("agent", "approve", str(second), password=True)
    assert in_line["rule"] == "REQUEST_NOT_OPEN"
    alice.approve(first)
    assert bob.approve(first)["state"] == "executed"
    # Only now is the second opened, for the state that the first has made.
    assert carol.show(carol.knows(second)["id"])["have"] == 0
    alice.reject(second, "no")
    assert carol.reject(second, "no")["state"] == "rejected"


def test_the_same_line_with_an_idempotency_key_files_once(people):
    alice, bob, _ = people
    line = ["tke", *AS_THEY_ARE, "--idempotency-key", "c12"]
    filed = alice.run(*line, "--wait", "--timeout", "1", password=True, expect=(6,)).data
    assert (filed["filed"], filed["state"], filed["exit"]) == ("now", "collecting", "waiting")
    assert filed["waiting_for"] == ["bob", "carol"]
    bob.approve(filed["request"])
    again = alice.run(*line, "--wait", password=True).data
    assert (again["filed"], again["request"]) == ("before", filed["request"])
    assert (again["state"], again["receipts_verified"]) == ("executed", 2)
    other = ["tke", "cryptounit-mk-setimm", "--yes", "--idempotency-key", "c12"]
    assert alice.refused(*other, password=True)["rule"] == "IDEMPOTENCY_KEY_USED"


def test_a_unit_host_that_is_down_during_commit_and_returns(stack: Rehearsal, people):
    alice, bob, _ = people
    stack.load()
    number = alice.file("cryptounit-mk-commit")
    bob.knows(number)
    stack.units.kill()
    held = bob.approve(number)
    assert (held["state"], held["signed_units"]) == ("ready", 2)
    waiting = alice.run("agent", "watch", str(number), "--timeout", "1", expect=(6,))
    assert waiting.data["executed_on"] == []
    stack.units.start()
    assert alice.wait(number)["receipts_verified"] == 2
    assert new_register(alice) == {"Full committed"}
    alice.file("cryptounit-mk-clrnew")


def test_a_contributor_who_says_no_ends_a_load(people):
    alice, bob, _ = people
    vps = [alice.make_part("alice again"), bob.make_part("bob again")]
    alice.until(("charter", "show"), lambda data: set(vps) <= set(data["announced_parts"]) or None)
    number = alice.file("cryptounit-mk-load", "--part", vps[0], "--part", vps[1])
    assert bob.reject(number, "part 2 isn't the one I read out")["state"] == "rejected"
    with pytest.raises(CommandFailed, match=f"with 3: request {number} has ended, rejected"):
        alice.run("agent", "watch", str(number))
    assert alice.wait(number)["state"] == "rejected"
    assert new_register(bob) == {"Empty"}


def test_a_part_file_that_cant_be_used_says_why(people):
    alice, bob, _ = people
    vps = [alice.make_part("alice twice"), bob.make_part("bob twice")]
    alice.until(("charter", "show"), lambda data: set(vps) <= set(data["announced_parts"]) or None)
    number = alice.file("cryptounit-mk-load", "--part", vps[0], "--part", vps[1])
    bob.knows(number)
    file = bob.keys / "bob-twice.part"
    file.chmod(0o640)
    said = bob.refused("agent", "approve", str(number), password=True, code=9)
    assert said["message"] == "others on this machine can read bob-twice.part; it wasn't used"
    file.chmod(0o600)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    said = bob.refused("agent", "approve", str(number), password=True, code=5)
    assert said["message"].startswith("bob-twice.part isn't as it was written")
    file.write_bytes(whole)
    assert bob.approve(number)["sealed_units"] == 2
    assert alice.wait(number)["receipts_verified"] == 2
    alice.file("cryptounit-mk-clrnew")


def test_texts_that_are_too_long_are_usage_and_lock_nobody_out(people):
    """What the coordinator wouldn't take isn't kept: it would end every session from then on."""
    alice, _, _ = people
    alice.choose()
    file = ("tke", *AS_THEY_ARE, "--unsigned")
    before = alice.requests()
    for more in (("--purpose", "x" * 501), ("--idempotency-key", "x" * 101)):
        assert "length <= " in alice.refused(*file, *more, code=2)["message"]
    said = alice.refused("agent", "reject", "1", "--reason", "x" * 501, code=2)
    assert "length <= 500" in said["message"]
    said = alice.refused("agent", "reject", "1", "--reason", "\udcff", code=2)
    assert "UTF-8" in said["message"]
    assert alice.refused("agent", "reject", "1", "--reason", " ", code=2)["exit"] == "usage"
    assert alice.requests() == before
    assert alice.run("agent", "status").data["connected"]
