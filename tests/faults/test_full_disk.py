"""A full disk under an agent and under the coordinator, as real processes (issue 4, §6).

Every write to a file fails, the log's too: a clear error, files as they were, nothing signed or
sent or stored; and once there is room it goes on. A unit host's full disk is in
`tests/scenarios/test_unit_host.py`.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coordinator.rehearsal.kit import Rehearsal
from coordinator.rehearsal.process import Server
from quorate.exits import Exit


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """No file may grow, nor be written at all, as if the disk were full."""
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (soft, hard))


def set_thresholds(number: int) -> tuple[str, ...]:
    return ("cryptounit-thrhld-set", "--signature", "2", "--revocation", str(number))


@pytest.mark.timeout(300)
def test_nothing_is_signed_sent_or_stored(quorate_stack):
    stack: Rehearsal = quorate_stack(people=3, units=1)
    stack.initialise(threshold=2)
    alice, bob, carol = stack.people
    coordinator = stack.stack.coordinator
    number = alice.file(*set_thresholds(3))
    bob.knows(number)

    with full_disk(stack.stack.custodians["bob"].agent):
        said = bob.refused("agent", "approve", str(number), password=True, code=Exit.STORAGE)
        assert "nothing was changed or sent" in said["message"] and said["next"]
        assert bob.agent.running
    # What the next session sends is what the agent has kept: nothing of this.
    stack.coordinator.restart()
    for who in (bob, carol):
        who.until(("agent", "status"), lambda data: data["connected"] or None)
    assert [one["person"] for one in carol.show(number)["signed_by"]] == ["alice"]

    with full_disk(coordinator):
        said = bob.refused("agent", "approve", str(number), password=True, code=Exit.STORAGE)
        assert "no space" in said["message"] or "can't be written" in said["message"]
        assert stack.coordinator.running
    bob.until(("agent", "status"), lambda data: data["connected"] or None)
    done = bob.wait(number)
    assert done["state"] == "executed"
    assert sorted(done["approvals"]) == sorted([alice.ski, bob.ski])
