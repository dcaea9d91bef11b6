"""Serves one agent's session: handshake, then its questions and publications, and the feed.

An agent that hasn't proven itself can do nothing but prove itself: only the handshake makes a
`Session`, and it has to end within ten seconds. What breaks the protocol closes the connection with
a reason.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from coordinator.engine import rollback
from coordinator.engine.change import Change
from coordinator.engine.hub import Listener
from coordinator.engine.ledger import Ledger
from coordinator.engine.publications import Publisher, Taken, take
from coordinator.engine.units import Units
from coordinator.steps import TAKEN
from coordinator.store import feed, histories, people, record
from coordinator.store.connection import Connection
from protocol.displayable import PersonName
from protocol.identifiers import Nonce
from protocol.record.entries import EntryKind
from protocol.refusals import Refusal, Rule, refuse
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.session.handshake import (
    AgentHello,
    AgentProof,
    Cursor,
    Welcome,
    answer_hello,
    check_proof,
)
from protocol.session.messages import (
    CANT_STORE,
    HISTORY_PAGE,
    LOG_PAGE,
    MAX_MESSAGE_BYTES,
    AgentMessage,
    AgentNews,
    CaughtUp,
    Consistency,
    Done,
    FeedPage,
    HistoryPage,
    LogPage,
    Publish,
    Refused,
    States,
    WantConsistency,
    WantHistory,
    WantLog,
    WantStates,
    close_reason,
)
from protocol.violations import Violation
from quorate.crash_points import crash_point
from quorate.exits import Trouble
from quorate.unavailable import Unavailable

PATH = "/v1/agent"
HANDSHAKE_SECONDS = 10.0
MAX_SESSIONS = 1000
MAX_QUESTIONS = 32
FEED_PAGE_BYTES = 256 * 1024
_log = structlog.get_logger("coordinator.agents")


@dataclass(frozen=True)
class Session:
    """An agent that has proven itself."""

    publisher: Publisher
    cursor: Cursor | None


class Gateway:
    """All sessions of an instance. `certificate` is the fingerprint of our TLS certificate."""

    def __init__(self, ledger: Ledger, units: Units, *, certificate: bytes, epoch: bytes) -> None:
        self._ledger = ledger
        self._units = units
        self._certificate = certificate
        self._epoch = epoch
        self._sessions: set[web.WebSocketResponse] = set()
        self._proven: dict[web.WebSocketResponse, Publisher] = {}
        self._closing: set[asyncio.Task[bool]] = set()
        self._paged: tuple[list[feed.Item], list[bytes]] = ([], [])

    def routes(self) -> list[web.RouteDef]:
        """What the server has to route here."""
        return [web.get(PATH, self.serve)]

    async def close(self) -> None:
        """Tells every agent that we go away."""
        going = (
            socket.close(code=WSCloseCode.GOING_AWAY, message=b"the coordinator stops")
            for socket in list(self._sessions)
        )
        await asyncio.gather(*going, return_exceptions=True)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from its first byte to its last."""
        socket = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE_BYTES, heartbeat=20.0, compress=False
        )
        await socket.prepare(request)
        if len(self._sessions) >= MAX_SESSIONS:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many sessions")
            return socket
        self._sessions.add(socket)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                session = await self._handshake(socket)
            self._proven[socket] = session.publisher
            self._hang_up_on_old(session.publisher, socket)
            await self._talk(socket, session)
        except TimeoutError:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"handshake too slow")
        except Violation as violation:
            _log.warning("session closed", why=str(violation))
            reason = close_reason(violation)
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason)
        except Trouble as trouble:
            await _cant_store(socket, trouble)
        except ConnectionError:
            pass
        finally:
            self._sessions.discard(socket)
            self._proven.pop(socket, None)
        return socket

    async def _handshake(self, socket: web.WebSocketResponse) -> Session:
        keys = self._ledger.keys
        hello = from_bytes(AgentHello, await _receive(socket))
        epoch = self._epoch
        answer = answer_hello(
            hello,
            keys.identity,
            self._certificate,
            nonce=Nonce(self._ledger.entropy(32)),
            now=self._ledger.now(),
            epoch=epoch,
            sign=keys.sign,
        )
        await socket.send_bytes(to_bytes(answer))
        proof = from_bytes(AgentProof, await _receive(socket))
        check_proof(hello, answer, proof)
        person = await self._admit(hello, proof)
        await self._know_the_end(hello.cursor)
        await socket.send_bytes(to_bytes(Welcome(person=person)))
        cursor = hello.cursor
        if cursor is not None and cursor.epoch != epoch:
            cursor = None
        return Session(publisher=Publisher(person=person, agent=hello.agent), cursor=cursor)

    def _hang_up_on_old(self, publisher: Publisher, own: web.WebSocketResponse) -> None:
        """One session a person: the newest. So nobody can take all sessions for themselves.

        And an agent whose place another has taken (a stolen laptop's) has none any more. Without
        waiting: it may take its time over the goodbye.
        """
        for socket, other in list(self._proven.items()):
            if other.person == publisher.person and socket is not own:
                reason = close_reason("this person's agent has begun another session")
                closing = asyncio.create_task(
                    socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason)
                )
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _admit(self, hello: AgentHello, proof: AgentProof) -> PersonName:
        async def admit(change: Change) -> PersonName:
            person = await people.agent(change.connection, hello.agent)
            enrolment = proof.enrolment
            if person is None and enrolment is not None:
                enrolled = await people.enrol(
                    change.connection, hello.agent, enrolment.person, enrolment.token, change.at
                )
                if not enrolled:
                    raise Violation("the invitation isn't good: used, expired or somebody else's")
                person = enrolment.person
                news = AgentNews(person=person, agent=hello.agent, enrolled=change.at)
                change.log(EntryKind.ENROLMENT, news)
                await change.tell(news)
            if person is None:
                raise Violation("an agent that isn't enrolled; it needs an invitation")
            if hello.checkpoint is not None:
                await rollback.check_seen(self._ledger, change, hello.checkpoint)
            return person

        return await self._ledger.change(admit)

    async def _know_the_end(self, cursor: Cursor | None) -> None:
        """A store that ends before what an agent has followed is another one than it knew.

        Whatever its epoch says. So it gets a new epoch, and the agent comes again. Only for an
        agent that has proven itself: a stranger may not make everybody read everything anew.
        """
        if cursor is None or cursor.epoch != self._epoch:
            return
        end = await self._ledger.database.read(
            lambda connection: feed.end(connection, self._ledger.instance)
        )
        if cursor.position > end:
            self._epoch = await self._ledger.new_epoch()
            raise Violation("this store ends before what you have followed; connect again")

    async def _talk(self, socket: web.WebSocketResponse, session: Session) -> None:
        listener = self._ledger.hub.join()
        sender = asyncio.create_task(self._send_feed(socket, listener, session.cursor))
        questions: set[asyncio.Task[None]] = set()
        try:
            while True:
                asked: AgentMessage = from_bytes(AgentMessage, await _receive(socket))  # type: ignore[arg-type]
                if len(questions) >= MAX_QUESTIONS:
                    raise Violation(f"more than {MAX_QUESTIONS} unanswered messages")
                question = asyncio.create_task(self._answer(socket, session, asked))
                questions.add(question)
                question.add_done_callback(questions.discard)
        finally:
            self._ledger.hub.leave(listener)
            for task in (sender, *questions):
                task.cancel()
            await asyncio.gather(sender, *questions, return_exceptions=True)

    async def _send_feed(
        self, socket: web.WebSocketResponse, listener: Listener, cursor: Cursor | None
    ) -> None:
        position = 0 if cursor is None else cursor.position

        async def read(connection: Connection) -> list[feed.Item]:
            return list(await feed.since(connection, self._ledger.instance, position))

        missed = await self._ledger.database.read(read)
        for message in pages_of(item.message for item in missed):
            await socket.send_bytes(message)
        position = max((item.position for item in missed), default=position)
        await _send(socket, CaughtUp(position=position, now=self._ledger.now()))
        while True:
            news = [item for item in await listener.take() if item.position > position]
            for message in self._pages_of(news):
                await socket.send_bytes(message)
            position = max((item.position for item in news), default=position)

    def _pages_of(self, news: list[feed.Item]) -> Sequence[bytes]:
        """The messages that tell of it; made once for all whom the same is told."""
        told, messages = self._paged
        if told != news:
            messages = list(pages_of(item.message for item in news))
            self._paged = news, messages
        return messages

    async def _answer(
        self, socket: web.WebSocketResponse, session: Session, asked: AgentMessage
    ) -> None:
        try:
            match asked:
                case Publish(ref=ref, publication=publication):
                    taken = await take(self._ledger, self._units, session.publisher, publication)
                    crash_point(TAKEN)
                    match taken:
                        case Taken(request=number):
                            await _send(socket, Done(ref=ref, request=number))
                        case Refusal():
                            await _send(socket, Refused(ref=ref, refusal=taken))
                case WantStates(ref=ref, units=units, nonce=nonce):
                    answers = await asyncio.gather(
                        *(self._units.state(unit, (nonce,)) for unit in units),
                        return_exceptions=True,
                    )
                    signed = tuple(one[0] for one in answers if isinstance(one, tuple))
                    await _send(socket, States(ref=ref, answers=signed))
                case WantHistory(ref=ref, unit=unit, after=after):
                    page = await self._ledger.database.read(
                        lambda connection: histories.page(connection, unit, after, HISTORY_PAGE)
                    )
                    await _send(socket, HistoryPage(ref=ref, entries=tuple(page)))
                case WantLog(ref=ref, start=start):
                    items = await self._ledger.database.read(
                        lambda connection: record.items(
                            connection, self._ledger.instance, start, LOG_PAGE
                        )
                    )
                    await _send(socket, LogPage(ref=ref, items=tuple(items)))
                case WantConsistency(ref=ref, size=size):
                    await _send(socket, await self._consistency(ref, size))
        except Violation as violation:
            _log.warning("session closed", person=session.publisher.person, why=str(violation))
            with contextlib.suppress(ConnectionError):
                reason = close_reason(violation)
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason)
        except Unavailable as error:
            with contextlib.suppress(ConnectionError):
                reason = close_reason(error)
                await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=reason)
        except Trouble as trouble:
            with contextlib.suppress(ConnectionError):
                await _cant_store(socket, trouble)
        except ConnectionError:
            pass

    async def _consistency(self, ref: int, size: int) -> Consistency | Refused:
        async def prove(change: Change) -> Consistency | Refused:
            note, grown, _ = await self._ledger.checkpoint(change.connection)
            if size > grown:
                refusal = refuse(Rule.LOG_SHORTER, expected=f"at most {grown} entries", found=size)
                return Refused(ref=ref, refusal=refusal)
            proof = await record.consistency(change.connection, size, grown)
            return Consistency(ref=ref, checkpoint=note, proof=proof)

        return await self._ledger.change(prove)


def pages_of(feeds: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of news as few messages: a write to every agent costs more than what is in it."""
    page: list[bytes] = []
    size = 0
    for one in feeds:
        if page and size + len(one) > FEED_PAGE_BYTES:
            yield _page(page)
            page, size = [], 0
        page.append(one)
        size += len(one)
    if page:
        yield _page(page)


def _page(feeds: list[bytes]) -> bytes:
    return feeds[0] if len(feeds) == 1 else to_bytes(FeedPage(feeds=tuple(feeds)))


async def _receive(socket: web.WebSocketResponse) -> bytes:
    message = await socket.receive()
    if message.type is WSMsgType.BINARY:
        return bytes(message.data)
    if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
        raise ConnectionResetError("the agent has gone")
    if message.type is WSMsgType.ERROR:  # too big, or no WebSocket frame: closed already
        raise Violation(f"not a message: {message.data}")
    raise Violation("messages are binary")


async def _cant_store(socket: web.WebSocketResponse, trouble: Trouble) -> None:
    _log.error("session closed", why=trouble.what)
    await socket.close(code=CANT_STORE, message=close_reason(trouble.what))


async def _send(socket: web.WebSocketResponse, message: Struct) -> None:
    await socket.send_bytes(to_bytes(message))
