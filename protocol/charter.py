"""The charter: which units, people and coordinator belong to a service instance.

One canonical document; a change is a new version that names the one before. Format and reasons:
`docs/decisions/0002-charter.md`.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any

import msgspec

from protocol.claims import ProvenKey
from protocol.displayable import InstanceName, PersonName
from protocol.identifiers import SKI, Digest, IdentityKey, Instant, Signature, UnitId
from protocol.location import UnitType
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.signing.labels import Label, digest
from protocol.signing.statements import Signed, open_statement
from protocol.unit_identity import UnitCertificate, open_certificate
from protocol.unit_state import MAX_THRESHOLD
from protocol.violations import Violation

MAX_PEOPLE = 64
MAX_UNITS = 32
MAX_OPERATIONAL = 6


class CharterUnit(Struct):
    """A unit of the instance: the vendor's certificate, and its last receipt when this was made."""

    certificate: UnitCertificate
    vendor_root: IdentityKey
    vendor_signature: Signature
    last_receipt: Digest

    @property
    def id(self) -> UnitId:
        """The unit's id."""
        return self.certificate.unit


class Person(Struct):
    """A custodian: the identity key of their agent, and their signature keys, by ascending SKI."""

    name: PersonName
    agent: IdentityKey
    keys: Annotated[tuple[ProvenKey, ...], msgspec.Meta(max_length=8)]

    def invariant(self) -> str | None:
        if not _ascending(key.ski for key in self.keys):
            return f"the keys of {self.name} are not in ascending order"
        for key in self.keys:
            if key.claim.person != self.name or key.claim.agent != self.agent:
                return f"a key of {self.name} was claimed by somebody else"
        return None


class Coordinator(Struct):
    """The coordinator of the instance, where agents find it, and the key of its log."""

    url: Annotated[str, msgspec.Meta(min_length=8, max_length=200, pattern=r"\Ahttps://\S+\Z")]
    identity: IdentityKey
    log: IdentityKey


_Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_THRESHOLD)]


class Floor(Struct):
    """The least that the people of this charter accept.

    `signatures` and `revocations` are the least thresholds; `exit_people` is how many different
    people must sign a unit's exit from imprint mode.
    """

    signatures: _Count
    revocations: _Count
    exit_people: _Count


class Charter(Struct, dict=True):
    """One version of the charter. Units are in the order of their ids, people of their names."""

    instance: InstanceName
    number: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
    previous: Digest | None
    practice: bool
    vendor_roots: Annotated[tuple[IdentityKey, ...], msgspec.Meta(min_length=1, max_length=8)]
    units: Annotated[tuple[CharterUnit, ...], msgspec.Meta(min_length=1, max_length=MAX_UNITS)]
    people: Annotated[tuple[Person, ...], msgspec.Meta(min_length=1, max_length=MAX_PEOPLE)]
    coordinator: Coordinator
    floor: Floor
    alone: bool

    def invariant(self) -> str | None:
        skis = sorted(key.ski for person in self.people for key in person.keys)
        agents = sorted(person.agent for person in self.people)
        for what, values in (
            ("vendor roots", self.vendor_roots),
            ("units", [unit.id for unit in self.units]),
            ("people", [person.name for person in self.people]),
            ("signature keys (each belongs to one person)", skis),
            ("agents (each belongs to one person)", agents),
        ):
            if not _ascending(values):
                return f"{what} are not each there once, in ascending order"
        if (self.number == 1) != (self.previous is None):
            return "version 1, and only it, has no version before"
        for person in self.people:
            for key in person.keys:
                if (key.claim.instance, key.claim.practice) != (self.instance, self.practice):
                    return f"a key of {person.name} was offered to another instance"
        if any(unit.vendor_root not in self.vendor_roots for unit in self.units):
            return "a unit is certified by a vendor root that isn't in the charter"
        wrong = _wrong_units([unit.certificate for unit in self.units])
        if wrong is not None:
            return wrong
        if not self.alone and min(self.floor.signatures, self.floor.revocations) < 2:
            return "with a threshold of 1 one person may be alone, and the charter must say so"
        if not self.alone and self.floor.exit_people < 2:
            return "one person could leave imprint mode alone, and the charter must say so"
        return None

    @cached_property
    def digest(self) -> Digest:
        """What names this version, and what its twelve words are made from."""
        return digest(Label.CHARTER, self)

    def check(self) -> None:
        """Raises Violation unless every key proves possession and a vendor certified every unit."""
        for person in self.people:
            for key in person.keys:
                key.check()
        for unit in self.units:
            certificate_of(unit)

    def person(self, name: str) -> Person | None:
        """Who has this name."""
        return next((person for person in self.people if person.name == name), None)

    def owner_of(self, ski: SKI) -> Person | None:
        """Whose signature key this is."""
        return self._owners.get(ski)

    @cached_property
    def _owners(self) -> Mapping[SKI, Person]:
        return {key.ski: person for person in self.people for key in person.keys}

    def custodian(self, agent: IdentityKey) -> Person | None:
        """Whose agent has this identity key."""
        return next((person for person in self.people if person.agent == agent), None)

    def unit(self, unit: UnitId) -> CharterUnit | None:
        """The unit with this id."""
        return next((one for one in self.units if one.id == unit), None)


