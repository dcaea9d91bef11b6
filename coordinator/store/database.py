"""The database: opened, migrated, and written to in groups.

All writes go through one writer. It takes what has come in, runs it in one transaction, and tells
everybody after the commit: so a commit's cost is shared, and nothing is visible that isn't durable.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from coordinator.store.connection import Connection
from quorate.exits import Exit, Trouble

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]
Last = Callable[[Connection], Awaitable[Callable[[], None]]]
MAX_GROUP = 128
MAX_READERS = 8
TURNS = 3
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000")
_PRIMARY = 0xFF
"""The part of SQLite's result code that says what kind it is (sqlite.org/rescode.html)."""


class Database:
    """One SQLite file with its writer. `close` when done.

    `at_the_end` is the last work of every group; what it gives is called after the commit, before
    anybody is told.
    """

    def __init__(self, path: Path, writing: aiosqlite.Connection) -> None:
        self._path = path
        self._writing = writing
        self._idle: list[aiosqlite.Connection] = []
        self._may_read = asyncio.Semaphore(MAX_READERS)
        self._closed = False
        self._opening: set[asyncio.Task[aiosqlite.Connection]] = set()
        self.at_the_end: Last | None = None
        self._queue: asyncio.Queue[tuple[Work[Any], asyncio.Future[Any]]] = asyncio.Queue(1024)
        self._writer = asyncio.create_task(self._write_groups(), name="database writer")

    @classmethod
    async def open(cls, path: Path) -> "Database":
        """Opens the file, which `migrate` has made."""
        try:
            return cls(path, await _connect(path))
        except sqlite3.Error as error:
            raise _storage(error) from None

    async def read(self, work: Work[T]) -> T:
        """Runs `work` on a snapshot of what is durable."""
        async with self._may_read:
            try:
                raw = self._idle.pop() if self._idle else await self._open_reader()
                try:
                    await raw.execute_fetchall("BEGIN")
                    result = await work(Connection(raw))
                    await raw.rollback()
                except BaseException:
                    await raw.close()
                    raise
            except sqlite3.Error as error:
                raise _storage(error) from None
            if self._closed:  # its thread would outlive us
                await raw.close()
            else:
                self._idle.append(raw)
            return result

    async def _open_reader(self) -> aiosqlite.Connection:
        """Another connection. Who stops waiting for it leaves it to the next."""
        opening = asyncio.create_task(_connect(self._path))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._keep)
            raise

    def _keep(self, opened: asyncio.Task[aiosqlite.Connection]) -> None:
        if not opened.cancelled() and opened.exception() is None:
            self._idle.append(opened.result())

    async def write(self, work: Work[T]) -> T:
        """Runs `work` in a transaction, alone or with others' work, and returns after the commit.

        `work` may run twice: where another's in the same group fails, each is tried alone.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put((work, done))
        return await done

    @property
    def more_to_come(self) -> bool:
        """Whether there is something to write that isn't in a transaction yet."""
        return not self._queue.empty()

    async def close(self) -> None:
        """Finishes what was begun and closes the file."""
        self._closed = True
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        await asyncio.gather(*self._opening, return_exceptions=True)
        await asyncio.gather(*(raw.close() for raw in (self._writing, *self._idle)))

    async def _write_groups(self) -> None:
        while True:
            group = [await self._queue.get()]
            for _ in range(TURNS):  # what comes in meanwhile shares the commit
                await asyncio.sleep(0)
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
        connection = Connection(self._writing)
        # With the lock from the beginning: another process may have it for a moment
        # (`quorate coordinator invite`), and who has read can't wait for it any more.
        await self._writing.execute_fetchall("BEGIN IMMEDIATE")
        try:
            results = [await work(connection) for work in works]
            committed = None if self.at_the_end is None else await self.at_the_end(connection)
            # Not `commit()`, which is silent where SQLite has ended the transaction by itself.
            await self._writing.execute_fetchall("COMMIT")
        except BaseException:
            await self._writing.rollback()
            raise
        if committed is not None:
            committed()
        return results


async def _connect(path: Path) -> aiosqlite.Connection:
    # Transactions begin and end where we say, not where the driver does.
    raw = await aiosqlite.connect(path, isolation_level=None)
    try:
        for pragma in _PRAGMAS:
            await raw.execute_fetchall(f"PRAGMA {pragma}")
    except BaseException:
        await raw.close()
        raise
    return raw


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
    if not isinstance(error, sqlite3.Error):
        return error
    match getattr(error, "sqlite_errorcode", 0) & _PRIMARY:
        case sqlite3.SQLITE_FULL:
            why = "no space left for the coordinator's database"
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
            why = f"the coordinator's database can't be written: {error}"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Trouble(
                Exit.DAMAGED,
                "the coordinator's database isn't as it was written; it was left as it is",
                found=str(error),
                next="put your copy of it back; agents notice what it lacks",
            )
        case _:
            return error
    return Trouble(
        Exit.STORAGE,
        f"{why}; nothing of this was stored",
        next="make room on the coordinator's disk, or look at it; then it goes on by itself",
    )


def migrate(path: Path) -> None:
    """Makes the database, or brings an older one up to date.

    Trouble where the disk is full or the file damaged: then it is as it was, or can be done again.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", "coordinator.store:migrations")
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", f"sqlite:///{path}")
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        cause = error.orig if isinstance(error.orig, sqlite3.Error) else error
        raise _storage(cause) from None
