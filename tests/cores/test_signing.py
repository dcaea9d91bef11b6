"""Labels, statements and claims: a signature holds for one thing said by one key."""

import hashlib
import re

import pytest

from protocol.claims import KeyClaim, ProvenKey
from protocol.displayable import Reason
from protocol.identifiers import Nonce, Signature
from protocol.receipts import Birth, open_entry
from protocol.request import Rejection, open_rejection
from protocol.schema import to_bytes
from protocol.signing.algorithms import Algorithm, verify
from protocol.signing.labels import Label, digest, labelled
from protocol.signing.statements import open_statement, sign_statement
from protocol.unit_identity import UnitCertificate, open_certificate, unit_id
from protocol.violations import Violation
from tests.cast.commands import NOON, request_digest
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, MALLORY, custodian
from tests.cast.units import VENDOR, CastUnit

STATEMENT = Rejection(request=request_digest(), custodian=ALICE.agent, reason=Reason("no"), at=NOON)
SIGNED = sign_statement(Label.REJECTION, STATEMENT, ALICE.identity.sign)


def test_no_label_begins_another() -> None:
    values = [label.value for label in Label]
    assert len(set(values)) == len(values)
    for value in values:
        assert re.fullmatch(rb"quorate [a-z ]+ v[1-9][0-9]*", value)
        assert b"\0" not in value


def test_labelled_bytes_are_label_zero_byte_canonical_bytes() -> None:
    assert labelled(Label.STATE, b"data") == b"quorate state v1\0data"
    assert labelled(Label.REJECTION, STATEMENT) == b"quorate rejection v1\0" + to_bytes(STATEMENT)
    assert digest(Label.STATE, b"data") == hashlib.sha256(b"quorate state v1\0data").digest()


def test_a_statement_opens_under_its_key_and_label() -> None:
    assert open_statement(Rejection, Label.REJECTION, SIGNED, ALICE.agent) == STATEMENT
    assert open_rejection(SIGNED) == STATEMENT


@pytest.mark.parametrize("label", [label for label in Label if label is not Label.REJECTION])
def test_a_statement_does_not_open_under_another_label(label: Label) -> None:
    with pytest.raises(Violation):
        open_statement(Rejection, label, SIGNED, ALICE.agent)


def test_a_statement_does_not_open_under_another_key_or_changed() -> None:
    for wrong, key in (
        (SIGNED, BOB.agent),
        (SIGNED.but(statement=SIGNED.statement + b"\0"), ALICE.agent),
        (SIGNED.but(statement=to_bytes(STATEMENT.but(reason="yes"))), ALICE.agent),
        (SIGNED.but(signature=Signature(bytes(64))), ALICE.agent),
        (SIGNED.but(signature=Signature(SIGNED.signature[:-1])), ALICE.agent),
    ):
        with pytest.raises(Violation):
            open_statement(Rejection, Label.REJECTION, wrong, key)


def test_who_signs_is_who_is_named() -> None:
    lie = sign_statement(Label.REJECTION, STATEMENT, MALLORY.identity.sign)
    with pytest.raises(Violation):
        open_rejection(lie)


def test_well_signed_bytes_that_are_no_statement_are_a_violation() -> None:
    nonce = to_bytes(Nonce(bytes(32)))
    junk = SIGNED.but(
        statement=nonce,
        signature=Signature(ALICE.identity.sign(labelled(Label.REJECTION, nonce))),
    )
    with pytest.raises(Violation):
        open_statement(Rejection, Label.REJECTION, junk, ALICE.agent)


# --- proof of possession --------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_key_proves_itself(algorithm: Algorithm) -> None:
    who = custodian("peter", algorithm=algorithm)
    proven = who.proven()
    proven.check()
    assert proven.ski == who.key.ski == hashlib.sha256(who.key.public_key).digest()


CLAIM = ALICE.proven().claim
OTHER_CLAIMS = {
    "instance": CLAIM.but(instance="ledger-us"),
    "practice": CLAIM.but(practice=not CLAIM.practice),
    "person": CLAIM.but(person="alicia"),
    "agent": CLAIM.but(agent=BOB.agent),
    "administrator": CLAIM.but(administrator="Alice"),
    "algorithm": CLAIM.but(algorithm=Algorithm.ECDSA_P521_SHA512),
    "public_key": CLAIM.but(public_key=BOB.key.public_key),
}


@pytest.mark.parametrize("field", KeyClaim.__struct_fields__)
def test_every_field_of_a_claim_is_bound(field: str) -> None:
    with pytest.raises(Violation):
        ALICE.proven().but(claim=OTHER_CLAIMS[field]).check()


def test_nobody_proves_anothers_key() -> None:
    claim = MALLORY.proven().claim.but(public_key=ALICE.key.public_key)
    proof = Signature(MALLORY.key.sign(labelled(Label.PERSON, claim)))
    with pytest.raises(Violation):
        ProvenKey(claim=claim, proof=proof).check()


def test_a_signature_over_a_command_is_no_proof_of_possession() -> None:
    command_bytes = labelled(Label.COMMAND, CLAIM)
    with pytest.raises(Violation):
        ProvenKey(claim=CLAIM, proof=Signature(ALICE.key.sign(command_bytes))).check()


def test_a_signature_of_one_algorithm_is_none_of_another() -> None:
    signature = ALICE.key.sign(b"message")
    verify(Algorithm.ED25519, ALICE.key.public_key, b"message", signature)
    for other in (Algorithm.ECDSA_P521_SHA512, Algorithm.ED25519_ML_DSA_65):
        with pytest.raises(Violation):
            verify(other, ALICE.key.public_key, b"message", signature)


def test_a_key_that_is_made_from_a_name_is_the_same_in_every_run() -> None:
    for algorithm in Algorithm:
        first = signature_key("x", algorithm)
        signature_key.cache_clear()
        assert signature_key("x", algorithm) == first


# --- units ----------------------------------------------------------------------------------------


def test_a_certificate_is_the_vendors() -> None:
    unit = CastUnit()
    signed = VENDOR.certify(unit.certificate)
    assert open_certificate(signed, VENDOR.root) == unit.certificate
    assert unit.certificate.unit == unit.id == unit_id(unit.key.identity)
    with pytest.raises(Violation):
        open_certificate(signed, ALICE.agent)
    for field, value in {"serial": "00000000", "identity": ALICE.agent, "type": "recovery"}.items():
        other = to_bytes(unit.certificate.but(**{field: value}))
        with pytest.raises(Violation):
            open_certificate(signed.but(statement=other), VENDOR.root)


@pytest.mark.parametrize(
    "serial", ["", "1234567", "123456789", "1234567a", "1234567\n", "12 45678"]
)
def test_serials_are_eight_digits_and_letters(serial: str) -> None:
    signed = VENDOR.certify(CastUnit().certificate.but(serial=serial))
    with pytest.raises(Violation):
        open_certificate(signed, VENDOR.root)


def test_an_entry_is_the_units_own() -> None:
    unit, other = CastUnit(1), CastUnit(2)
    assert isinstance(open_entry(unit.entries[0], unit.key.identity), Birth)
    with pytest.raises(Violation):
        open_entry(unit.entries[0], other.key.identity)
    lie = sign_statement(Label.HISTORY, unit.history()[0], other.key.sign)
    with pytest.raises(Violation, match="about another"):
        open_entry(lie, other.key.identity)


def test_certificates_are_of_one_type() -> None:
    assert UnitCertificate.__struct_fields__ == ("identity", "serial", "type", "location", "made")
