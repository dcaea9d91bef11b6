"""Calls about the instance: units, charter, histories, the log."""

from typing import TYPE_CHECKING

from coordinator.api.instance_views import charter_version, instance_view
from coordinator.api.routes import Answer, Call
from coordinator.engine.change import Change
from coordinator.store import feed, histories, people, record
from coordinator.store.connection import Connection
from coordinator.wire.instance import Charters, History, HistoryFrom
from coordinator.wire.log import (
    CheckpointView,
    Consistent,
    Included,
    LogEntry,
    LogFrom,
    LogItemView,
    LogPage,
    ProofView,
)
from coordinator.wire.values import time_of
from protocol.identifiers import UnitId
from protocol.record.checkpoints import log_origin, open_checkpoint
from protocol.record.entries import entry_leaf
from protocol.refusals import Refusal, Rule, refuse
from protocol.report.evidence import LogItem, OwnEntry
from protocol.schema import to_bytes
from protocol.session.messages import HISTORY_PAGE

if TYPE_CHECKING:
    from coordinator.api.dispatch import Api


async def instance(api: "Api", _: Call) -> Answer:
    """Units, agents, keys and parts."""

    async def read(connection: Connection) -> Answer:
        facts = await api.facts(connection)
        news = await feed.about(connection, facts.instance, "agent", "key", "part")
        return instance_view(facts, api.units, api.ledger, news)

    return await api.ledger.database.read(read)


async def charter(api: "Api", _: Call) -> Answer:
    """Every version of the charter."""

    async def read(connection: Connection) -> Answer:
        facts = await api.facts(connection)
        versions = []
        for known in facts.known:
            accepted = await people.accepted(connection, known.digest)
            versions.append(charter_version(known, [person for person, _ in accepted]))
        newest = facts.in_force
        return Charters(
            in_force=None if newest is None else newest.number, versions=tuple(versions)
        )

    return await api.ledger.database.read(read)


async def history(api: "Api", call: Call) -> Answer:
    """A unit's signed history, by pages."""
    unit = UnitId(bytes.fromhex(call.path["unit"]))
    wanted: HistoryFrom = call.query
    if unit not in api.units.histories:
        return refuse(
            Rule.UNIT_NOT_IN_CHARTER, expected="a unit that was in reach", found=unit.hex()
        )

    async def read(connection: Connection) -> Answer:
        entries = await histories.page(connection, unit, wanted.after, HISTORY_PAGE)
        return History(entries=tuple(to_bytes(entry) for entry in entries))

    return await api.ledger.database.read(read)


async def log(api: "Api", call: Call) -> Answer:
    """The log's leaves, by pages."""
    wanted: LogFrom = call.query

    async def read(connection: Connection) -> Answer:
        items = await record.items(connection, api.ledger.instance, wanted.start, wanted.limit + 1)
        views = [_item(position, item) for position, item in enumerate(items, start=wanted.start)]
        more = wanted.start + wanted.limit if len(items) > wanted.limit else None
        return LogPage(items=tuple(views[: wanted.limit]), next=more)

    return await api.ledger.database.read(read)


async def checkpoint(api: "Api", _: Call) -> Answer:
    """The log's newest checkpoint, signed."""

    async def work(change: Change) -> bytes:
        note, _, _ = await api.ledger.checkpoint(change.connection)
        return note

    note = await api.ledger.change(work)
    key = api.ledger.keys.log
    opened = open_checkpoint(note, name=log_origin(key), public_key=key)
    return CheckpointView(size=opened.size, root=opened.root.hex(), note=note.decode())


async def consistency(api: "Api", call: Call) -> Answer:
    """That the log only grew."""
    wanted: Consistent = call.query

    async def read(connection: Connection) -> Answer:
        refusal = await _log_shorter(connection, wanted.old, wanted.new)
        if refusal is not None:
            return refusal
        path = await record.consistency(connection, wanted.old, wanted.new)
        return ProofView(path=tuple(one.hex() for one in path))

    return await api.ledger.database.read(read)


async def inclusion(api: "Api", call: Call) -> Answer:
    """That the log holds a leaf."""
    wanted: Included = call.query

    async def read(connection: Connection) -> Answer:
        refusal = await _log_shorter(connection, wanted.position + 1, wanted.size)
        if refusal is not None:
            return refusal
        path = await record.inclusion(connection, wanted.position, wanted.size)
        return ProofView(path=tuple(one.hex() for one in path))

    return await api.ledger.database.read(read)


async def _log_shorter(connection: Connection, smaller: int, larger: int) -> Refusal | None:
    """LOG_SHORTER: proofs are of sizes that the log has had."""
    grown = await record.frontier(connection)
    if smaller <= larger <= grown.size:
        return None
    expected = f"up to {grown.size} entries, the smaller number first"
    return refuse(Rule.LOG_SHORTER, expected=expected, found=f"{smaller} and {larger}")


def _item(position: int, item: LogItem) -> LogItemView:
    if not isinstance(item, OwnEntry):
        return LogItemView(position=position, leaf=item.leaf.hex(), entry=None)
    entry = item.salted.entry
    return LogItemView(
        position=position,
        leaf=entry_leaf(item.salted).hex(),
        entry=LogEntry(kind=entry.kind.value, at=time_of(entry.at), salted=to_bytes(item.salted)),
    )
