"""The vendor's part, played by the emulator: makes units and certifies their identity keys.

Each unit host has a vendor root of its own, made with the directory. Its private key stays there,
sealed, so that units made there later can have the same vendor.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from nacl.signing import SigningKey

from hsm_backend.durable import store
from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import make_device_key
from hsm_backend.durable.steps import Write
from hsm_backend.durable.store import KeptUnit, NewUnit, Store
from hsm_backend.unit import machine
from hsm_backend.unit.machine import Fresh
from hsm_backend.unit.memory import Memory, UnitIdentity
from protocol.identifiers import IdentityKey, IncarnationId, Instant
from protocol.location import Location, UnitType
from protocol.sealing.hpke import seal
from protocol.secrets import Secret
from protocol.signing.labels import Label
from protocol.signing.statements import Sign, sign_statement
from protocol.unit_identity import CertifiedUnit, UnitCertificate
from quorate import tls


@dataclass(frozen=True)
class UnitPlan:
    """A unit to be made. `serial` has eight of 0-9 and A-Z."""

    type: UnitType
    location: Location
    serial: str


def signer(private: Secret) -> Sign:
    """Signs with an Ed25519 identity key."""
    key = SigningKey(private.reveal())
    return lambda message: key.sign(message).signature


def identity_of(certificate: UnitCertificate, private: Secret) -> UnitIdentity:
    """What the state machine needs of a unit's identity."""
    return UnitIdentity(unit=certificate.unit, type=certificate.type, sign=signer(private))


def make_units(
    directory: StateDirectory, plans: Sequence[UnitPlan], *, names: Sequence[str], now: Instant
) -> None:
    """Fills a directory that this process owns: keys, TLS certificate for `names`, the units.

    The database comes last and whole, so that it can be begun again after any failure.
    """
    device_key = make_device_key(directory)
    _make_tls_certificate(directory, names, now)
    private = _new_key()
    root = _public(private)
    units = [_make_unit(plan, root, signer(private), now) for plan in plans]
    store.create(directory, device_key, root=root, root_private=private, units=units)


def zeroize_by_hand(kept_in: Store, unit: KeptUnit, *, now: Instant) -> Memory:
    """What whoever stands at the host may do without any signature; gives what is left."""
    certificate = unit.certified.opened()
    step = machine.zeroize_by_hand(
        identity_of(certificate, unit.private),
        unit.memory,
        incarnation=fresh_incarnation(),
        now=now,
    )
    kept_in.commit(Write.BY_HAND, certificate.unit, unit.memory, step)
    return step.memory


def fresh() -> Fresh:
    """The operating system's randomness for one command."""
    return Fresh(
        incarnation=fresh_incarnation(),
        key=Secret(secrets.token_bytes(32)),
        seal=lambda plaintext, public_key, info: seal(plaintext, public_key, info=info),
    )


def fresh_incarnation() -> IncarnationId:
    """The random id of a life that may begin."""
    return IncarnationId(secrets.token_bytes(16))


def _make_tls_certificate(directory: StateDirectory, names: Sequence[str], now: Instant) -> None:
    if directory.tls_certificate.exists():
        return
    # A key without its certificate is left of an attempt that was cut short.
    directory.tls_key.unlink(missing_ok=True)
    tls.write_certificate(directory.tls_certificate, directory.tls_key, names, at=now)


def _make_unit(plan: UnitPlan, root: IdentityKey, certify: Sign, now: Instant) -> NewUnit:
    private = _new_key()
    certificate = UnitCertificate(
        identity=_public(private),
        serial=plan.serial,
        type=plan.type,
        location=plan.location,
        made=now,
    )
    return NewUnit(
        certified=CertifiedUnit(
            certificate=sign_statement(Label.UNIT_CERTIFICATE, certificate, certify),
            vendor_root=root,
        ),
        private=private,
        step=machine.be_made(
            identity_of(certificate, private), incarnation=fresh_incarnation(), now=now
        ),
    )


def _new_key() -> Secret:
    return Secret(bytes(SigningKey.generate()))


def _public(private: Secret) -> IdentityKey:
    return IdentityKey(bytes(SigningKey(private.reveal()).verify_key))
