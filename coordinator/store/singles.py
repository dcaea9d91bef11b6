"""Single values by name."""

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import insert

from coordinator.store.connection import Connection
from coordinator.store.tables import singles

_WANTED = singles.c.name == bindparam("wanted")
_GET = select(singles.c.value).where(_WANTED)
_ADD = insert(singles)
_PUT = _ADD.on_conflict_do_update(
    index_elements=[singles.c.name], set_={"value": _ADD.excluded.value}
)


async def get(connection: Connection, name: str) -> bytes | None:
    """The value, if there is one."""
    value: bytes | None = (await connection.execute(_GET, {"wanted": name})).scalar()
    return value


async def put(connection: Connection, name: str, value: bytes) -> None:
    """Sets the value."""
    await connection.execute(_PUT, {"name": name, "value": value})
