"""What a custodian sees at a glance: what waits, all requests, how their agent is."""

import stat
from collections.abc import Iterator
from pathlib import Path

from protocol.commands import wording
from protocol.displayable import shown
from protocol.identifiers import Duration, Instant, short
from protocol.request import Request, RequestState
from quorate import clock, times
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from signer_agent.cli.people import People
from signer_agent.cli.progress import expires, going_on, waits_for
from signer_agent.cli.progress import have as have_so_far
from signer_agent.cli.rejecting import rejected_by
from signer_agent.cli.screens import have, wanted
from signer_agent.client.agent_client import AgentClient
from signer_agent.keys import part_files, signature_files
from signer_agent.local.messages import (
    GetRequests,
    GetStatus,
    PolicyLine,
    Requests,
    Shown,
    ShowRequest,
    Status,
)

_NOT_ASKED_YET = (RequestState.WAITING_IN_LINE, RequestState.EXECUTING)


async def pending(client: AgentClient, console: Console) -> None:
    """What waits, reviewed now, and what of it for this person."""
    people = await People.known(client)
    now = clock.now()
    rows: list[tuple[str, ...]] = []
    objects: list[Json] = []
    first: int | None = None
    for request in (await client.ask(GetRequests(), Requests)).requests:
        if request.ended:
            continue
        what, asked, there = await _reviewed(client, request, people)
        if first is None and asked not in ("nothing", "nothing yet"):
            first = request.id
        rows.append((str(request.id), what, asked, there, _until(request, now)))
        objects.append(
            {
                "id": request.id,
                "what": what,
                "wanted": asked,
                "have": there,
                "expires": expires(request),
            }
        )
    status = await client.ask(GetStatus(), Status)
    if status.alarm is not None:
        raise status.alarm.trouble()
    console.say(_standing(status))
    if rows:
        headers = ("ID", "WHAT", "WANTED OF YOU", "HAVE", f"UNTIL ({times.zone_header(now)})")
        console.table(headers, rows)
    else:
        console.say("Nothing waits.")
    if first is not None:
        console.say(f"Next: quorate agent show {first}")
    console.object({"instance": status.instance, "connected": status.connected, "pending": objects})


async def everything(client: AgentClient, console: Console) -> None:
    """Every request that the agent knows, as the coordinator tells it."""
    people = await People.known(client)
    now = clock.now()
    rows: list[tuple[str, ...]] = []
    objects: list[Json] = []
    for request in (await client.ask(GetRequests(), Requests)).requests:
        what = _title(request, people)
        there = have_so_far(request, people) if request.state is RequestState.COLLECTING else ""
        opening = None if request.ended else request.opening
        rows.append(
            (
                str(request.id),
                request.state.value,
                what,
                there,
                waits_for(request, people),
                "" if opening is None else times.in_table(opening.not_after),
            )
        )
        objects.append(
            {
                "id": request.id,
                "state": request.state.value,
                "what": what,
                "waiting_for": [] if request.ended else list(people.waiting_for(request)),
                "expires": expires(request),
            }
        )
    if rows:
        until = f"UNTIL ({times.zone_header(now)})"
        console.table(("ID", "STATE", "COMMAND", "HAVE", "WAITING FOR", until), rows)
    else:
        console.say("No request is known here.")
    console.object({"requests": objects})


async def status(client: AgentClient, console: Console) -> None:
    """How the agent is: connected, what it follows, what is open, key files, policy."""
    found = await client.ask(GetStatus(), Status)
    now = clock.now()
    known = (await client.ask(GetRequests(), Requests)).requests
    console.say(_row("agent", _connection(found, now)))
    charter = "none accepted" if found.accepted is None else f"version {found.accepted} accepted"
    in_force = "none in force" if found.charter is None else f"version {found.charter} in force"
    console.say(_row("charter", f"{charter}; {in_force}; log followed to entry {found.log_size}"))
    console.say(_row("open", "; ".join(_open(known, found)) or "no request"))
    files = list(_files(Path(found.keys)))
    for number, (line, _) in enumerate(files):
        console.say(_row("" if number else "keys", line))
    if not files:
        console.say(_row("keys", f"none in {found.keys}"))
    console.say(_row("policy", _policy(found.policy, now)))
    if found.alarm is not None:
        raise found.alarm.trouble()
    console.object(
        {
            "person": found.person,
            "instance": found.instance,
            "agent": found.agent.hex(),
            "connected": found.connected,
            "why_not_connected": None if found.connected else found.why,
            "charter": found.charter,
            "accepted": found.accepted,
            "open": list(found.waiting),
            "policy": None
            if found.policy is None
            else {
                "name": found.policy.name,
                "left": found.policy.left,
                "until": times.for_scripts(found.policy.until),
            },
            "log_size": found.log_size,
            "offered_keys": found.offered_keys,
            "agents": found.agents,
            "files": [one for _, one in files],
        }
    )


