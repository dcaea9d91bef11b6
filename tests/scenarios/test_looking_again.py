"""What a custodian is told of requests that wait or have ended, however they ask."""

from datetime import datetime

import pytest

from coordinator.rehearsal.kit import Rehearsal

pytestmark = [pytest.mark.xdist_group("looking again"), pytest.mark.timeout(300)]
RAISE = ("cryptounit-thrhld-set", "--signature", "2", "--revocation", "2")


@pytest.fixture(scope="module")
def stack(quorate_module_stack) -> Rehearsal:
    made: Rehearsal = quorate_module_stack(people=2, units=1)
    made.initialise(threshold=2)
    return made


def test_a_request_that_waits(stack: Rehearsal):
    alice, bob = stack.as_("alice"), stack.as_("bob")
    number = alice.file(*RAISE)
    bob.knows(number)
    (one,) = bob.run("agent", "pending").data["pending"]
    assert one["id"] == number
    assert datetime.fromisoformat(one["expires"]).tzinfo is not None
    # There is no time to be told of it, and it is known all the same.
    said = bob.refused("agent", "watch", str(number), "--timeout", "0", code=6)
    assert (said["request"], said["state"]) == (number, "collecting")
    bob.approve(number, "--wait")
    assert bob.run("agent", "watch", str(number), "--timeout", "0").data["state"] == "executed"


def test_what_became_of_a_request_is_shown(stack: Rehearsal):
    """That it is over is no trouble to somebody who only looks."""
    alice, bob = stack.as_("alice"), stack.as_("bob")
    number = alice.file(*RAISE)
    bob.approve(number, "--wait")
    shown = alice.run("agent", "show", str(number)).data
    assert (shown["request"], shown["state"]) == (number, "executed")
    assert shown["receipts_verified"] == 1
    number = alice.file(*RAISE)
    bob.reject(number, "not twice")
    alice.wait(number)
    shown = alice.run("agent", "show", str(number)).data
    assert (shown["state"], shown["receipts_verified"]) == ("rejected", 0)
    assert shown["live"]["signed_by"] == ["alice"]


def test_a_request_that_nobody_knows(stack: Rehearsal):
    bob = stack.as_("bob")
    assert bob.refused("agent", "show", "99")["rule"] == "NO_SUCH_REQUEST"
    said = bob.refused("agent", "watch", "99", "--timeout", "0", code=6)
    assert said["message"] == "request 99 isn't known here yet"
