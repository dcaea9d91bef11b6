"""The evil coordinator: real bytes over TLS, all keys of a coordinator in the attacker's hands.

Unbent it is honest, and that is the control of every attack. A test bends what it says: the hello,
the answers to questions, what it makes of publications, and the news that it tells.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import WSMsgType, web

from protocol.identifiers import Instant
from protocol.report.evidence import LogItem
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.session.handshake import (
    AgentHello,
    AgentProof,
    SignedCoordinatorHello,
    Welcome,
    answer_hello,
    check_proof,
)
from protocol.session.messages import (
    LOG_PAGE,
    AgentMessage,
    Approve,
    CaughtUp,
    Contribute,
    Done,
    Feed,
    LogPage,
    News,
    Publication,
    Publish,
    Refused,
    WantConsistency,
    WantHistory,
    WantLog,
    WantStates,
)
from quorate import serving, tls
from signer_agent.trust.evidence import AskConsistency, AskHistory, AskStates, Question, Reply
from tests.cast.commands import nonce
from tests.cast.keys import noise, signature_key
from tests.cores.desk_world import World

T = TypeVar("T")
PATIENCE = 20.0
"""Seconds until a test gives up waiting for something that should happen at once."""


@dataclass(frozen=True)
class Certificate:
    """A TLS certificate with its key, as files."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, directory: Path, name: str, *, at: Instant) -> "Certificate":
        """A new one in `directory`."""
        made = cls(certificate=directory / f"{name}.pem", key=directory / f"{name}.key")
        tls.write_certificate(made.certificate, made.key, ["127.0.0.1"], at=at)
        return made

    @property
    def der(self) -> bytes:
        """The certificate's DER bytes."""
        return ssl.PEM_cert_to_DER_cert(self.certificate.read_text())

    @property
    def fingerprint(self) -> tls.Fingerprint:
        """SHA-256 of the certificate's DER bytes."""
        return tls.fingerprint(self.certificate.read_text())


