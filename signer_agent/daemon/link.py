"""The agent's end of the session: connects, proves itself, follows the feed, asks, publishes.

The TLS certificate is not trusted by any authority: its fingerprint goes into the hello, and the
coordinator's identity key, from the invitation and then the charter, signs both. After a lost
connection it tries again, at growing intervals; what was not acknowledged is sent again.
"""

import asyncio
import contextlib
import hashlib
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import structlog

from protocol.charter import Coordinator
from protocol.displayable import shown
from protocol.identifiers import Duration, Instant, Nonce
from protocol.schema import Struct
from protocol.session.handshake import Enrolment
from protocol.session.messages import (
    CANT_STORE,
    MAX_MESSAGE_BYTES,
    Done,
    Feed,
    Publish,
    Refused,
    close_reason,
)
from protocol.violations import Violation
from quorate import https
from quorate.crash_points import crash_point
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable
from signer_agent.directory import AgentSettings
from signer_agent.kept import Kept, Sent
from signer_agent.keys.identity_file import AgentIdentity
from signer_agent.session import (
    AgentSession,
    AllHeard,
    Answered,
    Heard,
    Self,
    Send,
    Standing,
)
from signer_agent.steps import ACKNOWLEDGED, CURSOR_KEPT, ENROLLED, SENT

PATH = "/v1/agent"
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
ANSWER_SECONDS = 30.0
TRY_SECONDS = 5.0
"""How long somebody who asks waits for a try to connect that is made for them."""
HANDSHAKE_SECONDS = 10.0
_log = structlog.get_logger("agent.link")


