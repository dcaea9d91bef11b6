"""A coordinator whose backup was put back, or that is lost, is replaced by a fresh one, as
`docs/howto/replace-the-coordinator.md` tells it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from coordinator.rehearsal.acting import Actor
from coordinator.rehearsal.kit import Rehearsal
from coordinator.rehearsal.process import run
from protocol.files.charter_file import read_charter_file

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


def accept_and_wait(stack: Rehearsal, people: tuple[Actor, ...], proposal: Path) -> None:
    for who in people:
        who.run("charter", "accept", str(proposal), "--same-words")
    for who in people:
        who.until(("charter", "show"), lambda data: data["in_force"] or None)


@pytest.mark.timeout(300)
def test_a_fresh_coordinator_takes_over_from_one_that_was_put_back(quorate_stack):
    stack: Rehearsal = quorate_stack(people=3, units=2)
    stack.initialise(threshold=2)
    alice, bob, carol = stack.people
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
    said = alice.run("agent", "report", str(stack.directory / "none"), expect=range(16))
    print(said.code, said.data, said.err)
    print(stack.coordinator.log[-3000:])
    stack.coordinator.stop()

    new, offered, url = fresh(stack)
    proposal = stack.directory / "proposal.json"
    made = alice.run("charter", "new-coordinator", str(offered), str(proposal)).data
    assert made["version"] == 2
    quorate(stack, "coordinator", "take-over", str(new), str(proposal))
    stack.coordinator.start()
    accept_and_wait(stack, stack.people, proposal)
    status = carol.run("agent", "status").data
    print(status)
    assert carol.requests()[lowered]["state"] == "superseded"
    again = alice.run("agent", "refile", str(lowered)).data
    print(again)
    number = alice.file(*LOWER)
