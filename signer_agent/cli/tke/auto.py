"""TKE's guided runs. They write a plan for the ceremony engine, and run it: no second way."""

from pathlib import Path
from typing import Any

import click

from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import answer
from signer_agent.cli.ceremony_options import Manner, running_options
from signer_agent.cli.tke.identity import party_option
from signer_agent.client.party import Party

_threshold = click.IntRange(1, 8)


_PLACE: dict[str, Any] = {
    "type": click.Path(path_type=Path, dir_okay=False),
    "show_default": True,
    "help": "where the plan is written, and beside it the journal",
}


@click.command(cls=Command)
@click.option(
    "--administrator", "administrators", multiple=True, metavar="NAME", help="of the charter"
)
@click.option("--signature", type=_threshold, metavar="N", help="1 to 8")
@click.option("--revocation", type=_threshold, metavar="N", help="1 to 8")
@click.option("--plan", default="auto-init.toml", **_PLACE)
@running_options
@party_option
@pass_console
async def auto_init(
    console: Console,
    administrators: tuple[str, ...],
    signature: int | None,
    revocation: int | None,
    plan: Path,
    manner: Manner,
    client: Party,
) -> None:
    """Initialises all units with a random master key that a recovery unit makes.

    Adds administrators, sets thresholds, has a recovery unit make the key and export it to every
    other unit, commits and activates it. All units of the charter take part, failover ones too.
    """
    _free(plan)
    if not administrators:
        named = answer(
            console, "Administrators (names, blanks between):", instead="--administrator"
        )
        administrators = tuple(named.split())
    signature = signature or _number(console, "Signature threshold (1 to 8):", "--signature N")
    revocation = revocation or _number(
        console, "Revocation signature threshold (1 to 8):", "--revocation N"
    )
    quoted = ", ".join(f'"{name}"' for name in administrators)
    lines = (
        'ceremony = "initialise from recovery units"',
        f'instance = "{client.instance}"',
        f"administrators = [{quoted}]",
        f"thresholds = {{ signatures = {signature}, revocations = {revocation} }}",
    )
    await _run(console, client, plan, lines, manner)


@click.command(cls=Command)
@click.option("--plan", default="auto-mk-recover.toml", **_PLACE)
@running_options
@party_option
@pass_console
async def auto_mk_recover(
    console: Console,
    plan: Path,
    manner: Manner,
    client: Party,
) -> None:
    """Copies a recovery unit's current master key to all units that lack it, and activates it.

    The units must have the recovery unit's administrators and thresholds.
    """
    _free(plan)
    lines = ('ceremony = "recover"', f'instance = "{client.instance}"')
    await _run(console, client, plan, lines, manner)


def _free(plan: Path) -> None:
    if plan.exists():
        raise Trouble(
            Exit.REFUSED,
            f"{plan} is there already; nothing was filed",
            next=f"quorate ceremony resume {plan}, or choose another place: --plan FILE",
        )


def _number(console: Console, question: str, instead: str) -> int:
    text = answer(console, question, instead=instead)
    if not text.isdecimal() or not 1 <= int(text) <= 8:
        raise Trouble(Exit.USAGE, "a number from 1 to 8 was expected", found=text)
    return int(text)


async def _run(
    console: Console,
    client: Party,
    plan: Path,
    lines: tuple[str, ...],
    manner: Manner,
) -> None:
    from protocol.ceremony.plan import parse_plan
    from protocol.violations import Violation
    from quorate import private_files
    from signer_agent.cli.ceremony_running import go

    text = "\n".join((*lines, ""))
    try:
        parse_plan(text)
    except Violation as violation:
        raise Trouble(Exit.USAGE, f"that makes no plan: {violation}; nothing was filed") from None
    private_files.create(plan, text.encode(), untouched="nothing was filed")
    console.progress(f"The plan is {plan}. Interrupted, it goes on: quorate ceremony resume {plan}")
    await go(console, client, plan, manner, begun=False)
