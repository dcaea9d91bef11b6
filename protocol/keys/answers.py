"""What a unit says to a key user, signed with its identity key."""

from enum import StrEnum

from protocol.identifiers import VP, Digest, IdentityKey, Instant, UnitId
from protocol.keys.operations import EventNumber, KeyCall, KeyId, KeyVersion, StorageId, call_digest
from protocol.refusals import Refusal
from protocol.schema import Struct, Variant, from_bytes
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, open_statement
from protocol.unit_identity import unit_id
from protocol.violations import Violation


class KeyState(StrEnum):
    """Whether a root key can be used."""

    ACTIVE = "active"
    DELETED = "deleted"


class KeyView(Variant, tag="key"):
    """A root key as others see it. `event` is its newest event, `changed` when that was.

    `until` is until when a deleted key can be restored, else None.
    """

    key: KeyId
    name: str
    version: KeyVersion
    state: KeyState
    made: Instant
    made_by: EventNumber
    event: EventNumber
    changed: Instant
    until: Instant | None


class Wrapped(Variant, tag="wrapped"):
    """A blob (`protocol.keys.blobs`), for the client to keep."""

    blob: bytes


class Unwrapped(Variant, tag="unwrapped"):
    """A data key."""

    data: bytes


class ItemRefused(Variant, tag="refused"):
    """Why nothing was done for this item; the others don't suffer for it."""

    refusal: Refusal


Item = KeyView | Wrapped | Unwrapped | ItemRefused


class Items(Variant, tag="items"):
    """An answer for each item of the call, in its order."""

    items: tuple[Item, ...]


class Page(Variant, tag="page"):
    """Keys, oldest first; `more` says that others follow."""

    keys: tuple[KeyView, ...]
    more: bool


class Stats(Variant, tag="stats"):
    """How much there is. `storage` is None, and all else 0, where no key was ever made.

    `version` rises with every change; `events` is how many the log holds. `vp` is the master key
    in the unit's current register.
    """

    storage: StorageId | None
    vp: VP
    version: int
    active: int
    deleted: int
    events: int


class CallRefused(Variant, tag="call-refused"):
    """Why nothing was done at all."""

    refusal: Refusal


Outcome = Items | Page | Stats | CallRefused


class KeyAnswer(Struct):
    """What a unit signs (`quorate key answer v1`). `call` is the digest of what was asked."""

    unit: UnitId
    call: Digest
    at: Instant
    outcome: Outcome


def open_answer(signed: Signed, identity: IdentityKey, call: Signed) -> KeyAnswer:
    """The answer, if the unit with this identity key gave it to this call; Violation otherwise."""
    answer = open_statement(KeyAnswer, Label.KEY_ANSWER, signed, identity)
    if answer.unit != unit_id(identity):
        raise Violation("an answer that a unit signed for another")
    if answer.call != call_digest(call.statement):
        raise Violation("an answer to another call")
    operation = from_bytes(KeyCall, call.statement).operation
    wanted = getattr(operation, "items", None) or getattr(operation, "keys", None)
    if isinstance(answer.outcome, Items) and len(answer.outcome.items) != len(wanted or ()):
        raise Violation("an answer with another number of items than the call")
    return answer
