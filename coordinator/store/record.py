"""The Merkle log in tables: entries, the hashes of full subtrees, checkpoints.

`docs/decisions/0005-log-leaf.md`. An entry is appended in the transaction of what it records.
"""

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import bindparam, func, select, tuple_
from sqlalchemy.dialects.sqlite import insert

from coordinator.store.connection import Connection
from coordinator.store.parsed import ByDigest
from coordinator.store.tables import checkpoints, log_entries, log_nodes
from protocol.displayable import InstanceName
from protocol.identifiers import Digest
from protocol.record.entries import SaltedEntry, entry_leaf
from protocol.record.tree import (
    Frontier,
    Hash,
    NodeId,
    Path,
    consistency_nodes,
    consistency_path,
    inclusion_nodes,
    inclusion_path,
    root,
    root_nodes,
)
from protocol.report.evidence import LogItem, OtherEntry, OwnEntry
from protocol.schema import from_bytes, to_bytes

PAGE_BYTES = 2 * 1024 * 1024
_HIGHEST = select(func.max(log_entries.c.position))
_NOTE = select(checkpoints.c.note).where(checkpoints.c.digest == bindparam("wanted"))
_ADD_ENTRY = insert(log_entries)
_ADD_NODE = insert(log_nodes)
_ADD_NOTE = insert(checkpoints).on_conflict_do_nothing()
_notes: ByDigest[bytes] = ByDigest()


async def frontier(connection: Connection) -> Frontier:
    """How far the log has grown."""
    highest: int | None = (await connection.execute(_HIGHEST)).scalar()
    size = 0 if highest is None else highest + 1
    nodes = await _stored(connection, root_nodes(size))
    return Frontier.load(size, nodes.__getitem__)


async def append(
    connection: Connection, grown: Frontier, entries: Sequence[SaltedEntry]
) -> Frontier:
    """Appends entries to the log, which has grown so far; how far it has grown then."""
    rows: list[dict[str, object]] = []
    nodes: list[dict[str, object]] = []
    for salted in entries:
        rows.append(
            {
                "position": grown.size,
                "instance": salted.entry.instance,
                "body": to_bytes(salted),
            }
        )
        grown, made = grown.append(entry_leaf(salted))
        nodes += [{"level": n.id.level, "position": n.id.index, "hash": n.hash} for n in made]
    await asyncio.gather(
        connection.execute_each(_ADD_ENTRY, rows), connection.execute_each(_ADD_NODE, nodes)
    )
    return grown


async def items(
    connection: Connection, instance: InstanceName, start: int, limit: int
) -> Sequence[LogItem]:
    """The log's items from position `start` on; only the instance's own are opened.

    At most `limit`, and fewer where they would be more than a message holds; none at its end.
    """
    rows = await connection.execute(
        select(log_entries.c.instance, log_entries.c.body)
        .where(log_entries.c.position >= start)
        .order_by(log_entries.c.position)
        .limit(limit)
    )
    found: list[LogItem] = []
    size = 0
    for owner, body in rows:
        size += len(body)
        if found and size > PAGE_BYTES:
            break
        salted = from_bytes(SaltedEntry, body)
        own = owner in (None, instance)
        found.append(OwnEntry(salted=salted) if own else OtherEntry(leaf=entry_leaf(salted)))
    return found


async def add_checkpoint(connection: Connection, note: bytes, size: int) -> Digest:
    """Keeps a signed checkpoint; gives the digest by which an opening names it."""
    digest = checkpoint_digest(note)
    await connection.execute(_ADD_NOTE, {"digest": digest, "size": size, "note": note})
    _notes.know(digest, note)
    return digest


async def checkpoint(connection: Connection, digest: Digest) -> bytes | None:
    """The signed checkpoint with this digest."""

    async def look() -> bytes | None:
        note: bytes | None = (await connection.execute(_NOTE, {"wanted": digest})).scalar()
        return note

    return await _notes.find(digest, look)


async def consistency(connection: Connection, old: int, new: int) -> Path:
    """Proof that the log of size `new` begins with that of size `old`."""
    nodes = await _stored(connection, consistency_nodes(old, new))
    return consistency_path(old, new, nodes.__getitem__)


async def root_at(connection: Connection, size: int) -> Hash:
    """The root that the log had at `size`."""
    stored = await _stored(connection, root_nodes(size))
    return root(size, stored.__getitem__)


def checkpoint_digest(note: bytes) -> Digest:
    """SHA-256 of the signed note: what an opening names."""
    return Digest(hashlib.sha256(note).digest())


async def inclusion(connection: Connection, position: int, size: int) -> Path:
    """Proof that the log of this size holds the leaf at `position`."""
    nodes = await _stored(connection, inclusion_nodes(position, size))
    return inclusion_path(position, size, nodes.__getitem__)


async def _stored(connection: Connection, wanted: Collection[NodeId]) -> Mapping[NodeId, Hash]:
    rows = await connection.execute(
        select(log_nodes.c.level, log_nodes.c.position, log_nodes.c.hash).where(
            tuple_(log_nodes.c.level, log_nodes.c.position).in_(
                [(node.level, node.index) for node in wanted]
            )
        )
    )
    return {NodeId(level, index): Hash(value) for level, index, value in rows}
