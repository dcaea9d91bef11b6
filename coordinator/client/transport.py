"""Calls over HTTPS to a coordinator whose certificate is known, and the stream of its events."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from coordinator.wire.errors import Error
from coordinator.wire.requests import RequestView
from coordinator.wire.values import Json
from protocol.refusals import FACTS, Rule
from protocol.secrets import Secret
from protocol.violations import Violation
from quorate import https, tls
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable

T = TypeVar("T")
MAX_ANSWER_BYTES = 64 * 1024 * 1024
PAUSES = (1.0, 2.0)
"""Seconds between tries to connect."""
SILENCE_SECONDS = 60.0
"""A stream of events that says nothing for so long is dead."""
_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)


@dataclass(frozen=True)
class Event:
    """Something that was pushed. `id` is what to go on from."""

    id: str
    name: str
    data: bytes

    def request(self) -> RequestView | None:
        """The request that has changed, if it is about one."""
        if self.name != "request":
            return None
        return parsed(self.data, RequestView)


class Transport:
    """The way to the coordinator at `url`, which shows the `pinned` certificate.

    An asynchronous context manager.
    """

    def __init__(self, url: str, pinned: tls.Fingerprint, token: Secret | None) -> None:
        self._url = url.rstrip("/")
        self._context = tls.client_context(pinned)
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self, path: str, answer: type[T], query: dict[str, str] | None = None) -> T:
        return await self._call("GET", path, answer, query=query)

    async def _post(
        self, path: str, answer: type[T], body: Json | dict[str, Any] | None = None
    ) -> T:
        return await self._call("POST", path, answer, body=body)

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: dict[str, str] | None = None,
        body: Json | dict[str, Any] | None = None,
    ) -> T:
        data = None if body is None else msgspec.json.encode(body)
        try:
            response = await self._reach(method, path, data, query or {}, {}, _TIMEOUT)
            async with response:
                if response.status != 200:
                    await _refused(response)
                return parsed(await _bounded(response), answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{self._host} closes the connection: {error}") from None

    async def _reach(
        self,
        method: str,
        path: str,
        data: bytes | None,
        query: dict[str, str],
        headers: dict[str, str],
        patience: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Sends a call; where nobody can be connected to, it is tried again."""
        if data is not None:
            headers = {**headers, "Content-Type": "application/json"}
        if self._token is not None:
            headers = {**headers, "Authorization": f"Bearer {self._token.reveal().decode()}"}
        for pause in (*PAUSES, None):
            try:
                return await self._open().request(
                    method,
                    self._url + path,
                    data=data,
                    params=query,
                    headers=headers,
                    timeout=patience,
                    allow_redirects=False,
                )
            except aiohttp.ClientConnectorCertificateError as error:
                raise _another_certificate(self._host, error) from None
            except aiohttp.ClientConnectorError as error:
                if pause is None:
                    number = error.os_error.errno
                    why = os.strerror(number) if number else str(error.os_error)
                    raise Unavailable(
                        f"{self._host} can't be reached ({len(PAUSES) + 1} tries in "
                        f"{sum(PAUSES):.0f} s): {why}"
                    ) from None
                await asyncio.sleep(pause)
        raise AssertionError("the last try answers or raises")

    @property
    def _host(self) -> str:
        return self._url.removeprefix("https://")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=https.connector(self._context),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def events(self, since: str | None = None) -> AsyncGenerator[Event, None]:
        """What changes, from now on or since an event's id. Goes on after a lost connection.

        Unavailable when the coordinator stays away.
        """
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                async for event in self._stream(since):
                    since = event.id
                    yield event
            await asyncio.sleep(PAUSES[0])

    async def _stream(self, since: str | None) -> AsyncIterator[Event]:
        headers = {} if since is None else {"Last-Event-ID": since}
        patience = aiohttp.ClientTimeout(total=None, connect=10, sock_read=SILENCE_SECONDS)
        response = await self._reach("GET", "/v1/events", None, {}, headers, patience)
        async with response:
            if response.status != 200:
                await _refused(response)
            fields: dict[str, str] = {}
            async for raw in response.content:
                line = raw.decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if "data" in fields:
                    yield Event(
                        id=fields.get("id", ""),
                        name=fields.get("event", "message"),
                        data=fields["data"].encode(),
                    )
                fields = {}


async def _refused(response: aiohttp.ClientResponse) -> None:
    error = parsed(await _bounded(response), Error)
    exit_code = next((one for one in Exit if one == error.code), None)
    if exit_code is None:
        raise Violation(f"the coordinator answers with an exit code that isn't one: {error.code}")
    facts = next((FACTS[rule] for rule in Rule if rule.value == error.rule), None)
    raise Trouble(
        exit_code,
        error.message,
        expected=error.expected,
        found=error.found,
        rule=error.rule,
        returns=None if facts is None else facts.returns,
        reason=None if facts is None else facts.reason,
        next=error.next,
    )


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise Violation("the coordinator sends an answer without end")
    return bytes(data)


def parsed(data: bytes, kind: type[T]) -> T:
    """An answer's JSON as what it has to be; Violation where it isn't."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Violation(f"the coordinator's answer isn't a {kind.__name__}") from None


def _another_certificate(host: str, error: aiohttp.ClientConnectorCertificateError) -> Trouble:
    return Trouble(
        Exit.ALARM,
        f"{host} shows another certificate than the one that you know; nothing was sent",
        found=str(error.certificate_error),
        next="did its people renew it? Then compare the key again: quorate login",
    )
