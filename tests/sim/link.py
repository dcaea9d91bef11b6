"""An agent's way to the coordinator: connects, sends what is unsent, asks, hears the news.

What an agent keeps on its disk is here too: a crash at any commit leaves all of it or nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from protocol.identifiers import SECOND, VP, Duration, IdentityKey
from protocol.refusals import Rule
from protocol.request import Announcement
from protocol.schema import Struct, from_bytes
from protocol.session.handshake import AgentHello, Cursor, prove
from protocol.session.messages import (
    CaughtUp,
    CharterNews,
    Consistency,
    Done,
    Feed,
    HistoryPage,
    News,
    PartNews,
    Publication,
    Publish,
    Refused,
    RequestNews,
    States,
    WantConsistency,
    WantHistory,
    WantStates,
)
from quorate.unavailable import Unavailable
from signer_agent.desk.clocks import coordinator_ahead
from signer_agent.trust.charters import CharterBook
from signer_agent.trust.evidence import (
    AskConsistency,
    AskHistory,
    AskStates,
    Question,
    Reply,
)
from signer_agent.trust.memory import Memory
from signer_agent.trust.witness import Witness, with_log
from tests.cast.commands import nonce
from tests.cast.people import INSTANCE, Custodian
from tests.sim.coordinator import CERTIFICATE, EPOCH, OWN, SimCoordinator
from tests.sim.network import Network, Session
from tests.sim.store import LOG
from tests.sim.weather import Fault
from tests.sim.world import Party, Signal, World


@dataclass(frozen=True)
class AgentDisk:
    """All that an agent has written down.

    `outbox` is what was published and not yet acknowledged, by number. `filed` says which request
    each step of a ceremony became last, and how often it was filed; `said_no` are the requests that
    this person had second thoughts about, `proceeded` those that they said proceed to.
    """

    book: CharterBook = field(default_factory=lambda: CharterBook(instance=INSTANCE, practice=True))
    memory: Memory = field(default_factory=Memory)
    witness: Witness = field(default_factory=lambda: with_log(None, LOG.identity))
    position: int = 0
    requests: Mapping[int, RequestNews] = field(default_factory=dict)
    parts: Mapping[VP, IdentityKey] = field(default_factory=dict)
    outbox: Mapping[int, Publication] = field(default_factory=dict)
    sent: int = 0
    filed: Mapping[str, int] = field(default_factory=dict)
    attempts: Mapping[str, int] = field(default_factory=dict)
    said_no: frozenset[int] = frozenset()
    proceeded: frozenset[int] = frozenset()

    def publishing(self, publication: Publication) -> "AgentDisk":
        """With something more to publish."""
        number = self.sent + 1
        return replace(self, sent=number, outbox={**self.outbox, number: publication})

    def heard(self, position: int, news: News) -> "AgentDisk":
        """With a piece of news, and how far the feed was followed."""
        disk = replace(self, position=position)
        match news:
            case RequestNews(request=request):
                return replace(disk, requests={**self.requests, request.id: news})
            case CharterNews(charter=charter, acceptances=acceptances):
                return replace(disk, book=self.book.heard(charter, acceptances))
            case PartNews(announcement=signed):
                said = from_bytes(Announcement, signed.statement)
                return replace(disk, parts={**self.parts, said.vp: said.custodian})
            case _:
                return disk


class Link(Party):
    """An agent that is connected whenever it can be."""

    crashes_before = Fault.AGENT_CRASH_BEFORE_COMMIT
    crashes_after = Fault.AGENT_CRASH_AFTER_COMMIT

    def __init__(
        self, world: World, network: Network, coordinator: SimCoordinator, who: Custodian
    ) -> None:
        super().__init__(world, who.name)
        self.network, self.coordinator, self.who = network, coordinator, who
        self.disk = AgentDisk()
        self.ahead = Duration(0)
        self.refused: list[Refused] = []
        self.done: list[Publication] = []
        """What the coordinator said was durable, in this life or an earlier one."""
        self._session: Session | None = None
        self._questions: dict[int, Signal[Reply]] = {}
        self._asked = 0
        self._drawn = 0

    def start(self) -> None:
        super().start()
        self._session, self._questions = None, {}
        self._connect_soon()

    def stopped(self) -> None:
        if self._session is not None:
            self._session.cut()

    def write(self, disk: AgentDisk) -> None:
        """Commits; what is to be published is sent then."""
        before = self.disk

        def write() -> None:
            self.disk = disk

        self.commit(write)
        for number in sorted(disk.outbox.keys() - before.outbox.keys()):
            self._send(Publish(ref=number, publication=disk.outbox[number]))

    def heard_news(self, news: News) -> None:
        """Something has changed."""

    def acknowledged(self, publication: Publication, done: Done) -> AgentDisk:
        """What is to be remembered of something that is durable at the coordinator's."""
        return self.disk

    async def ask(self, question: Question) -> Reply:
        """One question to the coordinator. Unavailable where the session breaks meanwhile."""
        signal: Signal[Reply] = Signal(self.world)
        if self._session is None:
            raise Unavailable("not connected")
        self._asked += 1
        ref = (1 << 40) + self._asked
        self._questions[ref] = signal
        match question:
            case AskStates(units=units, nonce=drawn):
                self._send(WantStates(ref=ref, units=units, nonce=drawn))
            case AskHistory(unit=unit, after=after):
                self._send(WantHistory(ref=ref, unit=unit, after=after))
            case AskConsistency(size=size):
                self._send(WantConsistency(ref=ref, size=size))
        return await signal

    # --- the session ----------------------------------------------------------------------------

    def _connect_soon(self) -> None:
        self.later(
            self.network.delay(self.name) + self.world.random.randrange(1_000), self._connect
        )

    def _connect(self) -> None:
        if not self.coordinator.up:
            self._connect_soon()
            return
        hello = AgentHello(
            versions=(1,),
            agent=self.who.agent,
            coordinator=OWN.identity,
            certificate=CERTIFICATE,
            nonce=nonce(f"hello of {self.name} {self._draw()}"),
            cursor=Cursor(epoch=EPOCH, position=self.disk.position),
            checkpoint=self.disk.witness.note,
        )
        answer = self.coordinator.greet(hello)
        proof = prove(hello, answer, enrolment=None, sign=self.who.identity.sign)
        session = Session(self.network, self, self.coordinator)
        self._session = session
        self.ahead = coordinator_ahead(answer.hello.time, self.now)
        self.coordinator.admit(session, hello, answer, proof)
        for number, publication in sorted(self.disk.outbox.items()):
            self._send(Publish(ref=number, publication=publication))

    def _send(self, message: Struct) -> None:
        if self._session is not None:
            self._session.to_coordinator(message)

    def cut_off(self, session: Session) -> None:
        """The session has broken."""
        if session is not self._session or not self.up:
            return
        self._session = None
        answers, self._questions = self._questions, {}
        for signal in answers.values():
            signal.fail(Unavailable("the session has broken"))
        self._connect_soon()

    def hear(self, session: Session, message: Struct) -> None:
        """What the coordinator says."""
        if session is not self._session:
            return
        match message:
            case Feed(position=position, news=news):
                if position > self.disk.position:
                    self.write(self.disk.heard(position, news))
                    self.heard_news(news)
            case CaughtUp():
                pass
            case Done(ref=ref) | Refused(ref=ref):
                if ref in self.disk.outbox:
                    self._answered(ref, message)
            case States() | HistoryPage() | Consistency():
                signal = self._questions.pop(message.ref, None)
                if signal is not None:
                    signal.give(message)
            case _:
                raise AssertionError(f"the coordinator doesn't say {type(message).__name__}")

    def _answered(self, number: int, answer: Done | Refused) -> None:
        """The coordinator has taken a publication, or refused it."""
        publication, disk = self.disk.outbox[number], self.disk
        if isinstance(answer, Done):
            self.done.append(publication)
            disk = self.acknowledged(publication, answer)
        else:
            self.refused.append(answer)
            if answer.refusal.rule is Rule.CHARTER_DOES_NOT_FOLLOW:
                # It overtook the proposal that it is about: the person says it again.
                self.later(SECOND, lambda: self._send(Publish(ref=number, publication=publication)))
                return
        outbox = {other: one for other, one in disk.outbox.items() if other != number}
        self.write(replace(disk, outbox=outbox))

    def _draw(self) -> int:
        self._drawn += 1
        return self._drawn
