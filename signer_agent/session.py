"""One session with the coordinator, sans I/O: bytes in, events out.

    hello sent ─ SignedCoordinatorHello → proof sent ─ Welcome → standing ─ feed, answers → ...

A connection gets a new one. Who drives it sends what it gives, feeds it what comes, and acts on
the events in order; it opens no socket, writes nothing down and asks no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from protocol.displayable import PersonName
from protocol.identifiers import IdentityKey, Instant, Nonce
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.session.handshake import (
    VERSION,
    AgentHello,
    Cursor,
    Enrolment,
    SignedCoordinatorHello,
    Welcome,
    prove,
)
from protocol.session.messages import (
    CaughtUp,
    Consistency,
    CoordinatorMessage,
    Done,
    Feed,
    FeedPage,
    HistoryPage,
    LogPage,
    Refused,
    States,
)
from protocol.signing.statements import Sign
from protocol.violations import Violation

Answer = Done | Refused | States | HistoryPage | Consistency | LogPage


@dataclass(frozen=True)
class Send:
    """These bytes go to the coordinator."""

    data: bytes


@dataclass(frozen=True)
class Standing:
    """Both sides have proven themselves.

    `other_store` is whether the coordinator has another store than the one whose feed was followed:
    what it lacks has to be sent again. `coordinator_time` is its clock at hello.
    """

    other_store: bool
    coordinator_time: Instant


@dataclass(frozen=True)
class Heard:
    """A piece of news; once it is kept, so is the cursor."""

    feed: Feed
    cursor: Cursor


@dataclass(frozen=True)
class AllHeard:
    """All news up to the cursor were told."""

    cursor: Cursor


@dataclass(frozen=True)
class Answered:
    """The answer to the question with this ref."""

    ref: int
    answer: Answer


Event = Send | Standing | Heard | AllHeard | Answered


class _Phase(Enum):
    HELLO_SENT = auto()
    PROOF_SENT = auto()
    STANDING = auto()


@dataclass(frozen=True)
class Self:
    """Who speaks: the person, and their agent's identity key with what signs by it."""

    person: PersonName
    agent: IdentityKey
    sign: Sign


class AgentSession:
    """The agent's side of one connection.

    `certificate` is the SHA-256 of the TLS certificate seen, `cursor` and `checkpoint` how far feed
    and log were followed, `enrolment` what comes with an invitation that isn't used yet.
    """

    def __init__(
        self,
        own: Self,
        coordinator: IdentityKey,
        *,
        certificate: bytes,
        cursor: Cursor | None,
        checkpoint: bytes | None,
        enrolment: Enrolment | None,
        nonce: Nonce,
    ) -> None:
        self._own, self._enrolment = own, enrolment
        self._hello = AgentHello(
            versions=(VERSION,),
            agent=own.agent,
            coordinator=coordinator,
            certificate=certificate,
            nonce=nonce,
            cursor=cursor,
            checkpoint=checkpoint,
        )
        self._phase = _Phase.HELLO_SENT
        self._epoch = b""
        self._time = Instant(0)
        self._ref = 0

    @property
    def stands(self) -> bool:
        """Whether questions may be asked."""
        return self._phase is _Phase.STANDING

    def hello(self) -> bytes:
        """The first bytes to send."""
        return to_bytes(self._hello)

    def ask(self, make: Callable[[int], Struct]) -> tuple[int, bytes]:
        """A question's ref and bytes; `make` makes the message from the ref."""
        if not self.stands:
            raise ValueError("nothing is asked before both sides have proven themselves")
        self._ref += 1
        return self._ref, to_bytes(make(self._ref))

    def receive(self, data: bytes) -> tuple[Event, ...]:
        """What a message means. Violation where the coordinator breaks the protocol."""
        match self._phase:
            case _Phase.HELLO_SENT:
                return self._answered_hello(from_bytes(SignedCoordinatorHello, data))
            case _Phase.PROOF_SENT:
                return self._welcomed(from_bytes(Welcome, data))
            case _Phase.STANDING:
                message: CoordinatorMessage = from_bytes(CoordinatorMessage, data)  # type: ignore[arg-type]
                return self._told(message)

    def _answered_hello(self, answer: SignedCoordinatorHello) -> tuple[Event, ...]:
        proof = prove(self._hello, answer, enrolment=self._enrolment, sign=self._own.sign)
        self._epoch, self._time = answer.hello.epoch, answer.hello.time
        self._phase = _Phase.PROOF_SENT
        return (Send(to_bytes(proof)),)

    def _welcomed(self, welcome: Welcome) -> tuple[Event, ...]:
        if welcome.person != self._own.person:
            raise Violation("the coordinator takes this agent for somebody else's")
        self._phase = _Phase.STANDING
        cursor = self._hello.cursor
        other = cursor is not None and cursor.epoch != self._epoch
        return (Standing(other_store=other, coordinator_time=self._time),)

    def _told(self, message: CoordinatorMessage) -> tuple[Event, ...]:
        match message:
            case Feed():
                return (self._heard(message),)
            case FeedPage(feeds=feeds):
                return tuple(self._heard(from_bytes(Feed, data)) for data in feeds)
            case CaughtUp(position=position):
                return (AllHeard(Cursor(epoch=self._epoch, position=position)),)
            case _:
                return (Answered(message.ref, message),)

    def _heard(self, feed: Feed) -> Heard:
        return Heard(feed, Cursor(epoch=self._epoch, position=feed.position))
