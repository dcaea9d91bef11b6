"""A unit's part of key storage: takes a call that was admitted, and answers it.

All calls block on the database. Before each the unit catches up with what others of its instance
have written; a change that somebody else came before is decided again.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

from hsm_backend.keys.database import Altered, Change, KeyDatabase, Wrap
from hsm_backend.keys.draft import Draft, no_such_key, view
from hsm_backend.keys.engine import Taken
from hsm_backend.keys.inventory import Authenticator, EventKind, Mark, Vouched
from hsm_backend.keys.master import ROOT_KEY_BYTES, MasterKey
from hsm_backend.keys.mirror import Mirror, altered
from hsm_backend.keys.root_keys import RootKeys
from protocol.identifiers import Incarnation, Instant, UnitId
from protocol.keys.answers import (
    CallRefused,
    Item,
    ItemRefused,
    Items,
    Outcome,
    Page,
    Stats,
)
from protocol.keys.blobs import NONCE_BYTES
from protocol.keys.operations import (
    FIRST_VERSION,
    MAX_ITEMS,
    Create,
    Delete,
    EventNumber,
    GetStats,
    KeyCall,
    KeyId,
    ListKeys,
    Restore,
    Show,
    StorageId,
    Unwrap,
)
from protocol.keys.operations import Wrap as WrapData
from protocol.refusals import Refusal, Rule, refuse
from protocol.secrets import Secret
from quorate.unavailable import Unavailable

_ATTEMPTS = 50
"""How often a change is decided anew because others came before."""


@dataclass(frozen=True)
class Glance:
    """What the unit is at the moment of a call. `current_key` is its current register's."""

    incarnation: Incarnation
    current_key: Secret | None
    now: Instant


