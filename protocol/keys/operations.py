"""What a key user asks of a unit, and signs.

Each call names the unit and a time, and holds a nonce: a unit takes it once, and no other does.
What changes keys can be asked again under a new nonce and does no more: key ids are the client's
random choice, and `Delete` and `Restore` name the event that they follow.
"""

from typing import Annotated, NewType

import msgspec

from protocol.identifiers import SECOND, Bytes32, Digest, Duration, Instant, Nonce, UnitId
from protocol.schema import Struct, Variant
from protocol.signing.labels import Label, digest
from protocol.unit_state import KeyRight

Bytes16 = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]

KeyId = NewType("KeyId", Bytes16)
"""Names a root key: 16 random bytes that the client draws."""

StorageId = NewType("StorageId", Bytes16)
"""Names a key storage, and with it the instance: 16 random bytes that a unit draws."""

KeyVersion = NewType("KeyVersion", Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)])
"""Counts a root key's versions from 1."""

FIRST_VERSION = KeyVersion(1)

EventNumber = NewType("EventNumber", Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)])
"""The place of an event in key storage's log, from 0."""

MAX_ITEMS = 1000
MAX_DATA = 4096
"""Bytes of a data key."""
MAX_ASSOCIATED = 1024
MAX_BLOB = MAX_DATA + 128
MAX_CALL_BYTES = 1 << 20
"""Of a signed call: clients cut longer ones into several."""
LONGEST_NAME = 64
CLOCK_WINDOW = Duration(60 * SECOND)
"""How far a call's time may be from the unit's."""

_Associated = Annotated[bytes, msgspec.Meta(max_length=MAX_ASSOCIATED)]


class NewKey(Struct):
    """A root key to be made. Rule KEY_NAME says which names are good; it may be empty."""

    key: KeyId
    name: Annotated[str, msgspec.Meta(max_length=200)]


class ToWrap(Struct):
    """A data key, and what it is bound to beside the root key."""

    key: KeyId
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_DATA)]
    associated: _Associated


class ToUnwrap(Struct):
    """A blob, and the associated data that it was made with."""

    blob: Annotated[bytes, msgspec.Meta(max_length=MAX_BLOB)]
    associated: _Associated


class Following(Struct):
    """A key as the caller knows it: `after` is its newest event."""

    key: KeyId
    after: EventNumber


class Create(Variant, tag="create"):
    """Makes root keys. Asked again for a key that is there, it gives that key."""

    keys: Annotated[tuple[NewKey, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class Wrap(Variant, tag="wrap"):
    """Wraps data keys."""

    items: Annotated[tuple[ToWrap, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class Unwrap(Variant, tag="unwrap"):
    """Unwraps blobs."""

    items: Annotated[tuple[ToUnwrap, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class Delete(Variant, tag="delete"):
    """Deletes keys; they can be restored for a time."""

    items: Annotated[tuple[Following, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class Restore(Variant, tag="restore"):
    """Brings deleted keys back."""

    items: Annotated[tuple[Following, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class Show(Variant, tag="show"):
    """What is known of these keys."""

    keys: Annotated[tuple[KeyId, ...], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class ListKeys(Variant, tag="list"):
    """A page of all keys that can be used or restored, oldest first.

    `after` is the event that made the last key of the page before; None asks for the first page.
    """

    after: EventNumber | None


class GetStats(Variant, tag="stats"):
    """How much there is, and under which master key."""


Operation = Create | Wrap | Unwrap | Delete | Restore | Show | ListKeys | GetStats

RIGHT_OF: dict[type[Operation], KeyRight | None] = {
    Create: KeyRight.CREATE,
    Wrap: KeyRight.WRAP,
    Unwrap: KeyRight.UNWRAP,
    Delete: KeyRight.DELETE,
    Restore: KeyRight.DELETE,
    Show: None,
    ListKeys: None,
    GetStats: None,
}
"""What a key user needs; None where any right is enough."""


def name_of(operation: Operation) -> str:
    """The operation's name in the bytes."""
    return str(type(operation).__struct_config__.tag)


class KeyCall(Struct):
    """What a key user signs (`quorate key request v1`). `user` is their public key."""

    unit: UnitId
    user: Bytes32
    at: Instant
    nonce: Nonce
    operation: Operation


def call_digest(statement: bytes) -> Digest:
    """The digest of a call's canonical bytes: what its answer names."""
    return digest(Label.KEY_REQUEST, statement)
