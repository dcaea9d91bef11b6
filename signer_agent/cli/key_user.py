"""`quorate key-user`: who may use the keys of the selected units. A quorum says so, by requests."""

from collections.abc import Sequence

import click

from protocol.commands.bodies import AddKeyUser, RemoveKeyUser
from protocol.displayable import shown
from protocol.identifiers import Bytes32
from protocol.unit_state import KeyRight, KeyUser
from quorate.commands import Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import PasswordSource
from signer_agent.cli.tke.filing import Manner, file_all, filing_options
from signer_agent.cli.tke.identity import party_option, say_whose_word
from signer_agent.cli.tke.selection import targets
from signer_agent.client.party import Party

_RIGHTS = [right.value for right in KeyRight]


@click.group(cls=Group)
def key_user() -> None:
    """Who may use the keys in key storage, and for what.

    The units are those selected with quorate tke cryptounit-add. A key user makes their own key
    (quorate keys identity) and tells you its public half; compare it with them.
    """


@key_user.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--key",
    "public_key",
    required=True,
    metavar="HEX",
    help="their Ed25519 public key, 64 hex digits; blanks don't matter",
)
@click.option(
    "--right",
    "rights",
    type=click.Choice(_RIGHTS),
    multiple=True,
    required=True,
    help="what they may do; again for each",
)
@filing_options
@party_option
@pass_console
async def add(
    console: Console,
    name: str,
    public_key: str,
    rights: Sequence[str],
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Asks a quorum to let whoever has this key use the keys of the selected units."""
    rows = await targets(client)
    body = AddKeyUser(
        name=name, public_key=_public_key(public_key), rights=tuple(sorted(set(rights)))
    )
    await file_all(client, console, [body], rows, manner, password_source)


@key_user.command()
@click.argument("name", metavar="NAME")
@filing_options
@party_option
@pass_console
async def rm(
    console: Console,
    name: str,
    manner: Manner,
    password_source: PasswordSource,
    client: Party,
) -> None:
    """Asks a quorum to end a key user's right: NAME is their name or their public key."""
    rows = await targets(client)
    installed = {
        user.public_key: user
        for _, one in rows
        for user in (() if one.state is None else one.state.key_users)
    }
    found = [user for user in installed.values() if name in (user.name, user.public_key.hex())]
    if len(found) != 1:
        raise Trouble(
            Exit.REFUSED,
            "that isn't one key user of the selected units; nothing was filed",
            expected=", ".join(sorted(shown(user.name) for user in installed.values())) or "none",
            found=name,
            next="give the public key where two have one name: quorate key-user list",
            rule="NO_SUCH_KEY_USER",
        )
    body = RemoveKeyUser(public_key=found[0].public_key)
    await file_all(client, console, [body], rows, manner, password_source)


@key_user.command("list")
@party_option
@pass_console
async def list_(console: Console, client: Party) -> None:
    """The key users of the selected units."""
    rows = await targets(client)
    users: dict[KeyUser, list[int]] = {}
    unknown = [number for number, one in rows if one.state is None]
    for number, one in rows:
        for user in () if one.state is None else one.state.key_users:
            users.setdefault(user, []).append(number)
    ordered = sorted(users.items(), key=lambda one: (one[0].name, one[0].public_key))
    console.table(
        ("KEY USER", "RIGHTS", "PUBLIC KEY", "CRYPTO UNIT NUMS"),
        [
            (user.name, ", ".join(user.rights), user.public_key.hex(), _numbers(numbers))
            for user, numbers in ordered
        ],
    )
    if unknown:
        console.say(f"! never in reach, so not known: {_numbers(unknown)}")
    say_whose_word(console, client)
    ids = {number: one.unit.unit.hex() for number, one in rows}
    listed: list[Json] = []
    for user, numbers in ordered:
        on: list[Json] = [ids[number] for number in numbers]
        may: list[Json] = [right.value for right in user.rights]
        listed.append(
            {"name": user.name, "public_key": user.public_key.hex(), "rights": may, "units": on}
        )
    not_known: list[Json] = [ids[number] for number in unknown]
    console.object({"verified": client.verified, "key_users": listed, "unknown": not_known})


def _public_key(text: str) -> Bytes32:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Trouble(
            Exit.USAGE,
            "that isn't a public key; nothing was filed",
            expected="64 hex digits",
            found=text,
            next="ask the key user for theirs: quorate keys identity FILE",
        )
    return key


def _numbers(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))
