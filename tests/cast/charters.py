"""Charters: n people and m units, and the versions after them."""

from collections.abc import Sequence
from typing import Any

from protocol.charter import Acceptance, Charter, CharterUnit, Coordinator, Floor
from protocol.identifiers import Digest
from protocol.location import UnitType
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from tests.cast.commands import NOON
from tests.cast.keys import signature_key
from tests.cast.people import EVERYBODY, INSTANCE, Custodian
from tests.cast.units import CastUnit

COORDINATOR = Coordinator(
    url="https://quorate.example:7443",
    identity=signature_key("coordinator").identity,
    log=signature_key("log").identity,
)
FLOOR = Floor(signatures=2, revocations=2, exit_people=2)

KINDS = (UnitType.OPERATIONAL, UnitType.OPERATIONAL, UnitType.RECOVERY, UnitType.FAILOVER)
"""What the units of an instance are, in turn."""


def instance(
    people: int, units: int
) -> tuple[Charter, tuple[Custodian, ...], tuple[CastUnit, ...]]:
    """A charter, its first so many people, and new units, which name it in their commands."""
    custodians = EVERYBODY[:people]
    cast = tuple(
        CastUnit(number, kind=KINDS[(number - 1) % len(KINDS)]) for number in range(1, units + 1)
    )
    made = charter(custodians, cast, alone=people == 1)
    for unit in cast:
        unit.charter = made.digest
    return made, custodians, cast


def charter(
    people: Sequence[Custodian],
    units: Sequence[CastUnit],
    *,
    floor: Floor = FLOOR,
    alone: bool = False,
    previous: Charter | None = None,
    **changes: Any,
) -> Charter:
    """A charter with these people and units as they are now; the version after `previous`."""
    fields: dict[str, Any] = {
        "instance": INSTANCE,
        "number": 1 if previous is None else previous.number + 1,
        "previous": None if previous is None else previous.digest,
        "practice": True,
        "vendor_roots": tuple(sorted({unit.vendor.root for unit in units})),
        "units": tuple(sorted(map(charter_unit, units), key=lambda unit: unit.id)),
        "people": tuple(sorted((one.person() for one in people), key=lambda one: one.name)),
        "coordinator": COORDINATOR,
        "floor": floor,
        "alone": alone,
    }
    return Charter(**(fields | changes))


def charter_unit(unit: CastUnit, *, last_receipt: Digest | None = None) -> CharterUnit:
    """The unit's entry, with its last receipt as it is now."""
    return CharterUnit(
        certificate=unit.certificate,
        vendor_root=unit.vendor.root,
        vendor_signature=unit.vendor.certify(unit.certificate).signature,
        last_receipt=last_receipt if last_receipt is not None else unit.last_receipt,
    )


def accepts(who: Custodian, version: Charter) -> Signed:
    """A custodian's Yes to a version."""
    acceptance = Acceptance(
        charter=version.digest,
        instance=version.instance,
        number=version.number,
        person=who.name,
        at=NOON,
    )
    return sign_statement(Label.ACCEPTANCE, acceptance, who.identity.sign)
