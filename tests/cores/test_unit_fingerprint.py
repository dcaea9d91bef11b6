"""What custodians compare with somebody at the unit host: all units and vendor roots, no order."""

import hashlib

import msgpack
import pytest

from protocol.identifiers import IdentityKey
from protocol.unit_identity import CertifiedUnit, fingerprint_of_units
from protocol.violations import Violation
from tests.cast.keys import signature_key
from tests.cast.units import VENDOR, CastUnit, Vendor

ROOTS = [IdentityKey(bytes([n]) * 32) for n in (1, 2)]
KEYS = [IdentityKey(bytes([n]) * 32) for n in (3, 4, 5)]


def test_it_is_the_hash_of_both_sorted_lists():
    packed = msgpack.packb({"identities": KEYS, "vendor_roots": ROOTS}, use_bin_type=True)
    expected = hashlib.sha256(packed).digest()
    assert fingerprint_of_units(ROOTS, KEYS) == expected
    assert fingerprint_of_units(reversed(ROOTS), [*reversed(KEYS), KEYS[0]]) == expected


def test_another_unit_or_root_has_another_fingerprint():
    found = {
        fingerprint_of_units(ROOTS, KEYS),
        fingerprint_of_units(ROOTS, KEYS[:2]),
        fingerprint_of_units(ROOTS[:1], KEYS),
        fingerprint_of_units(KEYS, ROOTS),
    }
    assert len(found) == 4


def test_a_certificate_counts_only_under_the_root_that_signed_it():
    unit = CastUnit()
    signed = VENDOR.certify(unit.certificate)
    assert CertifiedUnit(certificate=signed, vendor_root=VENDOR.root).opened() == unit.certificate
    other = Vendor(signature_key("another vendor"))
    with pytest.raises(Violation):
        CertifiedUnit(certificate=signed, vendor_root=other.root).opened()
