"""The one way in which anything changes: stored, logged and put into the feed in one transaction.

async with_change(change) ->
    begin; result = change(Change), which saves; append to the log; tell; commit
    then: push the news, wake the pursuit

Changes that are committed together are logged and told together, in their order.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from coordinator.engine.hub import Hub
from coordinator.steps import STORED, Write, write_of
from coordinator.store import feed, people, record, requests, singles
from coordinator.store.connection import Connection
from coordinator.store.database import Database
from coordinator.workflow.course import decide
from coordinator.workflow.events import Event
from protocol.charter import Chain, Charter
from protocol.displayable import InstanceName
from protocol.identifiers import Digest, IdentityKey, Instant
from protocol.record.checkpoints import Checkpoint, log_origin, sign_checkpoint
from protocol.record.entries import Entry, EntryKind, Salt, SaltedEntry
from protocol.record.operations import Ending
from protocol.refusals import Refusal
from protocol.request import Request, RequestState
from protocol.schema import Struct, to_bytes
from protocol.session.messages import News, RequestNews
from protocol.signing.statements import Sign
from quorate.crash_points import crash_point

T = TypeVar("T")
EPOCH = "epoch"


@dataclass(frozen=True)
class OwnKeys:
    """The coordinator's identity key and log key, with what signs by them."""

    identity: IdentityKey
    sign: Sign
    log: IdentityKey
    sign_log: Sign


@dataclass
class Gathered:
    """What the changes of one transaction log and tell, until it is written down.

    Of each subject only the newest news are written, and of each request only what it is at the
    end: nobody could have seen the others.
    """

    connection: Connection
    instance: InstanceName
    requests: dict[int, Request] = field(default_factory=dict)
    saved: dict[int, Request] = field(default_factory=dict)
    entries: list[SaltedEntry] = field(default_factory=list)
    endings: list[SaltedEntry] = field(default_factory=list)
    news: dict[str, News] = field(default_factory=dict)
    items: list[feed.Item] = field(default_factory=list)
    writes: set[Write] = field(default_factory=set)

    async def write_down(self) -> None:
        """Writes what was gathered so far."""
        saved, entries, news = self.saved, [*self.entries, *self.endings], self.news
        self.saved, self.entries, self.endings, self.news = {}, [], [], {}
        await requests.save(self.connection, saved.values())
        await record.append(self.connection, entries)
        self.items += await feed.tell(self.connection, self.instance, news)


@dataclass
class Change:
    """What one transaction is about to change. `log_key` is our log's."""

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
        known = self.gathered.requests.get(number)
        return known or self._know(await requests.get(self.connection, number))

    async def opened(self, digest: Digest) -> Request | None:
        """The opened request with this request digest."""
        for known in self.gathered.requests.values():
            if known.opening is not None and known.opening.digest == digest:
                return known
        return self._know(await requests.by_digest(self.connection, digest))

    def _know(self, request: Request | None) -> Request | None:
        if request is not None:
            self.gathered.requests[request.id] = request
        return request

    async def add(self, request: Request, idempotency: str | None) -> None:
        """A new request."""
        await requests.add(self.connection, request, idempotency)
        self.gathered.requests[request.id] = request
        await self.tell(RequestNews(request=request, checkpoint=None))

    async def save(self, request: Request) -> None:
        """A request that has changed. Its end is logged, after what ended it."""
        before = self.gathered.requests.get(request.id)
        if request.ended and (before is None or _end_of(before) != _end_of(request)):
            body = Ending(filing=request.filing.digest, state=request.state, why=request.why)
            self.gathered.endings.append(self._entry(EntryKind.ENDING, body))
        self.gathered.requests[request.id] = self.gathered.saved[request.id] = request
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
        charter = await self.charter_of(request)
        if charter is None:
            raise AssertionError("a request is only filed under a charter in force")
        return decide(request, event, charter, at=self.at)

    async def charter_of(self, request: Request) -> Charter | None:
        """The version that a request was opened under; before that, the newest in force."""
        if request.opening is None:
            return await self.in_force()
        return await people.charter(self.connection, request.opening.charter)

    async def in_force(self) -> Charter | None:
        """The newest version in force."""
        newest = await people.newest_in_force(self.connection, self.instance)
        return None if newest is None else newest.charter

    async def chain_to(self, charter: Digest) -> Chain | None:
        """The versions from the first up to this one; None when one of them isn't known."""
        known = await people.all_charters(self.connection, self.instance)
        by_digest = {one.digest: one.charter for one in known}
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


