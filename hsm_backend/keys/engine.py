"""How key storage's database is reached: SQLite in a file, or PostgreSQL by its URL.

All that differs between the two is here: how a transaction begins, and what goes wrong by which
name. Statements are written once, for both.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError
from sqlalchemy.exc import OperationalError as Operational

from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable

_PRIMARY = 0xFF
"""The part of SQLite's result code that says what kind it is (sqlite.org/rescode.html)."""
_FULL = "53100"
"""PostgreSQL's disk_full (its documentation, appendix A)."""
_CONNECT_SECONDS = 5
_WAIT_SECONDS = 10
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    f"PRAGMA busy_timeout = {_WAIT_SECONDS * 1000}",
)


def sqlite_url(file: Path) -> URL:
    """The database in a file of this machine."""
    return URL.create("sqlite", database=str(file.absolute()))


def parse_url(text: str) -> URL:
    """`postgresql://USER@HOST/DATABASE`, as an operator writes it; usage trouble otherwise.

    A password doesn't belong into settings: PostgreSQL's own password file holds it.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        url = None
    if url is None or url.drivername != "postgresql":
        raise Trouble(
            Exit.USAGE,
            "key storage's database is a PostgreSQL URL, or nothing for a file of this host",
            expected="postgresql://USER@HOST/DATABASE",
            found=None if url is None else url.render_as_string(),
            next="write it so",
        )
    if url.password is not None:
        raise Trouble(
            Exit.EXPOSED,
            "a password stands in the URL of key storage's database; nothing was served",
            next="take it out; put it into ~/.pgpass of the user who serves, mode 600",
        )
    if find_spec("psycopg") is None:
        raise Trouble(
            Exit.USAGE,
            "what talks to PostgreSQL isn't installed",
            next="pip install 'quorate-hsm[postgresql]'",
        )
    return url.set(drivername="postgresql+psycopg")


def made_engine(url: URL) -> Engine:
    """An engine whose connections begin transactions as ours need them."""
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _WAIT_SECONDS})
        event.listen(engine, "connect", _opened)
        event.listen(engine, "begin", _begun)
        return engine
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=_WAIT_SECONDS,
        connect_args={"connect_timeout": _CONNECT_SECONDS},
    )


def _opened(raw: sqlite3.Connection, _record: object) -> None:
    raw.isolation_level = None
    for pragma in _PRAGMAS:
        raw.execute(pragma).fetchall()


def _begun(connection: Connection) -> None:
    # With the lock from the beginning: who has read can't wait for it any more.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Taken(Exception):
    """Somebody else has written first."""


@contextmanager
def troubles(untouched: str) -> Iterator[None]:
    """Says what a database can't do: Unavailable where it may later, else trouble.

    Taken where somebody else was first. What only a mistake of ours can cause passes.
    """
    try:
        yield
    except IntegrityError as error:
        raise Taken from error
    except DBAPIError as error:
        cause = error.orig
        if isinstance(cause, sqlite3.Error):
            raise _of_sqlite(cause, untouched) from None
        if getattr(cause, "sqlstate", None) == _FULL:
            raise _storage("no space left in PostgreSQL", untouched) from None
        if isinstance(error, Operational | InterfaceError) or error.connection_invalidated:
            raise Unavailable(f"key storage's database is out of reach: {cause}") from None
        raise


def _of_sqlite(error: sqlite3.Error, untouched: str) -> Exception:
    match getattr(error, "sqlite_errorcode", 0) & _PRIMARY:
        case sqlite3.SQLITE_FULL:
            return _storage("no space left", untouched)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
            return _storage(str(error), untouched)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable("key storage's database is busy")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Trouble(
                Exit.DAMAGED,
                "keys.db isn't as it was written; it was left as it is",
                found=str(error),
                next="put a good copy of it back; units notice if it is old",
            )
        case _:
            return error


def _storage(why: str, untouched: str) -> Trouble:
    return Trouble(
        Exit.STORAGE,
        f"key storage's database can't be written: {why}; {untouched}",
        next="make room for it, or look at it; then it goes on by itself",
    )
