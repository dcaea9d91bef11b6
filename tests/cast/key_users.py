"""Key users, master keys and calls, made from names."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from hsm_backend.keys.database import KeyDatabase
from hsm_backend.keys.storage import Glance, Storage
from protocol.commands.bodies import AddKeyUser
from protocol.identifiers import Bytes32, Incarnation, IncarnationId, Instant, Nonce, UnitId
from protocol.keys.answers import CallRefused, Item, ItemRefused, Items, KeyView, Outcome
from protocol.keys.operations import (
    Create,
    Delete,
    Following,
    GetStats,
    KeyCall,
    KeyId,
    ListKeys,
    NewKey,
    Operation,
    Restore,
    Show,
    ToUnwrap,
    ToWrap,
    Unwrap,
    Wrap,
)
from protocol.refusals import Rule
from protocol.secrets import Secret
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from tests.cast.commands import NOON
from tests.cast.keys import SignatureKey, noise, signature_key

_nonces = count()
ALL_RIGHTS = ("create", "delete", "unwrap", "wrap")


@dataclass(frozen=True)
class CastKeyUser:
    """Somebody with an Ed25519 key, whom a unit may know or not."""

    name: str

    @property
    def key(self) -> SignatureKey:
        return signature_key(f"key user {self.name}")

    @property
    def public_key(self) -> Bytes32:
        return self.key.identity

    def added(self, *rights: str) -> AddKeyUser:
        """The command that installs them, with these rights, or all."""
        return AddKeyUser(name=self.name, public_key=self.public_key, rights=rights or ALL_RIGHTS)

    def call(self, unit: UnitId, operation: Operation, **changes: Any) -> KeyCall:
        """What they sign; no two are the same."""
        fields: dict[str, Any] = {
            "unit": unit,
            "user": self.public_key,
            "at": NOON,
            "nonce": Nonce(noise(f"call {next(_nonces)}")),
        }
        return KeyCall(**(fields | changes), operation=operation)

    def signed(self, call: KeyCall) -> Signed:
        """The call, signed by this user, whoever stands in it."""
        return sign_statement(Label.KEY_REQUEST, call, self.key.sign)


PAYROLL, BACKUP = CastKeyUser("payroll"), CastKeyUser("backup")


def key_id(title: object) -> KeyId:
    """The key id of this title."""
    return KeyId(noise(f"key id {title}", 16))


def new_keys(*titles: object) -> Create:
    """A call that makes keys, each named by its title."""
    return Create(keys=tuple(NewKey(key=key_id(one), name=str(one)) for one in titles))


class StorageOfUnit:
    """A unit's part of key storage without a host: what it answers to a key user with all rights.

    `title` names the unit; `master` its current master key, None for an empty register.
    """

    def __init__(self, database: KeyDatabase, title: str = "one", master: str | None = "m") -> None:
        self.database = database
        self.id = UnitId(noise(f"unit {title}"))
        self.master = master
        self.life = Incarnation(number=1, id=IncarnationId(noise(f"life of {title}", 16)))
        self.now = NOON
        self.storage = Storage(self.id, database, None)

    @property
    def glance(self) -> Glance:
        secret = None if self.master is None else Secret(noise(f"master key {self.master}"))
        return Glance(incarnation=self.life, current_key=secret, now=Instant(self.now))

    def restart(self, *, remembers: bool = True) -> None:
        """As after a restart of its host, with the mark that was written down or without."""
        mark = self.storage.mark() if remembers else None
        self.storage = Storage(self.id, self.database, mark)

    def ask(self, operation: Operation, user: CastKeyUser = PAYROLL) -> Outcome:
        """The unit's answer."""
        return self.storage.answer(user.call(self.id, operation), self.glance)

    def refused(self, operation: Operation) -> Rule:
        """By which rule the whole call is refused."""
        outcome = self.ask(operation)
        assert isinstance(outcome, CallRefused), outcome
        assert outcome.refusal.expected and outcome.refusal.found
        return outcome.refusal.rule

    def items(self, operation: Operation, user: CastKeyUser = PAYROLL) -> tuple[Item, ...]:
        """An answer for each item."""
        outcome = self.ask(operation, user)
        assert isinstance(outcome, Items), outcome
        return outcome.items

    def only(self, operation: Operation, user: CastKeyUser = PAYROLL) -> Item:
        """The answer for the one item."""
        (item,) = self.items(operation, user)
        return item

    def item_refused(self, operation: Operation, user: CastKeyUser = PAYROLL) -> Rule:
        """By which rule the one item is refused."""
        item = self.only(operation, user)
        assert isinstance(item, ItemRefused), item
        assert item.refusal.expected and item.refusal.found
        return item.refusal.rule

    def create(self, title: object) -> KeyView:
        """A key more."""
        return a_key(self.only(new_keys(title)))

    def show(self, title: object) -> KeyView:
        """What is known of it."""
        return a_key(self.only(Show(keys=(key_id(title),))))

    def delete(self, title: object) -> KeyView:
        """A key less."""
        return a_key(self.only(Delete(items=(self.following(title),))))

    def restore(self, title: object) -> KeyView:
        """It comes back."""
        return a_key(self.only(Restore(items=(self.following(title),))))

    def following(self, title: object) -> Following:
        """The key as it is now."""
        return Following(key=key_id(title), after=self.show(title).event)

    def wrap(self, title: object, data: bytes = b"data key", associated: bytes = b"") -> bytes:
        """A blob."""
        item = self.only(wraps(title, data, associated))
        blob: bytes = getattr(item, "blob")  # noqa: B009 - what it is, the assertion says
        assert blob, item
        return blob

    def unwrap(self, blob: bytes, associated: bytes = b"") -> bytes:
        """What was wrapped."""
        data: bytes = getattr(self.only(unwraps(blob, associated)), "data")  # noqa: B009
        return data


def wraps(title: object, data: bytes = b"data key", associated: bytes = b"") -> Wrap:
    """A call that wraps one data key."""
    return Wrap(items=(ToWrap(key=key_id(title), data=data, associated=associated),))


def unwraps(blob: bytes, associated: bytes = b"") -> Unwrap:
    """A call that unwraps one blob."""
    return Unwrap(items=(ToUnwrap(blob=blob, associated=associated),))


def a_key(item: Item) -> KeyView:
    """The item is a key."""
    assert isinstance(item, KeyView), item
    return item


EVERY_OPERATION: tuple[Operation, ...] = (
    new_keys("k"),
    wraps("k"),
    unwraps(bytes(100)),
    Delete(items=(Following(key=key_id("k"), after=0),)),  # type: ignore[arg-type]
    Restore(items=(Following(key=key_id("k"), after=0),)),  # type: ignore[arg-type]
    Show(keys=(key_id("k"),)),
    ListKeys(after=None),
    GetStats(),
)