def certificate_of(unit: CharterUnit) -> UnitCertificate:
    """Raises Violation unless the vendor root signed the unit's certificate."""
    signed = Signed(statement=to_bytes(unit.certificate), signature=unit.vendor_signature)
    return open_certificate(signed, unit.vendor_root)


class Acceptance(Struct):
    """A custodian's Yes to one version of the charter, signed with their agent's identity key."""

    charter: Digest
    instance: InstanceName
    number: int
    person: PersonName
    at: Instant


class Chain:
    """The versions of one instance's charter from the first on, each naming the one before.

    Violation when they don't, or when one names a log again that another has left: what agents saw
    of that log is forgotten, so nobody would notice what was changed in it. The older versions stay
    known, so that who accepts the newest can judge the whole history.
    """

    def __init__(self, versions: Iterable[Charter]) -> None:
        self.versions = tuple(versions)
        if not self.versions:
            raise Violation("no version of the charter")
        expected: Digest | None = None
        for number, charter in enumerate(self.versions, start=1):
            if charter.number != number or charter.previous != expected:
                raise Violation(f"charter version {charter.number} doesn't follow the one before")
            first = self.versions[0]
            if (charter.instance, charter.practice) != (first.instance, first.practice):
                raise Violation(f"charter version {charter.number} is of another instance")
            expected = charter.digest
        _no_log_returns(self.versions)
        self._by_digest = {charter.digest: charter for charter in self.versions}

    @property
    def newest(self) -> Charter:
        """The last version, in force or not."""
        return self.versions[-1]

    def get(self, charter: Digest) -> Charter | None:
        """The version with this digest."""
        return self._by_digest.get(charter)

    def owner_of(self, ski: SKI) -> tuple[Person, Charter] | None:
        """Whose key this is in the newest version that names it."""
        for charter in reversed(self.versions):
            person = charter.owner_of(ski)
            if person is not None:
                return person, charter
        return None


def _no_log_returns(versions: tuple[Charter, ...]) -> None:
    left: set[IdentityKey] = set()
    for before, after in pairwise(versions):
        if after.coordinator.log != before.coordinator.log:
            left.add(before.coordinator.log)
        if after.coordinator.log in left:
            raise Violation(
                f"charter version {after.number} names a log that an earlier version has left"
            )


def open_acceptance(
    signed: Signed, chain: Chain, *, preceding: Charter | None = None
) -> Acceptance:
    """An acceptance, if the agent of the person that it names signed it.

    The person's agent is looked up in the version *before* the accepted one, where it names them:
    a new version can't replace the agents of those who are to judge it. Where the version right
    before never came into force, `preceding` is the newest one that did. Violation otherwise.
    """
    claimed = from_bytes(Acceptance, signed.statement)
    charter = chain.get(claimed.charter)
    if charter is None or (charter.number, charter.instance) != (claimed.number, claimed.instance):
        raise Violation("an acceptance of a charter version that isn't in the chain")
    before = chain.versions[charter.number - 2 : charter.number - 1]
    for version in (*((preceding,) if preceding is not None else before), charter):
        person = version.person(claimed.person)
        if person is not None:
            return open_statement(Acceptance, Label.ACCEPTANCE, signed, person.agent)
    raise Violation("an acceptance by somebody whom neither version names")


def _wrong_units(units: list[UnitCertificate]) -> str | None:
    """A service instance: each unit in its own place, operational ones in different zones."""
    operational = [unit for unit in units if unit.type is UnitType.OPERATIONAL]
    if len(operational) > MAX_OPERATIONAL:
        return f"{len(operational)} operational units where an instance has at most 6"
    zones = {unit.location.availability_zone for unit in operational}
    if len(operational) > 1 and len(zones) == 1:
        return "all operational units are in one availability zone"
    for what, values in (
        ("serial", [unit.serial for unit in units]),
        ("location", [unit.location for unit in units]),
    ):
        if len(set(values)) < len(values):
            return f"two units have one {what}"
    return None


def _ascending(values: Iterable[Any]) -> bool:
    return all(a < b for a, b in pairwise(values))
