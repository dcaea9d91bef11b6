"""Single values by name."""

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from coordinator.store.tables import singles


async def get(connection: AsyncConnection, name: str) -> bytes | None:
    """The value, if there is one."""
    found = await connection.execute(select(singles.c.value).where(singles.c.name == name))
    return found.scalar()


async def put(connection: AsyncConnection, name: str, value: bytes) -> None:
    """Sets the value."""
    changed = await connection.execute(
        update(singles).where(singles.c.name == name).values(value=value)
    )
    if changed.rowcount == 0:
        await connection.execute(insert(singles).values(name=name, value=value))
