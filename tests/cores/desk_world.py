"""A service instance around one desk: units, a log and a coordinator's answers, all in memory.

The coordinator here is honest unless a test bends what it says. It opens requests, answers an
agent's questions, and collects signatures; it has no queue.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hsm_backend.unit import machine
from protocol.charter import Charter, Floor
from protocol.commands.bodies import Body, ExportKey, LoadNewRegister
from protocol.commands.command import ReceiverProof
from protocol.identifiers import Bytes32, Duration, Instant, Nonce, UnitId
from protocol.record.checkpoints import Checkpoint, checkpoint_digest, log_origin, sign_checkpoint
from protocol.record.entries import Entry, EntryKind, Salt, SaltedEntry, entry_leaf
from protocol.record.tree import Frontier, Hash, NodeId, consistency_path, leaf_hash, root
from protocol.refusals import Refusal, Rule, refuse
from protocol.report.evidence import LogItem, OtherEntry, OwnEntry
from protocol.request import (
    DEFAULT_VALIDITY,
    Filing,
    Opening,
    Outcome,
    Request,
    RequestState,
    Target,
    TargetProgress,
)
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.sealing.contribution import vp_of
from protocol.sealing.copies import receivers_of
from protocol.sealing.importer import ImporterKey
from protocol.session.messages import (
    HISTORY_PAGE,
    Approve,
    Consistency,
    Contribute,
    HistoryPage,
    Refused,
    RequestNews,
    States,
)
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.standing import needed_by_people
from signer_agent.desk.review import Review, review
from signer_agent.desk.seat import HeldKey, HeldPart, Seat
from signer_agent.objections import Objection
from signer_agent.trust.charters import CharterBook
from signer_agent.trust.evidence import (
    AskConsistency,
    AskHistory,
    AskStates,
    Evidence,
    Gathering,
    Question,
    Replies,
    Reply,
    gather,
)
from signer_agent.trust.memory import Memory
from signer_agent.trust.witness import Witness, with_log
from tests.cast.charters import accepts, instance
from tests.cast.commands import NOON
from tests.cast.keys import noise, signature_key
from tests.cast.people import INSTANCE, Custodian, approval
from tests.cast.units import CastUnit

T = TypeVar("T")
LOG = signature_key("log")


class Log:
    """A Merkle log that signs its checkpoints."""

    def __init__(self, title: str = "log") -> None:
        self.key = signature_key(title)
        self.frontier = Frontier.empty()
        self.nodes: dict[NodeId, Hash] = {}
        self.items: list[LogItem] = []
        self.append("begun")

    def append(self, entry: str) -> None:
        """An entry of another instance, as far as anybody here knows."""
        self._append(OtherEntry(leaf=leaf_hash(entry.encode())))

    def record(self, kind: EntryKind, body: Struct) -> None:
        """An entry of this instance."""
        salt = Salt(Bytes32(noise(f"salt {len(self.items)}")))
        entry = Entry(instance=INSTANCE, at=NOON, kind=kind, body=to_bytes(body))
        self._append(OwnEntry(salted=SaltedEntry(salt=salt, entry=entry)))

    def _append(self, item: LogItem) -> None:
        leaf = entry_leaf(item.salted) if isinstance(item, OwnEntry) else item.leaf
        self.items.append(item)
        self.frontier, made = self.frontier.append(leaf)
        self.nodes |= {node.id: node.hash for node in made}

    def note(self, size: int | None = None) -> bytes:
        """The signed checkpoint at this size, the newest one unless said."""
        size = self.frontier.size if size is None else size
        checkpoint = Checkpoint(
            origin=log_origin(self.key.identity),
            size=size,
            root=root(size, self.nodes.__getitem__),
        )
        return sign_checkpoint(checkpoint, public_key=self.key.identity, sign=self.key.sign)

    def consistency(self, size: int) -> Consistency | Refused:
        """What an honest coordinator answers."""
        if size > self.frontier.size:
            refusal = refuse(Rule.LOG_SHORTER, expected=f"at most {self.frontier.size}", found=size)
            return Refused(ref=0, refusal=refusal)
        path = consistency_path(size, self.frontier.size, self.nodes.__getitem__)
        return Consistency(ref=0, checkpoint=self.note(), proof=path)


class World:
    """An instance with people, units and a coordinator; `now` is everybody's clock."""

    def __init__(self, people: int = 3, units: int = 2) -> None:
        self.charter, self.people, self.units = instance(people, units)
        if self.charter.alone:
            floor = Floor(signatures=1, revocations=1, exit_people=1)
            self.charter = self.charter.but(floor=floor)
            for unit in self.units:
                unit.charter = self.charter.digest
        self.now: Instant = NOON
        self.log = Log()
        self.out_of_reach: set[UnitId] = set()
        self.requests = 0
        self._nonces = 0

    # --- the coordinator ------------------------------------------------------------------------

    def answer(self, question: Question) -> Reply:
        """What an honest coordinator answers."""
        match question:
            case AskStates(units=wanted, nonce=nonce):
                answers = [
                    machine.answer_state(unit.identity, unit.memory, (nonce,), self.now)
                    for unit in self.units
                    if unit.id in wanted and unit.id not in self.out_of_reach
                ]
                return States(ref=0, answers=tuple(answers))
            case AskHistory(unit=wanted_unit, after=after):
                entries = self.unit(wanted_unit).entries[after : after + HISTORY_PAGE]
                return HistoryPage(ref=0, entries=tuple(entries))
            case AskConsistency(size=size):
                return self.log.consistency(size)

    def drive(
        self, gathering: Gathering[T], answer: Callable[[Question], Reply] | None = None
    ) -> T:
        """Runs a gathering to its end."""
        answer = answer or self.answer
        try:
            questions = next(gathering)
            while True:
                replies = tuple(answer(question) for question in questions)
                questions = gathering.send(Replies(messages=replies, at=self.now))
        except StopIteration as done:
            result: T = done.value
            return result

    def filing(
        self,
        body: Body,
        *,
        by: Custodian | None = None,
        targets: Sequence[CastUnit] | None = None,
        **changes: Any,
    ) -> Filing:
        who = by or self.people[0]
        fields: dict[str, Any] = {
            "instance": INSTANCE,
            "purpose": "First initialisation, ticket CER-12",
            "custodian": who.agent,
            "account": None,
            "step": None,
            "voids": None,
            "valid_for": DEFAULT_VALIDITY,
            "leave_out": False,
            "at": self.now,
            "nonce": self.nonce(),
            "targets": tuple(sorted(unit.id for unit in targets or self.units)),
        }
        return Filing(body=body, **(fields | changes))

    def open(
        self,
        body: Body,
        *,
        by: Custodian | None = None,
        targets: Sequence[CastUnit] | None = None,
        filing: Filing | None = None,
        charter: Charter | None = None,
        **changes: Any,
    ) -> RequestNews:
        """A request that people are asked about; `changes` bend its opening."""
        who = by or self.people[0]
        filing = filing or self.filing(body, by=who, targets=targets)
        self.requests += 1
        self.log.append(f"request {self.requests}")
        note = self.log.note()
        fields: dict[str, Any] = {
            "filing": filing.digest,
            "charter": (charter or self.charter).digest,
            "practice": True,
            "targets": filing.targets,
            "left_out": (),
            "checkpoint": checkpoint_digest(note),
            "not_before": self.now,
            "not_after": Instant(self.now + filing.valid_for),
            "nonce": self.nonce(),
        }
        opening = Opening(**(fields | changes))
        signature = None
        if filing.custodian is not None:
            signature = sign_statement(Label.FILING, filing, who.identity.sign).signature
        request = Request(
            id=self.requests,
            filing=filing,
            signature=signature,
            state=RequestState.COLLECTING,
            opening=opening,
            progress=tuple(self._progress(opening, filing, unit) for unit in opening.targets),
            rejections=(),
            proceed=False,
            filed=filing.at,
            changed=self.now,
            why="",
        )
        return RequestNews(request=request, checkpoint=note)

    def _progress(self, opening: Opening, filing: Filing, unit: UnitId) -> TargetProgress:
        cast = self.unit(unit)
        importer: ImporterKey | None = None
        if isinstance(filing.body, LoadNewRegister):
            importer = cast.importer_key(opening.digest)
        receivers: tuple[ReceiverProof, ...] = ()
        sealed_to = None if importer is None else importer.digest
        if isinstance(filing.body, ExportKey):
            receivers = tuple(self.unit(one).proof(opening.digest) for one in filing.body.receivers)
            keys = (from_bytes(ImporterKey, one.importer.statement) for one in receivers)
            sealed_to = receivers_of(tuple(keys)).digest
        needed = needed_by_people(filing.body, cast.state, self.charter)
        return TargetProgress(
            target=Target(
                unit=unit,
                incarnation=cast.memory.incarnation,
                version=cast.memory.version,
                state=cast.memory.state_digest,
                importer=sealed_to,
            ),
            state=cast.state,
            needed=0 if isinstance(needed, Refusal) else needed,
            importer=None if importer is None else self.signed_importer(cast, importer),
            receivers=receivers,
            approvals=(),
            contributions=(),
            outcome=Outcome.OPEN,
            receipt=None,
            refusal=None,
            reachable=True,
        )

    def signed_importer(self, unit: CastUnit, importer: ImporterKey) -> Signed:
        return sign_statement(Label.IMPORTER_KEY, importer, unit.key.sign)

    def signed_by(self, news: RequestNews, *people: Custodian) -> RequestNews:
        """The request with these people's signatures on every target."""
        progress = [
            one.but(
                approvals=(
                    *one.approvals,
                    *(approval(who.key, news.request.command(one.target)) for who in people),
                )
            )
            for one in news.request.progress
        ]
        return news.but(request=news.request.but(progress=tuple(progress)))

    def with_approvals(self, news: RequestNews, sent: Approve) -> RequestNews:
        """The request after an agent's approval came in."""
        given = {one.unit: one.approval for one in sent.approvals}
        return self.each(
            news,
            lambda one: (
                one.but(approvals=(*one.approvals, given[one.unit])) if one.unit in given else one
            ),
        )

    def with_parts(self, news: RequestNews, sent: Contribute) -> RequestNews:
        """The request after an agent's key part came in."""
        given = {one.unit: one.contribution for one in sent.contributions}
        return self.each(
            news,
            lambda one: (
                one.but(contributions=(*one.contributions, given[one.unit]))
                if one.unit in given
                else one
            ),
        )

    def each(
        self, news: RequestNews, change: Callable[[TargetProgress], TargetProgress]
    ) -> RequestNews:
        progress = tuple(change(one) for one in news.request.progress)
        return news.but(request=news.request.but(progress=progress))

    def unit(self, unit: UnitId) -> CastUnit:
        return next(one for one in self.units if one.id == unit)

    def nonce(self) -> Nonce:
        self._nonces += 1
        return Nonce(noise(f"desk nonce {self._nonces}"))

    def pass_time(self, milliseconds: int) -> None:
        self.now = Instant(self.now + milliseconds)
        for unit in self.units:
            unit.now = self.now

    # --- the units ------------------------------------------------------------------------------

    def initialise(self, *, signatures: int = 2, revocations: int = 2) -> None:
        """All people are administrators of all units, which leave imprint mode."""
        for unit in self.units:
            unit.leave_imprint(self.people, signatures=signatures, revocations=revocations)


