"""Requests as operators read them, and what of it their machine has verified."""

from datetime import timedelta, timezone
from typing import Any

import pytest

from coordinator.api.facts import Facts
from coordinator.api.instance_views import charter_version
from coordinator.api.request_views import request_view
from coordinator.cli import request_words
from coordinator.cli.request_words import Units, as_json, going_on, held, row, screen
from coordinator.client.proof import Checked, check
from coordinator.store.people import KnownCharter
from coordinator.wire.instance import Charters
from coordinator.wire.requests import Evidence, RequestView
from coordinator.workflow.events import Cancelled, Moved, Proceeded, Reached, TimePassed
from protocol.commands.bodies import Body, CommitNewRegister, SetControlPoint
from protocol.displayable import AccountName
from protocol.identifiers import HOUR, MINUTE, Instant, Signature, grouped
from protocol.refusals import Rule
from protocol.request import DEFAULT_VALIDITY, RequestState
from protocol.schema import to_bytes
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.violations import Violation
from quorate import times
from quorate.not_recalled import one_of
from tests.cast.charters import instance
from tests.cast.commands import NOON, adds, load_of
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, DAVE, INSTANCE
from tests.cast.requests import Asked

BTC = SetControlPoint(point=66, on=True)
COORDINATOR = signature_key("coordinator").identity


@pytest.fixture(autouse=True)
def winter_in_berlin(monkeypatch: pytest.MonkeyPatch):
    berlin = timezone(timedelta(hours=1), "CET")
    moment, in_table = times.moment, times.in_table
    monkeypatch.setattr(times, "moment", lambda at, *, now: moment(at, now=now, zone=berlin))
    monkeypatch.setattr(times, "in_table", lambda at: in_table(at, zone=berlin))


def asked(body: Body = BTC, *, units: int = 2, account: bool = True, **changes: Any) -> Asked:
    """Filed by the account amy, unless a custodian filed it."""
    made, people, cast = instance(3, units)
    for unit in cast:
        unit.leave_imprint(people)
    filer: dict[str, Any] = {"custodian": None, "account": AccountName("amy")} if account else {}
    return Asked(made, cast, body, **(filer | changes))


def known(one: Asked) -> KnownCharter:
    return KnownCharter(digest=one.charter.digest, charter=one.charter, in_force=True)


def facts(one: Asked, *others: Asked) -> Facts:
    return Facts(
        instance=INSTANCE,
        practice=True,
        known=(known(one),),
        standing=tuple(it.request for it in (one, *others) if not it.request.ended),
        states={unit.id: unit.memory.state_digest for unit in one.units.values()},
        at=one.now,
    )


def view(one: Asked, *others: Asked, voids: int | None = None) -> RequestView:
    return request_view(one.request, facts(one, *others), voids)


def charters(one: Asked) -> Charters:
    version = charter_version(known(one), ())
    return Charters(in_force=1, versions=(version,))


def checked(one: Asked) -> Checked:
    evidence = Evidence(request=to_bytes(one.request), checkpoint=None)
    return check(evidence, charters(one), COORDINATOR)


def names(one: Asked) -> Units:
    return Units(
        {
            unit.id.hex(): f"{unit.certificate.type.upper()} {unit.certificate.location}"
            for unit in one.units.values()
        }
    )


def lines(one: Asked, *others: Asked, voids: int | None = None) -> list[str]:
    return list(screen(view(one, *others, voids=voids), checked(one), names(one), one.now))


# screens


def test_a_request_that_collects():
    one = asked().open().sign(ALICE)
    assert lines(one) == [
        "Request 1 · ledger-eu · set control point 66 (XCP_CPB_BTC), on 2 units · collecting",
        "  Changes     control point 66 (XCP_CPB_BTC) Not Set → Set",
        '  Purpose     "CER-12"',
        "  Filed by    amy, not verified (this account has no key)",
        f"  Signed by   alice {ALICE.key.ski.hex()[:8]}…, verified",
        "  Now         1 of 2: alice    waiting for bob or carol    24 h left",
        "  Valid until Thu 26 Nov 13:00 CET (12:00 UTC), 24 h left",
    ]


def test_the_key_that_it_is_about_is_shown_whole():
    made, people, cast = instance(3, 2)
    for unit in cast:
        unit.leave_imprint(people)
        unit.load([(ALICE, ALICE.part()), (BOB, BOB.part())], [ALICE])
    vp = cast[0].state.new.vp
    assert vp is not None
    account: dict[str, Any] = {"custodian": None, "account": AccountName("amy")}
    said = lines(Asked(made, cast, CommitNewRegister(vp=vp), **account).open())
    assert said[1] == f"  Key         {grouped(vp)}"
    assert said[2].endswith("Full uncommitted, with this key → Full committed, with this key")
    assert not any(line.startswith("  Key") for line in lines(asked().open()))


