"""A bare agent: speaks the session and signs whatever it is told to. For tests of the coordinator,
which has to hold against agents that check nothing."""

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp

from protocol.charter import Charter
from protocol.commands.bodies import Body
from protocol.identifiers import Digest, Instant, Nonce, UnitId
from protocol.request import DEFAULT_VALIDITY, Filing, Request, RequestState
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.sealing.importer import ImporterKey
from protocol.session.handshake import (
    AgentHello,
    Cursor,
    Enrolment,
    SignedCoordinatorHello,
    Welcome,
    prove,
)
from protocol.session.invitation import Invitation
from protocol.session.messages import (
    Accept,
    Approve,
    CaughtUp,
    CharterNews,
    Contribute,
    CoordinatorMessage,
    Done,
    Feed,
    FeedPage,
    FileRequest,
    News,
    Publication,
    Publish,
    Refused,
    RequestNews,
    UnitApproval,
    UnitContribution,
)
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from quorate import https
from tests.cast.charters import accepts
from tests.cast.commands import Given, contribution, key_of, nonce
from tests.cast.people import Custodian, approval


class BareAgent:
    """One custodian's session. `requests` and `charters` are what the feed has told so far."""

    def __init__(self, who: Custodian, invitation: Invitation, certificate: bytes) -> None:
        self.who = who
        self.invitation = invitation
        self.certificate = certificate
        self.requests: dict[int, Request] = {}
        self.notes: dict[int, bytes | None] = {}
        self.charters: dict[Digest, CharterNews] = {}
        self.cursor: Cursor | None = None
        self.closed: str | None = None
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Condition()
        self._ref = 0
        self._caught_up = asyncio.Event()
        self._filed = 0

    async def connect(self, *, enrol: bool = False, checkpoint: bytes | None = None) -> Self:
        """Opens a session; with `enrol` it uses the invitation."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._http = aiohttp.ClientSession(connector=https.connector(context))
        url = self.invitation.url + "/v1/agent"
        self._socket = await self._http.ws_connect(url, max_msg_size=0)
        hello = AgentHello(
            versions=(1,),
            agent=self.who.agent,
            coordinator=self.invitation.coordinator,
            certificate=hashlib.sha256(self.certificate).digest(),
            nonce=nonce(f"hello of {self.who.name}"),
            cursor=self.cursor,
            checkpoint=checkpoint,
        )
        await self._send(hello)
        answer = from_bytes(SignedCoordinatorHello, await self._socket.receive_bytes())
        enrolment = None
        if enrol:
            enrolment = Enrolment(token=self.invitation.token, person=self.who.name)
        await self._send(prove(hello, answer, enrolment=enrolment, sign=self.who.identity.sign))
        welcome = from_bytes(Welcome, await self._socket.receive_bytes())
        assert welcome.person == self.who.name
        self._epoch = answer.hello.epoch
        self._reader = asyncio.create_task(self._read())
        return self

    async def close(self) -> None:
        """Leaves."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        if self._http is not None:
            await self._http.close()
        self._caught_up.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def ask(self, make: Callable[[int], Struct]) -> Any:
        """Sends a message with a fresh ref and waits for its answer."""
        self._ref += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[self._ref] = future
        await self._send(make(self._ref))
        return await asyncio.wait_for(future, 30)

    async def publish(self, publication: Publication) -> Done | Refused:
        """Publishes and waits until it is durable, or refused."""
        answer = await self.ask(lambda ref: Publish(ref=ref, publication=publication))
        assert isinstance(answer, Done | Refused), answer
        return answer

    async def file(self, body: Body, targets: list[UnitId], **changes: Any) -> Done | Refused:
        """Files a request."""
        self._filed += 1
        fields: dict[str, Any] = {
            "instance": self.invitation.instance,
            "body": body,
            "targets": tuple(sorted(targets)),
            "purpose": "a test",
            "custodian": self.who.agent,
            "account": None,
            "step": None,
            "voids": None,
            "valid_for": DEFAULT_VALIDITY,
            "leave_out": False,
            "at": Instant(0),
            "nonce": Nonce(nonce(f"filing {self.who.name} {self._filed}")),
        }
        key = changes.pop("idempotency_key", None)
        filing = Filing(**(fields | changes))
        signed = sign_statement(Label.FILING, filing, self.who.identity.sign)
        return await self.publish(FileRequest(filing=signed, idempotency_key=key))

    async def accept(self, charter: Charter) -> Done | Refused:
        """Accepts a version of the charter."""
        return await self.publish(Accept(acceptance=accepts(self.who, charter)))

    async def approve(self, number: int, **changes: Any) -> Done | Refused:
        """Signs for every target of a request, unseen."""
        request = self.requests[number]
        assert request.opening is not None
        key = key_of(self.who)
        approvals = tuple(
            UnitApproval(
                unit=one.unit,
                approval=approval(key, request.command(one.target).but(**changes)),
            )
            for one in request.progress
        )
        return await self.publish(
            Approve(request=request.opening.digest, ski=key.ski, approvals=approvals)
        )

    async def contribute(self, number: int, part: bytes) -> Done | Refused:
        """Seals a part for every target of a load."""
        request = self.requests[number]
        assert request.opening is not None
        given: Given = (self.who, part)
        contributions = []
        for one in request.progress:
            assert one.importer is not None
            importer = from_bytes(ImporterKey, one.importer.statement)
            sealed = contribution(given, request.command(one.target), importer)
            contributions.append(UnitContribution(unit=one.unit, contribution=sealed))
        return await self.publish(
            Contribute(request=request.opening.digest, contributions=tuple(contributions))
        )

    async def until(self, number: int, *states: RequestState) -> Request:
        """Waits until a request is in one of these states."""
        found: Request = await self.when(
            lambda: (
                self.requests[number]
                if number in self.requests and self.requests[number].state in states
                else None
            )
        )
        return found

    async def when(self, found: Callable[[], Any]) -> Any:
        """Waits for news that make `found` give something."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: found() is not None or self.closed is not None)
        result = found()
        assert result is not None, f"the session was closed: {self.closed}"
        return result

    async def caught_up(self) -> None:
        """Waits until the feed has told all there was."""
        await asyncio.wait_for(self._caught_up.wait(), 30)

    async def until_closed(self) -> str:
        """Waits until the coordinator closes the session; gives its reason."""
        assert self._reader is not None
        await asyncio.wait_for(asyncio.shield(self._reader), 30)
        return self.closed or ""

    async def _send(self, message: Struct) -> None:
        assert self._socket is not None
        await self._socket.send_bytes(to_bytes(message))

    async def _read(self) -> None:
        assert self._socket is not None
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                self.closed = str(message.extra or self._socket.close_code)
                async with self._changed:
                    self._changed.notify_all()
                for future in self._answers.values():
                    if not future.done():
                        future.set_exception(ConnectionResetError(self.closed))
                return
            received: CoordinatorMessage = from_bytes(CoordinatorMessage, message.data)  # type: ignore[arg-type]
            match received:
                case Feed():
                    await self._hear(received)
                case FeedPage(feeds=feeds):
                    for feed in feeds:
                        await self._hear(from_bytes(Feed, feed))
                case CaughtUp():
                    self._caught_up.set()
                case _:
                    future = self._answers.pop(received.ref)
                    if not future.done():
                        future.set_result(received)

    async def _hear(self, feed: Feed) -> None:
        self.cursor = Cursor(epoch=self._epoch, position=feed.position)
        self._take(feed.news)
        async with self._changed:
            self._changed.notify_all()

    def _take(self, news: News) -> None:
        match news:
            case RequestNews(request=request, checkpoint=note):
                self.requests[request.id] = request
                self.notes[request.id] = note
            case CharterNews(charter=charter):
                self.charters[charter.digest] = news
            case _:
                pass
