"""Units' histories as the coordinator has fetched and verified them."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert

from coordinator.store.connection import Connection
from coordinator.store.tables import history, units
from protocol.identifiers import IdentityKey, UnitId
from protocol.schema import from_bytes, to_bytes
from protocol.signing.statements import Signed

_ADD = insert(history).on_conflict_do_nothing()
_ADD_UNIT = insert(units).on_conflict_do_nothing()
_PAGE = (
    select(history.c.body)
    .where(history.c.unit == bindparam("of"), history.c.version > bindparam("after"))
    .order_by(history.c.version)
    .limit(bindparam("most"))
)


async def add(connection: Connection, unit: UnitId, first: int, entries: Sequence[Signed]) -> None:
    """Keeps entries whose versions begin with `first`; those that are there already stay."""
    await connection.execute_each(
        _ADD,
        [
            {"unit": unit, "version": version, "body": to_bytes(entry)}
            for version, entry in enumerate(entries, start=first)
        ],
    )


async def page(connection: Connection, unit: UnitId, after: int, limit: int) -> Sequence[Signed]:
    """Up to `limit` entries with versions above `after`."""
    rows = await connection.execute(_PAGE, {"of": unit, "after": after, "most": limit})
    return [from_bytes(Signed, body) for body in rows.scalars()]


async def add_unit(connection: Connection, unit: UnitId, identity: IdentityKey) -> None:
    """Remembers a unit's identity key."""
    await connection.execute(_ADD_UNIT, {"unit": unit, "identity": identity})


async def all_units(connection: Connection) -> Sequence[tuple[UnitId, IdentityKey]]:
    """Every unit that was ever met."""
    rows = await connection.execute(select(units.c.unit, units.c.identity))
    return [(UnitId(unit), IdentityKey(identity)) for unit, identity in rows]
