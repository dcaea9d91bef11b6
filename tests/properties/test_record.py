"""What holds for every log, however it grew and whatever somebody does to its proofs."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.record.checkpoints import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
)
from protocol.record.proofs import ProofFailed, verify_consistency, verify_inclusion
from protocol.record.tree import (
    EMPTY_ROOT,
    Frontier,
    Hash,
    NodeId,
    Path,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root,
)
from protocol.violations import Violation
from tests.cores import rfc6962

HASHES = st.binary(min_size=32, max_size=32).map(Hash)
LOGS = st.lists(st.binary(max_size=3), min_size=1, max_size=200)


def grow(leaves: list[bytes]) -> tuple[Frontier, dict[NodeId, Hash]]:
    frontier, stored = Frontier.empty(), dict[NodeId, Hash]()
    for data in leaves:
        frontier, made = frontier.append(leaf_hash(data))
        stored.update(made)
    return frontier, stored


@given(LOGS, st.data())
def test_the_fast_tree_is_the_rfcs(leaves: list[bytes], data: st.DataObject) -> None:
    frontier, stored = grow(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    old = data.draw(st.integers(1, len(leaves)))
    assert frontier.root == rfc6962.mth(leaves)
    nodes = stored.__getitem__
    assert root(old, nodes) == rfc6962.mth(leaves[:old])
    assert inclusion_path(index, len(leaves), nodes) == tuple(rfc6962.path(index, leaves))
    assert consistency_path(old, len(leaves), nodes) == tuple(rfc6962.proof(old, leaves))


@given(LOGS, st.data())
def test_a_log_can_be_put_down_and_taken_up(leaves: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    _, stored = grow(leaves[:cut])
    frontier = Frontier.load(cut, stored.__getitem__)
    for leaf in leaves[cut:]:
        frontier, _ = frontier.append(leaf_hash(leaf))
    assert frontier == grow(leaves)[0]


@given(st.integers(1, (1 << 63) - 1), st.data())
def test_proofs_hold_at_any_size(size: int, data: st.DataObject) -> None:
    """A log of equal leaves: each level has one hash, so no size is out of reach."""
    levels = [leaf_hash(b"")]
    for _ in range(63):
        levels.append(node_hash(levels[-1], levels[-1]))

    def nodes(node: NodeId) -> Hash:
        assert (node.index + 1) << node.level <= size, "a node that isn't full was read"
        return levels[node.level]

    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))
    verify_inclusion(
        leaf=levels[0],
        index=index,
        size=size,
        root=root(size, nodes),
        path=inclusion_path(index, size, nodes),
    )
    verify_consistency(
        old_size=old,
        old_root=root(old, nodes),
        new_size=size,
        new_root=root(size, nodes),
        path=consistency_path(old, size, nodes),
    )


@st.composite
def tampered(draw: st.DrawFn, path: Path) -> Path:
    """`path` with one to three hashes changed, dropped, slipped in or moved; never the same."""
    changed = list(path)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(changed)))
        match draw(st.sampled_from(["change", "drop", "insert", "move"])):
            case "insert":
                changed.insert(place, draw(HASHES | st.sampled_from([*path, EMPTY_ROOT])))
            case "change" if place < len(changed):
                changed[place] = draw(HASHES | st.sampled_from([*path, EMPTY_ROOT]))
            case "drop" if place < len(changed):
                del changed[place]
            case "move" if place < len(changed):
                changed.insert(draw(st.integers(0, len(changed) - 1)), changed.pop(place))
    assume(tuple(changed) != path)
    return tuple(changed)


@given(LOGS, st.data())
def test_no_other_path_includes_a_leaf(leaves: list[bytes], data: st.DataObject) -> None:
    frontier, stored = grow(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = data.draw(tampered(inclusion_path(index, len(leaves), stored.__getitem__)))
    with pytest.raises(ProofFailed):
        verify_inclusion(
            leaf=leaf_hash(leaves[index]),
            index=index,
            size=len(leaves),
            root=frontier.root,
            path=path,
        )


@given(LOGS, st.data())
def test_no_path_includes_a_leaf_that_is_not_there(
    leaves: list[bytes], data: st.DataObject
) -> None:
    frontier, stored = grow(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    other = data.draw(st.binary(max_size=3).filter(lambda leaf: leaf != leaves[index]))
    with pytest.raises(ProofFailed):
        verify_inclusion(
            leaf=leaf_hash(other),
            index=index,
            size=len(leaves),
            root=frontier.root,
            path=inclusion_path(index, len(leaves), stored.__getitem__),
        )


@given(LOGS, st.data())
def test_no_other_path_joins_two_sizes(leaves: list[bytes], data: st.DataObject) -> None:
    frontier, stored = grow(leaves)
    old = data.draw(st.integers(1, len(leaves)))
    nodes = stored.__getitem__
    path = data.draw(tampered(consistency_path(old, len(leaves), nodes)))
    with pytest.raises(ProofFailed):
        verify_consistency(
            old_size=old,
            old_root=root(old, nodes),
            new_size=len(leaves),
            new_root=frontier.root,
            path=path,
        )


@given(LOGS, st.data())
def test_a_rewritten_log_extends_nothing_it_showed(
    leaves: list[bytes], data: st.DataObject
) -> None:
    """The entry at `changed` is rewritten, or left out, and the log goes on from there."""
    old = data.draw(st.integers(1, len(leaves)))
    changed = data.draw(st.integers(0, old - 1))
    forked = list(leaves)
    if data.draw(st.booleans()):
        forked[changed] += b"!"
    else:
        del forked[changed]
        forked += [b"later", b"later still"]
    assume(forked[:old] != leaves[:old])
    frontier, honest = grow(leaves)
    evil, stored = grow(forked)
    for nodes, new in ((stored, evil.size), (honest, frontier.size)):
        with pytest.raises(ProofFailed):
            verify_consistency(
                old_size=old,
                old_root=root(old, honest.__getitem__),
                new_size=evil.size,
                new_root=evil.root,
                path=consistency_path(old, new, nodes.__getitem__),
            )


CHECKPOINTS = st.builds(
    Checkpoint,
    origin=st.text(
        st.characters(exclude_characters="".join(map(chr, range(32))), exclude_categories=["Cs"]),
        min_size=1,
        max_size=40,
    ),
    size=st.integers(1, (1 << 63) - 1),
    root=HASHES,
)


@given(CHECKPOINTS)
def test_a_checkpoint_has_one_text(checkpoint: Checkpoint) -> None:
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


LIKE_A_CHECKPOINT = r"[a ]{0,2}\n[0-9]{0,3}\n[A-Za-z0-9+/]{43}=\n\n?"


@given(st.text(max_size=20) | st.from_regex(LIKE_A_CHECKPOINT, fullmatch=True))
def test_a_text_that_parses_is_the_one_we_write(text: str) -> None:
    try:
        parsed = parse_checkpoint(text)
    except Violation:
        return
    assert format_checkpoint(parsed) == text


@given(st.binary() | st.text("\n— abAB09+/=", max_size=60).map(str.encode))
def test_what_is_no_note_is_a_violation(junk: bytes) -> None:
    key: Any = bytes(range(32))
    with pytest.raises(Violation):
        open_checkpoint(junk, name="a", public_key=key)
