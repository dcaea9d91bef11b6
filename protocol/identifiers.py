"""Names of things, each a type of its own so that one can't be taken for another.

All digests are SHA-256 (FIPS 180-4). Instants and durations are whole milliseconds; an instant
counts from 1970-01-01 00:00 UTC.
"""

from typing import Annotated, NewType

import msgspec

from protocol.schema import Struct

Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Bytes16 = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Counter = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]

SKI = NewType("SKI", Bytes32)
"""Subject key identifier of a signature key: SHA-256 of its public key."""

VP = NewType("VP", Bytes32)
"""Verification pattern: SHA-256 of a master key or of a key part."""

Digest = NewType("Digest", Bytes32)
"""SHA-256 of labelled canonical bytes (`protocol.signing.labels`)."""

CommandId = NewType("CommandId", Bytes32)
"""Digest of a command's signing bytes."""

UnitId = NewType("UnitId", Bytes32)
"""SHA-256 of a crypto unit's identity key."""

Nonce = NewType("Nonce", Bytes32)

IdentityKey = NewType("IdentityKey", Bytes32)
"""An Ed25519 public key (RFC 8032) that names an agent, a unit, a coordinator or a log."""

Signature = NewType("Signature", Annotated[bytes, msgspec.Meta(min_length=8, max_length=4096)])

IncarnationId = NewType("IncarnationId", _Bytes16)

_YEAR_9000 = 221_845_392_000_000
Instant = NewType("Instant", Annotated[int, msgspec.Meta(ge=0, lt=_YEAR_9000)])
"""Milliseconds since 1970-01-01 00:00 UTC, before the year 9000: every calendar can show it."""

Duration = NewType("Duration", _Milliseconds)
"""Milliseconds."""

StateVersion = NewType("StateVersion", _Counter)

SECOND = Duration(1_000)
MINUTE = Duration(60 * SECOND)
HOUR = Duration(60 * MINUTE)
DAY = Duration(24 * HOUR)


class Incarnation(Struct, order=True):
    """One life of a unit: the number rises, the id is random, both are new after every zeroize."""

    number: _Counter
    id: IncarnationId


def short(value: bytes) -> str:
    """The first eight hex digits: a label for what this machine has compared whole."""
    return value.hex()[:8] + "…"


def grouped(value: bytes) -> str:
    """All hex digits in groups of eight: for people who decide or compare."""
    digits = value.hex()
    return " ".join(digits[start : start + 8] for start in range(0, len(digits), 8))
