"""What key storage must hold: a log of what became of every key, and its root in one row.

The log is a Merkle tree (RFC 6962 hashing, `protocol.record.tree`) whose leaves are events. The row
is authenticated under each master key in use; whoever owns the database can't write either.
"""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated

import msgspec

from protocol.identifiers import VP, Bytes32, Incarnation, Instant, UnitId
from protocol.keys.operations import KeyId, KeyVersion, StorageId
from protocol.record.tree import Hash, Size, leaf_hash
from protocol.schema import Struct
from protocol.signing.labels import Label, labelled


class EventKind(StrEnum):
    """What became of a key."""

    CREATED = "created"
    DELETED = "deleted"
    RESTORED = "restored"
    DESTROYED = "destroyed"
    """The time to restore it has passed, and its wraps are gone."""


class KeyEvent(Struct):
    """One entry of the log. `user` is the key user who asked; None where only time did.

    `name` is the key's name, in the event that creates it; empty in others.
    """

    key: KeyId
    version: KeyVersion
    kind: EventKind
    name: str
    at: Instant
    user: Bytes32 | None
    unit: UnitId

    @property
    def leaf(self) -> Hash:
        """Its leaf in the tree."""
        return leaf_hash(labelled(Label.KEY_EVENT, self))


class Inventory(Struct):
    """How much key storage holds. `version` rises with every change of this.

    `count` is how many keys have a wrap; `size` and `root` are those of the log; `vps` are the
    master keys under which all of them are wrapped: one, or two while a rotation runs.
    """

    storage: StorageId
    version: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)]
    count: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
    size: Size
    root: Hash
    vps: Annotated[tuple[VP, ...], msgspec.Meta(min_length=1, max_length=2)]

    def invariant(self) -> str | None:
        if not all(a < b for a, b in pairwise(self.vps)):
            return "master keys are not in ascending order"
        return None


class Authenticator(Struct):
    """A master key's word for the inventory."""

    vp: VP
    tag: Bytes32


class Vouched(Struct):
    """The row as it is in the database: the inventory, and each master key's word for it."""

    inventory: Inventory
    authenticators: Annotated[tuple[Authenticator, ...], msgspec.Meta(max_length=2)]


class Mark(Struct):
    """How far a unit has seen key storage, as it writes it down under its present life."""

    incarnation: Incarnation
    storage: StorageId
    size: Size
    root: Hash
