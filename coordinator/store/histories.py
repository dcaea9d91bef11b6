"""Units' histories as the coordinator has fetched and verified them."""

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from coordinator.store.tables import history, units
from protocol.identifiers import IdentityKey, UnitId
from protocol.schema import from_bytes, to_bytes
from protocol.signing.statements import Signed


async def add(
    connection: AsyncConnection, unit: UnitId, first: int, entries: Sequence[Signed]
) -> None:
    """Keeps entries whose versions begin with `first`."""
    known = await connection.execute(
        select(history.c.version).where(history.c.unit == unit, history.c.version >= first)
    )
    there = set(known.scalars())
    rows = [
        {"unit": unit, "version": version, "body": to_bytes(entry)}
        for version, entry in enumerate(entries, start=first)
        if version not in there
    ]
    if rows:
        await connection.execute(insert(history), rows)


async def page(
    connection: AsyncConnection, unit: UnitId, after: int, limit: int
) -> Sequence[Signed]:
    """Up to `limit` entries with versions above `after`."""
    rows = await connection.execute(
        select(history.c.body)
        .where(history.c.unit == unit, history.c.version > after)
        .order_by(history.c.version)
        .limit(limit)
    )
    return [from_bytes(Signed, body) for body in rows.scalars()]


async def add_unit(connection: AsyncConnection, unit: UnitId, identity: IdentityKey) -> None:
    """Remembers a unit's identity key."""
    found = await connection.execute(select(units.c.unit).where(units.c.unit == unit))
    if found.scalar() is None:
        await connection.execute(insert(units).values(unit=unit, identity=identity))


async def all_units(connection: AsyncConnection) -> Sequence[tuple[UnitId, IdentityKey]]:
    """Every unit that was ever met."""
    rows = await connection.execute(select(units.c.unit, units.c.identity))
    return [(UnitId(unit), IdentityKey(identity)) for unit, identity in rows]
