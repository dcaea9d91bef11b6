"""What the ledger knows without asking: always what is stored, whatever failed before."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from coordinator.engine import rollback
from coordinator.engine.change import Change, Known
from coordinator.engine.ledger import Ledger
from coordinator.engine.operations import Filed, Wanted, file
from coordinator.store import people, requests, singles
from coordinator.store.database import Database
from coordinator.workflow.events import Cancelled
from protocol.commands.bodies import SetControlPoint
from protocol.displayable import AccountName, PersonName, Purpose
from protocol.identifiers import Duration, Instant
from protocol.record.checkpoints import Checkpoint, log_origin, sign_checkpoint
from protocol.record.entries import EntryKind
from protocol.record.tree import Hash
from protocol.request import DEFAULT_VALIDITY, Request, RequestState
from protocol.session.messages import AgentNews
from tests.cast.charters import charter
from tests.cast.coordinators import CastCoordinator, coordinator
from tests.cast.keys import noise, signature_key
from tests.cast.people import ALICE, BOB, INSTANCE


@pytest.fixture
async def cast(tmp_path: Path) -> AsyncIterator[CastCoordinator]:
    async with coordinator(tmp_path) as made:
        yield made


def news(name: str) -> AgentNews:
    agent = signature_key(f"agent of {name}").identity
    return AgentNews(person=PersonName(name), agent=agent, enrolled=Instant(0))


async def failing(change: Change) -> None:
    await change.tell(news("mallory"))
    raise ZeroDivisionError


async def file_in(change: Change, cast: CastCoordinator, point: int) -> Request:
    wanted = Wanted(
        body=SetControlPoint(point=point, on=True),
        targets=cast.targets,
        purpose=Purpose("a test"),
        valid_for=Duration(DEFAULT_VALIDITY),
        leave_out=False,
        idempotency_key=None,
    )
    filed = await file(change, cast.ledger, cast.units, AccountName("amy"), wanted)
    assert isinstance(filed, Filed), filed
    return filed.request


async def is_as_stored(ledger: Ledger) -> None:
    """What a transaction begins with is what it would find in the database."""

    async def compare(change: Change) -> None:
        known = change.gathered.known
        assert not [one.id for one in known.standing if one.ended]
        stored = await Known.read(await change.written(), INSTANCE)
        gathered = change.gathered
        assert (gathered.log, gathered.told) == (stored.log, stored.told)
        assert gathered.newest == stored.newest
        assert list(gathered.charters) == list(stored.charters)
        assert list(change.not_ended()) == list(stored.standing)

    await ledger.change(compare)


async def test_what_is_known_follows_a_ceremony(cast: CastCoordinator):
    filed = await cast.file(SetControlPoint(point=66, on=True))
    await cast.until(filed.id, RequestState.COLLECTING)
    await is_as_stored(cast.ledger)
    await cast.sign(filed.id, ALICE, BOB)
    await cast.until(filed.id, RequestState.EXECUTED)
    await is_as_stored(cast.ledger)
    assert list((await cast.ledger.known()).standing) == []
    opening = (await cast.request(filed.id)).opening
    assert opening is not None
    found = await cast.ledger.change(lambda change: change.opened(opening.digest))
    assert found == await cast.request(filed.id)


@pytest.mark.parametrize("where", ["requests", "log_entries", "log_nodes", "feed", "COMMIT"])
async def test_a_transaction_that_failed_is_forgotten(cast: CastCoordinator, where: str):
    """Wherever it fails; then the next one begins with what is stored, and takes its numbers."""

    def refuse(action: int, what: str | None, *_: object) -> int:
        refused = what == where and action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_TRANSACTION)
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    first = await cast.file(SetControlPoint(point=66, on=True))
    await cast.until(first.id, RequestState.COLLECTING)
    before = await cast.entries(*EntryKind)
    second = charter(cast.people, tuple(cast.driver.units.values()), previous=cast.charter)

    async def work(change: Change) -> int:
        request = await change.request(first.id)
        assert request is not None
        await change.apply(request, Cancelled(by="amy", reason=""))
        await change.propose(second)
        await change.set_in_force(second)
        return (await file_in(change, cast, 67)).id

    await cast.ledger.database._writing.set_authorizer(refuse)
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        await cast.ledger.change(work)
    await cast.ledger.database._writing.set_authorizer(None)
    assert await cast.entries(*EntryKind) == before
    known = await cast.ledger.known()
    assert known.newest == first.id and known.in_force == cast.charter
    assert [one.id for one in known.standing] == [first.id]
    await is_as_stored(cast.ledger)
    assert await cast.ledger.change(work) == first.id + 1
    await is_as_stored(cast.ledger)
    assert (await cast.ledger.known()).in_force == second


async def test_one_of_a_group_that_fails_leaves_the_others_their_numbers(cast: CastCoordinator):
    async def file_and_fail(change: Change) -> int:
        await file_in(change, cast, 60)
        raise ZeroDivisionError

    answers = await asyncio.gather(
        cast.ledger.change(file_and_fail),
        cast.ledger.change(partial(file_in, cast=cast, point=66)),
        cast.ledger.change(partial(file_in, cast=cast, point=67)),
        return_exceptions=True,
    )
    assert isinstance(answers[0], ZeroDivisionError)
    assert [one.id for one in answers[1:] if isinstance(one, Request)] == [1, 2]
    await is_as_stored(cast.ledger)


async def test_a_request_that_is_new_and_changed_in_one_transaction(cast: CastCoordinator):
    """Stored as it is at the end, found by all that look for it before, and its end logged."""

    async def work(change: Change) -> int:
        request = await file_in(change, cast, 66)
        assert [one.id for one in change.not_ended()] == [request.id]
        assert change.next_id() == request.id + 1
        found = await requests.by_filing(await change.written(), request.filing.digest)
        assert found == request
        other = await file_in(change, cast, 67)
        for one in (request, other):
            changed = await change.apply(one, Cancelled(by="amy", reason=""))
            assert isinstance(changed, Request) and await change.request(one.id) == changed
        assert change.not_ended() == []
        return request.id

    number = await cast.ledger.change(work)
    states = [(await cast.request(one)).state for one in (number, number + 1)]
    assert states == [RequestState.CANCELLED] * 2
    assert len(await cast.entries(EntryKind.ENDING)) == 2
    ended = await cast.request(number)
    await cast.ledger.change(lambda change: change.save(ended))
    assert len(await cast.entries(EntryKind.ENDING)) == 2, "it had ended before"
    await is_as_stored(cast.ledger)


async def test_another_process_that_invites_is_no_hindrance(cast: CastCoordinator, tmp_path: Path):
    await cast.file(SetControlPoint(point=66, on=True))
    other = await Database.open(tmp_path / "coordinator.db")
    await other.write(
        lambda connection: people.invite(connection, INSTANCE, ALICE.name, bytes(32), Instant(0))
    )
    await other.close()
    await cast.file(SetControlPoint(point=67, on=True))
    await is_as_stored(cast.ledger)


async def test_a_log_that_has_grown_elsewhere_is_read_again(cast: CastCoordinator, tmp_path: Path):
    """Nobody else may write it. If somebody did, one change fails, and the next goes on."""

    async def note(change: Change) -> None:
        change.log(EntryKind.ALARM, b"noted")

    other = await Database.open(tmp_path / "coordinator.db")
    ledger = cast.ledger
    await Ledger(other, INSTANCE, ledger.keys, now=ledger.now, entropy=ledger.entropy).change(note)
    await other.close()
    with pytest.raises(sqlite3.IntegrityError):
        await ledger.change(note)
    await ledger.change(note)
    assert len(await cast.entries(EntryKind.ALARM)) == 2
    await is_as_stored(ledger)


async def test_a_frontier_that_was_kept_by_an_older_version_says_nothing(cast: CastCoordinator):
    await cast.ledger.database.write(
        lambda connection: singles.put(connection, "log frontier", b"from before")
    )
    await is_as_stored(cast.ledger)


async def test_that_an_agent_has_seen_more_is_stored_after_a_failure(cast: CastCoordinator):
    """What it found is said again where the transaction that found it failed with another's."""
    log = cast.ledger.keys.log
    root = Hash(noise("another root", 32))
    seen = Checkpoint(origin=log_origin(log), size=10_000, root=root)
    note = sign_checkpoint(seen, public_key=log, sign=cast.ledger.keys.sign_log)

    answers = await asyncio.gather(
        cast.ledger.change(lambda change: rollback.check_seen(cast.ledger, change, note)),
        cast.ledger.change(failing),
        return_exceptions=True,
    )
    assert answers[0] is None
    cast.ledger.rolled_back = False
    await rollback.load(cast.ledger)
    assert cast.ledger.rolled_back
    assert len(await cast.entries(EntryKind.ALARM)) == 1
