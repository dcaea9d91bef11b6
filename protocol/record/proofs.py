"""Checking what a log claims: that it holds a leaf, and that it only ever grew.

The algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2. Nothing here returns False: what doesn't
hold raises ProofFailed. A proof ties a *leaf* or an *older root* to a root. That the root belongs
to the size is the checkpoint's word (`protocol.record.checkpoints`): some paths fit trees of
several sizes.
"""

from collections.abc import Sequence

from protocol.record.tree import EMPTY_ROOT, Hash, Path, node_hash
from protocol.violations import Violation


class ProofFailed(Violation):
    """The log's proof doesn't hold: it is damaged, or the log isn't what it claims to be."""


def verify_inclusion(*, leaf: Hash, index: int, size: int, root: Hash, path: Path) -> None:
    """The tree of `size` leaves under `root` has the leaf hash `leaf` at `index`, from 0.

    RFC 9162, section 2.1.3.2.
    """
    _require_hashes((leaf, root, *path))
    if not 0 <= index < size:
        raise ProofFailed(f"no leaf {index} in a tree of {size}")
    here, last = index, size - 1
    found = leaf
    for sibling in path:
        if last == 0:
            raise ProofFailed("the path goes on above the root")
        if here & 1 or here == last:
            found = node_hash(sibling, found)
            here, last = _up_to_right_child(here, last)
        else:
            found = node_hash(found, sibling)
        here, last = here >> 1, last >> 1
    if last != 0:
        raise ProofFailed("the path ends below the root")
    if found != root:
        raise ProofFailed("the path leads to another root")


def verify_consistency(
    *, old_size: int, old_root: Hash, new_size: int, new_root: Hash, path: Path
) -> None:
    """The tree of `new_size` leaves begins with all leaves of the tree of `old_size`.

    RFC 9162, section 2.1.4.2. Where the RFC is silent: equal sizes need equal roots and an empty
    path; the empty tree begins every tree, and its path is empty too.
    """
    _require_hashes((old_root, new_root, *path))
    if not 0 <= old_size <= new_size:
        raise ProofFailed(f"a tree of {new_size} can't begin with one of {old_size}")
    for size, root in ((old_size, old_root), (new_size, new_root)):
        if size == 0 and root != EMPTY_ROOT:
            raise ProofFailed("the empty tree has another root")
    if old_size == new_size and old_root != new_root:
        raise ProofFailed("two roots for one size")
    if old_size in (0, new_size):
        if path:
            raise ProofFailed("a path where none is needed")
        return
    _walk_both(old_size, old_root, new_size, new_root, path)


def _walk_both(old_size: int, old_root: Hash, new_size: int, new_root: Hash, path: Path) -> None:
    if not path:
        raise ProofFailed("no path between trees of different sizes")
    if old_size.bit_count() == 1:  # the old root is itself a node of the new tree
        path = (old_root, *path)
    here, last = old_size - 1, new_size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old_found = new_found = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofFailed("the path goes on above the root")
        if here & 1 or here == last:
            old_found = node_hash(sibling, old_found)
            new_found = node_hash(sibling, new_found)
            here, last = _up_to_right_child(here, last)
        else:
            new_found = node_hash(new_found, sibling)
        here, last = here >> 1, last >> 1
    if last != 0:
        raise ProofFailed("the path ends below the root")
    if old_found != old_root:
        raise ProofFailed("the path leads to another old root")
    if new_found != new_root:
        raise ProofFailed("the path leads to another new root")


def _up_to_right_child(here: int, last: int) -> tuple[int, int]:
    """Skips the levels on which the last node has no sibling and moves up unchanged."""
    while here and not here & 1:
        here, last = here >> 1, last >> 1
    return here, last


def _require_hashes(hashes: Sequence[Hash]) -> None:
    if any(len(value) != len(EMPTY_ROOT) for value in hashes):
        raise ProofFailed("a hash that isn't 32 bytes long")
