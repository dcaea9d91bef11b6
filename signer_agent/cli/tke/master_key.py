"""Master key registers of the selected units: shown, loaded, committed, made current, cleared."""

from collections.abc import Sequence

import click

from protocol.commands.bodies import (
    ClearCurrentRegister,
    ClearNewRegister,
    CommitNewRegister,
    LoadNewRegister,
    NamedPart,
    SetImmediate,
)
from protocol.displayable import is_printable_string, shown
from protocol.identifiers import VP, grouped
from protocol.unit_state import Register, RegisterState
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import PasswordSource, answer, confirmed
from signer_agent.cli.screens import counted
from signer_agent.cli.tke import destroying
from signer_agent.cli.tke.before_filing import Rows
from signer_agent.cli.tke.filing import Manner, file_all, filing_options, resume
from signer_agent.cli.tke.identity import party_option, say_whose_word
from signer_agent.cli.tke.selection import targets
from signer_agent.client.party import OfferedPart, Party
from signer_agent.local.messages import UnitNow

_ACCEPT = "Accept the new master key?"


@click.command(cls=Command)
@party_option
@pass_console
async def cryptounit_mk(console: Console, client: Party) -> None:
    """The master key registers of the selected units."""
    rows = await targets(client)
    table = []
    for name in ("NEW", "CURRENT"):
        groups: dict[tuple[str, str], list[int]] = {}
        for number, one in rows:
            register = _register(one, name)
            state = "unknown" if register is None else register.state.value
            vp = "-" if register is None or register.vp is None else register.vp.hex()
            groups.setdefault((state, vp), []).append(number)
        table += [
            (" ".join(map(str, numbers)), name, state, vp)
            for (state, vp), numbers in groups.items()
        ]
    console.table(("CRYPTO UNIT NUM", "REGISTER", "STATE", "VERIFICATION PATTERN"), table)
    say_whose_word(console, client)
    console.object({"verified": client.verified, "units": [_unit(one) for _, one in rows]})


