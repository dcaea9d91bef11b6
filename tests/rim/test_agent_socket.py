"""The daemon's end of the local socket, as far as it doesn't need an agent: who watches."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from coordinator.workflow.filing import new_request
from protocol.commands.bodies import SetThresholds
from protocol.request import Request
from signer_agent.daemon.agent import Agent
from signer_agent.local import wire
from signer_agent.local.messages import Requests, WatchRequest
from signer_agent.local.server import _Handler
from tests.cast.charters import charter
from tests.cast.commands import NOON
from tests.cast.people import ALICE
from tests.cast.requests import filing
from tests.cast.units import CastUnit

SECONDS = 10


class News:
    """What a watch reads of an agent: its requests, and when they change."""

    def __init__(self) -> None:
        self.kept = SimpleNamespace(requests={})
        self.changed = asyncio.Condition()

    async def tell(self, request: Request) -> None:
        self.kept.requests[request.id] = SimpleNamespace(request=request)
        async with self.changed:
            self.changed.notify_all()


def handler(news: News) -> _Handler:
    return _Handler(cast(Agent, news))


def request(number: int) -> Request:
    unit = CastUnit()
    made = filing(charter([ALICE], [unit]), SetThresholds(signatures=2, revocations=2), [unit])
    return new_request(number, made, None, at=NOON)


async def test_a_change_while_the_last_one_is_sent_is_not_missed():
    news = News()
    told = handler(news)._requests()
    await news.tell(request(1))  # nobody waits for it at this moment
    async with asyncio.timeout(SECONDS):
        now = await handler(news)._other_than(told, None)
        assert [one.id for one in now] == [1]
        later = asyncio.create_task(handler(news)._other_than(now, None))
        await news.tell(request(2))
        assert [one.id for one in await later] == [1, 2]


async def test_a_watch_of_one_request_hears_of_no_other():
    news = News()
    await news.tell(request(1))
    only = await handler(news)._other_than(None, 2)
    assert only == ()


async def test_a_watch_ends_with_whoever_watches(tmp_path: Path):
    news, ended = News(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handler(news).serve(reader, writer)
        ended.set()

    server = await asyncio.start_unix_server(serve, path=tmp_path / "socket")
    async with server, asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
        await wire.send(writer, WatchRequest(number=None))
        assert await wire.receive(reader, Requests) == Requests(requests=())
        writer.close()
        await ended.wait()
