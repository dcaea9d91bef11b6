"""Waiting for a request: shown while it moves, ended with its own exit code."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from protocol.commands.bodies import (
    Body,
    ClearNewRegister,
    CommitNewRegister,
    LoadNewRegister,
    SetImmediate,
    SetThresholds,
    Zeroize,
    tke_name_of,
)
from protocol.displayable import shown
from protocol.identifiers import Duration, grouped
from protocol.receipts import Receipt
from protocol.request import Outcome, Request, RequestState, TargetProgress
from protocol.schema import from_bytes
from quorate import clock, times
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from signer_agent.cli.people import People
from signer_agent.cli.screens import counted, names
from signer_agent.client.agent_client import AgentClient
from signer_agent.desk.receipts import UnitResult
from signer_agent.desk.screen import Screen
from signer_agent.local.messages import GetRequests, GetResults, Given, Requests, Results

_SOON = 15.0
"""Seconds for what runs at once."""
_STOPS = "Ctrl-C stops watching only"
_ENDED = {
    RequestState.CANCELLED: Exit.ENDED,
    RequestState.EXPIRED: Exit.ENDED,
    RequestState.SUPERSEDED: Exit.ENDED,
    RequestState.NEEDLESS: Exit.ENDED,
    RequestState.REJECTED: Exit.REFUSED,
    RequestState.FAILED: Exit.FAILED,
    RequestState.PARTLY_EXECUTED: Exit.FAILED,
}


async def wait(
    client: AgentClient,
    console: Console,
    number: int,
    *,
    timeout: float | None,
    more: Mapping[str, Json] | None = None,
) -> Results:
    """Follows a request until it ends; waiting Trouble after `timeout` seconds, or at Ctrl-C.

    `more` is what scripts get beside the request then.
    """
    people = await People.known(client)
    shown_last = _Shown(console, people)
    request: Request | None = None
    try:
        async with asyncio.timeout(timeout):
            async for news in client.watch(number):
                if not news.requests:
                    continue
                request = news.requests[0]
                await shown_last.follow(client, request)
                if request.ended:
                    break
    except (TimeoutError, asyncio.CancelledError):
        if request is None:
            raise Trouble(
                Exit.WAITING,
                f"request {number} isn't known here yet",
                next=f"quorate agent watch {number}",
            ) from None
        raise waiting(request, people, more or {}) from None
    return await client.ask(GetResults(number=number), Results)


async def until_counted(client: AgentClient, screen: Screen, given: Given, people: People) -> None:
    """Waits for the news that what was given just now is counted; not longer than a moment."""

    async def counts(request: Request) -> bool:
        if request.ended:
            return True
        there = {it.ski for one in request.progress if one.open for it in one.approvals}
        signed = not given.signed_units or screen.keys[0].ski in there
        return signed and (not given.sealed_units or people.gave(request, screen.part_wanted))

    await _until(client, screen.request, counts)


async def settled(client: AgentClient, number: int, people: People) -> Request | None:
    """A request that goes no further by itself: ended, in line, waiting for people or units."""

    async def rests(request: Request) -> bool:
        if request.ended or _held(request) or await behind(client, request):
            return True
        return request.state is RequestState.COLLECTING and not _complete(request, people)

    return await _until(client, number, rests)


async def tell(
    client: AgentClient, console: Console, number: int, people: People, more: Mapping[str, Json]
) -> None:
    """Says where a request is: what came of it, or what it waits for. Nothing of it is trouble."""
    results = await client.ask(GetResults(number=number), Results)
    request = results.request
    if request.state is RequestState.EXECUTED:
        conclude(console, results, people, at=True, more=more)
        return
    if request.ended:
        console.say(f"! request {request.id} has ended, {request.state}: {shown(request.why)}")
    else:
        console.say(f"… {going_on(request, people)}{await behind(client, request)}")
    console.object({**as_json(request, people), **more})


async def _until(
    client: AgentClient, number: int, holds: Callable[[Request], Awaitable[bool]]
) -> Request | None:
    request: Request | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SOON):
            async for news in client.watch(number):
                for request in news.requests:
                    if await holds(request):
                        return request
    return request


async def watch_all(
    client: AgentClient, console: Console, people: People, *, timeout: float | None
) -> None:
    """Tells every change of every request, until Ctrl-C or `timeout` seconds."""
    told: dict[int, str] = {}
    first = True
    try:
        async with asyncio.timeout(timeout):
            async for news in client.watch(None):
                for request in news.requests:
                    goes = "" if request.ended else f": {going_on(request, people)}"
                    line = f"{request.id}  {request.state}{goes}"
                    if told.get(request.id) != line and not (first and request.ended):
                        console.progress(line)
                    told[request.id] = line
                first = False
    except (TimeoutError, asyncio.CancelledError):
        pass
    console.object({"watched": len(told)})


class _Shown:
    """What was shown of a request: each line once; who was waited for and has come, stays."""

    def __init__(self, console: Console, people: People) -> None:
        self._console, self._people = console, people
        self._last = ""
        self._complete = False

    async def follow(self, client: AgentClient, request: Request) -> None:
        """Shows how the request moves; its end is said by `conclude`."""
        people = self._people
        if self._last and _complete(request, people) and not self._complete:
            self._complete = True
            self._console.redone(f"✓ {have(request, people)}")
        if request.ended:
            return
        line = f"… {going_on(request, people)}"
        if request.state is RequestState.WAITING_IN_LINE:
            line += await behind(client, request)
        elif request.opening is not None:
            left = Duration(max(0, request.opening.not_after - clock.now()))
            line += f"    {times.left(left, fine=True)}    {_STOPS}"
        if line != self._last and not self._brief(request):
            self._console.redraw(line)
            self._last = line

    def _brief(self, request: Request) -> bool:
        """Whether a line would be gone at once: it is complete and nothing holds it."""
        running = (RequestState.READY, RequestState.EXECUTING)
        return request.state in running and not _held(request)


async def behind(client: AgentClient, request: Request) -> str:
    """Which requests are before it in the line of its targets: ` behind request 12`, or ``."""
    if request.state is not RequestState.WAITING_IN_LINE:
        return ""
    known = await client.ask(GetRequests(), Requests)
    targets = set(request.filing.targets)
    numbers = [
        str(one.id)
        for one in known.requests
        if one.id < request.id and not one.ended and targets & set(one.filing.targets)
    ]
    return f" behind request {names(numbers)}" if numbers else ""


def have(request: Request, people: People) -> str:
    """What is there of what is needed, and by whom: `1 of 2: alice`."""
    have, needed = people.have(request)
    there, parts = people.parts(request)
    texts = []
    if parts:
        texts.append(_by(f"{there} of {parts} parts", people.givers(request)))
    if needed and (there == parts or have < needed):
        texts.append(_by(f"{have} of {needed}", people.signers(request)))
    return "    ".join(texts) or "no signature needed"


def going_on(request: Request, people: People) -> str:
    """One line on how far a request is that hasn't ended."""
    held = _held(request)
    count = len(request.progress)
    match request.state:
        case RequestState.COLLECTING:
            waits = waits_for(request, people)
            waiting = f"    waiting for {waits}" if waits else ""
            return have(request, people) + waiting
        case RequestState.READY if held:
            return (
                f"ready on {count - len(held)} of {counted(count, 'unit')}, held: "
                f"{len(held)} out of reach"
            )
        case RequestState.PARTLY_EXECUTED:
            ran = sum(one.outcome is Outcome.EXECUTED for one in request.progress)
            return f"partly executed: {ran} of {counted(count, 'unit')}; the rest is tried"
        case _:
            return request.state.value