@click.command(cls=Command)
@click.option("--part", "names", multiple=True, metavar="VP", help="a part's VP, or how it begins")
@filing_options
@party_option
@pass_console
async def cryptounit_mk_load(
    console: Console,
    names: Sequence[str],
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Loads the new register of the selected units from two or three announced key parts."""
    rows = await targets(client)
    parts = await client.parts()
    if not names:
        console.table(
            ("KEYNUM", "DESCRIPTION", "VERIFICATION PATTERN", "CUSTODIAN"),
            [
                (
                    str(number),
                    _description(part),
                    part.vp.hex(),
                    _custodian(part, client.person),
                )
                for number, part in enumerate(parts, start=1)
            ],
        )
        question = "Key parts to load, two or three numbers:"
        words = answer(console, question, instead="--part VP, once for each").split()
        chosen = [_numbered(parts, word) for word in words]
    else:
        chosen = [_named(parts, name) for name in names]
    body = LoadNewRegister(
        parts=tuple(NamedPart(vp=part.vp, custodian=part.custodian) for part in chosen)
    )
    await file_all(client, console, [body], rows, manner, password_source)


@click.command(cls=Command)
@filing_options
@party_option
@pass_console
async def cryptounit_mk_commit(
    console: Console, manner: Manner, password_source: PasswordSource, client: Party
) -> None:
    """Commits the key in the new register of the selected units."""
    if await resume(client, console, "cryptounit-mk-commit", manner, password_source):
        return
    rows = await targets(client)
    body = CommitNewRegister(vp=_one_vp(rows, "NEW"))
    await file_all(client, console, [body], rows, manner, password_source)


@click.command(cls=Command)
@click.option("--yes", is_flag=True, help="for scripts: doesn't ask, where no key would be lost")
@destroying.destroy_option
@filing_options
@party_option
@pass_console
async def cryptounit_mk_setimm(
    console: Console,
    yes: bool,
    yes_destroy: str | None,
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Makes the committed key current at once; re-enciphers nothing.

    Where a current register holds another key, that one is lost: the instance's name is asked for.
    """
    destroying.check_name(client, yes_destroy)
    if await resume(client, console, "cryptounit-mk-setimm", manner, password_source):
        return
    rows = await targets(client)
    body = SetImmediate(vp=_one_vp(rows, "NEW"))
    console.say("! This makes the new master key current at once and re-enciphers nothing.")
    console.say("  Right  for a first initialisation, or to load the same master key again.")
    console.say("  Wrong  when keys exist under another master key: none could be opened.")
    here = _current(rows, body.vp)
    console.say(f"  Here   {here}.")
    destroying.say_what_is_lost(console, body, rows)
    if destroying.loses_a_key(body, rows):
        if yes and yes_destroy is None:
            raise _loses_another_key(here)
        destroying.say_what_they_hold(console, rows)
        destroying.confirm(console, client, yes_destroy)
    elif not (yes or yes_destroy or confirmed(console, _ACCEPT, instead="--yes")):
        raise Trouble(Exit.REFUSED, "you said no; nothing was filed")
    await file_all(client, console, [body], rows, manner, password_source)


@click.command(cls=Command)
@filing_options
@party_option
@pass_console
async def cryptounit_mk_clrnew(
    console: Console, manner: Manner, password_source: PasswordSource, client: Party
) -> None:
    """Clears the new register of the selected units."""
    if await resume(client, console, "cryptounit-mk-clrnew", manner, password_source):
        return
    rows = await targets(client)
    body = ClearNewRegister(vp=_one_vp(rows, "NEW"))
    await file_all(client, console, [body], rows, manner, password_source)


@click.command(cls=Command)
@destroying.destroy_option
@filing_options
@party_option
@pass_console
async def cryptounit_mk_clrcur(
    console: Console,
    yes_destroy: str | None,
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Clears the current register of the selected units: they lose that master key."""
    destroying.check_name(client, yes_destroy)
    if await resume(client, console, "cryptounit-mk-clrcur", manner, password_source):
        return
    rows = await targets(client)
    body = ClearCurrentRegister(vp=_one_vp(rows, "CURRENT"))
    units = counted(len(rows), "unit")
    console.say(f"! This clears the current register of {units} of {client.instance}, with the key")
    console.say(f"  {grouped(body.vp)}")
    destroying.say_what_they_hold(console, rows)
    destroying.say_what_is_lost(console, body, rows)
    destroying.confirm(console, client, yes_destroy)
    await file_all(client, console, [body], rows, manner, password_source)


def _register(one: UnitNow, name: str) -> Register | None:
    if one.state is None:
        return None
    return one.state.new if name == "NEW" else one.state.current


def _current(rows: Rows, vp: VP) -> str:
    """`current register Empty on 4 of 4 units`; of `Valid` ones, whether with another key."""
    states: dict[str, int] = {}
    for _, one in rows:
        register = _register(one, "CURRENT")
        state = "unknown" if register is None else register.state.value
        if register is not None and register.vp not in (None, vp):
            state += " with another key"
        states[state] = states.get(state, 0) + 1
    units = counted(len(rows), "unit")
    return ", ".join(
        f"current register {state} on {count} of {units}" for state, count in sorted(states.items())
    )


def _loses_another_key(here: str) -> Trouble:
    return Trouble(
        Exit.USAGE,
        "--yes is for units that would lose no master key; nothing was filed",
        found=here,
        next="give --yes-destroy NAME, the instance's, if that key may be lost",
    )


def _one_vp(rows: Rows, name: str) -> VP:
    """The key that this register holds on all selected units; refused trouble otherwise."""
    registers = {register for _, one in rows if (register := _register(one, name)) is not None}
    held = {register.vp for register in registers if register.vp is not None}
    if len(held) == 1 and all(register.vp is not None for register in registers):
        return next(iter(held))
    texts = sorted(
        register.state.value if register.vp is None else grouped(register.vp)
        for register in registers
    )
    expected = f"one key, the same in the {name.lower()} register of all"
    empty = all(register.state is RegisterState.EMPTY for register in registers)
    load = "-load" if empty and name == "NEW" else ""
    raise Trouble(
        Exit.REFUSED,
        f"the {name.lower()} registers of the selected units hold no common key; nothing was filed",
        expected=expected,
        found="; ".join(texts) or "unknown",
        next=f"quorate tke cryptounit-mk{load}",
        rule="VP_MISMATCH",
    )


def _description(part: OfferedPart) -> str:
    """Its custodian's words: as they are where every letter is harmless, else quoted."""
    return part.description if is_printable_string(part.description) else shown(part.description)


def _custodian(part: OfferedPart, me: str | None) -> str:
    if part.person is None:
        return "nobody in the charter"
    return f"{part.person}, here" if part.person == me else part.person


def _numbered(parts: Sequence[OfferedPart], word: str) -> OfferedPart:
    if word.isdecimal() and 1 <= int(word) <= len(parts):
        return parts[int(word) - 1]
    raise _no_part(parts, word)


def _named(parts: Sequence[OfferedPart], name: str) -> OfferedPart:
    found = [part for part in parts if part.vp.hex().startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    raise _no_part(parts, name)


def _no_part(parts: Sequence[OfferedPart], found: str) -> Trouble:
    return Trouble(
        Exit.REFUSED,
        "that isn't one announced key part; nothing was filed",
        expected=", ".join(part.vp.hex()[:8] for part in parts) or "an announced part",
        found=found,
        next="its custodian announces it by making it: quorate tke mk-add",
        rule="PART_NOT_WANTED",
    )


def _unit(one: UnitNow) -> Json:
    def shown(register: Register | None) -> Json:
        if register is None:
            return None
        return {
            "state": register.state.value,
            "vp": None if register.vp is None else register.vp.hex(),
        }

    return {
        "id": one.unit.unit.hex(),
        "type": one.unit.type.value,
        "location": one.unit.location,
        "new": shown(_register(one, "NEW")),
        "current": shown(_register(one, "CURRENT")),
        "in_reach": one.in_reach,
    }
