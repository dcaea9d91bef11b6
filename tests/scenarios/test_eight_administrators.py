"""A crypto unit holds at most eight administrators: a ninth is refused before it is queued."""

import pytest

from coordinator.rehearsal.kit import Rehearsal

NINE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan")


@pytest.mark.timeout(300)
def test_the_ninth_is_refused_before_anything_is_queued(quorate_stack):
    stack: Rehearsal = quorate_stack(people=NINE, units=1)
    stack.initialise(threshold=0, administrators=7)
    alice = stack.as_(1)
    before = alice.requests()
    both = alice.refused("tke", "cryptounit-admin-add", "--key", "heidi", "--key", "ivan")
    assert (both["rule"], both["expected"]) == ("TOO_MANY_ADMINISTRATORS", "at most 8")
    assert alice.requests() == before
    alice.run("tke", "cryptounit-admin-add", "--key", "heidi", "--wait")
    ninth = alice.refused("tke", "cryptounit-admin-add", "--key", "ivan")
    assert ninth["rule"] == "TOO_MANY_ADMINISTRATORS"
    assert "nothing was filed" in ninth["message"]
    (unit,) = alice.run("tke", "cryptounit-admins").data["units"]
    assert sorted(one["name"] for one in unit["administrators"]) == list(NINE[:8])
    assert len(alice.requests()) == len(before) + 1
