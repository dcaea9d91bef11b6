"""A hundred agents in one process, as lean as they can be: what is measured is the other side.

A `Line` is one WebSocket (RFC 6455) over TLS on a bare asyncio transport; it hands whole messages
on as bytes. A `FleetAgent` speaks the session on it, and looks into no news but what it is told
to count.
"""

import asyncio
import hashlib
import itertools
import os
import ssl
from collections.abc import Callable
from typing import Any

import msgspec

from protocol.identifiers import IdentityKey, Nonce
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.session.handshake import (
    AgentHello,
    Enrolment,
    SignedCoordinatorHello,
    Welcome,
    prove,
)
from protocol.session.messages import CoordinatorMessage, Done, Publication, Publish
from tests.cast.commands import nonce
from tests.cast.people import Custodian

FEED = b"\x83\xa4kind\xa4feed"
"""How the bytes of every piece of news begin: a map of three, whose `kind` is `feed`."""

FEED_PAGE = b"\x82\xa5feeds"
"""How those of several at once begin."""

_BINARY, _CLOSE, _PING, _PONG = 0x2, 0x8, 0x9, 0xA
_FINAL = 0x80


def trusting() -> ssl.SSLContext:
    """Takes any certificate: the session proves who the other side is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Line(asyncio.Protocol):
    """A WebSocket's client. `on_message` gets each message's bytes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._buffer = bytearray()
        self._open = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self.on_message: Callable[[bytes], None] = lambda _: None

    @classmethod
    async def to(cls, address: str, path: str, context: ssl.SSLContext) -> "Line":
        """Connects to HOST:PORT and upgrades."""
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: cls(path), host, int(port), ssl=context)
        await line._open
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the upgrade (RFC 6455, section 4.1)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Takes whole frames out of what has come."""
        self._buffer += data
        if not self._open.done():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert self._buffer.startswith(b"HTTP/1.1 101 ")
            del self._buffer[: end + 4]
            self._open.set_result(None)
        at, size = 0, len(self._buffer)
        while size - at >= 2:
            length, start = self._buffer[at + 1], at + 2
            if length == 126:
                start, length = at + 4, int.from_bytes(self._buffer[at + 2 : at + 4])
            elif length == 127:
                start, length = at + 10, int.from_bytes(self._buffer[at + 2 : at + 10])
            if size < start + length:
                break
            self._frame(self._buffer[at] & 0xF, bytes(self._buffer[start : start + length]))
            at = start + length
        del self._buffer[:at]

    def send(self, message: bytes) -> None:
        """One message. The mask is zero (section 5.3 wants a random one), which costs no time."""
        self._send(_BINARY, message)

    def close(self) -> None:
        """Goes without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == _BINARY:
            self.on_message(payload)
        elif kind == _PING:
            self._send(_PONG, payload)
        elif kind == _CLOSE:
            raise ConnectionResetError(payload[2:].decode(errors="replace"))

    def _send(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            header = bytes((_FINAL | kind, 0x80 | size))
        elif size < 1 << 16:
            header = bytes((_FINAL | kind, 0x80 | 126)) + size.to_bytes(2)
        else:
            header = bytes((_FINAL | kind, 0x80 | 127)) + size.to_bytes(8)
        assert self._transport is not None
        self._transport.write(header + bytes(4) + payload)


class FleetAgent:
    """An agent's session: publishes, and counts the news that `counts` says Yes to."""

    def __init__(self, who: Custodian, coordinator: IdentityKey, certificate: bytes) -> None:
        self.who = who
        self._coordinator = coordinator
        self._certificate = hashlib.sha256(certificate).digest()
        self._line: Line | None = None
        self._refs = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._expected: asyncio.Queue[bytes] | None = asyncio.Queue()
        self.on_news: Callable[[bytes], None] = lambda _: None

    async def connect(self, address: str, token: Nonce, context: ssl.SSLContext) -> None:
        """Enrols with an invitation's token."""
        line = self._line = await Line.to(address, "/v1/agent", context)
        expected = self._expected = asyncio.Queue()
        line.on_message = expected.put_nowait
        hello = AgentHello(
            versions=(1,),
            agent=self.who.agent,
            coordinator=self._coordinator,
            certificate=self._certificate,
            nonce=nonce(f"hello of {self.who.name}"),
            cursor=None,
            checkpoint=None,
        )
        line.send(to_bytes(hello))
        answer = from_bytes(SignedCoordinatorHello, await expected.get())
        enrolment = Enrolment(token=token, person=self.who.name)
        line.send(to_bytes(prove(hello, answer, enrolment=enrolment, sign=self.who.identity.sign)))
        from_bytes(Welcome, await expected.get())
        line.on_message = self._received
        while not expected.empty():
            self._received(expected.get_nowait())

    def close(self) -> None:
        """Leaves."""
        if self._line is not None:
            self._line.close()

    def prepared(self, publication: Publication) -> "Prepared":
        """A publication with its ref, as bytes that only have to be sent."""
        ref = next(self._refs)
        return Prepared(self, ref, to_bytes(Publish(ref=ref, publication=publication)))

    async def publish(self, publication: Publication) -> Done:
        """Publishes, and waits until it is durable."""
        return await self.prepared(publication).sent()

    def send(self, ref: int, message: bytes) -> "asyncio.Future[Any]":
        """Sends a prepared publication; its answer comes into the future."""
        assert self._line is not None
        answer = asyncio.get_running_loop().create_future()
        self._answers[ref] = answer
        self._line.send(message)
        return answer

    def _received(self, message: bytes) -> None:
        if message.startswith(FEED):
            self.on_news(message)
            return
        if message.startswith(FEED_PAGE):
            for feed in msgspec.msgpack.decode(message)["feeds"]:
                self.on_news(feed)
            return
        answer: Struct = from_bytes(CoordinatorMessage, message)  # type: ignore[arg-type]
        waiting = self._answers.pop(getattr(answer, "ref", -1), None)
        if waiting is not None:
            waiting.set_result(answer)


class Prepared:
    """A publication that is ready to be sent."""

    def __init__(self, agent: FleetAgent, ref: int, message: bytes) -> None:
        self._agent, self._ref, self._message = agent, ref, message

    async def sent(self) -> Done:
        """Sends it and waits until it is durable; AssertionError when it is refused."""
        answer = await self._agent.send(self._ref, self._message)
        assert isinstance(answer, Done), answer
        return answer


def more_files(limit: int = 4096) -> None:
    """A hundred connections need more open files than some shells allow."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, hard), hard))


def tokens(count: int) -> list[Nonce]:
    """Tokens for as many invitations."""
    return [Nonce(os.urandom(32)) for _ in range(count)]