class Link:
    """The session with the coordinator, whenever there is one.

    `since` is when the connection came or went; `why` what ended the last one. `steady` is a clock
    that nobody sets: by it a step of this machine's clock is noticed while the session stands.
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
        steady: Callable[[], Duration],
        entropy: Callable[[int], bytes],
        on_news: Callable[[Feed], Awaitable[None]],
        on_caught_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings, self._identity, self._kept = settings, identity, kept
        self._token, self._enrolled = token, enrolled
        self._now, self._steady, self._entropy = now, steady, entropy
        self._on_news, self._on_caught_up = on_news, on_caught_up
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._session: AgentSession | None = None
        self._invited = False
        self._resending: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._pause = FIRST_PAUSE
        self._wanted = asyncio.Event()
        self._tried = asyncio.Event()
        self.since = now()
        self.why = "it has just begun"
        self._hello: tuple[Instant, Duration] | None = None

    @property
    def ahead(self) -> int:
        """How far the coordinator's clock is ahead of this machine's, in milliseconds.

        Its clock is as it was at the last hello, and has gone on since; 0 before the first.
        """
        if self._hello is None:
            return 0
        theirs, then = self._hello
        return theirs + self._steady() - then - self._now()

    @property
    def connected(self) -> bool:
        """Whether a session stands."""
        standing = self._session is not None and self._session.stands
        return standing and self._socket is not None and not self._socket.closed

    async def run(self) -> None:
        """Keeps a session up, until cancelled."""
        async with aiohttp.ClientSession(connector=https.connector(_any_certificate())) as http:
            while True:
                try:
                    await self._one_session(http)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    self._gone(_in_words(error))
                except Violation as violation:
                    self._gone(str(violation))
                    _log.error("session ended", why=str(violation))
                except Trouble as trouble:
                    # The disk here or there is full: nothing was lost, and it may have room again.
                    self._gone(trouble.what, trouble)
                    _log.error("session ended", why=trouble.what)
                jitter = 0.5 + self._entropy(1)[0] / 256
                try:
                    async with asyncio.timeout(self._pause * jitter):
                        await self._wanted.wait()
                except TimeoutError:
                    pass
                self._wanted.clear()
                self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def ask(self, make: Callable[[int], Struct], *kinds: type[Struct]) -> Any:
        """Sends a message with a ref of its own and waits for the answer; Unavailable if none.

        Violation where the answer is of none of these kinds.
        """
        await self._try_now()
        session, socket = self._session, self._socket
        if session is None or socket is None or not self.connected:
            raise Unavailable(f"{self.coordinator.url} is out of reach: {self.why}")
        ref, question = session.ask(make)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[ref] = future
        try:
            await socket.send_bytes(question)
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await future
        except (ConnectionError, TimeoutError, aiohttp.ClientError) as error:
            why = f": {error}" if str(error) else ""
            raise Unavailable(f"{self.coordinator.url} doesn't answer{why}") from None
        finally:
            self._answers.pop(ref, None)
        if not isinstance(answer, kinds):
            raise Violation("an answer to another question")
        return answer

    async def hang_up(self) -> None:
        """Ends the session, if there is one; the next is with whom the charter names by then."""
        socket, self._pause = self._socket, FIRST_PAUSE
        # From now on nothing is asked of who was there.
        self._gone("another coordinator is tried")
        self._wanted.set()
        if socket is not None:
            await socket.close()

    async def _try_now(self) -> None:
        """Where there is no session, one more try: people don't wait for the end of a pause."""
        if self.connected:
            return
        self._tried.clear()
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TRY_SECONDS):
                await self._tried.wait()

    async def send(self, sent: Sent) -> Done | Refused:
        """Sends what is kept in the outbox; it stays there until acknowledged."""
        answer: Done | Refused = await self.ask(
            lambda ref: Publish(ref=ref, publication=sent.publication), Done, Refused
        )
        crash_point(SENT)
        try:
            match answer:
                case Done(request=number):
                    self._kept.acknowledged(sent, number)
                case Refused():
                    self._kept.forget_sent(sent.number)
        except Trouble as trouble:
            # The coordinator has answered all the same; here it is only sent once more.
            _log.warning("an answer wasn't noted", why=trouble.what)
        crash_point(ACKNOWLEDGED)
        return answer

    @property
    def coordinator(self) -> Coordinator:
        """Whom the accepted charter names; before there is one, whom the invitation did."""
        trusted = self._kept.book.trusted
        if trusted is not None:
            return trusted.newest.coordinator
        settings = self._settings
        return Coordinator(url=settings.url, identity=settings.coordinator, log=settings.log)

    async def _one_session(self, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(
            self.coordinator.url + PATH,
            max_msg_size=MAX_MESSAGE_BYTES,
            heartbeat=20.0,
            timeout=aiohttp.ClientWSTimeout(ws_close=5.0),
        ) as socket:
            try:
                await self._converse(socket)
            except Violation as violation:
                # The other side is told why before the connection goes.
                reason = close_reason(str(violation))
                await socket.close(code=aiohttp.WSCloseCode.POLICY_VIOLATION, message=reason)
                raise

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """The session on one connection, to its end."""
        session = self._new_session(_fingerprint(socket))
        self._session, self._socket = session, socket
        await socket.send_bytes(session.hello())
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            while not session.stands:
                await self._take(socket, session)
        self.since, self.why = self._now(), ""
        self._tried.set()
        try:
            while True:
                await self._take(socket, session)
        except ConnectionError:
            self._pause = FIRST_PAUSE
            raise
        finally:
            if self._resending is not None:
                self._resending.cancel()
                await asyncio.gather(self._resending, return_exceptions=True)
                self._resending = None

    def _new_session(self, certificate: bytes) -> AgentSession:
        token = self._token()
        enrolment = None
        if token is not None:
            enrolment = Enrolment(token=token, person=self._settings.person)
        self._invited = enrolment is not None
        witness = self._kept.witness
        return AgentSession(
            Self(self._settings.person, self._identity.key, self._identity.sign),
            self.coordinator.identity,
            certificate=certificate,
            cursor=self._kept.cursor,
            checkpoint=None if witness is None else witness.note,
            enrolment=enrolment,
            nonce=Nonce(self._entropy(32)),
        )

    async def _take(self, socket: aiohttp.ClientWebSocketResponse, session: AgentSession) -> None:
        """Acts on the next message."""
        for event in session.receive(await _receive(socket)):
            if session is not self._session:
                raise ConnectionResetError("hung up")
            match event:
                case Send(data=data):
                    await socket.send_bytes(data)
                case Standing(other_store=other_store, coordinator_time=time):
                    self._hello = time, self._steady()
                    if self._invited:
                        crash_point(ENROLLED)
                        self._enrolled()
                    if other_store:
                        self._kept.lost()
                case Heard(feed=feed, cursor=cursor):
                    try:
                        await self._on_news(feed)
                    except Violation as violation:
                        # Somebody else's bad news must not keep the good ones from us.
                        _log.error("news that can't be", why=str(violation))
                    self._kept.set_cursor(cursor)
                    crash_point(CURSOR_KEPT)
                case AllHeard(cursor=cursor):
                    self._kept.set_cursor(cursor)
                    await self._on_caught_up()
                    if self._resending is None:
                        # What has ended since is known now, and isn't sent again.
                        self._resending = asyncio.create_task(self._send_again())
                case Answered(ref=ref, answer=answer):
                    future = self._answers.get(ref)
                    if future is not None and not future.done():
                        future.set_result(answer)

    async def _send_again(self) -> None:
        for sent in [one for one in self._kept.sent.values() if not one.acknowledged]:
            try:
                answer = await self.send(sent)
            except (Unavailable, Trouble):
                return  # the session has ended; the next one sends it
            if isinstance(answer, Refused):
                _log.warning("refused when sent again", rule=answer.refusal.rule.value)

    def _gone(self, why: str, error: Exception | None = None) -> None:
        self._socket = self._session = None
        self.since, self.why = self._now(), why
        self._tried.set()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(error or ConnectionResetError(why))


def _in_words(error: Exception) -> str:
    """Why there is no connection, for people; the libraries' words name their own objects."""
    match error:
        case aiohttp.ClientConnectorError(os_error=cause):
            number = cause.errno or 0
            return os.strerror(number) if number > 0 else cause.strerror or str(cause)
        case TimeoutError():
            return "it took too long"
        case _:
            return str(error) or type(error).__name__


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
    if message.type is aiohttp.WSMsgType.CLOSE and message.data == CANT_STORE:
        raise Trouble(
            Exit.STORAGE,
            f"the coordinator says: {shown(message.extra or '')}",
            next="its people make room; what your agent keeps it sends again by itself",
        )
    if message.type is aiohttp.WSMsgType.CLOSE and message.data == aiohttp.WSCloseCode.GOING_AWAY:
        raise ConnectionResetError("the coordinator has stopped")
    if message.type is aiohttp.WSMsgType.CLOSE and message.extra:
        raise Violation(f"the coordinator closed the session: {shown(message.extra)}")
    if message.type in (
        aiohttp.WSMsgType.CLOSE,
        aiohttp.WSMsgType.CLOSING,
        aiohttp.WSMsgType.CLOSED,
    ):
        raise ConnectionResetError("the coordinator has gone")
    if message.type is aiohttp.WSMsgType.ERROR:
        if isinstance(message.data, aiohttp.WebSocketError):
            raise Violation(f"not a message: {message.data}")
        raise ConnectionResetError("the coordinator has gone")
    raise Violation("messages are binary")
