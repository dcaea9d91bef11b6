"""Giving what a request wants: the screen, the passwords, and what came of it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from protocol.identifiers import VP, grouped
from quorate import clock, times
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import Passwords
from signer_agent.cli import seen, waiting
from signer_agent.cli.people import People
from signer_agent.cli.screens import counted, lines_of
from signer_agent.client.agent_client import AgentClient
from signer_agent.desk.screen import Screen
from signer_agent.keys import part_files, signature_files
from signer_agent.keys.troubles import of_unusable
from signer_agent.local.messages import (
    ApproveRequest,
    FilePassword,
    Given,
    Shown,
    ShowRequest,
)


@dataclass(frozen=True)
class Only:
    """Which of what is wanted to give, and what an empty password means for each."""

    signature: bool = True
    part: bool = True
    unsigned: str = "don't sign"
    ungiven: str = "don't give it"


async def show(client: AgentClient, console: Console, number: int) -> Screen:
    """Reviews a request and shows it."""
    screen = (await client.ask(ShowRequest(number=number), Shown)).screen
    show_screen(client, console, screen)
    return screen


def show_screen(client: AgentClient, console: Console, screen: Screen) -> None:
    """Shows a reviewed request, and what is new since the person looked at it last."""
    new = tuple(seen.new_since(client, screen))
    for line in lines_of(
        screen, now=clock.now(), own=_own_parts(client), new=new, wide=console.wide
    ):
        console.say(line)
    for line in _unusable(client, screen):
        console.say(line)
    seen.remember(client, screen)


def _unusable(client: AgentClient, screen: Screen) -> Iterator[str]:
    """The files here that might have been meant, and can't be used."""
    keys = client.directory.keys
    files = [] if screen.keys else [*signature_files.list_in(keys).unusable]
    if screen.part is None and screen.part_wanted is not None:
        files += part_files.list_in(keys).unusable
    for bad in files:
        why = of_unusable(bad.why, bad.path.name, untouched="it wasn't used", again="look again")
        yield f"! {why.exit.label}: {why.what}"


async def wanted(client: AgentClient, number: int) -> Screen | None:
    """The reviewed request, if it wants something of this person that is here."""
    screen = (await client.ask(ShowRequest(number=number), Shown)).screen
    return screen if screen.keys or screen.part is not None else None


def _own_parts(client: AgentClient) -> set[VP]:
    return {part.vp for part in part_files.list_in(client.directory.keys).usable}


async def give_all(
    client: AgentClient,
    console: Console,
    screen: Screen,
    passwords: Passwords,
    people: People,
    only: Only,
) -> list[tuple[Screen, Given]]:
    """Gives what is wanted, further parts of the same person too; nothing for an empty password.

    What was given, with the screen that it was given on, once the agent knows that it is counted.
    """
    done: list[tuple[Screen, Given]] = []
    wanted_now: Screen | None = screen
    while wanted_now is not None:
        given = await give(client, console, wanted_now, passwords, only)
        if given is None:
            break
        done.append((wanted_now, given))
        await waiting.until_counted(client, wanted_now, given, people)
        only = replace(only, signature=False)
        wanted_now = await _next_part(client, screen.request) if given.sealed_units else None
    return done


async def _next_part(client: AgentClient, number: int) -> Screen | None:
    """The request, if it wants another part of this person; by now it may well run."""
    with contextlib.suppress(Trouble):
        screen = await wanted(client, number)
        return screen if screen is not None and screen.part is not None else None
    return None


def totals(done: list[tuple[Screen, Given]]) -> dict[str, Json]:
    """For scripts: for how many units it was signed, and parts sealed."""
    return {
        "signed_units": max((given.signed_units for _, given in done), default=0),
        "sealed_units": max((given.sealed_units for _, given in done), default=0),
    }


