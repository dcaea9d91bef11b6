"""The coordinator's database: all of a transaction or nothing, and no connection left behind."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from coordinator.store import record, singles
from coordinator.store.connection import Connection
from coordinator.store.database import Database, migrate
from coordinator.store.tables import log_entries
from coordinator.store.tables import singles as singles_table
from quorate.exits import Exit, Trouble

_ADD = insert(singles_table)
_ADD_ENTRY = insert(log_entries)
_NAMES = select(singles_table.c.name).order_by(singles_table.c.name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "coordinator.db"
    migrate(path)
    return path


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(path)
    yield database
    await database.close()


async def put(connection: Connection, name: str) -> None:
    await singles.put(connection, name, b"value")


async def names(database: Database) -> list[str]:
    return (await database.read(lambda connection: connection.execute(_NAMES))).scalars()


def no_more_threads_than(before: set[threading.Thread]) -> None:
    """Those of closed connections end by themselves; a process waits for any other for ever."""
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
        assert not thread.is_alive()


async def put_a_and_fail(connection: Connection) -> None:
    await put(connection, "a")
    raise ZeroDivisionError


async def test_nothing_of_several_writes_is_stored_where_the_disk_is_full(database: Database):
    """SQLite may end the transaction at the first: those on their way are none of their own."""
    writing = database._writing
    ((pages,),) = await writing.execute_fetchall("PRAGMA page_count")

    async def much(connection: Connection) -> None:
        big = {"position": 0, "instance": "x", "body": bytes(1 << 20)}
        one = {"name": "small", "value": b"value"}
        await asyncio.gather(
            connection.execute_each(_ADD_ENTRY, [big]), connection.execute_each(_ADD, [one])
        )

    await writing.execute_fetchall(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(Trouble, match="no space left") as caught:
        await database.write(much)
    assert caught.value.exit is Exit.STORAGE
    assert await names(database) == []
    await writing.execute_fetchall(f"PRAGMA max_page_count = {1 << 30}")
    await database.write(much)
    assert await names(database) == ["small"]


async def test_who_overlooks_that_the_disk_is_full_has_stored_nothing(database: Database):
    ((pages,),) = await database._writing.execute_fetchall("PRAGMA page_count")
    await database._writing.execute_fetchall(f"PRAGMA max_page_count = {pages + 1}")

    async def careless(connection: Connection) -> None:
        await put(connection, "before")
        big = {"position": 0, "instance": "x", "body": bytes(1 << 20)}
        with pytest.raises(sqlite3.OperationalError):
            await connection.execute(_ADD_ENTRY, big)

    with pytest.raises(sqlite3.OperationalError, match="no transaction is active"):
        await database.write(careless)
    assert await names(database) == []


@pytest.mark.parametrize("where", ["BEGIN", "INSERT", "COMMIT"])
async def test_after_a_transaction_that_failed_others_go_on(database: Database, where: str):
    def refuse(action: int, what: str | None, *_: object) -> int:
        refused = what == where or (where == "INSERT" and action == sqlite3.SQLITE_INSERT)
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    await database._writing.set_authorizer(refuse)
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        await database.write(lambda connection: put(connection, "a"))
    assert not database._writing.in_transaction
    await database._writing.set_authorizer(None)
    await database.write(lambda connection: put(connection, "b"))
    assert await names(database) == ["b"]


async def test_another_process_that_writes_is_waited_for_or_named(database: Database, path: Path):
    await database._writing.execute_fetchall("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        await database.write(lambda connection: put(connection, "a"))
    other.execute("INSERT INTO singles VALUES ('others', x'00')")
    other.execute("COMMIT")
    other.close()
    await database.write(lambda connection: put(connection, "b"))
    assert await names(database) == ["b", "others"]


async def test_no_other_process_writes_between_what_is_read_and_written(
    database: Database, path: Path
):
    other = sqlite3.connect(path, timeout=0)

    async def read_and_put(connection: Connection) -> None:
        assert (await connection.execute(_NAMES)).scalars() == []
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("INSERT INTO singles VALUES ('others', x'00')")
        await put(connection, "a")

    await database.write(read_and_put)
    other.close()
    assert await names(database) == ["a"]


async def test_a_reader_keeps_no_snapshot(database: Database):
    seen = []
    for name in ("a", "b"):
        await database.write(partial(put, name=name))
        seen.append(await names(database))
        (idle,) = database._idle
        assert not idle.in_transaction
    assert seen == [["a"], ["a", "b"]]


async def test_a_reader_that_failed_is_closed(database: Database):
    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        await database.read(put_a_and_fail)
    assert database._idle == []
    no_more_threads_than(before)
    assert await names(database) == []


async def test_a_read_that_ends_after_the_database_was_closed_leaves_nothing_open(path: Path):
    before = set(threading.enumerate())
    database = await Database.open(path)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(connection: Connection) -> int:
        begun.set()
        await go_on.wait()
        return (await record.frontier(connection)).size

    reading = asyncio.create_task(database.read(slow))
    await begun.wait()
    await database.close()
    go_on.set()
    assert await reading == 0
    no_more_threads_than(before)


async def test_the_end_waits_for_a_connection_that_nobody_waits_for_any_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Else its thread would answer a loop that has ended."""
    before = set(threading.enumerate())
    database = await Database.open(path)
    begun, go_on, connect = asyncio.Event(), threading.Event(), sqlite3.connect
    loop = asyncio.get_running_loop()

    def slowly(*arguments: Any, **options: Any) -> sqlite3.Connection:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(20)
        made: sqlite3.Connection = connect(*arguments, **options)
        return made

    monkeypatch.setattr(sqlite3, "connect", slowly)
    reading = asyncio.create_task(names(database))
    await begun.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert reading.cancelled()
    closed: list[bool] = []
    close = database._writing.close

    async def noted() -> None:
        closed.append(go_on.is_set())
        await close()

    monkeypatch.setattr(database._writing, "close", noted)
    closing = asyncio.create_task(database.close())
    await asyncio.gather(database._writer, return_exceptions=True)
    for _ in range(5):
        await asyncio.sleep(0)
    assert closed == []
    go_on.set()
    await closing
    no_more_threads_than(before)


async def test_a_transaction_that_is_cut_short_by_the_end_leaves_nothing(path: Path):
    before = set(threading.enumerate())
    database = await Database.open(path)
    begun = asyncio.Event()

    async def endless(connection: Connection) -> None:
        await put(connection, "never")
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(database.write(endless))
    await begun.wait()
    await database.close()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    no_more_threads_than(before)
    with sqlite3.connect(path, timeout=0) as other:
        assert other.execute("SELECT * FROM singles").fetchall() == []
        other.execute("INSERT INTO singles VALUES ('others', x'00')")
    other.close()
