"""An honest coordinator in memory: the real workflow, driven as `coordinator.engine` drives it.

What it writes down is in `store`. Who is connected, which units are in reach and what is under way
it only remembers, so that after a crash it has to make do with the store.
"""

from collections.abc import Collection, Sequence

from protocol.identifiers import IdentityKey
from protocol.record.checkpoints import log_origin, open_checkpoint
from protocol.refusals import Refusal
from protocol.schema import Struct
from protocol.session.handshake import (
    AgentHello,
    AgentProof,
    SignedCoordinatorHello,
    answer_hello,
    check_proof,
)
from protocol.session.messages import (
    HISTORY_PAGE,
    CaughtUp,
    Consistency,
    Done,
    Feed,
    HistoryPage,
    News,
    Publish,
    Refused,
    States,
    WantConsistency,
    WantHistory,
    WantStates,
)
from protocol.signing.statements import Signed
from quorate.unavailable import Unavailable
from tests.cast.keys import noise, signature_key
from tests.sim.ledger import Ledger
from tests.sim.network import Network, Session
from tests.sim.publications import take
from tests.sim.pursuit import Pursuit
from tests.sim.reach import Reach
from tests.sim.store import LOG
from tests.sim.unit import SimUnit
from tests.sim.world import World

OWN = signature_key("coordinator")
EPOCH = noise("epoch", 16)
CERTIFICATE = noise("certificate of the coordinator")


class SimCoordinator(Ledger):
    """The coordinator of one instance."""

    def __init__(
        self,
        world: World,
        network: Network,
        units: Sequence[SimUnit],
        agents: Collection[IdentityKey],
    ) -> None:
        super().__init__(world, network, "coordinator")
        self.sessions: dict[Session, IdentityKey] = {}
        self.reach = Reach(self, {unit.id: unit for unit in units})
        self.pursuit = Pursuit(self, self.reach)
        self._agents = frozenset(agents)

    def start(self) -> None:
        super().start()
        self.sessions = {}
        self.reach.begin_anew()
        self.pursuit.begin_anew()
        self.reach.start()
        self.wake()

    def stopped(self) -> None:
        for session in list(self.sessions):
            session.cut()

    def wake(self) -> None:
        self.pursuit.wake()

    def push(self, position: int, news: News) -> None:
        for session in list(self.sessions):
            session.to_agent(Feed(position=position, news=news))

    # --- sessions -------------------------------------------------------------------------------

    def greet(self, hello: AgentHello) -> SignedCoordinatorHello:
        """The second message of the handshake."""
        return answer_hello(
            hello,
            OWN.identity,
            CERTIFICATE,
            nonce=self.nonce(),
            now=self.now,
            epoch=EPOCH,
            sign=OWN.sign,
        )

    def admit(
        self, session: Session, hello: AgentHello, answer: SignedCoordinatorHello, proof: AgentProof
    ) -> None:
        """The session stands: the agent has proven itself, and gets the news that it lacks."""
        check_proof(hello, answer, proof)
        assert hello.agent in self._agents
        if hello.checkpoint is not None:
            seen = open_checkpoint(
                hello.checkpoint, name=log_origin(LOG.identity), public_key=LOG.identity
            )
            assert seen.size <= self.store.frontier.size, "the log was rolled back"
        self.sessions[session] = hello.agent
        seen_to = 0 if hello.cursor is None else hello.cursor.position
        for position, news in self.store.since(seen_to):
            session.to_agent(Feed(position=position, news=news))
        session.to_agent(CaughtUp(position=self.store.position, now=self.now))

    def cut_off(self, session: Session) -> None:
        """A session has broken."""
        self.sessions.pop(session, None)

    def take(self, session: Session, message: Struct) -> None:
        """What an agent says; answered as soon as it can be."""
        match message:
            case Publish(ref=ref, publication=publication):
                agent = self.sessions[session]
                taken = self.change(lambda change: take(change, agent, publication))
                self.world.note(f"{session.agent.name} publishes {publication_kind(message)}")
                if isinstance(taken, Refusal):
                    self.world.note(f"refused: {taken.rule}")
                    session.to_agent(Refused(ref=ref, refusal=taken))
                else:
                    session.to_agent(Done(ref=ref, request=taken))
            case WantStates():
                self.begin(self._states(session, message))
            case WantHistory(ref=ref, unit=unit, after=after):
                entries = self.store.signed_histories.get(unit, ())[after : after + HISTORY_PAGE]
                session.to_agent(HistoryPage(ref=ref, entries=entries))
            case WantConsistency(ref=ref, size=size):
                note = self.change(lambda change: change.checkpoint())
                proof = self.store.consistency(size)
                session.to_agent(Consistency(ref=ref, checkpoint=note, proof=proof))
            case _:
                raise AssertionError(f"nobody says {type(message).__name__} here")

    async def _states(self, session: Session, wanted: WantStates) -> None:
        async def ask(unit: bytes) -> Signed | None:
            try:
                signed, _ = await self.reach.state(unit, (wanted.nonce,))  # type: ignore[arg-type]
            except Unavailable:
                return None
            return signed

        answers = await self.together([ask(unit) for unit in wanted.units])
        there = tuple(answer for answer in answers if answer is not None)
        session.to_agent(States(ref=wanted.ref, answers=there))


def publication_kind(message: Publish) -> str:
    """What is published, in a word."""
    return type(message.publication).__name__
