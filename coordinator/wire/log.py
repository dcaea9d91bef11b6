"""The Merkle log: entries, checkpoints, proofs."""

from typing import Annotated

import msgspec

from coordinator.wire.values import Hex32, Json, Time

_Size = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class LogEntry(Json):
    """An entry, opened: with its salt, everybody can make the leaf's hash from it."""

    kind: str
    at: Time
    salted: bytes


class LogItemView(Json):
    """A leaf. `entry` is null where it is another instance's."""

    position: int
    leaf: Hex32
    entry: LogEntry | None


class LogPage(Json):
    """Leaves, in order. `next` is the `start` of the next page; null when there is none."""

    items: tuple[LogItemView, ...]
    next: int | None


class LogFrom(Json):
    """Leaves from position `start` on."""

    start: _Size = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100


class CheckpointView(Json):
    """The newest checkpoint: a signed note (C2SP tlog-checkpoint)."""

    size: int
    root: Hex32
    note: str


class Consistent(Json):
    """From the log of size `old` to that of size `new` (RFC 6962, 2.1.2)."""

    old: _Size
    new: _Size


class Included(Json):
    """Of the leaf at `position` in the log of `size` (RFC 6962, 2.1.1)."""

    position: _Size
    size: _Size


class ProofView(Json):
    """A path through the tree."""

    path: tuple[Hex32, ...]
