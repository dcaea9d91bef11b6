"""The crypto unit over time: lives, receipts, redelivery, importer keys, its clock, its answers."""

import pytest

from hsm_backend.unit import machine
from hsm_backend.unit.memory import UnitIdentity
from protocol.commands import bodies
from protocol.commands.command import signed_command
from protocol.identifiers import DAY, HOUR, MINUTE, IncarnationId, Instant
from protocol.location import UnitType
from protocol.receipts import Birth, BirthCause, Receipt, entry_hash, open_refusal, open_state
from protocol.refusals import FACTS, Refusal, Rule
from protocol.sealing.contribution import vp_of
from protocol.sealing.importer import open_importer_key
from protocol.secrets import Secret
from protocol.signing.algorithms import Algorithm
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from protocol.unit_state import IMPRINT, RegisterState, state_digest
from protocol.violations import Violation
from tests.cast.commands import NOON, adds, nonce, request_digest, signed
from tests.cast.people import ALICE, BOB, CAROL, DAVE, custodian
from tests.cast.units import CastUnit

PEOPLE = (ALICE, BOB, CAROL)
GIVEN = [(ALICE, ALICE.part()), (BOB, BOB.part())]
OTHERS = [(BOB, BOB.part("next")), (CAROL, CAROL.part("next"))]
KEY = bytes(a ^ b for a, b in zip(ALICE.part(), BOB.part(), strict=True))


def secure() -> CastUnit:
    unit = CastUnit()
    unit.leave_imprint(PEOPLE)
    return unit


def current() -> CastUnit:
    unit = secure()
    unit.load(GIVEN, [ALICE])
    unit.run(bodies.CommitNewRegister(vp=vp_of(KEY)), [ALICE, BOB])
    unit.run(bodies.SetImmediate(vp=vp_of(KEY)), [CAROL])
    return unit


# --- lives and history ----------------------------------------------------------------------------


def test_a_new_unit_is_in_imprint_mode_and_its_history_begins_with_its_birth() -> None:
    unit = CastUnit()
    (birth,) = unit.history()
    assert isinstance(birth, Birth)
    assert (birth.cause, birth.version, birth.previous) == (BirthCause.MADE, 1, None)
    assert birth.incarnation.number == 1
    assert birth.after == unit.state == IMPRINT
    assert (IMPRINT.signature_threshold, IMPRINT.revocation_threshold) == (0, 0)
    assert IMPRINT.imprint


def test_a_receipt_holds_the_command_the_signatures_and_both_states() -> None:
    unit = secure()
    before, last, command = unit.state, unit.last_receipt, unit.command(adds(DAVE))
    receipt = unit.execute(signed(command, [BOB, ALICE]))
    assert isinstance(receipt, Receipt)
    assert receipt.parsed() == command
    assert {one.ski for one in receipt.approvals} == {ALICE.key.ski, BOB.key.ski}
    assert (receipt.before, receipt.after) == (before, unit.state)
    assert (receipt.previous, receipt.version) == (last, command.version + 1)
    assert (receipt.unit, receipt.incarnation) == (unit.id, command.incarnation)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_administrators_of_every_algorithm_count(algorithm: Algorithm) -> None:
    people = tuple(
        custodian(f"{name} {n}".replace(" ", "."), algorithm=algorithm)
        for n, name in enumerate(("one", "two"))
    )
    unit = CastUnit()
    unit.leave_imprint(people)
    receipt = unit.run(bodies.SetControlPoint(point=66, on=True), people)
    assert len(receipt.approvals) == 2
    assert {one.algorithm for one in unit.state.administrators} == {algorithm}


def test_zeroize_resets_everything_and_a_new_life_begins() -> None:
    unit = current()
    unit.run(bodies.SetControlPoint(point=66, on=True), PEOPLE)
    unit.run(bodies.SetAttribute(attribute="zeroize-one", on=False), PEOPLE)
    old, version = unit.memory.incarnation, unit.memory.version
    unit.importer_key(request_digest())
    receipt = unit.run(bodies.Zeroize(), PEOPLE)
    assert receipt.after == unit.state == IMPRINT
    birth = unit.history()[-1]
    assert isinstance(birth, Birth)
    assert birth.cause is BirthCause.ZEROIZE
    assert birth.previous == entry_hash(unit.entries[-2])
    assert (receipt.version, birth.version) == (version + 1, version + 2)
    assert birth.incarnation.number == old.number + 1
    assert birth.incarnation.id != old.id
    assert unit.memory.new_key is unit.memory.current_key is None
    assert unit.memory.importer_keys == ()


