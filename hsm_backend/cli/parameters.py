"""What the arguments of `quorate unit` stand for."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.store import KeptUnit, SeenUnit
from hsm_backend.host.vendor import UnitPlan
from protocol.location import UnitType, parse_location
from protocol.violations import Violation
from quorate.exits import Exit, Trouble

U = TypeVar("U", KeptUnit, SeenUnit)

keys_port_option = click.option(
    "--keys-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="where to listen to key users; unless you say, the one that it had last, at first the one"
    " after --port; 0 takes any free one",
)
keys_database_option = click.option(
    "--keys-database",
    metavar="URL",
    help="where the root keys are, for several hosts of one instance: postgresql://USER@HOST/NAME,"
    " its password in ~/.pgpass; else in DIR/keys.db",
)


def state_directory(text: str) -> StateDirectory:
    """The directory of this name, made or not."""
    return StateDirectory(Path(text))


def unit_plan(text: str) -> UnitPlan:
    """TYPE:LOCATION[:SERIAL]; without SERIAL one is drawn."""
    kind, _, rest = text.partition(":")
    place, _, serial = rest.partition(":")
    serial = serial or secrets.token_hex(4).upper()
    try:
        plan = UnitPlan(type=UnitType(kind), location=parse_location(place), serial=serial)
    except (ValueError, Violation, msgspec.ValidationError):
        raise click.BadParameter(
            f"{text!r} isn't TYPE:LOCATION[:SERIAL], as in"
            " 'operational:[eu-de].[AZ1-CS1].[00].[03]:93A0021F'"
        ) from None
    if not (
        len(serial) == 8 and serial.isascii() and serial.isalnum() and serial.upper() == serial
    ):
        raise click.BadParameter(f"a serial has eight of 0-9 and A-Z; {serial!r} hasn't")
    return plan


def all_different(plans: Sequence[UnitPlan]) -> None:
    """Usage trouble where two units would have the same location or serial."""
    for what, values in (
        ("location", [str(plan.location) for plan in plans]),
        ("serial", [plan.serial for plan in plans]),
    ):
        if len(set(values)) < len(values):
            raise Trouble(
                Exit.USAGE,
                f"two units have the same {what}; none was made",
                found=", ".join(values),
                next="give each unit its own",
            )


def the_unit(units: Sequence[U], name: str) -> U:
    """The unit with this location or id."""
    for one in units:
        certificate = one.certified.opened()
        if name in (str(certificate.location), certificate.unit.hex()):
            return one
    raise Trouble(
        Exit.REFUSED,
        "no crypto unit here has that location or id",
        expected=", ".join(str(one.certified.opened().location) for one in units),
        found=name,
        next="choose one of these",
    )
