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
from quorate.crash_points import crash_point
from quorate.exits import Exit, Trouble
from quorate.private_files import FILE_MODE
from signer_agent.steps import BEFORE_COMMIT, COMMITTED

S = TypeVar("S", bound=Struct)

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
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
            path.chmod(FILE_MODE)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise self._full(error) from None

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
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            crash_point(BEFORE_COMMIT)
            self._connection.execute("COMMIT")
            crash_point(COMMITTED)
        except sqlite3.OperationalError as error:
            raise self._full(error) from None
        finally:
            self._depth -= 1
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _full(self, error: sqlite3.OperationalError) -> Trouble:
        return Trouble(
            Exit.STORAGE,
            f"the agent's store can't be written: {error}; nothing was changed or sent",
            next=f"make room (df -h {self._path.parent}), then again",
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
        row = self._connection.execute(
            "SELECT body FROM kept WHERE kind = ? AND name = ?", (kind, name)
        ).fetchone()
        return None if row is None else from_bytes(of, row[0])

    def all(self, kind: str, of: type[S]) -> list[tuple[str, S]]:
        """Every value of a kind, by name."""
        rows = self._connection.execute(
            "SELECT name, body FROM kept WHERE kind = ? ORDER BY name", (kind,)
        )
        return [(name, from_bytes(of, body)) for name, body in rows]
