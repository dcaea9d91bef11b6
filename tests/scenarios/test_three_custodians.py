"""Three custodians with their own agents, two of three needed: what happens to requests.

All tests share one stack and leave it as they found it: initialised, nothing open.
"""

import pytest

from coordinator.rehearsal.kit import Actor, Rehearsal
from protocol.record.entries import EntryKind

pytestmark = [pytest.mark.xdist_group("three custodians"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stack(quorate_module_stack) -> Rehearsal:
    made: Rehearsal = quorate_module_stack(people=3, units=2)
    made.initialise(threshold=2)
    return made


@pytest.fixture
def people(stack: Rehearsal) -> tuple[Actor, ...]:
    """Alice, Bob and Carol."""
    return stack.people


@pytest.fixture
def loaded(stack: Rehearsal) -> str:
    """A key that waits in the new register to be committed, by its VP."""
    alice = stack.as_("alice")
    alice.choose()
    for _ in range(2):
        units = alice.run("tke", "cryptounit-mk").data["units"]
        registers = {(unit["new"]["state"], unit["new"]["vp"]) for unit in units}
        ((state, vp),) = registers
        if state == "Full uncommitted":
            return str(vp)
        if state == "Full committed":
            alice.file("cryptounit-mk-clrnew")
        stack.load()
    raise AssertionError("the register isn't loaded")


def new_register(who: Actor) -> set[str]:
    """The states of the units' new registers."""
    who.choose()
    units = who.run("tke", "cryptounit-mk").data["units"]
    return {unit["new"]["state"] for unit in units}


@pytest.mark.usefixtures("loaded")
def test_one_of_three_rejects_and_the_others_carry_it(stack: Rehearsal, people):
    alice, bob, carol = people
    number = alice.file("cryptounit-mk-commit", "--purpose", "with one No")
    no = carol.reject(number, "not on the agenda")
    assert no["state"] == "collecting"
    assert [one["reason"] for one in bob.show(number)["rejections"]] == ["not on the agenda"]
    assert bob.approve(number)["state"] == "executed"
    done = carol.wait(number)
    assert (done["exit"], sorted(done["approvals"])) == ("done", sorted([alice.ski, bob.ski]))
    kinds = [entry.kind for entry in stack.log()]
    assert kinds.count(EntryKind.REJECTION) == 1


@pytest.mark.usefixtures("loaded")
def test_two_of_three_rejecting_ends_it(people):
    alice, bob, carol = people
    number = alice.file("cryptounit-mk-commit", sign=False)
    assert carol.reject(number, "no")["state"] == "collecting"
    assert bob.reject(number, "no")["state"] == "rejected"
    ended = alice.wait(number)
    assert (ended["exit"], ended["state"], ended["approvals"]) == ("refused", "rejected", [])
    assert alice.refused("agent", "approve", str(number), password=True)["rule"] == "REQUEST_ENDED"
    assert new_register(alice) == {"Full uncommitted"}


def test_a_contributor_who_says_no_ends_a_load(people):
    alice, bob, _ = people
    vps = [alice.make_part("alice again"), bob.make_part("bob again")]
    alice.until(("charter", "show"), lambda data: set(vps) <= set(data["announced_parts"]) or None)
    if new_register(alice) != {"Empty"}:
        alice.file("cryptounit-mk-clrnew")
    number = alice.file("cryptounit-mk-load", "--part", vps[0], "--part", vps[1])
    assert bob.reject(number, "part 2 isn't the one I read out")["state"] == "rejected"
    assert alice.wait(number)["state"] == "rejected"
    assert new_register(bob) == {"Empty"}


@pytest.mark.usefixtures("loaded")
def test_an_agent_off_line_until_the_others_have_signed(people):
    alice, bob, carol = people
    carol.agent.stop()
    number = alice.file("cryptounit-mk-commit", "--purpose", "without carol")
    assert bob.approve(number)["state"] == "executed"
    carol.agent.start()
    done = carol.wait(number)
    assert (done["exit"], done["receipts_verified"]) == ("done", 2)
    late = carol.refused("agent", "approve", str(number), password=True)
    assert (late["rule"], late["found"]) == ("REQUEST_ENDED", "executed")


@pytest.mark.usefixtures("loaded")
def test_an_agent_killed_while_others_sign_gives_the_last_signature(people):
    alice, bob, _ = people
    bob.agent.kill()
    number = alice.file("cryptounit-mk-commit")
    bob.agent.start()
    assert bob.approve(number)["state"] == "executed"


@pytest.mark.usefixtures("loaded")
def test_a_unit_host_that_is_down_during_commit_and_returns(stack: Rehearsal, people):
    alice, bob, _ = people
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


@pytest.mark.usefixtures("loaded")
def test_a_coordinator_killed_between_two_signatures_goes_on(stack: Rehearsal, people):
    alice, bob, _ = people
    number = alice.file("cryptounit-mk-commit")
    stack.coordinator.kill()
    down = bob.refused("agent", "show", str(number), code=7)
    assert down["exit"] == "unreachable"
    stack.coordinator.start()
    bob.until(("agent", "status"), lambda data: data["connected"] or None)
    assert bob.approve(number)["state"] == "executed"


@pytest.mark.usefixtures("loaded")
def test_two_requests_in_line_for_the_same_units(people):
    alice, bob, carol = people
    first = alice.file("cryptounit-mk-commit", sign=False)
    second = bob.file("cryptounit-mk-clrnew", sign=False)
    states = alice.until(
        ("agent", "pending", "--all"),
        lambda data: (
            {one["id"]: one["state"] for one in data["requests"] if one["id"] >= first}
            if second in {one["id"] for one in data["requests"]}
            else None
        ),
    )
    assert states == {first: "collecting", second: "waiting in line"}
    in_line = alice.refused("agent", "approve", str(second), password=True)
    assert in_line["rule"] == "REQUEST_NOT_OPEN"
    alice.approve(first)
    assert bob.approve(first)["state"] == "executed"
    # The second was filed for what the first makes of the units, and is opened only now.
    assert carol.approve(second)["state"] == "executed"
    assert new_register(bob) == {"Empty"}


@pytest.mark.usefixtures("loaded")
def test_the_same_line_with_an_idempotency_key_files_once(people):
    alice, bob, _ = people
    line = ["tke", "cryptounit-mk-commit", "--idempotency-key", "c12"]
    filed = alice.run(*line, "--wait", "--timeout", "1", password=True, expect=(6,)).data
    assert (filed["filed"], filed["state"], filed["exit"]) == ("now", "collecting", "waiting")
    assert filed["waiting_for"] == ["bob", "carol"]
    bob.approve(filed["request"])
    again = alice.run(*line, "--wait", password=True).data
    assert (again["filed"], again["request"]) == ("before", filed["request"])
    assert (again["state"], again["receipts_verified"]) == ("executed", 2)
    other = ["tke", "cryptounit-mk-setimm", "--yes", "--idempotency-key", "c12"]
    assert alice.refused(*other, password=True)["rule"] == "IDEMPOTENCY_KEY_USED"
