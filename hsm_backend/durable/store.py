"""The database of a unit host: what its units know, written as one transaction a step.

SQLite in WAL mode with synchronous=FULL: when `commit` returns, memory, history entries and the
receipt index are on disk; when the process dies before, none of them is. All calls block; one
thread makes them (`hsm_backend.host.instance`).
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from hsm_backend.durable.database import (
    SCHEMA,
    SEEN,
    check_format,
    connect,
    format_of,
    transaction,
    trouble,
)
from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.rows import MemoryRow, opened, sealed
from hsm_backend.durable.sealed import DeviceKey
from hsm_backend.durable.steps import Write
from hsm_backend.keys.inventory import Mark
from hsm_backend.unit.machine import Step
from hsm_backend.unit.memory import Memory
from hsm_backend.wire import PAGE_BYTES, PAGE_ENTRIES, HistoryPage
from protocol.identifiers import CommandId, IdentityKey, StateVersion, UnitId
from protocol.receipts import Entry, Receipt
from protocol.schema import from_bytes, to_bytes
from protocol.secrets import Secret
from protocol.signing.statements import Signed
from protocol.unit_identity import CertifiedUnit
from quorate.exits import Exit, Trouble
from quorate.private_files import FILE_MODE

_IDENTITY, _ROOT = "identity key", "vendor root key"


@dataclass(frozen=True)
class NewUnit:
    """A unit that was made and isn't written down yet."""

    certified: CertifiedUnit
    private: Secret
    step: Step


@dataclass(frozen=True)
class KeptUnit:
    """A unit as it is in the database, its secrets opened. `private` is its identity key."""

    certified: CertifiedUnit
    private: Secret
    memory: Memory


@dataclass(frozen=True)
class SeenUnit:
    """A unit as anyone with the directory sees it, without the device key."""

    certified: CertifiedUnit
    memory: MemoryRow
    last_entry: Signed