class Storage:
    """Key storage as one unit sees it. `mark` is how far it had seen before it was started."""

    def __init__(self, unit: UnitId, database: KeyDatabase, mark: Mark | None) -> None:
        self._unit = unit
        self._database = database
        self._mirror = Mirror(mark)
        self._life = mark.incarnation if mark is not None else None
        self._one_at_a_time = Lock()

    def answer(self, call: KeyCall, glance: Glance) -> Outcome:
        """What becomes of the call. Unavailable or storage trouble: nothing, as far as we know."""
        with self._one_at_a_time:
            master = self._ready(glance)
            if isinstance(master, Refusal):
                return CallRefused(refusal=master)
            try:
                return self._answer(call, glance, master)
            except Altered as error:
                return CallRefused(refusal=altered("rows as units wrote them", str(error)))

    def destroy_what_is_due(self, glance: Glance) -> Refusal | None:
        """Removes keys whose time to be restored has passed; a thousand at a time."""
        with self._one_at_a_time:
            master = self._ready(glance)
            if isinstance(master, Refusal):
                return master
            while True:
                done = self._change(
                    glance, master, None, lambda draft: draft.destroy_what_is_due(MAX_ITEMS)
                )
                if isinstance(done, Refusal):
                    return done
                if len(done.events) < MAX_ITEMS:
                    return None

    def mark(self) -> Mark | None:
        """How far the unit has seen, to be written down; None when there is nothing."""
        with self._one_at_a_time:
            found = self._mirror.inventory
            if found is None or self._life is None:
                return None
            return Mark(
                incarnation=self._life, storage=found.storage, size=found.size, root=found.root
            )

    def _ready(self, glance: Glance) -> MasterKey | Refusal:
        """NO_MASTER_KEY, or what is wrong with the database; else the key to work with."""
        if self._life != glance.incarnation:
            # Another life has seen nothing yet: whoever may zeroize may begin anew.
            self._mirror, self._life = Mirror(None), glance.incarnation
        if glance.current_key is None:
            return refuse(Rule.NO_MASTER_KEY, expected="a current master key", found="none")
        master = MasterKey(glance.current_key)
        return self._catch_up(master) or master

    def _catch_up(self, master: MasterKey) -> Refusal | None:
        known = self._mirror.inventory
        size = self._mirror.frontier.size
        try:
            found, events = self._database.since(size, known.version if known is not None else 0)
        except Altered as error:
            return altered("rows as units wrote them", str(error))
        refusal = self._mirror.refusal(found, master)
        if refusal is not None or found is None:
            return refusal
        return self._mirror.advance(found.inventory, events)

    def _answer(self, call: KeyCall, glance: Glance, master: MasterKey) -> Outcome:
        match call.operation:
            case Create(keys=wanted):
                return self._changed(
                    call, glance, master, lambda draft: [draft.create(one) for one in wanted]
                )
            case Delete(items=leaving):
                return self._changed(
                    call, glance, master, lambda draft: [draft.delete(one) for one in leaving]
                )
            case Restore(items=coming):
                return self._changed(
                    call, glance, master, lambda draft: [draft.restore(one) for one in coming]
                )
            case WrapData(items=to_wrap):
                return Items(items=RootKeys(self._mirror, master, self._database).wrap(to_wrap))
            case Unwrap(items=to_unwrap):
                return Items(items=RootKeys(self._mirror, master, self._database).unwrap(to_unwrap))
            case Show(keys=keys):
                return Items(items=tuple(self._show(key) for key in keys))
            case ListKeys(after=after):
                found, more = self._mirror.page(after, MAX_ITEMS)
                return Page(keys=tuple(view(record) for record in found), more=more)
            case GetStats():
                return self._stats(master)

    def _changed(
        self,
        call: KeyCall,
        glance: Glance,
        master: MasterKey,
        decide: Callable[[Draft], Iterable[Item]],
    ) -> Outcome:
        answers: tuple[Item, ...] = ()

        def decided(draft: Draft) -> None:
            nonlocal answers
            answers = tuple(decide(draft))

        done = self._change(glance, master, call, decided)
        return CallRefused(refusal=done) if isinstance(done, Refusal) else Items(items=answers)

    def _change(
        self,
        glance: Glance,
        master: MasterKey,
        call: KeyCall | None,
        decide: Callable[[Draft], None],
    ) -> Draft | Refusal:
        """Decides, writes it down, goes on from it; again where somebody else was first."""
        for _ in range(_ATTEMPTS):
            user = call.user if call is not None else None
            draft = Draft(mirror=self._mirror, unit=self._unit, user=user, at=glance.now)
            decide(draft)
            if not draft.events:
                return draft
            refusal = self._every_master_key(master)
            if refusal is not None:
                return refusal
            try:
                self._write(draft, master)
            except Taken:
                refusal = self._catch_up(master)
                if refusal is not None:
                    return refusal
            else:
                return draft
        raise Unavailable("others change key storage all the time")

    def _every_master_key(self, master: MasterKey) -> Refusal | None:
        """OTHER_MASTER_KEY: who changes something vouches under every master key in use."""
        known = self._mirror.inventory
        if known is None or known.vps == (master.vp,):
            return None
        under = ", ".join(vp.hex() for vp in known.vps)
        return refuse(Rule.OTHER_MASTER_KEY, expected=under, found=master.vp.hex())

    def _write(self, draft: Draft, master: MasterKey) -> None:
        known = self._mirror.inventory
        inventory = draft.inventory(StorageId(secrets.token_bytes(16)), (master.vp,))
        word = Authenticator(vp=master.vp, tag=master.vouch(inventory))
        self._database.commit(
            Change(
                over=known.version if known is not None else 0,
                vouched=Vouched(inventory=inventory, authenticators=(word,)),
                first=self._mirror.frontier.size,
                events=draft.events,
                wraps=[
                    self._new_root_key(key, inventory.storage, master)
                    for key in draft.keys(EventKind.CREATED)
                ],
                gone=draft.keys(EventKind.DESTROYED),
            )
        )
        refusal = self._mirror.advance(inventory, draft.events)
        if refusal is not None:
            raise AssertionError("our own events don't make our own inventory")

    def _new_root_key(self, key: KeyId, storage: StorageId, master: MasterKey) -> Wrap:
        root, nonce = secrets.token_bytes(ROOT_KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        wrap = master.wrap(root, storage, key, FIRST_VERSION, nonce=nonce)
        return Wrap(key=key, version=FIRST_VERSION, master=master.vp, wrap=wrap)

    def _show(self, key: KeyId) -> Item:
        record = self._mirror.record(key)
        if record is None or record.kind is EventKind.DESTROYED:
            return ItemRefused(refusal=no_such_key(key))
        return view(record)

    def _stats(self, master: MasterKey) -> Stats:
        known = self._mirror.inventory
        active = sum(record.usable for record in self._mirror.records())
        return Stats(
            storage=known.storage if known is not None else None,
            vp=master.vp,
            version=known.version if known is not None else 0,
            active=active,
            deleted=known.count - active if known is not None else 0,
            events=EventNumber(self._mirror.frontier.size),
        )
