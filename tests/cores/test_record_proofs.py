"""Proofs about the log: the right ones hold, and whatever is wrong with one, it fails.

For each right proof a dozen or more wrong ones are made by systematic damage.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path as File
from typing import Any

import pytest

from protocol.record.proofs import ProofFailed, verify_consistency, verify_inclusion
from protocol.record.tree import EMPTY_ROOT, Hash, Path, leaf_hash, node_hash
from protocol.violations import Violation
from tests.cores import rfc6962

VECTORS = File(__file__).parents[1] / "vectors" / "record"
MERKLE: dict[str, Any] = json.loads((VECTORS / "merkle.json").read_text())
KNOWN = [bytes.fromhex(leaf) for leaf in MERKLE["leaves"]]
LEAVES = [b"entry %d" % number for number in range(20)]
OTHER = leaf_hash(b"somebody else's")


@dataclass(frozen=True)
class Inclusion:
    """The arguments of `verify_inclusion`."""

    leaf: Hash
    index: int
    size: int
    root: Hash
    path: Path

    def verify(self) -> None:
        verify_inclusion(**vars(self))


@dataclass(frozen=True)
class Consistency:
    """The arguments of `verify_consistency`."""

    old_size: int
    old_root: Hash
    new_size: int
    new_root: Hash
    path: Path

    def verify(self) -> None:
        verify_consistency(**vars(self))


def mth(leaves: list[bytes]) -> Hash:
    return Hash(rfc6962.mth(leaves))


def included(index: int, size: int, leaves: list[bytes] = LEAVES) -> Inclusion:
    path = tuple(map(Hash, rfc6962.path(index, leaves[:size])))
    return Inclusion(leaf_hash(leaves[index]), index, size, mth(leaves[:size]), path)


def consistent(old: int, new: int, leaves: list[bytes] = LEAVES) -> Consistency:
    path = tuple(map(Hash, rfc6962.proof(old, leaves[:new]))) if old else ()
    return Consistency(old, mth(leaves[:old]), new, mth(leaves[:new]), path)


def flipped(value: Hash, bit: int) -> Hash:
    damaged = bytearray(value)
    damaged[bit // 8] ^= 1 << bit % 8
    return Hash(bytes(damaged))


def damaged_paths(path: Path, *more: Hash) -> Iterator[tuple[str, Path]]:
    """Every way to spoil a path: bits, lengths, order; `more` are hashes to slip in."""
    for place, value in enumerate(path):
        before, after = path[:place], path[place + 1 :]
        for bit in (0, 131, 255):
            yield f"bit {bit} of {place} flipped", (*before, flipped(value, bit), *after)
        yield f"{place} dropped", (*before, *after)
        yield f"{place} doubled", (*before, value, value, *after)
        yield f"{place} cut short", (*before, Hash(value[:-1]), *after)
        yield f"{place} made longer", (*before, Hash(value + b"\0"), *after)
        yield f"{place} emptied", (*before, Hash(b""), *after)
        for slipped in (OTHER, *more):
            yield f"something before {place}", (*before, slipped, value, *after)
            if slipped != value:
                yield f"something instead of {place}", (*before, slipped, *after)
        if after and after[0] != value:
            yield f"{place} and its neighbour swapped", (*before, after[0], value, *after[1:])
    if path:
        yield "nothing left", ()
    for slipped in (OTHER, EMPTY_ROOT, Hash(b""), *more):
        yield "something after it", (*path, slipped)
    yield "far too long", (*path, *[OTHER] * 70)


def turns(index: int, size: int) -> list[str]:
    """On which side each sibling stands: proofs of one shape fit each other's sizes."""
    if size == 1:
        return []
    middle = rfc6962.largest_power_of_two_below(size)
    if index < middle:
        return [*turns(index, middle), "right"]
    return [*turns(index - middle, size - middle), "left"]


