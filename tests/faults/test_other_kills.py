"""kill -9 at the durable steps to which a ceremony without trouble doesn't come.

A coordinator dies over a No, a cancellation, a signature that doesn't count, a unit's refusal and a
unit that is lost; commands die while they make a coordinator, an agent, a key file, a part file. A
unit host's other steps are walked in `test_unit_durability.py`.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest

from coordinator.rehearsal.process import Server, run
from coordinator.rehearsal.stack import UNITS, Stack
from coordinator.steps import KEYS_MADE, Write
from protocol.commands.bodies import SetThresholds
from protocol.displayable import Reason
from protocol.identifiers import Instant
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.request import Rejection, Request, RequestState
from protocol.schema import from_bytes
from protocol.sealing import hpke
from protocol.sealing.contribution import give_part
from protocol.sealing.importer import ImporterKey
from protocol.session.messages import (
    Cancel,
    Contribute,
    Done,
    Refused,
    Reject,
    UnitContribution,
    WantStates,
)
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from quorate import private_files
from quorate.crash_points import STATUS, VARIABLE
from quorate.exits import Exit
from signer_agent import steps as agent
from signer_agent.client.agent_client import AgentClient
from signer_agent.directory import AgentDirectory
from signer_agent.local.messages import Charters, GetCharters
from tests.cast.bare_agents import BareAgent
from tests.cast.commands import adds, load_of, nonce
from tests.cast.people import ALICE, BOB, CAROL
from tests.faults.supervised import Supervised
from tests.scenarios.bare_stack import BareStack, bare_stack

T = TypeVar("T")
PEOPLE = (ALICE, BOB, CAROL)
COORDINATOR = [
    step
    for write in (Write.REJECTION, Write.STEERING, Write.ALARM, Write.REFUSAL, Write.COURSE)
    for step in (write.before_commit, write.after_commit)
]
COORDINATOR_TABLES = [Write.TABLES.before_commit, Write.TABLES.after_commit]
COORDINATOR_INIT = [KEYS_MADE, Write.ACCOUNT.before_commit, Write.ACCOUNT.after_commit]
AGENT = [
    agent.IDENTITY_MADE,
    agent.OFFER_WRITTEN,
    agent.KEY_FILE_WRITTEN,
    agent.PART_FILE_WRITTEN,
]


class Insisting:
    """Bare agents who come back after every loss of the coordinator and do again what they did."""

    def __init__(self, stack: BareStack, coordinator: Supervised) -> None:
        self.stack, self.coordinator = stack, coordinator

    async def __call__(self, act: Callable[[], Awaitable[T]]) -> T:
        """Does it, and again until there is an answer."""
        while True:
            try:
                return await act()
            except (ConnectionError, AssertionError):
                if all(one.closed is None for one in self.stack.agents.values()):
                    raise
                await self._come_back()

    async def _come_back(self) -> None:
        for one in self.stack.agents.values():
            while one.closed is not None:
                await one.close()
                await self.coordinator.up.wait()
                try:
                    await one.connect()
                except (aiohttp.ClientError, ConnectionError, TypeError):
                    continue  # it died again meanwhile
                one.closed = None
                await one.caught_up()


def number_of(answer: Done | Refused) -> int:
    assert isinstance(answer, Done) and answer.request is not None, answer
    return answer.request


def rejection(request: Request) -> Reject:
    """Carol's No."""
    assert request.opening is not None
    said = Rejection(
        request=request.opening.digest,
        custodian=CAROL.agent,
        reason=Reason("not now"),
        at=Instant(request.opening.not_before),
    )
    return Reject(rejection=sign_statement(Label.REJECTION, said, CAROL.identity.sign))


def spoilt_part(request: Request, value: bytes) -> Contribute:
    """Bob's part by its VP and signature; what is sealed is another one."""
    assert request.opening is not None
    (one,) = request.progress
    assert one.importer is not None
    contribution = give_part(
        value,
        request.command(one.target),
        from_bytes(ImporterKey, one.importer.statement),
        BOB.agent,
        seal=lambda plain, key, info: hpke.seal(bytes(len(plain)), key, info=info),
        sign=BOB.identity.sign,
    )
    given = UnitContribution(unit=one.unit, contribution=contribution)
    return Contribute(request=request.opening.digest, contributions=(given,))


