"""What a judgement needs, asked of the coordinator and checked: states, histories, the log.

A gathering is a generator: it yields questions, a tuple at a time, and is sent the replies, so that
the daemon, tests and a simulator run the same code. It raises Violation where the coordinator
breaks the protocol, and Unavailable where it withholds what it should have. What is wrong with a
*unit* is neither: it is part of the evidence.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from protocol.charter import Charter, CharterUnit
from protocol.history import History, verify_history
from protocol.identifiers import Digest, IdentityKey, Instant, Nonce, UnitId
from protocol.receipts import StateAnswer, open_state
from protocol.refusals import Refusal
from protocol.schema import from_bytes
from protocol.session.messages import HISTORY_PAGE, Consistency, HistoryPage, Refused, States
from protocol.signing.statements import Signed
from protocol.violations import Violation
from quorate.unavailable import Unavailable
from signer_agent.objections import Objection
from signer_agent.trust.memory import Memory
from signer_agent.trust.witness import Held, Witness, held, not_in_log, opened

MAX_ENTRIES = 100_000
_TRIES = 16

Draw = Callable[[], Nonce]
"""32 fresh random bytes."""


@dataclass(frozen=True)
class AskStates:
    """The states of these units, signed over the nonce."""

    units: tuple[UnitId, ...]
    nonce: Nonce


@dataclass(frozen=True)
class AskHistory:
    """A unit's history entries with versions above `after`."""

    unit: UnitId
    after: int


@dataclass(frozen=True)
class AskConsistency:
    """The newest checkpoint, and the proof that it goes on from this size."""

    size: int


Question: TypeAlias = AskStates | AskHistory | AskConsistency
Reply: TypeAlias = States | HistoryPage | Consistency | Refused


@dataclass(frozen=True)
class Replies:
    """One reply to each question, in order; `at` is when the last one came."""

    messages: tuple[Reply, ...]
    at: Instant


T = TypeVar("T")
Gathering: TypeAlias = Generator[tuple[Question, ...], Replies, T]


