"""How far a request is, as the coordinator tells it: a line for people, an object for scripts."""

from collections.abc import Mapping
from typing import Any

from protocol.commands.bodies import Void, tke_name_of
from protocol.receipts import Receipt
from protocol.request import Outcome, Request, RequestState, TargetProgress
from protocol.schema import from_bytes
from quorate import times
from quorate.exits import Exit, Json, Trouble
from signer_agent.cli.people import People
from signer_agent.cli.screens import counted, names
from signer_agent.client.party import Party


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
    held = holding(request)
    count = len(request.progress)
    match request.state:
        case RequestState.COLLECTING:
            waits = waits_for(request, people)
            waiting = f"    waiting for {waits}" if waits else ""
            return have(request, people) + waiting
        case RequestState.READY if held:
            away = sum(one.open for one in held)
            moved = len(held) - away
            why = [f"{away} out of reach"] * bool(away) + [f"{moved} moved on"] * bool(moved)
            ready = f"ready on {count - len(held)} of {counted(count, 'unit')}"
            return f"{ready}, held: {', '.join(why)}"
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


def waiting(client: Party, request: Request, people: People, more: Mapping[str, Json]) -> Trouble:
    """Filed and safe, and people or units must act."""
    return Trouble(
        Exit.WAITING,
        f"request {request.id}: {going_on(request, people)}. It goes on by itself.",
        next=client.command("watch", request.id),
        data={**as_json(request, people), **more},
    )


async def behind(client: Party, request: Request) -> str:
    """Which requests are before it in the line of its targets: ` behind request 12`, or ``."""
    if request.state is not RequestState.WAITING_IN_LINE:
        return ""
    targets = set(request.filing.targets)
    numbers = [
        str(one.id)
        for one in await client.open_requests()
        if one.id < request.id and targets & set(one.filing.targets)
    ]
    plural = "s" if len(numbers) > 1 else ""
    return f" behind request{plural} {names(numbers)}" if numbers else ""


def complete(request: Request, people: People) -> bool:
    """Whether all signatures and parts are there."""
    have, needed = people.have(request)
    return 0 < needed <= have and not people.missing_givers(request)


def holding(request: Request) -> list[TargetProgress]:
    """For whose sake a ready request doesn't run: out of reach, or moved on since it was signed."""
    if request.state is not RequestState.READY or request.proceed:
        return []
    moved = [one for one in request.progress if one.outcome is Outcome.SUPERSEDED]
    return [*held_by(request), *moved]


def may_proceed(client: Party, request: Request) -> str | None:
    """What its filer, or an operator, may do about a request that is held."""
    if not holding(request) or isinstance(request.filing.body, Void):
        return None
    who = "you don't" if client.person is None else "you filed it and don't"
    return f"Next, if {who} want to wait: {client.command('proceed', request.id)}"


def held_by(request: Request) -> list[TargetProgress]:
    """Where it is out of reach, as the coordinator says."""
    return [one for one in request.progress if one.open and not one.reachable]


def _by(count: str, people: list[str]) -> str:
    return f"{count}: {', '.join(people)}" if people else count


def as_json(request: Request, people: People) -> dict[str, Any]:
    """A request for scripts."""
    signed = sorted({one.ski.hex() for it in request.progress for one in it.approvals})
    counted_skis: set[str] = set()
    for one in request.progress:
        if one.receipt is not None:
            counted_skis |= {approval.ski.hex() for approval in receipt_of(one).approvals}
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
        "expires": expires(request),
    }


def expires(request: Request) -> str | None:
    """For scripts: until when it can be signed and run; None before that is fixed."""
    return None if request.opening is None else times.for_scripts(request.opening.not_after)


def receipt_of(one: TargetProgress) -> Receipt:
    """The receipt of an executed target; whether its unit signed it, the agent verifies."""
    if one.receipt is None:
        raise AssertionError("an executed target has a receipt")
    return from_bytes(Receipt, one.receipt.statement)