async def until_reach_is(wanted: bool, agent: BareAgent, number: int) -> None:
    """Asks for the unit's state until the request says so: nobody knows it before somebody asks."""
    unit = agent.requests[number].progress[0].unit
    while agent.requests[number].progress[0].reachable is not wanted:
        await agent.ask(lambda ref: WantStates(ref=ref, units=(unit,), nonce=nonce("reach")))
        await asyncio.sleep(0.1)


async def initialise(stack: BareStack) -> None:
    """Three administrators, thresholds 2 and 2."""
    alice, bob = stack["alice"], stack["bob"]
    for who in PEOPLE:
        number = number_of(await alice.file(adds(who), stack.units))
        await alice.until(number, RequestState.EXECUTED)
    number = number_of(await alice.file(SetThresholds(signatures=2, revocations=2), stack.units))
    for one in (alice, bob):
        await one.until(number, RequestState.COLLECTING)
        number_of(await one.approve(number))
    await alice.until(number, RequestState.EXECUTED)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Insisting]:
    """One unit, initialised, and a coordinator that is to die at every one of `COORDINATOR`."""
    processes = Stack(tmp_path / "stack", people=(), units=UNITS[:1])
    processes.coordinator = coordinator = Supervised(processes.coordinator, COORDINATOR)
    stack = await bare_stack(tmp_path / "stack", PEOPLE, stack=processes)
    try:
        await initialise(stack)
        yield Insisting(stack, coordinator)
    finally:
        await stack.close()


async def test_a_coordinator_over_what_goes_wrong(world: Insisting):
    insist, stack = world, world.stack
    alice, bob, carol = (stack[who.name] for who in PEOPLE)
    unwanted = SetThresholds(signatures=3, revocations=2)

    number = number_of(await alice.file(unwanted, stack.units))
    asked = await carol.until(number, RequestState.COLLECTING)
    no = rejection(asked)
    number_of(await insist(lambda: carol.publish(no)))
    said = await insist(lambda: alice.when(lambda: alice.requests[number].rejections or None))
    assert said == (no.rejection,)
    cancel = Cancel(filing=asked.filing.digest, reason=Reason("a mistake"))
    number_of(await insist(lambda: alice.publish(cancel)))
    await insist(lambda: alice.until(number, RequestState.CANCELLED))

    number = number_of(await alice.file(unwanted, stack.units))
    asked = await insist(lambda: bob.until(number, RequestState.COLLECTING))
    refused = await insist(lambda: bob.approve(number, practice=False))
    assert isinstance(refused, Refused)
    assert refused.refusal.rule is Rule.SIGNATURE_NOT_WANTED
    cancel = Cancel(filing=asked.filing.digest, reason=Reason("a mistake"))
    number_of(await insist(lambda: alice.publish(cancel)))

    value = BOB.part()
    load = load_of([(ALICE, ALICE.part()), (BOB, value)])
    number = number_of(await alice.file(load, stack.units))
    asked = await alice.until(number, RequestState.COLLECTING)
    number_of(await alice.contribute(number, ALICE.part()))
    number_of(await bob.publish(spoilt_part(asked, value)))
    number_of(await alice.approve(number))
    await insist(lambda: bob.when(lambda: bob.requests[number].progress[0].refusal))
    number_of(await insist(lambda: bob.contribute(number, value)))
    done = await insist(lambda: alice.until(number, RequestState.EXECUTED))
    receipt = done.progress[0].receipt
    assert receipt is not None
    assert from_bytes(Receipt, receipt.statement).version == len(["made", *PEOPLE, 2, load])

    number = number_of(await alice.file(unwanted, stack.units))
    await alice.until(number, RequestState.COLLECTING)
    for running in (False, True):
        server = stack.stack.units
        await (server.start() if running else server.stop())
        await insist(partial(until_reach_is, running, alice, number))
    assert insist.coordinator.died == COORDINATOR
    assert insist.coordinator.broken is None


async def dies(step: str, *arguments: str, given: str | None = None) -> None:
    """Runs a command that must die at the step."""
    await run(arguments, environment={VARIABLE: step}, given=given, expect=(STATUS,))


