"""A fresh coordinator takes an instance over: the file, what it stores of it, what it waits for."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coordinator.engine.ledger import Ledger, OwnKeys
from coordinator.engine.takeover import last_of_before, take_over
from coordinator.store import feed, people, record
from coordinator.store.database import Database, migrate
from coordinator.workflow.filing import not_our_log
from protocol.charter import Charter
from protocol.files.coordinator_file import (
    OfferedCoordinator,
    read_coordinator_file,
    write_coordinator_file,
)
from protocol.files.takeover_file import (
    TakeOver,
    is_takeover_file,
    read_takeover_file,
    write_takeover_file,
)
from protocol.record.entries import EntryKind
from protocol.refusals import Refusal, Rule
from protocol.report.evidence import OwnEntry
from protocol.session.messages import AgentNews, KeyNews
from protocol.violations import Violation
from tests.cast.charters import COORDINATOR, accepts, charter, instance
from tests.cast.commands import NOON
from tests.cast.keys import noise, signature_key
from tests.cast.people import ALICE, BOB, INSTANCE, MALLORY

FIRST, PEOPLE, UNITS = instance(3, 1)
IDENTITY, LOG = signature_key("new coordinator"), signature_key("new log")
NEW = COORDINATOR.but(identity=IDENTITY.identity, log=LOG.identity)
SECOND = charter(PEOPLE, UNITS, previous=FIRST)
THIRD = charter(PEOPLE, UNITS, previous=SECOND, coordinator=NEW)
KEYS = OwnKeys(identity=IDENTITY.identity, sign=IDENTITY.sign, log=LOG.identity, sign_log=LOG.sign)


def takeover(newest: Charter = THIRD, **changes: Any) -> TakeOver:
    fields: dict[str, Any] = {
        "versions": (FIRST, SECOND, newest),
        "acceptances": (
            *(accepts(one, FIRST) for one in PEOPLE),
            *(accepts(one, SECOND) for one in (ALICE, BOB)),
        ),
        "requests": 41,
    }
    return TakeOver(**(fields | changes))


# --- the files ------------------------------------------------------------------------------------


def test_a_takeover_file_is_read_back_and_has_one_spelling():
    data = write_takeover_file(takeover())
    assert read_takeover_file(data) == takeover()
    assert is_takeover_file(data) and not is_takeover_file(b'{"quorate": "charter file 1"')
    for place in range(0, len(data), 97):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(Violation):
            read_takeover_file(bytes(changed))


def test_a_takeover_file_with_an_acceptance_that_is_none():
    forged = accepts(MALLORY, SECOND)
    early = accepts(ALICE, THIRD)
    for signed in (forged, early):
        data = write_takeover_file(takeover(acceptances=(signed,)))
        with pytest.raises(Violation):
            read_takeover_file(data)


def test_a_takeover_names_another_coordinator_with_another_log():
    for same in (COORDINATOR, NEW.but(log=COORDINATOR.log), NEW.but(identity=COORDINATOR.identity)):
        with pytest.raises(ValueError, match="another coordinator"):
            takeover(charter(PEOPLE, UNITS, previous=SECOND, coordinator=same))


def test_a_coordinator_file_is_read_back_and_has_one_spelling():
    offered = OfferedCoordinator(instance=INSTANCE, practice=True, coordinator=NEW)
    data = write_coordinator_file(offered)
    assert read_coordinator_file(data) == offered
    content = json.loads(data)
    for name, value in (
        ("url", "http://quorate.example"),
        ("identity", "00"),
        ("log", None),
        ("instance", 7),
        ("practice", "yes"),
        ("quorate", "coordinator file 2"),
    ):
        other = json.dumps(content | {name: value}, indent=2) + "\n"
        with pytest.raises(Violation):
            read_coordinator_file(other.encode())
    for wrong in (b"", b"[]", b"7", data + b"\n", b" " * 5000):
        with pytest.raises(Violation):
            read_coordinator_file(wrong)


# --- the coordinator ------------------------------------------------------------------------------


@asynccontextmanager
async def fresh(place: Path) -> AsyncIterator[Ledger]:
    path = place / "coordinator.db"
    migrate(path)
    database = await Database.open(path)
    drawn = iter(range(1000))
    try:
        yield Ledger(
            database,
            INSTANCE,
            KEYS,
            now=lambda: NOON,
            entropy=lambda count: noise(f"entropy {next(drawn)}", count),
        )
    finally:
        await database.close()


async def takes(ledger: Ledger, file: TakeOver) -> Refusal | None:
    return await ledger.change(lambda change: take_over(change, file, KEYS))


async def test_what_was_in_force_is_and_the_agents_are_known(tmp_path: Path):
    async with fresh(tmp_path) as ledger:
        assert await takes(ledger, takeover()) is None
        read = ledger.database.read
        known = await read(lambda connection: people.all_charters(connection, INSTANCE))
        assert [(one.charter, one.in_force) for one in known] == [
            (FIRST, True),
            (SECOND, True),
            (THIRD, False),
        ]
        accepted = await read(lambda connection: people.accepted(connection, SECOND.digest))
        assert [name for name, _ in accepted] == ["alice", "bob"]
        there = [await read(partial(people.agent, identity=one.agent)) for one in PEOPLE]
        assert there == [one.name for one in PEOPLE]
        told = await read(lambda connection: feed.about(connection, INSTANCE, "agent", "key"))
        assert {one.person for one in told if isinstance(one, AgentNews)} == {
            "alice",
            "bob",
            "carol",
        }
        assert {one.key.ski for one in told if isinstance(one, KeyNews)} == {
            one.key.ski for one in PEOPLE
        }


async def test_the_new_log_holds_what_a_report_needs(tmp_path: Path):
    async with fresh(tmp_path) as ledger:
        await takes(ledger, takeover())
        items = await ledger.database.read(
            lambda connection: record.items(connection, INSTANCE, 0, 100)
        )
        kinds = [one.salted.entry.kind for one in items if isinstance(one, OwnEntry)]
        assert kinds == [
            EntryKind.CHARTER,
            *[EntryKind.ACCEPTANCE] * 3,
            EntryKind.CHARTER,
            *[EntryKind.ACCEPTANCE] * 2,
            EntryKind.CHARTER,
            *[EntryKind.ENROLMENT] * 3,
        ]


async def test_request_numbers_go_on_where_no_agent_knows_one(tmp_path: Path):
    assert [last_of_before(known) for known in (0, 41, 999, 1000)] == [1000, 1000, 1000, 2000]
    async with fresh(tmp_path) as ledger:
        assert (await ledger.known()).newest == 0
        await takes(ledger, takeover())
        assert (await ledger.known()).newest == 1000


async def test_a_version_that_names_another_coordinator_is_not_taken_over(tmp_path: Path):
    other = COORDINATOR.but(
        identity=signature_key("mallory").identity, log=signature_key("mallory's log").identity
    )
    half = NEW.but(log=other.log)
    async with fresh(tmp_path) as ledger:
        for named in (other, half):
            strange = takeover(charter(PEOPLE, UNITS, previous=SECOND, coordinator=named))
            refusal = await takes(ledger, strange)
            assert refusal is not None and refusal.rule is Rule.CHARTER_DOES_NOT_FOLLOW
        assert not await ledger.database.read(
            lambda connection: people.all_charters(connection, INSTANCE)
        )


async def test_another_proposal_takes_the_place_of_one_that_failed(tmp_path: Path):
    without = charter([ALICE, BOB], UNITS, previous=SECOND, coordinator=NEW)
    async with fresh(tmp_path) as ledger:
        for file in (takeover(), takeover(), takeover(without)):
            assert await takes(ledger, file) is None
        known = await ledger.database.read(
            lambda connection: people.all_charters(connection, INSTANCE)
        )
        assert {one.charter for one in known if not one.in_force} == {THIRD, without}


async def test_a_coordinator_where_another_version_is_in_force_takes_nothing_over(tmp_path: Path):
    async with fresh(tmp_path) as ledger:
        await takes(ledger, takeover())
        await ledger.change(lambda change: change.set_in_force(THIRD))
        refusal = await takes(ledger, takeover())
        assert refusal is not None and refusal.found == "version 3"


def test_nothing_is_filed_while_the_version_in_force_names_another_log():
    refusal = not_our_log(SECOND, LOG.identity)
    assert refusal is not None and refusal.rule is Rule.CHARTER_NOT_IN_FORCE
    assert not_our_log(THIRD, LOG.identity) is None
    assert not_our_log(None, LOG.identity) is None, "then there is none in force, which is refused"