def waits_for(request: Request, people: People) -> str:
    """Who could give what is missing, while it collects."""
    if request.state is not RequestState.COLLECTING:
        return ""
    signers, givers = people.could_sign(request), people.missing_givers(request)
    if signers and givers:
        return f"{names(signers, last='or')} to sign; parts of {names(givers)}"
    return names(signers, last="or") or names(givers)


def waiting(request: Request, people: People, more: Mapping[str, Json]) -> Trouble:
    """Filed and safe, and people or units must act."""
    return Trouble(
        Exit.WAITING,
        f"request {request.id}: {going_on(request, people)}. It goes on by itself.",
        next=f"quorate agent watch {request.id}",
        data={**as_json(request, people), **more},
    )


def conclude(
    console: Console,
    results: Results,
    people: People,
    *,
    at: bool = False,
    more: Mapping[str, Json] | None = None,
) -> None:
    """Says how a request ended; Trouble with its exit code where it wasn't executed.

    `at` adds when it ran, `more` is for scripts.
    """
    request = results.request
    verified = sum(one.executed for one in results.units)
    units = len(request.progress) or len(request.filing.targets)
    data = {**as_json(request, people), "receipts_verified": verified, **(more or {})}
    if request.state is RequestState.EXECUTED and verified == units:
        for line in _executed(results, units, at=at):
            console.say(line)
        if any(one.part_named is False for one in results.units):
            console.progress("! a receipt doesn't name your part: call the others")
        console.object(data)
        return
    if request.state is RequestState.EXECUTED:
        raise Trouble(
            Exit.ALARM,
            f"request {request.id} is said to be executed, and not every receipt verifies",
            expected=f"{units} receipts",
            found=f"{verified}",
            next="call the people who run the coordinator",
            data=data,
        )
    raise Trouble(
        _ENDED[request.state],
        f"request {request.id} has ended, {request.state}: {shown(request.why)}. {ran(results)}",
        next=f"quorate requests refile {request.id}      if it is still wanted",
        also=dict(answers(results)),
        data=data,
    )


