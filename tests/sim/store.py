"""What the simulated coordinator has written down, and the one way in which it changes.

A change works on a copy; committing it is one assignment, so that a crash finds all or nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from coordinator.workflow.course import decide
from coordinator.workflow.events import Event
from protocol.charter import Charter
from protocol.displayable import PersonName
from protocol.history import History
from protocol.identifiers import Digest, Instant, UnitId
from protocol.record.checkpoints import Checkpoint, checkpoint_digest, log_origin, sign_checkpoint
from protocol.record.entries import Entry, EntryKind, Salt, SaltedEntry, entry_leaf
from protocol.record.tree import Frontier, Hash, NodeId, Path, consistency_path
from protocol.refusals import Refusal
from protocol.request import Request
from protocol.schema import Struct, to_bytes
from protocol.session.messages import CharterNews, News, PartNews, RequestNews
from protocol.signing.statements import Signed
from tests.cast.keys import noise, signature_key
from tests.cast.people import INSTANCE

LOG = signature_key("log")


@dataclass
class Store:
    """Everything durable: charters, requests, the feed, the log, the units' histories."""

    charters: dict[Digest, Charter] = field(default_factory=dict)
    in_force: dict[Digest, bool] = field(default_factory=dict)
    acceptances: dict[tuple[Digest, PersonName], Signed] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)
    numbers: dict[Digest, int] = field(default_factory=dict)
    """Of opened requests, by their request digest."""
    idempotency: dict[str, int] = field(default_factory=dict)
    feed: dict[str, tuple[int, News]] = field(default_factory=dict)
    histories: dict[UnitId, History] = field(default_factory=dict)
    signed_histories: dict[UnitId, tuple[Signed, ...]] = field(default_factory=dict)
    frontier: Frontier = field(default_factory=Frontier.empty)
    nodes: dict[NodeId, Hash] = field(default_factory=dict)
    checkpoints: dict[Digest, bytes] = field(default_factory=dict)
    position: int = 0

    def copy(self) -> "Store":
        """A copy that can be changed."""
        kept: dict[str, Any] = {
            name: dict(value) if isinstance(value, dict) else value
            for name, value in vars(self).items()
        }
        return Store(**kept)

    @property
    def charter(self) -> Charter | None:
        """The newest version in force."""
        standing = [self.charters[digest] for digest, ruling in self.in_force.items() if ruling]
        return max(standing, key=lambda one: one.number, default=None)

    def standing(self) -> list[Request]:
        """The requests that have not ended, by id."""
        return [self.requests[number] for number in sorted(self.requests) if not self._over(number)]

    def _over(self, number: int) -> bool:
        return self.requests[number].ended

    def opened(self, digest: Digest) -> Request | None:
        """The request with this request digest."""
        number = self.numbers.get(digest)
        return None if number is None else self.requests[number]

    def since(self, position: int) -> Iterable[tuple[int, News]]:
        """The news after a position, in order."""
        return sorted(
            (item for item in self.feed.values() if item[0] > position), key=lambda item: item[0]
        )

    def consistency(self, size: int) -> Path:
        """Proof that the log goes on from `size` entries."""
        return consistency_path(size, self.frontier.size, self.nodes.__getitem__)


@dataclass
class Change:
    """One transaction: a copy of the store, and what is told once it is committed."""

    store: Store
    at: Instant
    told: list[tuple[int, News]] = field(default_factory=list)

    def log(self, kind: EntryKind, body: Struct) -> None:
        """Appends to the log."""
        store = self.store
        entry = Entry(instance=INSTANCE, at=self.at, kind=kind, body=to_bytes(body))
        salted = SaltedEntry(salt=Salt(noise(f"salt {store.frontier.size}")), entry=entry)
        store.frontier, made = store.frontier.append(entry_leaf(salted))
        store.nodes |= {node.id: node.hash for node in made}

    def checkpoint(self) -> bytes:
        """A signed checkpoint of the log as it is now; it is kept."""
        grown = self.store.frontier
        checkpoint = Checkpoint(origin=log_origin(LOG.identity), size=grown.size, root=grown.root)
        note = sign_checkpoint(checkpoint, public_key=LOG.identity, sign=LOG.sign)
        self.store.checkpoints[checkpoint_digest(note)] = note
        return note

    def tell(self, subject: str, news: News) -> None:
        """Puts news into the feed, in place of older news of the same subject."""
        self.store.position += 1
        item = (self.store.position, news)
        self.store.feed[subject] = item
        self.told.append(item)

    def tell_charter(self, charter: Charter) -> None:
        """How far a version is."""
        digest, store = charter.digest, self.store
        signed = tuple(one for (of, _), one in store.acceptances.items() if of == digest)
        news = CharterNews(charter=charter, acceptances=signed, in_force=store.in_force[digest])
        self.tell(f"charter {digest.hex()}", news)

    def tell_part(self, signed: Signed, subject: str) -> None:
        """A part that was announced."""
        self.tell(subject, PartNews(announcement=signed))

    def save(self, request: Request) -> None:
        """A request that is new or has changed."""
        before = self.store.requests.get(request.id)
        self.store.requests[request.id] = request
        note = None
        if request.opening is not None:
            if before is None or before.opening is None:
                self.store.numbers[request.opening.digest] = request.id
            note = self.store.checkpoints[request.opening.checkpoint]
        self.tell(f"request {request.id}", RequestNews(request=request, checkpoint=note))

    def apply(self, number: int, event: Event) -> Request | Refusal:
        """What an event makes of a request; saved when something changed."""
        request = self.store.requests[number]
        charter = self.store.charter
        if request.opening is not None:
            charter = self.store.charters[request.opening.charter]
        assert charter is not None, "a request is only filed under a charter in force"
        changed = decide(request, event, charter, at=self.at)
        if isinstance(changed, Request) and changed != request:
            self.save(changed)
        return changed
