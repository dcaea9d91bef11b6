"""Giving what a request wants: the screen, the passwords, and what came of it."""

from dataclasses import dataclass

from protocol.identifiers import Instant
from quorate import clock
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import PasswordSource
from signer_agent.cli.screens import lines_of
from signer_agent.client.agent_client import AgentClient
from signer_agent.desk.screen import Screen
from signer_agent.local.messages import ApproveRequest, FilePassword, Given, Shown, ShowRequest


@dataclass(frozen=True)
class Only:
    """Which of what is wanted to give."""

    signature: bool = True
    part: bool = True


async def show(client: AgentClient, console: Console, number: int) -> Screen:
    """Reviews a request and shows it."""
    screen = (await client.ask(ShowRequest(number=number), Shown)).screen
    console.practice = screen.practice or None
    for line in lines_of(screen, now=now()):
        console.say(line)
    return screen


async def give(
    client: AgentClient, console: Console, screen: Screen, source: PasswordSource, only: Only
) -> Given | None:
    """Asks for the passwords and gives; None when the person gave an empty one."""
    wants_key = only.signature and bool(screen.keys)
    wants_part = only.part and screen.part is not None
    if only.part and screen.part_wanted is not None and screen.part is None and not wants_key:
        raise Trouble(
            Exit.REFUSED,
            f"no file here holds the part that request {screen.request} names; nothing was given",
            expected=screen.part_wanted.hex(),
            found="none of your files",
            next="look for the right file: quorate tke mks",
            rule="PART_NOT_WANTED",
        )
    if not wants_key and not wants_part:
        raise Trouble(
            Exit.REFUSED,
            f"request {screen.request} wants nothing of you now; nothing was given",
            expected="a signature or part of yours that is missing",
            found=f"{screen.have} of {screen.needed} signatures",
            next=f"quorate agent show {screen.request}",
            rule="SIGNATURE_NOT_WANTED",
        )
    passwords = source.passwords(console)
    for left in reversed(range(passwords.tries)):
        signature = part = None
        if wants_key:
            file = screen.keys[0].file
            typed = passwords.ask(f"Password for {file} (empty: don't sign):")
            if not typed.is_empty():
                signature = FilePassword(file=file, password=typed.reveal())
        if wants_part and screen.part is not None:
            name = screen.part.name
            typed = passwords.ask(f'Password for key part "{name}" (empty: don\'t give it):')
            if not typed.is_empty():
                part = FilePassword(file=screen.part.file, password=typed.reveal())
        if signature is None and part is None:
            return None
        try:
            return await client.ask(
                ApproveRequest(screen=screen, signature=signature, part=part), Given
            )
        except Trouble as trouble:
            if trouble.exit is not Exit.WRONG_PASSWORD or left == 0:
                raise
            console.progress(f"✗ wrong password. {trouble.what} {left} tries left.")
    return None


def now() -> Instant:
    """This machine's time."""
    return clock.now()
