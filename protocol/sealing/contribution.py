"""A contribution: one key part, sealed by its custodian's agent to one unit for one load.

The custodian's identity key signs what the part is for and the sealed bytes, so that a part has an
author; `info` binds the load's signing bytes, VP and custodian into the seal, so that it has one
reader and one use.
"""

import hashlib
from collections.abc import Callable
from typing import Annotated

import msgspec

from protocol.commands.command import Command, Contribution
from protocol.identifiers import VP, CommandId, IdentityKey, Signature
from protocol.refusals import Refusal, Rule, refuse
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.sealing.hpke import SEALED_BYTES, SUITE_NAME, unseal
from protocol.sealing.importer import ImporterKey
from protocol.signing.algorithms import verify_identity
from protocol.signing.labels import Label, labelled
from protocol.signing.statements import Sign
from protocol.violations import Violation

Seal = Callable[[bytes, bytes, bytes], bytes]
"""(plaintext, public key, info) to sealed bytes; randomised, so a port."""


class SealedPart(Struct):
    """What the custodian signs: the load, the part's VP, its custodian, the sealed bytes."""

    load: CommandId
    vp: VP
    custodian: IdentityKey
    sealed: Annotated[bytes, msgspec.Meta(min_length=SEALED_BYTES, max_length=SEALED_BYTES)]


class _Binding(Struct):
    suite: str
    load: bytes
    vp: VP
    custodian: IdentityKey


def sealing_info(load: Command, vp: VP, custodian: IdentityKey) -> bytes:
    """HPKE's `info`: the suite by name, the load's signing bytes, the part's VP, its custodian."""
    signing_bytes = load.signing_bytes()
    binding = _Binding(suite=SUITE_NAME, load=signing_bytes, vp=vp, custodian=custodian)
    return labelled(Label.SEALING, binding)


def give_part(
    part: bytes,
    load: Command,
    importer: ImporterKey,
    custodian: IdentityKey,
    *,
    seal: Seal,
    sign: Sign,
) -> Contribution:
    """Seals `part` to `importer` and signs it with the custodian's identity key.

    The caller has verified the importer key, the history of its unit and the load.
    """
    vp = vp_of(part)
    info = sealing_info(load, vp, custodian)
    statement = SealedPart(
        load=load.id,
        vp=vp,
        custodian=custodian,
        sealed=seal(part, importer.public_key, info),
    )
    data = to_bytes(statement)
    return Contribution(
        statement=data, signature=Signature(sign(labelled(Label.CONTRIBUTION, data)))
    )


def open_contribution(contribution: Contribution) -> SealedPart:
    """What the custodian named in it signed; Violation if that custodian didn't sign it."""
    part = from_bytes(SealedPart, contribution.statement)
    verify_identity(
        part.custodian, labelled(Label.CONTRIBUTION, contribution.statement), contribution.signature
    )
    return part


def unseal_part(part: SealedPart, load: Command, private_key: bytes) -> bytes | Refusal:
    """The key part itself, inside the unit; a refusal names what was wrong with it."""
    try:
        value = unseal(part.sealed, private_key, info=sealing_info(load, part.vp, part.custodian))
    except Violation:
        return refuse(
            Rule.PART_UNREADABLE,
            expected="sealed to this unit's importer key for this load",
            found=f"part {part.vp.hex()}",
        )
    if len(value) != 32 or vp_of(value) != part.vp:
        return refuse(Rule.PART_MISMATCH, expected=part.vp.hex(), found=vp_of(value).hex())
    return value


def vp_of(value: bytes) -> VP:
    """The verification pattern of a master key or key part: SHA-256."""
    return VP(hashlib.sha256(value).digest())
