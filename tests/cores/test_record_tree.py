"""The log's tree: known answers, the RFC's own drawing, and every size up to 130."""

import json
from pathlib import Path as File
from typing import Any

import pytest

from protocol.record.tree import (
    EMPTY_ROOT,
    Frontier,
    Hash,
    NodeId,
    consistency_nodes,
    consistency_path,
    inclusion_nodes,
    inclusion_path,
    leaf_hash,
    node_hash,
    root,
    root_nodes,
)
from tests.cores import rfc6962

VECTORS = File(__file__).parents[1] / "vectors" / "record"
MERKLE: dict[str, Any] = json.loads((VECTORS / "merkle.json").read_text())
KNOWN = [bytes.fromhex(leaf) for leaf in MERKLE["leaves"]]
LARGEST = 130
LEAVES = [b"leaf %d" % number for number in range(LARGEST)]


def grow(leaves: list[bytes]) -> tuple[list[Frontier], dict[NodeId, Hash]]:
    """The frontier at every size, and all nodes that were to be stored."""
    frontiers, stored = [Frontier.empty()], dict[NodeId, Hash]()
    for data in leaves:
        frontier, made = frontiers[-1].append(leaf_hash(data))
        assert not stored.keys() & {node.id for node in made}, "a node was made twice"
        stored.update(made)
        frontiers.append(frontier)
    return frontiers, stored


FRONTIERS, STORED = grow(LEAVES)


def hashes(encoded: list[str]) -> tuple[Hash, ...]:
    return tuple(Hash(bytes.fromhex(text)) for text in encoded)


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier.empty().root == EMPTY_ROOT == bytes.fromhex(MERKLE["empty_root"])
    assert root(0, STORED.__getitem__) == EMPTY_ROOT
    assert root_nodes(0) == ()


@pytest.mark.parametrize("size", range(1, len(KNOWN) + 1))
def test_known_roots(size: int) -> None:
    frontiers, stored = grow(KNOWN)
    assert frontiers[size].root.hex() == MERKLE["roots"][size - 1]
    assert root(size, stored.__getitem__).hex() == MERKLE["roots"][size - 1]


@pytest.mark.parametrize("vector", MERKLE["inclusion"])
def test_known_inclusion_paths(vector: dict[str, Any]) -> None:
    _, stored = grow(KNOWN)
    made = inclusion_path(vector["index"], vector["size"], stored.__getitem__)
    assert made == hashes(vector["path"])


@pytest.mark.parametrize("vector", MERKLE["consistency"])
def test_known_consistency_paths(vector: dict[str, Any]) -> None:
    _, stored = grow(KNOWN)
    made = consistency_path(vector["old"], vector["new"], stored.__getitem__)
    assert made == hashes(vector["path"])


def drawn(letters: str) -> tuple[bytes, ...]:
    """The hashes of the RFC's lettered subtrees, over our leaves."""
    places = MERKLE["rfc6962"]["subtrees"]
    return tuple(rfc6962.mth(LEAVES[slice(*places[letter])]) for letter in letters)


@pytest.mark.parametrize(("index", "letters"), MERKLE["rfc6962"]["inclusion"].items())
def test_inclusion_as_drawn_in_the_rfc(index: str, letters: str) -> None:
    made = inclusion_path(int(index), MERKLE["rfc6962"]["size"], STORED.__getitem__)
    assert made == drawn(letters)


@pytest.mark.parametrize(("old", "letters"), MERKLE["rfc6962"]["consistency"].items())
def test_consistency_as_drawn_in_the_rfc(old: str, letters: str) -> None:
    made = consistency_path(int(old), MERKLE["rfc6962"]["size"], STORED.__getitem__)
    assert made == drawn(letters)


@pytest.mark.parametrize("size", range(LARGEST + 1))
def test_every_size_as_the_rfc_says(size: int) -> None:
    leaves = LEAVES[:size]
    expected = rfc6962.mth(leaves)
    assert FRONTIERS[size].root == expected
    assert root(size, STORED.__getitem__) == expected
    assert Frontier.load(size, STORED.__getitem__) == FRONTIERS[size]
    edges = {0, 1, size // 2, size - 2, size - 1} & set(range(size))
    for index in range(size) if size <= 40 else edges:
        made = inclusion_path(index, size, STORED.__getitem__)
        assert made == tuple(rfc6962.path(index, leaves))
    for old in range(1, size + 1) if size <= 40 else {index + 1 for index in edges}:
        made = consistency_path(old, size, STORED.__getitem__)
        assert made == tuple(rfc6962.proof(old, leaves))
    assert consistency_path(0, size, STORED.__getitem__) == ()


def test_append_returns_each_full_subtree_once() -> None:
    whole = {
        NodeId(level, index)
        for level in range(LARGEST.bit_length())
        for index in range(LARGEST >> level)
    }
    assert STORED.keys() == whole
    for node, value in STORED.items():
        assert value == rfc6962.mth(LEAVES[node.index << node.level : node.index + 1 << node.level])


@pytest.mark.parametrize("size", [1, 2, 3, 64, 127, 129, 130])
def test_the_named_nodes_are_exactly_those_read(size: int) -> None:
    read: list[NodeId] = []

    def watched(node: NodeId) -> Hash:
        read.append(node)
        return STORED[node]

    root(size, watched)
    assert sorted(read) == sorted(root_nodes(size))
    for index in range(size):
        read.clear()
        inclusion_path(index, size, watched)
        assert sorted(read) == sorted(inclusion_nodes(index, size))
        read.clear()
        consistency_path(index, size, watched)
        assert sorted(read) == sorted(consistency_nodes(index, size))


HUGE = [(1 << 40) - 1, 1 << 40, (1 << 40) + 1, 0xABCDE_F0123, (1 << 62) + 12345]


@pytest.mark.parametrize("size", HUGE)
def test_reads_stay_few_in_a_huge_log(size: int) -> None:
    few = 2 * size.bit_length()
    assert len(root_nodes(size)) <= size.bit_length()
    for place in (0, 1, size // 3, size // 2, size - 2, size - 1):
        assert len(inclusion_nodes(place, size)) <= few
        assert len(consistency_nodes(place, size)) <= few


def test_known_hashes_of_leaf_and_node() -> None:
    left, right = leaf_hash(KNOWN[0]), leaf_hash(KNOWN[1])
    assert left.hex() == MERKLE["roots"][0]
    assert node_hash(left, right).hex() == MERKLE["roots"][1]


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (5, 4), (-1, 4)])
def test_there_is_no_path_to_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_path(index, size, STORED.__getitem__)


@pytest.mark.parametrize(("old", "new"), [(1, 0), (5, 4), (-1, 4)])
def test_there_is_no_path_to_a_smaller_tree(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="can't begin"):
        consistency_path(old, new, STORED.__getitem__)


def test_a_frontier_fits_its_size() -> None:
    with pytest.raises(ValueError, match="one hash for each one bit"):
        Frontier(size=3, hashes=(EMPTY_ROOT,))
