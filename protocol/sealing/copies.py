"""An exported master key: a copy sealed by a recovery unit to each receiver's importer key.

`docs/decisions/0010-recovery-units.md`. `info` binds the export's signing bytes, VP and receiver
into the seal, so that a copy opens in one unit, for one export.
"""

from typing import Annotated

import msgspec

from protocol.commands.command import Command
from protocol.identifiers import VP, Digest, Incarnation, StateVersion, UnitId
from protocol.schema import Struct
from protocol.sealing.hpke import SEALED_BYTES, SUITE_NAME, unseal
from protocol.sealing.importer import ImporterKey
from protocol.signing.labels import Label, digest, labelled
from protocol.violations import Violation


class SealedCopy(Struct):
    """The key, sealed to one receiver's importer key."""

    receiver: UnitId
    sealed: Annotated[bytes, msgspec.Meta(min_length=SEALED_BYTES, max_length=SEALED_BYTES)]


class BoundReceiver(Struct):
    """A receiver as the export is bound to it."""

    unit: UnitId
    incarnation: Incarnation
    version: StateVersion
    state: Digest
    importer: Digest


class Receivers(Struct):
    """All receivers of an export, in its order. What its command names as `importer`."""

    receivers: tuple[BoundReceiver, ...]

    @property
    def digest(self) -> Digest:
        """Names them in the command."""
        return digest(Label.RECEIVERS, self)


def receivers_of(importers: tuple[ImporterKey, ...]) -> Receivers:
    """The receivers who made these importer keys."""
    return Receivers(
        receivers=tuple(
            BoundReceiver(
                unit=one.unit,
                incarnation=one.incarnation,
                version=one.version,
                state=one.state,
                importer=one.digest,
            )
            for one in importers
        )
    )


class _Binding(Struct):
    suite: str
    export: bytes
    vp: VP
    receiver: UnitId


def copy_info(export: Command, vp: VP, receiver: UnitId) -> bytes:
    """HPKE's `info`: the suite by name, the export's signing bytes, the key's VP, the receiver."""
    binding = _Binding(suite=SUITE_NAME, export=export.signing_bytes(), vp=vp, receiver=receiver)
    return labelled(Label.COPY, binding)


def open_copy(copy: SealedCopy, export: Command, vp: VP, private_key: bytes) -> bytes:
    """The key in a copy, 32 bytes; Violation where it doesn't open or is another length."""
    value = unseal(copy.sealed, private_key, info=copy_info(export, vp, copy.receiver))
    if len(value) != 32:
        raise Violation("a master key has 32 bytes")
    return value
