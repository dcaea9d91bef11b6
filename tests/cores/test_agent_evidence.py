"""Gathering evidence, remembering it, and following the log, against coordinators of every kind."""

from collections.abc import Callable
from typing import Any

import pytest

from hsm_backend.unit import machine
from protocol.charter import Charter
from protocol.commands.bodies import SetThresholds, Void, Zeroize
from protocol.history import History, verify_history
from protocol.identifiers import HOUR, MINUTE, CommandId, Digest, Instant, StateVersion
from protocol.receipts import Birth, BirthCause, StateAnswer, entry_hash
from protocol.record.tree import Hash
from protocol.schema import from_bytes
from protocol.session.messages import HISTORY_PAGE, Consistency, HistoryPage, States
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from protocol.violations import Violation
from quorate.unavailable import Unavailable
from signer_agent.desk.review import Review
from signer_agent.trust.evidence import AskConsistency, AskHistory, AskStates, Question, Reply
from signer_agent.trust.memory import GivenSignature, Memory
from signer_agent.trust.witness import first_sight, forked, with_log
from tests.cast.charters import charter as make_charter
from tests.cast.charters import charter_unit
from tests.cast.people import ALICE, BOB, CAROL, MALLORY
from tests.cast.units import CastUnit
from tests.cores.desk_world import LOG, Desk, Log, World, world_with_desks

Answering = Callable[[Question], Reply]


def bent(world: World, change: Callable[[Question, Any], Reply]) -> Answering:
    """A coordinator whose answers are changed."""
    return lambda question: change(question, world.answer(question))


# --- states ---------------------------------------------------------------------------------------


def test_a_state_twice_or_of_a_unit_that_was_not_asked_breaks_the_protocol():
    world, (_, bob, _) = world_with_desks(units=2)

    def twice(question: Question, reply: Any) -> Reply:
        return (
            reply.but(answers=(*reply.answers, reply.answers[0]))
            if isinstance(reply, States)
            else reply
        )

    with pytest.raises(Violation, match="wasn't asked"):
        bob.gather(None, bent(world, twice))
    stranger = CastUnit(9)

    def other(question: Question, reply: Any) -> Reply:
        if not isinstance(question, AskStates):
            return reply  # type: ignore[no-any-return]
        signed = machine.answer_state(
            stranger.identity, stranger.memory, (question.nonce,), world.now
        )
        return States(ref=0, answers=(signed,))

    with pytest.raises(Violation, match="wasn't asked"):
        bob.gather(None, bent(world, other))


def test_an_answer_of_another_kind_breaks_the_protocol():
    world, (_, bob, _) = world_with_desks()

    def confused(question: Question, reply: Any) -> Reply:
        return HistoryPage(ref=0, entries=()) if isinstance(question, AskStates) else reply

    with pytest.raises(Violation, match="another question"):
        bob.gather(None, bent(world, confused))


# --- histories ------------------------------------------------------------------------------------


def test_a_long_history_comes_in_pages_and_then_only_what_is_new():
    world, (_, bob, _) = world_with_desks(units=1)
    unit = world.units[0]
    for _ in range(HISTORY_PAGE + 20):
        unit.run(Void(), [CAROL])
    asked: list[AskHistory] = []

    def noting(question: Question, reply: Any) -> Reply:
        if isinstance(question, AskHistory):
            asked.append(question)
        return reply  # type: ignore[no-any-return]

    newcomer = Desk(world, BOB)
    newcomer.book, newcomer.witness = bob.book, bob.witness
    evidence = newcomer.gather(None, bent(world, noting))
    assert [one.after for one in asked] == [0, HISTORY_PAGE]
    assert len(evidence.units[unit.id].fetched) == len(unit.entries)
    asked.clear()
    unit.run(Void(), [CAROL])
    evidence = newcomer.gather(None, bent(world, noting))
    assert [one.after for one in asked] == [len(unit.entries) - 1]
    assert evidence.units[unit.id].fetched == tuple(unit.entries[-1:])
    asked.clear()
    newcomer.gather(None, bent(world, noting))
    assert asked == []