def ran(results: Results) -> str:
    """On how many units it ran, by verified receipts."""
    verified = sum(one.executed for one in results.units)
    return f"It ran on {verified} of {len(results.units)} units" if verified else "Nothing has run"


def answers(results: Results) -> Iterator[tuple[str, str]]:
    """What the units said that refused it."""
    for one in results.units:
        if one.refused is not None:
            no = one.refused
            yield str(one.unit), f"{no.rule}: expected {no.expected}, found {no.found}"


def _executed(results: Results, units: int, *, at: bool) -> Iterator[str]:
    body = results.request.filing.body
    text = f"✓ executed on {units} of {counted(units, 'unit')}, receipts verified"
    if all(one.part_named for one in results.units):
        text += "; it names your part" if units == 1 else f"; all {units} name your part"
    after = _after(body, results.request.progress)
    when = max((one.at for one in results.units if one.at is not None), default=None)
    if isinstance(body, LoadNewRegister):
        yield f"{text}. {after}"
        yield from _key_line(results.units)
    elif at and when is not None:
        yield f"{text}      {times.moment(when, now=clock.now())}"
    else:
        yield f"{text}. {after}" if after else text


def _after(body: Body, progress: tuple[TargetProgress, ...]) -> str:
    """What is so now, beyond what was asked for."""
    match body:
        case SetThresholds() if all(_receipt(one).before.imprint for one in progress):
            return "Imprint mode is left: commands must be signed now."
        case LoadNewRegister():
            return "New register: Full uncommitted"
        case CommitNewRegister():
            return "New register: Full committed"
        case SetImmediate():
            return "Current register: Valid. New register: Empty"
        case ClearNewRegister():
            return "New register: Empty"
        case Zeroize():
            return "All is cleared: they are in imprint mode."
        case _:
            return ""


def _key_line(results: tuple[UnitResult, ...]) -> Iterator[str]:
    """The new register's VP, which people compare, as the receipts give it."""
    for vp in dict.fromkeys(one.new.vp for one in results if one.new is not None):
        if vp is not None:
            yield f"  {grouped(vp)}"


def _receipt(one: TargetProgress) -> Receipt:
    if one.receipt is None:
        raise AssertionError("an executed target has a receipt")
    return from_bytes(Receipt, one.receipt.statement)


def _complete(request: Request, people: People) -> bool:
    have, needed = people.have(request)
    return 0 < needed <= have and not people.missing_givers(request)


def _held(request: Request) -> list[TargetProgress]:
    return [one for one in request.progress if one.open and not one.reachable]


def _by(count: str, people: list[str]) -> str:
    return f"{count}: {', '.join(people)}" if people else count


def as_json(request: Request, people: People) -> dict[str, Any]:
    """A request for scripts."""
    signed = sorted({one.ski.hex() for it in request.progress for one in it.approvals})
    counted_skis: set[str] = set()
    for one in request.progress:
        if one.receipt is not None:
            counted_skis |= {approval.ski.hex() for approval in _receipt(one).approvals}
    return {
        "instance": request.filing.instance,
        "request": request.id,
        "command": tke_name_of(request.filing.body),
        "state": request.state.value,
        "needed": max((one.needed for one in request.progress), default=0),
        "waiting_for": [] if request.ended else people.waiting_for(request),
        "parts_from": [] if request.ended else people.missing_givers(request),
        "signed_by": signed,
        "approvals": sorted(counted_skis),
        "executed_on": [
            one.unit.hex() for one in request.progress if one.outcome is Outcome.EXECUTED
        ],
        "expires": None
        if request.opening is None
        else times.for_scripts(request.opening.not_after),
    }
