"""How many signatures a unit asks for: the design's table, typed out again.

The unit has five administrators and needs 3 signatures, 4 for a removal, so that one, the signature
threshold, the revocation threshold and "all" are four different numbers.
"""

from collections.abc import Callable

import pytest

from protocol.commands.bodies import (
    KINDS,
    AddKeyUser,
    Body,
    ClearCurrentRegister,
    ClearNewRegister,
    CommitNewRegister,
    ExportKey,
    GenerateRandom,
    ImportKey,
    LoadNewRegister,
    RemoveAdministrator,
    RemoveKeyUser,
    SetAttribute,
    SetClock,
    SetControlPoint,
    SetImmediate,
    SetThresholds,
    Void,
    Zeroize,
    kind_of,
)
from protocol.commands.command import SignedCommand
from protocol.identifiers import VP, CommandId, IdentityKey
from protocol.location import UnitType
from protocol.receipts import Receipt
from protocol.refusals import Rule
from tests.cast.commands import adds, signed
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, CAROL, DAVE, ERIN, FRANK, Custodian
from tests.cast.units import CastUnit

PEOPLE = (ALICE, BOB, CAROL, DAVE, ERIN)
SIGNATURES, REVOCATIONS = 3, 4
PAYROLL = signature_key("payroll").identity
GIVEN = [(ALICE, ALICE.part()), (BOB, BOB.part())]
OTHERS_GIVEN = [(ALICE, ALICE.part("next")), (BOB, BOB.part("next"))]


def imprint() -> CastUnit:
    unit = CastUnit()
    unit.install(PEOPLE)
    return unit


def secure(*, new: str = "Empty", zeroize_one: bool = True) -> CastUnit:
    unit = CastUnit()
    unit.leave_imprint(PEOPLE, signatures=SIGNATURES, revocations=REVOCATIONS)
    if not zeroize_one:
        unit.run(SetAttribute(attribute="zeroize-one", on=False), PEOPLE)
    if new == "Empty":
        return unit
    vp = new_vp(unit, GIVEN)
    if new != "Full uncommitted":
        unit.run(CommitNewRegister(vp=vp), PEOPLE)
    if new == "current":
        unit.run(SetImmediate(vp=vp), PEOPLE)
    return unit


def new_vp(unit: CastUnit, given: list[tuple[Custodian, bytes]]) -> VP:
    vp = unit.load(given, PEOPLE).after.new.vp
    assert vp is not None
    return vp


def loaded() -> CastUnit:
    return secure(new="Full uncommitted")


def committed() -> CastUnit:
    return secure(new="Full committed")


def current() -> CastUnit:
    return secure(new="current")


def adds_user(key: IdentityKey) -> AddKeyUser:
    return AddKeyUser(name="payroll", public_key=key, rights=("wrap",))


def with_key_user() -> CastUnit:
    unit = secure()
    unit.run(adds_user(PAYROLL), PEOPLE)
    return unit


def strict() -> CastUnit:
    return secure(zeroize_one=False)


def add(_: CastUnit) -> Body:
    return adds(FRANK)


def remove(_: CastUnit) -> Body:
    return RemoveAdministrator(ski=ERIN.key.ski)


def commit(unit: CastUnit) -> Body:
    return CommitNewRegister(vp=unit.state.new.vp or VP(bytes(32)))


def set_immediate(unit: CastUnit) -> Body:
    return SetImmediate(vp=unit.state.new.vp or VP(bytes(32)))


def clear_new(unit: CastUnit) -> Body:
    return ClearNewRegister(vp=unit.state.new.vp or VP(bytes(32)))


def clear_current(unit: CastUnit) -> Body:
    return ClearCurrentRegister(vp=unit.state.current.vp or VP(bytes(32)))


def set_clock(unit: CastUnit) -> Body:
    return SetClock(to=unit.now)


def thresholds(signatures: int, revocations: int) -> Callable[[CastUnit], Body]:
    return lambda _: SetThresholds(signatures=signatures, revocations=revocations)


