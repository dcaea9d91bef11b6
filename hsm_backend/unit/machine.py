"""The crypto unit as a pure state machine.

Every function takes what the unit knows (`Memory`), the event and the time, and gives back the new
memory and what the unit says, signed. Nothing is durable and nothing was said until the caller has
written both down; see `hsm_backend.durable`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hsm_backend.unit.admission import admit
from hsm_backend.unit.master_key import assemble
from hsm_backend.unit.memory import HeldImporterKey, Memory, UnitIdentity
from hsm_backend.unit.transfer import copies, proven_receivers, received
from protocol.commands.bodies import (
    ClearCurrentRegister,
    ClearNewRegister,
    ExportKey,
    GenerateRandom,
    ImportKey,
    LoadNewRegister,
    SetClock,
    SetImmediate,
    Zeroize,
)
from protocol.commands.command import Command, SignedCommand, distinct
from protocol.commands.effects import after
from protocol.identifiers import (
    CommandId,
    Digest,
    Incarnation,
    IncarnationId,
    Instant,
    Nonce,
    StateVersion,
)
from protocol.receipts import (
    Birth,
    BirthCause,
    Entry,
    Receipt,
    RefusalAnswer,
    StateAnswer,
    entry_hash,
)
from protocol.refusals import Refusal
from protocol.sealing.contribution import Seal, vp_of
from protocol.sealing.hpke import public_key_of
from protocol.sealing.importer import ImporterKey
from protocol.secrets import Secret
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.unit_state import IMPRINT

MAX_IMPORTER_KEYS = 16

FindReceipt = Callable[[CommandId], Signed | None]
"""The receipt of a command that this unit has executed, in any life."""


@dataclass(frozen=True)
class Step:
    """What is to be written down as one piece: the new memory and the new history entries."""

    memory: Memory
    entries: tuple[Signed, ...]


@dataclass(frozen=True)
class Fresh:
    """Fresh randomness for one execution: each is used if the command needs it, and only once.

    `incarnation` is for a new life, `key` for a random master key of 32 bytes, `seal` seals copies.
    """

    incarnation: IncarnationId
    key: Secret
    seal: Seal


@dataclass(frozen=True)
class Executed:
    """The receipt to answer with. `step` is None when the command had run before."""

    receipt: Signed
    step: Step | None


def unit_time(memory: Memory, now: Instant) -> Instant:
    """The unit's own time: the host's clock, but never before the high-water mark."""
    return max(now, memory.clock)


def be_made(identity: UnitIdentity, *, incarnation: IncarnationId, now: Instant) -> Step:
    """A unit's first life."""
    first = Incarnation(number=1, id=incarnation)
    return _born(identity, first, StateVersion(1), None, BirthCause.MADE, now)


def zeroize_by_hand(
    identity: UnitIdentity, memory: Memory, *, incarnation: IncarnationId, now: Instant
) -> Step:
    """What whoever stands at the unit's host may do without any signature."""
    return _reborn(identity, memory, BirthCause.BY_HAND, incarnation, unit_time(memory, now))


def tick(memory: Memory, now: Instant) -> Memory:
    """Moves the clock's high-water mark on."""
    return memory.but(clock=unit_time(memory, now))


def answer_state(
    identity: UnitIdentity, memory: Memory, nonces: tuple[Nonce, ...], now: Instant
) -> Signed:
    """The unit's state, signed over the nonces of those who ask."""
    answer = StateAnswer(
        unit=identity.unit,
        incarnation=memory.incarnation,
        version=memory.version,
        state=memory.state,
        last_receipt=memory.last_receipt,
        clock=unit_time(memory, now),
        nonces=nonces,
    )
    return sign_statement(Label.STATE_ANSWER, answer, identity.sign)


def make_importer_key(
    identity: UnitIdentity, memory: Memory, request: Digest, *, private: Secret, now: Instant
) -> tuple[Memory, ImporterKey]:
    """An importer key for one request in the present state; the same one when asked again.

    `private` is 96 fresh random bytes. The oldest key is dropped when there are too many.
    """
    for held in memory.importer_keys:
        if held.public.request == request:
            return memory, held.public
    public = ImporterKey(
        unit=identity.unit,
        incarnation=memory.incarnation,
        version=memory.version,
        state=memory.state_digest,
        request=request,
        public_key=public_key_of(private.reveal()),
        made=unit_time(memory, now),
    )
    kept = memory.importer_keys[-(MAX_IMPORTER_KEYS - 1) :]
    held = HeldImporterKey(public=public, private=private)
    return memory.but(importer_keys=(*kept, held)), public


def prepare(
    identity: UnitIdentity, memory: Memory, signed: SignedCommand, now: Instant
) -> Refusal | None:
    """The full check of a command; it changes and locks nothing."""
    checked = _check(identity, memory, signed, unit_time(memory, now))
    return checked if isinstance(checked, Refusal) else None


