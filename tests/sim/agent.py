"""A custodian with their agent: the real trust and desk cores, and a person who uses them.

The person does what they are asked, when they get round to it; sometimes they say No first. One of
them also files the steps of a ceremony.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from protocol.charter import Acceptance, Charter
from protocol.displayable import Reason
from protocol.identifiers import HOUR, MINUTE, SECOND
from protocol.request import Announcement, Request
from protocol.sealing import hpke
from protocol.sealing.contribution import vp_of
from protocol.secrets import Secret
from protocol.session.messages import (
    Accept,
    Announce,
    News,
    ProposeCharter,
    Reject,
    RequestNews,
)
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from quorate.exits import Exit
from quorate.unavailable import Unavailable
from signer_agent.desk.approve import approve
from signer_agent.desk.contribute import contribute, part_wanted
from signer_agent.desk.layout import TAKES_ANSWERS
from signer_agent.desk.reject import reject
from signer_agent.desk.review import Review, review
from signer_agent.desk.seat import HeldKey, HeldPart, Seat
from signer_agent.objections import Objection
from signer_agent.trust.evidence import Evidence, Gathering, Replies, gather
from tests.cast.commands import nonce
from tests.cast.people import Custodian
from tests.sim.coordinator import SimCoordinator
from tests.sim.link import AgentDisk, Link
from tests.sim.network import Network
from tests.sim.weather import Fault
from tests.sim.world import Signal, World

T = TypeVar("T")
AGAIN = 5 * MINUTE
"""When somebody whom their agent told to try again does so."""


class SimAgent(Link):
    """One custodian and their agent. `parts` are the values of their key parts."""

    def __init__(
        self,
        world: World,
        network: Network,
        coordinator: SimCoordinator,
        who: Custodian,
        charter: Charter,
        *,
        parts: Sequence[bytes] = (),
    ) -> None:
        super().__init__(world, network, coordinator, who)
        self.charter = charter
        self.units = tuple(unit.id for unit in charter.units)
        self.parts = {vp_of(part): part for part in parts}
        self.signed: set[bytes] = set()
        """Every message that this person's signature key has signed."""
        self.alarms: list[Objection] = []
        self.objections: list[Objection] = []
        self._woken: Signal[None] = Signal(world)
        self._looked_at: dict[int, RequestNews] = {}
        self._gathering: Signal[None] | None = None

    def start(self) -> None:
        super().start()
        self._looked_at, self._gathering = {}, None
        if self.disk.book.accepted is None:
            self._accept()
        self.begin(self._work())

    def heard_news(self, news: News) -> None:
        self.wake()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.give(None)

    # --- once, at the beginning -----------------------------------------------------------------

    def _accept(self) -> None:
        """The person has compared the words with the others, and offers their key parts."""
        acceptance = Acceptance(
            charter=self.charter.digest,
            instance=self.charter.instance,
            number=self.charter.number,
            person=self.who.name,
            at=self.now,
        )
        signed = sign_statement(Label.ACCEPTANCE, acceptance, self.who.identity.sign)
        book = self.disk.book.heard(self.charter, ()).accept(self.charter.digest, signed)
        assert not isinstance(book, Objection)
        disk = replace(self.disk, book=book).publishing(ProposeCharter(charter=self.charter))
        disk = disk.publishing(Accept(acceptance=signed))
        for vp in self.parts:
            announcement = Announcement(
                instance=self.charter.instance,
                custodian=self.who.agent,
                vp=vp,
                description="",
                offered=True,
                at=self.now,
            )
            said = sign_statement(Label.ANNOUNCEMENT, announcement, self.who.identity.sign)
            disk = disk.publishing(Announce(announcement=said))
        self.write(disk)

    # --- day after day --------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            news = self._next()
            if news is None:
                self._woken = Signal(self.world)
                await self._woken
                continue
            await self.world.sleep(self._until_they_look())
            news = self.disk.requests[news.request.id]
            self._looked_at[news.request.id] = news
            if self._may_be_wanted(news.request):
                try:
                    await self._visit(news)
                except Unavailable:
                    self._once_more(news.request.id)

    def _until_they_look(self) -> int:
        if self.world.weather.happens(Fault.LATE_RISER, self.name):
            return self.world.random.randrange(HOUR, 6 * HOUR)
        return self.world.random.randrange(SECOND, MINUTE)

    def _once_more(self, number: int) -> None:
        """The request will be looked at again, although nothing is new."""

        def forget() -> None:
            self._looked_at.pop(number, None)
            self.wake()

        self.later(AGAIN, forget)

    def _next(self) -> RequestNews | None:
        """A request that may want something of this person, and that they haven't seen so."""
        for number in sorted(self.disk.requests):
            news = self.disk.requests[number]
            if self._looked_at.get(number) is not news and self._may_be_wanted(news.request):
                return news
        return None

    def _may_be_wanted(self, request: Request) -> bool:
        """A first look at what the coordinator says; what counts is the review."""
        if request.state not in TAKES_ANSWERS:
            return False
        signed = any(
            approval.ski == self.who.key.ski
            for one in request.progress
            for approval in one.approvals
        )
        lacking = any(len(one.approvals) < one.needed for one in request.progress if one.open)
        parts = getattr(request.filing.body, "parts", ())
        gave = any(len(one.contributions) < len(parts) for one in request.progress if one.open)
        mine = any(part.custodian == self.who.agent for part in parts)
        return (lacking and not signed) or (mine and gave)

    async def _visit(self, news: RequestNews) -> None:
        """The person looks at a request, and does what is wanted of them."""
        evidence = await self.gather(news)
        found = review(news, self.seat, evidence, self.now)
        if isinstance(found, Objection):
            self._object(news, found, evidence)
            return
        disk = self._no_first(found) or self._answers(found)
        if disk is not self.disk:
            self.world.note(f"{self.name} answers request {news.request.id}")
            self.write(disk)

    def _object(self, news: RequestNews, objection: Objection, evidence: Evidence) -> None:
        number = news.request.id
        self.world.note(f"{self.name}'s agent objects to {number}: {objection.what[:60]}")
        if objection.exit is Exit.ALARM:
            self.alarms.append(objection)
        else:
            self.objections.append(objection)
        self._once_more(number)

    def _no_first(self, found: Review) -> AgentDisk | None:
        number = found.request.id
        wanted = found.screen.keys or found.screen.part_wanted
        if not wanted or number in self.disk.said_no:
            return None
        if not self.world.weather.happens(Fault.SECOND_THOUGHTS, self.name):
            return None
        no = reject(
            found.request,
            self.who.agent,
            Reason("not before I have asked"),
            sign=self.who.identity.sign,
            at=self.now,
        )
        assert isinstance(no, Reject)
        disk = self.disk.publishing(no)
        self._once_more(number)
        return replace(disk, said_no=disk.said_no | {number})

    def _answers(self, found: Review) -> AgentDisk:
        disk = self.disk
        for key in found.screen.keys:
            signing = approve(found, self.seat, key.ski, self._sign, at=self.now)
            disk = replace(disk, memory=disk.memory.signed(signing.given))
            disk = disk.publishing(signing.publication)
        if found.screen.part_wanted is not None:
            held = part_wanted(found, self.seat)
            assert isinstance(held, HeldPart)
            disk = disk.publishing(
                contribute(
                    found,
                    self.who.agent,
                    Secret(self.parts[held.vp]),
                    seal=self.seal,
                    sign=self.who.identity.sign,
                )
            )
        return disk

    def _sign(self, message: bytes) -> bytes:
        self.signed.add(message)
        return self.who.key.sign(message)

    def seal(self, plaintext: bytes, key: bytes, info: bytes) -> bytes:
        """Seals a key part to an importer key."""
        return hpke.seal(plaintext, key, info=info)

    # --- what the agent knows -------------------------------------------------------------------

    @property
    def seat(self) -> Seat:
        """The desk as it is now."""
        return Seat(
            me=self.who.name,
            agent=self.who.agent,
            book=self.disk.book,
            memory=self.disk.memory,
            keys=(HeldKey(ski=self.who.key.ski, file=f"{self.name}.sig"),),
            parts=tuple(
                HeldPart(vp=vp, name=self.name, file=f"{self.name}.part") for vp in self.parts
            ),
            coordinator_ahead=self.ahead,
        )

    async def gather(self, news: RequestNews | None) -> Evidence:
        """Fetches evidence about all units and the log, and remembers it; one at a time."""
        while self._gathering is not None:
            await self._gathering
        self._gathering = Signal(self.world)
        try:
            return await self._gather(news)
        finally:
            gathered, self._gathering = self._gathering, None
            gathered.give(None)

    async def _gather(self, news: RequestNews | None) -> Evidence:
        accepted = self.disk.book.trusted
        assert accepted is not None
        evidence = await self._drive(
            gather(
                accepted.newest.units,
                self.disk.memory,
                self.disk.witness,
                accepted=accepted.newest,
                note=None if news is None else news.checkpoint,
                now=self.now,
                draw=lambda: nonce(f"{self.name} {self._draw()}"),
            )
        )
        memory = self.disk.memory
        for one in evidence.units.values():
            if one.history is not None and one.asked is not None:
                memory = memory.learned(one.history, one.asked, accepted.newest)
        book = self.disk.book.judged(evidence.histories)
        self.write(replace(self.disk, memory=memory, book=book, witness=evidence.witness))
        return evidence

    async def _drive(self, gathering: Gathering[T]) -> T:
        try:
            questions = next(gathering)
            while True:
                replies = await self.together([self.ask(question) for question in questions])
                questions = gathering.send(Replies(messages=tuple(replies), at=self.now))
        except StopIteration as done:
            result: T = done.value
            return result
