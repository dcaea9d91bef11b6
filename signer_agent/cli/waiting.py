"""Waiting for a request: shown while it moves, told once it rests."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from protocol.displayable import shown
from protocol.identifiers import Duration
from protocol.request import Request, RequestState
from quorate import clock, times
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from signer_agent.cli.ending import conclude
from signer_agent.cli.people import People
from signer_agent.cli.progress import (
    as_json,
    behind,
    complete,
    going_on,
    have,
    held_by,
    may_proceed,
    waiting,
)
from signer_agent.client.party import Party
from signer_agent.desk.screen import Screen
from signer_agent.local.messages import Given, Results

_SOON = 15.0
"""Seconds for what runs at once."""
_STOPS = "Ctrl-C stops watching only"


async def wait(
    client: Party,
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
        # Where there was no time to be told of it, as it is now.
        request = request or await client.request(number)
        if request is None:
            raise Trouble(
                Exit.WAITING,
                f"request {number} isn't known here yet",
                next=client.command("watch", number),
            ) from None
        if not request.ended:
            raise waiting(client, request, people, more or {}) from None
    return await client.results(number)


async def until_counted(client: Party, screen: Screen, given: Given, people: People) -> None:
    """Waits for the news that what was given just now is counted; not longer than a moment."""

    async def counts(request: Request) -> bool:
        if request.ended:
            return True
        there = {it.ski for one in request.progress if one.open for it in one.approvals}
        signed = not given.signed_units or screen.keys[0].ski in there
        return signed and (not given.sealed_units or people.gave(request, screen.part_wanted))

    await _until(client, screen.request, counts)


async def settled(client: Party, number: int, people: People) -> Request | None:
    """A request that goes no further by itself: ended, in line, waiting for people or units."""

    async def rests(request: Request) -> bool:
        if request.ended or held_by(request) or await behind(client, request):
            return True
        return request.state is RequestState.COLLECTING and not complete(request, people)

    return await _until(client, number, rests)


async def tell(
    client: Party, console: Console, number: int, people: People, more: Mapping[str, Json]
) -> None:
    """Says where a request is: what came of it, or what it waits for. Nothing of it is trouble."""
    results = await client.results(number)
    request = results.request
    if request.state is RequestState.EXECUTED:
        conclude(client, console, results, people, at=True, more=more)
        return
    if request.ended:
        console.say(f"! request {request.id} has ended, {request.state}: {shown(request.why)}")
    else:
        console.say(f"… {going_on(request, people)}{await behind(client, request)}")
        proceed = may_proceed(client, request)
        if proceed is not None:
            console.say(proceed)
    console.object({**as_json(request, people), **more})


async def _until(
    client: Party, number: int, holds: Callable[[Request], Awaitable[bool]]
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
    client: Party, console: Console, people: People, *, timeout: float | None
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

    async def follow(self, client: Party, request: Request) -> None:
        """Shows how the request moves; its end is said by `conclude`."""
        people = self._people
        if self._last and complete(request, people) and not self._complete:
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
            self._last = line
            proceed = may_proceed(client, request)
            if proceed is None:
                self._console.redraw(line)
            else:
                self._console.progress(line)
                self._console.progress(proceed)

    def _brief(self, request: Request) -> bool:
        """Whether a line would be gone at once: it is complete and nothing holds it."""
        running = (RequestState.READY, RequestState.EXECUTING)
        return request.state in running and not held_by(request)
