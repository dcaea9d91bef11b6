"""What a leaf of the log is: a salted commitment to one entry.

Proofs carry the hashes of neighbouring leaves, and those may belong to another instance. Entries
are easy to guess, so each is hashed together with 32 random bytes of its own: who isn't given
the salt learns nothing, not even the instance. See `docs/decisions/0005-log-leaf.md`.
"""

import hashlib
from enum import StrEnum
from typing import Annotated, NewType

import msgspec

from protocol.displayable import InstanceName
from protocol.identifiers import Bytes32, Digest, Instant
from protocol.record.checkpoints import Checkpoint
from protocol.record.proofs import verify_inclusion
from protocol.record.tree import Hash, Path, leaf_hash
from protocol.schema import Struct, to_bytes

LEAF_LABEL = b"quorate log leaf v1"

MAX_BODY_BYTES = 1 << 20

Salt = NewType("Salt", Bytes32)
"""32 random bytes, drawn for one entry and kept with it."""


class EntryKind(StrEnum):
    """What happened. It says how to read the body, which the log itself never does."""

    FILING = "filing"
    OPENING = "opening"
    APPROVAL = "approval"
    CONTRIBUTION = "contribution"
    REJECTION = "rejection"
    CANCELLATION = "cancellation"
    PROCEED = "proceed"  # the word to run a request without the units that hold it
    EXECUTION = "execution"  # a unit's receipt
    REFUSAL = "refusal"  # a unit's signed refusal
    ENDING = "ending"  # a request's end, and what it came to after its end
    CHARTER = "charter"
    ACCEPTANCE = "acceptance"
    ENROLMENT = "enrolment"  # an agent's
    ALARM = "alarm"  # something that an agent or unit sent and that was not counted
    CHECKPOINT_SEEN = "checkpoint-seen"  # an agent named the last checkpoint that it keeps
    ACCOUNT = "account"  # of an operator or auditor: made, changed, signed in, revoked


class Entry(Struct):
    """One thing that happened.

    `instance` is None for what concerns the coordinator as a whole. `at` is the coordinator's
    clock, and its word only.
    """

    instance: InstanceName | None
    at: Instant
    kind: EntryKind
    body: Annotated[bytes, msgspec.Meta(max_length=MAX_BODY_BYTES)]

    def invariant(self) -> str | None:
        if len(self.body) > MAX_BODY_BYTES:
            return f"a body of more than {MAX_BODY_BYTES} bytes"
        return None


class SaltedEntry(Struct):
    """An entry with its salt: what opens a leaf, to be given only to those who may read it."""

    salt: Salt
    entry: Entry

    def invariant(self) -> str | None:
        return None if len(self.salt) == 32 else "a salt is 32 bytes"


def commitment(salted: SaltedEntry) -> Digest:
    """The data of the leaf: SHA-256 of label, zero byte and canonical bytes."""
    return Digest(hashlib.sha256(LEAF_LABEL + b"\0" + to_bytes(salted)).digest())


def entry_leaf(salted: SaltedEntry) -> Hash:
    """The leaf's hash: what is appended to the tree."""
    return leaf_hash(commitment(salted))


def verify_logged(salted: SaltedEntry, *, index: int, path: Path, checkpoint: Checkpoint) -> None:
    """The log of `checkpoint` holds this very entry at `index`; else ProofFailed."""
    verify_inclusion(
        leaf=entry_leaf(salted),
        index=index,
        size=checkpoint.size,
        root=checkpoint.root,
        path=path,
    )
