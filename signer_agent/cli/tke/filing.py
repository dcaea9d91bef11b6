"""Filing a command, signing it in the same visit, waiting for it: what all of them share."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from protocol.commands.bodies import Body, tke_name_of
from protocol.displayable import Purpose
from protocol.identifiers import MINUTE, Duration
from protocol.refusals import Rule
from protocol.request import DEFAULT_VALIDITY, CeremonyStep, Request, RequestState
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import Passwords, PasswordSource, password_options
from signer_agent.cli import giving, waiting
from signer_agent.cli.ending import conclude
from signer_agent.cli.people import People
from signer_agent.cli.progress import as_json, behind
from signer_agent.cli.screens import counted, names
from signer_agent.cli.tke.before_filing import (
    Rows,
    check_all,
    check_that_it_can_ask,
    most_signatures_needed,
)
from signer_agent.client.agent_client import AgentClient
from signer_agent.client.party import Party
from signer_agent.desk.filing import Wish

F = TypeVar("F", bound=Callable[..., object])

_OPENS_SECONDS = 30.0
_GIVING = giving.Only(unsigned="file it unsigned", ungiven="give it later")


@dataclass(frozen=True)
class Manner:
    """How a command is filed."""

    purpose: str
    wait: bool
    seconds: float | None
    minutes: int | None
    idempotency_key: str | None
    sign: bool
    step: CeremonyStep | None = None


_UNSAID = Manner("", wait=False, seconds=None, minutes=None, idempotency_key=None, sign=True)


def filing_options(command: F) -> F:
    """Gives a command `--purpose`, `--wait`, ... and the arguments `manner`, `password_source`."""
    options: list[Any] = [
        click.option("--purpose", default="", help="in your own words; everybody reads it"),
        click.option("--wait", is_flag=True, help="show it until it ends"),
        click.option("--timeout", "seconds", type=float, metavar="S", help="with --wait: then 6"),
        click.option(
            "--valid-for",
            "minutes",
            type=click.IntRange(2, 10080),
            metavar="MIN",
            help="how long it may be signed and run; 1440 if nothing is said",
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
    found: Any = password_options(gathered)
    for option in reversed(options):
        found = option(found)
    wrapped: F = found
    return wrapped


def says_how_to_file(manner: Manner, source: PasswordSource) -> bool:
    """Whether any option of filing was given."""
    return manner != _UNSAID or source != PasswordSource()


async def file_all(
    client: Party,
    console: Console,
    bodies: Sequence[Body],
    targets: Rows,
    manner: Manner,
    source: PasswordSource,
) -> None:
    """Files the commands in turn; signs each where this person's signature is wanted."""
    keys = [_key(manner, place) for place in range(len(bodies))]
    before = [await _filed_before(client, key) for key in keys]
    if not any(before):
        check_all(bodies, targets)
    needed = most_signatures_needed(bodies[0], targets)
    if needed and manner.sign and isinstance(client, AgentClient):
        check_that_it_can_ask(client, source)
    passwords = _passwords(client, console, source)
    numbers = [
        await _file(client, body, targets, manner, place, keys[place])
        for place, body in enumerate(bodies)
    ]
    filed = "before" if all(before) else "now"
    run = _Run(client, console, await People.known(client), manner, passwords, numbers, filed)
    if not needed and filed == "now":
        plural = "s" if len(numbers) > 1 else ""
        units = f"{counted(len(targets), 'unit')} {'is' if len(targets) == 1 else 'are'}"
        console.say(
            f"✓ filed as request{plural} {', '.join(map(str, numbers))}; no signature needed: "
            f"{units} in imprint mode"
        )
    await run.go(quiet=not needed)


async def resume(
    client: Party, console: Console, command: str, manner: Manner, source: PasswordSource
) -> bool:
    """Goes on with what was filed before under the same idempotency key; False if nothing was."""
    number = await _filed_before(client, manner.idempotency_key)
    if number is None:
        return False
    request = await client.request(number)
    if request is not None and tke_name_of(request.filing.body) != command:
        raise Trouble(
            Exit.REFUSED,
            "this idempotency key was used for another command; nothing was filed",
            expected=command,
            found=f"{tke_name_of(request.filing.body)}, request {number}",
            next="give a key of its own to each command",
            rule=Rule.IDEMPOTENCY_KEY_USED.value,
        )
    people, passwords = await People.known(client), _passwords(client, console, source)
    await _Run(client, console, people, manner, passwords, [number], "before").go(quiet=False)
    return True


