"""A unit's own picture of key storage: each key's state, from a log that it has checked whole.

It only ever grows by what continues the log that it knows; so a database that was put back, or
forked, is found out as long as the unit has seen more than its new owner shows.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from hsm_backend.keys.inventory import EventKind, Inventory, KeyEvent, Mark, Vouched
from hsm_backend.keys.master import MasterKey
from protocol.identifiers import VP, Bytes32, Instant
from protocol.keys.operations import EventNumber, KeyId, KeyVersion
from protocol.record.tree import Frontier
from protocol.refusals import Refusal, Rule, refuse

_MAY_FOLLOW: dict[EventKind | None, frozenset[EventKind]] = {
    None: frozenset({EventKind.CREATED}),
    EventKind.CREATED: frozenset({EventKind.DELETED}),
    EventKind.DELETED: frozenset({EventKind.RESTORED, EventKind.DESTROYED}),
    EventKind.RESTORED: frozenset({EventKind.DELETED}),
    EventKind.DESTROYED: frozenset(),
}
"""What may come next in a key's life, by its newest event."""


@dataclass(frozen=True)
class KeyRecord:
    """A key: how it was made, its newest event (`event`, `kind`, `changed`) and the one before."""

    key: KeyId
    version: KeyVersion
    name: str
    made: Instant
    made_by: EventNumber
    maker: Bytes32 | None
    event: EventNumber
    kind: EventKind
    changed: Instant
    before: EventNumber | None

    @property
    def usable(self) -> bool:
        """Whether it wraps and unwraps."""
        return self.kind in (EventKind.CREATED, EventKind.RESTORED)


def followed(record: KeyRecord | None, event: KeyEvent, number: EventNumber) -> KeyRecord | None:
    """The key after the event with this number; None where its life can't go on so."""
    if event.kind not in _MAY_FOLLOW[record.kind if record is not None else None]:
        return None
    if record is None:
        return KeyRecord(
            key=event.key,
            version=event.version,
            name=event.name,
            made=event.at,
            made_by=number,
            maker=event.user,
            event=number,
            kind=event.kind,
            changed=event.at,
            before=None,
        )
    return KeyRecord(
        key=record.key,
        version=record.version,
        name=record.name,
        made=record.made,
        made_by=record.made_by,
        maker=record.maker,
        event=number,
        kind=event.kind,
        changed=event.at,
        before=record.event,
    )


class Mirror:
    """Grows by `advance`. `inventory` is None as long as no key was ever made."""

    def __init__(self, mark: Mark | None) -> None:
        """`mark` is how far the unit had seen before it was started, in its present life."""
        self._mark = mark
        self.inventory: Inventory | None = None
        self.frontier = Frontier.empty()
        self._keys: dict[KeyId, KeyRecord] = {}
        self._order: list[KeyId] = []

    def record(self, key: KeyId) -> KeyRecord | None:
        """The key; also one that was destroyed."""
        return self._keys.get(key)

    def records(self) -> Iterator[KeyRecord]:
        """All keys that were ever made, oldest first."""
        return (self._keys[key] for key in self._order)

    def page(self, after: EventNumber | None, most: int) -> tuple[list[KeyRecord], bool]:
        """Keys that aren't destroyed and were made after event `after`; whether there are more."""
        start = 0
        if after is not None:
            start = bisect_right(self._order, after, key=lambda key: self._keys[key].made_by)
        found: list[KeyRecord] = []
        for key in islice(self._order, start, None):
            record = self._keys[key]
            if record.kind is EventKind.DESTROYED:
                continue
            if len(found) == most:
                return found, True
            found.append(record)
        return found, False

    def refusal(self, found: Vouched | None, master: MasterKey) -> Refusal | None:
        """Whether the row continues what this unit knows: before its events are read."""
        if found is None:
            return nothing_is_missing(self.inventory, self._mark)
        return (
            under_our_master_key(found, master.vp)
            or vouched_for(found, master)
            or not_rolled_back(found.inventory, self.inventory, self._mark)
        )

    def advance(self, found: Inventory, events: Sequence[KeyEvent]) -> Refusal | None:
        """Takes in the events since; STORAGE_ALTERED, and nothing taken, where they don't fit.

        `found` has passed `refusal`.
        """
        frontier, roots = self.frontier, {}
        mark = self._mark
        for event in events:
            frontier, _ = frontier.append(event.leaf)
            if mark is not None and frontier.size == mark.size:
                roots[frontier.size] = frontier.root
        if (frontier.size, frontier.root) != (found.size, found.root):
            return altered(
                f"a log of {found.size} events, root {found.root.hex()[:16]}",
                f"{frontier.size}, {frontier.root.hex()[:16]}",
            )
        if mark is not None and mark.size in roots and roots[mark.size] != mark.root:
            return refuse(
                Rule.STORAGE_ROLLED_BACK,
                expected=f"after {mark.size} events root {mark.root.hex()[:16]}, as was seen",
                found=roots[mark.size].hex()[:16],
            )
        grown: dict[KeyId, KeyRecord] = {}
        made: list[KeyId] = []
        for number, event in enumerate(events, start=self.frontier.size):
            before = grown.get(event.key) or self._keys.get(event.key)
            after = followed(before, event, EventNumber(number))
            if after is None:
                return altered("events that can follow each other", f"event {number}, {event.kind}")
            if before is None:
                made.append(event.key)
            grown[event.key] = after
        self._keys |= grown
        self._order += made
        self.frontier, self.inventory = frontier, found
        return None


def nothing_is_missing(known: Inventory | None, mark: Mark | None) -> Refusal | None:
    """STORAGE_ROLLED_BACK: a storage that was seen doesn't vanish."""
    seen = known.size if known is not None else mark.size if mark is not None else 0
    if seen == 0:
        return None
    return refuse(Rule.STORAGE_ROLLED_BACK, expected=f"at least {seen} events", found="no storage")


def under_our_master_key(found: Vouched, vp: VP) -> Refusal | None:
    """OTHER_MASTER_KEY: the unit's current key is one that all keys are wrapped under."""
    if vp in found.inventory.vps:
        return None
    under = ", ".join(one.hex() for one in found.inventory.vps)
    return refuse(Rule.OTHER_MASTER_KEY, expected=under, found=vp.hex())


def vouched_for(found: Vouched, master: MasterKey) -> Refusal | None:
    """STORAGE_ALTERED: a unit with this master key wrote the row."""
    for one in found.authenticators:
        if one.vp == master.vp and master.vouched(found.inventory, one.tag):
            return None
    return altered("an inventory that a crypto unit wrote", "one that none did")


def not_rolled_back(found: Inventory, known: Inventory | None, mark: Mark | None) -> Refusal | None:
    """STORAGE_ROLLED_BACK: the storage is the one that was seen, and no shorter."""
    seen = [("since its start", known), ("before its start", mark)]
    for when, one in seen:
        if one is not None and (found.storage != one.storage or found.size < one.size):
            return refuse(
                Rule.STORAGE_ROLLED_BACK,
                expected=f"storage {one.storage.hex()}, {one.size} events or more, seen {when}",
                found=f"storage {found.storage.hex()}, {found.size} events",
            )
    if known is not None and (
        found.version < known.version or (found.version == known.version and found != known)
    ):
        return refuse(
            Rule.STORAGE_ROLLED_BACK,
            expected=f"inventory version {known.version} or later",
            found=f"{found.version}, another",
        )
    return None


def altered(expected: str, found: str) -> Refusal:
    """What was authenticated isn't what is there."""
    return refuse(Rule.STORAGE_ALTERED, expected=expected, found=found)
