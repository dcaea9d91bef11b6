"""Databases of agent and coordinator, and a directory's lock: full disks, damaged files."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import column, select, table

from coordinator.store.database import Database, migrate
from protocol.identifiers import Instant, Signature
from protocol.session.messages import FileRequest
from protocol.signing.statements import Signed
from protocol.violations import Violation
from quorate import state_lock
from quorate.exits import Exit, Trouble
from signer_agent.kept import Kept, Sent
from signer_agent.store import AgentStore
from signer_agent.trust.charters import CharterBook
from signer_agent.trust.witness import Sighting
from tests.cast.people import INSTANCE

SEEN = Sighting(size=1, at=Instant(2))


def test_an_agents_store_that_is_no_database(tmp_path: Path):
    path = tmp_path / "agent.db"
    path.write_bytes(b"something else altogether" * 100)
    with pytest.raises(Trouble, match="isn't as it was written") as caught:
        AgentStore(path)
    assert caught.value.exit is Exit.DAMAGED
    assert path.read_bytes() == b"something else altogether" * 100


def test_an_agents_store_whose_bytes_changed(tmp_path: Path):
    store = AgentStore(tmp_path / "agent.db")
    store.put("single", "sighting", SEEN)
    store._connection.execute("UPDATE kept SET body = x'00'")
    reading: list[Callable[[], object]] = [
        lambda: store.get("single", "sighting", Sighting),
        lambda: store.all("single", Sighting),
    ]
    for read in reading:
        with pytest.raises(Trouble, match="isn't as it was written") as caught:
            read()
        assert caught.value.exit is Exit.DAMAGED
    store.close()


def test_what_no_coordinator_would_take_is_not_kept(tmp_path: Path):
    """It would be sent again in every session, and end it."""
    store = AgentStore(tmp_path / "agent.db")
    kept = Kept.load(store, CharterBook(instance=INSTANCE, practice=True))
    filing = Signed(statement=b"", signature=Signature(bytes(64)))
    with pytest.raises(Violation, match="length <= 100"):
        kept.keep_sent(FileRequest(filing=filing, idempotency_key="x" * 101), None)
    assert not kept.sent and not store.all("sent", Sent)
    store.close()


def test_a_coordinators_database_that_is_no_database(tmp_path: Path):
    path = tmp_path / "coordinator.db"
    path.write_bytes(b"something else altogether" * 100)
    with pytest.raises(Trouble, match="isn't as it was written") as caught:
        migrate(path)
    assert caught.value.exit is Exit.DAMAGED


def test_a_coordinators_database_damaged_while_it_runs(tmp_path: Path):
    path = tmp_path / "coordinator.db"
    path.write_bytes(b"something else altogether" * 100)

    async def read() -> None:
        database = await Database.open(path)
        try:
            await database.read(
                lambda connection: connection.execute(
                    select(column("x")).select_from(table("nothing"))
                )
            )
        finally:
            await database.close()

    with pytest.raises(Trouble) as caught:
        asyncio.run(read())
    assert caught.value.exit is Exit.DAMAGED


def test_no_room_for_a_coordinators_database(tmp_path: Path):
    """What is left of it is no hindrance once there is room."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "coordinator.db"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, before[1]))
    try:
        with pytest.raises(Trouble, match="database") as caught:
            migrate(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.exit is Exit.STORAGE
    migrate(path)


def test_no_room_for_the_lock_of_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with (
        pytest.raises(Trouble, match="No space left") as caught,
        state_lock.owned(tmp_path, owner="nobody"),
    ):
        raise AssertionError("it isn't owned")
    assert caught.value.exit is Exit.STORAGE
