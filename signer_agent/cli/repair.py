"""`quorate repair`: what makes units that differ equal again, proposed and filed on request."""

import click

from quorate.commands import Group, pass_console
from quorate.console import Console
from signer_agent.cli.tke.identity import party_option, say_whose_word
from signer_agent.client.party import Party


@click.group(cls=Group)
def repair() -> None:
    """Units of an instance that differ: the fewest commands that make them equal."""


@repair.command()
@click.option(
    "--like",
    type=click.IntRange(min=1),
    metavar="NUM",
    help="the unit that is right, by CRYPTO UNIT NUM; else as most units are",
)
@click.option("--file", "filing", is_flag=True, help="file them, for custodians to sign")
@click.option("--purpose", default="repair", show_default=True, help="everybody reads it")
@party_option
@pass_console
async def plan(
    console: Console, like: int | None, filing: bool, purpose: str, client: Party
) -> None:
    """Proposes the fewest commands that make all units equal, in an order that runs.

    With --file they are filed, each signed for like any other request. What an imported key needs
    comes after its export has run: quorate tke auto-mk-recover does that.
    """
    from signer_agent.cli.repairing import propose

    await propose(console, client, like, filing, purpose)
    say_whose_word(console, client)
