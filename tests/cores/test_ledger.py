"""The one way in which anything changes: together, in order, told only once it is durable."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from coordinator.engine.change import Change
from coordinator.store import feed
from coordinator.store.connection import Connection
from coordinator.store.feed import Item
from coordinator.store.parsed import ByDigest, Parsed
from coordinator.workflow.events import Approved
from protocol.commands.bodies import SetControlPoint
from protocol.displayable import PersonName
from protocol.identifiers import Digest, Instant
from protocol.record.entries import EntryKind
from protocol.request import Request, RequestState
from protocol.schema import from_bytes, to_bytes
from protocol.session.messages import AgentNews, Feed, UnitApproval
from tests.cast.commands import key_of
from tests.cast.coordinators import CastCoordinator, coordinator
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, INSTANCE, approval


@pytest.fixture
async def cast(tmp_path: Path) -> AsyncIterator[CastCoordinator]:
    async with coordinator(tmp_path) as made:
        yield made


def news(name: str, at: int = 0) -> AgentNews:
    """News of the subject `name`; `at` tells one from the other."""
    agent = signature_key(f"agent of {name}").identity
    return AgentNews(person=PersonName(name), agent=agent, enrolled=Instant(at))


def telling(*told: AgentNews, note: bytes | None = None) -> Callable[[Change], Awaitable[None]]:
    """Tells these, and logs the note."""

    async def work(change: Change) -> None:
        for one in told:
            await change.tell(one)
        if note is not None:
            change.log(EntryKind.ALARM, note)

    return work


async def failing(change: Change) -> None:
    """Says much, and fails."""
    await change.tell(news("mallory"))
    change.log(EntryKind.ALARM, b"never")
    raise ZeroDivisionError


async def in_feed(cast: CastCoordinator) -> list[Item]:
    return list(
        await cast.ledger.database.read(lambda connection: feed.since(connection, INSTANCE, 0))
    )


async def logged(cast: CastCoordinator) -> list[bytes]:
    return [entry.body for entry in await cast.entries(EntryKind.ALARM)]


async def test_changes_at_once_are_logged_and_told_in_their_order(cast: CastCoordinator):
    await asyncio.gather(
        *(cast.ledger.change(telling(news(f"agent-{n}"), note=b"%d" % n)) for n in range(1, 40))
    )
    assert await logged(cast) == [b"%d" % n for n in range(1, 40)]
    told = [item for item in await in_feed(cast) if item.subject.startswith("agent")]
    names = [from_bytes(Feed, item.message).news for item in told]
    assert names == [news(f"agent-{n}") for n in range(1, 40)]
    assert sorted({item.position for item in told}) == [item.position for item in told]


async def test_of_a_subject_the_newest_is_kept_at_the_end(cast: CastCoordinator):
    await cast.ledger.change(telling(news("a", 1), news("b", 2), news("a", 3)))
    told = [from_bytes(Feed, item.message).news for item in await in_feed(cast)]
    assert told == [news("b", 2), news("a", 3)]
    await cast.ledger.change(telling(news("b", 4)))
    told = [from_bytes(Feed, item.message).news for item in await in_feed(cast)]
    assert told == [news("a", 3), news("b", 4)]


async def test_one_that_fails_takes_nobody_along(cast: CastCoordinator):
    answers = await asyncio.gather(
        *(cast.ledger.change(telling(news(f"agent-{n}"), note=b"%d" % n)) for n in range(1, 6)),
        cast.ledger.change(failing),
        *(cast.ledger.change(telling(news(f"agent-{n}"), note=b"%d" % n)) for n in range(6, 11)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers].count(ZeroDivisionError) == 1
    assert await logged(cast) == [b"%d" % n for n in range(1, 11)]
    subjects = {item.subject for item in await in_feed(cast)}
    assert len(subjects) == 10
    assert feed.subject_of(news("mallory")) not in subjects


async def test_nothing_is_pushed_that_isnt_durable(cast: CastCoordinator, tmp_path: Path):
    pushed: list[int] = []
    push = cast.ledger.hub.tell

    def looked_up(items: list[Item]) -> None:
        with sqlite3.connect(tmp_path / "coordinator.db") as other:
            rows = other.execute("SELECT position, body FROM feed").fetchall()
        assert {(item.position, item.message) for item in items} <= set(rows)
        pushed.extend(item.position for item in items)
        push(items)

    cast.ledger.hub.tell = looked_up  # type: ignore[assignment,method-assign]
    await asyncio.gather(*(cast.ledger.change(telling(news(f"agent-{n}"))) for n in range(20)))
    assert len(pushed) == 20


async def test_who_is_answered_finds_it_in_the_feed(cast: CastCoordinator):
    await cast.ledger.change(telling(news("a")))
    assert [item.subject for item in await in_feed(cast)] == [feed.subject_of(news("a"))]


async def test_what_was_told_before_in_the_same_change_counts(cast: CastCoordinator):
    async def work(change: Change) -> tuple[int, int]:
        await change.tell(news("a"))
        await change.tell(news("b"))
        return await change.told("agent "), await change.told(feed.subject_of(news("a")))

    assert await cast.ledger.change(work) == (2, 1)
    assert len(await in_feed(cast)) == 2


async def test_a_checkpoint_covers_what_was_logged_before_it(cast: CastCoordinator):
    async def work(change: Change) -> tuple[int, int]:
        _, before, _ = await cast.ledger.checkpoint(change.connection)
        change.log(EntryKind.ALARM, b"in between")
        _, after, _ = await cast.ledger.checkpoint(change.connection)
        return before, after

    before, after = await cast.ledger.change(work)
    assert after == before + 1


def test_what_was_parsed_is_remembered_within_bounds():
    parsed = Parsed(AgentNews, limit=3 * len(to_bytes(news("a"))))
    bodies = [to_bytes(news(name)) for name in "abcd"]
    first = parsed(bodies[0])
    assert first == news("a")
    assert parsed(bytes(bytearray(bodies[0]))) is first
    known = news("b")
    parsed.know(bodies[1], known)
    assert parsed(bodies[1]) is known
    for body in bodies[2:]:
        parsed(body)
    assert parsed(bodies[0]) is not first, "the oldest was let go"


async def test_what_a_digest_stands_for_is_looked_up_once():
    asked: list[bytes] = []
    found: ByDigest[bytes] = ByDigest(limit=2)

    def stands_for(value: bytes | None) -> Callable[[], Awaitable[bytes | None]]:
        async def look() -> bytes | None:
            asked.append(value or b"nothing")
            return value

        return look

    one, two, three = (Digest(bytes([n]) * 32) for n in (1, 2, 3))
    assert await found.find(one, stands_for(None)) is None
    assert await found.find(one, stands_for(b"one")) == b"one"
    assert await found.find(one, stands_for(b"never asked")) == b"one"
    await found.find(two, stands_for(b"two"))
    await found.find(three, stands_for(b"three"))
    await found.find(one, stands_for(b"one again"))
    assert asked == [b"nothing", b"one", b"two", b"three", b"one again"]


@pytest.mark.parametrize("by", ["number", "digest"])
async def test_words_of_several_people_in_one_transaction_all_count(cast: CastCoordinator, by: str):
    """The second change of a transaction begins with what the first has made of the request."""
    filed = await cast.file(SetControlPoint(point=66, on=True))
    request = await cast.until(filed.id, RequestState.COLLECTING)
    assert request.opening is not None
    digest = request.opening.digest

    async def both(connection: Connection) -> None:
        for who in (ALICE, BOB):
            change = await cast.ledger.within(connection)
            found = await (change.request(filed.id) if by == "number" else change.opened(digest))
            assert found is not None
            key = key_of(who)
            given = tuple(
                UnitApproval(unit=one.unit, approval=approval(key, found.command(one.target)))
                for one in found.progress
            )
            assert isinstance(await change.apply(found, Approved(key.ski, given)), Request)

    await cast.ledger.database.write(both)
    stored = await cast.request(filed.id)
    signed = {tuple(one.ski for one in progress.approvals) for progress in stored.progress}
    assert signed == {tuple(sorted((key_of(ALICE).ski, key_of(BOB).ski)))}
