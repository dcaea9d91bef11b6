"""What the agent keeps: one SQLite file, one transaction a step, durable before anything is sent.

Everything is canonical bytes under a kind and a key; what it means, the typed functions of `Kept`
say. `synchronous=FULL`: what was written survives a power cut.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from protocol.schema import Struct, from_bytes, to_bytes
from protocol.violations import Violation
from quorate.crash_points import crash_point
from quorate.exits import Exit, Trouble
from quorate.private_files import FILE_MODE
from signer_agent.steps import BEFORE_COMMIT, COMMITTED

S = TypeVar("S", bound=Struct)
_PRIMARY = 0xFF
"""The part of SQLite's result code that says what kind it is (sqlite.org/rescode.html)."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
    kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, name)
) WITHOUT ROWID;
"""


class AgentStore:
    """The agent's store. All methods are quick and synchronous."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._depth = 0
        with self._trouble():
            self._connection = sqlite3.connect(path, isolation_level=None)
            path.chmod(FILE_MODE)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Everything written in the block becomes durable as one, or not at all."""
        if self._depth:
            yield
            return
        self._depth += 1
        try:
            with self._trouble():
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                crash_point(BEFORE_COMMIT)
                self._connection.execute("COMMIT")
                crash_point(COMMITTED)
        finally:
            self._depth -= 1
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Turns what the disk can't do into trouble."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise Trouble(
                Exit.STORAGE,
                f"the agent's store can't be written: {error}; nothing was changed or sent",
                next=f"make room (df -h {self._path.parent}), then again",
            ) from None
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & _PRIMARY not in _DAMAGED:
                raise
            raise self._damaged(str(error)) from None

    def _damaged(self, found: str) -> Trouble:
        return Trouble(
            Exit.DAMAGED,
            f"{self._path.name} isn't as it was written; it was left as it is",
            found=found,
            next=f"put your copy of {self._path} back, or have the agent enrolled anew",
        )

    def put(self, kind: str, name: str, value: Struct) -> None:
        """Keeps a value in place of the one of that name."""
        with self.step():
            self._connection.execute(
                "INSERT INTO kept VALUES (?, ?, ?) "
                "ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
                (kind, name, to_bytes(value)),
            )

    def drop(self, kind: str, name: str) -> None:
        """Forgets a value."""
        with self.step():
            self._connection.execute("DELETE FROM kept WHERE kind = ? AND name = ?", (kind, name))

    def get(self, kind: str, name: str, of: type[S]) -> S | None:
        """The value of that name."""
        with self._trouble():
            row = self._connection.execute(
                "SELECT body FROM kept WHERE kind = ? AND name = ?", (kind, name)
            ).fetchone()
        return None if row is None else self._parsed(of, row[0])

    def all(self, kind: str, of: type[S]) -> list[tuple[str, S]]:
        """Every value of a kind, by name."""
        with self._trouble():
            rows = self._connection.execute(
                "SELECT name, body FROM kept WHERE kind = ? ORDER BY name", (kind,)
            ).fetchall()
        return [(name, self._parsed(of, body)) for name, body in rows]

    def _parsed(self, of: type[S], body: bytes) -> S:
        """Our own bytes; a violation in them is damage."""
        try:
            return from_bytes(of, body)
        except Violation as violation:
            raise self._damaged(str(violation)) from None
