"""The Merkle tree of the log: growing it, its roots, and the paths that prove things about it.

Hashing is that of RFC 6962, section 2.1 (the same as RFC 9162, section 2.1): SHA-256, a zero byte
before leaf data, a one byte before two child hashes. Only *perfect* subtrees, those of 2**level
leaves, are stored; they never change once they are full. Every root and every path of every size,
past ones too, is folded from at most `2 * log2(size)` of them.

No storage here. Each question comes in two halves, so that a store can read all it takes in one
query: `inclusion_nodes(...)` names the nodes, `inclusion_path(...)` folds them, and so for roots
and consistency.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, NamedTuple, NewType, Self

import msgspec

from protocol.identifiers import Bytes32
from protocol.schema import Struct

Hash = NewType("Hash", Bytes32)
"""SHA-256 of a leaf, of a node, or of nothing (the root of the empty tree)."""

MAX_SIZE = (1 << 63) - 1
Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]
"""A number of leaves."""

EMPTY_ROOT = Hash(hashlib.sha256(b"").digest())


@dataclass(frozen=True, slots=True, order=True)
class NodeId:
    """A perfect subtree: the leaves from `index << level` up to `(index + 1) << level`."""

    level: int
    index: int


class Node(NamedTuple):
    """A perfect subtree and the hash over it: what is stored."""

    id: NodeId
    hash: Hash


Nodes = Callable[[NodeId], Hash]
"""Where stored hashes come from: `{...}.__getitem__` will do. It raises for what it lacks."""

Path = tuple[Hash, ...]
"""A proof: hashes from the leaves towards the root."""


def leaf_hash(data: bytes) -> Hash:
    """The hash of a leaf (RFC 6962, section 2.1)."""
    return Hash(hashlib.sha256(b"\x00" + data).digest())


def node_hash(left: Hash, right: Hash) -> Hash:
    """The hash of an inner node (RFC 6962, section 2.1)."""
    return Hash(hashlib.sha256(b"\x01" + left + right).digest())


class Frontier(Struct):
    """All that growing the log needs: its size, and the hashes of its full subtrees.

    `hashes` holds one hash for each one bit of `size`, the largest subtree first. The nodes are
    those that `root_nodes(size)` names.
    """

    size: Size
    hashes: Path

    def invariant(self) -> str | None:
        if len(self.hashes) != self.size.bit_count():
            return "a frontier has one hash for each one bit of its size"
        return None

    @classmethod
    def empty(cls) -> Self:
        """The frontier of a log without entries."""
        return cls(size=0, hashes=())

    @classmethod
    def load(cls, size: int, nodes: Nodes) -> Self:
        """The frontier of a stored log."""
        return cls(size=size, hashes=tuple(nodes(node) for node in root_nodes(size)))

    @property
    def root(self) -> Hash:
        """The root of the tree as it is."""
        return _fold(self.hashes)

    def append(self, leaf: Hash) -> tuple[Self, tuple[Node, ...]]:
        """One leaf more: the frontier after it, and the nodes to store with it, leaf first.

        A node is returned once in the life of a log and never changes afterwards.
        """
        hashes = list(self.hashes)
        level, newest = 0, leaf
        made = [Node(NodeId(0, self.size), leaf)]
        while self.size >> level & 1:
            newest = node_hash(hashes.pop(), newest)
            level += 1
            made.append(Node(NodeId(level, self.size >> level), newest))
        grown = type(self)(size=self.size + 1, hashes=(*hashes, newest))
        return grown, tuple(made)


def root_nodes(size: int) -> tuple[NodeId, ...]:
    """The nodes that `root` and `Frontier.load` read."""
    return _cover(_Range(0, size))


def root(size: int, nodes: Nodes) -> Hash:
    """The root that the log had at `size`: MTH of RFC 6962, section 2.1."""
    return _fold(nodes(node) for node in root_nodes(size))


def inclusion_nodes(index: int, size: int) -> tuple[NodeId, ...]:
    """The nodes that `inclusion_path` reads."""
    return _covers(_inclusion_ranges(index, size))


def inclusion_path(index: int, size: int, nodes: Nodes) -> Path:
    """Proof that the leaf at `index` is in the tree of `size`: PATH of RFC 6962, section 2.1.1."""
    return _hashes(_inclusion_ranges(index, size), nodes)


def consistency_nodes(old: int, new: int) -> tuple[NodeId, ...]:
    """The nodes that `consistency_path` reads."""
    return _covers(_consistency_ranges(old, new))


def consistency_path(old: int, new: int, nodes: Nodes) -> Path:
    """Proof that the tree of size `new` begins with that of `old`: PROOF of RFC 6962, 2.1.2.

    Empty where `old` is 0 or equal to `new`, which the RFC leaves open.
    """
    return _hashes(_consistency_ranges(old, new), nodes)


class _Range(NamedTuple):
    """Leaves from `begin` up to `end`, as the RFC's recursion cuts them: `begin` is a multiple
    of the smallest power of two that holds the range."""

    begin: int
    end: int

    def cut(self) -> tuple["_Range", "_Range"]:
        """Left, with the largest power of two of leaves below the whole, and right."""
        middle = self.begin + (1 << (self.end - self.begin - 1).bit_length() - 1)
        return _Range(self.begin, middle), _Range(middle, self.end)


def _inclusion_ranges(index: int, size: int) -> list[_Range]:
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    siblings: list[_Range] = []
    here = _Range(0, size)
    while here.end - here.begin > 1:
        left, right = here.cut()
        here, sibling = (left, right) if index < left.end else (right, left)
        siblings.append(sibling)
    return siblings[::-1]


def _consistency_ranges(old: int, new: int) -> list[_Range]:
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} can't begin with one of {old}")
    if old == 0:
        return []
    ranges: list[_Range] = []
    here = _Range(0, new)
    while here.end != old:
        left, right = here.cut()
        here, sibling = (left, right) if old <= left.end else (right, left)
        ranges.append(sibling)
    if here.begin:  # else `here` is the whole old tree, whose root the verifier has
        ranges.append(here)
    return ranges[::-1]


def _cover(leaves: _Range) -> tuple[NodeId, ...]:
    """The fewest perfect subtrees that make up the range, left to right."""
    nodes = []
    begin = leaves.begin
    for level in reversed(range((leaves.end - leaves.begin).bit_length())):
        if leaves.end - begin >> level:
            nodes.append(NodeId(level, begin >> level))
            begin += 1 << level
    return tuple(nodes)


def _covers(ranges: Iterable[_Range]) -> tuple[NodeId, ...]:
    return tuple(node for leaves in ranges for node in _cover(leaves))


def _hashes(ranges: Iterable[_Range], nodes: Nodes) -> Path:
    return tuple(_fold(nodes(node) for node in _cover(leaves)) for leaves in ranges)


def _fold(hashes: Iterable[Hash]) -> Hash:
    """The root over neighbouring perfect subtrees of falling size."""
    folded: Hash | None = None
    for left in reversed(tuple(hashes)):
        folded = left if folded is None else node_hash(left, folded)
    return EMPTY_ROOT if folded is None else folded
