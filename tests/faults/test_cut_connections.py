"""Connections are cut while every process lives: the ceremony ends as ever, and nothing twice.

Every wire is cut in the middle of messages: between agents and coordinator, and between
coordinator and unit host.
"""

import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from coordinator.rehearsal.process import run
from quorate import private_files
from tests.faults.careful import CarefulCeremony, CarefulStack, assert_ended_as_ever
from tests.faults.relay import Relay

CUTS = 8


class WiredStack(CarefulStack):
    """A stack whose agents and coordinator connect by relays."""

    def __init__(self, directory: Path, to_coordinator: Relay, to_units: Relay) -> None:
        super().__init__(directory, {})
        self._to_coordinator, self._to_units = to_coordinator, to_units

    async def start_coordinator_and_units(self) -> None:
        await super().start_coordinator_and_units()
        self._to_coordinator.target = self.coordinator.address
        self._to_units.target = self.units.address
        await self.coordinator.stop()
        arguments = self.coordinator.arguments
        place = arguments.index("--unit-host") + 1
        _, _, fingerprint = arguments[place].partition("=")
        arguments[place] = f"{self._to_units.address}={fingerprint}"
        await self.coordinator.start()

    async def enrol(self, name: str) -> None:
        custodian = self.custodians[name]
        private_files.write(custodian.password_file, b"a password\n", untouched="")
        url = f"https://{self._to_coordinator.address}"
        place = str(self.directory / "coordinator")
        invited = await run(["coordinator", "invite", place, name, "--url", url])
        await run(
            ["agent", "init", str(custodian.directory), "--invitation-file", "-"],
            given=invited.data["invitation"] + "\n",
        )
        await custodian.agent.start()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_wire_is_cut_again_and_again(tmp_path: Path, seed: int):
    dice = random.Random(seed)
    async with AsyncExitStack() as stack:
        to_coordinator = await stack.enter_async_context(
            Relay(dice, CUTS, least=3_000, most=30_000)
        )
        to_units = await stack.enter_async_context(Relay(dice, CUTS, least=3_000, most=12_000))
        wired = await stack.enter_async_context(
            WiredStack(tmp_path / "stack", to_coordinator, to_units)
        )
        outcome = await CarefulCeremony(wired).run()
        assert (to_coordinator.cuts_left, to_units.cuts_left) == (0, 0)
        await assert_ended_as_ever(wired, outcome)