def recovery(*, key: bool = True) -> CastUnit:
    unit = CastUnit(2, kind=UnitType.RECOVERY)
    unit.leave_imprint(PEOPLE, signatures=SIGNATURES, revocations=REVOCATIONS)
    if key:
        unit.run(GenerateRandom(), PEOPLE[:1])
    return unit


def without_key() -> CastUnit:
    return recovery(key=False)


def sent_export(unit: CastUnit, signers: tuple[Custodian, ...]) -> SignedCommand:
    receivers = [] if unit.state.imprint else [secure()]
    command, proofs = unit.export_command(receivers)
    return signed(command, signers).but(receivers=proofs)


def sent_import(unit: CastUnit, signers: tuple[Custodian, ...]) -> SignedCommand:
    if unit.state.imprint:
        body = ImportKey(export=CommandId(bytes(32)), source=unit.key.identity, vp=VP(bytes(32)))
        return signed(unit.command(body), signers)
    source = recovery()
    prepared = unit.import_command(source, source.export([unit], PEOPLE))
    return signed(prepared.parsed(), signers).but(export=prepared.export)


def sent_load(unit: CastUnit, signers: tuple[Custodian, ...]) -> SignedCommand:
    return unit.sealed_load(OTHERS_GIVEN, signers)


def just(body: Body) -> Callable[[CastUnit], Body]:
    return lambda _: body


MakeUnit = Callable[[], CastUnit]
MakeBody = Callable[[CastUnit], Body]
Send = Callable[[CastUnit, tuple[Custodian, ...]], SignedCommand]
SENDS: dict[type[Body], Send] = {
    LoadNewRegister: sent_load,
    ExportKey: sent_export,
    ImportKey: sent_import,
}
"""What needs more than its body."""

TABLE: list[tuple[str, MakeUnit, MakeBody | type[Body], int | None]] = [
    # what and when                                unit       body                     signatures
    ("add administrator, imprint mode", imprint, add, 0),
    ("add administrator", secure, add, 3),
    ("remove administrator, imprint mode", imprint, remove, 0),
    ("remove administrator", secure, remove, 4),
    ("set thresholds 1 1, imprint mode", imprint, thresholds(1, 1), 1),
    ("set thresholds 2 5, imprint mode", imprint, thresholds(2, 5), 2),
    ("set thresholds 5 1, imprint mode", imprint, thresholds(5, 1), 5),
    ("set the same thresholds", secure, thresholds(3, 4), 3),
    ("lower the signature threshold", secure, thresholds(1, 4), 3),
    ("raise the signature threshold", secure, thresholds(5, 4), 3),
    ("raise the revocation threshold", secure, thresholds(3, 5), 3),
    ("lower the revocation threshold", secure, thresholds(3, 3), 4),
    ("lower the revocation threshold, raise the other", secure, thresholds(5, 1), 4),
    ("lower both thresholds", secure, thresholds(1, 1), 4),
    ("load, imprint mode", imprint, LoadNewRegister, None),
    ("load", secure, LoadNewRegister, 1),
    ("generate random, imprint mode", imprint, just(GenerateRandom()), None),
    ("generate random", without_key, just(GenerateRandom()), 1),
    ("export, imprint mode", imprint, ExportKey, None),
    ("export", recovery, ExportKey, 3),
    ("import, imprint mode", imprint, ImportKey, None),
    ("import", secure, ImportKey, 1),
    ("commit, imprint mode", imprint, commit, None),
    ("commit", loaded, commit, 3),
    ("set immediate, imprint mode", imprint, set_immediate, None),
    ("set immediate", committed, set_immediate, 1),
    ("clear new, imprint mode", imprint, clear_new, None),
    ("clear new, uncommitted", loaded, clear_new, 1),
    ("clear new, committed", committed, clear_new, 1),
    ("clear current, imprint mode", imprint, clear_current, None),
    ("clear current", current, clear_current, 1),
    ("void, imprint mode", imprint, just(Void()), 0),
    ("void", secure, just(Void()), 1),
    ("set clock, imprint mode", imprint, set_clock, 0),
    ("set clock", secure, set_clock, 3),
    ("control point, imprint mode", imprint, just(SetControlPoint(point=66, on=True)), None),
    ("control point", secure, just(SetControlPoint(point=66, on=True)), 3),
    (
        "attribute, imprint mode",
        imprint,
        just(SetAttribute(attribute="zeroize-one", on=False)),
        None,
    ),
    ("attribute", secure, just(SetAttribute(attribute="zeroize-one", on=False)), 3),
    ("key user, imprint mode", imprint, just(adds_user(PAYROLL)), None),
    ("key user", secure, just(adds_user(PAYROLL)), 3),
    ("remove key user, imprint mode", imprint, just(RemoveKeyUser(public_key=PAYROLL)), None),
    ("remove key user", with_key_user, just(RemoveKeyUser(public_key=PAYROLL)), 3),
    ("zeroize, imprint mode", imprint, just(Zeroize()), 0),
    ("zeroize", secure, just(Zeroize()), 1),
    ("zeroize, zeroize-one off", strict, just(Zeroize()), 3),
]