def test_what_ran_after_the_state_was_signed_is_left_for_next_time():
    world, (_, bob, _) = world_with_desks(units=1)
    unit = world.units[0]
    unit.run(Void(), [CAROL])
    wanted = len(unit.entries)

    def meanwhile(question: Question, reply: Any) -> Reply:
        if isinstance(question, AskStates):
            unit.run(Void(), [CAROL])
        return reply  # type: ignore[no-any-return]

    found = bob.gather(None, bent(world, meanwhile)).units[unit.id]
    assert found.broken is None and found.history is not None
    assert len(found.history.entries) == wanted < len(unit.entries)


def test_a_coordinator_that_withholds_the_end_of_a_history_is_unavailable():
    world, (_, bob, _) = world_with_desks(units=1)
    world.units[0].run(Void(), [CAROL])

    def withholding(question: Question, reply: Any) -> Reply:
        return reply.but(entries=()) if isinstance(reply, HistoryPage) else reply

    with pytest.raises(Unavailable):
        bob.gather(None, bent(world, withholding))


def test_a_state_that_its_history_does_not_end_in_is_the_units_fault():
    world, (_, bob, _) = world_with_desks(units=1)
    unit = world.units[0]
    unit.run(Void(), [CAROL])
    unit.memory = unit.memory.but(state=unit.state.but(control_points=(3,)))
    newcomer = Desk(world, BOB)
    newcomer.book, newcomer.witness = bob.book, bob.witness
    found = newcomer.gather(None).units[unit.id]
    assert found.history is None and "history ends in" in (found.broken or "")


def test_an_endless_history_is_not_fetched():
    world, (_, bob, _) = world_with_desks(units=1)
    unit = world.units[0]
    with pytest.raises(Violation, match="more than"):
        bob.gather(None, bent(world, lambda question, reply: _far_ahead(question, reply, unit)))


def _far_ahead(question: Question, reply: Any, unit: CastUnit) -> Reply:
    if not isinstance(question, AskStates):
        return reply  # type: ignore[no-any-return]
    answer = from_bytes(StateAnswer, reply.answers[0].statement)
    lying = answer.but(version=1 << 50, last_receipt=Digest(bytes(32)))
    signed = sign_statement(Label.STATE_ANSWER, lying, unit.key.sign)
    return States(ref=0, answers=(signed,))


# --- memory ---------------------------------------------------------------------------------------


def history_of(unit: CastUnit) -> History:
    return verify_history(unit.entries, unit.key.identity)


class Twice:
    """A unit and a copy of it that went on otherwise."""

    def __init__(self) -> None:
        self.unit = CastUnit()
        self.unit.leave_imprint([ALICE, BOB])
        self.copied = (self.unit.memory, list(self.unit.entries))
        self.unit.run(Void(), [ALICE])
        self.memory = Memory().learned(history_of(self.unit), Instant(1), None)
        self.unit.memory, self.unit.entries = self.copied[0], list(self.copied[1])

    def version(self, receipt: Digest) -> Charter:
        made = make_charter([ALICE, BOB], [self.unit])
        return made.but(units=(charter_unit(self.unit, last_receipt=receipt),))

    def learns(self, charter: Charter | None) -> bool:
        history = history_of(self.unit)
        learned = self.memory.learned(history, Instant(2), charter).seen(self.unit.id)
        return learned is not None and learned.history == history


def test_what_goes_on_is_learned_and_what_is_older_is_not():
    unit = CastUnit()
    unit.install([ALICE])
    older = history_of(unit)
    unit.install([BOB])
    memory = Memory().learned(older, Instant(1), None).learned(history_of(unit), Instant(2), None)
    seen = memory.seen(unit.id)
    assert seen is not None and len(seen.history.entries) == 3 and seen.at == 2
    assert memory.learned(older, Instant(3), None) == memory
    again = memory.learned(seen.history, Instant(9), None).seen(unit.id)
    assert again is not None and again.at == 9
    late = memory.learned(seen.history, Instant(1), None).seen(unit.id)
    assert late is not None and late.at == 2


def test_a_new_life_named_by_an_accepted_version_is_learned():
    twice = Twice()
    twice.unit.run(Zeroize(), [ALICE])
    assert not twice.learns(None)
    assert twice.learns(twice.version(twice.unit.last_receipt))


def test_a_life_begun_by_hand_is_learned_too():
    twice = Twice()
    twice.unit.zeroize_by_hand()
    assert twice.learns(twice.version(twice.unit.last_receipt))


def test_without_a_zeroize_no_version_makes_a_rollback_good():
    twice = Twice()
    twice.unit.run(Void(), [BOB])
    assert not twice.learns(twice.version(twice.unit.last_receipt))