@dataclass(frozen=True)
class UnitEvidence:
    """What is known of one unit now.

    `answer` is its state, signed over this agent's own nonce, and `asked` when it was asked; both
    are None for a unit out of reach. `history` ends in that state, or is the last that was seen; it
    is None where none was ever seen, or where the unit's own doesn't hold: `broken` says why.
    `before` is what this agent had seen until now, and `replaced` whether a charter version that
    the person accepted lets the new history stand in its place. `fetched` are new signed entries,
    those with versions above `after`.
    """

    unit: CharterUnit
    asked: Instant | None = None
    answer: StateAnswer | None = None
    history: History | None = None
    broken: str | None = None
    before: History | None = None
    before_at: Instant | None = None
    replaced: bool = False
    after: int = 0
    fetched: tuple[Signed, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """Everything that a judgement may rest on.

    `held` is about the checkpoint of a request. `shorter` is there when the coordinator says itself
    that its log lacks what the agent has seen: its word, not the log key's.
    """

    units: Mapping[UnitId, UnitEvidence]
    witness: Witness
    held: Held | Objection | None
    shorter: Refusal | None
    at: Instant

    @property
    def histories(self) -> dict[UnitId, History]:
        """Every verified history, of units in reach or seen before."""
        return {unit: one.history for unit, one in self.units.items() if one.history is not None}


@dataclass
class _Log:
    """Following the log while other questions are asked."""

    witness: Witness
    note: bytes | None
    held: Held | Objection | None = None
    shorter: Refusal | None = None
    followed: bool = False

    def questions(self) -> tuple[AskConsistency, ...]:
        if self.done:
            return ()
        ahead = (AskConsistency(self.witness.size),)
        named = None if self.note is None else _size(self.witness.log, self.note)
        return ahead if named is None else (*ahead, AskConsistency(named))

    @property
    def done(self) -> bool:
        return self.followed and (self.note is None or self.held is not None)

    def take(self, replies: Iterable[Reply], at: Instant) -> None:
        answers = [reply for reply in replies if isinstance(reply, Consistency | Refused)]
        if not answers:
            return
        ahead, named = answers[0], answers[-1]
        self.followed = True
        if isinstance(ahead, Refused):
            self.shorter, self.note = ahead.refusal, None
            return
        self.witness = self.witness.followed(ahead.checkpoint, ahead.proof, at=at)
        if self.note is None or self.witness.fork is not None:
            self.note = None
        elif isinstance(named, Refused):
            self.held = not_in_log(f"{named.refusal.found} entries; the log has fewer")
        elif named.checkpoint == ahead.checkpoint:
            # Where the note isn't the log key's, there was one question: `held` says so anyway.
            self.held = held(self.witness, self.note, named.proof)


def gather(
    units: Iterable[CharterUnit],
    memory: Memory,
    witness: Witness,
    *,
    accepted: Charter | None,
    note: bytes | None,
    now: Instant,
    draw: Draw,
) -> Gathering[Evidence]:
    """Asks for the states of `units` and checks all that follows from them.

    `accepted` is the newest charter version that the person accepted. `note` is the checkpoint of a
    request that must be in the log, unless that is known already.
    """
    wanted = {unit.id: unit for unit in units}
    log = _Log(witness, note)
    found: dict[UnitId, UnitEvidence] = {}
    for _ in range(_TRIES):
        missing = tuple(sorted(wanted.keys() - found.keys()))
        nonce = draw()
        ask: list[Question] = [AskStates(missing, nonce)] if missing else []
        ask += log.questions()
        if not ask:
            return Evidence(
                units=found, witness=log.witness, held=log.held, shorter=log.shorter, at=now
            )
        asked = now
        replies = yield tuple(ask)
        now = replies.at
        log.take(replies.messages, now)
        if missing:
            answers = _open_states(replies.messages[0], missing, wanted, nonce)
            for unit in missing:
                if unit not in answers:
                    found[unit] = yield from _out_of_reach(wanted[unit], memory)
                    continue
                one = yield from _unit(wanted[unit], answers[unit], asked, memory, accepted)
                if one is not None:
                    found[unit] = one
    raise Unavailable("the coordinator didn't give units' histories, or its log, up to now")


def _open_states(
    reply: Reply, missing: tuple[UnitId, ...], wanted: Mapping[UnitId, CharterUnit], nonce: Nonce
) -> dict[UnitId, StateAnswer]:
    if not isinstance(reply, States):
        raise Violation("an answer to another question")
    answers: dict[UnitId, StateAnswer] = {}
    for signed in reply.answers:
        claimed = from_bytes(StateAnswer, signed.statement)
        if claimed.unit not in missing or claimed.unit in answers:
            raise Violation("a state that wasn't asked for")
        answer = open_state(signed, wanted[claimed.unit].certificate.identity)
        if nonce not in answer.nonces:
            raise Violation("a state that was signed for an earlier question")
        answers[answer.unit] = answer
    return answers


def _out_of_reach(unit: CharterUnit, memory: Memory) -> Gathering[UnitEvidence]:
    """What was seen last of it, and what its receipts have told the coordinator since."""
    seen = memory.seen(unit.id)
    if seen is None:
        return UnitEvidence(unit=unit)
    history = seen.history
    while True:
        replies = yield (AskHistory(unit.id, len(history.entries)),)
        page = replies.messages[0]
        if not isinstance(page, HistoryPage):
            raise Violation("an answer to another question")
        if not page.entries or len(history.entries) >= MAX_ENTRIES:
            break
        try:
            history = verify_history(page.entries, unit.certificate.identity, known=history)
        except Violation:
            break  # it doesn't go on from what was seen; the unit itself will have to say why
    return UnitEvidence(unit=unit, history=history, before=seen.history, before_at=seen.at)


def _unit(
    unit: CharterUnit,
    answer: StateAnswer,
    asked: Instant,
    memory: Memory,
    accepted: Charter | None,
) -> Gathering[UnitEvidence | None]:
    """The history that ends in the answered state; None where the coordinator lacks its end."""
    seen = memory.seen(unit.id)
    known = None if seen is None else seen.history
    evidence = UnitEvidence(
        unit=unit,
        asked=asked,
        answer=answer,
        before=known,
        before_at=None if seen is None else seen.at,
    )
    if known is not None and known.last_receipt == answer.last_receipt:
        return _ending(evidence, known, known.hashes, ())
    if known is not None and answer.version > len(known.entries):
        entries = yield from _fetch(unit.id, len(known.entries), answer.version)
        if entries is None:
            return None
        try:
            history = verify_history(entries, unit.certificate.identity, known=known)
        except Violation:
            pass  # it doesn't go on from what was seen: look at it from the first entry on
        else:
            return _ending(evidence, history, known.hashes, entries)
    entries = yield from _fetch(unit.id, 0, answer.version)
    if entries is None:
        return None
    try:
        history = verify_history(entries, unit.certificate.identity)
    except Violation as violation:
        return _but(evidence, broken=str(violation))
    learned = memory.learned(history, asked, accepted).seen(unit.id)
    replaced = learned is not None and learned.history is history
    return _ending(_but(evidence, replaced=replaced), history, (), entries)


def _ending(
    evidence: UnitEvidence,
    history: History,
    known: tuple[Digest, ...],
    fetched: tuple[Signed, ...],
) -> UnitEvidence:
    """Whether the history's end is the state that the unit signed over our nonce."""
    answer = evidence.answer
    assert answer is not None
    ends = (len(history.entries), history.last_receipt, history.incarnation, history.state)
    if ends != (answer.version, answer.last_receipt, answer.incarnation, answer.state):
        return _but(evidence, broken="the unit's state isn't the one that its history ends in")
    return _but(evidence, history=history, after=len(known), fetched=fetched)


def _but(evidence: UnitEvidence, **changes: object) -> UnitEvidence:
    return replace(evidence, **changes)  # type: ignore[arg-type]


def _fetch(unit: UnitId, after: int, version: int) -> Gathering[tuple[Signed, ...] | None]:
    """The entries with versions above `after` up to `version`; None where there are fewer."""
    if version - after > MAX_ENTRIES:
        raise Violation(f"a history of more than {MAX_ENTRIES} entries")
    entries: list[Signed] = []
    while after + len(entries) < version:
        replies = yield (AskHistory(unit, after + len(entries)),)
        page = replies.messages[0]
        if not isinstance(page, HistoryPage):
            raise Violation("an answer to another question")
        entries += page.entries
        if len(page.entries) < HISTORY_PAGE and after + len(entries) < version:
            return None
    return tuple(entries[: version - after])


def _size(log: IdentityKey, note: bytes) -> int | None:
    try:
        return opened(log, note).size
    except Violation:
        return None
