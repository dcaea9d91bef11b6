"""Every rule by which a crypto unit refuses: what provokes it, and the two values compared.

Each case is refused by `prepare` and by `execute` alike, and leaves the unit's memory untouched.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from protocol.commands import bodies
from protocol.commands.bodies import Body, LoadNewRegister, NamedPart
from protocol.commands.command import Command, Contribution, SignedCommand
from protocol.identifiers import DAY, MINUTE, Digest, Instant, Signature
from protocol.location import UnitType
from protocol.receipts import Receipt
from protocol.refusals import FACTS, Refusal, Rule
from protocol.schema import from_bytes, to_bytes
from protocol.sealing import hpke
from protocol.sealing.contribution import SealedPart, sealing_info, vp_of
from protocol.sealing.copies import SealedCopy, copy_info
from protocol.sealing.importer import ImporterKey
from protocol.signing.labels import Label, labelled
from protocol.signing.statements import sign_statement
from tests.cast.commands import NOON, adds, contribution, load_of, request_digest, signed
from tests.cast.keys import noise, signature_key
from tests.cast.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    EVERYBODY,
    IVAN,
    MALLORY,
    Custodian,
    approval,
    custodian,
)
from tests.cast.units import CastUnit, Vendor

REPOSITORY = Path(__file__).parents[2]
PEOPLE = (ALICE, BOB, CAROL)
GIVEN = [(ALICE, ALICE.part()), (BOB, BOB.part())]
ALICES, BOBS = vp_of(ALICE.part()), vp_of(BOB.part())
KEY_VP = vp_of(bytes(a ^ b for a, b in zip(ALICE.part(), BOB.part(), strict=True)))
OTHER_KEY = noise("another key")
OTHER_VP = vp_of(OTHER_KEY)


def new() -> CastUnit:
    return CastUnit()


def imprint() -> CastUnit:
    unit = CastUnit()
    unit.install(PEOPLE)
    return unit


def secure(signatures: int = 2, revocations: int = 2) -> CastUnit:
    unit = CastUnit()
    unit.leave_imprint(PEOPLE, signatures=signatures, revocations=revocations)
    return unit


def loaded() -> CastUnit:
    unit = secure()
    unit.load(GIVEN, [ALICE])
    return unit


def committed() -> CastUnit:
    unit = loaded()
    unit.run(bodies.CommitNewRegister(vp=KEY_VP), PEOPLE)
    return unit


def current() -> CastUnit:
    unit = committed()
    unit.run(bodies.SetImmediate(vp=KEY_VP), [ALICE])
    return unit


@dataclass(frozen=True)
class Case:
    """A unit, what it is sent, and what it must say."""

    rule: Rule
    make: Callable[[], CastUnit]
    send: Callable[[CastUnit], SignedCommand]
    expected: str
    found: str


CASES: list[Case] = []


def case(
    rule: Rule, make: Callable[[], CastUnit], *, expected: str, found: str
) -> Callable[[Callable[[CastUnit], SignedCommand]], Callable[[CastUnit], SignedCommand]]:
    def note(send: Callable[[CastUnit], SignedCommand]) -> Callable[[CastUnit], SignedCommand]:
        CASES.append(Case(rule, make, send, expected, found))
        return send

    return note


def refused(
    rule: Rule, make: Callable[[], CastUnit], body: Body, *, expected: str, found: str
) -> None:
    """A case that is only a body, signed by everybody installed."""

    def send(unit: CastUnit) -> SignedCommand:
        installed = [who for who in EVERYBODY if unit.state.administrator(who.key.ski)]
        return signed(unit.command(body), installed)

    case(rule, make, expected=expected, found=found)(send)


# --- what every command must pass -----------------------------------------------------------------

UNIT, OTHER_UNIT = CastUnit(1), CastUnit(2)


@case(Rule.WRONG_UNIT, secure, expected=UNIT.id.hex(), found=OTHER_UNIT.id.hex())
def another_unit(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.Void(), unit=OTHER_UNIT.id), [ALICE])


FIRST_LIFE = UNIT.memory.incarnation


@case(
    Rule.WRONG_INCARNATION,
    secure,
    expected=f"1, {FIRST_LIFE.id.hex()}",
    found=f"2, {FIRST_LIFE.id.hex()}",
)
def another_life(unit: CastUnit) -> SignedCommand:
    life = unit.memory.incarnation.but(number=2)
    return signed(unit.command(bodies.Void(), incarnation=life), [ALICE])


@case(Rule.WRONG_INCARNATION, secure, expected=f"1, {FIRST_LIFE.id.hex()}", found=f"1, {'00' * 16}")
def a_life_with_this_number(unit: CastUnit) -> SignedCommand:
    life = unit.memory.incarnation.but(id=bytes(16))
    return signed(unit.command(bodies.Void(), incarnation=life), [ALICE])


@case(Rule.STATE_CHANGED, secure, expected="state version 5, ", found="state version 4, ")
def an_older_version(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.Void(), version=4), [ALICE])


@case(Rule.STATE_CHANGED, secure, expected="state version 5, ", found="state version 5, 00000000…")
def another_state(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.Void(), state=Digest(bytes(32))), [ALICE])


@case(Rule.STATE_CHANGED, secure, expected="state version 6, ", found="state version 5, ")
def a_state_before_a_void(unit: CastUnit) -> SignedCommand:
    command = unit.command(bodies.SetControlPoint(point=1, on=True))
    unit.run(bodies.Void(), [ALICE])
    return signed(command, PEOPLE)


@case(Rule.NOT_YET_VALID, secure, expected=f"at {NOON + 1} or later", found=str(NOON))
def too_early(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.Void(), not_before=NOON + 1), [ALICE])


@case(Rule.EXPIRED, secure, expected=f"before {NOON}", found=str(NOON))
def in_the_last_minute(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.Void(), not_after=Instant(NOON + MINUTE)), [ALICE])


@case(Rule.VALID_TOO_LONG, secure, expected="at most 604800000 ms", found="604800001 ms")
def valid_for_a_week_and_a_bit(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.Void(), not_after=Instant(NOON + 7 * DAY + 1)), [ALICE])


@case(Rule.VALID_TOO_LONG, secure, expected="at most 604800000 ms", found="604800001 ms")
def set_clock_for_too_long(unit: CastUnit) -> SignedCommand:
    body = bodies.SetClock(to=NOON)
    return signed(unit.command(body, not_after=Instant(NOON + 7 * DAY + 1)), PEOPLE)


@case(
    Rule.SIGNATURE_INVALID,
    secure,
    expected="alice's signature over this command",
    found="one that doesn't verify",
)
def a_forged_signature_beside_enough_others(unit: CastUnit) -> SignedCommand:
    command = unit.command(bodies.SetControlPoint(point=1, on=True))
    sent = signed(command, [BOB, CAROL])
    forged = approval(MALLORY.key, command).but(ski=ALICE.key.ski)
    return sent.but(approvals=(*sent.approvals, forged))


@case(
    Rule.SIGNATURE_INVALID,
    secure,
    expected="alice's signature over this command",
    found="one that doesn't verify",
)
def a_signature_for_another_charter(unit: CastUnit) -> SignedCommand:
    command = unit.command(bodies.Void())
    other = signed(command.but(charter=Digest(bytes(32))), [ALICE])
    return other.but(command=to_bytes(command))


@case(
    Rule.SIGNER_UNKNOWN,
    secure,
    expected="signatures of installed administrators",
    found=MALLORY.key.ski.hex(),
)
def a_stranger_beside_enough_others(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.Void()), [ALICE, MALLORY])


@case(
    Rule.SIGNER_UNKNOWN,
    new,
    expected="signatures of installed administrators",
    found=ALICE.key.ski.hex(),
)
def a_signature_in_an_empty_unit(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(adds(ALICE)), [ALICE])


@case(Rule.TOO_FEW_SIGNATURES, secure, expected="2", found="1")
def one_signature_of_two(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.SetControlPoint(point=1, on=True)), [ALICE])


@case(Rule.TOO_FEW_SIGNATURES, secure, expected="2", found="1")
def one_signature_twice(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.SetControlPoint(point=1, on=True)), [ALICE, ALICE])


refused(
    Rule.IMPRINT_MODE,
    imprint,
    bodies.SetControlPoint(point=1, on=True),
    expected="thresholds of at least 1",
    found="0 and 0",
)

# --- administrators and thresholds ----------------------------------------------------------------

for title, shown in {
    "": '0: ""',
    "x" * 31: f'31: "{"x" * 31}"',
    "älice": '5: "älice"',
    "alice\n": '6: "alice\\u{a}"',
    "a_b": '3: "a_b"',
    " alice": '6: " alice"',
    "alice ": '6: "alice "',
    "\u202eecila": '6: "\\u{202e}ecila"',
}.items():
    refused(
        Rule.ADMINISTRATOR_NAME,
        secure,
        bodies.AddAdministrator(key=DAVE.proven(title=title)),
        expected="1 to 30 characters of PrintableString, no blank at either end",
        found=shown,
    )

for unproven in (
    DAVE.proven().but(proof=MALLORY.proven().proof),
    DAVE.proven().but(proof=DAVE.proven(title="another name").proof),
    DAVE.proven().but(claim=DAVE.proven().claim.but(public_key=bytes(31))),
    DAVE.proven().but(claim=DAVE.proven().claim.but(public_key=b"")),
    DAVE.proven().but(claim=DAVE.proven().claim.but(agent=MALLORY.agent)),
):
    refused(
        Rule.ADMINISTRATOR_KEY,
        secure,
        bodies.AddAdministrator(key=unproven),
        expected="a claim signed by its own key",
        found="a signature that doesn't verify",
    )

refused(
    Rule.ADMINISTRATOR_EXISTS,
    secure,
    bodies.AddAdministrator(key=ALICE.proven(title="alice again")),
    expected="a key that isn't installed",
    found=f'{ALICE.key.ski.hex()[:8]}…, installed as "alice"',
)


def full() -> CastUnit:
    unit = CastUnit()
    unit.leave_imprint(EVERYBODY[:8])
    return unit


refused(Rule.TOO_MANY_ADMINISTRATORS, full, adds(IVAN), expected="at most 8", found="9")

refused(
    Rule.NO_SUCH_ADMINISTRATOR,
    secure,
    bodies.RemoveAdministrator(ski=MALLORY.key.ski),
    expected='one of "',
    found=f"{MALLORY.key.ski.hex()[:8]}…",
)
refused(
    Rule.NO_SUCH_ADMINISTRATOR,
    new,
    bodies.RemoveAdministrator(ski=MALLORY.key.ski),
    expected="one of nobody",
    found=f"{MALLORY.key.ski.hex()[:8]}…",
)
for strict in (partial(secure, 3, 1), partial(secure, 1, 3), partial(secure, 3, 3)):
    refused(
        Rule.REMOVAL_LEAVES_THRESHOLD,
        strict,
        bodies.RemoveAdministrator(ski=CAROL.key.ski),
        expected="at least 3 who stay",
        found="2",
    )

for make in (imprint, secure):
    for signatures in (0, 9, 255):
        refused(
            Rule.SIGNATURE_THRESHOLD_RANGE,
            # In imprint mode the *new* threshold must sign; nobody can have signed 9 times.
            make if signatures == 0 else secure,
            bodies.SetThresholds(signatures=signatures, revocations=2),
            expected="1 to 8",
            found=str(signatures),
        )
    for revocations in (0, 9, 255):
        refused(
            Rule.REVOCATION_THRESHOLD_RANGE,
            make,
            bodies.SetThresholds(signatures=2, revocations=revocations),
            expected="1 to 8",
            found=str(revocations),
        )
    refused(
        Rule.REVOCATION_ABOVE_ADMINISTRATORS,
        make,
        bodies.SetThresholds(signatures=2, revocations=4),
        expected="at most 3, the number of administrators",
        found="4",
    )
refused(
    Rule.THRESHOLD_ABOVE_ADMINISTRATORS,
    secure,
    bodies.SetThresholds(signatures=4, revocations=2),
    expected="at most 3, the number of administrators",
    found="4",
)

# --- master key registers -------------------------------------------------------------------------

for count in (0, 1, 4, 8):

    @case(Rule.PART_COUNT, secure, expected="2 or 3 parts", found=str(count))
    def as_many_parts(unit: CastUnit, count: int = count) -> SignedCommand:
        return unit.sealed_load([(ALICE, ALICE.part(str(n))) for n in range(count)], [ALICE])


@case(Rule.PART_TWICE, secure, expected="different parts", found=f"{ALICES.hex()} again")
def the_same_part_twice(unit: CastUnit) -> SignedCommand:
    return unit.sealed_load([GIVEN[0], GIVEN[1], GIVEN[0]], [ALICE])


@case(Rule.PART_TWICE, secure, expected="different parts", found=f"{ALICES.hex()} again")
def the_same_part_by_two(unit: CastUnit) -> SignedCommand:
    return unit.sealed_load([(ALICE, ALICE.part()), (BOB, ALICE.part())], [ALICE])


@case(Rule.PART_MISSING, secure, expected=f"part {BOBS.hex()}", found="none")
def a_part_that_did_not_come(unit: CastUnit) -> SignedCommand:
    sent = unit.sealed_load(GIVEN, [ALICE])
    return sent.but(contributions=sent.contributions[:1])


@case(Rule.PART_MISSING, secure, expected=f"part {ALICES.hex()}", found="none")
def no_part_at_all(unit: CastUnit) -> SignedCommand:
    return unit.sealed_load(GIVEN, [ALICE]).but(contributions=())


@case(Rule.PART_MISSING, secure, expected=f"part {ALICES.hex()}", found="none")
def parts_that_were_given_for_another_load(unit: CastUnit) -> SignedCommand:
    load, importer = unit.load_command(GIVEN)
    other = load.but(not_after=Instant(load.not_after + 1))
    return signed(load, [ALICE], [contribution(one, other, importer) for one in GIVEN])


@case(
    Rule.PART_UNREADABLE,
    secure,
    expected="sealed to this unit's importer key for this load",
    found=f"part {BOBS.hex()}",
)
def a_part_sealed_to_another_unit(unit: CastUnit) -> SignedCommand:
    load, importer = unit.load_command(GIVEN)
    others = OTHER_UNIT.importer_key(request_digest())
    given = [contribution(GIVEN[0], load, importer), contribution(GIVEN[1], load, others)]
    return signed(load, [ALICE], given)


@case(Rule.PART_MISMATCH, secure, expected=BOBS.hex(), found=vp_of(CAROL.part()).hex())
def another_part_under_the_announced_vp(unit: CastUnit) -> SignedCommand:
    load, importer = unit.load_command(GIVEN)
    info = sealing_info(load, BOBS, BOB.agent)
    sealed = hpke.seal(CAROL.part(), importer.public_key, info=info)
    data = to_bytes(SealedPart(load=load.id, vp=BOBS, custodian=BOB.agent, sealed=sealed))
    signature = Signature(BOB.identity.sign(labelled(Label.CONTRIBUTION, data)))
    wrong = Contribution(statement=data, signature=signature)
    return signed(load, [ALICE], [contribution(GIVEN[0], load, importer), wrong])


@case(
    Rule.PART_AUTHOR,
    secure,
    expected=f"part {BOBS.hex()} signed by custodian {BOB.agent.hex()[:8]}…",
    found=f"custodian {MALLORY.agent.hex()[:8]}…",
)
def a_part_that_somebody_else_gives(unit: CastUnit) -> SignedCommand:
    load, importer = unit.load_command(GIVEN)
    given = [GIVEN[0], (MALLORY, BOB.part())]
    return signed(load, [ALICE], [contribution(one, load, importer) for one in given])


@case(
    Rule.PART_AUTHOR,
    secure,
    expected=f"part {BOBS.hex()} signed by custodian {BOB.agent.hex()[:8]}…",
    found="a signature that doesn't verify",
)
def a_part_whose_signature_is_another_parts(unit: CastUnit) -> SignedCommand:
    sent = unit.sealed_load(GIVEN, [ALICE])
    alices, bobs = sent.contributions
    return sent.but(contributions=(alices, bobs.but(signature=alices.signature)))


@case(
    Rule.IMPORTER_KEY_UNKNOWN,
    secure,
    expected="an importer key made for this request and state",
    found=f"{OTHER_VP.hex()[:8]}…",
)
def an_importer_key_that_nobody_made(unit: CastUnit) -> SignedCommand:
    return unit.sealed_load(GIVEN, [ALICE], importer=Digest(OTHER_VP))


@case(
    Rule.IMPORTER_KEY_UNKNOWN,
    secure,
    expected="an importer key made for this request and state",
    found="…",
)
def another_requests_importer_key(unit: CastUnit) -> SignedCommand:
    other = unit.importer_key(request_digest("another"))
    return unit.sealed_load(GIVEN, [ALICE], importer=other.digest)


@case(
    Rule.IMPORTER_KEY_UNKNOWN,
    secure,
    expected="an importer key made for this request and state",
    found="…",
)
def an_importer_key_of_the_state_before(unit: CastUnit) -> SignedCommand:
    importer = unit.importer_key(request_digest())
    unit.run(bodies.Void(), [ALICE])
    load = unit.command(load_of(GIVEN), request=request_digest(), importer=importer.digest)
    return signed(load, [ALICE], [contribution(one, load, importer) for one in GIVEN])


for make, state in ((loaded, "Full uncommitted"), (committed, "Full committed")):

    @case(Rule.NEW_REGISTER_NOT_EMPTY, make, expected="Empty", found=state)
    def a_load_over_a_key(unit: CastUnit) -> SignedCommand:
        return unit.sealed_load(GIVEN, [ALICE])


for make, state in ((secure, "Empty"), (committed, "Full committed"), (current, "Empty")):
    refused(
        Rule.NEW_REGISTER_NOT_UNCOMMITTED,
        make,
        bodies.CommitNewRegister(vp=KEY_VP),
        expected="Full uncommitted",
        found=state,
    )
for make, state in ((secure, "Empty"), (loaded, "Full uncommitted"), (current, "Empty")):
    refused(
        Rule.NEW_REGISTER_NOT_COMMITTED,
        make,
        bodies.SetImmediate(vp=KEY_VP),
        expected="Full committed",
        found=state,
    )
refused(
    Rule.REGISTER_EMPTY,
    current,
    bodies.ClearNewRegister(vp=KEY_VP),
    expected="a register that holds a key",
    found="Empty",
)
refused(
    Rule.REGISTER_EMPTY,
    committed,
    bodies.ClearCurrentRegister(vp=KEY_VP),
    expected="a register that holds a key",
    found="Empty",
)
for make, body in (
    (loaded, bodies.CommitNewRegister(vp=OTHER_VP)),
    (committed, bodies.SetImmediate(vp=OTHER_VP)),
    (loaded, bodies.ClearNewRegister(vp=OTHER_VP)),
    (committed, bodies.ClearNewRegister(vp=OTHER_VP)),
    (current, bodies.ClearCurrentRegister(vp=OTHER_VP)),
):
    refused(Rule.VP_MISMATCH, make, body, expected=OTHER_VP.hex(), found=KEY_VP.hex())


@case(Rule.SAME_KEY_AGAIN, current, expected="another key than the current one", found=KEY_VP.hex())
def the_current_key_again(unit: CastUnit) -> SignedCommand:
    return unit.sealed_load(GIVEN[::-1], [ALICE])


@case(Rule.SAME_KEY_AGAIN, current, expected="another key than the current one", found=KEY_VP.hex())
def the_current_key_from_other_parts(unit: CastUnit) -> SignedCommand:
    halves = [CAROL.part(), ALICE.part(), BOB.part()]
    last = bytes(a ^ b ^ c for a, b, c in zip(*halves, strict=True))
    return unit.sealed_load([(CAROL, CAROL.part()), (DAVE, last)], [ALICE])


# --- recovery units -------------------------------------------------------------------------------


def recovery() -> CastUnit:
    unit = CastUnit(7, kind=UnitType.RECOVERY)
    unit.leave_imprint(PEOPLE)
    return unit


def holding() -> CastUnit:
    unit = recovery()
    unit.run(bodies.GenerateRandom(), [ALICE])
    return unit


HELD = holding().state.new.vp
assert HELD is not None


def sent_to(unit: CastUnit, *receivers: CastUnit, **changes: Any) -> SignedCommand:
    command, proofs = unit.export_command(receivers, **changes)
    return signed(command, PEOPLE).but(receivers=proofs)


for kind in (UnitType.OPERATIONAL, UnitType.FAILOVER):

    @case(
        Rule.NOT_A_RECOVERY_UNIT,
        lambda kind=kind: key_in(kind),  # type: ignore[misc]
        expected="recovery",
        found=kind.value,
    )
    def an_export_by_another_unit(unit: CastUnit) -> SignedCommand:
        return sent_to(unit, secure())


def key_in(kind: UnitType) -> CastUnit:
    unit = CastUnit(8, kind=kind)
    unit.leave_imprint(PEOPLE)
    unit.load(GIVEN, [ALICE])
    return unit


@case(Rule.NOT_A_RECOVERY_UNIT, secure, expected="recovery", found="operational")
def a_random_key_of_another_unit(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.GenerateRandom()), PEOPLE)


@case(Rule.NEW_REGISTER_NOT_EMPTY, holding, expected="Empty", found="Full uncommitted")
def a_random_key_over_another(unit: CastUnit) -> SignedCommand:
    return signed(unit.command(bodies.GenerateRandom()), PEOPLE)


@case(Rule.VP_MISMATCH, holding, expected=HELD.hex(), found="Empty")
def an_export_of_the_register_that_is_empty(unit: CastUnit) -> SignedCommand:
    command, proofs = unit.export_command([secure()])
    assert isinstance(command.body, bodies.ExportKey)
    body = command.body.but(register=bodies.Held.CURRENT)
    return signed(command.but(body=body), PEOPLE).but(receivers=proofs)


@case(Rule.RECEIVERS, holding, expected="each once, in ascending order", found="none")
def an_export_to_nobody(unit: CastUnit) -> SignedCommand:
    return sent_to(unit)


@case(Rule.RECEIVERS, holding, expected="each once, in ascending order", found="…")
def an_export_to_the_same_unit_twice(unit: CastUnit) -> SignedCommand:
    receiver = secure()
    return sent_to(unit, receiver, receiver)


WHAT_PROVES = "what the receiver's vendor and it signed"


@case(Rule.RECEIVER_UNPROVEN, holding, expected="proofs of 1 receivers", found="none")
def an_export_without_proofs(unit: CastUnit) -> SignedCommand:
    return sent_to(unit, secure()).but(receivers=())


@case(Rule.RECEIVER_UNPROVEN, holding, expected="proofs of 1 receivers", found="…")
def an_export_with_another_receivers_proof(unit: CastUnit) -> SignedCommand:
    stranger = CastUnit(9)
    stranger.leave_imprint(PEOPLE)
    return sent_to(unit, secure()).but(receivers=(stranger.proof(request_digest()),))


@case(Rule.RECEIVER_UNPROVEN, holding, expected=WHAT_PROVES, found="vendor root")
def a_receiver_of_another_vendor(unit: CastUnit) -> SignedCommand:
    receiver = CastUnit(vendor=Vendor(signature_key("another vendor")))
    receiver.leave_imprint(PEOPLE)
    command, proofs = unit.export_command([receiver])
    assert isinstance(command.body, bodies.ExportKey)
    body = command.body.but(vendor_roots=(unit.vendor.root,))
    return signed(command.but(body=body), PEOPLE).but(receivers=proofs)


@case(Rule.RECEIVER_UNPROVEN, holding, expected=WHAT_PROVES, found="for something else")
def a_receiver_whose_state_went_on(unit: CastUnit) -> SignedCommand:
    receiver = secure()
    sent = sent_to(unit, receiver)
    receiver.run(bodies.Void(), [ALICE])
    later = receiver.proof(request_digest())
    return sent.but(receivers=(sent.receivers[0].but(state=later.state),))


@case(Rule.RECEIVER_UNPROVEN, holding, expected="receivers as they were signed", found="…")
def a_receivers_later_importer_key(unit: CastUnit) -> SignedCommand:
    receiver = secure()
    sent = sent_to(unit, receiver)
    receiver.run(bodies.Void(), [ALICE])
    return sent.but(receivers=(receiver.proof(request_digest()),))


@case(Rule.RECEIVER_UNPROVEN, holding, expected=WHAT_PROVES, found="for something else")
def an_importer_key_for_another_request(unit: CastUnit) -> SignedCommand:
    receiver = secure()
    command, _ = unit.export_command([receiver])
    proofs = (receiver.proof(request_digest("another")),)
    return signed(command, PEOPLE).but(receivers=proofs)


@case(Rule.RECEIVER_UNPROVEN, holding, expected=WHAT_PROVES, found="signature")
def an_importer_key_that_somebody_else_signed(unit: CastUnit) -> SignedCommand:
    sent = sent_to(unit, secure())
    (proof,) = sent.receivers
    forged = sign_statement(
        Label.IMPORTER_KEY, from_bytes(ImporterKey, proof.importer.statement), MALLORY.key.sign
    )
    return sent.but(receivers=(proof.but(importer=forged),))


def unlike(*people: Custodian, signatures: int = 2, revocations: int = 2) -> CastUnit:
    unit = CastUnit()
    unit.leave_imprint(people, signatures=signatures, revocations=revocations)
    return unit


for receiver, found in (
    (unlike(ALICE, BOB, DAVE), "other administrators"),
    (unlike(ALICE, BOB, CAROL, DAVE), "other administrators"),
    (unlike(*PEOPLE, signatures=1), "thresholds 1 and 2"),
    (unlike(*PEOPLE, revocations=3), "thresholds 2 and 3"),
    (imprint(), "one in imprint mode"),
):

    @case(
        Rule.RECEIVER_UNLIKE,
        holding,
        expected="this unit's administrators and thresholds 2 and 2",
        found=found,
    )
    def a_receiver_unlike_the_source(
        unit: CastUnit, receiver: CastUnit = receiver
    ) -> SignedCommand:
        return sent_to(unit, receiver)


def imported(unit: CastUnit, source: CastUnit | None = None) -> SignedCommand:
    source = source or holding()
    prepared = unit.import_command(source, source.export([unit], PEOPLE))
    return signed(prepared.parsed(), [ALICE]).but(export=prepared.export)


THE_RECEIPT = "the receipt of export"


@case(Rule.EXPORT_UNPROVEN, secure, expected=THE_RECEIPT, found="none came along")
def an_import_without_the_export(unit: CastUnit) -> SignedCommand:
    return imported(unit).but(export=None)


@case(Rule.EXPORT_UNPROVEN, secure, expected=THE_RECEIPT, found="signature")
def an_export_that_somebody_else_signed(unit: CastUnit) -> SignedCommand:
    sent = imported(unit)
    assert sent.export is not None
    receipt = from_bytes(Receipt, sent.export.statement)
    return sent.but(export=sign_statement(Label.HISTORY, receipt, MALLORY.key.sign))


@case(Rule.EXPORT_UNPROVEN, secure, expected=THE_RECEIPT, found="the receipt of something else")
def the_receipt_of_another_command(unit: CastUnit) -> SignedCommand:
    source = holding()
    sent = imported(unit, source)
    return sent.but(export=source.entries[-2])


@case(Rule.EXPORT_UNPROVEN, secure, expected=THE_RECEIPT, found="the receipt of another key")
def an_export_of_another_key(unit: CastUnit) -> SignedCommand:
    sent = imported(unit)
    command = sent.parsed()
    assert isinstance(command.body, bodies.ImportKey)
    other = command.but(body=command.body.but(vp=OTHER_VP))
    return signed(other, [ALICE]).but(export=sent.export)


@case(Rule.EXPORT_UNPROVEN, secure, expected=THE_RECEIPT, found="it has no copy for this unit")
def an_export_to_others(unit: CastUnit) -> SignedCommand:
    source, other = holding(), CastUnit(9)
    other.leave_imprint(PEOPLE)
    prepared = unit.import_command(source, source.export([other], PEOPLE))
    return signed(prepared.parsed(), [ALICE]).but(export=prepared.export)


AN_IMPORTER_KEY = "an importer key made for the export's request"


@case(Rule.IMPORTER_KEY_UNKNOWN, secure, expected=AN_IMPORTER_KEY, found="none")
def an_import_after_the_state_changed(unit: CastUnit) -> SignedCommand:
    source = holding()
    export = source.export([unit], PEOPLE)
    unit.run(bodies.Void(), [ALICE])
    prepared = unit.import_command(source, export)
    return signed(prepared.parsed(), [ALICE]).but(export=prepared.export)


@case(Rule.IMPORTER_KEY_UNKNOWN, secure, expected=AN_IMPORTER_KEY, found="none")
def an_import_more_than_seven_days_later(unit: CastUnit) -> SignedCommand:
    source = holding()
    export = source.export([unit], PEOPLE)
    unit.pass_time(7 * DAY + 1)
    prepared = unit.import_command(source, export)
    return signed(prepared.parsed(), [ALICE]).but(export=prepared.export)


@case(Rule.COPY_UNREADABLE, secure, expected="a copy sealed to this unit's key", found="")
def a_copy_that_a_lying_source_sealed_to_another_key(unit: CastUnit) -> SignedCommand:
    return lying(unit, lambda copy: copy.sealed[:-1] + bytes([copy.sealed[-1] ^ 1]))


@case(Rule.COPY_UNREADABLE, secure, expected=HELD.hex(), found=OTHER_VP.hex())
def a_copy_of_another_key(unit: CastUnit) -> SignedCommand:
    key = unit.importer_key(request_digest())

    def seal(command: Command) -> bytes:
        assert HELD is not None
        info = copy_info(command, HELD, unit.id)
        return hpke.seal(OTHER_KEY, key.public_key, info=info)

    return lying(unit, lambda copy: b"", seal)


def lying(
    unit: CastUnit,
    change: Callable[[SealedCopy], bytes],
    seal: Callable[[Command], bytes] | None = None,
) -> SignedCommand:
    """An import of what a source says it exported; its copy isn't what it should be."""
    source = holding()
    sent = imported(unit, source)
    assert sent.export is not None
    receipt = from_bytes(Receipt, sent.export.statement)
    (copy,) = receipt.copies
    sealed = change(copy) if seal is None else seal(receipt.parsed())
    lie = receipt.but(copies=(copy.but(sealed=sealed),))
    return sent.but(export=sign_statement(Label.HISTORY, lie, source.key.sign))