def sent(
    unit: CastUnit, body: MakeBody | type[Body], signers: tuple[Custodian, ...]
) -> SignedCommand:
    if isinstance(body, type):
        return SENDS[body](unit, signers)
    return signed(unit.command(body(unit)), signers)


@pytest.mark.parametrize(
    ("make", "body", "needed"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_a_command_needs_so_many_signatures(
    make: MakeUnit, body: MakeBody | type[Body], needed: int | None
) -> None:
    unit = make()
    if needed is None:
        for signers in ((), PEOPLE):
            assert unit.refuses(sent(unit, body, signers)).rule is Rule.IMPRINT_MODE
        return
    for count in range(needed):
        refusal = unit.refuses(sent(unit, body, PEOPLE[:count]))
        assert refusal.rule is Rule.TOO_FEW_SIGNATURES
        assert (refusal.expected, refusal.found) == (str(needed), str(count))
    enough = sent(unit, body, PEOPLE[-needed:] if needed else ())
    assert unit.prepare(enough) is None
    receipt = unit.execute(enough)
    assert isinstance(receipt, Receipt), receipt
    assert len(receipt.approvals) == needed


SEVERAL = [row for row in TABLE if row[3] is not None and row[3] > 1]


@pytest.mark.parametrize(
    ("make", "body", "needed"), [row[1:] for row in SEVERAL], ids=[row[0] for row in SEVERAL]
)
def test_one_key_counts_once_however_often_it_signs(
    make: MakeUnit, body: MakeBody | type[Body], needed: int
) -> None:
    unit = make()
    refusal = unit.refuses(sent(unit, body, (ALICE,) * (needed + 1)))
    assert refusal.rule is Rule.TOO_FEW_SIGNATURES
    assert refusal.found == "1"


def test_more_signatures_than_needed_are_no_harm_and_all_count() -> None:
    unit = secure()
    receipt = unit.run(Void(), PEOPLE)
    skis = [one.ski for one in receipt.approvals]
    assert skis == sorted(one.key.ski for one in PEOPLE)


@pytest.mark.parametrize("when", ["imprint mode", "afterwards"])
def test_the_table_has_every_kind(when: str) -> None:
    rows = [row for row in TABLE if ("imprint mode" in row[0]) == (when == "imprint mode")]
    kinds = {body if isinstance(body, type) else type(body(CastUnit())) for _, _, body, _ in rows}
    assert kinds == set(KINDS)


def test_kinds_have_the_names_that_the_bytes_have() -> None:
    assert [kind.__struct_config__.tag for kind in KINDS] == [
        "add-administrator",
        "remove-administrator",
        "set-thresholds",
        "load-new-register",
        "commit-new-register",
        "set-immediate",
        "clear-new-register",
        "clear-current-register",
        "void",
        "set-clock",
        "set-control-point",
        "set-attribute",
        "generate-random",
        "export-key",
        "import-key",
        "add-key-user",
        "remove-key-user",
        "zeroize",
    ]
    assert kind_of(Void()) == "void"
