"""Single values by name."""

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from coordinator.store.tables import singles

_WANTED = singles.c.name == bindparam("wanted")
_GET = select(singles.c.value).where(_WANTED)
_PUT = update(singles).where(_WANTED).values(value=bindparam("value"))


async def get(connection: AsyncConnection, name: str) -> bytes | None:
    """The value, if there is one."""
    return (await connection.execute(_GET, {"wanted": name})).scalar()


async def put(connection: AsyncConnection, name: str, value: bytes) -> None:
    """Sets the value."""
    changed = await connection.execute(_PUT, {"wanted": name, "value": value})
    if changed.rowcount == 0:
        await connection.execute(insert(singles).values(name=name, value=value))
