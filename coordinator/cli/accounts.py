"""`quorate accounts`: operators, auditors and managers, and what they log in with."""

from typing import TYPE_CHECKING

import click

from coordinator.cli.session import Session, profile_option
from quorate import clock, times
from quorate.commands import Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import PasswordSource, confirmed, password_options

if TYPE_CHECKING:
    from coordinator.wire.accounts import AccountView, TokenMade, TokenView

_name = click.argument("name", metavar="NAME")
_role = click.Choice(["operator", "auditor", "manager"])


@click.group(cls=Group)
def accounts() -> None:
    """People with an account on the coordinator: they file, read or manage. None can sign."""


@accounts.command("list")
@profile_option
@pass_console
async def list_(console: Console, session: Session) -> None:
    """All accounts, with their roles."""
    async with session.calls(console) as calls:
        found = (await calls.accounts()).accounts
    console.table(
        ("NAME", "ROLE", "PASSWORD", "MADE"),
        [(one.name, one.role, _chosen(one), _day(one)) for one in found],
    )
    console.object({"accounts": [_account(one) for one in found]})


@accounts.command()
@_name
@click.option("--role", type=_role, required=True, help="files; only reads; or makes accounts")
@profile_option
@pass_console
async def add(console: Console, name: str, role: str, session: Session) -> None:
    """Makes an account for NAME, and prints a one-time login: give it to them and nobody else."""
    from coordinator.accounts.roles import Role
    from coordinator.cli.names import account_name

    wanted = account_name(name)
    async with session.calls(console) as calls:
        made = await calls.add_account(wanted, Role(role))
    console.say(f"✓ {name} has an account: {role}. Their one-time login:")
    _how_to_use(console, session, made.login)
    console.object({"account": _account(made.account), **_made(made.login)})


@accounts.command()
@_name
@click.option("--yes", is_flag=True, help="for scripts: doesn't ask")
@profile_option
@pass_console
async def remove(console: Console, name: str, yes: bool, session: Session) -> None:
    """Deletes the account NAME; its sessions end at once."""
    from coordinator.cli.names import account_name

    wanted = account_name(name)
    if not yes and not confirmed(console, f"Delete the account {name}?", instead="--yes"):
        raise Trouble(Exit.REFUSED, "you said No; the account is as it was")
    async with session.calls(console) as calls:
        gone = await calls.remove_account(wanted)
    console.say(f"✓ {name} has no account any more")
    console.object({"account": _account(gone)})


@accounts.command()
@_name
@click.argument("role", type=_role)
@profile_option
@pass_console
async def role(console: Console, name: str, role: str, session: Session) -> None:
    """Gives the account NAME another role, from its next call on."""
    from coordinator.accounts.roles import Role
    from coordinator.cli.names import account_name

    wanted = account_name(name)
    async with session.calls(console) as calls:
        changed = await calls.set_role(wanted, Role(role))
    console.say(f"✓ {name} is {role} now")
    console.object({"account": _account(changed)})


@accounts.command()
@password_options
@profile_option
@pass_console
async def password(console: Console, password_source: PasswordSource, session: Session) -> None:
    """Gives your own account another password. Your other sessions and tokens end.

    Asks for the present one first, but not after a one-time login. For scripts: both, one a line.
    """
    passwords = password_source.passwords(console)
    async with session.calls(console) as calls:
        view = await calls.who_am_i()
        old = None if view.fresh else passwords.ask("Present password:")
        await calls.choose_password(old, passwords.choose())
    console.say("✓ the new password is good from now on; your other sessions have ended")
    console.object({"account": view.account})


@accounts.command()
@_name
@profile_option
@pass_console
async def token(console: Console, name: str, session: Session) -> None:
    """Prints a one-time login for the account NAME: for who has forgotten their password.

    It is good for one login within 24 hours, and takes the place of any before.
    """
    from coordinator.cli.names import account_name

    wanted = account_name(name)
    async with session.calls(console) as calls:
        made = await calls.one_time_login(wanted)
    console.say(f"A one-time login for {name}; nobody else may have it:")
    _how_to_use(console, session, made)
    console.object(_made(made))


@accounts.command("script-token")
@click.option("--label", default="", help="what it is for")
@click.option("--days", type=click.IntRange(1, 90), default=30, show_default=True)
@profile_option
@pass_console
async def script_token(console: Console, label: str, days: int, session: Session) -> None:
    """Prints a token of your own that lasts for days: for scripts that call the API.

    It may do what you may, but not make other tokens.
    """
    async with session.calls(console) as calls:
        made = await calls.make_token(label, days)
    console.say("Shown this once; send it as Authorization: Bearer TOKEN")
    console.say(f"  {made.token}")
    console.object(_made(made))


@accounts.command()
@click.argument("name", metavar="NAME", required=False)
@profile_option
@pass_console
async def tokens(console: Console, name: str | None, session: Session) -> None:
    """What your account is logged in with; managers may ask for NAME's."""
    async with session.calls(console) as calls:
        found = (await calls.tokens(name)).tokens
    zone = times.zone_header(clock.now())
    console.table(
        ("ID", "ACCOUNT", "KIND", "LABEL", f"UNTIL ({zone})"),
        [(one.id, one.account, one.kind.value, one.label, _until(one)) for one in found],
    )
    console.object({"tokens": [_token(one) for one in found]})


@accounts.command()
@click.argument("token_id", metavar="ID")
@profile_option
@pass_console
async def revoke(console: Console, token_id: str, session: Session) -> None:
    """Revokes the token ID, yours or, for managers, anybody's: it is good for nothing any more."""
    async with session.calls(console) as calls:
        gone = await calls.revoke_token(token_id)
    console.say(f"✓ revoked: {gone.kind} of {gone.account}")
    console.object({"token": _token(gone)})


def _how_to_use(console: Console, session: Session, made: "TokenMade") -> None:
    url = session.profile().url
    console.say(f"  {made.token}")
    console.say(
        f"Next, by {made.made.account}, until {_until(made.made)}: quorate login {url} --once"
    )


def _chosen(account: "AccountView") -> str:
    return "chosen" if account.password else "not chosen yet"


def _day(account: "AccountView") -> str:
    from coordinator.wire.values import instant_of

    return times.in_table(instant_of(account.made))


def _until(token: "TokenView") -> str:
    from coordinator.wire.values import instant_of

    return times.in_table(instant_of(token.expires))


def _account(account: "AccountView") -> dict[str, Json]:
    return {"name": account.name, "role": account.role.value, "password": account.password}


def _token(token: "TokenView") -> dict[str, Json]:
    from coordinator.wire.values import instant_of

    return {
        "id": token.id,
        "account": token.account,
        "kind": token.kind.value,
        "label": token.label,
        "expires": times.for_scripts(instant_of(token.expires)),
    }


def _made(made: "TokenMade") -> dict[str, Json]:
    return {"token": made.token, "made": _token(made.made)}