@dataclass
class _Run:
    """From filed to wherever this visit ends."""

    client: Party
    console: Console
    people: People
    manner: Manner
    passwords: Passwords | None
    numbers: list[int]
    filed: str

    async def go(self, *, quiet: bool) -> None:
        """Signs and follows one request after the other; `quiet` where its filing was said."""
        last = len(self.numbers) - 1
        for place, number in enumerate(self.numbers):
            if not quiet:
                await self._sign(number)
            if not self.manner.wait and place < last:
                if await self._moves(number):
                    continue
                rest = names([str(one) for one in self.numbers[place + 1 :]])
                self.console.say(f"  request {rest} in line behind it")
                await self._tell(number)
                return
            if not self.manner.wait:
                await self._tell(number)
                return
            seconds, more = self.manner.seconds, self._more()
            results = await waiting.wait(
                self.client, self.console, number, timeout=seconds, more=more
            )
            if place == last or results.request.state is not RequestState.EXECUTED:
                conclude(self.client, self.console, results, self.people, more=more)
                return

    async def _sign(self, number: int) -> None:
        """Gives what the request wants of the filer, once it is open, and says what was filed."""
        request = await _opened(self.client, number)
        verb = "filed as" if self.filed == "now" else "filed before as"
        if request is None or request.ended or request.opening is None:
            before = "" if request is None else await behind(self.client, request)
            in_line = f", in line{before}" if before else ""
            self.console.say(f"✓ {verb} request {number}{in_line}")
            return
        try:
            gave = await self._give(number)
        except Trouble as trouble:
            # It is filed all the same, and others may be asked for it.
            trouble.also = {"but": f"request {number} is filed, unsigned by you", **trouble.also}
            now = as_json(request, self.people)
            trouble.data = {**trouble.data, **now, **self._more()}
            raise
        self.console.say(f"✓ {verb} request {number}{gave}")

    async def _give(self, number: int) -> str:
        """Asks for the passwords of what is wanted; gives the words that say what was given."""
        client = self.client
        if not isinstance(client, AgentClient) or self.passwords is None:
            return f" by {client.name}; an account can't sign"
        if not self.manner.sign:
            return ""
        wanted = await giving.wanted(client, number)
        if wanted is None:
            return ""
        giving.show_screen(client, self.console, wanted)
        done = await giving.give_all(
            client, self.console, wanted, self.passwords, self.people, _GIVING
        )
        if not done:
            return ", unsigned"
        me = client.person
        texts = []
        if any(given.signed_units for _, given in done):
            texts.append(f"signed by {me} ({wanted.have + 1} of {wanted.needed})")
        if parts := sum(given.sealed_units > 0 for _, given in done):
            texts.append(f"{'part' if parts == 1 else f'{parts} parts'} given by {me}")
        return f", {', '.join(texts)}"

    async def _moves(self, number: int) -> bool:
        """Whether a request ran by itself, as it does in imprint mode."""
        request = await waiting.settled(self.client, number, self.people)
        return request is not None and request.state is RequestState.EXECUTED

    async def _tell(self, number: int) -> None:
        """Without --wait: what came of it at once, or what it waits for."""
        await waiting.settled(self.client, number, self.people)
        await waiting.tell(self.client, self.console, number, self.people, self._more())

    def _more(self) -> dict[str, Json]:
        requests: list[Json] = list(self.numbers)
        return {"requests": requests, "filed": self.filed}


def _key(manner: Manner, place: int) -> str | None:
    key = manner.idempotency_key
    return key if key is None or place == 0 else f"{key} {place}"


def _passwords(client: Party, console: Console, source: PasswordSource) -> Passwords | None:
    """Where passwords come from; None for an operator, who has no key files."""
    return source.passwords(console) if isinstance(client, AgentClient) else None


async def _filed_before(client: Party, key: str | None) -> int | None:
    return None if key is None else await client.filed(key)


async def _file(
    client: Party,
    body: Body,
    targets: Rows,
    manner: Manner,
    place: int,
    key: str | None,
) -> int:
    wish = Wish(
        body=body,
        targets=tuple(one.unit.unit for _, one in targets),
        purpose=Purpose(manner.purpose),
        step=manner.step,
        voids=None,
        valid_for=DEFAULT_VALIDITY if manner.minutes is None else Duration(manner.minutes * MINUTE),
        leave_out=False,
        # The first of several will have changed the units when the next one's turn comes.
        ahead=place > 0,
        idempotency_key=key,
    )
    return await client.file(wish)


async def _opened(client: Party, number: int) -> Request | None:
    """The request once it is opened, has ended, or waits in line behind others."""
    request: Request | None = None
    try:
        async with asyncio.timeout(_OPENS_SECONDS):
            async for news in client.watch(number):
                for request in news.requests:
                    if request.opening is not None or request.ended or request.why:
                        return request
                    if await behind(client, request):
                        return request
    except TimeoutError:
        pass
    return request