def damaged_inclusions(good: Inclusion) -> Iterator[tuple[str, Inclusion]]:
    for what, path in damaged_paths(good.path, good.root, good.leaf):
        yield what, replace(good, path=path)
    for what, wrong in damaged_hashes(good.leaf):
        yield f"leaf: {what}", replace(good, leaf=wrong)
    for what, wrong in damaged_hashes(good.root):
        yield f"root: {what}", replace(good, root=wrong)
    shape = turns(good.index, good.size)
    for index in {good.index - 1, good.index + 1, good.index ^ 2, -1, good.size, 1 << 70}:
        if index not in range(good.size) or turns(index, good.size) != shape:
            yield f"index {index}", replace(good, index=index)
    for size in {0, -1, good.size - 1, good.size + 1, 2 * good.size, good.size // 2, 1 << 70}:
        if good.index not in range(size) or turns(good.index, size) != shape:
            yield f"size {size}", replace(good, size=size)


def damaged_hashes(value: Hash) -> Iterator[tuple[str, Hash]]:
    yield "a bit flipped", flipped(value, 77)
    yield "another", OTHER
    yield "empty", Hash(b"")
    yield "cut short", Hash(value[:-1])
    yield "not a hash", Hash(b"WrongHash")


INCLUDED = [included(index, size) for size in range(1, 20) for index in range(size)]
KNOWN_INCLUDED = [
    included(vector["index"], vector["size"], KNOWN) for vector in MERKLE["inclusion"]
]


def name(case: Inclusion | Consistency) -> str:
    return "-".join(str(value) for value in vars(case).values() if isinstance(value, int))


@pytest.mark.parametrize("case", INCLUDED + KNOWN_INCLUDED, ids=name)
def test_inclusion_holds_and_nothing_near_it_does(case: Inclusion) -> None:
    case.verify()
    wrong = list(damaged_inclusions(case))
    assert len(wrong) >= 9
    for what, damaged in wrong:
        try:
            damaged.verify()
        except ProofFailed:
            continue
        pytest.fail(f"accepted although wrong: {what}")


@pytest.mark.parametrize("vector", MERKLE["inclusion"])
def test_known_inclusions_hold(vector: dict[str, Any]) -> None:
    verify_inclusion(
        leaf=leaf_hash(KNOWN[vector["index"]]),
        index=vector["index"],
        size=vector["size"],
        root=Hash(bytes.fromhex(MERKLE["roots"][vector["size"] - 1])),
        path=tuple(Hash(bytes.fromhex(text)) for text in vector["path"]),
    )


@pytest.mark.parametrize("vector", MERKLE["consistency"])
def test_known_consistencies_hold(vector: dict[str, Any]) -> None:
    verify_consistency(
        old_size=vector["old"],
        old_root=Hash(bytes.fromhex(MERKLE["roots"][vector["old"] - 1])),
        new_size=vector["new"],
        new_root=Hash(bytes.fromhex(MERKLE["roots"][vector["new"] - 1])),
        path=tuple(Hash(bytes.fromhex(text)) for text in vector["path"]),
    )


def damaged_consistencies(good: Consistency) -> Iterator[tuple[str, Consistency]]:
    for what, path in damaged_paths(good.path, good.old_root, good.new_root):
        yield what, replace(good, path=path)
    for what, wrong in damaged_hashes(good.old_root):
        yield f"old root: {what}", replace(good, old_root=wrong)
    for what, wrong in damaged_hashes(good.new_root):
        # From size 0 every sound root is consistent, so only what is no hash can be refused.
        if good.old_size or len(wrong) != len(good.new_root):
            yield f"new root: {what}", replace(good, new_root=wrong)
    if good.old_root != good.new_root:
        swapped = replace(good, old_root=good.new_root, new_root=good.old_root)
        yield "roots swapped", swapped
        sizes = replace(good, old_size=good.new_size, new_size=good.old_size)
        yield "sizes swapped", sizes
        yield "all swapped", replace(swapped, old_size=good.new_size, new_size=good.old_size)
    wrong_sizes = {good.old_size - 1, good.old_size + 1, good.old_size ^ 2, 0, -1, good.new_size}
    for old in wrong_sizes - {good.old_size}:
        if not fits(good, old, good.new_size):
            yield f"old size {old}", replace(good, old_size=old)
    wrong_sizes = {good.new_size - 1, good.new_size + 1, 2 * good.new_size, good.new_size // 2, -1}
    for new in wrong_sizes - {good.new_size}:
        if not fits(good, good.old_size, new):
            yield f"new size {new}", replace(good, new_size=new)


def fits(good: Consistency, old: int, new: int) -> bool:
    """Whether the path has the shape of one between these sizes, so that no path can tell."""
    return old in range(new + 1) and shape(old, new) == shape(good.old_size, good.new_size)


def shape(old: int, new: int) -> object:
    if old == 0:
        return "empty"
    if old == new:
        return "equal"
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    return old.bit_count() == 1, turns(here, last + 1)


CONSISTENT = [consistent(old, new) for new in range(20) for old in range(new + 1)]
KNOWN_CONSISTENT = [
    consistent(vector["old"], vector["new"], KNOWN) for vector in MERKLE["consistency"]
]


@pytest.mark.parametrize("case", CONSISTENT + KNOWN_CONSISTENT, ids=name)
def test_consistency_holds_and_nothing_near_it_does(case: Consistency) -> None:
    case.verify()
    wrong = list(damaged_consistencies(case))
    assert len(wrong) >= 9
    for what, damaged in wrong:
        try:
            damaged.verify()
        except ProofFailed:
            continue
        pytest.fail(f"accepted although wrong: {what}")


def test_nine_in_ten_are_wrong() -> None:
    right = len(INCLUDED) + len(CONSISTENT)
    wrong = sum(len(list(damaged_inclusions(case))) for case in INCLUDED)
    wrong += sum(len(list(damaged_consistencies(case))) for case in CONSISTENT)
    assert wrong >= 9 * right


@pytest.mark.parametrize("size", [0, 1, 7])
def test_every_log_begins_with_the_empty_one(size: int) -> None:
    verify_consistency(
        old_size=0, old_root=EMPTY_ROOT, new_size=size, new_root=mth(LEAVES[:size]), path=()
    )


def test_the_empty_tree_has_one_root() -> None:
    for old_root, new_root in ((OTHER, OTHER), (OTHER, EMPTY_ROOT), (EMPTY_ROOT, OTHER)):
        with pytest.raises(ProofFailed, match="the empty tree has another root"):
            verify_consistency(
                old_size=0, old_root=old_root, new_size=0, new_root=new_root, path=()
            )


def test_one_size_has_one_root() -> None:
    with pytest.raises(ProofFailed, match="two roots for one size"):
        replace(consistent(5, 5), new_root=OTHER).verify()


def test_a_path_does_not_go_on_above_the_root() -> None:
    """Even if the root that it would lead to is the one given: the size says where to stop."""
    one = included(3, 7)
    above = node_hash(OTHER, one.root)
    with pytest.raises(ProofFailed, match="above the root"):
        replace(one, root=above, path=(*one.path, OTHER)).verify()
    two = consistent(3, 7)
    above_both = (node_hash(OTHER, two.old_root), node_hash(OTHER, two.new_root))
    with pytest.raises(ProofFailed, match="above the root"):
        replace(
            two, old_root=above_both[0], new_root=above_both[1], path=(*two.path, OTHER)
        ).verify()


def test_hashes_that_are_cut_elsewhere_are_none() -> None:
    """Two hashes run together read the same wherever they are cut; so their length counts."""
    good = included(0, 2)
    both = good.leaf + good.path[0]
    for cut in (0, 31, 33, 64):
        with pytest.raises(ProofFailed, match="32 bytes"):
            replace(good, leaf=Hash(both[:cut]), path=(Hash(both[cut:]),)).verify()
    with pytest.raises(ProofFailed, match="32 bytes"):
        verify_inclusion(leaf=Hash(b""), index=0, size=1, root=Hash(b""), path=())


def test_nothing_is_in_the_empty_tree() -> None:
    with pytest.raises(ProofFailed, match="no leaf 0 in a tree of 0"):
        verify_inclusion(leaf=EMPTY_ROOT, index=0, size=0, root=EMPTY_ROOT, path=())


def test_a_forked_log_can_not_prove_that_it_grew() -> None:
    forked = [*LEAVES[:6], b"another", *LEAVES[7:]]
    for old in range(7, 12):
        for new in range(old + 1, 20):
            honest, other = consistent(old, new), consistent(old, new, forked)
            for path in (honest.path, other.path):
                with pytest.raises(ProofFailed):
                    replace(honest, new_root=other.new_root, path=path).verify()


def test_a_failed_proof_is_a_violation() -> None:
    assert issubclass(ProofFailed, Violation)