class EvilCoordinator:
    """Serves one world. Every attribute may be bent by a test; untouched, each is honest.

    `answer` answers a question, None to hide the answer; `take` answers a publication; `hello`
    makes the signed hello; `log` opens the log; `news` is what every session is told from its
    beginning.
    """

    def __init__(self, world: World, certificate: Certificate) -> None:
        self.world = world
        self.certificate = certificate
        self.address = ""
        self.identity = signature_key("coordinator")
        self.epoch = noise("epoch of the store", 16)
        self.ahead = 0
        self.answer: Callable[[Question], Reply | None] = world.answer
        self.take: Callable[[Publication], Done | Refused | Struct] = lambda _: Done(
            ref=0, request=None
        )
        self.hello: Callable[[AgentHello], Struct] = self.honest_hello
        self.log: Callable[[], Sequence[LogItem]] = lambda: self.world.log.items
        self.meanwhile: Callable[[Question], Awaitable[None]] | None = None
        """What it does between a question and its answer."""
        self.silent = False
        """Whether it answers no hello."""
        self.news: list[News] = []
        self.taken: list[Publication] = []
        self.hellos: list[AgentHello] = []
        self.proofs: list[AgentProof] = []
        self.asked: list[Question] = []
        self.closed: list[tuple[int | None, str]] = []
        """How each session that ended was closed by the agent: code and reason."""
        self.sessions: list[web.WebSocketResponse] = []
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        """Where agents find it."""
        return f"https://{self.address}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["EvilCoordinator"]:
        """Serves until the end of the block."""
        application = web.Application()
        application.add_routes([web.get("/v1/agent", self._serve)])
        context = tls.server_context(self.certificate.certificate, self.certificate.key)
        async with serving.listening(application, "127.0.0.1", 0, context) as self.address:
            try:
                yield self
            finally:
                for socket in self.sessions:
                    await socket.close()

    # --- what the attacker does -------------------------------------------------------------------

    async def tell(self, *news: News) -> None:
        """News, to all who listen and all who will."""
        for one in news:
            self.news.append(one)
            await self.send(Feed(position=len(self.news), news=one))

    async def send(self, message: Struct | bytes | str) -> None:
        """Any message, or bytes or text that are none, to all who listen."""
        for socket in self.sessions:
            if isinstance(message, str):
                await socket.send_str(message)
            else:
                data = message if isinstance(message, bytes) else to_bytes(message)
                await socket.send_bytes(data)

    async def hang_up(self) -> None:
        """Ends all sessions."""
        for socket in list(self.sessions):
            await socket.close()

    async def until(self, found: Callable[[], T | None]) -> T:
        """Waits until something has come that makes `found` give a value."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: found() is not None)
        value = found()
        assert value is not None
        return value

    # --- what it got ------------------------------------------------------------------------------

    @property
    def given(self) -> list[Publication]:
        """The signatures and key parts among all that was published."""
        return [one for one in self.taken if isinstance(one, Approve | Contribute)]

    # --- the honest way ---------------------------------------------------------------------------

    def honest_hello(self, hello: AgentHello) -> SignedCoordinatorHello:
        """What a coordinator answers that holds the identity key which agents trust."""
        return answer_hello(
            hello,
            self.identity.identity,
            self.certificate.fingerprint,
            nonce=nonce(f"coordinator's hello {len(self.hellos)}"),
            now=Instant(self.world.now + self.ahead),
            epoch=self.epoch,
            sign=self.identity.sign,
        )

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0, compress=False)
        await socket.prepare(request)
        try:
            await self._handshake(socket)
            self.sessions.append(socket)
            await self._say(
                socket,
                *(Feed(position=n, news=one) for n, one in enumerate(self.news, start=1)),
                CaughtUp(position=len(self.news), now=self.world.now),
            )
            await self._noticed()
            await self._talk(socket)
        except _Ended as ended:
            self.closed.append((ended.code, ended.reason))
        finally:
            if socket in self.sessions:
                self.sessions.remove(socket)
            await self._noticed()
        return socket

    async def _handshake(self, socket: web.WebSocketResponse) -> None:
        hello = from_bytes(AgentHello, await _receive(socket))
        self.hellos.append(hello)
        await self._noticed()
        if self.silent:
            await _receive(socket)
        answer = self.hello(hello)
        await self._say(socket, answer)
        proof = from_bytes(AgentProof, await _receive(socket))
        if isinstance(answer, SignedCoordinatorHello):
            check_proof(hello, answer, proof)
        self.proofs.append(proof)
        person = next(one.name for one in self.world.people if one.agent == hello.agent)
        await self._say(socket, Welcome(person=person))

    async def _talk(self, socket: web.WebSocketResponse) -> None:
        while True:
            message: Any = from_bytes(AgentMessage, await _receive(socket))  # type: ignore[arg-type]
            answer: Struct | None
            if self.meanwhile is not None and not isinstance(message, Publish):
                await self.meanwhile(_question(message))
            match message:
                case Publish(ref=ref, publication=publication):
                    self.taken.append(publication)
                    answer = self.take(publication)
                case WantStates(ref=ref) | WantHistory(ref=ref) | WantConsistency(ref=ref):
                    answer = self._answer(_question(message))
                case WantLog(ref=ref, start=start):
                    items = self.log()[start : start + LOG_PAGE]
                    answer = LogPage(ref=ref, items=tuple(items))
                case _:
                    raise AssertionError(f"the tests here don't ask for {message}")
            if answer is not None:
                await self._say(socket, answer.but(ref=ref))
            await self._noticed()

    def _answer(self, question: Question) -> Reply | None:
        self.asked.append(question)
        return self.answer(question)

    async def _say(self, socket: web.WebSocketResponse, *messages: Struct) -> None:
        for message in messages:
            await socket.send_bytes(to_bytes(message))

    async def _noticed(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _question(message: Any) -> Question:
    match message:
        case WantStates(units=units, nonce=asked):
            return AskStates(units, asked)
        case WantHistory(unit=unit, after=after):
            return AskHistory(unit, after)
        case WantConsistency(size=size):
            return AskConsistency(size)
    raise AssertionError(f"the tests here don't ask for {message}")


class _Ended(Exception):
    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


async def _receive(socket: web.WebSocketResponse) -> bytes:
    message = await socket.receive()
    if message.type is WSMsgType.BINARY:
        return bytes(message.data)
    reason = message.extra if message.type is WSMsgType.CLOSE else ""
    raise _Ended(socket.close_code, str(reason or ""))