async def give(
    client: AgentClient, console: Console, screen: Screen, passwords: Passwords, only: Only
) -> Given | None:
    """Asks for the passwords and gives; None when the person gave an empty one."""
    wants_key = only.signature and bool(screen.keys)
    wants_part = only.part and screen.part is not None
    if not wants_key and not wants_part:
        # What the agent itself says is the better reason: who has signed when, what is enough.
        if screen.part_wanted is None:
            await client.ask(ApproveRequest(screen=screen, signature=None, part=None), Given)
        raise _nothing_to_give(client, screen, only)
    for left in reversed(range(passwords.tries)):
        signature = _key_password(passwords, screen, only) if wants_key else None
        part = _part_password(passwords, screen, only) if wants_part else None
        if signature is None and part is None:
            return None
        try:
            return await client.ask(
                ApproveRequest(screen=screen, signature=signature, part=part), Given
            )
        except Trouble as trouble:
            if trouble.exit is not Exit.WRONG_PASSWORD:
                raise
            if left == 0:
                raise _out_of_tries(trouble, screen, passwords.tries) from None
            tries = "1 try" if left == 1 else f"{left} tries"
            console.progress(f"✗ wrong password. {trouble.what} {tries} left.")
    return None


def _key_password(passwords: Passwords, screen: Screen, only: Only) -> FilePassword | None:
    file = screen.keys[0].file
    typed = passwords.ask(f"Password for {file} (empty: {only.unsigned}):")
    return None if typed.is_empty() else FilePassword(file=file, password=typed.reveal())


def _part_password(passwords: Passwords, screen: Screen, only: Only) -> FilePassword | None:
    part = screen.part
    if part is None:
        return None
    typed = passwords.ask(f'Password for key part "{part.name}" (empty: {only.ungiven}):')
    return None if typed.is_empty() else FilePassword(file=part.file, password=typed.reveal())


def say_given(console: Console, screen: Screen, given: Given, me: str) -> None:
    """What was stored by the coordinator, and how many there are with it."""
    if given.sealed_units:
        console.say(
            f"✓ sealed for {counted(given.sealed_units, 'unit')}, stored by the coordinator    "
            f"{parts_now(screen, me)}. Your file stays here."
        )
    if given.signed_units:
        console.say(
            f"✓ signed for {counted(given.signed_units, 'unit')}, stored by the coordinator    "
            f"{signatures_now(screen, me)}"
        )


def signatures_now(screen: Screen, me: str) -> str:
    """`2 of 2: alice, bob`, with this person's."""
    signers = {str(one.person) for one in screen.signed_by} | {me}
    return f"{screen.have + 1} of {screen.needed}: {', '.join(sorted(signers))}"


def parts_now(screen: Screen, me: str) -> str:
    """`2 of 2 parts: alice, bob`, with this person's."""
    givers = {str(part.person) for part in screen.parts if part.given} | {me}
    there = sum(part.given or part.vp == screen.part_wanted for part in screen.parts)
    return f"{there} of {counted(len(screen.parts), 'part')}: {', '.join(sorted(givers))}"


def _out_of_tries(trouble: Trouble, screen: Screen, tries: int) -> Trouble:
    counted_tries = f"{tries} tries. " if tries > 1 else ""
    until = times.moment(screen.not_after, now=clock.now())
    return Trouble(
        Exit.WRONG_PASSWORD, f"{counted_tries}{trouble.what}", next=f"{trouble.next}, by {until}"
    )


def _nothing_to_give(client: AgentClient, screen: Screen, only: Only) -> Trouble:
    if only.part and screen.part_wanted is not None:
        for bad in part_files.list_in(client.directory.keys).unusable:
            return of_unusable(
                bad.why, bad.path.name, untouched="nothing was given", again="approve again"
            )
        found = ", ".join(grouped(vp) for vp in sorted(_own_parts(client)))
        return Trouble(
            Exit.REFUSED,
            f"no file here holds the part that request {screen.request} names; nothing was given",
            expected=grouped(screen.part_wanted),
            found=found or "no key part",
            next="look for the right file: quorate tke mks. None? "
            f'quorate agent reject {screen.request} --reason "..."',
            rule="PART_NOT_WANTED",
        )
    return Trouble(
        Exit.REFUSED,
        f"request {screen.request} wants nothing of you now; nothing was given",
        expected="a signature or part of yours that is missing",
        found=f"{screen.have} of {counted(screen.needed, 'signature')}",
        next=f"quorate agent show {screen.request}",
        rule="SIGNATURE_NOT_WANTED",
    )
