"""What a call changes in key storage: decided over the mirror, written down as one piece.

Pure: the events, the root keys to be made, and an answer for each item. Nothing is true of it until
the database has taken it.
"""

from dataclasses import dataclass, field

from hsm_backend.keys.inventory import EventKind, Inventory, KeyEvent
from hsm_backend.keys.mirror import KeyRecord, Mirror, followed
from protocol.displayable import is_printable_string, shown
from protocol.identifiers import DAY, VP, Bytes32, Duration, Instant, UnitId
from protocol.keys.answers import Item, ItemRefused, KeyState, KeyView
from protocol.keys.operations import (
    FIRST_VERSION,
    LONGEST_NAME,
    EventNumber,
    Following,
    KeyId,
    NewKey,
    StorageId,
)
from protocol.refusals import Refusal, Rule, refuse

RETENTION = Duration(30 * DAY)
"""How long a deleted key can be restored."""
MAX_KEYS = 100_000
"""Each unit keeps a record of every key in memory."""


_MORE = {EventKind.CREATED: 1, EventKind.DESTROYED: -1}
"""How many keys more have a wrap then."""


@dataclass
class Draft:
    """A change in the making. `user` is who asks, None where only time does."""

    mirror: Mirror
    unit: UnitId
    user: Bytes32 | None
    at: Instant
    events: list[KeyEvent] = field(default_factory=list)
    _changed: dict[KeyId, KeyRecord] = field(default_factory=dict)
    _more: int = 0

    def record(self, key: KeyId) -> KeyRecord | None:
        """The key, as it will be."""
        return self._changed.get(key) or self.mirror.record(key)

    def create(self, wanted: NewKey) -> Item:
        """A new key; the one that is there, where the same user asked for it before."""
        record = self.record(wanted.key)
        refusal = key_name(wanted.name)
        if refusal is None and record is not None:
            refusal = key_exists(record, wanted, self.user) or key_deleted(record)
        elif refusal is None:
            refusal = too_many_keys(self._count)
        if refusal is not None:
            return ItemRefused(refusal=refusal)
        return view(record or self._happens(wanted.key, EventKind.CREATED, wanted.name))

    def delete(self, wanted: Following) -> Item:
        """A key less; the answer is the same where this very deletion has happened already."""
        record = self.record(wanted.key)
        if record is None or record.kind is EventKind.DESTROYED:
            return ItemRefused(refusal=no_such_key(wanted.key))
        if record.kind is EventKind.DELETED and record.before == wanted.after:
            return view(record)
        refusal = key_moved_on(record, wanted) or key_deleted(record)
        if refusal is not None:
            return ItemRefused(refusal=refusal)
        return view(self._happens(wanted.key, EventKind.DELETED))

    def restore(self, wanted: Following) -> Item:
        """A deleted key comes back; the same answer where this very return has happened already."""
        record = self.record(wanted.key)
        if record is None or record.kind is EventKind.DESTROYED:
            return ItemRefused(refusal=no_such_key(wanted.key))
        if record.kind is EventKind.RESTORED and record.before == wanted.after:
            return view(record)
        refusal = key_moved_on(record, wanted)
        if refusal is not None:
            return ItemRefused(refusal=refusal)
        if record.usable:
            return view(record)
        refusal = retention_passed(record, self.at)
        if refusal is not None:
            return ItemRefused(refusal=refusal)
        return view(self._happens(wanted.key, EventKind.RESTORED))

    def destroy_what_is_due(self, most: int) -> None:
        """Up to `most` deleted keys whose time to be restored has passed."""
        for record in self.mirror.records():
            if len(self.events) == most:
                return
            if record.kind is EventKind.DELETED and retention_passed(record, self.at):
                self._happens(record.key, EventKind.DESTROYED)

    def inventory(self, storage: StorageId, vps: tuple[VP, ...]) -> Inventory:
        """The inventory after all this; `storage` and `vps` are those of a first one."""
        before, frontier = self.mirror.inventory, self.mirror.frontier
        for event in self.events:
            frontier, _ = frontier.append(event.leaf)
        return Inventory(
            storage=before.storage if before is not None else storage,
            version=before.version + 1 if before is not None else 1,
            count=self._count,
            size=frontier.size,
            root=frontier.root,
            vps=before.vps if before is not None else vps,
        )

    @property
    def _count(self) -> int:
        """How many keys will have a wrap."""
        before = self.mirror.inventory
        return (before.count if before is not None else 0) + self._more

    def keys(self, kind: EventKind) -> tuple[KeyId, ...]:
        """The keys that this happens to."""
        return tuple(event.key for event in self.events if event.kind is kind)

    def _happens(self, key: KeyId, kind: EventKind, name: str = "") -> KeyRecord:
        record = self.record(key)
        event = KeyEvent(
            key=key,
            version=record.version if record is not None else FIRST_VERSION,
            kind=kind,
            name=name,
            at=self.at,
            user=self.user,
            unit=self.unit,
        )
        number = EventNumber(self.mirror.frontier.size + len(self.events))
        after = followed(record, event, number)
        if after is None:
            raise AssertionError(f"a key that can't be {kind} now passed the rules")
        self.events.append(event)
        self._more += _MORE.get(kind, 0)
        self._changed[key] = after
        return after


