"""Pushes what changes, as server-sent events (WHATWG HTML, 9.2), to those who watch.

    event: request      data: the request as it is now
    event: instance     something else has changed: charter, agents, keys or parts
    event: now          sent first, and again when all that was missed has been told

An event's id is the store's epoch and a position in the feed. Who comes back with the last one as
`Last-Event-ID` is told of everything that has changed since, each subject once; with one of another
epoch, or of a position that the store hasn't reached, of everything there is.
"""

import asyncio
import re
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from coordinator.accounts.logins import authenticate
from coordinator.api.answers import HEADERS
from coordinator.api.request_calls import view
from coordinator.engine.hub import Listener
from coordinator.engine.ledger import EPOCH
from coordinator.store import feed, singles
from coordinator.store.feed import Item
from protocol.schema import from_bytes
from protocol.session.messages import Feed, RequestNews
from quorate.unavailable import Unavailable

if TYPE_CHECKING:
    from coordinator.api.dispatch import Api
    from coordinator.api.routes import Call
    from coordinator.store.connection import Connection

MAX_WATCHERS = 200
BEAT_SECONDS = 15.0
"""How often a sign of life is sent, and looked whether the token is still good."""
SEND_SECONDS = 30.0
_ID = re.compile(r"([0-9a-f]{32})-([0-9]{1,16})")


async def stream(api: "Api", call: "Call") -> web.StreamResponse:
    """Serves one watcher until either side goes, or the token isn't good any more."""
    if len(api.watchers) >= MAX_WATCHERS:
        raise Unavailable("too many watch already")
    response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
    listener = api.ledger.hub.join()
    task = asyncio.current_task()
    if task is None:
        raise AssertionError("a handler runs in a task")
    api.watchers.add(task)
    try:
        await response.prepare(call.request)
        await _watch(api, call, response, listener)
        await response.write_eof()
    except (ConnectionError, TimeoutError):
        pass
    finally:
        api.watchers.discard(task)
        api.ledger.hub.leave(listener)
    return response


async def _watch(
    api: "Api", call: "Call", response: web.StreamResponse, listener: Listener
) -> None:
    position = await _begin(api, call, response)
    while True:
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                items = await listener.take()
        except TimeoutError:
            items = []
        if not await _still_good(api, call):
            return
        if not items:
            await _write(response, ": still here\n\n")
        for item in items:
            if item.position > position:
                position = item.position
                await _tell(api, response, item)


async def _begin(api: "Api", call: "Call", response: web.StreamResponse) -> int:
    """Tells what was missed; gives the position from which on news are told."""
    resumed = _ID.fullmatch(call.request.headers.get("Last-Event-ID", ""))

    async def read(connection: "Connection") -> tuple[str, int, list[Item]]:
        epoch = await _epoch(connection)
        end = await feed.end(connection, api.ledger.instance)
        if resumed is None:
            return epoch, end, []
        known = resumed[1] == epoch and int(resumed[2]) <= end
        since = int(resumed[2]) if known else 0
        return epoch, end, list(await feed.since(connection, api.ledger.instance, since))

    epoch, end, missed = await api.ledger.database.read(read)
    for item in missed:
        await _tell(api, response, item)
    await _write(response, f"id: {epoch}-{end}\nevent: now\ndata: {{}}\n\n")
    return end


async def _tell(api: "Api", response: web.StreamResponse, item: Item) -> None:
    news = from_bytes(Feed, item.message).news

    async def read(connection: "Connection") -> tuple[str, str, bytes]:
        epoch = await _epoch(connection)
        if not isinstance(news, RequestNews):
            return epoch, "instance", b"{}"
        shown = await view(connection, news.request, await api.facts(connection))
        return epoch, "request", msgspec.json.encode(shown)

    epoch, name, data = await api.ledger.database.read(read)
    event_id = f"{epoch}-{item.position}"
    await _write(response, f"id: {event_id}\nevent: {name}\ndata: {data.decode()}\n\n")


async def _epoch(connection: "Connection") -> str:
    return (await singles.get(connection, EPOCH) or b"").hex()


async def _still_good(api: "Api", call: "Call") -> bool:
    async def read(connection: "Connection") -> bool:
        return await authenticate(connection, call.secret, api.ledger.now()) is not None

    return await api.ledger.database.read(read)


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await response.write(text.encode())
