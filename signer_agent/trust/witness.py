"""The agent as a witness of the coordinator's log: it only ever follows one that goes on.

The last checkpoint seen is kept. For the next one a proof is demanded that the log holds all that
it held. A log that can't prove it was forked or rolled back: both checkpoints, signed by the log's
own key, are kept as evidence, and nothing is signed for the instance until a new version of the
charter names another log.
"""

from dataclasses import dataclass

from protocol.identifiers import MINUTE, Digest, Duration, IdentityKey, Instant, short
from protocol.record.checkpoints import (
    Checkpoint,
    checkpoint_digest,
    log_origin,
    open_checkpoint,
    verify_extends,
)
from protocol.record.proofs import ProofFailed
from protocol.record.tree import Path
from protocol.refusals import Refusal
from protocol.schema import Struct
from protocol.violations import Violation
from signer_agent.objections import Objection, alarm

SIGHTINGS_APART = Duration(10 * MINUTE)
MAX_SIGHTINGS = 1024
"""A week of looks. What was seen in between, or before, only makes the rule milder."""
_ASK = (
    "call the others: what do they see? Ask the coordinator's people: was a backup restored? Then "
    "a fresh one takes over: quorate charter new-coordinator"
)


class Fork(Struct):
    """Two checkpoints that one log can't both have signed honestly."""

    log: IdentityKey
    seen: bytes
    seen_at: Instant
    found: bytes
    found_at: Instant


class Sighting(Struct):
    """When, by this machine's clock, the log was first seen to have so many entries."""

    size: int
    at: Instant


class Witness(Struct):
    """How far the log with this key was followed. `note` is its last signed checkpoint.

    `sightings` are of rising sizes, the oldest first.
    """

    log: IdentityKey
    note: bytes | None
    at: Instant
    fork: Fork | None
    sightings: tuple[Sighting, ...]

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The last checkpoint; Violation only if the store was tampered with."""
        return None if self.note is None else opened(self.log, self.note)

    @property
    def size(self) -> int:
        """How many entries the log had."""
        checkpoint = self.checkpoint
        return 0 if checkpoint is None else checkpoint.size

    def followed(self, note: bytes, proof: Path, *, at: Instant) -> "Witness":
        """With the newest checkpoint, whose proof was asked for from `size`; or with a fork.

        Violation when the log's key didn't sign it.
        """
        newest = opened(self.log, note)
        if self.fork is not None:
            return self
        before = self.checkpoint
        if before is not None and self.note is not None:
            try:
                verify_extends(before, newest, proof)
            except ProofFailed:
                fork = Fork(log=self.log, seen=self.note, seen_at=self.at, found=note, found_at=at)
                return self.but(fork=fork)
        sightings = self._sightings(Sighting(size=newest.size, at=at))
        return self.but(note=note, at=at, sightings=sightings)

    def seen_by(self, moment: Instant) -> int:
        """How many entries the log was seen to have by then."""
        return max((one.size for one in self.sightings if one.at <= moment), default=0)

    def _sightings(self, now: Sighting) -> tuple[Sighting, ...]:
        before = self.sightings
        if before and before[-1].size >= now.size:
            return before
        if len(before) > 1 and now.at - before[-2].at < SIGHTINGS_APART:
            before = before[:-1]
        return (*before, now)[-MAX_SIGHTINGS:]


def first_sight(log: IdentityKey) -> Witness:
    """Before anything was seen of this log."""
    return Witness(log=log, note=None, at=Instant(0), fork=None, sightings=())


def opened(log: IdentityKey, note: bytes) -> Checkpoint:
    """The checkpoint in a note that this log signed; Violation otherwise."""
    return open_checkpoint(note, name=log_origin(log), public_key=log)


def forked(witness: Witness, instance: str) -> Objection | None:
    """LOG_GOES_ON: the alarm, for ever, once the log was seen forked or rolled back."""
    fork = witness.fork
    if fork is None:
        return None
    seen, found = opened(fork.log, fork.seen), opened(fork.log, fork.found)
    return alarm(
        f"the coordinator's log was forked or rolled back; your agent signs nothing for {instance}",
        expected=f"a log going on from entry {seen.size}, {short(seen.root)}",
        found=f"entry {found.size}, {short(found.root)}; the log key signed both; kept as evidence",
        next=_ASK,
        rule="LOG_GOES_ON",
    )


def rolled_back(refusal: Refusal, instance: str) -> Objection:
    """LOG_GOES_ON: the coordinator itself says that its log lacks what was seen of it."""
    return alarm(
        f"the coordinator's log was rolled back; your agent signs nothing for {instance}",
        expected=refusal.expected,
        found=refusal.found,
        next=_ASK,
        rule="LOG_GOES_ON",
    )


@dataclass(frozen=True)
class Held:
    """A checkpoint that this agent's log is known to hold: the proof is done."""

    note: Digest
    size: int


def held(witness: Witness, note: bytes, proof: Path) -> Held | Objection:
    """CHECKPOINT_IN_LOG: the checkpoint that a request names is of the log that this agent follows.

    `proof` is that the witness's own checkpoint goes on from `note`.
    """
    followed = witness.checkpoint
    assert followed is not None  # a proof was asked for
    try:
        named = opened(witness.log, note)
    except Violation:
        return not_in_log("a checkpoint that the log key didn't sign")
    try:
        verify_extends(named, followed, proof)
    except ProofFailed:
        return not_in_log(f"entry {named.size}, {short(named.root)}, of another log")
    return Held(note=checkpoint_digest(note), size=named.size)


def not_in_log(found: str) -> Objection:
    """CHECKPOINT_IN_LOG, objecting."""
    return alarm(
        "the request was opened at a checkpoint that isn't in your log; nothing was signed",
        expected="a checkpoint of the log that this agent follows",
        found=found,
        next="call the others: are they shown the same request, with the same checkpoint?",
        rule="CHECKPOINT_IN_LOG",
    )


def checkpoint_recent(
    witness: Witness, named: Held, opened: Instant, *, ahead: Duration
) -> Objection | None:
    """CHECKPOINT_RECENT: a request names the log as it was at the opening, and not an older one.

    For two logs that were forked since would both hold an older one, and their followers sign the
    same command. `opened` is by the coordinator's clock, which is `ahead` of this machine's.
    """
    seen = witness.seen_by(Instant(opened - max(ahead, 0) - MINUTE))
    if named.size >= seen:
        return None
    return alarm(
        "the request was opened at a checkpoint older than what your agent had seen of the log by "
        "then; nothing was signed",
        expected=f"at least {seen} entries",
        found=f"{named.size} entries",
        next=_ASK,
        rule="CHECKPOINT_RECENT",
    )


def named_by(opening: Digest, note: bytes | None) -> bool:
    """Whether this note is the one whose digest the opening holds."""
    return note is not None and checkpoint_digest(note) == opening


def with_log(witness: Witness | None, log: IdentityKey) -> Witness:
    """The witness of this log: the one at hand, or a new one when a charter names a new log."""
    if witness is not None and witness.log == log:
        return witness
    return first_sight(log)
