"""`quorate ceremony`: plans of commands, checked beforehand, run step by step, taken up again."""

from pathlib import Path

import click

from quorate.commands import Group, pass_console
from quorate.console import Console
from signer_agent.cli.agent import report
from signer_agent.cli.ceremony_options import Manner, running_options
from signer_agent.cli.tke.identity import party_option, say_whose_word
from signer_agent.client.party import Party

_plan = click.argument("plan", type=click.Path(path_type=Path, dir_okay=False), metavar="PLAN.toml")


@click.group(cls=Group)
def ceremony() -> None:
    """A whole ceremony as a file: what would happen, run it, go on with it, its report."""


@ceremony.command()
@_plan
@party_option
@pass_console
async def check(console: Console, plan: Path, client: Party) -> None:
    """What PLAN would do, by how the units are now, and what is missing. Files nothing.

    Ends with 3 where something known keeps it from its end.
    """
    from protocol.ceremony.forecast import forecast
    from signer_agent.ceremonies.looking import situation_of
    from signer_agent.cli.ceremony_plan import read_plan
    from signer_agent.cli.ceremony_screens import foreseen, tell

    read, _ = read_plan(plan, client)
    situation, units = await situation_of(client, ())
    found = forecast(read, situation)
    tell(console, read, found, units)
    say_whose_word(console, client)
    foreseen(console, read, found)


@ceremony.command()
@_plan
@running_options
@party_option
@pass_console
async def run(console: Console, plan: Path, manner: Manner, client: Party) -> None:
    """Runs PLAN: files each command, signs it if you can, waits until it has run.

    Beside the plan it keeps a journal. It stops at the first request that is refused.
    """
    from signer_agent.cli.ceremony_running import go

    await go(console, client, plan, manner, begun=False)


@ceremony.command()
@_plan
@running_options
@party_option
@pass_console
async def resume(console: Console, plan: Path, manner: Manner, client: Party) -> None:
    """Goes on with a ceremony that `run` has begun, from how the units are now."""
    from signer_agent.cli.ceremony_running import go

    await go(console, client, plan, manner, begun=True)


ceremony.add_command(report)
