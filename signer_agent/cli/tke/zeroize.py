"""Zeroize: clears everything in the selected units."""

import click

from protocol.commands.bodies import Zeroize
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import PasswordSource, answer
from signer_agent.cli.screens import counted, place
from signer_agent.cli.tke.filing import Manner, file_all, filing_options
from signer_agent.cli.tke.identity import party_option
from signer_agent.cli.tke.selection import targets
from signer_agent.client.party import Party
from signer_agent.local.messages import UnitNow


@click.command(cls=Command)
@click.option("--yes-destroy", metavar="NAME", help="for scripts: the instance's name")
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
    rows = await targets(client)
    units = counted(len(rows), "unit")
    console.say(f"! This clears for ever all that {units} of {client.instance} hold: master keys,")
    console.say("  administrators, thresholds. They are in imprint mode then.")
    for number, one in rows:
        console.say(f"  {number}  {place(one.unit)}  {_held(one)}")
    if yes_destroy is None:
        yes_destroy = answer(
            console,
            "Type the instance's name to file it:",
            instead="--yes-destroy NAME",
        )
    if yes_destroy != client.instance:
        raise Trouble(
            Exit.REFUSED,
            "that isn't the instance's name; nothing was filed",
            expected=client.instance,
            found=yes_destroy,
            next="look again which units you mean: quorate tke cryptounits",
        )
    await file_all(client, console, [Zeroize()], rows, manner, password_source)


def _held(one: UnitNow) -> str:
    if one.state is None:
        return "what it holds isn't known here"
    administrators = counted(len(one.state.administrators), "administrator")
    return f"{administrators}, new {one.state.new.state}, current {one.state.current.state}"
