"""Submit to executed: two of three unlocked agents sign at once, two crypto units run it."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from bench.rows import Row, middle
from coordinator.directory import CoordinatorDirectory
from hsm_backend.client.driver import Ran
from hsm_backend.client.host_client import HostClient
from protocol.commands.bodies import Body, SetThresholds
from protocol.identifiers import Nonce, UnitId
from protocol.receipts import StateAnswer
from protocol.request import RequestState
from protocol.schema import from_bytes
from protocol.session.messages import Done
from quorate import tls
from tests.cast.bare_agents import BareAgent
from tests.cast.commands import adds, command_for_state, nonce, signed
from tests.cast.people import ALICE, BOB, CAROL
from tests.scenarios.bare_stack import BareStack, bare_stack

_PEOPLE = (ALICE, BOB, CAROL)
_BODY = SetThresholds(signatures=2, revocations=2)
_WARM_UP = 5


async def measure(directory: Path, quick: bool) -> Row:
    """Alice files, Bob and Carol sign what they are told; the clock stops when Alice knows."""
    runs = 20 if quick else 200
    stack = await bare_stack(directory / "stack", _PEOPLE)
    try:
        await _initialise(stack)
        signers = [asyncio.create_task(_sign_all(stack[one.name])) for one in (BOB, CAROL)]
        times = [await _once(stack) for _ in range(_WARM_UP + runs)]
        for signer in signers:
            signer.cancel()
        await asyncio.gather(*signers, return_exceptions=True)
        alone = await _units_alone(directory / "stack" / "coordinator", stack, runs)
    finally:
        await stack.close()
    return Row(
        name="submit to executed, 2 of 3 agents, 2 units",
        ours=middle(times[_WARM_UP:]) * 1000,
        limit=middle(alone[_WARM_UP:]) * 1000,
        unit="ms",
        aim="ours below 15 ms",
        note="the two units alone: state, prepare, execute, by one client with signatures at hand",
    )


async def _initialise(stack: BareStack) -> None:
    alice = stack["alice"]
    for who in _PEOPLE:
        await alice.until(await _file(alice, stack, adds(who)), RequestState.EXECUTED)
    number = await _file(alice, stack, _BODY)
    for name in ("alice", "bob"):
        await stack[name].until(number, RequestState.COLLECTING)
        await stack[name].approve(number)
    await alice.until(number, RequestState.EXECUTED)


async def _file(agent: BareAgent, stack: BareStack, body: Body) -> int:
    done = await agent.file(body, stack.units)
    if not isinstance(done, Done) or done.request is None:
        raise AssertionError(done)
    return done.request


async def _once(stack: BareStack) -> float:
    alice = stack["alice"]
    began = time.perf_counter()
    number = await _file(alice, stack, _BODY)
    await alice.until(number, RequestState.EXECUTED)
    return time.perf_counter() - began


async def _sign_all(agent: BareAgent) -> None:
    """Signs whatever collects, as soon as the agent hears of it, until cancelled."""
    signed = 0

    def found() -> int | None:  # one request at a time: only the newest can be one to sign
        newest = next(reversed(agent.requests), 0)
        collects = newest > signed and agent.requests[newest].state is RequestState.COLLECTING
        return newest if collects else None

    while True:
        signed = await agent.when(found)
        await agent.approve(signed)


async def _units_alone(place: Path, stack: BareStack, runs: int) -> list[float]:
    """The same commands straight to the units, as fast as one client can."""
    host = stack.stack.units
    keys = CoordinatorDirectory(place)
    certificate = (place.parent / "units" / "tls.pem").read_text()
    async with HostClient(
        host.address,
        pinned=tls.fingerprint(certificate),
        certificate=keys.tls_certificate,
        key=keys.tls_key,
    ) as client:
        return [await _alone(client, stack.units, run) for run in range(_WARM_UP + runs)]


async def _alone(client: HostClient, units: Sequence[UnitId], run: int) -> float:
    """State, prepare and execute on both at once; what is signed in between isn't timed."""
    asked = (Nonce(nonce(f"run {run}")),)
    began = time.perf_counter()
    answers = await asyncio.gather(*(client.state(unit, asked) for unit in units))
    took = time.perf_counter() - began
    commands = [
        signed(command_for_state(_BODY, from_bytes(StateAnswer, answer.statement)), (BOB, CAROL))
        for answer in answers
    ]
    both = list(zip(units, commands, strict=True))
    began = time.perf_counter()
    refusals = await asyncio.gather(*(client.prepare(unit, command) for unit, command in both))
    outcomes = await asyncio.gather(*(client.execute(unit, command) for unit, command in both))
    took += time.perf_counter() - began
    if any(refusals) or not all(isinstance(outcome, Ran) for outcome in outcomes):
        raise AssertionError((refusals, outcomes))
    return took
