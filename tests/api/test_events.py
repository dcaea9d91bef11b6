"""Pushed events: what changes is told once, and nothing is missed over a lost connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from coordinator.api import events as module
from protocol.commands.bodies import SetControlPoint
from protocol.request import RequestState
from protocol.session.messages import OfferKey
from tests.cast.http import Http
from tests.cast.people import ALICE, BOB

BTC = SetControlPoint(point=66, on=True)


@dataclass(frozen=True)
class Told:
    id: str
    name: str
    data: Any


class Stream:
    """One connection's events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> Told:
        """The next event; comments are passed over."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            while True:
                line = (await self.response.content.readline()).decode()
                assert line, "the stream has ended"
                if line == "\n" and fields:
                    return Told(fields["id"], fields["event"], json.loads(fields["data"]))
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    fields[name] = value

    async def until(self, number: int, state: RequestState) -> Told:
        """The event that tells that a request is in this state."""
        while True:
            told = await self.next()
            if told.name == "request" and told.data["id"] == number:
                if told.data["state"] == state:
                    return told
                assert not told.data["ended"], told.data["state"]

    async def ended(self) -> None:
        """Waits until the coordinator ends it."""
        async with asyncio.timeout(20):
            while await self.response.content.readline():
                pass


@asynccontextmanager
async def stream(http: Http, *, by: str = "ann", since: str | None = None) -> AsyncIterator[Stream]:
    headers = await http.headers(by)
    if since is not None:
        headers["Last-Event-ID"] = since
    async with http.session.get(f"{http.url}/v1/events", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        yield Stream(response)


async def test_every_step_of_a_request_is_pushed(http: Http):
    async with stream(http) as events:
        assert (await events.next()).name == "now"
        await http.cast.file(BTC)
        told = await events.until(1, RequestState.COLLECTING)
        assert told.data == await http.get("/v1/requests/1")
        await http.cast.sign(1, ALICE)
        await http.cast.sign(1, BOB)
        done = await events.until(1, RequestState.EXECUTED)
        assert [one["outcome"] for one in done.data["progress"]] == ["executed"] * 2


async def test_who_comes_anew_is_told_what_happens_from_now_on(http: Http):
    await http.cast.file(BTC)
    await http.cast.until(1, RequestState.COLLECTING)
    async with stream(http) as events:
        assert (await events.next()).name == "now"
        await http.cast.sign(1, ALICE)
        assert (await events.next()).data["have"] == 1


async def test_who_comes_back_has_missed_nothing(http: Http):
    async with stream(http) as events:
        seen = (await events.next()).id
    await http.cast.file(BTC)
    await http.cast.until(1, RequestState.COLLECTING)
    await http.cast.file(SetControlPoint(point=67, on=True))
    async with stream(http, since=seen) as events:
        missed = [await events.next(), await events.next()]
        assert sorted(told.data["id"] for told in missed) == [1, 2]
        now = await events.next()
        assert now.name == "now"
    async with stream(http, since=now.id) as events:
        assert (await events.next()).name == "now"


@pytest.mark.parametrize(
    "since", ["", "nonsense", "00" * 16 + "-1", "-1", "00" * 16 + "-99999999999999999999"]
)
async def test_an_id_of_another_store_means_everything_or_nothing(http: Http, since: str):
    await http.cast.file(BTC)
    await http.cast.until(1, RequestState.COLLECTING)
    async with stream(http, since=since) as events:
        first = await events.next()
    assert first.name == ("request" if since == "00" * 16 + "-1" else "now")


async def test_an_id_beyond_the_feeds_end_means_everything(http: Http):
    await http.cast.file(BTC)
    await http.cast.until(1, RequestState.COLLECTING)
    async with stream(http) as events:
        epoch = (await events.next()).id.partition("-")[0]
    async with stream(http, since=f"{epoch}-9999") as events:
        assert (await events.next()).data["id"] == 1


async def test_other_news_say_that_the_instance_has_changed(http: Http):
    async with stream(http) as events:
        await events.next()
        await http.cast.publish(ALICE, OfferKey(key=ALICE.proven()))
        told = await events.next()
    assert (told.name, told.data) == ("instance", {})


async def test_a_stream_ends_with_its_token(http: Http):
    async with stream(http, by="ann") as events:
        await events.next()
        (token,) = (await http.get("/v1/tokens", by="ann"))["tokens"]
        await http.call("DELETE", f"/v1/tokens/{token['id']}", by="max")
        await http.cast.file(BTC)
        await events.ended()


async def test_a_quiet_stream_shows_that_it_lives(http: Http, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.0)
    async with stream(http) as events:
        await events.next()
        async with asyncio.timeout(20):
            assert await events.response.content.readline() == b": still here\n"


async def test_those_who_watch_are_bounded(http: Http, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_WATCHERS", 1)
    async with stream(http) as events:
        await events.next()
        reply = await http.call("GET", "/v1/events", by="amy")
        assert (reply.status, reply.data["exit"]) == (503, "unreachable")


async def test_streams_end_with_the_coordinator(http: Http):
    async with stream(http) as events:
        await events.next()
        closing = asyncio.create_task(http.cast.api.close())
        with pytest.raises((aiohttp.ClientError, AssertionError)):
            await events.next()
        await closing