def test_zeroize_by_hand_needs_nobody_and_says_so() -> None:
    unit = current()
    last = unit.last_receipt
    unit.importer_key(request_digest())
    unit.zeroize_by_hand()
    birth = unit.history()[-1]
    assert isinstance(birth, Birth)
    assert (birth.cause, birth.previous) == (BirthCause.BY_HAND, last)
    assert unit.state == IMPRINT
    assert unit.memory.current_key is None
    assert unit.memory.importer_keys == ()


def test_a_key_goes_from_parts_to_the_current_register() -> None:
    unit = secure()
    loaded = unit.load(GIVEN, [CAROL])
    assert loaded.after.new.state is RegisterState.FULL_UNCOMMITTED
    assert loaded.after.new.vp == vp_of(KEY)
    committed = unit.run(bodies.CommitNewRegister(vp=vp_of(KEY)), [ALICE, BOB])
    assert committed.after.new.state is RegisterState.FULL_COMMITTED
    done = unit.run(bodies.SetImmediate(vp=vp_of(KEY)), [CAROL])
    assert done.after.new.state is RegisterState.EMPTY
    assert (done.after.current.state, done.after.current.vp) == (RegisterState.VALID, vp_of(KEY))
    assert unit.memory.new_key is None
    assert unit.memory.current_key is not None
    assert unit.memory.current_key.reveal() == KEY


def test_three_parts_in_any_order_make_their_xor() -> None:
    three = [*GIVEN, (CAROL, CAROL.part())]
    key = bytes(a ^ b for a, b in zip(KEY, CAROL.part(), strict=True))
    for order in (three, three[::-1]):
        unit = secure()
        assert unit.load(order, [ALICE]).after.new.vp == vp_of(key)


# --- the same command again -----------------------------------------------------------------------


@pytest.mark.parametrize("later", ["at once", "in another state", "after it expired", "zeroized"])
def test_a_redelivered_command_gets_its_first_receipt(later: str) -> None:
    unit = secure()
    sent = signed(unit.command(adds(DAVE)), [ALICE, BOB])
    first = unit.execute(sent)
    match later:
        case "in another state":
            unit.run(bodies.Void(), [ALICE])
        case "after it expired":
            unit.pass_time(30 * DAY)
        case "zeroized":
            unit.run(bodies.Zeroize(), [ALICE])
    memory, entries = unit.memory, len(unit.entries)
    assert unit.execute(sent) == first
    assert unit.execute(sent.but(approvals=())) == first
    assert unit.memory is memory
    assert len(unit.entries) == entries


def test_a_redelivered_zeroize_gets_its_first_receipt() -> None:
    unit = secure()
    sent = signed(unit.command(bodies.Zeroize()), [ALICE])
    first = unit.execute(sent)
    unit.leave_imprint(PEOPLE)
    state = unit.state
    assert unit.execute(sent) == first
    assert unit.state == state


def test_a_redelivered_load_gets_its_first_receipt_without_its_parts() -> None:
    unit = secure()
    sent = unit.sealed_load(GIVEN, [ALICE])
    first = unit.execute(sent)
    unit.run(bodies.ClearNewRegister(vp=vp_of(KEY)), [BOB])
    assert unit.execute(sent.but(contributions=())) == first
    assert unit.state.new.state is RegisterState.EMPTY


def test_any_executed_command_kills_all_signatures_given_for_the_state_before() -> None:
    unit = secure()
    kinds: list[bodies.Body] = [adds(DAVE), bodies.Void(), bodies.SetClock(to=NOON)]
    copies = [
        signed(unit.command(body, request=request_digest(n)), PEOPLE)
        for n, body in enumerate(kinds)
    ]
    assert [unit.prepare(copy) for copy in copies] == [None] * 3
    unit.run(bodies.Void(), [ALICE])
    for copy in copies:
        assert unit.refuses(copy).rule is Rule.STATE_CHANGED


def test_a_state_that_looks_the_same_again_is_another() -> None:
    unit = secure()
    digest, state = unit.memory.state_digest, unit.state
    unit.run(adds(DAVE), PEOPLE)
    unit.run(bodies.RemoveAdministrator(ski=DAVE.key.ski), PEOPLE)
    assert unit.state == state
    assert unit.memory.state_digest != digest
    assert state_digest(unit.state, unit.last_receipt) == unit.memory.state_digest


# --- what is not a command ------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff", b"\xc1" * 10])
def test_bytes_that_are_no_command_are_a_violation(data: bytes) -> None:
    unit = secure()
    sent = signed_command(command=data, approvals=(), contributions=())
    with pytest.raises(Violation):
        unit.execute(sent)
    with pytest.raises(Violation):
        unit.prepare(sent)


