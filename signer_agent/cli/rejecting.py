"""Saying No: stored, and what it comes to."""

import asyncio

from protocol.displayable import Reason
from protocol.request import Request, RequestState, open_rejection
from protocol.violations import Violation
from quorate.console import Console
from signer_agent.cli.people import People
from signer_agent.cli.screens import names
from signer_agent.client.agent_client import AgentClient
from signer_agent.local.messages import GetStatus, Ok, RejectRequest, Status

_SECONDS = 10.0


async def reject(client: AgentClient, console: Console, number: int, reason: Reason) -> None:
    """Signs and publishes a No, and says whether the request can go on."""
    await client.ask(RejectRequest(number=number, reason=reason), Ok)
    status = await client.ask(GetStatus(), Status)
    people = await People.known(client)
    charter = people.charter
    everybody = [] if charter is None else [one.name for one in charter.people]
    others = [name for name in everybody if name != status.person]
    reach = f"Your reason goes to {names(others)}; it" if others else "Your reason"
    console.say(f"✓ rejected by {status.person}, signed, stored. {reach} is in the log.")
    request = await _with_it(client, number, status)
    if request is not None:
        console.say(f"  {_comes_to(request, people, status)}")
    console.object(
        {
            "request": number,
            "rejected": True,
            "state": None if request is None else request.state.value,
        }
    )


def rejected_by(request: Request, status: Status) -> bool:
    """Whether this agent's person has said No to it."""
    for signed in request.rejections:
        try:
            if open_rejection(signed).custodian == status.agent:
                return True
        except Violation:
            continue
    return False


async def _with_it(client: AgentClient, number: int, status: Status) -> Request | None:
    """The request once the coordinator has counted the No; None if that takes long."""
    try:
        async with asyncio.timeout(_SECONDS):
            async for news in client.watch(number):
                for request in news.requests:
                    if request.ended or rejected_by(request, status):
                        return request
    except TimeoutError:
        pass
    return None


def _comes_to(request: Request, people: People, status: Status) -> str:
    if request.ended:
        own_part = status.person in people.missing_givers(request)
        why = "Without your part it can't go on" if own_part else "Those who could sign are too few"
        if request.state is not RequestState.REJECTED:
            why = "It is over"
        return f"{why}: request {request.id} has ended, {request.state}."
    signed, could = people.signers(request), people.could_sign(request)
    have, needed = people.have(request)
    last = "and" if len(could) <= needed - have else "or"
    verb = "has" if len(signed) == 1 else "have"
    so_far = f"{names(signed)} {verb} signed, " if signed else ""
    return (
        f"Your No alone doesn't stop it: {so_far}{names(could, last=last) or 'others'} can still "
        f"make it {needed} of {needed}."
    )