def view(record: KeyRecord) -> KeyView:
    """The key as others see it."""
    usable = record.usable
    return KeyView(
        key=record.key,
        name=record.name,
        version=record.version,
        state=KeyState.ACTIVE if usable else KeyState.DELETED,
        made=record.made,
        made_by=record.made_by,
        event=record.event,
        changed=record.changed,
        until=None if usable else Instant(record.changed + RETENTION),
    )


def key_name(name: str) -> Refusal | None:
    """KEY_NAME: at most 64 characters of ASN.1 PrintableString, no blanks at its ends."""
    if len(name) <= LONGEST_NAME and is_printable_string(name) and name == name.strip():
        return None
    return refuse(
        Rule.KEY_NAME,
        expected=f"at most {LONGEST_NAME} characters of PrintableString, no blank at either end",
        found=f"{len(name)}: {shown(name)[:250]}",
    )


def key_exists(record: KeyRecord, wanted: NewKey, user: Bytes32 | None) -> Refusal | None:
    """KEY_EXISTS: an id is used once, also after its key was destroyed."""
    same = (record.name, record.maker) == (wanted.name, user)
    if same and record.kind is not EventKind.DESTROYED:
        return None
    found = f"{wanted.key.hex()}, {shown(record.name)}, {record.kind}"
    return refuse(Rule.KEY_EXISTS, expected="an id that no key has had", found=found)


def key_deleted(record: KeyRecord) -> Refusal | None:
    """KEY_DELETED: a deleted key wraps nothing, opens nothing, and isn't deleted again."""
    if record.usable:
        return None
    return refuse(
        Rule.KEY_DELETED, expected="a key that isn't deleted", found=f"{record.key.hex()}, deleted"
    )


def key_moved_on(record: KeyRecord, wanted: Following) -> Refusal | None:
    """KEY_MOVED_ON: what is done to a key follows the event that the caller knew."""
    if record.event == wanted.after:
        return None
    return refuse(
        Rule.KEY_MOVED_ON,
        expected=f"event {record.event}, {record.kind}",
        found=f"event {wanted.after}",
    )


def retention_passed(record: KeyRecord, at: Instant) -> Refusal | None:
    """RETENTION_PASSED: a deleted key can be restored for 30 days."""
    until = record.changed + RETENTION
    if at < until:
        return None
    return refuse(Rule.RETENTION_PASSED, expected=f"before {until}", found=at)


def too_many_keys(count: int) -> Refusal | None:
    """TOO_MANY_KEYS: at most 100,000 that can be used or restored."""
    if count < MAX_KEYS:
        return None
    return refuse(Rule.TOO_MANY_KEYS, expected=f"at most {MAX_KEYS}", found=count + 1)


def no_such_key(key: KeyId) -> Refusal:
    """NO_SUCH_KEY: neither there nor waiting to be restored."""
    return refuse(Rule.NO_SUCH_KEY, expected="a key of this key storage", found=key.hex())
