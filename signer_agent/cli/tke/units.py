"""Choosing crypto units: listed, added to the selection, removed from it."""

from collections.abc import Sequence

import click

from protocol.identifiers import UnitId
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import answer
from signer_agent.cli.tke.identity import party_option, say_whose_word
from signer_agent.cli.tke.selection import numbered
from signer_agent.client.party import Party
from signer_agent.local.messages import UnitNow, Units

_all = click.option("--all", "everything", is_flag=True, help="all units of the instance")
_numbers = click.argument("numbers", nargs=-1, type=click.IntRange(min=1))


def _table(
    console: Console, units: Units, rows: Sequence[tuple[int, UnitNow]], chosen: set[UnitId]
) -> None:
    console.say(f"SERVICE INSTANCE: {units.instance}")
    console.table(
        ("CRYPTO UNIT NUM", "SELECTED", "TYPE", "LOCATION"),
        [
            (
                str(number),
                str(one.unit.unit in chosen).lower(),
                one.unit.type.value.upper(),
                one.unit.location,
            )
            for number, one in rows
        ],
    )


def _objects(rows: Sequence[tuple[int, UnitNow]], chosen: set[UnitId]) -> list[Json]:
    return [
        {
            "number": number,
            "id": one.unit.unit.hex(),
            "selected": one.unit.unit in chosen,
            "type": one.unit.type.value,
            "location": one.unit.location,
            "in_reach": one.in_reach,
            "problem": one.problem,
        }
        for number, one in rows
    ]


@click.command(cls=Command)
@party_option
@pass_console
async def cryptounits(console: Console, client: Party) -> None:
    """Lists the service instance's crypto units, and which are selected."""
    units, rows = await numbered(client)
    chosen = client.selection
    _table(console, units, rows, chosen)
    say_whose_word(console, client)
    units_now = _objects(rows, chosen)
    console.object({"instance": units.instance, "verified": client.verified, "units": units_now})


@click.command(cls=Command)
@_numbers
@_all
@party_option
@pass_console
async def cryptounit_add(
    console: Console, numbers: Sequence[int], everything: bool, client: Party
) -> None:
    """Adds crypto units to the selection that later commands target."""
    await _change(console, client, numbers, everything, add=True)


@click.command(cls=Command)
@_numbers
@_all
@party_option
@pass_console
async def cryptounit_rm(
    console: Console, numbers: Sequence[int], everything: bool, client: Party
) -> None:
    """Removes crypto units from the selection."""
    await _change(console, client, numbers, everything, add=False)


async def _change(
    console: Console, client: Party, numbers: Sequence[int], everything: bool, *, add: bool
) -> None:
    units, rows = await numbered(client)
    chosen = client.selection
    if not numbers and not everything:
        _table(console, units, rows, chosen)
        verb = "add" if add else "remove"
        question = f"Crypto unit numbers to {verb}, blanks between (Enter: none):"
        numbers = _parsed(answer(console, question, instead="the numbers, or --all"))
    known = dict(rows)
    strange = [number for number in numbers if number not in known]
    if strange:
        raise Trouble(
            Exit.REFUSED,
            "there is no such crypto unit; the selection is as it was",
            expected=f"1 to {len(rows)}",
            found=", ".join(map(str, strange)),
            next="quorate tke cryptounits",
        )
    named = {one.unit.unit for number, one in rows if everything or number in numbers}
    chosen = chosen | named if add else chosen - named
    client.select(chosen)
    have = sum(one.unit.unit in chosen for _, one in rows)
    console.say(f"✓ selected: {have} of the {len(rows)} units of {units.instance}")
    left = [str(one.unit) for _, one in rows if one.unit.unit not in chosen]
    if left and have:
        console.say(f"! left out: {', '.join(left)}. Units of an instance are kept the same.")
    console.object({"instance": units.instance, "units": _objects(rows, chosen)})


def _parsed(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split()]
    except ValueError:
        raise Trouble(Exit.USAGE, "numbers with blanks between were expected", found=text) from None
