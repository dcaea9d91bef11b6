"""The charter: what it refuses to be, what proves its entries, and how versions follow."""

from typing import Any

import pytest

from protocol.charter import (
    Chain,
    Charter,
    Coordinator,
    Floor,
    Person,
    certificate_of,
    open_acceptance,
)
from protocol.identifiers import Digest, Signature
from protocol.location import UnitType
from protocol.schema import from_bytes, from_plain, to_bytes, to_plain
from protocol.signing.labels import Label
from protocol.signing.statements import open_statement, sign_statement
from protocol.violations import Violation
from tests.cast.charters import COORDINATOR, FLOOR, accepts, charter, charter_unit, instance
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, CAROL, DAVE, MALLORY, Custodian, custodian
from tests.cast.units import CastUnit, Vendor

FIRST, PEOPLE, UNITS = instance(3, 4)
OTHER_VENDOR = Vendor(signature_key("another vendor"))


def people(*custodians: Custodian) -> tuple[Person, ...]:
    return tuple(sorted((one.person() for one in custodians), key=lambda one: one.name))


def test_a_charter_survives_the_wire_and_proves_its_entries() -> None:
    assert from_bytes(Charter, to_bytes(FIRST)) == FIRST
    FIRST.check()
    assert [unit.certificate.type for unit in FIRST.units].count(UnitType.OPERATIONAL) == 2
    assert len(FIRST.people) == 3


