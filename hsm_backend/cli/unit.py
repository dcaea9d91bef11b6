"""`quorate unit`: the emulator's crypto units, at the machine that hosts them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hsm_backend.cli.parameters import (
    all_different,
    keys_database_option,
    keys_port_option,
    state_directory,
    the_unit,
    unit_plan,
)
from hsm_backend.durable.directory import StateDirectory
from protocol.identifiers import MINUTE
from quorate import clock as host_clock
from quorate import logs, private_files, prompts, settings, state_lock, times
from quorate.commands import Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble

if TYPE_CHECKING:
    from hsm_backend.host.clients import Clients
    from hsm_backend.host.vendor import UnitPlan

_PORT = 7444
_OWNER = "quorate unit serve"
_FILE = click.Path(path_type=Path, dir_okay=False)

_directory = click.argument("directory", type=state_directory, metavar="DIR")
_host = click.option(
    "--host", metavar="HOST", default="127.0.0.1", show_default=True, help="where to listen"
)
_port = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=_PORT,
    show_default=True,
    help="0 takes any free one",
)


@click.group(cls=Group)
def unit() -> None:
    """Crypto units that this machine emulates.

    Each has an identity key certified by the host's own vendor root, a history, and registers that
    are sealed on disk. Coordinators reach them over TLS.
    """


@unit.command()
@_directory
@click.option(
    "--unit",
    "plans",
    type=unit_plan,
    metavar="TYPE:LOCATION[:SERIAL]",
    multiple=True,
    required=True,
    help="a unit to make; again for each. TYPE is operational, recovery or failover, LOCATION"
    " [region].[AZ-CS].[module].[domain]; quote it. Without SERIAL one is drawn",
)
@click.option(
    "--client",
    "clients",
    type=_FILE,
    metavar="PEM",
    multiple=True,
    help="the TLS certificate of a coordinator that may connect; again for each",
)
@_host
@_port
@pass_console
def init(
    console: Console,
    directory: StateDirectory,
    plans: "Sequence[UnitPlan]",
    clients: Sequence[Path],
    host: str,
    port: int,
) -> None:
    """Makes crypto units in DIR: keys, certificates, database, settings.

    They start in imprint mode. DIR is made if it is missing, for this user alone. What an attempt
    that was cut short has left behind is used or replaced; finished units never are.
    """
    from hsm_backend.cli.views import host_as_json, title
    from hsm_backend.durable import store
    from hsm_backend.host.clients import allow
    from hsm_backend.host.vendor import make_units

    all_different(plans)
    private_files.directory(directory.path)
    with state_lock.owned(directory.path, owner=_OWNER):
        store.check_free(directory)
        allow(directory, clients)
        _write_settings(directory, host, port)
        make_units(directory, plans, names=[host], now=host_clock.now())
    units = store.look(directory)
    plural = "s" if len(units) > 1 else ""
    console.say(f"✓ {len(units)} crypto unit{plural} made in {directory.path}, all in imprint mode")
    for seen in units:
        certificate = seen.certified.opened()
        console.say(f"  {title(certificate)}  serial {certificate.serial}")
    console.object(host_as_json(directory, units))
    if not clients:
        console.progress(_nobody(directory))
    console.say(f"Next: quorate unit serve {directory.path}")


def _settings_too(
    context: click.Context, _: click.Parameter, directory: StateDirectory
) -> StateDirectory:
    if directory.settings.exists():
        context.default_map = settings.load(directory.settings, context.command)
    return directory


@unit.command()
@click.argument(
    "directory", type=state_directory, metavar="DIR", is_eager=True, callback=_settings_too
)
@_host
@_port
@keys_port_option
@keys_database_option
@click.option("--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True)
@click.option("--log-file", type=_FILE, metavar="FILE", help="instead of stderr")
@pass_console
async def serve(
    console: Console,
    directory: StateDirectory,
    host: str,
    port: int,
    keys_port: int | None,
    keys_database: str | None,
    log_level: str,
    log_file: Path | None,
) -> None:
    """Serves the units of DIR until it is told to end (SIGTERM, Ctrl-C).

    Prints `ready HOST:PORT` once it listens and writes HOST:PORT to DIR/address. Settings come from
    DIR/unit.toml; flags and environment (QUORATE_UNIT_SERVE_PORT) override it. Only clients whose
    certificate is in DIR/clients may connect; a change there needs a restart.

    Key users, whom a quorum installed in the units, connect to a port of their own, which is then
    in DIR/keys-address.
    """
    from hsm_backend.host import server
    from hsm_backend.keys.engine import parse_url

    logs.set_up("unit host", level=log_level, file=log_file)

    def ready(address: str, keys_address: str, clients: "Clients") -> None:
        if not clients.names:
            console.progress(_nobody(directory))
        console.say(f"ready {address}")
        console.object({"address": address, "keys_address": keys_address})

    await server.serve(
        directory,
        host=host,
        port=port,
        keys_port=keys_port if keys_port is not None else _usual_keys_port(directory, port),
        keys_database=None if keys_database is None else parse_url(keys_database),
        clock=host_clock.now,
        ready=ready,
    )


@unit.command()
@_directory
@click.option(
    "--unit", "which", metavar="UNIT", multiple=True, help="only this one; again for each"
)
@click.option(
    "--export",
    type=_FILE,
    metavar="FILE",
    help="also write the certificates there, for quorate charter new; nothing in it is secret",
)
@click.option(
    "--for-key-users",
    "for_key_users",
    type=_FILE,
    metavar="FILE",
    help="also write there how key users reach these units; nothing in it is secret",
)
@pass_console
def show(
    console: Console,
    directory: StateDirectory,
    which: Sequence[str],
    export: Path | None,
    for_key_users: Path | None,
) -> None:
    """Shows the units of DIR, and what custodians compare with you.

    Before they accept a charter with new units, they ask you to read the fingerprint to them. Where
    DIR holds units of several service instances, name those of theirs: --unit, by location or id.
    """
    from hsm_backend.cli.views import host_as_json, host_in_words, key_units, offered
    from hsm_backend.durable.store import look
    from protocol.schema import to_bytes

    units = look(directory)
    if which:
        units = tuple(the_unit(units, name) for name in dict.fromkeys(which))
    console.say(host_in_words(directory, units))
    if export is not None:
        data, untouched = to_bytes(offered(units)), "no certificate was written"
        private_files.write(export, data, untouched=untouched, mode=0o644)
        console.say(f"✓ {len(units)} certificates written to {export}")
    if for_key_users is not None:
        text, untouched = key_units(directory, units), "how to reach them wasn't written"
        private_files.write(for_key_users, text.encode(), untouched=untouched, mode=0o644)
        console.say(f"✓ how key users reach them written to {for_key_users}")
    console.object(host_as_json(directory, units))


@unit.command()
@_directory
@pass_console
def clock(console: Console, directory: StateDirectory) -> None:
    """Compares the clocks of the units of DIR with this machine's.

    A unit's clock never runs backwards, so one that this machine's clock has pushed ahead stays
    ahead. Only the command `set clock`, signed by a quorum, mends it; nothing at the host does.
    """
    from hsm_backend.durable.store import look

    now = host_clock.now()
    rows: list[list[str]] = []
    marks: list[Json] = []
    ahead: list[Json] = []
    for seen in look(directory):
        certificate, mark = seen.certified.opened(), seen.memory.clock
        kind, place = certificate.type.value.upper(), str(certificate.location)
        says = f"{(mark - now) // 1000} s ahead" if mark > now else "not ahead"
        rows.append([kind, place, times.moment(mark, now=now), says])
        marks.append({"location": place, "mark": times.for_scripts(mark)})
        if mark > now + MINUTE:
            ahead.append(place)
    console.say(f"This machine's clock: {times.moment(now, now=now)}")
    console.table(("TYPE", "LOCATION", "HIGH-WATER MARK", "IS"), rows)
    data: dict[str, Json] = {"now": times.for_scripts(now), "units": marks}
    if ahead:
        raise Trouble(
            Exit.CLOCK,
            f"{len(ahead)} of {len(rows)} units have seen a later time than this machine's",
            expected="within 1 min",
            found=ahead,
            next="mend this machine's clock if it is wrong; else have set clock signed by a quorum",
            data=data,
        )
    console.object(data)


@unit.command()
@_directory
@click.argument("which", metavar="UNIT")
@click.option(
    "--yes-destroy",
    metavar="LOCATION",
    help="for scripts: the unit's location, in place of typing it",
)
@pass_console
def zeroize(
    console: Console, directory: StateDirectory, which: str, yes_destroy: str | None
) -> None:
    """Zeroizes UNIT of DIR by hand, without any signature: by location or id.

    Administrators, thresholds and master keys are gone for ever; it is in imprint mode again, and
    its history says that it was done by hand. The host must not be serving meanwhile.
    """
    from hsm_backend.cli.views import title
    from hsm_backend.durable.sealed import load_device_key
    from hsm_backend.durable.store import Store
    from hsm_backend.host.vendor import zeroize_by_hand

    directory.check()
    with (
        state_lock.owned(directory.path, owner=_OWNER),
        Store.open(directory, load_device_key(directory)) as store,
    ):
        kept = the_unit(store.units(), which)
        certificate, state = kept.certified.opened(), kept.memory.state
        console.progress(
            f"! This destroys for ever all that {title(certificate)} holds:\n"
            f"  {len(state.administrators)} administrators, new register {state.new.state.value},"
            f" current register {state.current.state.value}"
        )
        typed = yes_destroy or prompts.answer(
            console, "Type its location to zeroize it:", instead="--yes-destroy LOCATION"
        )
        if typed != str(certificate.location):
            raise Trouble(
                Exit.REFUSED,
                "that isn't its location; nothing was destroyed",
                expected=str(certificate.location),
                found=typed,
                next="look again which unit you mean",
            )
        memory = zeroize_by_hand(store, kept, now=host_clock.now())
    console.say(f"✓ zeroized by hand: {title(certificate)} is in imprint mode, and its history")
    console.say(f"  says so. This is its life number {memory.incarnation.number}.")
    console.object(
        {
            "id": certificate.unit.hex(),
            "location": str(certificate.location),
            "incarnation": memory.incarnation.number,
            "version": memory.version,
            "last_receipt": memory.last_receipt.hex(),
        }
    )


def _usual_keys_port(directory: StateDirectory, port: int) -> int:
    """The one that it had last, so that key users find it; else the one after `port`."""
    if port == 0:
        return 0
    if directory.keys_address.exists():
        last = directory.keys_address.read_text().strip().rpartition(":")[2]
        if last.isdecimal() and 0 < int(last) < 1 << 16:
            return int(last)
    return min(port + 1, 65535)


def _write_settings(directory: StateDirectory, host: str, port: int) -> None:
    text = settings.render(
        [
            settings.Setting("host", host, "Where coordinators reach the units."),
            settings.Setting("port", port, "0 takes any free one; the file `address` names it."),
        ],
        heading="Settings of quorate unit serve. Flags and environment override them.",
    )
    private_files.write(directory.settings, text.encode(), untouched="no crypto unit was made")


def _nobody(directory: StateDirectory) -> str:
    return (
        "! nobody may connect yet: put the coordinator's TLS certificate into\n"
        f"  {directory.clients} as NAME.pem, then start or restart quorate unit serve"
    )