def test_a_request_that_has_run():
    one = asked(account=False).open().sign(ALICE, BOB).prepare()
    for unit in one.targets:
        one.take(one.ran(unit))
    said = lines(one)
    assert said[0].endswith("on 2 units · executed")
    assert said[-1] == "  Receipts    2 of 2 verified."
    assert "  Filed by    alice, not verified" in said


def test_a_cancelled_request_says_what_can_still_run():
    one = asked().open().sign(ALICE)
    one.take(Cancelled("amy", "not on the agenda"))
    assert lines(one)[-6:] == [
        '  Why         "cancelled by amy: not on the agenda"',
        "  Nothing of request 1 has run.",
        "! Not recalled: 1 of 2 signatures (alice).",
        "  Signed copies can still run until Thu 26 Nov 13:00 CET (12:00 UTC) if bob's or carol's "
        "is added,",
        "  or until the unit runs something else.",
        "Next: quorate requests void 1",
    ]


def test_a_complete_signature_needs_nobody_more():
    one = asked().open().sign(ALICE, BOB)
    one.take(Cancelled("amy", ""))
    said = "\n".join(lines(one))
    assert "! Not recalled: 2 of 2 signatures (alice, bob)." in said
    assert "is added" not in said


def test_a_superseded_request_says_where_copies_still_live():
    one = asked().open().sign(ALICE)
    moved = one.units[one.targets[0]]
    one.take(Moved(moved.id, "version 9"))
    one.take(Cancelled("amy", ""))
    moved.run(SetControlPoint(point=67, on=True), (ALICE, BOB))
    said = lines(one)
    assert f"  Unit        {names(one).name(moved.id.hex())} has moved on: " in "\n".join(said)
    assert "  That is so on 1 of 2 units." in said


def test_nothing_is_live_where_everything_has_moved_on():
    one = asked().open().sign(ALICE)
    for unit in one.targets:
        one.take(Moved(unit, "version 9"))
        one.units[unit].run(SetControlPoint(point=67, on=True), (ALICE, BOB))
    said = lines(one)
    assert said[0].endswith("· superseded")
    assert said[-1] == "Next, if it is still wanted: quorate requests refile 1"
    assert not any("Not recalled" in line for line in said)


def test_a_request_in_line_says_behind_whom():
    first, second = asked().open(), asked(SetControlPoint(point=67, on=True), number=2)
    second.units = first.units
    assert "  Now         in line behind request 1" in lines(second, first)


def test_a_held_request_says_for_whose_sake_and_what_to_do():
    one = asked().open().sign(ALICE, BOB)
    lost = one.targets[0]
    one.take(Reached(lost, False))
    shown = view(one)
    assert going_on(shown, NOON) == "ready on 1 of 2 units, held"
    assert list(held(shown, names(one), NOON)) == [
        f"  {names(one).name(lost.hex())} is out of reach",
        "  Nothing has run. It goes on by itself if the unit returns by Thu 26 Nov 13:00 CET "
        "(12:00 UTC).",
        "Next, if you don't want to wait: quorate requests proceed 1",
    ]


def partly() -> Asked:
    one = asked().open().sign(ALICE, BOB)
    lost, there = one.targets
    one.take(Reached(lost, False))
    one.take(Proceeded())
    one.prepare().take(one.ran(there))
    assert one.request.state is RequestState.PARTLY_EXECUTED
    return one


def test_a_partly_executed_request_names_who_is_missing():
    one = partly()
    missing = names(one).name(one.targets[0].hex())
    cells = row(view(one), names(one))
    assert cells == (
        "1",
        "partly executed",
        "set control point 66 (XCP_CPB_BTC)",
        "1 of 2",
        missing,
        "Thu 26 Nov 13:00",
    )
    assert f"  Unit        {missing} hasn't answered yet" in lines(one)


def test_what_was_given_up_is_said():
    one = partly()
    one.take(Cancelled("amy", ""))
    said = lines(one)
    assert f"  Unit        {names(one).name(one.targets[0].hex())} was given up" in said
    assert said[-1] == "Next: quorate requests void 1"


def test_a_units_refusal_is_shown_with_what_it_compared():
    one = asked().open().sign(ALICE, BOB)
    one.take(one.prepared({one.targets[0]: Rule.VP_MISMATCH}))
    said = lines(one)
    assert any("refused: the register holds another key" in line for line in said)
    assert "    expected  one thing      found  another" in said


def test_odd_characters_are_spelt_out():
    one = asked(purpose="a\u202eb")
    assert '  Purpose     "a\\u{202e}b"' in lines(one)