@pytest.mark.parametrize("step", COORDINATOR_INIT)
async def test_a_coordinator_that_was_half_made(tmp_path: Path, step: str):
    place, password = str(tmp_path / "made"), tmp_path / "password"
    private_files.write(password, b"correct horse battery staple", untouched="")
    init = ["coordinator", "init", place, "--instance", "ledger-eu", "--practice"]
    init += ["--manager", "amy", "--password-file", str(password)]
    await dies(step, *init)
    again = await run(init, expect=(Exit.REFUSED,))
    assert "setup-token" in again.data["next"]
    made = await run(["coordinator", "setup-token", place])
    assert made.data["setup_token"]
    server = Server(
        "coordinator", ["coordinator", "serve", place, "--port", "0"], tmp_path / "log", {}
    )
    try:
        assert await server.start()
    finally:
        await server.stop()


@pytest.mark.parametrize("step", COORDINATOR_TABLES)
async def test_a_coordinator_whose_database_was_half_made(tmp_path: Path, step: str):
    """All of its tables are there or none, so whoever makes it again isn't in their way."""
    place = tmp_path / "made"
    init = ["coordinator", "init", str(place), "--instance", "ledger-eu", "--practice"]
    await dies(step, *init)
    with contextlib.closing(sqlite3.connect(place / "coordinator.db")) as database:
        ((tables,),) = database.execute("SELECT count(*) FROM sqlite_master")
    assert (tables > 0) == (step == Write.TABLES.after_commit)
    made = await run(init)
    assert made.data["setup_token"]


async def test_a_coordinator_without_its_keys_is_made_anew(tmp_path: Path):
    """Whatever else is there: the identity key comes last."""
    place = tmp_path / "made"
    init = ["coordinator", "init", str(place), "--instance", "ledger-eu", "--practice"]
    await dies(KEYS_MADE, *init)
    (place / "identity.key").unlink()
    made = await run(init)
    assert made.data["setup_token"]


async def test_commands_die_while_they_make_an_agent_and_its_keys(tmp_path: Path):
    async with Stack(tmp_path / "stack", people=["alice"], units=UNITS[:1]) as stack:
        await stack.start_coordinator_and_units()
        alice = stack.custodians["alice"]
        place = str(alice.directory)
        private_files.write(alice.password_file, b"correct horse battery staple\n", untouched="")
        invited = await run(["coordinator", "invite", str(tmp_path / "stack/coordinator"), "alice"])
        init = ["agent", "init", place, "--invitation-file", "-"]
        invitation = invited.data["invitation"] + "\n"
        await dies(agent.IDENTITY_MADE, *init, given=invitation)
        made = await run(init, given=invitation)
        await alice.agent.start()

        options = ["--agent", place, "--password-file", str(alice.password_file)]
        key = ["tke", "sigkey-add", "--name", "alice", *options]
        await dies(agent.OFFER_WRITTEN, *key)
        assert (await run(["tke", "sigkeys", "--agent", place])).data["keys"] == []
        await dies(agent.KEY_FILE_WRITTEN, *key)
        part = ["tke", "mk-add", "--random", "--description", "alice part", *options]
        await dies(agent.PART_FILE_WRITTEN, *part)
        keys = (await run(["tke", "sigkeys", "--agent", place])).data["keys"]
        parts = (await run(["tke", "mks", "--agent", place])).data["parts"]
        assert (len(keys), len(parts)) == (1, 1)

        await alice.agent.kill()
        await alice.agent.start()
        known = await told(AgentClient(AgentDirectory(alice.directory)))
        assert [one.claim.agent.hex() for one in known.keys] == [made.data["agent"]]
        assert [one.ski.hex() for one in known.keys] == [keys[0]["ski"]]
        assert [one.vp.hex() for one in known.parts] == [parts[0]["vp"]]


async def told(client: AgentClient) -> Charters:
    """What the instance knows of, once it was told of a key and a part."""
    async with asyncio.timeout(30):
        while True:
            known = await client.ask(GetCharters(), Charters)
            if known.keys and known.parts:
                return known
            await asyncio.sleep(0.05)