async def _reviewed(client: AgentClient, request: Request, people: People) -> tuple[str, str, str]:
    """What a request is, what it wants of this person, what it has: reviewed by the agent."""
    title = _title(request, people)
    if request.state in _NOT_ASKED_YET:
        return title, "nothing yet", going_on(request, people)
    try:
        screen = (await client.ask(ShowRequest(number=request.id), Shown)).screen
    except Trouble as trouble:
        return title, f"! {trouble.exit.label}: look at it", going_on(request, people)
    return screen.title, wanted(screen), have(screen)


def _title(request: Request, people: People) -> str:
    return wording.title(request.filing.body, people.owner)


def _until(request: Request, now: Instant) -> str:
    if request.ended or request.opening is None:
        return ""
    left = times.left(Duration(max(0, request.opening.not_after - now)))
    return f"{times.in_table(request.opening.not_after)}, {left}"


def _standing(found: Status) -> str:
    skew = max(found.skew_forward, found.skew_back) // 1000
    texts = [
        found.instance,
        "connected" if found.connected else "NOT connected",
        f"charter version {found.charter or 'none'}",
        f"clock within {skew + 1} s",
        f"log followed to entry {found.log_size}",
    ]
    return " · ".join(texts if found.connected else [*texts[:3], texts[4]])


def _connection(found: Status, now: Instant) -> str:
    place = found.url.removeprefix("https://")
    since = times.moment(found.since, now=now)
    if not found.connected:
        return f"of {found.person}; NOT connected to {place} since {since}: {found.why}"
    key = ", key as in the charter" if found.accepted is not None else ""
    return f"of {found.person}; connected to {place}{key}, since {since}"


def _policy(policy: PolicyLine | None, now: Instant) -> str:
    if policy is None:
        return "none: everything waits for you"
    until = times.moment(policy.until, now=now)
    left = f"{policy.left} left, until {until}"
    return f"{shown(policy.name)}, {left}; the coordinator's holder has these"


def _open(known: tuple[Request, ...], found: Status) -> Iterator[str]:
    for request in known:
        if request.ended:
            continue
        state = "rejected by you" if rejected_by(request, found) else request.state.value
        yield f"request {request.id}, {state}"


def _files(directory: Path) -> Iterator[tuple[str, Json]]:
    """A line and an object for each key file; of those that can't be used, why."""
    keys, parts = signature_files.list_in(directory), part_files.list_in(directory)
    for key in keys.usable:
        yield _file(key.path, f"{key.path.name}  SKI {short(key.ski)}", None)
    for part in parts.usable:
        yield _file(part.path, f'part "{part.name}"  VP {short(part.vp)}', None)
    for bad in (*keys.unusable, *parts.unusable):
        yield _file(bad.path, bad.path.name, _why(bad.why))


def _file(path: Path, said: str, why: str | None) -> tuple[str, Json]:
    mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
    what: Json = {"file": path.name, "mode": mode, "problem": why}
    return f"{said}  mode {mode} {'✓' if why is None else f'✗ {why}'}", what


def _why(found: Exception) -> str:
    if isinstance(found, Trouble):
        return f"{found.exit.label}: {found.what}"
    return f"{Exit.DAMAGED.label}: it isn't as it was written"


def _row(label: str, text: str) -> str:
    return f"{label:<9}{text}"
