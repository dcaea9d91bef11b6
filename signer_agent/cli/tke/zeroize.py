"""Zeroize: clears everything in the selected units."""

import click

from protocol.commands.bodies import Zeroize
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.prompts import PasswordSource
from signer_agent.cli.screens import counted
from signer_agent.cli.tke import destroying
from signer_agent.cli.tke.filing import Manner, file_all, filing_options
from signer_agent.cli.tke.identity import party_option
from signer_agent.cli.tke.selection import targets
from signer_agent.client.party import Party


@click.command(cls=Command)
@destroying.destroy_option
@filing_options
@party_option
@pass_console
async def cryptounit_zeroize(
    console: Console,
    yes_destroy: str | None,
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Clears administrators, registers, thresholds of the selected units; back to imprint mode."""
    destroying.check_name(client, yes_destroy)
    rows = await targets(client)
    units = counted(len(rows), "unit")
    console.say(f"! This clears for ever all that {units} of {client.instance} hold: master keys,")
    console.say("  administrators, thresholds, control points. They are in imprint mode then.")
    destroying.say_what_they_hold(console, rows)
    destroying.say_what_is_lost(console, Zeroize(), rows)
    destroying.confirm(console, client, yes_destroy)
    await file_all(client, console, [Zeroize()], rows, manner, password_source)
