"""Cancel, void, refile, proceed: with the words that `quorate requests` has for operators."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

from protocol.displayable import Reason
from protocol.identifiers import Instant
from protocol.request import Request, RequestState
from quorate import clock, not_recalled
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import confirmed
from signer_agent.cli.ending import conclude, ran
from signer_agent.cli.people import People
from signer_agent.cli.progress import as_json, behind, going_on, holding
from signer_agent.cli.screens import counted
from signer_agent.client.agent_client import AgentClient
from signer_agent.local.messages import (
    CancelRequest,
    Ok,
    ProceedRequest,
    Refiled,
    RefileRequest,
    Results,
    VoidRequest,
)

_NEWS_SECONDS = 10.0
_OPENS_SECONDS = 5.0


async def cancel(client: AgentClient, console: Console, number: int, reason: str) -> None:
    """Stops asking, and says what that doesn't recall."""
    await client.ask(CancelRequest(number=number, reason=Reason(reason)), Ok)
    await _until(client, number, lambda request: request.ended, _NEWS_SECONDS)
    results = await client.results(number)
    console.say(f"✓ cancelled: nobody is asked for request {number} any more")
    for line in _ended(results, clock.now()):
        console.say(line)
    live = not_recalled.as_json(results.live)
    console.object({**as_json(results.request, await People.known(client)), "live": live})


async def void(client: AgentClient, console: Console, number: int) -> None:
    """Asks for what makes the signed copies of an ended request harmless."""
    filed = await client.ask(VoidRequest(number=number), Refiled)
    await _say_filed(client, console, filed, "raises the state version only")


async def refile(client: AgentClient, console: Console, number: int) -> None:
    """Asks again for the command of an ended request."""
    filed = await client.ask(RefileRequest(number=number), Refiled)
    await _say_filed(client, console, filed, "the same command, units and purpose")


async def proceed(
    client: AgentClient, console: Console, number: int, *, yes: bool, seconds: float
) -> None:
    """Runs a request without the units that hold it, and shows what becomes of it."""
    request = await client.request(number)
    held = [] if request is None else holding(request)
    if request is not None and held and not yes:
        count = len(request.progress) - len(held)
        console.progress(
            f"! {count} units will differ from the other {len(held)} until they are mended. "
            "Those can't take over meanwhile."
        )
        if not confirmed(console, f"Run on the {count} units in reach?", instead="--yes"):
            raise Trouble(
                Exit.REFUSED,
                "you said No; nothing has run",
                next=f"quorate agent watch {number}",
            )
    await client.ask(ProceedRequest(number=number), Ok)
    await _until(client, number, _ran_where_it_can, seconds)
    results = await client.results(number)
    people = await People.known(client)
    if results.request.ended:
        conclude(client, console, results, people)
        return
    verified = sum(one.executed for one in results.units)
    if verified:
        units = counted(len(results.request.progress), "unit")
        console.say(f"✓ executed on {verified} of {units}, receipts verified")
    raise Trouble(
        Exit.WAITING,
        f"request {number} is {results.request.state}",
        next=f"quorate agent watch {number}",
        data={**as_json(results.request, people), "receipts_verified": verified},
    )


def _ended(results: Results, now: Instant) -> Iterator[str]:
    """What an ended request leaves, and what one may do."""
    if not any(one.executed for one in results.units):
        yield f"  Nothing of request {results.request.id} has run."
    else:
        yield f"  {ran(results)}."
    if results.live is not None:
        yield from not_recalled.lines_of(results.live, now)
        yield f"Next: quorate agent void {results.request.id}"
    else:
        yield f"Next, if it is still wanted: quorate agent refile {results.request.id}"


async def _say_filed(client: AgentClient, console: Console, filed: Refiled, what: str) -> None:
    async def rests(request: Request) -> bool:
        asked = request.state is not RequestState.WAITING_IN_LINE
        return asked or bool(await behind(client, request))

    request: Request | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(_OPENS_SECONDS):
            async for news in client.watch(filed.request):
                for request in news.requests:
                    if await rests(request):
                        break
                else:
                    continue
                break
    people = await People.known(client)
    goes = ""
    if request is not None and request.state is RequestState.WAITING_IN_LINE:
        goes = f" In line{await behind(client, request)}"
    elif request is not None:
        goes = f" {going_on(request, people)}"
    if filed.before:
        console.say(f"✓ it was filed before, as request {filed.request}:{goes}")
    else:
        console.say(f"✓ filed as request {filed.request}: {what}.{goes}")
    asked = request is not None and request.opening is not None
    console.say(f"Next: quorate agent {'show' if asked else 'watch'} {filed.request}")
    data = {} if request is None else as_json(request, people)
    when = "before" if filed.before else "now"
    console.object({**data, "request": filed.request, "filed": when})


def _ran_where_it_can(request: Request) -> bool:
    partly = request.state is RequestState.PARTLY_EXECUTED
    return request.ended or (
        partly and not any(one.open and one.reachable for one in request.progress)
    )


async def _until(
    client: AgentClient, number: int, holds: Callable[[Request], bool], seconds: float
) -> None:
    """Follows a request until it is so, or so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for news in client.watch(number):
                if any(holds(request) for request in news.requests):
                    return
