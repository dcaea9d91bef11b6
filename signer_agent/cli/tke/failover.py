"""TKE's `failover-enable`: failover units join the instance by a new version of its charter."""

from collections.abc import Sequence
from pathlib import Path

import click

from protocol.charter import CharterUnit
from protocol.location import UnitType
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble
from signer_agent.cli import charter_proposal
from signer_agent.cli.place import agent_option
from signer_agent.cli.screens import counted
from signer_agent.client.agent_client import AgentClient


def with_failover(
    now: tuple[CharterUnit, ...], offered: tuple[CharterUnit, ...]
) -> tuple[CharterUnit, ...]:
    """The charter's units and the failover units on offer; refused Trouble where none is new."""
    there = {unit.id for unit in now}
    new = [
        unit
        for unit in offered
        if unit.certificate.type is UnitType.FAILOVER and unit.id not in there
    ]
    if not new:
        raise Trouble(
            Exit.REFUSED,
            "there is no failover unit in it that the charter lacks; nothing was proposed",
            expected="failover units",
            found=", ".join(sorted({unit.certificate.type.value for unit in offered})) or "none",
            next="at the host in the other region: quorate unit show DIR --export FILE",
        )
    return tuple(sorted((*now, *new), key=lambda unit: unit.id))


@click.command(cls=Command)
@click.option(
    "--units",
    "unit_files",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    multiple=True,
    required=True,
    help="what `quorate unit show --export` wrote at the failover host; again for each",
)
@agent_option
@pass_console
async def failover_enable(
    console: Console, unit_files: Sequence[Path], client: AgentClient
) -> None:
    """Proposes a version of the charter that adds the failover units of FILE to the instance.

    Once all have accepted it, `quorate repair plan --file` brings them to what the others are.
    """
    from signer_agent.local.messages import (
        Charters,
        GetCharters,
        GetStatus,
        Ok,
        ProposeCharter,
        Status,
    )

    status = await client.ask(GetStatus(), Status)
    known = await client.ask(GetCharters(), Charters)
    now = await charter_proposal.units_as_they_are(client, known)
    units = with_failover(now, charter_proposal.units_of(unit_files))
    made = charter_proposal.next_version(
        status,
        known,
        units,
        {"signatures": None, "revocations": None, "exit_people": None},
        None,
        charter_proposal.left_out(known, set(), set()),
    )
    await client.ask(ProposeCharter(charter=made), Ok)
    console.say(
        f"✓ version {made.number} of the charter of {made.instance} proposed to all, with "
        f"{counted(len(units) - len(now), 'failover unit')} more"
    )
    console.say("Next, each of you: quorate charter accept; then: quorate repair plan --file")
    console.object({"instance": made.instance, "version": made.number, "digest": made.digest.hex()})
