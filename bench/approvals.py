"""Durable approvals a second through one coordinator with a hundred agents.

The agents are as many custodians as a charter can name, and more who only listen. Pairs of crypto
units have eight administrators each. In every wave one request a pair is opened; all
administrators but one send their signatures for both units at once; the clock stops when every
approval is acknowledged, so durable, and every agent has been told of all of them.

The limit is `bench.bare_server` with as many connections and the same signatures in equal waves.
"""

import asyncio
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.bare_server import packed
from bench.fleet import Line, more_files, trusting
from bench.instance import ADMINISTRATORS, Fleet, Pair
from bench.rows import Row, middle
from protocol.commands.bodies import SetThresholds
from protocol.request import Request
from protocol.session.messages import Approve, UnitApproval
from tests.cast.people import approval

_BODY = SetThresholds(signatures=ADMINISTRATORS, revocations=ADMINISTRATORS)
_SIGNATURE = b"\xa9signature\xc4\x40"
"""How a signature of 64 bytes stands in a request's bytes."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    agents: int
    pairs: int
    waves: int


FULL = Size(agents=100, pairs=16, waves=20)
QUICK = Size(agents=24, pairs=4, waves=5)
_SIGNERS = ADMINISTRATORS - 1
"""One fewer than are needed: nothing is executed meanwhile."""


@dataclass(frozen=True)
class Signed:
    """What one agent signed for a request: its publication, and the raw parts of it."""

    agent: int
    publication: Approve
    raw: list[tuple[bytes, bytes, bytes]]


async def measure(directory: Path, quick: bool) -> Row:
    """Waves through the coordinator, then through the bare server; medians."""
    size = QUICK if quick else FULL
    more_files()
    context = trusting()
    async with Fleet(directory, agents=size.agents, pairs=size.pairs, context=context) as fleet:
        waves = []
        signed: list[Signed] = []
        for _ in range(size.waves):
            requests = await fleet.file_and_open(_BODY)
            signed = [
                _sign(fleet, pair, place, request)
                for pair, request in zip(fleet.pairs, requests, strict=True)
                for place in range(_SIGNERS)
            ]
            waves.append(await _wave(fleet, signed))
            await fleet.cancel(requests)
        bare = await _bare_waves(fleet.stack.directory / "coordinator", context, signed, size)
    return Row(
        name=f"durable approvals with {size.agents} agents, two targets each",
        ours=middle(waves),
        limit=middle(bare),
        unit="1/s",
        aim="at least 0.5",
        note="a bare server: WebSocket over TLS, two Ed25519 verifications, a row in a group",
    )


def _sign(fleet: Fleet, pair: Pair, place: int, request: Request) -> Signed:
    """The approval of one administrator of the pair."""
    number = pair.administrators[place]
    key = fleet.agents[number].who.key
    approvals: list[UnitApproval] = []
    raw: list[tuple[bytes, bytes, bytes]] = []
    for one in request.progress:
        command = request.command(one.target)
        given = approval(key, command)
        approvals.append(UnitApproval(unit=one.unit, approval=given))
        raw.append((key.public_key, given.signature, command.signing_bytes()))
    assert request.opening is not None
    publication = Approve(request=request.opening.digest, ski=key.ski, approvals=tuple(approvals))
    return Signed(agent=number, publication=publication, raw=raw)


async def _wave(fleet: Fleet, signed: Sequence[Signed]) -> float:
    """Sends all approvals at once; approvals a second until all are durable and told."""
    complete = 1 + 2 * _SIGNERS
    told = asyncio.Event()
    missing = {number: len(fleet.pairs) for number in range(len(fleet.agents))}

    def listen(number: int) -> None:
        def on_news(message: bytes) -> None:
            if message.count(_SIGNATURE) == complete:
                missing[number] -= 1
                if missing[number] == 0:
                    del missing[number]
                    if not missing:
                        told.set()

        fleet.agents[number].on_news = on_news

    for number in range(len(fleet.agents)):
        listen(number)
    prepared = [fleet.agents[one.agent].prepared(one.publication) for one in signed]
    began = time.perf_counter()
    async with asyncio.timeout(60):
        await asyncio.gather(*(one.sent() for one in prepared))
        await told.wait()
    took = time.perf_counter() - began
    fleet.listen_to_none()
    return len(signed) / took


async def _bare_waves(
    place: Path, context: ssl.SSLContext, signed: Sequence[Signed], size: Size
) -> list[float]:
    """The same signatures, from as many connections, to the bare server."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.bare_server", str(place), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        address = (await server.stdout.readline()).decode().removeprefix("ready").strip()
        lines = [await Line.to(address, "/", context) for _ in range(size.agents)]
        return [await _bare_wave(lines, signed) for _ in range(size.waves)]
    finally:
        server.kill()
        await server.wait()


async def _bare_wave(lines: Sequence[Line], signed: Sequence[Signed]) -> float:
    done = asyncio.Event()
    waiting = len(signed)

    def answered(_: bytes) -> None:
        nonlocal waiting
        waiting -= 1
        if waiting == 0:
            done.set()

    for line in lines:
        line.on_message = answered
    messages = [(lines[one.agent], packed(ref, one.raw)) for ref, one in enumerate(signed)]
    began = time.perf_counter()
    for line, message in messages:
        line.send(message)
    async with asyncio.timeout(60):
        await done.wait()
    return len(signed) / (time.perf_counter() - began)
