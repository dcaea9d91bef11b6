"""Control points of the selected units: shown as Set or Not Set, set, unset."""

import click

from protocol.commands.bodies import SetControlPoint
from protocol.commands.rules import control_point_unknown
from protocol.unit_state import CONTROL_POINT_NAMES
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble, refused
from quorate.prompts import PasswordSource
from signer_agent.cli.tke.before_filing import Rows
from signer_agent.cli.tke.filing import Manner, file_all, filing_options, says_how_to_file
from signer_agent.cli.tke.identity import party_option, say_whose_word
from signer_agent.cli.tke.selection import targets
from signer_agent.client.party import Party
from signer_agent.local.messages import UnitNow

_STATES = {True: "Set", False: "Not Set", None: "unknown"}
_switch = click.argument("switch", type=click.Choice(["set", "unset"]), required=False)


@click.command(cls=Command)
@click.argument("number", type=click.IntRange(0, 255), required=False)
@_switch
@filing_options
@party_option
@pass_console
async def cryptounit_cp(
    console: Console,
    number: int | None,
    switch: str | None,
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Shows control points of the selected units; with set or unset, files that.

    Without NUMBER it shows those that TKE names and all others that are set; with NUMBER that one.
    Numbers are 0 to 127. Nothing is filed before you say set or unset.
    """
    await _show_or_file(console, client, number, switch, manner, password_source)


def _command_for(point: int, what: str) -> click.Command:
    """TKE's command for one control point."""

    @click.command(
        cls=Command,
        help=f"""Shows control point {point} ({what}); with set or unset, files that.

        It is {CONTROL_POINT_NAMES[point]} of the selected units. TKE's command of this name sets
        it; here nothing is filed before you say set or unset.
        """,
    )
    @_switch
    @filing_options
    @party_option
    @pass_console
    async def command(
        console: Console,
        switch: str | None,
        manner: Manner,
        password_source: PasswordSource,
        client: Party,
    ) -> None:
        await _show_or_file(console, client, point, switch, manner, password_source)

    return command


cryptounit_cp_btc = _command_for(66, "bitcoin functions")
cryptounit_cp_eddsa = _command_for(55, "EdDSA")
cryptounit_cp_sig_other = _command_for(67, "signatures other than ECDSA, EdDSA")


async def _show_or_file(
    console: Console,
    client: Party,
    point: int | None,
    switch: str | None,
    manner: Manner,
    source: PasswordSource,
) -> None:
    if point is not None:
        body = SetControlPoint(point=point, on=switch == "set")
        unknown = control_point_unknown(body)
        if unknown is not None:
            raise refused(unknown, untouched="Nothing was filed")
        if switch is not None:
            rows = await targets(client)
            await file_all(client, console, [body], rows, manner, source)
            return
    if says_how_to_file(manner, source):
        raise Trouble(
            Exit.USAGE,
            "there is nothing to file without set or unset",
            next="say which: set or unset",
        )
    _show(console, client, point, await targets(client))


def _show(console: Console, client: Party, point: int | None, rows: Rows) -> None:
    there = {one for _, unit in rows if unit.state for one in unit.state.control_points}
    table = []
    for each in sorted({*CONTROL_POINT_NAMES, *there} if point is None else {point}):
        groups: dict[bool | None, list[int]] = {}
        for number, one in rows:
            groups.setdefault(_is_set(one, each), []).append(number)
        name = CONTROL_POINT_NAMES.get(each, "-")
        table += [
            (" ".join(map(str, numbers)), str(each), name, _STATES[on])
            for on, numbers in groups.items()
        ]
    console.table(("CRYPTO UNIT NUM", "CONTROL POINT", "NAME", "STATE"), table)
    say_whose_word(console, client)
    if point is not None and any(_is_set(one, point) is False for _, one in rows):
        console.say(f"Next, if it should be Set: quorate tke cryptounit-cp {point} set")
    named: dict[str, Json] = {} if point is None else {"point": point}
    units = [_unit(one, point) for _, one in rows]
    console.object({"verified": client.verified, **named, "units": units})


def _is_set(one: UnitNow, point: int) -> bool | None:
    """None where this unit's state isn't known here."""
    return None if one.state is None else point in one.state.control_points


def _unit(one: UnitNow, point: int | None) -> Json:
    state = one.state
    asked: dict[str, Json] = {} if point is None else {"set": _is_set(one, point)}
    return {
        "id": one.unit.unit.hex(),
        "type": one.unit.type.value,
        "location": one.unit.location,
        "control_points": None if state is None else list(state.control_points),
        **asked,
        "in_reach": one.in_reach,
    }
