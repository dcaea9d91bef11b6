"""Commands in words: every kind has a title and a sentence, and says what it changes and leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.commands import wording
from protocol.commands.bodies import (
    KINDS,
    AddAdministrator,
    AddKeyUser,
    Body,
    ClearCurrentRegister,
    ClearNewRegister,
    CommitNewRegister,
    ExportKey,
    GenerateRandom,
    Held,
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
)
from protocol.identifiers import SKI, VP, CommandId, Instant, StateVersion, UnitId, grouped
from protocol.unit_state import (
    EMPTY,
    IMPRINT,
    Administrator,
    Attribute,
    KeyRight,
    KeyUser,
    Register,
    RegisterState,
    UnitState,
)
from tests.cast.commands import adds, load_of
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, CAROL, Custodian

PAYROLL = signature_key("payroll").identity
VP_1, VP_2 = VP(bytes([1] * 32)), VP(bytes([2] * 32))


def administrator(who: Custodian) -> Administrator:
    key = who.key
    return Administrator(
        ski=key.ski, algorithm=key.algorithm, public_key=key.public_key, name=who.name
    )


def name_of(ski: SKI) -> str | None:
    return {ALICE.key.ski: "alice", BOB.key.ski: "bob"}.get(ski)


def unit(new: Register = EMPTY, current: Register = EMPTY) -> UnitState:
    people = sorted((administrator(who) for who in (ALICE, BOB)), key=lambda one: one.ski)
    return IMPRINT.but(
        administrators=tuple(people),
        signature_threshold=2,
        revocation_threshold=2,
        new=new,
        current=current,
    )


UNCOMMITTED = Register(state=RegisterState.FULL_UNCOMMITTED, vp=VP_1)
COMMITTED = Register(state=RegisterState.FULL_COMMITTED, vp=VP_1)
VALID = Register(state=RegisterState.VALID, vp=VP_2)

EXAMPLES: list[tuple[Body, UnitState, str, list[tuple[str, str, str]]]] = [
    (
        GenerateRandom(),
        unit(),
        "make a random master key",
        [
            (
                "new register",
                "Empty",
                "Full uncommitted; the key's own VP comes with the receipts",
            )
        ],
    ),
    (
        ExportKey(register=Held.NEW, vp=VP_1, receivers=(UnitId(VP_2),), vendor_roots=()),
        unit(new=COMMITTED),
        "export the new master key to 1 unit",
        [("units that can hold the key", "this one", "1 more, once each has imported it")],
    ),
    (
        ImportKey(export=CommandId(VP_2), source=ALICE.agent, vp=VP_1),
        unit(),
        "import the master key of a recovery unit",
        [("new register", "Empty", "Full uncommitted, with this key")],
    ),
    (
        adds(CAROL),
        unit(),
        'add administrator "carol"',
        [("administrators", "alice, bob", f'"carol" {CAROL.key.ski.hex()[:8]}…, alice, bob')],
    ),
    (
        RemoveAdministrator(ski=BOB.key.ski),
        unit().but(signature_threshold=1, revocation_threshold=1),
        "remove administrator bob",
        [("administrators", "alice, bob", "alice")],
    ),
    (
        SetThresholds(signatures=1, revocations=2),
        unit(),
        "set the thresholds to 1 and 2",
        [("signature threshold", "2", "1")],
    ),
    (
        load_of([(ALICE, ALICE.part()), (BOB, BOB.part())]),
        unit(),
        "load the new master key register",
        [
            (
                "new register",
                "Empty",
                "Full uncommitted; the key's own VP comes with the receipts",
            )
        ],
    ),
    (
        CommitNewRegister(vp=VP_1),
        unit(new=UNCOMMITTED),
        "commit the new master key",
        [("new register", "Full uncommitted, with this key", "Full committed, with this key")],
    ),
    (
        SetImmediate(vp=VP_1),
        unit(new=COMMITTED, current=VALID),
        "set the new master key immediate",
        [
            ("new register", "Full committed, with this key", "Empty"),
            ("current register", "Valid, 02020202…", "Valid, with this key"),
        ],
    ),
    (
        ClearNewRegister(vp=VP_1),
        unit(new=COMMITTED),
        "clear the new master key register",
        [("new register", "Full committed, with this key", "Empty")],
    ),
    (
        ClearCurrentRegister(vp=VP_2),
        unit(current=VALID),
        "clear the current master key register",
        [("current register", "Valid, with this key", "Empty")],
    ),
    (Void(), unit(), "void", [("state version", "7", "8, nothing else")]),
    (
        SetClock(to=Instant(1_795_608_000_000)),
        unit(),
        "set the clock",
        [("clock", "the unit's own", "2026-11-25 12:00:00 UTC")],
    ),
    (
        SetControlPoint(point=66, on=True),
        unit(),
        "set control point 66 (XCP_CPB_BTC)",
        [("control point 66 (XCP_CPB_BTC)", "Not Set", "Set")],
    ),
    (
        SetAttribute(attribute=Attribute.ZEROIZE_ONE.value, on=False),
        unit(),
        'switch attribute "zeroize-one" off',
        [("attribute zeroize-one", "on", "off")],
    ),
    (
        AddKeyUser(name="payroll", public_key=PAYROLL, rights=("wrap", "unwrap")),
        unit(),
        'add key user "payroll"',
        [('key user "payroll"', "isn't one", f"may unwrap, wrap; key {grouped(PAYROLL)}")],
    ),
    (
        RemoveKeyUser(public_key=PAYROLL),
        unit().but(
            key_users=(KeyUser(name="payroll", public_key=PAYROLL, rights=(KeyRight.WRAP,)),)
        ),
        f"remove key user {PAYROLL.hex()[:8]}…",
        [('key user "payroll"', f"may wrap; key {grouped(PAYROLL)}", "isn't one")],
    ),
    (
        Zeroize(),
        unit(current=VALID),
        "zeroize",
        [
            ("current register", "Valid, 02020202…", "Empty"),
            ("signature threshold", "2", "0"),
            ("revocation threshold", "2", "0"),
            ("administrators", "alice, bob", "nobody"),
        ],
    ),
]


def test_every_kind_has_an_example():
    assert {type(body) for body, *_ in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize(
    ("body", "before", "title", "changes"), EXAMPLES, ids=[title for _, _, title, _ in EXAMPLES]
)
def test_what_a_command_is_and_changes(
    body: Body, before: UnitState, title: str, changes: list[tuple[str, str, str]]
):
    assert wording.title(body, name_of) == title
    assert wording.sentence(body).startswith("You are asked")
    found = wording.changes(body, before, StateVersion(7), name_of)
    assert [(one.what, one.before, one.after) for one in found] == changes
    said = {change.what for change in found}
    stays = " ".join(wording.stays(body, before))
    assert ("new register" in stays) != ("new register" in said)
    assert ("current register" in stays) != ("current register" in said)


@pytest.mark.parametrize(
    ("body", "before", "words"),
    [
        (SetThresholds(signatures=2, revocations=2), IMPRINT, "leaves imprint mode"),
        (SetThresholds(signatures=2, revocations=1), unit(), "locks everyone out"),
        (SetImmediate(vp=VP_1), unit(new=COMMITTED, current=VALID), "rotate"),
        (ClearCurrentRegister(vp=VP_2), unit(current=VALID), "loaded again"),
        (Zeroize(), unit(current=VALID), "lost for ever"),
    ],
)
def test_what_people_should_know_before(body: Body, before: UnitState, words: str):
    (caution,) = wording.cautions(body, before)
    assert words in caution


def test_most_commands_need_no_caution():
    assert wording.cautions(CommitNewRegister(vp=VP_1), unit(new=UNCOMMITTED)) == ()
    assert wording.cautions(SetImmediate(vp=VP_1), unit(new=COMMITTED)) == ()
    same = Register(state=RegisterState.VALID, vp=VP_1)
    assert wording.cautions(SetImmediate(vp=VP_1), unit(new=COMMITTED, current=same)) == ()
    assert wording.cautions(Zeroize(), unit()) == ()


@given(st.text(max_size=60))
def test_no_name_reaches_a_terminal_raw(name: str):
    key = CAROL.proven()
    body = AddAdministrator(key=key.but(claim=key.claim.but(administrator=name)))
    text = wording.title(body, name_of)
    assert text.isprintable()
    assert text.startswith('add administrator "') and text.endswith('"')


def test_a_load_of_parts_names_no_key():
    assert wording.key_of(LoadNewRegister(parts=())) is None
    assert wording.key_of(CommitNewRegister(vp=VP_1)) == VP_1
