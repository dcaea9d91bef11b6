"""Zeroize: clears everything in the selected units."""

import click

from protocol.commands.bodies import Zeroize
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import PasswordSource, answer
from signer_agent.cli.place import agent_option
from signer_agent.cli.tke.filing import Manner, file_all, filing_options
from signer_agent.cli.tke.selection import targets
from signer_agent.client.agent_client import AgentClient


@click.command(cls=Command)
@click.option("--yes-destroy", metavar="NAME", help="for scripts: the instance's name")
@filing_options
@agent_option
@pass_console
async def cryptounit_zeroize(
    console: Console,
    yes_destroy: str | None,
    manner: Manner,
    password_source: PasswordSource,
    client: AgentClient,
) -> None:
    """Clears administrators, registers, thresholds of the selected units; back to imprint mode."""
    rows = await targets(client)
    settings = client.directory.read()
    console.say(f"! This clears {len(rows)} units of {settings.instance}: master keys, too.")
    for _, one in rows:
        console.say(f"  {one.unit}")
    if yes_destroy is None:
        yes_destroy = answer(
            console,
            f"Type the instance's name ({settings.instance}):",
            instead="--yes-destroy NAME",
        )
    if yes_destroy != settings.instance:
        raise Trouble(
            Exit.REFUSED,
            "that isn't the instance's name; nothing was filed",
            expected=settings.instance,
            found=yes_destroy,
        )
    await file_all(client, console, [Zeroize()], rows, manner, password_source)
