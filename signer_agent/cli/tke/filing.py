"""Filing a command, signing it in the same visit, waiting for it: what all of them share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from protocol.commands.bodies import Body
from protocol.displayable import Purpose, shown
from protocol.identifiers import MINUTE, Duration
from protocol.request import DEFAULT_VALIDITY, RequestState
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import PasswordSource, password_options
from signer_agent.cli import giving, waiting
from signer_agent.client.agent_client import AgentClient
from signer_agent.desk.filing import Wish
from signer_agent.local.messages import FileWish, Ok, Results, UnitNow

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Manner:
    """How a command is filed."""

    purpose: str
    wait: bool
    seconds: float | None
    minutes: int | None
    idempotency_key: str | None
    sign: bool


def filing_options(command: F) -> F:
    """Gives a command `--purpose`, `--wait`, ... and the arguments `manner`, `password_source`."""
    options: list[Any] = [
        click.option("--purpose", default="", help="in your own words; everybody reads it"),
        click.option("--wait", is_flag=True, help="show it until it ends"),
        click.option("--timeout", "seconds", type=float, metavar="S", help="with --wait: then 6"),
        click.option(
            "--valid-for", "minutes", type=click.IntRange(2, 10080), metavar="MIN", help="from 1440"
        ),
        click.option("--idempotency-key", metavar="KEY", help="the same key files once"),
        click.option("--unsigned", "sign", flag_value=False, default=True, help="only file it"),
    ]

    def gathered(**arguments: Any) -> Any:
        names = ("purpose", "wait", "seconds", "minutes", "idempotency_key", "sign")
        manner = Manner(**{name: arguments.pop(name) for name in names})
        return command(**arguments, manner=manner)

    gathered.__doc__ = command.__doc__
    gathered.__name__ = getattr(command, "__name__", "command")
    gathered.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    found: Any = gathered
    for option in reversed(options):
        found = option(found)
    wrapped: F = password_options(found)
    return wrapped


async def file_all(
    client: AgentClient,
    console: Console,
    bodies: Sequence[Body],
    targets: Sequence[tuple[int, UnitNow]],
    manner: Manner,
    source: PasswordSource,
) -> None:
    """Files the commands in turn; signs each where this person's signature is wanted."""
    numbers: list[int] = []
    people = await waiting.People.known(client)
    last = len(bodies) - 1
    for place, body in enumerate(bodies):
        number = await _file(client, body, targets, manner, place)
        numbers.append(number)
        gave = await _sign(client, console, number, manner, source)
        signed = f", {gave}" if gave else ""
        console.say(f"✓ filed as request {number}{signed}")
        if not manner.wait and place == last:
            console.object({"request": number, "requests": list(numbers), "filed": True})
            return
        results = await waiting.wait(client, console, number, timeout=manner.seconds)
        if place < last:
            _must_have_run(results, people)
            continue
        requests: list[Json] = list(numbers)
        waiting.conclude(console, results, people, requests=requests)


async def _file(
    client: AgentClient,
    body: Body,
    targets: Sequence[tuple[int, UnitNow]],
    manner: Manner,
    place: int,
) -> int:
    key = manner.idempotency_key
    wish = Wish(
        body=body,
        targets=tuple(one.unit.unit for _, one in targets),
        purpose=Purpose(manner.purpose),
        step=None,
        voids=None,
        valid_for=DEFAULT_VALIDITY if manner.minutes is None else Duration(manner.minutes * MINUTE),
        leave_out=False,
        ahead=False,
        idempotency_key=key if key is None or place == 0 else f"{key} {place}",
    )
    done = await client.ask(FileWish(wish=wish), Ok)
    if done.request is None:
        raise AssertionError("a filing has a request")
    return done.request


async def _sign(
    client: AgentClient, console: Console, number: int, manner: Manner, source: PasswordSource
) -> str:
    """Gives what the new request wants of the filer, once it is open."""
    if not manner.sign:
        return ""
    opened = await _opened(client, number)
    if not opened:
        return ""
    screen = await giving.show(client, console, number)
    if not screen.keys and screen.part is None:
        return ""
    given = await giving.give(client, console, screen, source, giving.Only())
    if given is None:
        return "unsigned"
    texts = []
    if given.signed_units:
        texts.append(f"signed ({screen.have + 1} of {screen.needed})")
    if given.sealed_units:
        texts.append("your part given")
    return " and ".join(texts)


async def _opened(client: AgentClient, number: int) -> bool:
    """Waits until the request is opened and collects; False when it needs nobody, or waits."""
    async for news in client.watch(number):
        for request in news.requests:
            if request.ended:
                return False
            if request.opening is not None:
                return any(one.needed for one in request.progress if one.open)
            if request.why:
                return False
    return False


def _must_have_run(results: Results, people: waiting.People) -> None:
    request = results.request
    if request.state is not RequestState.EXECUTED:
        raise Trouble(
            Exit.FAILED,
            f"request {request.id} is {request.state.value}: {shown(request.why)}",
            next=f"quorate agent show {request.id}",
            data=waiting.as_json(request, people),
        )