@case(Rule.NEW_REGISTER_NOT_EMPTY, loaded, expected="Empty", found="Full uncommitted")
def an_import_over_a_key(unit: CastUnit) -> SignedCommand:
    return imported(unit)


@case(Rule.SAME_KEY_AGAIN, secure, expected="another key than the current one", found=HELD.hex())
def an_import_of_the_current_key(unit: CastUnit) -> SignedCommand:
    source = holding()
    unit.import_key(source, source.export([unit], PEOPLE), [ALICE])
    assert HELD is not None
    unit.run(bodies.CommitNewRegister(vp=HELD), PEOPLE)
    unit.run(bodies.SetImmediate(vp=HELD), [ALICE])
    prepared = unit.import_command(source, source.export([unit], PEOPLE))
    return signed(prepared.parsed(), [ALICE]).but(export=prepared.export)


# --- the rest -------------------------------------------------------------------------------------

for point in (128, 255):
    refused(
        Rule.CONTROL_POINT_UNKNOWN,
        secure,
        bodies.SetControlPoint(point=point, on=True),
        expected="0 to 127",
        found=str(point),
    )
for attribute, quoted in (
    ("zeroize-two", '"zeroize-two"'),
    ("", '""'),
    ("a\x1b[0m", '"a\\u{1b}[0m"'),
):
    refused(
        Rule.ATTRIBUTE_UNKNOWN,
        secure,
        bodies.SetAttribute(attribute=attribute, on=True),
        expected="zeroize-one",
        found=quoted,
    )

