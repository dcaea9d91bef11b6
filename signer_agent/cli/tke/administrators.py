"""Administrators of the selected units: shown, added, removed."""

from collections.abc import Sequence

import click

from protocol.claims import ProvenKey
from protocol.commands.bodies import AddAdministrator, RemoveAdministrator
from protocol.identifiers import SKI
from protocol.unit_state import Administrator
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import PasswordSource, answer
from signer_agent.cli.tke.filing import Manner, file_all, filing_options
from signer_agent.cli.tke.identity import party_option, say_whose_word
from signer_agent.cli.tke.selection import targets
from signer_agent.client.agent_client import AgentClient
from signer_agent.client.party import Party
from signer_agent.keys import signature_files
from signer_agent.local.messages import UnitNow


@click.command(cls=Command)
@party_option
@pass_console
async def cryptounit_admins(console: Console, client: Party) -> None:
    """The administrators installed in the selected units."""
    rows = await targets(client)
    groups: dict[tuple[Administrator, ...], list[int]] = {}
    for number, one in rows:
        if one.state is not None:
            groups.setdefault(one.state.administrators, []).append(number)
    for administrators, numbers in groups.items():
        same = ": the same" if len(groups) == 1 and len(numbers) > 1 else ""
        console.say(f"CRYPTO UNITS {' '.join(map(str, numbers))}{same}")
        console.table(
            ("ADMINISTRATOR", "SUBJECT KEY IDENTIFIER"),
            [(one.name, one.ski.hex()) for one in sorted(administrators, key=_by_name)]
            or [("none", "")],
        )
    unseen = [str(number) for number, one in rows if one.state is None]
    if unseen:
        console.say(f"! CRYPTO UNITS {' '.join(unseen)}: out of reach, and never seen from here")
    say_whose_word(console, client)
    console.object({"verified": client.verified, "units": [_unit(one) for _, one in rows]})


def _by_name(one: Administrator) -> tuple[str, bytes]:
    return one.name, one.ski


def _unit(one: UnitNow) -> Json:
    installed = () if one.state is None else one.state.administrators
    administrators: list[Json] = [{"name": it.name, "ski": it.ski.hex()} for it in installed]
    return {"id": one.unit.unit.hex(), "administrators": administrators, "in_reach": one.in_reach}


@click.command(cls=Command)
@click.option(
    "--key", "names", multiple=True, metavar="NAME", help="an administrator's name or SKI"
)
@filing_options
@party_option
@pass_console
async def cryptounit_admin_add(
    console: Console,
    names: Sequence[str],
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Adds administrators to the selected units: keys of people of the charter in force.

    In imprint mode nothing is signed, so no password is asked: that a key is its owner's is proven
    by the charter's entry, which goes into the command. Afterwards the signature threshold signs.
    """
    rows = await targets(client)
    keys = await _keys(client)
    here = _keys_here(client)
    if not names:
        console.table(
            ("KEYNUM", "DESCRIPTION", "SUBJECT KEY IDENTIFIER", "OWNER"),
            [
                (
                    str(number),
                    key.claim.administrator,
                    key.ski.hex(),
                    _owner(key, here, client.person),
                )
                for number, key in enumerate(keys, start=1)
            ],
        )
        text = answer(console, "Key numbers to add:", instead="--key NAME, once for each")
        chosen = [_numbered(keys, word) for word in text.split()]
        if not chosen:
            raise Trouble(Exit.REFUSED, "no key was chosen; nothing was filed")
    else:
        chosen = [_named(keys, name) for name in names]
    bodies = [AddAdministrator(key=key) for key in chosen]
    await file_all(client, console, bodies, rows, manner, password_source)


@click.command(cls=Command)
@click.option("--key", "name", metavar="NAME", help="the administrator's name or SKI")
@filing_options
@party_option
@pass_console
async def cryptounit_admin_rm(
    console: Console,
    name: str | None,
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Removes an administrator from the selected units."""
    rows = await targets(client)
    installed: dict[str, Administrator] = {}
    for _, one in rows:
        for it in () if one.state is None else one.state.administrators:
            installed.setdefault(it.ski.hex(), it)
    if name is None:
        console.table(
            ("ADMINISTRATOR", "SUBJECT KEY IDENTIFIER"),
            [(one.name, one.ski.hex()) for one in sorted(installed.values(), key=_by_name)],
        )
        name = answer(console, "Administrator to remove:", instead="--key NAME")
    found = [one for ski, one in installed.items() if name in (one.name, ski)]
    if len(found) != 1:
        raise Trouble(
            Exit.REFUSED,
            "that isn't one administrator of the selected units; nothing was filed",
            expected=", ".join(one.name for one in installed.values()) or "none",
            found=name,
            next="give the SKI where two have one name",
            rule="NO_SUCH_ADMINISTRATOR",
        )
    body = RemoveAdministrator(ski=found[0].ski)
    await file_all(client, console, [body], rows, manner, password_source)


async def _keys(client: Party) -> list[ProvenKey]:
    charter = (await client.charters()).in_force
    if charter is None:
        raise Trouble(
            Exit.REFUSED,
            "no version of the charter is in force yet; nothing was filed",
            next="have all accept it: quorate charter accept",
            rule="CHARTER_NOT_IN_FORCE",
        )
    return [key for person in charter.people for key in person.keys]


def _keys_here(client: Party) -> set[SKI]:
    """The signature keys whose files lie on this machine; an operator has none."""
    if not isinstance(client, AgentClient):
        return set()
    return {key.ski for key in signature_files.list_in(client.directory.keys).usable}


def _owner(key: ProvenKey, here: set[SKI], me: str | None) -> str:
    person = key.claim.person
    return f"{person}, here" if person == me and key.ski in here else person


def _numbered(keys: Sequence[ProvenKey], word: str) -> ProvenKey:
    if word.isdecimal() and 1 <= int(word) <= len(keys):
        return keys[int(word) - 1]
    raise _not_one(keys, word)


def _named(keys: Sequence[ProvenKey], name: str) -> ProvenKey:
    found = [key for key in keys if name in (key.claim.administrator, key.ski.hex())]
    if len(found) == 1:
        return found[0]
    raise _not_one(keys, name)


def _not_one(keys: Sequence[ProvenKey], found: str) -> Trouble:
    return Trouble(
        Exit.REFUSED,
        "that isn't one key of the charter in force; nothing was filed",
        expected=", ".join(key.claim.administrator for key in keys) or "none",
        found=found,
        next="have all accept a charter that holds it: quorate charter new",
        rule="NOT_IN_CHARTER",
    )
