"""protocol.history: a chain that holds is read; every way to break one is a violation."""

from collections.abc import Callable

import pytest

from protocol.commands.bodies import SetThresholds, Void, Zeroize
from protocol.commands.command import distinct
from protocol.history import verify_history
from protocol.identifiers import Instant, StateVersion
from protocol.receipts import Birth, BirthCause, Receipt, entry_hash
from protocol.schema import to_bytes
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.unit_state import Attribute
from protocol.violations import Violation
from tests.cast.commands import NOON
from tests.cast.people import ALICE, BOB, CAROL, MALLORY
from tests.cast.units import CastUnit

Break = Callable[[Receipt], Receipt]


@pytest.fixture
def unit() -> CastUnit:
    unit = CastUnit()
    unit.leave_imprint([ALICE, BOB, CAROL])
    unit.run(Void(), [ALICE])
    return unit


def verify(unit: CastUnit, entries: list[Signed] | None = None):
    return verify_history(entries if entries is not None else unit.entries, unit.key.identity)


def test_a_whole_history_is_read(unit: CastUnit):
    history = verify(unit)
    assert history.state == unit.state
    assert history.last_receipt == unit.last_receipt
    assert history.state_digest == unit.memory.state_digest
    assert [entry.version for entry in history.entries] == list(range(1, len(unit.entries) + 1))


def test_it_goes_on_from_what_is_known(unit: CastUnit):
    known = verify(unit)
    unit.run(Void(), [BOB])
    assert verify_history(unit.entries[-1:], unit.key.identity, known=known) == verify(unit)


def test_it_spans_lives(unit: CastUnit):
    unit.run(Zeroize(), [ALICE])
    unit.leave_imprint([ALICE, BOB])
    unit.zeroize_by_hand()
    history = verify(unit)
    assert history.incarnation.number == 3
    assert list(history.this_life()) == [len(unit.entries) - 1]


def test_a_history_without_entries_is_none(unit: CastUnit):
    with pytest.raises(Violation, match="without entries"):
        verify(unit, [])


@pytest.mark.parametrize("at", range(5))
def test_a_dropped_entry_breaks_it(unit: CastUnit, at: int):
    with pytest.raises(Violation):
        verify(unit, unit.entries[:at] + unit.entries[at + 1 :])


def test_swapped_entries_break_it(unit: CastUnit):
    first, second = unit.entries[1], unit.entries[2]
    with pytest.raises(Violation, match="state version"):
        verify(unit, [unit.entries[0], second, first, *unit.entries[3:]])


def test_another_units_history_is_refused(unit: CastUnit):
    with pytest.raises(Violation):
        verify_history(unit.entries, CastUnit(2).key.identity)


def resigned(unit: CastUnit, change: Break) -> list[Signed]:
    """The last receipt changed, and signed again by the unit itself: what a broken unit may say."""
    receipt = unit.history()[-1]
    assert isinstance(receipt, Receipt)
    again = sign_statement(Label.HISTORY, change(receipt), unit.key.sign)
    return [*unit.entries[:-1], again]


def with_signers(receipt: Receipt, *signers) -> Receipt:
    command = receipt.parsed()
    return receipt.but(approvals=distinct(one.approve(command) for one in signers))


def bound_to(receipt: Receipt, **changes) -> Receipt:
    """The same receipt for another command, signed by an administrator of the unit."""
    command = receipt.parsed().but(**changes)
    return receipt.but(command=to_bytes(command), approvals=(ALICE.approve(command),))


BREAKS: dict[str, tuple[Break, str]] = {
    "too few signatures": (lambda r: r.but(approvals=()), "0 of 1 signatures"),
    "a stranger's signature": (lambda r: with_signers(r, MALLORY), "no administrator's"),
    "a signature for another command": (
        lambda r: r.but(approvals=(ALICE.approve(r.parsed().but(not_before=Instant(1))),)),
        "doesn't verify",
    ),
    "one key twice": (lambda r: r.but(approvals=r.approvals * 2), "each there once"),
    "the state changed by itself": (
        lambda r: r.but(after=r.after.but(attributes=())),
        "otherwise than the command says",
    ),
    "another state before": (
        lambda r: r.but(before=r.before.but(attributes=()), after=r.after.but(attributes=())),
        "another state than the entry before left",
    ),
    "a command for another state": (
        lambda r: bound_to(r, version=StateVersion(1)),
        "another unit, life or state",
    ),
    "an expired command": (lambda r: r.but(at=r.parsed().not_after), "outside the time"),
    "an early command": (
        lambda r: r.but(at=Instant(r.parsed().not_before - 1)),
        "outside the time",
    ),
    "a command valid too long": (
        lambda r: bound_to(r, not_after=Instant(NOON + 8 * 24 * 3600 * 1000)),
        "more than 7 days",
    ),
    "a threshold that the rules refuse": (
        lambda r: bound_to(r, body=SetThresholds(signatures=9, revocations=2)),
        "against the rule SIGNATURE_THRESHOLD_RANGE",
    ),
    "another version": (lambda r: r.but(version=StateVersion(r.version + 1)), "state version"),
    "another entry before": (lambda r: r.but(previous=r.parsed().state), "follows another entry"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_unit_that_breaks_the_rules_is_found_out(unit: CastUnit, name: str):
    change, why = BREAKS[name]
    with pytest.raises(Violation, match=why):
        verify(unit, resigned(unit, change))


def birth(unit: CastUnit, cause: BirthCause, **changes) -> Signed:
    last = unit.history()[-1]
    made = Birth(
        unit=unit.id,
        incarnation=last.incarnation.but(number=last.incarnation.number + 1),
        version=StateVersion(last.version + 1),
        previous=entry_hash(unit.entries[-1]),
        cause=cause,
        after=unit.state.but(**changes),
        at=unit.now,
    )
    return sign_statement(Label.HISTORY, made, unit.key.sign)


@pytest.mark.parametrize("cause", [BirthCause.MADE, BirthCause.ZEROIZE, BirthCause.BY_HAND])
def test_a_life_begins_for_a_reason_and_cleared(unit: CastUnit, cause: BirthCause):
    with pytest.raises(Violation):
        verify(unit, [*unit.entries, birth(unit, cause)])


def test_only_a_restored_life_begins_with_a_state(unit: CastUnit):
    restored = birth(unit, BirthCause.RESTORE, attributes=(Attribute.ZEROIZE_ONE,))
    assert verify(unit, [*unit.entries, restored]).state.administrators


def test_a_zeroize_without_the_new_life_is_an_end(unit: CastUnit):
    unit.run(Zeroize(), [ALICE])
    assert verify(unit, unit.entries[:-1]).state.imprint
    unit.run(Void(), [])
    forged = [*unit.entries[:-2], unit.entries[-1]]
    with pytest.raises(Violation):
        verify(unit, forged)
