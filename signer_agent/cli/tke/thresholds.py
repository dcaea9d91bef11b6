"""Both signature thresholds of the selected units: shown, set."""

import click

from protocol.commands.bodies import SetThresholds
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import PasswordSource, answer
from signer_agent.cli.tke.filing import Manner, file_all, filing_options
from signer_agent.cli.tke.identity import party_option, say_whose_word
from signer_agent.cli.tke.selection import targets
from signer_agent.client.party import Party

_threshold = click.IntRange(0, 255)


@click.command(cls=Command)
@party_option
@pass_console
async def cryptounit_thrhlds(console: Console, client: Party) -> None:
    """The signature thresholds of the selected units."""
    rows = await targets(client)
    lines, objects = [], []
    for number, one in rows:
        state = one.state
        signatures = None if state is None else state.signature_threshold
        revocations = None if state is None else state.revocation_threshold
        lines.append((str(number), _shown(signatures), _shown(revocations)))
        unit: dict[str, Json] = {
            "id": one.unit.unit.hex(),
            "signature_threshold": signatures,
            "revocation_threshold": revocations,
        }
        objects.append(unit)
    headers = ("CRYPTO UNIT NUM", "SIGNATURE THRESHOLD", "REVOCATION THRESHOLD")
    console.table(headers, lines)
    units: list[Json] = list(objects)
    say_whose_word(console, client)
    console.object({"verified": client.verified, "units": units})


@click.command(cls=Command)
@click.option("--signature", type=_threshold, help="1 to 8")
@click.option("--revocation", type=_threshold, help="1 to 8")
@filing_options
@party_option
@pass_console
async def cryptounit_thrhld_set(
    console: Console,
    signature: int | None,
    revocation: int | None,
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Sets both thresholds of the selected units. In imprint mode this leaves it."""
    rows = await targets(client)
    if signature is None:
        text = answer(console, "Signature threshold (1 to 8):", instead="--signature N")
        signature = _number(text)
    if revocation is None:
        text = answer(console, "Revocation signature threshold (1 to 8):", instead="--revocation N")
        revocation = _number(text)
    body = SetThresholds(signatures=signature, revocations=revocation)
    await file_all(client, console, [body], rows, manner, password_source)


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) > 255:
        raise Trouble(Exit.USAGE, "a number from 1 to 8 was expected", found=text)
    return int(text)


def _shown(value: int | None) -> str:
    return "unknown" if value is None else str(value)