def test_who_and_what_is_found_by_each_of_its_names() -> None:
    alice = ALICE.person()
    assert FIRST.person("alice") == alice
    assert FIRST.owner_of(ALICE.key.ski) == alice
    assert FIRST.custodian(ALICE.agent) == alice
    assert FIRST.person("mallory") is None
    assert FIRST.owner_of(MALLORY.key.ski) is None
    assert FIRST.custodian(MALLORY.agent) is None
    for unit in UNITS:
        found = FIRST.unit(unit.id)
        assert found is not None
        assert certificate_of(found) == unit.certificate
    assert FIRST.unit(CastUnit(9).id) is None


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "people out of order": ({"people": FIRST.people[::-1]}, "people"),
    "a person twice": ({"people": (*people(ALICE), *people(ALICE, BOB))}, "people"),
    "units out of order": ({"units": FIRST.units[::-1]}, "units"),
    "a unit twice": ({"units": (FIRST.units[0], *FIRST.units)}, "units"),
    "a root twice": ({"vendor_roots": FIRST.vendor_roots * 2}, "vendor roots"),
    "one key of two people": (
        {"people": people(ALICE, BOB, Custodian(CAROL.name, CAROL.identity, (BOB.key,)))},
        "signature keys",
    ),
    "one agent of two people": (
        {"people": people(ALICE, Custodian(BOB.name, ALICE.identity, (BOB.key,)))},
        "agents",
    ),
    "version 1 after another": ({"previous": FIRST.digest}, "version 1"),
    "version 2 after none": ({"number": 2}, "version 1"),
    "a key for another instance": ({"instance": "ledger-us"}, "another instance"),
    "keys for practice in a real one": ({"practice": False}, "another instance"),
    "a unit of another vendor": ({"vendor_roots": (OTHER_VENDOR.root,)}, "vendor root"),
    "a signature threshold of 1": (
        {"floor": Floor(signatures=1, revocations=2, exit_people=2)},
        "one person may be alone",
    ),
    "a revocation threshold of 1": (
        {"floor": Floor(signatures=2, revocations=1, exit_people=2)},
        "one person may be alone",
    ),
    "an exit by one": (
        {"floor": Floor(signatures=2, revocations=2, exit_people=1)},
        "imprint mode",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_charter_refuses_to_be(name: str) -> None:
    changes, why = WRONG[name]
    with pytest.raises(ValueError, match=why):
        FIRST.but(**changes)
    plain = to_plain(FIRST) | {field: to_plain(value) for field, value in changes.items()}
    with pytest.raises(Violation, match=why):
        from_plain(Charter, plain)


@pytest.mark.parametrize(
    "changes",
    [
        {"units": ()},
        {"people": ()},
        {"vendor_roots": ()},
        {"number": 0},
        {"instance": "Ledger"},
        {"instance": "ledger-eu\n"},
        {"floor": {"signatures": 0, "revocations": 2, "exit_people": 2}},
        {"floor": {"signatures": 2, "revocations": 9, "exit_people": 2}},
        {"coordinator": to_plain(COORDINATOR) | {"url": "http://quorate.example"}},
        {"coordinator": to_plain(COORDINATOR) | {"url": "https://quorate.example\n"}},
        {"coordinator": to_plain(COORDINATOR) | {"url": "https://a b"}},
        {"alone": 0},
    ],
    ids=repr,
)
def test_bounds_hold_on_the_wire(changes: dict[str, Any]) -> None:
    with pytest.raises(Violation):
        from_plain(Charter, to_plain(FIRST) | changes)


def test_one_may_be_alone_where_the_charter_says_so() -> None:
    least = Floor(signatures=1, revocations=1, exit_people=1)
    assert charter([ALICE], UNITS, floor=least, alone=True).alone


def test_a_persons_keys_are_their_own_and_in_order() -> None:
    twice = custodian("peter", keys=3)
    person = twice.person()
    assert [key.ski for key in person.keys] == sorted(key.ski for key in twice.keys)
    with pytest.raises(ValueError, match="ascending"):
        person.but(keys=person.keys[::-1])
    with pytest.raises(ValueError, match="ascending"):
        person.but(keys=(person.keys[0], person.keys[0]))
    with pytest.raises(ValueError, match="somebody else"):
        person.but(keys=BOB.person().keys)
    with pytest.raises(ValueError, match="somebody else"):
        person.but(agent=BOB.agent)


# --- what proves the entries ----------------------------------------------------------------------


def test_a_key_that_does_not_prove_itself_is_found() -> None:
    forged = ALICE.person().keys[0].but(proof=MALLORY.proven().proof)
    alice = ALICE.person().but(keys=(forged,))
    with pytest.raises(Violation):
        FIRST.but(people=(alice, *FIRST.people[1:])).check()


def test_a_unit_that_no_root_certified_is_found() -> None:
    unit = FIRST.units[0]
    for forged in (
        unit.but(vendor_signature=FIRST.units[1].vendor_signature),
        unit.but(certificate=unit.certificate.but(serial="00000000")),
        unit.but(certificate=unit.certificate.but(type=UnitType.FAILOVER, serial="93A09999")),
        unit.but(vendor_signature=Signature(bytes(64))),
    ):
        with pytest.raises(Violation):
            FIRST.but(units=(forged, *FIRST.units[1:])).check()


def test_a_unit_certified_by_another_root_is_found() -> None:
    stranger = CastUnit(9, vendor=OTHER_VENDOR)
    entry = charter_unit(stranger).but(vendor_root=FIRST.vendor_roots[0])
    units = tuple(sorted((entry, *FIRST.units), key=lambda unit: unit.id))
    with pytest.raises(Violation):
        FIRST.but(units=units).check()


# --- versions -------------------------------------------------------------------------------------


def second(**changes: Any) -> Charter:
    return charter((*PEOPLE, DAVE), UNITS, previous=FIRST, **changes)


def test_every_field_is_in_the_digest() -> None:
    other = {
        "last receipt": FIRST.but(units=(FIRST.units[0].but(last_receipt=Digest(bytes(32))),)),
        "floor": FIRST.but(floor=FLOOR.but(exit_people=3)),
        "alone": FIRST.but(alone=True),
        "people": FIRST.but(people=FIRST.people[1:]),
        "url": FIRST.but(coordinator=COORDINATOR.but(url="https://evil.example")),
        "identity": FIRST.but(coordinator=COORDINATOR.but(identity=MALLORY.agent)),
        "log": FIRST.but(coordinator=COORDINATOR.but(log=MALLORY.agent)),
        "vendor roots": FIRST.but(
            vendor_roots=tuple(sorted((*FIRST.vendor_roots, OTHER_VENDOR.root)))
        ),
        "number": second(),
    }
    digests = {FIRST.digest, *(one.digest for one in other.values())}
    assert len(digests) == 1 + len(other)


def test_versions_name_the_one_before() -> None:
    two = second()
    three = charter(PEOPLE, UNITS, previous=two)
    chain = Chain([FIRST, two, three])
    assert chain.newest == three
    assert chain.get(two.digest) == two
    assert chain.get(Digest(bytes(32))) is None
    assert chain.owner_of(DAVE.key.ski) == (DAVE.person(), two), "he has left since"
    assert chain.owner_of(ALICE.key.ski) == (ALICE.person(), three)
    assert chain.owner_of(MALLORY.key.ski) is None


@pytest.mark.parametrize(
    "case", ["none", "gap", "not the first", "another before", "twice", "order"]
)
def test_versions_that_do_not_follow(case: str) -> None:
    two = second()
    versions = {
        "none": [],
        "gap": [FIRST, charter(PEOPLE, UNITS, previous=two)],
        "not the first": [two],
        "another before": [FIRST.but(alone=True), two],
        "twice": [FIRST, FIRST],
        "order": [two, FIRST],
    }
    with pytest.raises(Violation):
        Chain(versions[case])


def test_a_practice_instance_stays_one() -> None:
    strangers = tuple(Custodian(who.name, who.identity, who.keys, practice=False) for who in PEOPLE)
    real = charter(strangers, UNITS, previous=FIRST, practice=False)
    with pytest.raises(Violation, match="another instance"):
        Chain([FIRST, real])


# --- acceptance -----------------------------------------------------------------------------------


def test_an_acceptance_is_by_the_agent_of_who_it_names() -> None:
    chain = Chain([FIRST])
    acceptance = open_acceptance(accepts(ALICE, FIRST), chain)
    assert (acceptance.person, acceptance.charter, acceptance.number) == ("alice", FIRST.digest, 1)
    impostor = Custodian(ALICE.name, MALLORY.identity, (MALLORY.key,))
    for wrong in (accepts(impostor, FIRST), accepts(MALLORY, FIRST), accepts(DAVE, FIRST)):
        with pytest.raises(Violation):
            open_acceptance(wrong, chain)


def test_an_acceptance_of_an_unknown_version() -> None:
    with pytest.raises(Violation, match="isn't in the chain"):
        open_acceptance(accepts(ALICE, second()), Chain([FIRST]))


def test_a_newcomer_accepts_with_the_agent_that_the_new_version_names() -> None:
    two = second()
    assert open_acceptance(accepts(DAVE, two), Chain([FIRST, two])).person == "dave"


def test_a_new_version_cannot_replace_the_agents_of_its_judges() -> None:
    captured = Custodian(ALICE.name, MALLORY.identity, ALICE.keys)
    two = charter((captured, BOB, CAROL), UNITS, previous=FIRST)
    chain = Chain([FIRST, two])
    with pytest.raises(Violation):
        open_acceptance(accepts(captured, two), chain)
    assert open_acceptance(accepts(ALICE, two), chain).person == "alice"


def test_an_acceptance_of_one_version_is_none_of_another() -> None:
    two = second()
    chain = Chain([FIRST, two])
    signed = accepts(ALICE, FIRST)
    said = open_acceptance(signed, chain)
    lie = sign_statement(Label.ACCEPTANCE, said.but(number=2), ALICE.identity.sign)
    with pytest.raises(Violation):
        open_acceptance(lie, chain)
    with pytest.raises(Violation):
        open_statement(Coordinator, Label.ACCEPTANCE, signed, ALICE.agent)


def test_an_instance_has_at_most_six_operational_units_in_different_zones():
    units = [CastUnit(number) for number in range(1, 8)]
    assert charter([ALICE, BOB], units[:6]).units
    with pytest.raises(ValueError, match="at most 6"):
        charter([ALICE, BOB], units)
    with pytest.raises(ValueError, match="one availability zone"):
        charter([ALICE, BOB], [CastUnit(1, zone="AZ1-CS1"), CastUnit(2, zone="AZ1-CS2")])
    apart = [CastUnit(1, zone="AZ1-CS1"), CastUnit(2, zone="AZ2-CS1")]
    together = CastUnit(3, zone="AZ1-CS2")
    assert charter([ALICE, BOB], [*apart, together]).units


def test_no_two_units_stand_in_one_place():
    first, second = CastUnit(1), CastUnit(2)
    place = first.certificate.location
    second.certificate = second.certificate.but(location=place.but(region="eu-gb"))
    assert charter([ALICE, BOB], [first, second]).units
    second.certificate = second.certificate.but(location=place, type=UnitType.FAILOVER)
    with pytest.raises(ValueError, match="one location"):
        charter([ALICE, BOB], [first, second])


def test_no_version_takes_a_log_up_again_that_was_left():
    """Agents forget what they saw of a log that they leave: it could come back as another one."""
    versions = [FIRST]
    for log in ("log", "new log", "new log", "log"):
        coordinator = COORDINATOR.but(log=signature_key(log).identity)
        versions.append(charter(PEOPLE, UNITS, previous=versions[-1], coordinator=coordinator))
    assert Chain(versions[:-1]).newest.number == 4
    with pytest.raises(Violation, match="version 5 names a log that an earlier version has left"):
        Chain(versions)
