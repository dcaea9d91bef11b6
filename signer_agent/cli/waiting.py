"""Waiting for a request: shown while it moves, ended with its own exit code."""

import asyncio
from typing import Any

from protocol.charter import Charter
from protocol.commands.bodies import LoadNewRegister, tke_name_of
from protocol.displayable import PersonName
from protocol.identifiers import SKI
from protocol.receipts import Receipt
from protocol.request import Outcome, Request, RequestState
from protocol.schema import from_bytes
from protocol.standing import counted
from quorate import times
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from signer_agent.client.agent_client import AgentClient
from signer_agent.local.messages import Charters, GetCharters, GetResults, Results

_ENDED = {
    RequestState.CANCELLED: Exit.ENDED,
    RequestState.EXPIRED: Exit.ENDED,
    RequestState.SUPERSEDED: Exit.ENDED,
    RequestState.NEEDLESS: Exit.ENDED,
    RequestState.REJECTED: Exit.REFUSED,
    RequestState.FAILED: Exit.FAILED,
    RequestState.PARTLY_EXECUTED: Exit.FAILED,
}


class People:
    """Whose keys they are, by the newest charter that the agent knows."""

    def __init__(self, charters: Charters) -> None:
        self._charter: Charter | None = charters.versions[-1].charter if charters.versions else None

    @classmethod
    async def known(cls, client: AgentClient) -> "People":
        """Asks the agent."""
        return cls(await client.ask(GetCharters(), Charters))

    def name(self, ski: SKI) -> str:
        """The owner of a key."""
        owner = None if self._charter is None else self._charter.owner_of(ski)
        return ski.hex()[:8] if owner is None else owner.name

    def waiting_for(self, request: Request) -> list[str]:
        """Who could give what is missing; the coordinator's word for the roster."""
        if self._charter is None:
            return []
        names: set[PersonName] = set()
        for one in request.progress:
            if not one.open:
                continue
            skis = [approval.ski for approval in one.approvals]
            if counted(self._charter, skis) < one.needed:
                owners = (
                    self._charter.owner_of(it.ski)
                    for it in one.state.administrators
                    if it.ski not in skis
                )
                names |= {owner.name for owner in owners if owner is not None}
            body = request.filing.body
            if isinstance(body, LoadNewRegister) and len(one.contributions) < len(body.parts):
                given = {_custodian(it.statement) for it in one.contributions}
                givers = (
                    self._charter.custodian(part.custodian)
                    for part in body.parts
                    if part.custodian not in given
                )
                names |= {giver.name for giver in givers if giver is not None}
        return sorted(names)

    def progress(self, request: Request) -> str:
        """One line on how far a request is."""
        open_ones = [one for one in request.progress if one.open]
        if request.state is RequestState.WAITING_IN_LINE or not open_ones:
            return f"{request.state.value}"
        worst = min(open_ones, key=lambda one: len(one.approvals) - one.needed)
        signers = ", ".join(sorted({self.name(it.ski) for it in worst.approvals}))
        text = f"{len(worst.approvals)} of {worst.needed}"
        text += f": {signers}" if signers else ""
        body = request.filing.body
        if isinstance(body, LoadNewRegister):
            text = f"{len(worst.contributions)} of {len(body.parts)} parts    {text}"
        waiting = self.waiting_for(request)
        if waiting and request.state is RequestState.COLLECTING:
            text += f"    waiting for {' or '.join(waiting)}"
        elif request.state is not RequestState.COLLECTING:
            text += f"    {request.state.value}"
        return text


def _custodian(statement: bytes) -> bytes:
    from protocol.sealing.contribution import SealedPart

    return from_bytes(SealedPart, statement).custodian


async def wait(
    client: AgentClient, console: Console, number: int, *, timeout: float | None
) -> Results:
    """Follows a request until it ends; waiting Trouble after `timeout` seconds."""
    people = await People.known(client)
    told = ""
    request: Request | None = None
    try:
        async with asyncio.timeout(timeout):
            async for news in client.watch(number):
                if not news.requests:
                    continue
                request = news.requests[0]
                if request.ended:
                    break
                line = f"… {people.progress(request)}"
                if line != told:
                    console.redraw(line)
                    told = line
    except TimeoutError:
        if request is None:
            raise Trouble(Exit.WAITING, f"request {number} isn't known here yet") from None
        raise waiting(request, people) from None
    return await client.ask(GetResults(number=number), Results)


def waiting(request: Request, people: People) -> Trouble:
    """Filed and safe, and people or units must act."""
    return Trouble(
        Exit.WAITING,
        f"request {request.id} is {request.state.value}: {people.progress(request)}",
        next=f"quorate requests watch {request.id}",
        data=as_json(request, people),
    )


def conclude(console: Console, results: Results, people: People, **more: Json) -> None:
    """Says how a request ended; Trouble with its exit code where it wasn't executed."""
    request = results.request
    verified = sum(one.executed for one in results.units)
    units = len(request.progress) or len(request.filing.targets)
    data = {**as_json(request, people), "receipts_verified": verified, **more}
    if request.state is RequestState.EXECUTED and verified == units:
        console.say(f"✓ executed on {verified} of {units} units, receipts verified")
        unnamed = [one for one in results.units if one.part_named is False]
        if unnamed:
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
    also = {
        str(one.unit): f"{one.refused.rule}: expected {one.refused.expected}, found "
        f"{one.refused.found}"
        for one in results.units
        if one.refused is not None
    }
    raise Trouble(
        _ENDED[request.state],
        f"request {request.id} is {request.state.value}: {request.why}",
        next=f"quorate requests refile {request.id}      if it is still wanted",
        also=also,
        data=data,
    )


def as_json(request: Request, people: People) -> dict[str, Any]:
    """A request for scripts (transcripts §8)."""
    signed = sorted({one.ski.hex() for it in request.progress for one in it.approvals})
    counted_skis: set[str] = set()
    for one in request.progress:
        if one.receipt is not None:
            receipt = from_bytes(Receipt, one.receipt.statement)
            counted_skis |= {approval.ski.hex() for approval in receipt.approvals}
    return {
        "instance": request.filing.instance,
        "request": request.id,
        "command": tke_name_of(request.filing.body),
        "state": request.state.value,
        "needed": max((one.needed for one in request.progress), default=0),
        "waiting_for": [] if request.ended else people.waiting_for(request),
        "signed_by": signed,
        "approvals": sorted(counted_skis),
        "executed_on": [
            one.unit.hex() for one in request.progress if one.outcome is Outcome.EXECUTED
        ],
        "expires": None
        if request.opening is None
        else times.for_scripts(request.opening.not_after),
    }