def execute(
    identity: UnitIdentity,
    memory: Memory,
    signed: SignedCommand,
    *,
    find_receipt: FindReceipt,
    fresh: Fresh,
    now: Instant,
) -> Executed | Refusal:
    """Runs a command, or gives back the receipt of the time it ran.

    Violation when the bytes are not a command's.
    """
    command = signed.parsed()
    before = find_receipt(command.id)
    if before is not None:
        return Executed(receipt=before, step=None)
    at = unit_time(memory, now)
    checked = _check(identity, memory, signed, at)
    if isinstance(checked, Refusal):
        return checked
    body = command.body
    key = fresh.key if isinstance(body, GenerateRandom) else checked.key
    decided = _after(memory, command, key, at)
    receipt = _sign_entry(
        identity,
        Receipt(
            unit=identity.unit,
            incarnation=memory.incarnation,
            version=decided.version,
            previous=memory.last_receipt,
            command=signed.command,
            approvals=distinct(signed.approvals),
            before=memory.state,
            after=decided.state,
            copies=()
            if not isinstance(body, ExportKey)
            else copies(memory, command, body, checked.receivers, fresh.seal),
            at=at,
        ),
    )
    done = decided.but(last_receipt=entry_hash(receipt))
    if isinstance(body, Zeroize):
        step = _reborn(identity, done, BirthCause.ZEROIZE, fresh.incarnation, at)
        return Executed(receipt=receipt, step=Step(step.memory, (receipt, *step.entries)))
    return Executed(receipt=receipt, step=Step(done, (receipt,)))


def answer_refusal(
    identity: UnitIdentity, memory: Memory, command: Command, refusal: Refusal, now: Instant
) -> Signed:
    """The unit's No, signed; says whether the command can still run."""
    answer = RefusalAnswer(
        unit=identity.unit,
        command=command.id,
        incarnation=memory.incarnation,
        version=memory.version,
        refusal=refusal,
        can_still_run=refusal.facts.can_still_run,
        at=unit_time(memory, now),
    )
    return sign_statement(Label.REFUSAL, answer, identity.sign)


@dataclass(frozen=True)
class _Checked:
    """What the full check found: the key that came with the command, an export's receivers."""

    key: Secret | None = None
    receivers: tuple[ImporterKey, ...] = ()


def _check(
    identity: UnitIdentity, memory: Memory, signed: SignedCommand, at: Instant
) -> _Checked | Refusal:
    command = signed.parsed()
    refusal = admit(memory, identity, command, signed.approvals, at=at)
    if refusal is not None:
        return refusal
    match command.body:
        case LoadNewRegister() as load:
            key = assemble(memory, command, load, signed.contributions)
        case ImportKey() as body:
            key = received(memory, identity.unit, body, signed.export, at)
        case ExportKey() as body:
            found = proven_receivers(memory, command, body, signed.receivers)
            return found if isinstance(found, Refusal) else _Checked(receivers=found)
        case _:
            return _Checked()
    return key if isinstance(key, Refusal) else _Checked(key=key)


def _after(memory: Memory, command: Command, key: Secret | None, at: Instant) -> Memory:
    """The memory after the command, but for its receipt's hash. `key` is the one that it brings."""
    new_key, current_key, clock = memory.new_key, memory.current_key, at
    loaded = None
    match command.body:
        case LoadNewRegister() | GenerateRandom() | ImportKey() if key is not None:
            new_key, loaded = key, vp_of(key.reveal())
        case SetImmediate():
            new_key, current_key = None, memory.new_key
        case ClearNewRegister():
            new_key = None
        case ClearCurrentRegister():
            current_key = None
        case Zeroize():
            new_key = current_key = None
        case SetClock(to=to):
            clock = to
    return memory.but(
        version=StateVersion(memory.version + 1),
        state=after(memory.state, command.body, loaded=loaded),
        clock=clock,
        new_key=new_key,
        current_key=current_key,
        importer_keys=(),
    )


def _reborn(
    identity: UnitIdentity, memory: Memory, cause: BirthCause, fresh: IncarnationId, at: Instant
) -> Step:
    following = Incarnation(number=memory.incarnation.number + 1, id=fresh)
    version = StateVersion(memory.version + 1)
    return _born(identity, following, version, memory.last_receipt, cause, at)


def _born(
    identity: UnitIdentity,
    incarnation: Incarnation,
    version: StateVersion,
    previous: Digest | None,
    cause: BirthCause,
    at: Instant,
) -> Step:
    entry = _sign_entry(
        identity,
        Birth(
            unit=identity.unit,
            incarnation=incarnation,
            version=version,
            previous=previous,
            cause=cause,
            after=IMPRINT,
            at=at,
        ),
    )
    memory = Memory(
        incarnation=incarnation,
        version=version,
        state=IMPRINT,
        last_receipt=entry_hash(entry),
        clock=at,
        new_key=None,
        current_key=None,
        importer_keys=(),
    )
    return Step(memory=memory, entries=(entry,))


def _sign_entry(identity: UnitIdentity, entry: Entry) -> Signed:
    return sign_statement(Label.HISTORY, entry, identity.sign)