def test_no_version_makes_a_restored_life_good():
    twice = Twice()
    memory = twice.unit.memory
    birth = Birth(
        unit=twice.unit.id,
        incarnation=memory.incarnation.but(number=memory.incarnation.number + 1),
        version=StateVersion(memory.version + 1),
        previous=memory.last_receipt,
        cause=BirthCause.RESTORE,
        after=twice.unit.state,
        at=twice.unit.now,
    )
    signed = sign_statement(Label.HISTORY, birth, twice.unit.key.sign)
    twice.unit.entries.append(signed)
    assert not twice.learns(twice.version(entry_hash(signed)))


def test_a_zeroize_that_was_seen_before_makes_no_later_rollback_good():
    twice = Twice()
    twice.unit.run(Zeroize(), [ALICE])
    twice.memory = Memory().learned(history_of(twice.unit), Instant(1), None)
    copied = twice.unit.memory, list(twice.unit.entries)
    twice.unit.install([ALICE])
    twice.memory = twice.memory.learned(history_of(twice.unit), Instant(1), None)
    twice.unit.memory, twice.unit.entries = copied
    twice.unit.install([BOB])
    assert not twice.learns(twice.version(twice.unit.last_receipt))


def test_a_version_that_names_an_entry_before_the_new_life_replaces_nothing():
    twice = Twice()
    twice.unit.run(Void(), [BOB])
    forked_at = twice.unit.last_receipt
    twice.unit.run(Zeroize(), [ALICE])
    assert not twice.learns(twice.version(forked_at))


def test_a_version_that_names_what_was_seen_before_replaces_nothing():
    twice = Twice()
    common = twice.unit.last_receipt
    twice.unit.run(Zeroize(), [ALICE])
    assert not twice.learns(twice.version(common))


def test_the_first_look_after_such_a_version_may_be_signed_for():
    world, (alice, bob, carol) = world_with_desks(units=1)
    unit = world.units[0]
    memory, entries = unit.memory, list(unit.entries)
    unit.run(Void(), [CAROL])
    for desk in (alice, bob, carol):
        desk.look()
    unit.memory, unit.entries = memory, entries
    unit.run(Zeroize(), [ALICE])
    unit.install(world.people)
    version = make_charter(world.people, world.units, previous=world.charter)
    seen = bob.memory
    bob.accept(version, others=[ALICE, CAROL])
    bob.memory = seen
    news = world.open(SetThresholds(signatures=2, revocations=2), charter=version)
    evidence = bob.gather(news)
    assert evidence.units[unit.id].replaced
    bob.memory = seen
    assert isinstance(bob.review(news), Review)


def test_only_live_signatures_for_the_same_state_count():
    unit, state = CastUnit().id, Digest(bytes(32))

    def given(command: int, until: int, of: Digest = state) -> GivenSignature:
        return GivenSignature(
            unit=unit,
            state=of,
            command=CommandId(bytes([command] * 32)),
            request=Digest(bytes([command] * 32)),
            number=command,
            ski=ALICE.key.ski,
            at=Instant(command),
            until=Instant(until),
        )

    memory = Memory().signed((given(1, 100), given(2, 5), given(3, 100, Digest(b"x" * 32))))
    live = memory.live(unit, state, Instant(10), but=CommandId(bytes(32)))
    assert [one.number for one in live] == [1]
    assert memory.live(unit, state, Instant(10), but=CommandId(bytes([1] * 32))) == ()
    again = memory.signed((given(1, 100).but(at=Instant(50)),))
    earlier = again.earlier(Digest(bytes([1] * 32)), ALICE.key.ski)
    assert earlier is not None and earlier.at == 1
    assert again.earlier(Digest(bytes([1] * 32)), BOB.key.ski) is None


# --- the log --------------------------------------------------------------------------------------


def test_a_log_that_grows_between_two_questions_is_followed():
    world, (_, bob, _) = world_with_desks()
    news = world.open(Zeroize())
    grown = 0

    def growing(question: Question, reply: Any) -> Reply:
        nonlocal grown
        if isinstance(question, AskConsistency) and grown < 3:
            grown += 1
            world.log.append(f"in between {grown}")
        return reply  # type: ignore[no-any-return]

    evidence = bob.gather(news, bent(world, growing))
    assert grown == 3
    assert not hasattr(evidence.held, "exit") and evidence.held is not None
    assert evidence.witness.size == world.log.frontier.size


