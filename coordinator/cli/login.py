"""`quorate login`, `logout`, `whoami`: who one is to a coordinator."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coordinator.cli.session import Session, profile_option
from protocol.identifiers import grouped
from quorate import times
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import PasswordSource, confirmed, password_options

if TYPE_CHECKING:
    from coordinator.client.calls import Calls
    from coordinator.client.meeting import Met
    from coordinator.wire.accounts import SessionBegun, SessionView
    from protocol.secrets import Secret

_MAY = {
    "operator": "You can file; you can't sign.",
    "auditor": "You can read; you can't file or sign.",
    "manager": "You manage accounts; you can't file or sign.",
}
_FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


@click.command(cls=Command)
@click.argument("url")
@click.option("--as", "account", metavar="NAME", help="your account; a one-time login knows it")
@click.option("--once", is_flag=True, help="with a one-time login from a manager, not a password")
@click.option("--set-up", "set_up", is_flag=True, help="makes you manager, with a set-up token")
@click.option(
    "--token-file", type=_FILE, metavar="FILE", help="that token, for scripts; - is stdin"
)
@click.option(
    "--fingerprint",
    metavar="HEX",
    help="the coordinator's key, to be compared for you: `coordinator init` printed it",
)
@click.option("--yes", is_flag=True, help="for practice: takes the coordinator's key as it is")
@password_options
@profile_option
@pass_console
async def login(
    console: Console,
    url: str,
    account: str | None,
    once: bool,
    set_up: bool,
    token_file: Path | None,
    fingerprint: str | None,
    yes: bool,
    password_source: PasswordSource,
    session: Session,
) -> None:
    """Logs in to the coordinator at URL, https://HOST:PORT, for eight hours.

    At the first login from a machine you compare the coordinator's key with the one on your
    invitation, or that its people read to you; from then on this machine talks to no other.
    """
    from coordinator.client import profile
    from coordinator.client.calls import Calls
    from coordinator.client.meeting import meet
    from protocol.identifiers import Nonce
    from protocol.secrets import Secret

    if once and set_up:
        raise click.UsageError("a token is either a one-time login or a set-up token")
    if account is None and not once:
        raise click.UsageError("whose account? --as NAME")
    met = await meet(url, Nonce(secrets.token_bytes(32)))
    console.practice = met.introduction.practice or None
    known = profile.load(session.name)
    _same_coordinator(console, met, known, url, fingerprint, yes)
    async with Calls(url, met.fingerprint, None) as calls:
        token = _token(console, token_file, set_up) if once or set_up else None
        begun = await _begin(console, calls, account, token, set_up, password_source)
    kept = known is not None and known.coordinator == met.introduction.coordinator
    profile.save(
        profile.Profile(
            name=session.name,
            url=url.rstrip("/"),
            account=begun.session.account,
            instance=begun.session.instance,
            practice=begun.session.practice,
            coordinator=met.introduction.coordinator,
            fingerprint=met.fingerprint,
            selected=known.selected if known is not None and kept else (),
        )
    )
    profile.keep_token(session.name, Secret(begun.token.encode()))
    view = begun.session
    # A session ends within hours: its day needn't be said.
    until = _until(view).split(" ", 3)[3]
    console.say(
        f"✓ logged in: {view.account}, {view.role} of {view.instance}, until {until}. "
        f"{_MAY[view.role.value]}"
    )
    if view.fresh:
        console.say("Next: quorate accounts password      so that you can log in again")
    console.object(_as_json(view))


@click.command(cls=Command)
@profile_option
@pass_console
async def logout(console: Console, session: Session) -> None:
    """Ends the session; its token is good for nothing from then on."""
    from coordinator.client import profile

    async with session.calls(console) as calls:
        try:
            await calls.log_out()
        except Trouble as trouble:
            if trouble.rule != "NOT_LOGGED_IN":
                raise
    profile.forget_token(session.name)
    console.say("✓ logged out")
    console.object({"logged_in": False})


@click.command(cls=Command)
@profile_option
@pass_console
async def whoami(console: Console, session: Session) -> None:
    """Which account, of which instance, until when."""
    async with session.calls(console) as calls:
        view = await calls.who_am_i()
    known = session.profile()
    console.say(f"{view.account}, {view.role} of {view.instance}, until {_until(view)}")
    console.say(f"  Coordinator   {known.url}")
    console.say(f"  Its key       {grouped(known.coordinator)}")
    console.object(_as_json(view))


def _same_coordinator(
    console: Console,
    met: "Met",
    known: object,
    url: str,
    fingerprint: str | None,
    yes: bool,
) -> None:
    """Its key is the one that this machine knows; or else a person compares it."""
    from coordinator.client.profile import Profile

    key = met.introduction.coordinator
    if isinstance(known, Profile) and known.url == url.rstrip("/"):
        if known.coordinator != key:
            raise Trouble(
                Exit.ALARM,
                "that isn't the coordinator that you know; nothing was sent",
                expected=grouped(known.coordinator),
                found=grouped(key),
                next="call its people. Was it made anew? Then log in with another --profile",
            )
        if fingerprint is None:
            return
    if fingerprint is not None:
        wanted = fingerprint.replace(" ", "").lower()
        if wanted != key.hex():
            raise Trouble(
                Exit.ALARM,
                "the coordinator's key isn't the one that you gave; nothing was sent",
                expected=wanted,
                found=key.hex(),
                next="compare again; if they differ, call its people",
            )
        return
    if yes:
        return
    console.progress(
        "! first login from here. The coordinator's key must be the one on your invitation:"
    )
    console.progress(f"  {grouped(key)}")
    if not confirmed(console, "The same?", instead="--fingerprint HEX"):
        raise Trouble(
            Exit.ALARM,
            "the coordinator's key isn't the one that you expect; nothing was sent",
            found=grouped(key),
            next="call its people: which key does `quorate coordinator init` say?",
        )


def _token(console: Console, file: Path | None, set_up: bool) -> "Secret":
    from protocol.secrets import Secret

    if file is not None:
        with click.open_file(str(file)) as stream:
            words = [word for word in stream.read(4096).split() if word.startswith("quorate_")]
        if len(words) != 1:
            raise Trouble(
                Exit.USAGE,
                "there is no token in that file, or more than one",
                expected="a word that begins with quorate_",
                found=f"{len(words)}",
                next="give a file with the token in it: --token-file FILE",
            )
        return Secret(words[0].encode())
    question = "Set-up token:" if set_up else "One-time login:"
    return PasswordSource().passwords(console).ask(question)


async def _begin(
    console: Console,
    calls: "Calls",
    account: str | None,
    token: "Secret | None",
    set_up: bool,
    source: PasswordSource,
) -> "SessionBegun":
    from coordinator.cli.names import account_name

    if token is not None and not set_up:
        begun = await calls.log_in_once(token)
        if account is not None and begun.session.account != account:
            console.progress(f"! that one-time login is {begun.session.account}'s")
        return begun
    name = account_name(account or "")
    passwords = source.passwords(console)
    if token is not None:
        return await calls.set_up(token, name, passwords.choose())
    for attempt in range(passwords.tries):
        try:
            return await calls.log_in(name, passwords.ask(f"Password for {name}:"))
        except Trouble as trouble:
            if trouble.rule != "LOGIN_REFUSED" or attempt == passwords.tries - 1:
                raise
            console.progress("✗ wrong name or password")
    raise AssertionError("the last attempt returns or raises")


def _until(view: "SessionView") -> str:
    from coordinator.wire.values import instant_of
    from quorate import clock

    return times.moment(instant_of(view.expires), now=clock.now())


def _as_json(view: "SessionView") -> dict[str, Json]:
    from coordinator.wire.values import instant_of

    return {
        "account": view.account,
        "role": view.role.value,
        "instance": view.instance,
        "expires": times.for_scripts(instant_of(view.expires)),
        "fresh": view.fresh,
        "coordinator": view.coordinator,
    }
