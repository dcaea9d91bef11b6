"""`quorate coordinator`: made, served, and agents invited, at the machine that runs it."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coordinator.cli.replacing import show, take_over
from protocol.identifiers import grouped
from quorate import clock, logs, private_files, settings, times
from quorate.commands import Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import PasswordSource, password_options

if TYPE_CHECKING:
    from coordinator.store.connection import Connection
    from quorate import tls

_PORT = 7443
_FILE = click.Path(path_type=Path, dir_okay=False)
_directory = click.argument(
    "directory", type=click.Path(path_type=Path, file_okay=False), metavar="DIR"
)


@click.group(cls=Group)
def coordinator() -> None:
    """The coordinator: it queues commands, asks custodians, forwards what a quorum signed."""


@coordinator.command()
@_directory
@click.option("--instance", metavar="NAME", required=True, help="the service instance it is for")
@click.option("--practice", is_flag=True, help="for a rehearsal: its charter says so everywhere")
@click.option(
    "--host", metavar="HOST", default="127.0.0.1", show_default=True, help="where to listen"
)
@click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True)
@click.option("--name", "names", multiple=True, help="a DNS name or address that it is reached by")
@click.option(
    "--manager",
    metavar="NAME",
    help="makes the first manager's account, and asks for its password; without it, a set-up token"
    " is printed",
)
@password_options
@pass_console
def init(
    console: Console,
    directory: Path,
    instance: str,
    practice: bool,
    host: str,
    port: int,
    names: Sequence[str],
    manager: str | None,
    password_source: PasswordSource,
) -> None:
    """Makes a coordinator in DIR: keys, certificate, database, settings.

    DIR is made if it is missing, for this user alone. Its certificate, DIR/tls.pem, is what unit
    hosts have to let in.
    """
    import asyncio

    from coordinator.accounts import first
    from coordinator.cli.names import account_name
    from coordinator.directory import CoordinatorDirectory
    from coordinator.steps import KEYS_MADE
    from coordinator.store.database import migrate
    from quorate import tls
    from quorate.crash_points import crash_point

    place = CoordinatorDirectory(private_files.directory(directory))
    if place.identity_key.exists():
        raise Trouble(
            Exit.REFUSED,
            f"{directory} holds a coordinator already; it was left as it is",
            next="choose another directory. Nobody can log in to this one? "
            f"quorate coordinator setup-token {directory}",
        )
    name = None if manager is None else account_name(manager)
    password = None if name is None else password_source.passwords(console).choose()
    # What is there without an identity key is left of an attempt that was cut short.
    for left in (place.tls_key, place.tls_certificate):
        left.unlink(missing_ok=True)
    fingerprint = tls.write_certificate(
        place.tls_certificate, place.tls_key, list(names) or [host], at=clock.now()
    )
    text = settings.render(
        [
            settings.Setting("instance", instance, "the service instance"),
            settings.Setting("practice", practice, "whether it is a rehearsal"),
            settings.Setting("host", host, "where to listen"),
            settings.Setting("port", port),
            settings.Setting(
                "unit-host",
                [],
                'the unit hosts: ["HOST:PORT=FINGERPRINT"], as `quorate unit show` prints them',
            ),
        ],
        heading="Settings of `quorate coordinator serve`. Flags and environment override them.",
    )
    private_files.write(place.settings, text.encode(), untouched="no coordinator was made")
    migrate(place.database)
    place.database.chmod(private_files.FILE_MODE)
    place.make_keys(secrets.token_bytes(64))
    crash_point(KEYS_MADE)
    keys = place.keys()
    token = None
    if name is not None and password is not None:
        asyncio.run(first.first_manager(place, name, password))
    else:
        token, _ = asyncio.run(first.set_up_token(place))
    console.say(f"✓ coordinator of {instance} made in {directory}")
    console.say(f"  Identity key  {grouped(keys.identity)}")
    console.say(f"  Certificate   {place.tls_certificate}, SHA-256 {fingerprint.hex()}")
    if token is None:
        console.say(f"  Manager       {name}; makes the other accounts")
    else:
        console.say(f"  Set-up token  {token}")
        console.say("                whoever has it becomes manager, once, within 7 days:")
        console.say("                quorate login URL --as NAME --set-up")
    console.say("Next: give that certificate to your unit hosts (quorate unit init --client), then")
    console.say(f"quorate coordinator serve {directory} --unit-host HOST:PORT=FINGERPRINT")
    console.object(
        {
            "instance": instance,
            "identity": keys.identity.hex(),
            "log": keys.log.hex(),
            "certificate": str(place.tls_certificate),
            "fingerprint": fingerprint.hex(),
            "manager": name,
            "setup_token": token,
        }
    )


@coordinator.command("setup-token")
@_directory
@pass_console
async def setup_token(console: Console, directory: Path) -> None:
    """Prints a token with which one makes oneself a manager, once.

    For when no manager is left who knows their password. Whoever owns this directory may do that;
    the log shows it.
    """
    from coordinator.accounts import first
    from coordinator.directory import CoordinatorDirectory

    token, expires = await first.set_up_token(CoordinatorDirectory(directory))
    console.say(token)
    console.progress("Next, within 7 days: quorate login URL --as NAME --set-up")
    console.object({"setup_token": token, "expires": times.for_scripts(expires)})


def _settings_too(context: click.Context, _: click.Parameter, directory: Path) -> Path:
    from coordinator.directory import CoordinatorDirectory

    place = CoordinatorDirectory(directory)
    if place.settings.exists():
        context.default_map = settings.load(place.settings, context.command)
    return directory


_configured = click.argument(
    "directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    is_eager=True,
    callback=_settings_too,
)


@coordinator.command()
@_configured
@click.option("--instance", metavar="NAME", required=True)
@click.option("--practice/--real")
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True)
@click.option("--unit-host", "unit_hosts", metavar="HOST:PORT=FINGERPRINT", multiple=True)
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True)
@click.option("--log-file", type=_FILE, metavar="FILE", help="instead of stderr")
@pass_console
async def serve(
    console: Console,
    directory: Path,
    instance: str,
    practice: bool,
    host: str,
    port: int,
    unit_hosts: Sequence[str],
    log_level: str,
    log_file: Path | None,
) -> None:
    """Serves the coordinator of DIR until it is told to end (SIGTERM, Ctrl-C).

    Prints `ready HOST:PORT` once it listens. Settings come from DIR/coordinator.toml; flags and
    environment override it.
    """
    from coordinator import serve as process
    from coordinator.directory import CoordinatorDirectory
    from protocol.displayable import InstanceName

    logs.set_up("coordinator", level=log_level, file=log_file)
    if not unit_hosts:
        console.progress("! no unit host is named: commands will wait. --unit-host")

    def ready(address: str) -> None:
        console.say(f"ready {address}")
        console.object({"address": address})

    await process.serve(
        CoordinatorDirectory(directory),
        InstanceName(instance),
        [_unit_host(text) for text in unit_hosts],
        practice=practice,
        host=host,
        port=port,
        ready=ready,
    )


def _unit_host(text: str) -> "tuple[str, tls.Fingerprint]":
    from quorate import tls

    address, _, fingerprint = text.partition("=")
    try:
        digest = bytes.fromhex(fingerprint)
    except ValueError:
        digest = b""
    if len(digest) != 32 or ":" not in address:
        raise Trouble(
            Exit.USAGE,
            "a unit host is HOST:PORT=FINGERPRINT",
            found=text,
            next="both are printed by: quorate unit show DIR",
        )
    return address, tls.Fingerprint(digest)


@coordinator.command()
@_directory
@click.argument("person")
@click.option("--url", metavar="URL", help="how the agent reaches it; otherwise as it listens now")
@click.option("--days", type=click.IntRange(1, 30), default=7, show_default=True)
@pass_console
async def invite(
    console: Console,
    directory: Path,
    person: str,
    url: str | None,
    days: int,
) -> None:
    """Prints an invitation with which PERSON's agent enrols, once.

    Give it to them by a way that only they can read. It holds the coordinator's identity key, so
    their agent talks to no other.
    """
    from coordinator.directory import CoordinatorDirectory
    from coordinator.store import people
    from coordinator.store.database import Database
    from protocol.displayable import PersonName
    from protocol.identifiers import DAY, Instant, Nonce
    from protocol.session.invitation import Invitation, write_invitation

    place = CoordinatorDirectory(directory)
    keys = place.keys()
    instance, practice = place.instance()
    url = url or place.url()
    token = Nonce(secrets.token_bytes(32))
    expires = Instant(clock.now() + days * DAY)
    name = PersonName(person)

    async def keep(connection: "Connection") -> None:
        await people.invite(connection, instance, name, token, expires)

    database = await Database.open(place.database)
    try:
        await database.write(keep)
    finally:
        await database.close()
    invitation = Invitation(
        practice=practice,
        url=url,
        coordinator=keys.identity,
        log=keys.log,
        instance=instance,
        person=name,
        token=token,
    )
    text = write_invitation(invitation)
    console.say(text)
    console.progress(
        f"Next, on the machine of {person}: quorate agent init DIR --invitation-file -"
    )
    console.object({"invitation": text, "person": person, "expires": expires})


coordinator.add_command(show)
coordinator.add_command(take_over)
