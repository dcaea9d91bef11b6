"""News that wait for what is about to be stored with them: told all the same, each once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from coordinator.agents.gateway import Gateway
from coordinator.engine import ledger as ledger_module
from coordinator.engine.change import Change
from coordinator.store import feed
from protocol.displayable import PersonName
from protocol.identifiers import Instant
from protocol.schema import from_bytes
from protocol.session.messages import AgentNews, CaughtUp, CoordinatorMessage, Feed, FeedPage
from tests.cast.coordinators import CERTIFICATE, CastCoordinator, coordinator
from tests.cast.keys import signature_key


@pytest.fixture
async def cast(tmp_path: Path) -> AsyncIterator[CastCoordinator]:
    async with coordinator(tmp_path) as made:
        yield made


def news(name: str) -> AgentNews:
    agent = signature_key(f"agent of {name}").identity
    return AgentNews(person=PersonName(name), agent=agent, enrolled=Instant(0))


def telling(*names: str) -> Callable[[Change], Awaitable[None]]:
    async def work(change: Change) -> None:
        for name in names:
            await change.tell(news(name))

    return work


async def failing(change: Change) -> None:
    await change.tell(news("mallory"))
    raise ZeroDivisionError


class Told:
    """A socket that keeps what was sent. `until` waits for a piece of news."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.news: list[object] = []
        self.caught_up = asyncio.Event()
        self._some = asyncio.Event()

    async def send_bytes(self, data: bytes) -> None:
        message = from_bytes(CoordinatorMessage, data)  # type: ignore[arg-type,var-annotated]
        match message:
            case FeedPage(feeds=feeds):
                for one in feeds:
                    self._take(from_bytes(Feed, one))
            case Feed():
                self._take(message)
            case CaughtUp():
                self.caught_up.set()
        self._some.set()

    def _take(self, told: Feed) -> None:
        self.positions.append(told.position)
        self.news.append(told.news)

    async def until(self, wanted: AgentNews) -> None:
        async with asyncio.timeout(20):
            while wanted not in self.news:
                self._some.clear()
                await self._some.wait()


def while_more_waits(
    cast: CastCoordinator,
    work: Callable[[Change], Awaitable[None]],
    then: Callable[[Change], Awaitable[None]],
) -> tuple[Awaitable[None], list[asyncio.Task[None]]]:
    """`work` as a change at whose end `then` is queued to be written."""
    waiting: list[asyncio.Task[None]] = []

    async def with_another(change: Change) -> None:
        await work(change)
        waiting.append(asyncio.create_task(cast.ledger.change(then)))
        await asyncio.sleep(0)
        assert cast.ledger.database.more_to_come

    return cast.ledger.change(with_another), waiting


async def test_news_that_wait_are_told_even_if_what_they_wait_for_fails(cast: CastCoordinator):
    listener = cast.ledger.hub.join()
    changing, waiting = while_more_waits(cast, telling("a"), failing)
    await changing
    assert not listener._pending, "they wait"
    assert isinstance((await asyncio.gather(*waiting, return_exceptions=True))[0], ArithmeticError)
    async with asyncio.timeout(20):
        told = await listener.take()
    assert [item.subject for item in told] == [feed.subject_of(news("a"))]


async def test_news_that_wait_are_told_with_the_next(
    cast: CastCoordinator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger_module, "WITHHELD_SECONDS", 3600)
    listener = cast.ledger.hub.join()
    changing, waiting = while_more_waits(cast, telling("a", "b"), telling("c", "a"))
    await changing
    await asyncio.gather(*waiting)
    told = await listener.take()
    assert [item.subject for item in told] == [feed.subject_of(news(one)) for one in "bca"]
    await cast.ledger.change(telling("d"))
    assert [item.subject for item in await listener.take()] == [feed.subject_of(news("d"))]


async def test_who_joins_while_news_wait_is_told_each_once(
    cast: CastCoordinator, monkeypatch: pytest.MonkeyPatch
):
    """An agent that comes between a commit and its news reads them in the feed, and only there."""
    monkeypatch.setattr(ledger_module, "WITHHELD_SECONDS", 3600)
    ledger = cast.ledger
    gateway = Gateway(ledger, cast.units, certificate=CERTIFICATE, epoch=await ledger.epoch())
    socket, go_on = Told(), asyncio.Event()
    listener = ledger.hub.join()

    async def wait_then_tell(change: Change) -> None:
        await go_on.wait()
        await change.tell(news("b"))

    changing, waiting = while_more_waits(cast, telling("a"), wait_then_tell)
    await changing
    sending = asyncio.create_task(gateway._send_feed(socket, listener, None))  # type: ignore[arg-type]
    await asyncio.wait_for(socket.caught_up.wait(), 20)
    assert news("a") in socket.news and news("b") not in socket.news
    go_on.set()
    await asyncio.gather(*waiting)
    await socket.until(news("b"))
    assert socket.positions == sorted(set(socket.positions))
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
