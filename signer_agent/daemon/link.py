"""The agent's end of the session: connects, proves itself, follows the feed, asks, publishes.

The TLS certificate is not trusted by any authority: its fingerprint goes into the hello, and the
coordinator's identity key, from the invitation and then the charter, signs both. After a lost
connection it tries again, at growing intervals; what was not acknowledged is sent again.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import structlog

from protocol.charter import Coordinator
from protocol.displayable import shown
from protocol.identifiers import Instant, Nonce
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.session.handshake import (
    AgentHello,
    Cursor,
    Enrolment,
    SignedCoordinatorHello,
    Welcome,
    prove,
)
from protocol.session.messages import (
    MAX_MESSAGE_BYTES,
    CaughtUp,
    CoordinatorMessage,
    Done,
    Feed,
    Publish,
    Refused,
)
from protocol.violations import Violation
from quorate.crash_points import crash_point
from quorate.unavailable import Unavailable
from signer_agent.directory import AgentSettings
from signer_agent.kept import Kept, Sent
from signer_agent.keys.identity_file import AgentIdentity
from signer_agent.steps import SENT

PATH = "/v1/agent"
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
ANSWER_SECONDS = 30.0
HANDSHAKE_SECONDS = 10.0
_log = structlog.get_logger("agent.link")

Answer = Any


class Link:
    """The session with the coordinator, whenever there is one.

    `since` is when the connection came or went; `why` what ended the last one. `ahead` is how far
    the coordinator's clock was ahead at its hello, in milliseconds.
    """

    def __init__(
        self,
        settings: AgentSettings,
        identity: AgentIdentity,
        kept: Kept,
        *,
        token: Callable[[], bytes | None],
        enrolled: Callable[[], None],
        now: Callable[[], Instant],
        entropy: Callable[[int], bytes],
        on_news: Callable[[Feed], Awaitable[None]],
        on_caught_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings, self._identity, self._kept = settings, identity, kept
        self._token, self._enrolled = token, enrolled
        self._now, self._entropy = now, entropy
        self._on_news, self._on_caught_up = on_news, on_caught_up
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._ref = 0
        self._epoch = b""
        self.since = now()
        self.why = "it has just begun"
        self.ahead = 0

    @property
    def connected(self) -> bool:
        """Whether a session stands."""
        return self._socket is not None and not self._socket.closed

    async def run(self) -> None:
        """Keeps a session up, until cancelled."""
        pause = FIRST_PAUSE
        async with aiohttp.ClientSession() as http:
            while True:
                try:
                    await self._one_session(http)
                    pause = FIRST_PAUSE
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    self._gone(f"{type(error).__name__}: {error}")
                except Violation as violation:
                    self._gone(str(violation))
                    _log.error("session ended", why=str(violation))
                jitter = 0.5 + self._entropy(1)[0] / 256
                await asyncio.sleep(pause * jitter)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def ask(self, make: Callable[[int], Struct]) -> Answer:
        """Sends a message with a ref of its own and waits for the answer; Unavailable if none."""
        socket = self._socket
        if socket is None or socket.closed:
            raise Unavailable(f"{self._coordinator().url} is out of reach: {self.why}")
        self._ref += 1
        ref = self._ref
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[ref] = future
        try:
            await socket.send_bytes(to_bytes(make(ref)))
            async with asyncio.timeout(ANSWER_SECONDS):
                return await future
        except (ConnectionError, TimeoutError, aiohttp.ClientError):
            raise Unavailable(f"{self._coordinator().url} doesn't answer") from None
        finally:
            self._answers.pop(ref, None)

    async def send(self, sent: Sent) -> Done | Refused:
        """Sends what is kept in the outbox; it stays there until acknowledged."""
        answer: Done | Refused = await self.ask(
            lambda ref: Publish(ref=ref, publication=sent.publication)
        )
        crash_point(SENT)
        match answer:
            case Done():
                self._kept.acknowledged(sent.number)
            case Refused():
                self._kept.forget_sent(sent.number)
        return answer

    def _coordinator(self) -> Coordinator:
        """Whom the accepted charter names; before there is one, whom the invitation did."""
        trusted = self._kept.book.trusted
        if trusted is not None:
            return trusted.newest.coordinator
        settings = self._settings
        return Coordinator(url=settings.url, identity=settings.coordinator, log=settings.log)

    async def _one_session(self, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(
            self._coordinator().url + PATH,
            ssl=_any_certificate(),
            max_msg_size=MAX_MESSAGE_BYTES,
            heartbeat=20.0,
            timeout=aiohttp.ClientWSTimeout(ws_close=5.0),
        ) as socket:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await self._handshake(socket)
            self._socket = socket
            self.since, self.why = self._now(), ""
            resending = asyncio.create_task(self._send_again())
            try:
                await self._listen(socket)
            finally:
                resending.cancel()
                await asyncio.gather(resending, return_exceptions=True)

    async def _handshake(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        token = self._token()
        enrolment = None
        if token is not None:
            enrolment = Enrolment(token=token, person=self._settings.person)
        witness = self._kept.witness
        hello = AgentHello(
            versions=(1,),
            agent=self._identity.key,
            coordinator=self._coordinator().identity,
            certificate=_fingerprint(socket),
            nonce=Nonce(self._entropy(32)),
            cursor=self._kept.cursor,
            checkpoint=None if witness is None else witness.note,
        )
        await socket.send_bytes(to_bytes(hello))
        answer = from_bytes(SignedCoordinatorHello, await _receive(socket))
        proof = prove(hello, answer, enrolment=enrolment, sign=self._identity.sign)
        self.ahead = answer.hello.time - self._now()
        await socket.send_bytes(to_bytes(proof))
        welcome = from_bytes(Welcome, await _receive(socket))
        if welcome.person != self._settings.person:
            raise Violation("the coordinator takes this agent for somebody else's")
        if token is not None:
            self._enrolled()
        self._epoch = answer.hello.epoch
        if self._kept.cursor is not None and self._kept.cursor.epoch != self._epoch:
            self._kept.lost()

    async def _send_again(self) -> None:
        for sent in [one for one in self._kept.sent.values() if not one.acknowledged]:
            try:
                answer = await self.send(sent)
            except Unavailable:
                return
            if isinstance(answer, Refused):
                _log.warning("refused when sent again", rule=answer.refusal.rule.value)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            received: CoordinatorMessage = from_bytes(
                CoordinatorMessage,  # type: ignore[arg-type]
                await _receive(socket),
            )
            match received:
                case Feed(position=position):
                    try:
                        await self._on_news(received)
                    except Violation as violation:
                        # Somebody else's bad news must not keep the good ones from us.
                        _log.error("news that can't be", why=str(violation))
                    self._kept.set_cursor(Cursor(epoch=self._epoch, position=position))
                case CaughtUp(position=position):
                    self._kept.set_cursor(Cursor(epoch=self._epoch, position=position))
                    await self._on_caught_up()
                case _:
                    future = self._answers.get(received.ref)
                    if future is not None and not future.done():
                        future.set_result(received)

    def _gone(self, why: str) -> None:
        self._socket = None
        self.since, self.why = self._now(), why
        for future in self._answers.values():
            if not future.done():
                future.set_exception(ConnectionResetError(why))


def _any_certificate() -> ssl.SSLContext:
    """TLS to whoever is there: who it is, the handshake of the session proves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _fingerprint(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    connection = socket.get_extra_info("ssl_object")
    certificate = None if connection is None else connection.getpeercert(binary_form=True)
    if certificate is None:
        raise Violation("a coordinator without a TLS certificate")
    return hashlib.sha256(certificate).digest()


async def _receive(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    message = await socket.receive()
    if message.type is aiohttp.WSMsgType.BINARY:
        return bytes(message.data)
    if message.type is aiohttp.WSMsgType.CLOSE and message.extra:
        raise Violation(f"the coordinator closed the session: {shown(message.extra)}")
    if message.type in (
        aiohttp.WSMsgType.CLOSE,
        aiohttp.WSMsgType.CLOSING,
        aiohttp.WSMsgType.CLOSED,
        aiohttp.WSMsgType.ERROR,
    ):
        raise ConnectionResetError("the coordinator has gone")
    raise Violation("messages are binary")
