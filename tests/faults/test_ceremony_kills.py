"""DESIGN §4, §5: kill -9 of any process, before and after each durable step, and at any moment.

A real ceremony: two units, two custodians, known key parts, every command a process of its own.
Its people type again what ended with `unreachable`; in the end everything must be as if nothing
had been killed.
"""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from coordinator import steps as coordinator
from coordinator.steps import EXECUTED, PREPARED, STORED, TAKEN
from coordinator.steps import Write as Stored
from hsm_backend.durable import steps as units
from hsm_backend.durable.steps import Write
from signer_agent import steps as agent
from tests.faults import test_other_kills as elsewhere
from tests.faults.careful import (
    CarefulCeremony,
    CarefulStack,
    ScriptedEnd,
    assert_ended_as_ever,
)


def both(*writes: Stored | Write) -> list[str]:
    """Before and after the commit of each."""
    return [step for write in writes for step in (write.before_commit, write.after_commit)]


def nth(step: str, number: int) -> str:
    """The so many-th time in a life that a process comes there."""
    return f"{step}:{number}"


COORDINATOR = [
    *both(Stored.OTHER, Stored.ENROLMENT, Stored.OFFER),
    STORED,
    TAKEN,
    *both(Stored.PROPOSAL, Stored.ACCEPTANCE, Stored.IN_FORCE, Stored.FILING),
    *both(Stored.CHECKPOINT, Stored.OPENING),
    PREPARED,
    *both(Stored.PREPARED, Stored.HISTORY),
    EXECUTED,
    *both(Stored.EXECUTION, Stored.APPROVAL, Stored.CONTRIBUTION),
]
"""In the order in which a ceremony comes there."""


UNIT_HOST = [*both(Write.COMMAND), *both(Write.IMPORTER_KEY), *both(Write.COMMAND, Write.COMMAND)]
"""An administrator; then, from the load on, each command to the end."""
ALICE = [
    agent.ENROLLED,
    nth(agent.BEFORE_COMMIT, 2),
    agent.BEFORE_PUBLICATION_KEPT,
    agent.SENT,
    agent.CHARTER_ACCEPTED,
    nth(agent.COMMITTED, 5),
    agent.BEFORE_SEEN_KEPT,
    agent.BEFORE_SIGNATURE_KEPT,
    agent.SENT,
]
BOB = [
    nth(agent.COMMITTED, 3),
    agent.NEWS_KEPT,
    agent.PUBLICATION_KEPT,
    agent.ACKNOWLEDGED,
    nth(agent.BEFORE_COMMIT, 7),
    agent.CURSOR_KEPT,
    agent.SEEN_KEPT,
    agent.SIGNATURE_KEPT,
    agent.USE_KEPT,
]
"""In the end, without bob, by a policy."""


def step_of(point: str) -> str:
    """The step of a point that says which time."""
    name, _, number = point.rpartition(":")
    return name if number.isdecimal() else point


def test_every_step_is_walked():
    """Here, or where the ceremony doesn't come to it.

    Of a unit host in test_unit_durability, and in test_key_durability.
    """
    walked = {*COORDINATOR, *elsewhere.COORDINATOR, *elsewhere.COORDINATOR_INIT}
    walked |= {*elsewhere.COORDINATOR_TABLES}
    assert walked == set(coordinator.STEPS)
    assert {*map(step_of, (*ALICE, *BOB)), *elsewhere.AGENT} == set(agent.STEPS)
    hosts = both(Write.MADE, Write.CLOCK, Write.BY_HAND)
    hosts += both(Write.KEY_TABLES, Write.KEYS, Write.KEY_MARK)
    assert {*UNIT_HOST, *hosts} == set(units.STEPS)


@pytest.mark.timeout(300)
async def test_the_coordinator_dies_at_every_step(tmp_path: Path):
    stack = CarefulStack(tmp_path / "stack", {"coordinator": COORDINATOR})
    async with stack:
        outcome = await CarefulCeremony(stack).run()
        assert stack.died == {"coordinator": COORDINATOR}
        await assert_ended_as_ever(stack, outcome)


@pytest.mark.timeout(300)
async def test_unit_host_and_agents_die_at_every_step(tmp_path: Path):
    steps = {"units": UNIT_HOST, "alice": ALICE, "bob": BOB}
    stack = CarefulStack(tmp_path / "stack", steps)
    async with stack:
        outcome = await ScriptedEnd(stack).run()
        assert stack.died == steps
        await assert_ended_as_ever(stack, outcome)


async def strike(stack: CarefulStack, dice: random.Random, at_once: Sequence[int]) -> None:
    """Kills that many processes at once, at moments that the dice choose: while commands run."""
    for many in at_once:
        await stack.typed_more(dice.randint(1, 4))
        await asyncio.sleep(dice.uniform(0, 0.4))
        victims = dice.sample(sorted(stack.processes), many)
        await asyncio.gather(*(stack.processes[one].strike() for one in victims))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("seed", "at_once"), [(1, [1] * 8), (2, [2] * 7), (3, [4, 1, 3, 2, 1, 4])], ids=str
)
async def test_killed_at_any_moment(tmp_path: Path, seed: int, at_once: list[int]):
    stack = CarefulStack(tmp_path / "stack", {})
    async with stack:
        striking = asyncio.create_task(strike(stack, random.Random(seed), at_once))
        outcome = await CarefulCeremony(stack).run()
        assert striking.done(), "the ceremony was over before the last kill"
        await striking
        await assert_ended_as_ever(stack, outcome)
