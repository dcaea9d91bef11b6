"""What a new version of the charter changes, in words, and what people must compare for it."""

from collections.abc import Iterator
from dataclasses import dataclass

from protocol.charter import Chain, Charter, CharterUnit, Person
from protocol.displayable import PersonName
from protocol.identifiers import Digest, IdentityKey, grouped
from protocol.unit_identity import fingerprint_of_units


@dataclass(frozen=True)
class Difference:
    """One thing that differs: what it is about, as it was, as it would be."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class AtHost:
    """What `quorate unit show` prints at the host whose units this vendor root certified."""

    vendor_root: IdentityKey
    units: tuple[CharterUnit, ...]
    fingerprint: Digest


@dataclass(frozen=True)
class Comparison:
    """What has to be compared before a version is accepted, beside its twelve words.

    `by_voice` are the people who read the same words; `at_hosts` is for vendor roots that are new
    or have new units. `only_before` are people whom versions between the accepted one and this one
    name, and neither of the two.
    """

    charter: Charter
    by_voice: tuple[PersonName, ...]
    at_hosts: tuple[AtHost, ...]
    differences: tuple[Difference, ...]
    only_before: tuple[PersonName, ...]


def comparison(chain: Chain, accepted: Charter | None, me: PersonName) -> Comparison:
    """What accepting the newest version of `chain` asks of a person who accepted `accepted`."""
    newest = chain.newest
    named = {person.name for person in newest.people}
    before = set() if accepted is None else {person.name for person in accepted.people}
    passing = {person.name for charter in chain.versions for person in charter.people}
    return Comparison(
        charter=newest,
        by_voice=tuple(sorted((named | before) - {me})),
        at_hosts=tuple(_at_hosts(accepted, newest)),
        differences=() if accepted is None else differences(accepted, newest),
        only_before=tuple(sorted(passing - named - before)),
    )


def _at_hosts(accepted: Charter | None, newest: Charter) -> Iterator[AtHost]:
    roots = set() if accepted is None else set(accepted.vendor_roots)
    known = set() if accepted is None else {unit.id for unit in accepted.units}
    for root in newest.vendor_roots:
        units = tuple(unit for unit in newest.units if unit.vendor_root == root)
        if root in roots and known >= {unit.id for unit in units}:
            continue
        fingerprint = fingerprint_of_units([root], [unit.certificate.identity for unit in units])
        yield AtHost(vendor_root=root, units=units, fingerprint=fingerprint)


def differences(old: Charter, new: Charter) -> tuple[Difference, ...]:
    """What `new` changes in `old`, in the order of the document; nothing that stays."""
    return tuple(
        one
        for one in (*_plain(old, new), *_roots(old, new), *_units(old, new), *_people(old, new))
        if one.before != one.after
    )


def _plain(old: Charter, new: Charter) -> Iterator[Difference]:
    yield Difference("instance", old.instance, new.instance)
    yield Difference("practice", _yes(old.practice), _yes(new.practice))
    yield Difference("coordinator's address", old.coordinator.url, new.coordinator.url)
    yield Difference(
        "coordinator's identity key",
        grouped(old.coordinator.identity),
        grouped(new.coordinator.identity),
    )
    yield Difference("log key", grouped(old.coordinator.log), grouped(new.coordinator.log))
    yield Difference(
        "least signature threshold", str(old.floor.signatures), str(new.floor.signatures)
    )
    yield Difference(
        "least revocation threshold", str(old.floor.revocations), str(new.floor.revocations)
    )
    yield Difference(
        "people who must sign the exit from imprint mode",
        str(old.floor.exit_people),
        str(new.floor.exit_people),
    )
    yield Difference("one person may be alone", _yes(old.alone), _yes(new.alone))


def _roots(old: Charter, new: Charter) -> Iterator[Difference]:
    for root in sorted({*old.vendor_roots} | {*new.vendor_roots}):
        yield Difference(
            f"vendor root {grouped(root)}",
            _there(root in old.vendor_roots),
            _there(root in new.vendor_roots),
        )


def _units(old: Charter, new: Charter) -> Iterator[Difference]:
    for unit in sorted({one.id for one in old.units} | {one.id for one in new.units}):
        was, becomes = old.unit(unit), new.unit(unit)
        either = becomes or was
        assert either is not None  # it is of one of the two
        certificate = either.certificate
        name = f"{certificate.type.upper()} {certificate.location} serial {certificate.serial}"
        yield Difference(name, _there(was is not None), _there(becomes is not None))
        if was is not None and becomes is not None:
            yield Difference(
                f"{name}: what its vendor says of it",
                _certified(was),
                _certified(becomes),
            )
            yield Difference(
                f"{name}: its last receipt",
                grouped(was.last_receipt),
                grouped(becomes.last_receipt),
            )


def _people(old: Charter, new: Charter) -> Iterator[Difference]:
    for name in sorted({one.name for one in old.people} | {one.name for one in new.people}):
        was, becomes = old.person(name), new.person(name)
        yield Difference(name, _there(was is not None), _there(becomes is not None))
        yield Difference(f"{name}'s agent", _agent(was), _agent(becomes))
        keys = {key.ski: key for person in (was, becomes) if person for key in person.keys}
        for ski, key in sorted(keys.items()):
            yield Difference(
                f"{name}'s {key.claim.algorithm} key {grouped(ski)}",
                _there(_has(was, ski)),
                _there(_has(becomes, ski)),
            )


def _has(person: Person | None, ski: bytes) -> bool:
    return person is not None and any(key.ski == ski for key in person.keys)


def _agent(person: Person | None) -> str:
    return "not there" if person is None else grouped(person.agent)


def _certified(unit: CharterUnit) -> str:
    said = unit.certificate
    return f"{said.type.upper()} {said.location} serial {said.serial} made {said.made}"


def _there(there: bool) -> str:
    return "there" if there else "not there"


def _yes(yes: bool) -> str:
    return "yes" if yes else "no"
