"""People who type a command again when it ended with `unreachable`, and what they must end up with.

`CarefulStack` is a stack whose processes are supervised. Its people do as the exit codes tell them:
7 is safe to type again, filings carry an idempotency key, and who is told after a second attempt
that nothing is wanted of them any more has given it with the first.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.rehearsal.ceremony import Ceremony
from coordinator.rehearsal.plan import Outcome, Plan, Silent
from coordinator.rehearsal.process import CommandFailed, Result
from coordinator.rehearsal.stack import UNITS, Stack
from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.store import Store
from protocol.commands.bodies import tke_name_of
from protocol.history import History, verify_history
from protocol.identifiers import StateVersion
from protocol.receipts import Receipt
from protocol.sealing.contribution import vp_of
from protocol.unit_state import RegisterState, UnitState
from quorate import private_files
from quorate.exits import Exit, Trouble
from signer_agent.client.agent_client import AgentClient
from signer_agent.directory import AgentDirectory
from signer_agent.local.messages import (
    Charters,
    GetCharters,
    GetRequests,
    GetStatus,
    Requests,
    Status,
)
from tests.faults.supervised import Supervised

PEOPLE = ("alice", "bob")
PARTS = ("11" * 32, "2e" * 32)
VP = vp_of(bytes(a ^ b for a, b in zip(*map(bytes.fromhex, PARTS), strict=True)))
"""Of the master key that they make."""
TRIES = 30
PATIENCE_SECONDS = 60
_MAY_COME = (Exit.DONE, Exit.REFUSED, Exit.WAITING, Exit.UNREACHABLE, Exit.ENDED)
"""The news aren't here yet, or came in between looking and signing."""
_LOOK_SECONDS = 0.1
_LOOKS = 50
_FILES = ("admin-add", "thrhld-set", "mk-load", "mk-commit", "mk-setimm")
_GIVEN_BEFORE = ("SIGNED_BEFORE", "SIGNATURE_NOT_WANTED", "PART_NOT_WANTED", "REQUEST_ENDED")

COMMANDS = [
    *["cryptounit-admin-add"] * len(PEOPLE),
    "cryptounit-thrhld-set",
    "cryptounit-mk-load",
    "cryptounit-mk-commit",
    "cryptounit-mk-setimm",
]
"""What each unit runs in the ceremony, in this order, each once."""


class CarefulStack(Stack):
    """Two units, two custodians; `steps` are the steps at which each process has to die."""

    def __init__(self, directory: Path, steps: Mapping[str, Sequence[str]]) -> None:
        super().__init__(directory, people=PEOPLE, units=UNITS[:2])
        self.units = units = Supervised(self.units, steps.get("units", ()))
        self.coordinator = coordinator = Supervised(self.coordinator, steps.get("coordinator", ()))
        self.processes = {"units": units, "coordinator": coordinator}
        for name, custodian in self.custodians.items():
            custodian.agent = agent = Supervised(custodian.agent, steps.get(name, ()))
            self.processes[name] = agent
        self._filed = 0
        self._typed = 0
        self._typing = asyncio.Condition()

    @property
    def died(self) -> dict[str, list[str]]:
        """Where each process that had to die has died."""
        return {name: one.died for name, one in self.processes.items() if one.died}

    async def run(
        self,
        *arguments: str,
        person: str,
        password: bool = False,
        given: str | None = None,
        expect: Sequence[int] = (0,),
    ) -> Result:
        """Types a command, and again while it ends with 7."""
        if arguments[0] == "tke" and arguments[1].removeprefix("cryptounit-") in _FILES:
            self._filed += 1
            arguments = (*arguments, "--idempotency-key", f"{person} {self._filed}")
        for _ in range(TRIES):
            await self._type()
            result = await super().run(
                *arguments, person=person, password=password, given=given, expect=range(256)
            )
            if result.code in expect:
                return result
            if result.code != Exit.UNREACHABLE:
                break
            await self.settled(person)
        self.check_supervisors()
        raise CommandFailed(arguments, result)

    async def _type(self) -> None:
        async with self._typing:
            self._typed += 1
            self._typing.notify_all()

    async def typed_more(self, commands: int) -> None:
        """Waits until so many more commands have been begun."""
        wanted = self._typed + commands
        async with self._typing:
            await self._typing.wait_for(lambda: self._typed >= wanted)

    async def settled(self, person: str) -> None:
        """Waits until everything runs and the person's agent is connected."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self.check_supervisors()
                for process in self.processes.values():
                    if process.address:
                        await process.up.wait()
                if (await self.known_by(person))[:1] == (True,):
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    async def known_by(self, person: str) -> tuple[object, ...]:
        """What a person's agent knows: whether it is connected, then everything else, as far as it
        answers. Costs next to nothing beside a command.
        """
        client = AgentClient(AgentDirectory(self.custodians[person].directory))
        found: list[object] = []
        with contextlib.suppress(Trouble):
            found.append((await client.ask(GetStatus(), Status)).connected)
            found.append(await client.ask(GetRequests(), Requests))
            found.append(await client.ask(GetCharters(), Charters))
        return tuple(found)

    def check_supervisors(self) -> None:
        """Fails when a process died otherwise than it had to."""
        broken = [process.broken for process in self.processes.values() if process.broken]
        assert not broken, broken


def given_before(command: Sequence[str], result: Result) -> bool:
    """Whether an approval that is typed again is told that it isn't wanted any more."""
    refused = result.code == Exit.REFUSED and result.data["rule"] in _GIVEN_BEFORE
    return refused and tuple(command[:2]) == ("agent", "approve")