class Ledger:
    """The store of one instance, with its log and its feed."""

    def __init__(
        self,
        database: Database,
        instance: InstanceName,
        keys: OwnKeys,
        *,
        now: Callable[[], Instant],
        entropy: Callable[[int], bytes],
    ) -> None:
        self.database = database
        self.instance = instance
        self.keys = keys
        self.hub = Hub()
        self.now = now
        self.entropy = entropy
        self.rolled_back = False
        """Whether an agent has seen more of the log than it holds: nothing runs then."""
        self.wake: Callable[[], None] = lambda: None
        self._told = 0  # how much news there were since the start
        self._gathered: Gathered | None = None
        self._not_ended: dict[int, Request] | None = None
        database.at_the_end = self._write_down

    async def change(self, work: Callable[[Change], Awaitable[T]]) -> T:
        """Runs `work` and stores, logs and tells what it changed; then pushes the news."""

        return await self.database.write(lambda connection: work(self.within(connection)))

    def within(self, connection: Connection) -> Change:
        """A change within a transaction that was begun for something else."""
        return Change(
            connection=connection,
            instance=self.instance,
            at=self.now(),
            salt=lambda: Salt(self.entropy(32)),
            log_key=self.keys.log,
            gathered=self._gathering(connection),
        )

    def _gathering(self, connection: Connection) -> Gathered:
        """What this transaction has gathered. Every transaction has a connection of its own."""
        if self._gathered is None or self._gathered.connection is not connection:
            self._gathered = Gathered(connection, self.instance)
        return self._gathered

    async def _write_down(self, connection: Connection) -> Callable[[], None]:
        """The last step of a transaction; what it gives is called once all of it is durable."""
        gathered = self._gathering(connection)
        self._gathered = None
        await gathered.write_down()
        writes = gathered.writes or {Write.OTHER}
        for write in writes:
            crash_point(write.before_commit)

        def committed() -> None:
            for write in writes:
                crash_point(write.after_commit)
            self._know(gathered.requests)
            self._push(gathered.items)

        return committed

    async def not_ended(self) -> Sequence[Request]:
        """All requests that have not ended, by id: read once, then followed as they change."""

        async def read(connection: Connection) -> Sequence[Request]:
            return await requests.not_ended(connection, self.instance)

        while self._not_ended is None:
            told = self._told
            found = await self.database.read(read)
            if self._told == told:
                self._not_ended = {request.id: request for request in found}
        return [self._not_ended[number] for number in sorted(self._not_ended)]

    def _know(self, changed: Mapping[int, Request]) -> None:
        if self._not_ended is None:
            return
        for number, request in changed.items():
            if request.ended:
                self._not_ended.pop(number, None)
            else:
                self._not_ended[number] = request

    def _push(self, items: list[feed.Item]) -> None:
        if items:
            crash_point(STORED)
            self._told += len(items)
            self.hub.tell(items)
            self.wake()

    async def epoch(self) -> bytes:
        """Names this store's life: agents' cursors are good for one epoch only."""

        async def read_or_make(connection: Connection) -> bytes:
            stored = await singles.get(connection, EPOCH)
            if stored is None:
                stored = self.entropy(16)
                await singles.put(connection, EPOCH, stored)
            return stored

        return await self.database.write(read_or_make)

    async def new_epoch(self) -> bytes:
        """Another epoch: every agent reads the feed anew, and sends again what we lack."""
        epoch = self.entropy(16)
        await self.database.write(lambda connection: singles.put(connection, EPOCH, epoch))
        return epoch

    async def checkpoint(self, connection: Connection) -> tuple[bytes, int, Digest]:
        """Signs and keeps a checkpoint of the log as it is in this transaction."""
        await self._gathering(connection).write_down()
        grown = await record.frontier(connection)
        checkpoint = Checkpoint(origin=log_origin(self.keys.log), size=grown.size, root=grown.root)
        note = sign_checkpoint(checkpoint, public_key=self.keys.log, sign=self.keys.sign_log)
        digest = await record.add_checkpoint(connection, note, grown.size)
        return note, grown.size, digest
