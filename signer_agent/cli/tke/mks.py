"""Key part files on this machine: listed, made, removed."""

from collections.abc import Sequence

import click

from protocol.displayable import is_printable_string, shown
from protocol.files.keyfile_header import PartName
from protocol.secrets import Secret
from quorate import clock
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import (
    PasswordSource,
    answer,
    confirmed,
    drained,
    hidden,
    password_options,
)
from signer_agent.cli.place import agent_option
from signer_agent.cli.tke.sigkeys import sent_or_kept
from signer_agent.client.agent_client import AgentClient
from signer_agent.keys import part_files
from signer_agent.keys.part_files import PartFile
from signer_agent.local.messages import AnnouncePart, GetStatus, Status


def _files(client: AgentClient) -> list[tuple[int, PartFile]]:
    return list(enumerate(part_files.list_in(client.directory.keys).usable, start=1))


def _table(console: Console, client: AgentClient) -> list[tuple[int, PartFile]]:
    files = _files(client)
    if not files:
        console.say(f"No key parts in {client.directory.keys_as_said}.")
        return files
    console.table(
        ("KEYNUM", "DESCRIPTION", "VERIFICATION PATTERN"),
        [(str(number), part.name, part.vp.hex()) for number, part in files],
    )
    return files


def _objects(files: Sequence[tuple[int, PartFile]]) -> list[Json]:
    return [
        {"number": number, "name": part.name, "vp": part.vp.hex(), "file": part.path.name}
        for number, part in files
    ]


@click.command(cls=Command)
@agent_option
@pass_console
def mks(console: Console, client: AgentClient) -> None:
    """Lists the key part files on this machine."""
    files = _table(console, client)
    console.object({"parts": _objects(files), "directory": str(client.directory.keys)})


@click.command(cls=Command)
@click.option("--random", is_flag=True, help="32 random bytes")
@click.option("--value", is_flag=True, help="64 hex digits, typed hidden")
@click.option(
    "--value-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="for scripts: the 64 hex digits from an open descriptor; 0 is stdin",
)
@click.option("--description", help="what you call it: 1 to 30 characters")
@password_options
@agent_option
@pass_console
async def mk_add(
    console: Console,
    random: bool,
    value: bool,
    value_fd: int | None,
    description: str | None,
    password_source: PasswordSource,
    client: AgentClient,
) -> None:
    """Makes a key part file. The instance is told its verification pattern, not its value."""
    settings = client.directory.read()
    await client.ask(GetStatus(), Status)  # there has to be an agent, or nothing is made
    if random + value + (value_fd is not None) != 1:
        raise Trouble(
            Exit.USAGE,
            "a key part is random or given",
            expected="one of --random, --value, --value-fd N",
            next="quorate tke mk-add --random",
        )
    if value_fd is not None:
        part = part_files.part_from_hex(Secret(drained(value_fd, "--value-fd")))
    elif value:
        part = _typed(console, "Key part, 64 hex digits:")
        if not part.matches(_typed(console, "The same again:")):
            raise Trouble(Exit.REFUSED, "the two aren't the same; no key part was made")
    else:
        part = part_files.new_part()
    if description is None:
        description = answer(console, "Description:", instead="--description TEXT")
    if not (1 <= len(description) <= 30 and is_printable_string(description)):
        raise Trouble(
            Exit.REFUSED,
            "a description has 1 to 30 letters, digits, blanks or any of '()+,-./:=?; no key part "
            "was made",
            found=shown(description)
            if len(description) <= 30
            else f"{len(description)} characters",
            next="choose another",
        )
    password = password_source.passwords(console).choose()
    made = part_files.keep(
        client.directory.keys,
        part,
        password,
        name=PartName(description),
        practice=settings.practice,
        at=clock.now(),
    )
    part.wipe()
    console.say(
        f"✓ key part made, mode 0600. Only this password opens it. {settings.instance} is "
        "told its VP, not its value."
    )
    told = AnnouncePart(vp=made.vp, description=description, offered=True)
    if not await sent_or_kept(client, told):
        console.say("! Not told yet: your agent does it once it has its coordinator.")
    console.object({"name": description, "vp": made.vp.hex(), "file": str(made.path)})


def _typed(console: Console, question: str) -> Secret:
    return part_files.part_from_hex(hidden(console, question, instead="--value-fd N"))


@click.command(cls=Command)
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option("--yes", is_flag=True, help="for scripts: don't ask")
@agent_option
@pass_console
async def mk_rm(console: Console, number: int | None, yes: bool, client: AgentClient) -> None:
    """Removes a key part file from this machine, and withdraws its announcement."""
    files = dict(_table(console, client))
    if number is None:
        text = answer(console, "Key number to remove:", instead="the number")
        number = int(text) if text.isdecimal() else 0
    part = files.get(number)
    if part is None:
        raise Trouble(
            Exit.REFUSED,
            "there is no such key number",
            expected=f"1 to {len(files)}",
            found=number,
            next="quorate tke mks",
        )
    question = f'Remove "{part.name}"? Without a copy nobody can give this part again.'
    if not yes and not confirmed(console, question, instead="--yes"):
        raise Trouble(Exit.REFUSED, f'"{part.name}" is still there', next="nothing")
    # Withdrawn first, so that typing it again finishes what was cut short.
    told = await sent_or_kept(
        client, AnnouncePart(vp=part.vp, description=part.name, offered=False)
    )
    if not told:
        # It is the agent's to withdraw: where none runs, the file stays.
        await client.ask(GetStatus(), Status)
    part.remove()
    console.say(f'✓ "{part.name}" removed')
    if not told:
        console.say("! Not withdrawn yet: your agent does it once it has its coordinator.")
    console.object({"removed": part.path.name})