def test_a_log_that_never_stands_still_is_unavailable():
    world, (_, bob, _) = world_with_desks()
    news = world.open(Zeroize())

    def racing(question: Question, reply: Any) -> Reply:
        world.log.append("more")
        return reply  # type: ignore[no-any-return]

    with pytest.raises(Unavailable):
        bob.gather(news, bent(world, racing))


def test_a_checkpoint_that_the_log_key_did_not_sign_breaks_the_protocol():
    world, (_, bob, _) = world_with_desks()
    stranger = Log("mallory's log")

    def forging(question: Question, reply: Any) -> Reply:
        if isinstance(question, AskConsistency):
            return stranger.consistency(1)
        return reply  # type: ignore[no-any-return]

    with pytest.raises(Violation, match="signature"):
        bob.gather(None, bent(world, forging))


def consistency(log: Log, size: int) -> Consistency:
    found = log.consistency(size)
    assert isinstance(found, Consistency)
    return found


def test_a_fork_once_seen_is_seen_for_ever():
    log, other = Log(), Log()
    for number in range(4):
        log.append(f"entry {number}")
    other.append("another")
    seen = first_sight(LOG.identity).followed(log.note(), (), at=Instant(5))
    fork = seen.followed(other.note(), (), at=Instant(7)).fork
    assert fork is not None
    assert (fork.seen, fork.seen_at, fork.found, fork.found_at) == (log.note(), 5, other.note(), 7)
    log.append("on")
    honest = consistency(log, seen.size)
    witness = seen.followed(other.note(), (), at=Instant(7))
    assert witness.followed(honest.checkpoint, honest.proof, at=Instant(9)) == witness
    found = forked(witness, "ledger-eu")
    assert found is not None and "entry 5" in (found.expected or "")
    assert seen.followed(honest.checkpoint, honest.proof, at=Instant(9)).fork is None


@pytest.mark.parametrize("bend", ["dropped", "changed", "added"])
def test_a_proof_that_does_not_hold_is_a_fork(bend: str):
    log = Log()
    for number in range(5):
        log.append(f"entry {number}")
    seen = first_sight(LOG.identity).followed(log.note(), (), at=Instant(1))
    for number in range(9):
        log.append(f"more {number}")
    honest = consistency(log, seen.size)
    proof = {
        "dropped": honest.proof[:-1],
        "changed": (Hash(bytes(32)), *honest.proof[1:]),
        "added": (*honest.proof, Hash(bytes(32))),
    }[bend]
    assert seen.followed(honest.checkpoint, honest.proof, at=Instant(2)).fork is None
    assert seen.followed(honest.checkpoint, proof, at=Instant(2)).fork is not None


def test_a_new_log_key_begins_a_new_witness():
    log, other = Log(), Log()
    log.append("entry")
    other.append("another")
    seen = first_sight(LOG.identity).followed(log.note(), (), at=Instant(1))
    fork = seen.followed(other.note(), (), at=Instant(2))
    assert with_log(fork, LOG.identity) == fork
    assert with_log(fork, MALLORY.identity.identity).fork is None


def test_seen_states_have_an_age():
    world, (_, bob, _) = world_with_desks(units=1)
    bob.look()
    unit = world.units[0]
    at = world.now
    world.pass_time(HOUR)
    world.out_of_reach.add(unit.id)
    found = bob.look().units[unit.id]
    assert found.answer is None and found.before_at == at
    assert found.history is not None
    assert found.history.last_receipt == entry_hash(unit.entries[-1])


def test_what_was_seen_of_the_log_by_a_moment():
    """At most ten minutes of looks are forgotten, and never the last one."""
    log, seen = Log(), first_sight(LOG.identity)
    for minute in range(1, 100):
        old = seen.size
        log.append(f"minute {minute}")
        answer = log.consistency(old)
        assert isinstance(answer, Consistency)
        seen = seen.followed(answer.checkpoint, answer.proof, at=Instant(minute * MINUTE))
    assert seen.seen_by(Instant(0)) == 0
    assert seen.seen_by(Instant(99 * MINUTE)) == seen.size
    for minute in range(1, 100):
        found = seen.seen_by(Instant(minute * MINUTE))
        assert minute + 1 - 10 <= found <= minute + 1
    assert len(seen.sightings) < 25
