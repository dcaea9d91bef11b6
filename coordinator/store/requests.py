"""Requests, as their canonical bytes beside what they are looked up by."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, insert, select, update

from coordinator.store import singles
from coordinator.store.connection import Connection
from coordinator.store.parsed import Parsed
from coordinator.store.tables import requests
from protocol.displayable import InstanceName
from protocol.identifiers import Digest
from protocol.request import Request, RequestState
from protocol.schema import to_bytes

_AFTER = "requests after"
_parsed = Parsed(Request)
_NEWEST = select(func.max(requests.c.id))
_ADD = insert(requests)
_SAVE = (
    update(requests)
    .where(requests.c.id == bindparam("number"))
    .values({name: bindparam(name) for name in ("state", "ended", "digest", "body")})
)


def _where(column: ColumnElement[Any]) -> Select[bytes]:
    return select(requests.c.body).where(column == bindparam("wanted"))


_BY_ID = _where(requests.c.id)
_BY_DIGEST = _where(requests.c.digest)
_BY_FILING = _where(requests.c.filing)
_BY_IDEMPOTENCY = _where(requests.c.idempotency)


async def highest(connection: Connection) -> int:
    """The id of the newest request: ids are 1, 2, 3 ..., or those after another coordinator's."""
    newest: int | None = (await connection.execute(_NEWEST)).scalar()
    if newest is None:
        before = await singles.get(connection, _AFTER)
        newest = 0 if before is None else int.from_bytes(before)
    return newest


async def begin_after(connection: Connection, number: int) -> None:
    """The first request gets the id after this one; where there is a request, nothing changes."""
    await singles.put(connection, _AFTER, number.to_bytes(8))


async def add(connection: Connection, new: Collection[tuple[Request, str | None]]) -> None:
    """Stores new requests, with what idempotency key each was filed."""
    await connection.execute_each(
        _ADD,
        [
            {
                "id": request.id,
                "instance": request.filing.instance,
                "filing": request.filing.digest,
                "idempotency": idempotency,
                **_columns(request),
            }
            for request, idempotency in new
        ],
    )


async def save(connection: Connection, changed: Collection[Request]) -> None:
    """Stores requests that have changed."""
    await connection.execute_each(
        _SAVE, [{"number": request.id, **_columns(request)} for request in changed]
    )


def _columns(request: Request) -> dict[str, object]:
    body = to_bytes(request)
    _parsed.know(body, request)
    return {
        "state": request.state.value,
        "ended": request.ended,
        "digest": None if request.opening is None else request.opening.digest,
        "body": body,
    }


async def get(connection: Connection, number: int) -> Request | None:
    """The request with this id."""
    return await _one(connection, _BY_ID, number)


async def by_digest(connection: Connection, digest: Digest) -> Request | None:
    """The opened request with this request digest."""
    return await _one(connection, _BY_DIGEST, digest)


async def by_filing(connection: Connection, filing: Digest) -> Request | None:
    """The request with this very filing."""
    return await _one(connection, _BY_FILING, filing)


async def by_idempotency(connection: Connection, key: str) -> Request | None:
    """The request that was filed with this idempotency key."""
    return await _one(connection, _BY_IDEMPOTENCY, key)


async def not_ended(connection: Connection, instance: InstanceName) -> Sequence[Request]:
    """All requests of an instance that have not ended, by id."""
    rows = await connection.execute(
        select(requests.c.body)
        .where(requests.c.instance == instance, requests.c.ended.is_(False))
        .order_by(requests.c.id)
    )
    return [_parsed(body) for body in rows.scalars()]


async def _one(connection: Connection, query: Select[bytes], wanted: object) -> Request | None:
    body = (await connection.execute(query, {"wanted": wanted})).scalar()
    return None if body is None else _parsed(body)


async def page(
    connection: Connection,
    instance: InstanceName,
    *,
    state: RequestState | None,
    ended: bool | None,
    before: int | None,
    limit: int,
) -> Sequence[Request]:
    """Up to `limit` requests with ids below `before`, newest first."""
    query = select(requests.c.body).where(requests.c.instance == instance)
    if state is not None:
        query = query.where(requests.c.state == state.value)
    if ended is not None:
        query = query.where(requests.c.ended.is_(ended))
    if before is not None:
        query = query.where(requests.c.id < before)
    rows = await connection.execute(query.order_by(requests.c.id.desc()).limit(limit))
    return [_parsed(body) for body in rows.scalars()]