def test_a_command_that_is_spelt_otherwise_is_a_violation() -> None:
    unit = secure()
    sent = signed(unit.command(bodies.Void()), [ALICE])
    with pytest.raises(Violation):
        unit.execute(sent.but(command=sent.command + b"\xc0"))


def test_a_contribution_that_is_no_contribution_is_nobodys_part() -> None:
    unit = secure()
    sent = unit.sealed_load(GIVEN, [ALICE])
    junk = sent.contributions[0].but(statement=b"\xc0")
    refusal = unit.refuses(sent.but(contributions=(junk, sent.contributions[1])))
    assert refusal.rule is Rule.PART_AUTHOR
    assert unit.prepare(sent.but(contributions=(junk, *sent.contributions))) is None


# --- importer keys --------------------------------------------------------------------------------


def test_an_importer_key_is_made_once_for_a_request_and_a_state() -> None:
    unit = secure()
    first, other = unit.importer_key(request_digest(1)), unit.importer_key(request_digest(2))
    assert unit.importer_key(request_digest(1)) == first
    assert other.public_key != first.public_key
    assert (first.unit, first.version) == (unit.id, unit.memory.version)
    assert (first.state, first.request) == (unit.memory.state_digest, request_digest(1))
    unit.run(bodies.Void(), [ALICE])
    again = unit.importer_key(request_digest(1))
    assert again.public_key != first.public_key


def test_of_too_many_importer_keys_the_oldest_goes() -> None:
    unit = secure()
    load = unit.sealed_load(GIVEN, [ALICE])
    for number in range(machine.MAX_IMPORTER_KEYS - 1):
        unit.importer_key(request_digest(number))
    assert unit.prepare(load) is None
    unit.importer_key(request_digest("one too many"))
    assert len(unit.memory.importer_keys) == machine.MAX_IMPORTER_KEYS
    assert unit.refuses(load).rule is Rule.IMPORTER_KEY_UNKNOWN


def test_a_signed_importer_key_is_the_units_own() -> None:
    unit, other = CastUnit(1), CastUnit(2)
    public = unit.importer_key(request_digest())
    key = sign_statement(Label.IMPORTER_KEY, public, unit.key.sign)
    assert open_importer_key(key, unit.key.identity) == public
    with pytest.raises(Violation):
        open_importer_key(key, other.key.identity)
    with pytest.raises(Violation, match="another's importer key"):
        open_importer_key(
            sign_statement(Label.IMPORTER_KEY, public, other.key.sign), other.key.identity
        )


# --- time -----------------------------------------------------------------------------------------


def test_a_command_runs_from_not_before_until_a_minute_before_not_after() -> None:
    unit = secure()
    begins, ends = Instant(NOON + HOUR), Instant(NOON + 2 * HOUR)
    sent = signed(unit.command(bodies.Void(), not_before=begins, not_after=ends), [ALICE])
    assert unit.refuses(sent, at=Instant(begins - 1)).rule is Rule.NOT_YET_VALID
    assert unit.prepare(sent, at=begins) is None
    assert unit.prepare(sent, at=Instant(ends - MINUTE - 1)) is None
    assert unit.refuses(sent, at=Instant(ends - MINUTE)).rule is Rule.EXPIRED
    assert unit.refuses(sent, at=ends).rule is Rule.EXPIRED


def test_seven_days_are_not_too_long() -> None:
    unit = secure()
    unit.run(bodies.Void(), [ALICE], not_after=Instant(NOON + 7 * DAY))


def test_the_units_clock_never_runs_backwards() -> None:
    unit = secure()
    unit.pass_time(HOUR)
    unit.tick()
    command = unit.command(bodies.Void(), not_before=NOON, not_after=Instant(NOON + HOUR))
    assert unit.refuses(signed(command, [ALICE]), at=NOON).rule is Rule.EXPIRED
    assert unit.seen().clock == NOON + HOUR
    receipt = unit.run(bodies.Void(), [ALICE], at=NOON)
    assert receipt.at == NOON + HOUR
    unit.zeroize_by_hand()
    assert unit.history()[-1].at == NOON + HOUR


def test_a_command_moves_the_mark_and_a_refusal_does_not() -> None:
    unit = secure()
    unit.refusal(bodies.Void(), [], at=Instant(NOON + HOUR))
    assert unit.memory.clock == NOON
    unit.run(bodies.Void(), [ALICE], at=Instant(NOON + HOUR))
    assert unit.memory.clock == NOON + HOUR


