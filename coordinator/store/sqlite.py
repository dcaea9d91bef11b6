"""SQLite for an asynchronous engine, without a thread a connection.

A statement against an embedded database takes microseconds, and handing it to another thread takes
more than that; so statements run at once, in the thread of the event loop. Only a commit, which
waits for the disk, is made in another thread.
"""

import asyncio
import sqlite3
from typing import Any

from sqlalchemy import pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import SQLiteExecutionContext
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.url import URL
from sqlalchemy.util.concurrency import await_

DRIVER = "sqlite+at_once"
"""What the address of such a database begins with."""


class _Cursor(sqlite3.Cursor):
    """A cursor as asynchronous results know it: its rows are at hand."""

    async def _async_soft_close(self) -> None:
        """Nobody has to wait for it."""


class _Context(SQLiteExecutionContext):
    """Runs a statement with such a cursor."""

    def create_default_cursor(self) -> Any:
        """The cursor of one statement."""
        return self._dbapi_connection.cursor(_Cursor)


class AtOnce(SQLiteDialect_pysqlite):
    """The dialect of Python's own `sqlite3` for `create_async_engine`."""

    driver = "at_once"
    is_async = True
    execution_ctx_cls = _Context
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        """Connections for as many transactions as there are at a time."""
        return pool.AsyncAdaptedQueuePool

    def create_connect_args(self, url: URL) -> Any:
        """As for files; commits are made in another thread than the rest."""
        arguments, options = super().create_connect_args(url)
        return arguments, {**options, "check_same_thread": False}

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        """Runs a statement."""
        cursor.execute(statement, parameters)
        await_(_at_once())

    def do_executemany(
        self, cursor: Any, statement: Any, parameters: Any, context: Any = None
    ) -> None:
        """Runs a statement for many rows."""
        cursor.executemany(statement, parameters)
        await_(_at_once())

    def do_commit(self, dbapi_connection: Any) -> None:
        """Waits for the disk where nobody else has to."""
        connection: sqlite3.Connection = dbapi_connection.driver_connection
        if connection.in_transaction:
            await_(asyncio.to_thread(connection.commit))


async def _at_once() -> None:
    """Nothing to wait for; an asynchronous engine wants to have awaited something."""


registry.register("sqlite.at_once", __name__, AtOnce.__name__)
