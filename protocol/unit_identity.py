"""Who a crypto unit is: an identity key, and what a vendor root certified about it."""

import hashlib
from collections.abc import Iterable
from typing import Annotated

import msgspec

from protocol.identifiers import Digest, IdentityKey, Instant, UnitId
from protocol.location import Location, UnitType
from protocol.schema import Struct, to_bytes
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, open_statement


class UnitCertificate(Struct):
    """What the vendor says of a unit. The identity key signs all that the unit says."""

    identity: IdentityKey
    serial: Annotated[str, msgspec.Meta(min_length=8, max_length=8, pattern=r"\A[0-9A-Z]{8}\Z")]
    type: UnitType
    location: Location
    made: Instant

    @property
    def unit(self) -> UnitId:
        """The unit's id: SHA-256 of its identity key."""
        return unit_id(self.identity)


def unit_id(identity: IdentityKey) -> UnitId:
    """SHA-256 of the 32 raw bytes of the identity key."""
    return UnitId(hashlib.sha256(identity).digest())


def open_certificate(signed: Signed, vendor_root: IdentityKey) -> UnitCertificate:
    """The certificate, if this vendor root signed it; Violation otherwise."""
    return open_statement(UnitCertificate, Label.UNIT_CERTIFICATE, signed, vendor_root)


class CertifiedUnit(Struct):
    """A unit's certificate as the vendor signed it. Proves nothing until it was opened."""

    certificate: Signed
    vendor_root: IdentityKey

    def opened(self) -> UnitCertificate:
        """The certificate; Violation unless the vendor root signed it.

        Whether that vendor root is to be trusted, the charter says.
        """
        return open_certificate(self.certificate, self.vendor_root)


class OfferedUnit(Struct):
    """What a unit host gives out for a charter: the certificate and the newest history entry."""

    certified: CertifiedUnit
    last_entry: Signed


class OfferedUnits(Struct):
    """The file that `quorate unit show --export` writes."""

    units: Annotated[tuple[OfferedUnit, ...], msgspec.Meta(min_length=1, max_length=256)]


class _HostUnits(Struct):
    vendor_roots: tuple[IdentityKey, ...]
    identities: tuple[IdentityKey, ...]


def fingerprint_of_units(
    vendor_roots: Iterable[IdentityKey], identities: Iterable[IdentityKey]
) -> Digest:
    """What custodians compare with somebody at the unit host before they accept a new unit.

    SHA-256 of the canonical bytes of both lists, each sorted and without doubles.
    """
    units = _HostUnits(
        vendor_roots=tuple(sorted(set(vendor_roots))), identities=tuple(sorted(set(identities)))
    )
    return Digest(hashlib.sha256(to_bytes(units)).digest())