# --- key users ------------------------------------------------------------------------------------

PAYROLL, OTHER_USER = (signature_key(name).identity for name in ("payroll", "other"))


def user(
    name: str = "payroll", key: bytes = PAYROLL, rights: tuple[str, ...] = ("wrap",)
) -> bodies.AddKeyUser:
    return bodies.AddKeyUser(name=name, public_key=key, rights=rights)


def with_key_users(count: int = 1) -> CastUnit:
    unit = secure()
    for number in range(count):
        name = f"payroll {number}" if number else "payroll"
        unit.run(user(name, signature_key(name).identity), PEOPLE)
    return unit


for name, quoted in (
    ("", '0: ""'),
    ("x" * 65, f'65: "{"x" * 65}"'),
    ("pay_roll", '8: "pay_roll"'),
    (" payroll", '8: " payroll"'),
    ("a\x1b[0m", '5: "a\\u{1b}[0m"'),
):
    refused(Rule.KEY_USER_NAME, secure, user(name), expected="1 to 64", found=quoted)
for no_key in (bytes(32), bytes([1]) + bytes(31), b"\xff" * 32):
    refused(Rule.KEY_USER_KEY, secure, user(key=no_key), expected="Ed25519", found=no_key.hex())
for rights, found in (
    ((), "none"),
    (("rotate",), '"rotate"'),
    (("wrap", "wrap"), '"wrap", "wrap"'),
):
    refused(
        Rule.KEY_USER_RIGHTS,
        secure,
        user(rights=rights),
        expected="create, delete, unwrap, wrap",
        found=found,
    )
