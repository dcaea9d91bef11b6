"""The SQLite file under the store: how it is opened, written to, and what may be wrong with it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsm_backend.durable.steps import Write
from protocol.violations import Violation
from quorate.crash_points import crash_point
from quorate.exits import Exit, Trouble

FORMAT = 1
SEEN = """CREATE TABLE IF NOT EXISTS key_storage_seen (
    unit BLOB PRIMARY KEY REFERENCES units, mark BLOB NOT NULL) STRICT"""
"""How far each unit has seen key storage; databases made before there was any get it later."""
SCHEMA = (
    "CREATE TABLE vendor (root BLOB PRIMARY KEY, private BLOB NOT NULL) STRICT",
    """CREATE TABLE units (
        id BLOB PRIMARY KEY, certified BLOB NOT NULL, identity BLOB NOT NULL,
        version INTEGER NOT NULL, memory BLOB NOT NULL) STRICT""",
    """CREATE TABLE history (
        unit BLOB NOT NULL REFERENCES units, version INTEGER NOT NULL, command BLOB,
        entry BLOB NOT NULL, PRIMARY KEY (unit, version), UNIQUE (unit, command)) STRICT""",
    SEEN,
    f"PRAGMA user_version = {FORMAT}",
)
_SETTINGS = (
    # A commit returns once its pages are on the disk (sqlite.org/pragma.html#pragma_synchronous).
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # What is replaced is overwritten with zeros: see `Store.commit`.
    "PRAGMA secure_delete = ON",
)
_PRIMARY = 0xFF
"""The part of SQLite's result code that says what kind it is (sqlite.org/rescode.html)."""


def connect(database: Path) -> sqlite3.Connection:
    """Opens the file, which must be there. For one thread at a time, not always the same one."""
    connection = sqlite3.connect(
        f"{database.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    for setting in _SETTINGS:
        connection.execute(setting)
    return connection


def format_of(connection: sqlite3.Connection) -> int:
    """The format of a finished database; 0 of one that was never finished."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def check_format(connection: sqlite3.Connection, place: Path) -> None:
    """Usage trouble unless the database is finished and ours."""
    found = format_of(connection)
    if found == 0:
        raise Trouble(
            Exit.USAGE,
            f"the crypto units in {place} were never finished",
            next=f"quorate unit init {place} --unit TYPE:LOCATION, again",
        )
    if found != FORMAT:
        raise Trouble(
            Exit.USAGE,
            f"the crypto units in {place} were written by another version of quorate",
            expected=f"format {FORMAT}",
            found=f"format {found}",
            next="run the version that wrote them",
        )


@contextmanager
def transaction(
    connection: sqlite3.Connection, place: Path, write: Write, untouched: str
) -> Iterator[None]:
    """Writes all that the block writes, durably, or nothing of it."""
    with trouble(place, untouched):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            crash_point(write.before_commit)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    crash_point(write.after_commit)


@contextmanager
def trouble(place: Path, untouched: str) -> Iterator[None]:
    """Turns what the disk can't do into trouble. What only a mistake of ours can cause passes.

    A violation in here is our own bytes that no longer read as they were written.
    """
    try:
        yield
    except OSError as error:
        raise _storage(place, error.strerror or str(error), untouched) from None
    except Violation as violation:
        raise _damaged(place, str(violation)) from None
    except sqlite3.DatabaseError as error:
        match getattr(error, "sqlite_errorcode", 0) & _PRIMARY:
            case sqlite3.SQLITE_FULL:
                raise _storage(place, "no space left", untouched) from None
            case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
                raise _storage(place, str(error), untouched) from None
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                raise _damaged(place, str(error)) from None
            case _:
                raise


def _storage(place: Path, why: str, untouched: str) -> Trouble:
    return Trouble(
        Exit.STORAGE,
        f"can't write in {place}: {why}; {untouched}",
        next=f"make room or look at it: df -h {place}; ls -la {place}",
    )


def _damaged(place: Path, why: str) -> Trouble:
    return Trouble(
        Exit.DAMAGED,
        f"units.db in {place} isn't as it was written; it was left as it is",
        found=why,
        next="put your copy of the whole directory back; agents notice if it is old",
    )
