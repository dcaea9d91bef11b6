"""What one transaction changes, and what is known without looking into the database.

Only the ledger changes requests, charters, the log and the feed. So what of them is needed all the
time is in memory, as it is durable (`Known`); a transaction sees it with what it changes itself
(`Gathered`), and what it gathered takes its place once it is committed.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from coordinator.steps import Write, write_of
from coordinator.store import feed, people, record, requests
from coordinator.store.connection import Connection
from coordinator.store.people import KnownCharter
from coordinator.workflow.course import decide
from coordinator.workflow.events import Event
from protocol.charter import Chain, Charter
from protocol.displayable import InstanceName
from protocol.identifiers import Digest, IdentityKey, Instant
from protocol.record.entries import Entry, EntryKind, Salt, SaltedEntry
from protocol.record.operations import Ending
from protocol.record.tree import Frontier
from protocol.refusals import Refusal
from protocol.request import Request, RequestState
from protocol.schema import Struct, to_bytes
from protocol.session.messages import News, RequestNews


class Standing:
    """The requests that have not ended, or some that were looked at, by what they are asked for."""

    def __init__(self, some: Iterable[Request] = ()) -> None:
        self._by_id: dict[int, Request] = {}
        self._opened: dict[Digest, int] = {}
        for request in some:
            self.put(request)

    def __iter__(self) -> Iterator[Request]:
        return iter([self._by_id[number] for number in sorted(self._by_id)])

    def put(self, request: Request) -> None:
        """The request is like this now."""
        self._by_id[request.id] = request
        if request.opening is not None:
            self._opened[request.opening.digest] = request.id

    def drop(self, request: Request) -> None:
        """The request isn't one of them any more."""
        self._by_id.pop(request.id, None)
        if request.opening is not None:
            self._opened.pop(request.opening.digest, None)

    def get(self, number: int) -> Request | None:
        """The one with this id."""
        return self._by_id.get(number)

    def opened(self, digest: Digest) -> Request | None:
        """The one with this request digest."""
        number = self._opened.get(digest)
        return None if number is None else self._by_id[number]


@dataclass
class Known:
    """What is durable.

    `log` is how far the log has grown, `told` the feed's newest position, `newest` the newest
    request's id. `charters` are all that were proposed, by number; `standing` the requests that
    have not ended.
    """

    log: Frontier
    told: int
    newest: int
    charters: Sequence[KnownCharter]
    standing: Standing

    @classmethod
    async def read(cls, connection: Connection, instance: InstanceName) -> "Known":
        """As this transaction finds it."""
        return cls(
            log=await record.frontier(connection),
            told=await feed.end(connection, instance),
            newest=await requests.highest(connection),
            charters=await people.all_charters(connection, instance),
            standing=Standing(await requests.not_ended(connection, instance)),
        )

    @property
    def in_force(self) -> Charter | None:
        """The newest version in force."""
        return in_force(self.charters)

    def after(self, gathered: "Gathered") -> "Known":
        """What is known once this is committed."""
        for request in gathered.requests:
            if request.ended:
                self.standing.drop(request)
            else:
                self.standing.put(request)
        return Known(gathered.log, gathered.told, gathered.newest, gathered.charters, self.standing)


def in_force(known: Sequence[KnownCharter]) -> Charter | None:
    """The newest of these versions that is in force."""
    return next((one.charter for one in reversed(known) if one.in_force), None)


class Gathered:
    """What one transaction has changed; what it logs and tells is gathered until it is written.

    Of each subject only the newest news are written, and of each request only what it is at the
    end: nobody could have seen the others.
    """

    def __init__(self, connection: Connection, instance: InstanceName, known: Known) -> None:
        self.connection = connection
        self.instance = instance
        self.known = known
        self.log = known.log
        self.told = known.told
        self.newest = known.newest
        self.charters = known.charters
        self.requests = Standing()
        self.items: list[feed.Item] = []
        self.writes: set[Write] = set()
        self.entries: list[SaltedEntry] = []
        self.endings: list[SaltedEntry] = []
        self.news: dict[str, News] = {}
        self._added: list[tuple[Request, str | None]] = []
        self._saved: dict[int, Request] = {}

    def add(self, request: Request, idempotency: str | None) -> None:
        """A new request."""
        self.newest = request.id
        self.requests.put(request)
        self._added.append((request, idempotency))

    def save(self, request: Request) -> None:
        """A request that was stored before has changed."""
        self.requests.put(request)
        self._saved[request.id] = request

    async def write_down(self) -> None:
        """Writes what was gathered so far."""
        added, saved, news = self._added, self._saved, self.news
        entries = [*self.entries, *self.endings]
        self._added, self._saved, self.news, self.entries, self.endings = [], {}, {}, [], []
        _, _, self.log, items = await asyncio.gather(  # on their way together, done in this order
            requests.add(self.connection, added),
            requests.save(self.connection, saved.values()),
            record.append(self.connection, self.log, entries),
            feed.tell(self.connection, self.instance, self.told, news),
        )
        self.items += items
        if self.items:
            self.told = self.items[-1].position