class CarefulCeremony(Ceremony):
    """TKE's initialisation from two known parts, thresholds 2 and 2.

    Waiting, its people type a command again only when their agent knows more, or after a while.
    """

    def __init__(self, stack: CarefulStack) -> None:
        super().__init__(stack, Plan(people=PEOPLE, threshold=2, parts=PARTS), Silent())
        self._careful = stack

    async def _until(
        self,
        person: str,
        command: tuple[str, ...],
        holds: Callable[[Any], bool],
        *,
        password: bool = False,
    ) -> Any:
        perhaps = False
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                before = await self._careful.known_by(person)
                asked = await self._careful.run(
                    *command, person=person, password=password, expect=range(16)
                )
                if asked.code == 0 and holds(asked.data):
                    return asked.data
                if perhaps and given_before(command, asked):
                    return {"state": "given before"}
                assert asked.code in _MAY_COME, asked.err or asked.out
                perhaps = perhaps or asked.code == Exit.UNREACHABLE
                await self._news(person, before)

    async def _news(self, person: str, before: object) -> None:
        for _ in range(_LOOKS):
            self._careful.check_supervisors()
            await asyncio.sleep(_LOOK_SECONDS)
            if await self._careful.known_by(person) != before:
                return


class ScriptedEnd(CarefulCeremony):
    """In the last step bob's agent signs by a policy, with nobody there."""

    async def set_immediate(self) -> None:
        stack, (alice, bob) = self._careful, PEOPLE
        filer = await stack.run("agent", "status", person=alice)
        shown = await stack.run("charter", "show", person=alice)
        policy = stack.directory / "policy.toml"
        text = _POLICY.format(
            filer=filer.data["agent"],
            vp=VP.hex(),
            targets=json.dumps(shown.data["units"]),
            ski=stack.custodians[bob].ski,
        )
        private_files.write(policy, text.encode(), untouched="")
        agent = stack.processes[bob]
        await agent.stop()
        password = str(stack.custodians[bob].password_file)
        agent.arguments += ["--policy", str(policy), "--password-file", password]
        await agent.start()
        filed = await stack.run(
            "tke", "cryptounit-mk-setimm", "--yes", "--unsigned", "--purpose", "at night",
            person=alice,
        )  # fmt: skip
        await self._watch(alice, 9, "set immediate", filed.data["request"])


_POLICY = """
name = "nightly"
filer = "{filer}"
until = 2999-01-01T00:00:00Z

[[allow]]
command = "set-immediate"
key = "{vp}"
targets = {targets}
purpose = "at night"
times = 1
sign-with = "{ski}"
"""


@dataclass(frozen=True)
class UnitEnd:
    """What a unit has come to: its last state, and what it ran."""

    state: UnitState
    version: int
    ran: list[str]


def unit_ends(directory: Path) -> list[UnitEnd]:
    """Every unit of the host, by its own verified history; the host must be stopped."""
    place = StateDirectory(directory)
    ends = []
    with Store.open(place, load_device_key(place)) as store:
        for unit in store.units():
            certificate = unit.certified.opened()
            page = store.history(certificate.unit, StateVersion(0))
            history = verify_history(page.entries, certificate.identity)
            ends.append(UnitEnd(unit.memory.state, unit.memory.version, _ran(history)))
    return ends


def _ran(history: History) -> list[str]:
    receipts = [entry for entry in history.entries if isinstance(entry, Receipt)]
    assert len({receipt.parsed().id for receipt in receipts}) == len(receipts)
    return [tke_name_of(receipt.parsed().body) for receipt in receipts]


async def assert_ended_as_ever(stack: CarefulStack, outcome: Outcome) -> None:
    """The same end as that of a ceremony that nothing disturbed. Stops the stack."""
    stack.check_supervisors()
    assert outcome.verified
    assert [one["command"] for one in outcome.requests] == COMMANDS
    assert {one["state"] for one in outcome.requests} == {"executed"}
    skis = sorted(custodian.ski for custodian in stack.custodians.values())
    signed = [one["approvals"] for one in outcome.requests]
    assert signed == [[], [], skis, signed[3], skis, signed[5]]
    assert [len(one) for one in signed] == [0, 0, 2, 1, 2, 1]
    await stack.stop()
    ends = unit_ends(stack.directory / "units")
    assert len(ends) == 2
    for end in ends:
        assert end.ran == COMMANDS
        assert end.version == 1 + len(COMMANDS)
        state = end.state
        assert (state.signature_threshold, state.revocation_threshold) == (2, 2)
        assert sorted(one.ski.hex() for one in state.administrators) == skis
        assert state.new.state is RegisterState.EMPTY
        assert state.current.state is RegisterState.VALID
        assert state.current.vp == VP
