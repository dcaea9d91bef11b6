"""Contributions: a part has an author, one reader and one use."""

from typing import Any

import pytest

from protocol.commands.command import Command, Contribution
from protocol.identifiers import VP, Digest, Instant, Signature
from protocol.refusals import Refusal, Rule
from protocol.schema import to_bytes
from protocol.sealing.contribution import (
    SealedPart,
    open_contribution,
    sealing_info,
    unseal_part,
    vp_of,
)
from protocol.sealing.importer import ImporterKey
from protocol.signing.labels import Label, labelled
from protocol.violations import Violation
from tests.cast.commands import contribution, load_of, request_digest
from tests.cast.people import ALICE, BOB, CAROL, MALLORY
from tests.cast.units import CastUnit

GIVEN = [(ALICE, ALICE.part()), (BOB, BOB.part())]
ALICES = vp_of(ALICE.part())


@pytest.fixture(scope="module")
def unit() -> CastUnit:
    unit = CastUnit()
    unit.leave_imprint((ALICE, BOB, CAROL))
    return unit


@pytest.fixture(scope="module")
def load(unit: CastUnit) -> Command:
    return unit.load_command(GIVEN)[0]


@pytest.fixture(scope="module")
def importer(unit: CastUnit) -> ImporterKey:
    return unit.importer_key(request_digest())


@pytest.fixture(scope="module")
def private(unit: CastUnit, importer: ImporterKey) -> bytes:
    (held,) = [one for one in unit.memory.importer_keys if one.public == importer]
    return held.private.reveal()


@pytest.fixture(scope="module")
def given(load: Command, importer: ImporterKey) -> Contribution:
    return contribution(GIVEN[0], load, importer)


def test_a_part_opens_inside_its_unit_for_its_load(
    load: Command, given: Contribution, private: bytes
) -> None:
    part = open_contribution(given)
    assert (part.load, part.vp, part.custodian) == (load.id, ALICES, ALICE.agent)
    assert unseal_part(part, load, private) == ALICE.part()


def test_the_sealed_bytes_hold_neither_the_part_nor_its_digest_by_another_way(
    given: Contribution,
) -> None:
    assert ALICE.part() not in given.statement
    assert ALICE.part().hex() not in repr(given)


CHANGES: dict[str, Any] = {
    "charter": Digest(bytes(32)),
    "practice": False,
    "request": request_digest("another"),
    "unit": CastUnit(2).id,
    "version": 99,
    "state": Digest(bytes(32)),
    "not_before": Instant(0),
    "not_after": Instant(1 << 52),
    "importer": Digest(bytes(32)),
    "body": load_of([GIVEN[0], (CAROL, CAROL.part())]),
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_of_the_load_is_bound_into_the_seal(
    field: str, load: Command, given: Contribution, private: bytes
) -> None:
    other = load.but(**{field: CHANGES[field]})
    refusal = unseal_part(open_contribution(given), other, private)
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.PART_UNREADABLE


@pytest.mark.parametrize(
    "wrong", [{"vp": vp_of(BOB.part())}, {"custodian": BOB.agent}], ids=lambda wrong: str(*wrong)
)
def test_vp_and_custodian_are_bound_into_the_seal(
    wrong: dict[str, Any], load: Command, given: Contribution, private: bytes
) -> None:
    refusal = unseal_part(open_contribution(given).but(**wrong), load, private)
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.PART_UNREADABLE


def test_info_is_different_for_every_load_vp_and_custodian(load: Command) -> None:
    base = sealing_info(load, ALICES, ALICE.agent)
    assert base.startswith(b"quorate sealing v1\0")
    assert sealing_info(load, vp_of(b""), ALICE.agent) != base
    assert sealing_info(load, ALICES, BOB.agent) != base
    assert sealing_info(load.but(practice=False), ALICES, ALICE.agent) != base


def test_another_reader_reads_nothing(load: Command, given: Contribution) -> None:
    other = CastUnit(2)
    other.leave_imprint((ALICE, BOB))
    other.importer_key(request_digest())
    private = other.memory.importer_keys[0].private.reveal()
    refusal = unseal_part(open_contribution(given), load, private)
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.PART_UNREADABLE


def test_a_contribution_has_one_author(given: Contribution) -> None:
    part = open_contribution(given)
    data = to_bytes(part)
    for key in (MALLORY.identity, ALICE.key):
        forged = Signature(key.sign(labelled(Label.CONTRIBUTION, data)))
        with pytest.raises(Violation):
            open_contribution(given.but(signature=forged))
    for field, value in {
        "load": request_digest(),
        "vp": VP(bytes(32)),
        "custodian": BOB.agent,
        "sealed": bytes(1168),
    }.items():
        changed = to_bytes(part.but(**{field: value}))
        with pytest.raises(Violation):
            open_contribution(given.but(statement=changed))


@pytest.mark.parametrize("length", [0, 1, 1167, 1169])
def test_sealed_bytes_have_one_length(length: int, given: Contribution) -> None:
    part = open_contribution(given).but(sealed=bytes(length))
    data = to_bytes(part)
    signature = Signature(ALICE.identity.sign(labelled(Label.CONTRIBUTION, data)))
    with pytest.raises(Violation, match="length"):
        open_contribution(Contribution(statement=data, signature=signature))
    assert SealedPart.__struct_fields__ == ("load", "vp", "custodian", "sealed")