@dataclass
class Change:
    """What is changed in a transaction. `log_key` is our log's."""

    connection: Connection
    instance: InstanceName
    at: Instant
    salt: Callable[[], Salt]
    log_key: IdentityKey
    gathered: Gathered

    def log(self, kind: EntryKind, body: Struct | bytes) -> None:
        """Appends to the log what has happened."""
        self.gathered.entries.append(self._entry(kind, body))
        self.writes(write_of(kind))

    def _entry(self, kind: EntryKind, body: Struct | bytes) -> SaltedEntry:
        data = body if isinstance(body, bytes) else to_bytes(body)
        entry = Entry(instance=self.instance, at=self.at, kind=kind, body=data)
        return SaltedEntry(salt=self.salt(), entry=entry)

    def writes(self, what: Write) -> None:
        """Says what is written; log entries say it by themselves."""
        self.gathered.writes.add(what)

    async def tell(self, news: News) -> None:
        """Puts news at the end of the feed."""
        subject = feed.subject_of(news)
        self.gathered.news.pop(subject, None)
        self.gathered.news[subject] = news

    async def told(self, subjects: str) -> int:
        """How many subjects of the feed begin so."""
        await self.gathered.write_down()
        return await feed.count(self.connection, self.instance, subjects)

    async def written(self) -> Connection:
        """The connection, once everything so far is written: to look for requests by other means.

        By anything but what `request` and `opened` look for.
        """
        await self.gathered.write_down()
        return self.connection

    async def request(self, number: int) -> Request | None:
        """The request with this id."""
        return (
            self.gathered.requests.get(number)
            or self.gathered.known.standing.get(number)
            or await requests.get(self.connection, number)
        )

    async def opened(self, digest: Digest) -> Request | None:
        """The opened request with this request digest."""
        return (
            self.gathered.requests.opened(digest)
            or self.gathered.known.standing.opened(digest)
            or await requests.by_digest(self.connection, digest)
        )

    def next_id(self) -> int:
        """The id of the next request."""
        return self.gathered.newest + 1

    async def begin_after(self, number: int) -> None:
        """The first request gets the id after this one; where there is a request, none changes."""
        await requests.begin_after(self.connection, number)
        self.gathered.newest = await requests.highest(self.connection)

    def not_ended(self) -> Sequence[Request]:
        """All requests that have not ended, by id."""
        newest = {one.id: one for one in (*self.gathered.known.standing, *self.gathered.requests)}
        return [newest[number] for number in sorted(newest) if not newest[number].ended]

    async def add(self, request: Request, idempotency: str | None) -> None:
        """A new request."""
        self.gathered.add(request, idempotency)
        await self.tell(RequestNews(request=request, checkpoint=None))

    async def save(self, request: Request) -> None:
        """A request that has changed. Its end is logged, after what ended it."""
        before = await self.request(request.id)
        if request.ended and (before is None or _end_of(before) != _end_of(request)):
            body = Ending(filing=request.filing.digest, state=request.state, why=request.why)
            self.gathered.endings.append(self._entry(EntryKind.ENDING, body))
        self.gathered.save(request)
        note = None
        if request.opening is not None:
            note = await record.checkpoint(self.connection, request.opening.checkpoint)
        await self.tell(RequestNews(request=request, checkpoint=note))

    async def apply(self, request: Request, event: Event) -> Request | Refusal:
        """What the event makes of the request; saved when something changed."""
        changed = await self.preview(request, event)
        if isinstance(changed, Request) and changed != request:
            await self.save(changed)
        return changed

    async def preview(self, request: Request, event: Event) -> Request | Refusal:
        """What the event would make of the request; nothing is saved."""
        charter = self.charter_of(request)
        if charter is None:
            raise AssertionError("a request is only filed under a charter in force")
        return decide(request, event, charter, at=self.at)

    def charter_of(self, request: Request) -> Charter | None:
        """The version that a request was opened under; before that, the newest in force."""
        if request.opening is None:
            return self.in_force()
        return self.charter(request.opening.charter)

    def charter(self, digest: Digest) -> Charter | None:
        """The version with this digest, in force or not."""
        return next((one.charter for one in self.gathered.charters if one.digest == digest), None)

    def charters(self) -> Sequence[KnownCharter]:
        """Every version that was proposed, by number."""
        return self.gathered.charters

    def in_force(self) -> Charter | None:
        """The newest version in force."""
        return in_force(self.gathered.charters)

    async def propose(self, charter: Charter) -> bool:
        """Stores a proposed version; False when it was there."""
        new = await people.add_charter(self.connection, charter)
        await self._read_charters()
        return new

    async def set_in_force(self, charter: Charter) -> None:
        """The version has come into force."""
        await people.set_in_force(self.connection, charter.digest)
        await self._read_charters()

    async def _read_charters(self) -> None:
        self.gathered.charters = await people.all_charters(self.connection, self.instance)

    def chain_to(self, charter: Digest) -> Chain | None:
        """The versions from the first up to this one; None when one of them isn't known."""
        by_digest = {one.digest: one.charter for one in self.gathered.charters}
        versions: list[Charter] = []
        wanted: Digest | None = charter
        while wanted is not None:
            version = by_digest.get(wanted)
            if version is None:
                return None
            versions.append(version)
            wanted = version.previous
        return Chain(reversed(versions))


def _end_of(request: Request) -> RequestState | None:
    return request.state if request.ended else None