class Desk:
    """One custodian's desk in a world: their book, memory and witness, as an agent keeps them."""

    def __init__(
        self,
        world: World,
        who: Custodian,
        *,
        parts: Sequence[tuple[str, bytes]] = (),
        keys: int | None = None,
    ) -> None:
        self.world, self.who = world, who
        self.book = CharterBook(instance=INSTANCE, practice=True)
        self.memory = Memory()
        self.witness: Witness = with_log(None, LOG.identity)
        self.ahead = Duration(0)
        self.keys = tuple(HeldKey(ski=key.ski, file=f"{who.name}.sig") for key in who.keys[:keys])
        self.parts = tuple(
            HeldPart(vp=vp_of(value), name=name, file=f"{name}.part") for name, value in parts
        )

    def accept(self, charter: Charter, *, others: Sequence[Custodian] = ()) -> None:
        """This person's Yes; and the others', as the feed tells them."""
        book = self.book.heard(charter, tuple(accepts(one, charter) for one in others))
        accepted = book.accept(charter.digest, accepts(self.who, charter))
        assert not isinstance(accepted, Objection), accepted
        self.book = accepted
        self.look()

    def look(self) -> Evidence:
        """Gathers evidence of all units, and remembers it as an agent does."""
        return self.gather(None)

    def gather(
        self,
        news: RequestNews | None,
        answer: Callable[[Question], Reply] | None = None,
    ) -> Evidence:
        trusted = self.book.trusted
        accepted = None if trusted is None else trusted.newest
        charter = accepted or self.world.charter
        evidence = self.world.drive(
            gather(
                charter.units,
                self.memory,
                self.witness,
                accepted=accepted,
                note=None if news is None else news.checkpoint,
                now=self.world.now,
                draw=self.world.nonce,
            ),
            answer,
        )
        for one in evidence.units.values():
            if one.history is not None and one.asked is not None:
                self.memory = self.memory.learned(one.history, one.asked, accepted)
        self.witness = evidence.witness
        self.book = self.book.judged(evidence.histories)
        return evidence

    @property
    def seat(self) -> Seat:
        return Seat(
            me=self.who.name,
            agent=self.who.agent,
            book=self.book,
            memory=self.memory,
            keys=self.keys,
            parts=self.parts,
            coordinator_ahead=self.ahead,
        )

    def review(
        self,
        news: RequestNews,
        answer: Callable[[Question], Reply] | None = None,
    ) -> Review | Objection:
        """What this desk makes of a request."""
        evidence = self.gather(news, answer)
        return review(news, self.seat, evidence, self.world.now)

    def reviewed(self, news: RequestNews) -> Review:
        found = self.review(news)
        assert isinstance(found, Review), found
        return found

    def objection(
        self,
        news: RequestNews,
        answer: Callable[[Question], Reply] | None = None,
    ) -> Objection:
        found = self.review(news, answer)
        assert isinstance(found, Objection), found
        return found


def world_with_desks(
    people: int = 3, units: int = 2, *, initialised: bool = True
) -> tuple[World, tuple[Desk, ...]]:
    """An instance whose charter all have accepted; out of imprint mode unless said."""
    world = World(people, units)
    desks = tuple(
        Desk(world, who, parts=[(f"{who.name} part", who.part())]) for who in world.people
    )
    for desk in desks:
        desk.accept(world.charter, others=world.people)
    if initialised:
        world.initialise()
        for desk in desks:
            desk.look()
    return world, desks
