"""A coordinator whose backup was put back, or that is lost, is replaced by a fresh one, as
`docs/howto/replace-the-coordinator.md` tells it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from coordinator.rehearsal.acting import Actor
from coordinator.rehearsal.kit import Rehearsal
from coordinator.rehearsal.process import run

RAISE = ("cryptounit-thrhld-set", "--signature", "3", "--revocation", "2")
LOWER = ("cryptounit-thrhld-set", "--signature", "2", "--revocation", "2")


def quorate(stack: Rehearsal, *arguments: str, expect: tuple[int, ...] = (0,)) -> Any:
    """A command of nobody in particular: at a host."""
    return stack.do(run(arguments, expect=expect)).data


def put_back(stack: Rehearsal, backup: Path) -> None:
    """The coordinator's directory as it was when the backup was made."""
    stack.coordinator.stop()
    place = stack.directory / "coordinator"
    shutil.rmtree(place)
    shutil.copytree(backup, place)
    stack.coordinator.start()


def fresh(stack: Rehearsal) -> tuple[Path, Path, str]:
    """A fresh coordinator that the units let in: its directory, its file, where it will be."""
    server = stack.stack.coordinator
    new = stack.directory / "coordinator-2"
    made = quorate(stack, "coordinator", "init", str(new), "--instance", "ledger-eu", "--practice")
    clients = stack.directory / "units" / "clients"
    shutil.copy(new / "tls.pem", clients / "coordinator-2.pem")
    (clients / "tls.pem").unlink()
    stack.units.restart()
    server.arguments[2], server.arguments[-1] = str(new), "0"
    stack.coordinator.start()
    server.arguments[-1] = server.address.rpartition(":")[2]
    stack.coordinator.stop()
    offered = stack.directory / "coordinator-2.json"
    shown = quorate(stack, "coordinator", "show", str(new), "--export", str(offered))
    assert shown["log"] == made["log"]
    return new, offered, shown["url"]


def accept_and_wait(people: tuple[Actor, ...], proposal: Path) -> None:
    """All accept it, and see it come into force."""
    for who in people:
        who.run("charter", "accept", str(proposal), "--same-words")
    for who in people:
        who.until(("charter", "show"), lambda data: data["in_force"] or None)


@pytest.mark.timeout(300)
def test_a_fresh_coordinator_takes_over_from_one_that_was_put_back(quorate_stack):
    stack: Rehearsal = quorate_stack(people=3, units=2)
    stack.initialise(threshold=2)
    alice, bob, carol = stack.people
    amy = stack.operator("amy")
    stack.coordinator.stop()
    backup = stack.directory / "backup"
    shutil.copytree(stack.directory / "coordinator", backup)
    stack.coordinator.start()
    raised = alice.file(*RAISE)
    assert bob.approve(raised)["state"] == "executed"
    lowered = alice.file(*LOWER)
    assert bob.approve(lowered)["state"] == "collecting"
    carol.knows(lowered)

    put_back(stack, backup)
    for who in stack.people:
        who.until(("agent", "status"), lambda data: data["connected"] or None)
    said = alice.refused("agent", "report", str(stack.directory / "none"), code=12)
    assert said["rule"] == "LOG_GOES_ON" and "quorate charter new-coordinator" in said["next"]
    assert alice.refused("agent", "status", code=12)["rule"] == "LOG_GOES_ON"
    assert "this log lacks entries that agents have seen" in stack.coordinator.log
    assert "a backup of this coordinator was put back" in amy.run("requests", "list").err
    stack.coordinator.stop()

    new, offered, _ = fresh(stack)
    proposal = stack.directory / "proposal.json"
    made = alice.run("charter", "new-coordinator", str(offered), str(proposal)).data
    assert made["version"] == 2
    taken = quorate(stack, "coordinator", "take-over", str(new), str(proposal))
    assert (taken["digest"], taken["people"]) == (made["digest"], ["alice", "bob", "carol"])
    stack.coordinator.start()
    bob.run("charter", "accept", str(proposal), "--same-words")
    bob.until(("agent", "status"), lambda data: data["connected"] or None)
    assert bob.run("agent", "status").data["accepted"] == 2
    bob.choose()
    waits = bob.refused("tke", *RAISE, "--unsigned")
    assert (waits["rule"], waits["found"]) == (
        "CHARTER_NOT_IN_FORCE",
        "version 1, which names another",
    )
    accept_and_wait(stack.people, proposal)

    assert carol.requests()[lowered]["state"] == "superseded"
    ended = carol.run("agent", "watch", str(lowered), expect=range(16))
    assert ended.data["live"] and "another coordinator" in ended.data["message"], ended.data
    assert (
        "was opened by the coordinator before"
        in alice.refused("agent", "void", str(lowered))["message"]
    )
    again = alice.run("agent", "refile", str(lowered)).data["request"]
    assert again == 1001, "no number means two requests"
    for who in (alice, bob, carol):
        done = who.approve(again)
    assert done["state"] == "executed"
    report = stack.report()
    assert [one["command"] for one in report.summary["requests"]] == ["cryptounit-thrhld-set"]
    earlier = report.summary["earlier_logs"]["commands"]
    assert [one["signed_by"] for one in earlier][-1] == ["alice", "bob"]
    assert len(earlier) == 2 * 5
    place = stack.directory / "report-1"
    told = quorate(
        stack, "verify", str(place / "report.json"), "--charter", str(place / "charter.json")
    )
    assert told["charter_version"] == 2
    assert "Before this log" in (place / "report.html").read_text()


@pytest.mark.timeout(300)
def test_a_fresh_coordinator_takes_over_from_one_that_is_lost(quorate_stack):
    """Nothing is left of it: what custodians' agents keep is enough, and one agent is enough."""
    stack: Rehearsal = quorate_stack(people=2, units=1)
    stack.initialise(threshold=2)
    alice, bob = stack.people
    stack.coordinator.kill()
    shutil.rmtree(stack.directory / "coordinator")
    new, offered, url = fresh(stack)
    proposal = stack.directory / "proposal.json"
    old = bob.refused("charter", "new-coordinator", str(offered), str(proposal))
    assert "since they were in imprint mode" in old["message"]
    units = stack.directory / "units-now.quorate"
    quorate(stack, "unit", "show", str(stack.directory / "units"), "--export", str(units))
    bob.run("charter", "new-coordinator", str(offered), str(proposal), "--units", str(units))
    for who in stack.people:  # before there is anybody to tell it
        who.run("charter", "accept", str(proposal), "--same-words")
    quorate(stack, "coordinator", "take-over", str(new), str(proposal))
    stack.coordinator.start()
    for who in stack.people:
        who.choose()  # who asks an agent makes it try at once
    accept_and_wait(stack.people, proposal)
    assert url == f"https://{stack.stack.coordinator.address}"
    vps = [one.make_part(f"{one.name} part") for one in stack.people]
    number = alice.file("cryptounit-mk-load", *(it for vp in vps for it in ("--part", vp)))
    assert bob.approve(number)["state"] == "executed"
    assert stack.report().summary["alone"] == []
