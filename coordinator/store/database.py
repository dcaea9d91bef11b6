"""The database: opened, migrated, and written to in groups.

All writes go through one writer. It takes what has come in, runs it in one transaction, and tells
everybody after the commit: so a commit's cost is shared, and nothing is visible that isn't durable.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from quorate.exits import Exit, Trouble

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
Last = Callable[[AsyncConnection], Awaitable[Callable[[], None]]]
MAX_GROUP = 128
_WRITES = "quorate_writes"
_PRIMARY = 0xFF
"""The part of SQLite's result code that says what kind it is (sqlite.org/rescode.html)."""


class Database:
    """One SQLite file with its writer. `close` when done.

    `at_the_end` is the last work of every group; what it gives is called after the commit, before
    anybody is told.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**{_WRITES: True})
        self.at_the_end: Last | None = None
        self._queue: asyncio.Queue[tuple[Work[Any], asyncio.Future[Any]]] = asyncio.Queue(1024)
        self._writer = asyncio.create_task(self._write_groups(), name="database writer")

    @classmethod
    async def open(cls, path: Path) -> "Database":
        """Opens the file, which `migrate` has made."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        event.listen(engine.sync_engine, "connect", _pragmas)
        event.listen(engine.sync_engine, "begin", _begin)
        return cls(engine)

    async def read(self, work: Work[T]) -> T:
        """Runs `work` on a snapshot of what is durable."""
        try:
            async with self._engine.connect() as connection:
                return await work(connection)
        except DBAPIError as error:
            raise _storage(error) from None

    async def write(self, work: Work[T]) -> T:
        """Runs `work` in a transaction, alone or with others' work, and returns after the commit.

        `work` may run twice: where another's in the same group fails, each is tried alone.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put((work, done))
        return await done

    async def close(self) -> None:
        """Finishes what was begun and closes the file."""
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        await self._engine.dispose()

    async def _write_groups(self) -> None:
        while True:
            group = [await self._queue.get()]
            await asyncio.sleep(0)  # what has come in by now shares the commit
            while len(group) < MAX_GROUP and not self._queue.empty():
                group.append(self._queue.get_nowait())
            try:
                results = await self._commit([work for work, _ in group])
            except Exception as error:
                if len(group) == 1:
                    _settle(group[0][1], error=_storage(error))
                    continue
                for work, done in group:
                    await self._alone(work, done)
            else:
                for (_, done), result in zip(group, results, strict=True):
                    _settle(done, result=result)

    async def _alone(self, work: Work[Any], done: asyncio.Future[Any]) -> None:
        try:
            results = await self._commit([work])
        except Exception as error:
            _settle(done, error=_storage(error))
        else:
            _settle(done, result=results[0])

    async def _commit(self, works: list[Work[Any]]) -> list[Any]:
        async with self._writing.connect() as connection:
            async with connection.begin():
                results = [await work(connection) for work in works]
                committed = None if self.at_the_end is None else await self.at_the_end(connection)
            if committed is not None:
                committed()
            return results


def _settle(
    done: asyncio.Future[Any], *, result: Any = None, error: Exception | None = None
) -> None:
    if done.cancelled():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


def _storage(error: Exception) -> Exception:
    """What the disk can't do, as trouble; anything else is a bug and stays what it is."""
    if not isinstance(error, DBAPIError):
        return error
    match getattr(error.orig, "sqlite_errorcode", 0) & _PRIMARY:
        case sqlite3.SQLITE_FULL:
            why = "no space left for the coordinator's database"
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
            why = f"the coordinator's database can't be written: {error.orig}"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Trouble(
                Exit.DAMAGED,
                "the coordinator's database isn't as it was written; it was left as it is",
                found=str(error.orig),
                next="put your copy of it back; agents notice what it lacks",
            )
        case _:
            return error
    return Trouble(
        Exit.STORAGE,
        f"{why}; nothing of this was stored",
        next="make room on the coordinator's disk, or look at it; then it goes on by itself",
    )


def without_implicit_commits(connection: Any, _: object) -> None:
    """For a new connection: transactions begin and end where we say, not where the driver does."""
    connection.isolation_level = None


def begin_to_write(connection: Any) -> None:
    """Begins a transaction that has the lock from its beginning: it need not wait for it later."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _pragmas(connection: Any, record: object) -> None:
    # The driver's own implicit BEGIN comes too late for a snapshot; ours is explicit.
    without_implicit_commits(connection, record)
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Any) -> None:
    # Who writes has the lock from the beginning: another process may have it for a moment
    # (`quorate coordinator invite`), and a transaction that has read can't wait for it any more.
    if connection.get_execution_options().get(_WRITES, False):
        begin_to_write(connection)
    else:
        connection.exec_driver_sql("BEGIN")


def migrate(path: Path) -> None:
    """Makes the database, or brings an older one up to date.

    Trouble where the disk is full or the file damaged: then it is as it was, or can be done again.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "coordinator.store:migrations")
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", f"sqlite:///{path}")
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        raise _storage(error) from None
