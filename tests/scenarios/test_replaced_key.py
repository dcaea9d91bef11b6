"""A custodian's key is replaced, as `docs/howto/replace-a-key.md` tells it."""

import pytest

from coordinator.rehearsal.kit import Rehearsal


@pytest.mark.timeout(300)
def test_a_key_is_replaced_by_a_new_version_of_the_charter(quorate_stack):
    stack: Rehearsal = quorate_stack(people=3, units=1)
    stack.initialise(threshold=2)
    alice, bob, carol = stack.people
    old = carol.ski
    new = carol.run("tke", "sigkey-add", "--name", "carol-2", password=True).data["ski"]
    alice.until(("agent", "status"), lambda data: data["offered_keys"] == 4 or None)
    strange = alice.refused("charter", "new", "--without-key", "zed")
    assert strange["found"] == "zed"
    digest = alice.run("charter", "new", "--without-key", "carol").data["digest"]
    for who in stack.people:
        who.until(
            ("charter", "accept", "--same-words"),
            lambda data: data["digest"] == digest or None,
        )
    alice.until(("charter", "show"), lambda data: data["in_force"] or None)
    added = alice.file("cryptounit-admin-add", "--key", "carol-2")
    (roster,) = bob.show(added)["roster"]
    assert [one["ski"] for one in roster["administrators"] if one["left"]] == [old]
    assert bob.approve(added)["state"] == "executed"
    removed = alice.file("cryptounit-admin-rm", "--key", "carol")
    assert bob.approve(removed)["state"] == "executed"
    (carol.keys / "carol.sig").unlink()
    third = alice.run("charter", "new", "--revocations", "3").data["digest"]
    carol.until(("charter", "show"), lambda data: data["digest"] == third or None)
    shown = carol.run("charter", "show").data
    assert old not in str(shown) and new in str(shown), "a key that was left out stays out"
    assert (shown["floor"], shown["alone"]) == (
        {"signatures": 2, "revocations": 3, "exit_people": 2},
        False,
    )
    fourth = alice.run("charter", "new", "--signatures", "3").data["digest"]
    carol.until(("charter", "show"), lambda data: data["digest"] == fourth or None)
    assert carol.run("charter", "show").data["floor"]["revocations"] == 2, "as in force"
    last = alice.file("cryptounit-thrhld-set", "--signature", "2", "--revocation", "2")
    done = carol.approve(last)
    assert (done["state"], sorted(done["approvals"])) == ("executed", sorted([alice.ski, new]))
    ((receipts),) = stack.receipts().values()
    assert {one.ski.hex() for one in receipts[-1].after.administrators} == {
        alice.ski,
        bob.ski,
        new,
    }