for there in (user(), user(key=OTHER_USER), user("other")):
    refused(
        Rule.KEY_USER_EXISTS,
        with_key_users,
        there,
        expected="aren't installed",
        found=f'{PAYROLL.hex()[:8]}…, installed as "payroll"',
    )
refused(
    Rule.TOO_MANY_KEY_USERS,
    partial(with_key_users, 64),
    user("other", OTHER_USER),
    expected="at most 64",
    found="65",
)
refused(
    Rule.NO_SUCH_KEY_USER,
    with_key_users,
    bodies.RemoveKeyUser(public_key=OTHER_USER),
    expected='"payroll"',
    found=OTHER_USER.hex()[:8],
)
refused(
    Rule.NO_SUCH_KEY_USER,
    secure,
    bodies.RemoveKeyUser(public_key=PAYROLL),
    expected="nobody",
    found=PAYROLL.hex()[:8],
)

# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.rule}-{one.send.__name__}")
def test_the_unit_refuses_and_says_why(one: Case) -> None:
    unit = one.make()
    refusal = unit.refuses(one.send(unit))
    assert refusal.rule is one.rule
    assert one.expected in refusal.expected
    assert one.found in refusal.found


def test_every_rule_that_a_unit_names_has_a_case() -> None:
    files = [
        *(REPOSITORY / "hsm_backend" / "unit").glob("*.py"),
        REPOSITORY / "protocol" / "commands" / "rules.py",
        REPOSITORY / "protocol" / "commands" / "key_users.py",
        REPOSITORY / "protocol" / "commands" / "quorum.py",
        REPOSITORY / "protocol" / "sealing" / "contribution.py",
    ]
    named = {
        node.attr
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Rule"
    }
    assert named == {one.rule.name for one in CASES}


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_has_facts(rule: Rule) -> None:
    facts = FACTS[rule]
    assert facts.says and facts.next_step
    assert facts.says[0].islower() and not facts.says.endswith(".")


def test_a_refusal_is_never_longer_than_what_a_peer_accepts() -> None:
    """The longest values that rules compare, spelt out character by character."""
    unit = secure()
    worst = "\U0010fffd" * 40
    for body in (
        bodies.SetAttribute(attribute=worst, on=True),
        bodies.AddAdministrator(key=custodian("x").proven(title=worst * 5)),
        user(worst * 5),
        user(rights=(worst,) * 8),
    ):
        refusal = unit.refusal(body, PEOPLE)
        assert from_bytes(Refusal, to_bytes(refusal)) == refusal


def test_a_load_names_parts_by_vp_and_custodian() -> None:
    assert load_of(GIVEN) == LoadNewRegister(
        parts=(
            NamedPart(vp=ALICES, custodian=ALICE.agent),
            NamedPart(vp=BOBS, custodian=BOB.agent),
        )
    )