def test_set_clock_mends_a_mark_that_a_wrong_clock_pushed_ahead() -> None:
    unit = secure()
    unit.now = Instant(NOON + 1000 * DAY)
    unit.tick()
    unit.now = NOON
    tomorrow = Instant(NOON + DAY)
    fields = {"not_before": NOON, "not_after": tomorrow}
    assert unit.refusal(bodies.Void(), [ALICE], **fields).rule is Rule.EXPIRED
    receipt = unit.run(bodies.SetClock(to=NOON), [ALICE, BOB], **fields)
    assert receipt.at == NOON + 1000 * DAY
    assert receipt.before == receipt.after
    assert unit.memory.clock == NOON
    unit.run(bodies.Void(), [ALICE], **fields)


# --- answers --------------------------------------------------------------------------------------


def test_a_state_answer_is_signed_over_every_nonce() -> None:
    unit, nonces = secure(), (nonce(1), nonce(2))
    signed_state = machine.answer_state(unit.identity, unit.memory, nonces, unit.now)
    answer = open_state(signed_state, unit.key.identity)
    assert answer.nonces == nonces
    assert answer.state == unit.state
    assert answer.state_digest == unit.memory.state_digest
    assert (answer.version, answer.incarnation) == (unit.memory.version, unit.memory.incarnation)
    with pytest.raises(Violation):
        open_state(signed_state, CastUnit(2).key.identity)
    with pytest.raises(Violation):
        open_refusal(signed_state, unit.key.identity)


def test_a_unit_signs_only_for_itself() -> None:
    unit, other = secure(), CastUnit(2)
    liar = UnitIdentity(unit=unit.id, type=UnitType.OPERATIONAL, sign=other.key.sign)
    lie = machine.answer_state(liar, unit.memory, (nonce(1),), unit.now)
    with pytest.raises(Violation, match="about another"):
        open_state(lie, other.key.identity)


CAN_STILL_RUN = {
    Rule.NOT_YET_VALID,
    Rule.SIGNATURE_INVALID,
    Rule.SIGNER_UNKNOWN,
    Rule.TOO_FEW_SIGNATURES,
    Rule.PART_MISSING,
    Rule.PART_UNREADABLE,
    Rule.PART_MISMATCH,
    Rule.PART_AUTHOR,
    Rule.EXPORT_UNPROVEN,
}
"""Time, other signatures or other parts may still make the same command run."""


@pytest.mark.parametrize("rule", Rule)
def test_a_refusal_says_whether_the_command_can_still_run(rule: Rule) -> None:
    unit = secure()
    refusal = Refusal(rule=rule, expected="this", found="that")
    command = unit.command(bodies.Void())
    no = machine.answer_refusal(unit.identity, unit.memory, command, refusal, unit.now)
    answer = open_refusal(no, unit.key.identity)
    assert answer.refusal == refusal
    assert answer.command == command.id
    assert answer.can_still_run == FACTS[rule].can_still_run == (rule in CAN_STILL_RUN)


def test_a_refused_command_runs_once_it_has_what_it_lacked() -> None:
    unit = secure()
    command = unit.command(adds(DAVE))
    assert unit.refuses(signed(command, [ALICE])).facts.can_still_run
    assert isinstance(unit.execute(signed(command, [ALICE, CAROL])), Receipt)


def test_no_answer_shows_a_secret() -> None:
    unit = current()
    unit.load(OTHERS, [ALICE])
    unit.importer_key(request_digest("more"))
    secrets = [KEY, *(part for _, part in (*GIVEN, *OTHERS))]
    secrets += [held.private.reveal() for held in unit.memory.importer_keys]
    text = repr((unit.memory, unit.history(), unit.seen()))
    data = b"".join(one.statement for one in unit.entries)
    for secret in secrets:
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text
        assert secret not in data


def test_an_importer_keys_private_half_is_a_secret_from_the_start() -> None:
    unit = secure()
    private = Secret(bytes(range(96)))
    memory, public = machine.make_importer_key(
        unit.identity, unit.memory, request_digest(), private=private, now=unit.now
    )
    assert memory.importer_keys[-1].private is private
    assert public.digest == memory.importer_keys[-1].public.digest


def test_lives_are_numbered_on_and_named_afresh() -> None:
    unit = CastUnit()
    ids: set[IncarnationId] = {unit.memory.incarnation.id}
    for number in range(2, 6):
        unit.zeroize_by_hand()
        assert unit.memory.incarnation.number == number
        ids.add(unit.memory.incarnation.id)
    assert len(ids) == 5
