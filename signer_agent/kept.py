"""The agent's durable state: what it knows of charters, units, requests, people; what it sent."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, fields, replace

from protocol.charter import Charter
from protocol.claims import ProvenKey
from protocol.history import verify_history
from protocol.identifiers import SKI, Digest, IdentityKey, Instant, UnitId
from protocol.request import (
    Announcement,
    Filing,
    Outcome,
    Request,
    RequestState,
    open_announcement,
)
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.session.handshake import Cursor
from protocol.session.messages import (
    Accept,
    AgentNews,
    Announce,
    Cancel,
    FileRequest,
    KeyNews,
    OfferKey,
    PartNews,
    Proceed,
    Publication,
    RequestNews,
)
from protocol.signing.statements import Signed
from protocol.violations import Violation
from signer_agent.store import AgentStore
from signer_agent.trust.charters import CharterBook, Known
from signer_agent.trust.memory import GivenSignature, Memory, Seen
from signer_agent.trust.witness import Witness

MAX_REQUESTS = 20_000
MAX_OFFERS = 4_096
"""Bounds on what a coordinator can make an agent keep: requests; keys, parts, agents, of each.

Where there are more, the oldest go: so a flood of what isn't true keeps nothing true out for long.
"""


class _Charter(Struct):
    charter: Charter
    acceptances: tuple[Signed, ...]
    in_force: bool
    agreed: bool


class _Accepted(Struct):
    charter: Digest


class _Entries(Struct):
    identity: IdentityKey
    entries: tuple[Signed, ...]
    at: Instant


class Sent(Struct):
    """A publication, kept until its request has ended, and whether it was acknowledged."""

    number: int
    publication: Publication
    request: Digest | None
    acknowledged: bool


class _Filed(Struct):
    key: str
    request: int


class _Selected(Struct):
    skis: tuple[SKI, ...]


@dataclass
class Kept:
    """All of it, in memory and in the store alike: every method writes before it returns.

    What belongs together is written in one `step`.
    """

    store: AgentStore
    book: CharterBook
    memory: Memory = field(default_factory=Memory)
    witness: Witness | None = None
    cursor: Cursor | None = None
    requests: dict[int, RequestNews] = field(default_factory=dict)
    keys: dict[bytes, ProvenKey] = field(default_factory=dict)
    parts: dict[tuple[bytes, bytes], Announcement] = field(default_factory=dict)
    agents: dict[bytes, AgentNews] = field(default_factory=dict)
    sent: dict[int, Sent] = field(default_factory=dict)
    selected: tuple[SKI, ...] = ()
    filed: dict[str, int] = field(default_factory=dict)
    entries: dict[UnitId, _Entries] = field(default_factory=dict)

    @classmethod
    def load(cls, store: AgentStore, book: CharterBook) -> "Kept":
        """Everything as it was written last; `book` is the empty one of the agent's instance."""
        kept = cls(store=store, book=book)
        charters = [one for _, one in store.all("charter", _Charter)]
        accepted = store.get("single", "accepted", _Accepted)
        kept.book = replace(
            book,
            known={one.charter.digest: Known(one.charter, one.acceptances) for one in charters},
            accepted=None if accepted is None else accepted.charter,
            agreed=frozenset(one.charter.digest for one in charters if one.agreed),
            in_force=frozenset(one.charter.digest for one in charters if one.in_force),
        )
        units: dict[UnitId, Seen] = {}
        for name, one in store.all("history", _Entries):
            unit = UnitId(bytes.fromhex(name))
            kept.entries[unit] = one
            units[unit] = Seen(verify_history(one.entries, one.identity), one.at)
        given = tuple(one for _, one in store.all("given", GivenSignature))
        kept.memory = Memory(units=units, given=given)
        kept.witness = store.get("single", "witness", Witness)
        kept.cursor = store.get("single", "cursor", Cursor)
        kept.requests = {one.request.id: one for _, one in store.all("request", RequestNews)}
        kept.keys = {one.key.ski: one.key for _, one in store.all("key", KeyNews)}
        for _, part in store.all("part", PartNews):
            announcement = open_announcement(part.announcement)
            kept.parts[(announcement.custodian, announcement.vp)] = announcement
        kept.agents = {one.agent: one for _, one in store.all("agent", AgentNews)}
        kept.sent = {one.number: one for _, one in store.all("sent", Sent)}
        selected = store.get("single", "selected", _Selected)
        kept.selected = () if selected is None else selected.skis
        kept.filed = {one.key: one.request for _, one in store.all("filed", _Filed)}
        return kept

    @contextmanager
    def step(self) -> Iterator[None]:
        """All that the block changes becomes durable as one, or stays as it was, here too.

        A disk that is full says so at the end of a step: what is only remembered then must not be
        sent by the next session.
        """
        before = {
            one.name: copy(getattr(self, one.name)) for one in fields(self) if one.name != "store"
        }
        try:
            with self.store.step():
                yield
        except BaseException:
            for name, value in before.items():
                setattr(self, name, value)
            raise

    def set_book(self, book: CharterBook) -> None:
        """The charter book, where it has changed."""
        with self.store.step():
            for digest in self.book.known.keys() - book.known.keys():
                self.store.drop("charter", digest.hex())
            for digest, one in book.known.items():
                kept = _Charter(
                    charter=one.charter,
                    acceptances=one.acceptances,
                    in_force=digest in book.in_force,
                    agreed=digest in book.agreed,
                )
                before = self.book.known.get(digest)
                flags = (digest in self.book.in_force, digest in self.book.agreed)
                if before != one or flags != (kept.in_force, kept.agreed):
                    self.store.put("charter", digest.hex(), kept)
            if book.accepted is not None and book.accepted != self.book.accepted:
                self.store.put("single", "accepted", _Accepted(charter=book.accepted))
        self.book = book

    def set_memory(self, memory: Memory, fetched: dict[UnitId, _Entries]) -> None:
        """What was seen; `fetched` holds the signed entries of every unit that was learned anew."""
        with self.store.step():
            for unit, entries in fetched.items():
                self.store.put("history", unit.hex(), entries)
            known = {(one.command, one.ski) for one in self.memory.given}
            for one in memory.given:
                if (one.command, one.ski) not in known:
                    self.store.put("given", f"{one.command.hex()} {one.ski.hex()}", one)
            staying = {(one.command, one.ski) for one in memory.given}
            for one in self.memory.given:
                if (one.command, one.ski) not in staying:
                    self.store.drop("given", f"{one.command.hex()} {one.ski.hex()}")
        self.entries.update(fetched)
        self.memory = memory

    def set_witness(self, witness: Witness) -> None:
        """How far the log was followed."""
        if witness != self.witness:
            self.store.put("single", "witness", witness)
            self.witness = witness

    def set_cursor(self, cursor: Cursor) -> None:
        """How far the feed was followed."""
        self.store.put("single", "cursor", cursor)
        self.cursor = cursor

    def set_selected(self, skis: tuple[SKI, ...]) -> None:
        """Which signature keys may sign; none means all."""
        self.store.put("single", "selected", _Selected(skis=skis))
        self.selected = skis

    def know_request(self, news: RequestNews) -> None:
        """A request as it is now; what was sent for it is forgotten once it has ended.

        That it was filed is kept: its answer may have been lost, and who asks for the same again
        must not file it again.
        """
        about = self._sent_for(news.request)
        done = about if news.request.ended else []
        filed: dict[str, int] = {}
        for number in about:
            filed |= _filed_as(self.sent[number], news.request.id)
        filed = {key: number for key, number in filed.items() if key not in self.filed}
        oldest = None
        if news.request.id not in self.requests and len(self.requests) >= MAX_REQUESTS:
            oldest = self._oldest_ended()
        with self.store.step():
            if oldest is not None:
                self.store.drop("request", f"{oldest:012}")
            self.store.put("request", f"{news.request.id:012}", news)
            for number in done:
                self.store.drop("sent", f"{number:012}")
            self._put_filed(filed)
        if oldest is not None:
            del self.requests[oldest]
        for number in done:
            del self.sent[number]
        self.filed |= filed
        self.requests[news.request.id] = news

    def know_key(self, news: KeyNews) -> None:
        """A key that somebody offered; verified."""
        if news.key.ski not in self.keys and len(self.keys) >= MAX_OFFERS:
            oldest = next(iter(self.keys))
            self.store.drop("key", oldest.hex())
            del self.keys[oldest]
        self.store.put("key", news.key.ski.hex(), news)
        self.keys[news.key.ski] = news.key

    def know_part(self, news: PartNews) -> None:
        """A part that somebody announced or withdrew; verified."""
        announcement = open_announcement(news.announcement)
        part = (announcement.custodian, announcement.vp)
        if part not in self.parts and len(self.parts) >= MAX_OFFERS:
            oldest = next(iter(self.parts))
            self.store.drop("part", _part_name(oldest))
            del self.parts[oldest]
        self.store.put("part", _part_name(part), news)
        self.parts[part] = announcement

    def know_agent(self, news: AgentNews) -> None:
        """An agent that was enrolled; the coordinator's word."""
        if news.agent not in self.agents and len(self.agents) >= MAX_OFFERS:
            oldest = next(iter(self.agents))
            self.store.drop("agent", oldest.hex())
            del self.agents[oldest]
        self.store.put("agent", news.agent.hex(), news)
        self.agents[news.agent] = news

    def keep_sent(self, publication: Publication, request: Digest | None) -> Sent:
        """A publication that is to be sent until it is acknowledged.

        Violation for one that no coordinator would take: it would end every session.
        """
        from_bytes(type(publication), to_bytes(publication))
        number = max(self.sent, default=0) + 1
        sent = Sent(number=number, publication=publication, request=request, acknowledged=False)
        self.store.put("sent", f"{number:012}", sent)
        self.sent[number] = sent
        return sent

    def acknowledged(self, sent: Sent, request: int | None) -> None:
        """The coordinator has it. A filing's idempotency key stands for its request ever after."""
        there = sent.but(acknowledged=True)
        filed = _filed_as(sent, request)
        with self.store.step():
            if sent.number in self.sent:
                self.store.put("sent", f"{sent.number:012}", there)
            self._put_filed(filed)
        if sent.number in self.sent:
            self.sent[sent.number] = there
        self.filed |= filed

    def _put_filed(self, filed: dict[str, int]) -> None:
        for key, number in filed.items():
            name = hashlib.sha256(key.encode()).hexdigest()
            self.store.put("filed", name, _Filed(key=key, request=number))

    def forget_sent(self, number: int) -> None:
        """It was refused: nothing to send again."""
        self.store.drop("sent", f"{number:012}")
        self.sent.pop(number, None)

    def lost(self) -> None:
        """The coordinator has another store: everything is sent again, the feed read anew."""
        again = {number: one.but(acknowledged=False) for number, one in self.sent.items()}
        with self.store.step():
            for number, one in again.items():
                self.store.put("sent", f"{number:012}", one)
        self.sent = again

    def moved(self, version: int) -> None:
        """Another coordinator, with another log, from this version of the charter on.

        What was asked of the one before ends here; copies that were signed there can still run
        until they expire, and are shown so. Of what was sent to it, only what doesn't belong to a
        request is sent to the new one.
        """
        why = f"version {version} of the charter names another coordinator; it knows nothing of it"
        ended = {
            number: news.but(request=_superseded(news.request, why))
            for number, news in self.requests.items()
            if not news.request.ended
        }
        gone = [
            number
            for number, one in self.sent.items()
            if not isinstance(one.publication, OfferKey | Announce | Accept)
        ]
        with self.store.step():
            for number, news in ended.items():
                self.store.put("request", f"{number:012}", news)
            for number in gone:
                self.store.drop("sent", f"{number:012}")
            self.lost()
        self.requests |= ended
        for number in gone:
            self.sent.pop(number, None)

    def _oldest_ended(self) -> int:
        """The oldest request that has ended; Violation where all are open."""
        ended = (number for number, one in self.requests.items() if one.request.ended)
        number = min(ended, default=None)
        if number is None:
            raise Violation(f"more than {MAX_REQUESTS} open requests")
        return number

    def _sent_for(self, request: Request) -> list[int]:
        """The filing of a request, and what was given or said about it."""
        about = None if request.opening is None else request.opening.digest
        filed = request.filing.digest

        def is_for_it(one: Sent) -> bool:
            match one.publication:
                case FileRequest() as filing:
                    return filing_of(filing) == request.filing
                case Cancel(filing=filing) | Proceed(filing=filing):
                    return filing == filed
                case _:
                    return about is not None and one.request == about

        return [number for number, one in self.sent.items() if is_for_it(one)]


def _filed_as(sent: Sent, request: int | None) -> dict[str, int]:
    """The idempotency key of what was sent, if it is a filing with one, and its request's id."""
    publication = sent.publication
    if not isinstance(publication, FileRequest) or not publication.idempotency_key:
        return {}
    if request is None:
        raise Violation("a filing without a request")
    return {publication.idempotency_key: request}


def _superseded(request: Request, why: str) -> Request:
    progress = tuple(
        one.but(outcome=Outcome.SUPERSEDED) if one.open else one for one in request.progress
    )
    if request.state is RequestState.PARTLY_EXECUTED:
        return request.but(progress=progress, why=why)
    return request.but(progress=progress, state=RequestState.SUPERSEDED, why=why)


def filing_of(publication: FileRequest) -> Filing:
    """What a publication of this agent's files."""
    return from_bytes(Filing, publication.filing.statement)


def _part_name(part: tuple[bytes, bytes]) -> str:
    custodian, vp = part
    return f"{custodian.hex()} {vp.hex()}"


def entries_of(identity: IdentityKey, entries: tuple[Signed, ...], at: Instant) -> _Entries:
    """A unit's signed history, to be kept."""
    return _Entries(identity=identity, entries=entries, at=at)