def test_every_line_fits_the_screen():
    every = [
        asked().open().sign(ALICE),
        partly(),
        asked(load_of([(ALICE, ALICE.part()), (BOB, BOB.part())])).open(),
    ]
    for one in every:
        assert all(len(line) <= 100 for line in lines(one)), lines(one)


@pytest.mark.parametrize(
    ("who", "said"),
    [((), ""), (("a",), "a"), (("a", "b"), "a or b"), (("a", "b", "c"), "a, b or c")],
)
def test_one_of(who: tuple[str, ...], said: str):
    assert one_of(who) == said


def test_the_rows_of_the_list():
    one = asked().open().sign(ALICE)
    assert row(view(one), names(one))[3:] == ("2", "bob or carol (1 of 2)", "Thu 26 Nov 13:00")
    second = asked(SetControlPoint(point=67, on=True), number=2)
    second.units = one.units
    assert row(view(second, one), names(one))[4:] == ("request 1", "")


def test_scripts_get_the_same_names_as_everywhere():
    one = asked().open().sign(ALICE)
    data = as_json(view(one), checked(one), filed="now")
    assert data["command"] == "cryptounit-cp"
    assert data["signed_by"] == [ALICE.key.ski.hex()]
    assert (data["state"], data["needed"], data["waiting_for"]) == (
        "collecting",
        2,
        ["bob", "carol"],
    )
    assert (data["expires"], data["filed"]) == ("2026-11-26T12:00:00Z", "now")
    assert data["receipts_verified"] == 0


def test_parts_are_counted():
    given = [(ALICE, ALICE.part()), (BOB, BOB.part())]
    one = asked(load_of(given)).open().give(given[0])
    shown = view(one)
    assert [part.given for part in shown.parts] == [True, False]
    assert going_on(shown, NOON).startswith("1 of 2 parts    0 of 1    waiting for ")


def test_an_administrator_is_named_before_the_charter_is_asked_twice():
    one = asked(adds(DAVE))
    assert request_words.row(view(one), names(one))[2] == 'add administrator "dave"'


# what is verified


def test_a_filing_that_a_custodian_signed_is_verified():
    one = asked(account=False)
    statement = sign_statement(Label.FILING, one.request.filing, ALICE.identity.sign)
    one.request = one.request.but(signature=statement.signature)
    assert checked(one).filed_by == "alice"
    one.request = one.request.but(signature=Signature(bytes(64)))
    with pytest.raises(Violation):
        checked(one)


def test_a_signature_over_something_else_is_found():
    one = asked().open().sign(ALICE)
    progress = one.request.progress[0]
    other = one.request.progress[1].approvals
    one.request = one.request.but(
        progress=(progress.but(approvals=other), *one.request.progress[1:])
    )
    with pytest.raises(Violation):
        checked(one)


def executed() -> Asked:
    one = asked().open().sign(ALICE, BOB).prepare()
    for unit in one.targets:
        one.take(one.ran(unit))
    return one


def test_receipts_are_verified_by_the_units_keys():
    assert checked(executed()).receipts == frozenset(executed().targets)


def test_a_receipt_that_another_key_signed_is_found():
    one = executed()
    first = one.request.progress[0]
    assert first.receipt is not None
    forged = Signed(statement=first.receipt.statement, signature=Signature(bytes(64)))
    one.request = one.request.but(progress=(first.but(receipt=forged), *one.request.progress[1:]))
    with pytest.raises(Violation):
        checked(one)


def test_a_receipt_for_another_command_is_found():
    one = executed()
    first = one.request.progress[0]
    before = one.units[first.unit].entries[-2]
    one.request = one.request.but(progress=(first.but(receipt=before), *one.request.progress[1:]))
    with pytest.raises(Violation, match="another command"):
        checked(one)


def test_an_opening_of_another_filing_is_found():
    one = asked().open()
    filing = one.request.filing.but(purpose="another")
    one.request = one.request.but(filing=filing)
    with pytest.raises(Violation):
        checked(one)


def test_nothing_is_verified_by_a_charter_of_another_coordinator():
    one = executed()
    evidence = Evidence(request=to_bytes(one.request), checkpoint=None)
    found = check(evidence, charters(one), signature_key("another").identity)
    assert (found.receipts, found.signed_by) == (frozenset(), frozenset())


def test_time_left_is_told_from_now():
    one = asked().open()
    later = Instant(NOON + DEFAULT_VALIDITY - HOUR - 30 * MINUTE)
    assert going_on(view(one), later).endswith("1 h 30 min left")
    one.take(TimePassed(), at=Instant(NOON + DEFAULT_VALIDITY - MINUTE))
    assert view(one).state is RequestState.EXPIRED