def create(
    directory: StateDirectory,
    device_key: DeviceKey,
    *,
    root: IdentityKey,
    root_private: Secret,
    units: Sequence[NewUnit],
) -> None:
    """Writes the first state of a host's units, in a directory that `check_free` let pass."""
    with trouble(directory.path, "no crypto unit was made"):
        os.close(os.open(directory.database, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        connection = connect(directory.database)
    try:
        with trouble(directory.path, "no crypto unit was made"):
            connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection, directory.path, Write.MADE, "no crypto unit was made"):
            for statement in SCHEMA:
                connection.execute(statement)
            private = device_key.seal(root_private, owner=root, column=_ROOT)
            connection.execute("INSERT INTO vendor VALUES (?, ?)", (root, private))
            for unit in units:
                _insert(connection, device_key, unit)
    finally:
        connection.close()


def check_free(directory: StateDirectory) -> None:
    """Refused trouble when finished crypto units are in the directory."""
    if not directory.database.exists():
        return
    with trouble(directory.path, "nothing was changed"):
        connection = connect(directory.database)
        try:
            if format_of(connection) != 0:
                raise Trouble(
                    Exit.REFUSED,
                    f"there are crypto units in {directory.path} already; nothing was changed",
                    next=f"quorate unit show {directory.path}, or choose another directory",
                )
        finally:
            connection.close()


def look(directory: StateDirectory) -> tuple[SeenUnit, ...]:
    """The units without their secrets; also while another process serves them."""
    directory.check()
    with trouble(directory.path, "nothing was changed"):
        connection = connect(directory.database)
        try:
            check_format(connection, directory.path)
            connection.execute("BEGIN")
            rows = connection.execute(
                "SELECT certified, memory, entry FROM units JOIN history"
                " ON history.unit = id AND history.version = units.version ORDER BY units.rowid"
            ).fetchall()
        finally:
            connection.close()
        return tuple(
            SeenUnit(
                certified=from_bytes(CertifiedUnit, certified),
                memory=from_bytes(MemoryRow, memory),
                last_entry=from_bytes(Signed, entry),
            )
            for certified, memory, entry in rows
        )


class Store:
    """The open database of a directory that this process owns."""

    def __init__(
        self, connection: sqlite3.Connection, device_key: DeviceKey, directory: StateDirectory
    ) -> None:
        self._connection = connection
        self._device_key = device_key
        self._place = directory.path

    @classmethod
    def open(cls, directory: StateDirectory, device_key: DeviceKey) -> Self:
        """Opens what `create` wrote."""
        directory.check()
        with trouble(directory.path, "nothing was changed"):
            connection = connect(directory.database)
            try:
                check_format(connection, directory.path)
                connection.execute(SEEN)
            except BaseException:
                connection.close()
                raise
        return cls(connection, device_key, directory)

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def units(self) -> tuple[KeptUnit, ...]:
        """All units, in the order in which they were made."""
        with trouble(self._place, "nothing was changed"):
            rows = self._connection.execute(
                "SELECT id, certified, identity, memory FROM units ORDER BY rowid"
            ).fetchall()
            return tuple(
                KeptUnit(
                    certified=from_bytes(CertifiedUnit, certified),
                    private=self._device_key.open(private, owner=unit, column=_IDENTITY),
                    memory=opened(from_bytes(MemoryRow, memory), UnitId(unit), self._device_key),
                )
                for unit, certified, private, memory in rows
            )

    def commit(self, write: Write, unit: UnitId, before: Memory, step: Step) -> None:
        """Writes a step down, durably, as one piece.

        Storage trouble when the disk is full or fails: then nothing of it is written.
        """
        untouched = "the crypto unit's state is as it was"
        row = to_bytes(sealed(step.memory, unit, self._device_key))
        with transaction(self._connection, self._place, write, untouched):
            changed = self._connection.execute(
                "UPDATE units SET version = ?, memory = ? WHERE id = ? AND version = ?",
                (step.memory.version, row, unit, before.version),
            ).rowcount
            if changed != 1:
                raise AssertionError("the unit went on from a state that isn't the stored one")
            for entry in step.entries:
                _append(self._connection, unit, entry)
        if _gives_up_a_key(before, step.memory):
            self._forget()

    def receipt(self, unit: UnitId, command: CommandId) -> Signed | None:
        """The receipt of a command that the unit has executed, in any life."""
        with trouble(self._place, "nothing was changed"):
            row = self._connection.execute(
                "SELECT entry FROM history WHERE unit = ? AND command = ?", (unit, command)
            ).fetchone()
            return None if row is None else from_bytes(Signed, row[0])

    def history(self, unit: UnitId, after: StateVersion) -> HistoryPage:
        """The entries with a higher version than `after`, as many as a page holds."""
        entries: list[Signed] = []
        size = 0
        with trouble(self._place, "nothing was changed"):
            rows = self._connection.execute(
                "SELECT entry FROM history WHERE unit = ? AND version > ? ORDER BY version LIMIT ?",
                (unit, after, PAGE_ENTRIES + 1),
            ).fetchall()
            for (entry,) in rows[:PAGE_ENTRIES]:
                entries.append(from_bytes(Signed, entry))
                size += len(entry)
                if size > PAGE_BYTES:
                    break
        return HistoryPage(entries=tuple(entries), more=len(entries) < len(rows))

    def mark(self, unit: UnitId) -> Mark | None:
        """How far the unit has written down that it has seen key storage."""
        with trouble(self._place, "nothing was changed"):
            row = self._connection.execute(
                "SELECT mark FROM key_storage_seen WHERE unit = ?", (unit,)
            ).fetchone()
            return None if row is None else from_bytes(Mark, row[0])

    def keep_mark(self, unit: UnitId, mark: Mark) -> None:
        """Writes down how far the unit has seen key storage."""
        untouched = "the crypto unit's state is as it was"
        with transaction(self._connection, self._place, Write.KEY_MARK, untouched):
            self._connection.execute(
                "INSERT OR REPLACE INTO key_storage_seen VALUES (?, ?)", (unit, to_bytes(mark))
            )

    def _forget(self) -> None:
        """Takes keys that a unit gave up out of the files: the log of writes is folded in and cut.

        Best effort, as the medium may keep what was overwritten; the command has run either way.
        """
        with suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _insert(connection: sqlite3.Connection, device_key: DeviceKey, new: NewUnit) -> None:
    unit = new.certified.opened().unit
    memory = new.step.memory
    connection.execute(
        "INSERT INTO units VALUES (?, ?, ?, ?, ?)",
        (
            unit,
            to_bytes(new.certified),
            device_key.seal(new.private, owner=unit, column=_IDENTITY),
            memory.version,
            to_bytes(sealed(memory, unit, device_key)),
        ),
    )
    for entry in new.step.entries:
        _append(connection, unit, entry)


def _append(connection: sqlite3.Connection, unit: UnitId, signed: Signed) -> None:
    entry: Entry = from_bytes(Entry, signed.statement)  # type: ignore[arg-type]
    command = entry.parsed().id if isinstance(entry, Receipt) else None
    connection.execute(
        "INSERT INTO history VALUES (?, ?, ?, ?)", (unit, entry.version, command, to_bytes(signed))
    )


def _gives_up_a_key(before: Memory, after: Memory) -> bool:
    kept = (after.new_key, after.current_key)
    return any(
        held is not None and not any(held is one for one in kept)
        for held in (before.new_key, before.current_key)
    )
