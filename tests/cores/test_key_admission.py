"""Who may call a unit for a key: signature, installed by a quorum, right, time, once."""

import pytest

from hsm_backend.keys.admission import Heard, admit, open_call
from protocol.identifiers import Instant, Nonce, UnitId
from protocol.keys.answers import CallRefused, Items, KeyAnswer, Page, open_answer
from protocol.keys.operations import (
    CLOCK_WINDOW,
    RIGHT_OF,
    KeyCall,
    ListKeys,
    Operation,
    call_digest,
    name_of,
)
from protocol.refusals import Rule, refuse
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.unit_state import IMPRINT, KeyRight, KeyUser, UnitState
from protocol.violations import Violation
from quorate.unavailable import Unavailable
from tests.cast.commands import NOON
from tests.cast.key_users import BACKUP, EVERY_OPERATION, PAYROLL, new_keys
from tests.cast.keys import noise
from tests.cast.units import CastUnit

UNIT = CastUnit()
OTHER = CastUnit(2)


def state(*rights: KeyRight) -> UnitState:
    user = KeyUser(name="payroll", public_key=PAYROLL.public_key, rights=rights)
    return IMPRINT.but(key_users=(user,))


def refused(call: KeyCall, unit: UnitState, at: Instant = NOON) -> Rule | None:
    refusal = admit(call, unit, Heard(), at)
    return None if refusal is None else refusal.rule


def test_every_operation_has_an_example():
    assert {type(one) for one in EVERY_OPERATION} == set(RIGHT_OF)


@pytest.mark.parametrize("operation", EVERY_OPERATION, ids=name_of)
@pytest.mark.parametrize("right", KeyRight)
def test_each_right_is_good_for_its_own_operations(operation: Operation, right: KeyRight):
    needed = {
        "create": "create",
        "wrap": "wrap",
        "unwrap": "unwrap",
        "delete": "delete",
        "restore": "delete",
    }.get(name_of(operation))
    call = PAYROLL.call(UNIT.id, operation)
    expected = None if needed in (None, right.value) else Rule.KEY_RIGHT
    assert refused(call, state(right)) is expected
    assert refused(call, state(*KeyRight)) is None


@pytest.mark.parametrize("operation", EVERY_OPERATION, ids=name_of)
def test_nobody_else_may_anything(operation: Operation):
    call = BACKUP.call(UNIT.id, operation)
    assert refused(call, state(*KeyRight)) is Rule.KEY_USER_UNKNOWN
    assert refused(call, IMPRINT) is Rule.KEY_USER_UNKNOWN


def test_a_call_is_good_for_a_minute_before_and_after():
    for late, expected in (
        (0, None),
        (CLOCK_WINDOW, None),
        (-CLOCK_WINDOW, None),
        (CLOCK_WINDOW + 1, Rule.KEY_REQUEST_TIME),
        (-CLOCK_WINDOW - 1, Rule.KEY_REQUEST_TIME),
    ):
        call = PAYROLL.call(UNIT.id, new_keys("k"), at=Instant(NOON + late))
        assert refused(call, state(*KeyRight)) is expected


def test_a_call_is_taken_once_for_as_long_as_it_is_good():
    heard, unit = Heard(), state(*KeyRight)
    ahead = PAYROLL.call(UNIT.id, new_keys("k"), at=Instant(NOON + CLOCK_WINDOW))
    assert admit(ahead, unit, heard, NOON) is None
    for later in (0, 1, CLOCK_WINDOW, 2 * CLOCK_WINDOW):
        refusal = admit(ahead, unit, heard, Instant(NOON + later))
        assert refusal is not None and refusal.rule is Rule.KEY_REQUEST_AGAIN
    refusal = admit(ahead, unit, heard, Instant(NOON + 2 * CLOCK_WINDOW + 1))
    assert refusal is not None and refusal.rule is Rule.KEY_REQUEST_TIME


def test_what_is_remembered_is_bounded_and_goes():
    heard = Heard(most=3)
    for number in range(3):
        assert heard.key_request_again(Nonce(noise(f"n {number}")), NOON) is None
    with pytest.raises(Unavailable):
        heard.key_request_again(Nonce(noise("n 3")), NOON)
    later = Instant(NOON + 2 * CLOCK_WINDOW + 1)
    assert heard.key_request_again(Nonce(noise("n 3")), later) is None


def test_a_refused_call_is_not_remembered():
    heard = Heard()
    call = PAYROLL.call(UNIT.id, new_keys("k"))
    assert admit(call, IMPRINT, heard, NOON) is not None
    assert admit(call, state(*KeyRight), heard, NOON) is None


def test_a_call_that_its_key_did_not_sign_breaks_the_protocol():
    call = PAYROLL.call(UNIT.id, new_keys("k"))
    assert open_call(PAYROLL.signed(call), UNIT.id) == call
    signed = PAYROLL.signed(call)
    for forged in (
        BACKUP.signed(call),
        signed.but(signature=bytes(64)),
        sign_statement(Label.KEY_ANSWER, call, PAYROLL.key.sign),
        signed.but(statement=PAYROLL.signed(call.but(at=NOON + 1)).statement),
    ):
        with pytest.raises(Violation):
            open_call(forged, UNIT.id)


def test_a_call_for_another_unit_breaks_the_protocol():
    with pytest.raises(Violation, match="another unit"):
        open_call(PAYROLL.signed(PAYROLL.call(OTHER.id, new_keys("k"))), UNIT.id)


def answer(
    call: Signed, unit: CastUnit = UNIT, signer: CastUnit = UNIT, **changes: object
) -> Signed:
    refusal = refuse(Rule.NO_MASTER_KEY, expected="one", found="none")
    made = KeyAnswer(
        unit=UnitId(unit.id),
        call=call_digest(call.statement),
        at=NOON,
        outcome=CallRefused(refusal=refusal),
    ).but(**changes)
    return sign_statement(Label.KEY_ANSWER, made, signer.identity.sign)


def test_an_answer_is_the_units_own_to_this_very_call():
    identity = UNIT.certificate.identity
    call, other = (PAYROLL.signed(PAYROLL.call(UNIT.id, new_keys("k"))) for _ in range(2))
    assert open_answer(answer(call), identity, call).at == NOON
    for forged in (
        answer(call, signer=OTHER),
        answer(call, unit=OTHER),
        answer(other),
        answer(call, outcome=Items(items=())),
    ):
        with pytest.raises(Violation):
            open_answer(forged, identity, call)
    listing = PAYROLL.signed(PAYROLL.call(UNIT.id, ListKeys(after=None)))
    page = answer(listing, outcome=Page(keys=(), more=False))
    assert isinstance(open_answer(page, identity, listing).outcome, Page)
