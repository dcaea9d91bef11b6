"""The review: whatever an evil coordinator, unit or person does, nothing false may be signed.

Each test plays one attack or one honest trouble, and looks at which one was named.
"""

from typing import Any

import pytest

from protocol.charter import Floor
from protocol.commands.bodies import (
    AddAdministrator,
    Body,
    CommitNewRegister,
    LoadNewRegister,
    NamedPart,
    RemoveAdministrator,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.displayable import AccountName, Reason
from protocol.identifiers import DAY, HOUR, MINUTE, VP, Digest, Duration, Instant, StateVersion
from protocol.receipts import Receipt, StateAnswer
from protocol.refusals import Rule
from protocol.request import Outcome, Rejection, RequestState
from protocol.schema import from_bytes
from protocol.sealing.contribution import vp_of
from protocol.session.messages import Consistency, RequestNews, States
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from protocol.standing import Ground
from quorate.exits import Exit
from signer_agent.cli.screens import lines_of
from signer_agent.desk.review import Review, review
from signer_agent.objections import Objection
from signer_agent.trust.evidence import AskConsistency, AskStates, Question, Reply
from tests.cast.charters import charter as make_charter
from tests.cast.charters import charter_unit
from tests.cast.commands import adds, load_of
from tests.cast.keys import noise
from tests.cast.people import ALICE, BOB, CAROL, DAVE, MALLORY, custodian
from tests.cast.units import CastUnit
from tests.cores.desk_world import Desk, Log, World, world_with_desks

LOAD = load_of([(ALICE, ALICE.part()), (BOB, BOB.part())])


def loaded() -> tuple[World, tuple[Desk, ...], VP]:
    """An instance whose new registers hold a key of alice's and bob's parts."""
    world, desks = world_with_desks()
    for unit in world.units:
        unit.load([(ALICE, ALICE.part()), (BOB, BOB.part())], [ALICE])
    vp = world.units[0].state.new.vp
    assert vp is not None
    return world, desks, vp


def assert_objects(
    found: Review | Objection, exit: Exit, rule: str, *, says: str | None = None
) -> Objection:
    assert isinstance(found, Objection), "it was let pass"
    assert (found.exit, found.rule) == (exit, rule), found
    if says is not None:
        assert says in f"{found.what} {found.expected} {found.found} {found.next}", found
    return found


# --- what is shown ----------------------------------------------------------------------------


def test_a_commit_is_shown_whole():
    world, (_, bob, _), vp = loaded()
    news = world.signed_by(world.open(CommitNewRegister(vp=vp)), ALICE)
    screen = bob.reviewed(news).screen
    assert screen.title == "commit the new master key"
    assert (screen.have, screen.needed) == (1, 2)
    assert [one.person for one in screen.signed_by] == ["alice"]
    assert screen.waiting_for == ("bob", "carol")
    assert screen.key == vp
    assert [(one.person, one.me) for one in screen.parts] == [("alice", False), ("bob", True)]
    (group,) = screen.groups
    assert [(one.what, one.before, one.after) for one in group.changes] == [
        ("new register", "Full uncommitted, with this key", "Full committed, with this key")
    ]
    assert "current register Empty" in group.stays
    assert "thresholds 2 and 2" in group.stays
    assert len(screen.targets) == 2 and screen.left_out == ()
    (roster,) = screen.roster
    assert [(one.person, one.me, one.left) for one in roster.administrators] == [
        ("alice", False, False),
        ("bob", True, False),
        ("carol", False, False),
    ]
    assert screen.filed_by.name == "alice" and screen.filed_by.verified
    assert screen.checked.fresh == 2 and screen.checked.receipts == 6
    assert [key.file for key in screen.keys] == ["bob.sig"]
    assert screen.if_given == ("2 of 2: it may run at once. A signature can't be taken back.",)
    assert screen.if_not == (
        "carol may give the last signature. Without them it expires and nothing changes.",
    )
    assert screen.practice and not screen.alone


@pytest.mark.parametrize("wide", [80, 100])
def test_a_screen_is_as_wide_as_the_terminal_and_says_the_same(wide: int):
    world, (_, bob, _), vp = loaded()
    screen = bob.reviewed(world.signed_by(world.open(CommitNewRegister(vp=vp)), ALICE)).screen
    at_once, lines = (lines_of(screen, now=world.now, wide=limit) for limit in (10_000, wide))
    assert [word for line in lines for word in line.split()] == [
        word for line in at_once for word in line.split()
    ]
    assert max(map(len, lines)) <= wide


def test_units_of_the_charter_that_are_left_out_are_shown():
    world, (alice, *_), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp), targets=world.units[:1])
    screen = alice.reviewed(news).screen
    assert [one.unit for one in screen.left_out] == [world.units[1].id]


def test_an_operators_filing_is_shown_as_not_verified():
    world, (alice, *_), vp = loaded()
    filing = world.filing(CommitNewRegister(vp=vp), custodian=None, account=AccountName("amy"))
    screen = alice.reviewed(world.open(CommitNewRegister(vp=vp), filing=filing)).screen
    assert (screen.filed_by.name, screen.filed_by.operator) == ("amy", True)
    assert not screen.filed_by.verified


def test_targets_in_unequal_states_are_shown_apart():
    world, (alice, *_) = world_with_desks()
    world.units[1].run(Void(), [ALICE])
    screen = alice.reviewed(world.open(SetThresholds(signatures=3, revocations=2))).screen
    assert [one.version for one in screen.targets] != [5, 5]
    world.units[1].run(SetThresholds(signatures=3, revocations=2), [ALICE, BOB])
    screen = alice.reviewed(world.open(SetThresholds(signatures=3, revocations=3))).screen
    assert len(screen.groups) == 2


def test_a_verified_rejection_is_shown_and_a_forged_one_is_not():
    world, (alice, *_), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    assert news.request.opening is not None
    no = Rejection(
        request=news.request.opening.digest, custodian=BOB.agent, reason=Reason("no"), at=world.now
    )
    good = sign_statement(Label.REJECTION, no, BOB.identity.sign)
    forged = sign_statement(Label.REJECTION, no.but(custodian=CAROL.agent), MALLORY.identity.sign)
    elsewhere = no.but(request=Digest(bytes(32)), custodian=CAROL.agent)
    other = sign_statement(Label.REJECTION, elsewhere, CAROL.identity.sign)
    news = news.but(request=news.request.but(rejections=(good, forged, other)))
    screen = alice.reviewed(news).screen
    assert [(one.person, one.reason) for one in screen.rejections] == [("bob", "no")]
    assert screen.waiting_for == ("alice", "carol")


def test_a_charter_that_lets_one_person_be_alone_says_so_on_the_screen():
    world, (alice,) = world_with_desks(people=1, units=1, initialised=False)
    world.initialise(signatures=1, revocations=1)
    assert "one person may be alone" in alice.reviewed(world.open(Zeroize())).screen.cautions[0]


# --- the request itself ---------------------------------------------------------------------------


def bent_opening(world: World, vp: VP, **changes: Any) -> RequestNews:
    return world.open(CommitNewRegister(vp=vp), **changes)


def test_a_filing_that_its_custodian_did_not_sign_is_found():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    bent = news.request.filing.but(purpose="something else")
    request = news.request.but(
        filing=bent,
        opening=news.request.opening.but(filing=bent.digest),  # type: ignore[union-attr]
    )
    assert_objects(
        bob.review(news.but(request=request)), Exit.ALARM, "FILER_IN_CHARTER", says="alice"
    )


def test_a_filing_in_the_name_of_a_stranger_is_found():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp), by=MALLORY)
    assert_objects(bob.review(news), Exit.ALARM, "FILER_IN_CHARTER", says="outside your charter")


def test_a_filing_swapped_after_opening_is_found():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    other = world.open(Zeroize())
    request = news.request.but(filing=other.request.filing, signature=other.request.signature)
    assert_objects(bob.review(news.but(request=request)), Exit.ALARM, "FILING_UNCHANGED")


def test_targets_that_were_not_filed_are_found():
    world, (_, bob, _), vp = loaded()
    filing = world.filing(CommitNewRegister(vp=vp), targets=world.units[:1])
    both = tuple(sorted(unit.id for unit in world.units))
    news = world.open(CommitNewRegister(vp=vp), filing=filing, targets=None)
    assert news.request.opening is not None
    more = world.open(CommitNewRegister(vp=vp)).request
    bent = news.request.but(opening=news.request.opening.but(targets=both), progress=more.progress)
    assert_objects(bob.review(news.but(request=bent)), Exit.ALARM, "TARGETS_OF_FILING")


def test_a_target_left_out_without_the_filers_word_is_found():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    assert news.request.opening is not None
    first, second = news.request.opening.targets
    bent = news.request.but(
        opening=news.request.opening.but(targets=(first,), left_out=(second,)),
        progress=news.request.progress[:1],
    )
    assert_objects(bob.review(news.but(request=bent)), Exit.ALARM, "TARGETS_OF_FILING")
    assert isinstance(bob.review(news), Review)


def test_progress_about_other_targets_is_found():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    bent = news.request.but(progress=news.request.progress[:1])
    assert_objects(bob.review(news.but(request=bent)), Exit.ALARM, "TARGETS_OF_FILING")


@pytest.mark.parametrize("validity", [DAY + 1, 8 * DAY])
def test_a_longer_time_than_the_filer_said_is_found(validity: int):
    world, (_, bob, _), vp = loaded()
    news = bent_opening(world, vp, not_after=Instant(world.now + validity))
    assert_objects(bob.review(news), Exit.ALARM, "TIMES_OF_FILING")


@pytest.mark.parametrize("validity", [0, -DAY])
def test_times_that_end_before_they_begin_are_found(validity: int):
    world, (_, bob, _), vp = loaded()
    news = bent_opening(world, vp, not_after=Instant(world.now + validity))
    assert_objects(bob.review(news), Exit.ALARM, "TIMES_OF_FILING")


def test_an_importer_key_for_what_is_no_load_is_found():
    world, (_, bob, _), vp = loaded()
    news = world.each(
        world.open(CommitNewRegister(vp=vp)),
        lambda one: one.but(target=one.target.but(importer=Digest(bytes(32)))),
    )
    assert_objects(bob.review(news), Exit.ALARM, "TARGETS_OF_FILING")


def test_an_old_filing_opened_again_is_found():
    world, (_, bob, _), vp = loaded()
    filing = world.filing(CommitNewRegister(vp=vp))
    world.pass_time(7 * DAY + 1)
    bob.look()
    news = world.open(CommitNewRegister(vp=vp), filing=filing)
    assert_objects(bob.review(news), Exit.ALARM, "TIMES_OF_FILING")


def test_an_expired_request_has_ended():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    world.pass_time(DAY - MINUTE)
    assert_objects(bob.review(news), Exit.ENDED, Rule.EXPIRED)


@pytest.mark.parametrize(
    ("state", "exit"),
    [
        (RequestState.CANCELLED, Exit.ENDED),
        (RequestState.SUPERSEDED, Exit.ENDED),
        (RequestState.EXPIRED, Exit.ENDED),
        (RequestState.REJECTED, Exit.REFUSED),
        (RequestState.EXECUTED, Exit.REFUSED),
    ],
)
def test_what_has_ended_asks_nobody(state: RequestState, exit: Exit):
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    assert_objects(
        bob.review(news.but(request=news.request.but(state=state))), exit, Rule.REQUEST_ENDED
    )


def test_a_request_of_another_instance_is_found():
    world, (_, bob, _), vp = loaded()
    filing = world.filing(CommitNewRegister(vp=vp), instance="ledger-us")
    news = world.open(CommitNewRegister(vp=vp), filing=filing)
    assert_objects(bob.review(news), Exit.ALARM, "SAME_INSTANCE")


def test_a_real_request_under_a_practice_charter_is_found():
    world, (_, bob, _), vp = loaded()
    assert_objects(bob.review(bent_opening(world, vp, practice=False)), Exit.ALARM, "SAME_INSTANCE")


# --- the charter ----------------------------------------------------------------------------------


def test_a_charter_that_nobody_accepted_opens_nothing():
    world, (_, bob, _), vp = loaded()
    version = make_charter(world.people, world.units, previous=world.charter)
    bob.book = bob.book.heard(version, ())
    news = world.open(CommitNewRegister(vp=vp), charter=version)
    assert_objects(bob.review(news), Exit.ALARM, Rule.CHARTER_NOT_IN_FORCE, says="version 2")


def test_before_a_charter_is_in_force_nothing_is_signed():
    world = World(3, 1)
    desk = Desk(world, BOB)
    desk.accept(world.charter, others=[ALICE])
    assert not desk.book.in_force
    news = world.open(Zeroize())
    assert_objects(desk.review(news), Exit.REFUSED, Rule.CHARTER_NOT_IN_FORCE)
    desk.accept(world.charter, others=[CAROL])
    assert desk.book.ruling == world.charter
    assert isinstance(desk.review(news), Review)


def test_a_request_under_an_overtaken_version_has_ended():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    version = make_charter([*world.people, DAVE], world.units, previous=world.charter)
    bob.accept(version, others=[ALICE])
    assert_objects(
        bob.review(news), Exit.ENDED, Rule.CHARTER_NOT_IN_FORCE, says="version 2 is in force"
    )
    assert isinstance(bob.review(world.open(CommitNewRegister(vp=vp), charter=version)), Review)


def test_a_version_in_force_that_the_person_has_not_accepted_stops_signing():
    world, (_, bob, _), vp = loaded()
    version = make_charter([*world.people, DAVE], world.units, previous=world.charter)
    from tests.cast.charters import accepts

    bob.book = bob.book.heard(version, (accepts(ALICE, version), accepts(CAROL, version)))
    news = world.open(CommitNewRegister(vp=vp))
    assert_objects(bob.review(news), Exit.REFUSED, Rule.CHARTER_NOT_IN_FORCE, says="charter accept")


# --- the units' states ----------------------------------------------------------------------------


def test_a_state_signed_for_somebody_elses_nonce_breaks_the_protocol():
    from protocol.violations import Violation

    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    stale = world.answer(AskStates(tuple(unit.id for unit in world.units), world.nonce()))

    def old_states(question: Question) -> Reply:
        return stale if isinstance(question, AskStates) else world.answer(question)

    with pytest.raises(Violation, match="earlier question"):
        bob.review(news, old_states)


def test_a_state_that_the_unit_did_not_sign_breaks_the_protocol():
    from protocol.violations import Violation

    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))

    def forged(question: Question) -> Reply:
        reply = world.answer(question)
        if not isinstance(reply, States):
            return reply
        answer = from_bytes(StateAnswer, reply.answers[0].statement)
        bent = answer.but(version=StateVersion(answer.version + 1))
        signed = sign_statement(Label.STATE_ANSWER, bent, MALLORY.identity.sign)
        return reply.but(answers=(signed, *reply.answers[1:]))

    with pytest.raises(Violation, match="verify"):
        bob.review(news, forged)


def test_a_request_for_a_state_that_the_unit_left_is_superseded():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    world.units[0].run(Void(), [CAROL])
    assert_objects(bob.review(news), Exit.ENDED, Rule.STATE_CHANGED, says="state version")


def test_a_superseded_target_is_left_aside():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    world.units[0].run(Void(), [CAROL])
    moved = world.units[0].id
    news = world.each(
        news, lambda one: one.but(outcome=Outcome.SUPERSEDED) if one.unit == moved else one
    )
    found = bob.reviewed(news)
    assert [one.target.unit for one in found.targets] == [world.units[1].id]
    assert Outcome.SUPERSEDED in [one.outcome for one in found.screen.targets]


def test_a_request_for_a_state_to_come_is_found():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    news = world.each(
        news,
        lambda one: one.but(target=one.target.but(version=StateVersion(one.target.version + 1))),
    )
    assert_objects(bob.review(news), Exit.ALARM, Rule.STATE_CHANGED)


def test_a_request_for_another_state_of_the_same_version_is_found():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    news = world.each(
        news, lambda one: one.but(target=one.target.but(state=Digest(noise("other"))))
    )
    assert_objects(bob.review(news), Exit.ENDED, Rule.STATE_CHANGED)


def test_a_state_older_than_a_minute_is_not_signed():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    evidence = bob.gather(news)
    late = Instant(world.now + MINUTE)
    assert isinstance(review(news, bob.seat, evidence, late), Review)
    found = review(news, bob.seat, evidence, Instant(late + 1))
    assert_objects(found, Exit.UNREACHABLE, "STATE_FRESH")


def test_a_unit_out_of_reach_is_shown_as_last_seen_with_its_age():
    world, (_, bob, _), vp = loaded()
    bob.look()
    world.pass_time(2 * HOUR)
    news = world.open(CommitNewRegister(vp=vp))
    gone = world.units[0].id
    world.out_of_reach.add(gone)
    screen = bob.reviewed(news).screen
    (line,) = [one for one in screen.targets if one.unit.unit == gone]
    assert not line.fresh and line.asked == world.now - 2 * HOUR
    assert screen.checked.fresh == 1


def test_a_unit_never_seen_and_out_of_reach_is_not_signed_for():
    world, (_, bob, _), vp = loaded()
    newcomer = Desk(world, BOB)
    newcomer.book = bob.book
    world.out_of_reach.add(world.units[0].id)
    news = world.open(CommitNewRegister(vp=vp))
    found = newcomer.objection(news)
    assert found.exit is Exit.UNREACHABLE and "never seen" in found.what


# --- histories ------------------------------------------------------------------------------------


def test_a_rolled_back_unit_gets_only_zeroize():
    world, (_, bob, _), vp = loaded()
    bob.look()
    unit = world.units[0]
    memory, entries = unit.memory, list(unit.entries)
    unit.run(Void(), [CAROL])
    bob.look()
    unit.memory, unit.entries = memory, entries
    found = bob.review(world.open(CommitNewRegister(vp=vp)))
    assert_objects(found, Exit.ALARM, Ground.LACKS_WHAT_WAS_SEEN, says="rolled back")
    assert isinstance(bob.review(world.open(Zeroize())), Review)


def test_a_unit_that_went_on_otherwise_than_was_seen_gets_only_zeroize():
    world, (_, bob, _), vp = loaded()
    unit = world.units[0]
    memory, entries = unit.memory, list(unit.entries)
    unit.run(Void(), [CAROL])
    bob.look()
    unit.memory, unit.entries = memory, entries
    unit.run(Void(), [ALICE])
    unit.run(Void(), [ALICE])
    found = bob.review(world.open(CommitNewRegister(vp=vp)))
    assert_objects(found, Exit.ALARM, Ground.LACKS_WHAT_WAS_SEEN)


def test_after_zeroize_a_version_that_names_the_new_life_replaces_what_was_seen():
    world, (alice, bob, carol) = world_with_desks()
    unit = world.units[0]
    memory, entries = unit.memory, list(unit.entries)
    unit.run(Void(), [CAROL])
    for desk in (alice, bob, carol):
        desk.look()
    unit.memory, unit.entries = memory, entries
    unit.run(Zeroize(), [ALICE])
    before = bob.memory
    bob.look()
    assert bob.memory == before, "nothing replaces what was seen before a charter says so"
    version = make_charter(world.people, world.units, previous=world.charter)
    unit.charter = version.digest
    bob.accept(version, others=[ALICE, CAROL])
    unit.install(world.people)
    seen = bob.memory.seen(unit.id)
    assert seen is not None and len(seen.history.entries) == len(unit.entries) - 3
    news = world.open(SetThresholds(signatures=2, revocations=2), targets=[unit], charter=version)
    assert isinstance(bob.review(news), Review)


def captured(world: World) -> CastUnit:
    """A unit that mallory took out of imprint mode, gave to the people, and left."""
    unit = world.units[0]
    eve = custodian("eve")
    unit.install([MALLORY, eve])
    unit.run(SetThresholds(signatures=2, revocations=2), [MALLORY, eve])
    unit.install(world.people, [MALLORY, eve])
    for one in (MALLORY, eve):
        unit.run(RemoveAdministrator(ski=one.key.ski), [ALICE, BOB])
    return unit


def test_a_captured_and_laundered_unit_is_found():
    world, (alice, *_) = world_with_desks(initialised=False)
    world.units[1].leave_imprint(world.people)
    unit = captured(world)
    found = alice.review(world.open(SetThresholds(signatures=3, revocations=3), targets=[unit]))
    assert_objects(found, Exit.ALARM, Ground.EXIT_BY_TOO_FEW_PEOPLE, says="outside your charter")


def test_no_part_is_given_to_a_captured_unit():
    world, (alice, *_) = world_with_desks(initialised=False)
    world.units[1].leave_imprint(world.people)
    unit = captured(world)
    found = alice.review(world.open(LOAD, targets=[unit]))
    assert_objects(found, Exit.ALARM, Ground.EXIT_BY_TOO_FEW_PEOPLE)
    assert isinstance(alice.review(world.open(Zeroize(), targets=[unit])), Review)


def test_with_a_history_that_fails_only_zeroize_is_signed():
    world, (_, bob, _), vp = loaded()
    newcomer = Desk(world, BOB)
    unit = world.units[0]
    receipt = unit.history()[-1]
    assert isinstance(receipt, Receipt)
    cut = receipt.but(approvals=())
    unit.entries[-1] = sign_statement(Label.HISTORY, cut, unit.key.sign)
    newcomer.book, newcomer.witness = bob.book, bob.witness
    from protocol.receipts import entry_hash

    unit.memory = unit.memory.but(last_receipt=entry_hash(unit.entries[-1]))
    news = world.open(CommitNewRegister(vp=vp), targets=[unit])
    assert_objects(newcomer.review(news), Exit.ALARM, "HISTORY_HOLDS", says="signatures")
    zeroize = world.open(Zeroize(), targets=[unit])
    assert isinstance(newcomer.review(zeroize), Review)


def test_a_stranger_among_administrators_is_found_and_may_be_removed():
    world, (_, bob, _) = world_with_desks()
    unit = world.units[0]
    unit.run(adds(MALLORY), [ALICE, CAROL])
    found = bob.review(world.open(LOAD, targets=[unit]))
    assert_objects(found, Exit.ALARM, Ground.STRANGER_INSTALLED, says='"mallory"')
    removal = world.open(RemoveAdministrator(ski=MALLORY.key.ski), targets=[unit])
    screen = bob.reviewed(removal).screen
    assert [one.name for one in screen.roster[0].administrators if one.person is None] == [
        "mallory"
    ]
    assert any("doesn't know" in one for one in screen.cautions)


def test_imprint_mode_is_not_left_with_a_stranger():
    world, (alice, *_) = world_with_desks(initialised=False)
    for unit in world.units:
        unit.install([*world.people, MALLORY])
    found = alice.review(world.open(SetThresholds(signatures=2, revocations=2)))
    assert_objects(found, Exit.ALARM, Ground.STRANGER_INSTALLED, says="mallory")


def test_an_administrator_slipped_in_after_opening_changes_the_state():
    world, (alice, *_) = world_with_desks(initialised=False)
    for unit in world.units:
        unit.install(world.people)
    news = world.open(SetThresholds(signatures=2, revocations=2))
    assert isinstance(alice.review(news), Review)
    world.units[1].install([MALLORY])
    assert_objects(alice.review(news), Exit.ENDED, Rule.STATE_CHANGED)


def test_somebody_who_has_left_is_shown_so_and_imprint_mode_is_not_left_with_them():
    world, (alice, *_) = world_with_desks(initialised=False)
    for unit in world.units:
        unit.install(world.people)
    version = make_charter([ALICE, BOB], world.units, previous=world.charter)
    alice.accept(version, others=[BOB])
    assert alice.book.ruling == version
    news = world.open(SetThresholds(signatures=2, revocations=2), charter=version)
    assert_objects(alice.review(news), Exit.REFUSED, "ROSTER_IN_CHARTER", says="has left")
    for unit in world.units:
        unit.charter = version.digest
        unit.run(RemoveAdministrator(ski=CAROL.key.ski))
    news = world.open(SetThresholds(signatures=2, revocations=2), charter=version)
    assert isinstance(alice.review(news), Review)


# --- commands that would do harm ------------------------------------------------------------------


def test_thresholds_below_the_floor_are_not_signed():
    world, (alice, *_) = world_with_desks()
    found = alice.review(world.open(SetThresholds(signatures=1, revocations=2)))
    assert_objects(found, Exit.REFUSED, Ground.FLOOR_BROKEN, says="at least 2 and 2")


def test_an_exit_below_the_floor_is_not_signed():
    world, (alice, *_) = world_with_desks(initialised=False)
    for unit in world.units:
        unit.install(world.people)
    found = alice.review(world.open(SetThresholds(signatures=1, revocations=1)))
    assert_objects(found, Exit.REFUSED, Ground.FLOOR_BROKEN)


def test_an_exit_with_too_few_people_installed_is_not_signed():
    two_keys = custodian("zoe", keys=2)
    world = World(2, 1)
    version = make_charter([ALICE, two_keys], world.units)
    world.charter, world.people = version, (ALICE, two_keys)
    desk = Desk(world, two_keys)
    desk.accept(version, others=[ALICE])
    unit = world.units[0]
    unit.charter = version.digest
    for key in two_keys.keys:
        unit.run(AddAdministrator(key=two_keys.proven(key)))
    found = desk.review(world.open(SetThresholds(signatures=2, revocations=2), by=ALICE))
    assert_objects(found, Exit.REFUSED, Ground.EXIT_BY_TOO_FEW_PEOPLE)


def test_a_stranger_is_not_made_an_administrator():
    world, (alice, *_) = world_with_desks()
    found = alice.review(world.open(adds(MALLORY)))
    assert_objects(found, Exit.REFUSED, Rule.NOT_IN_CHARTER)


def test_a_known_key_under_another_name_is_not_made_an_administrator():
    world, _ = world_with_desks()
    version = make_charter([*world.people, DAVE], world.units, previous=world.charter)
    desk = Desk(world, ALICE)
    desk.accept(world.charter, others=world.people)
    desk.accept(version, others=[BOB])
    body = AddAdministrator(key=DAVE.proven(title="bob"))
    found = desk.review(world.open(body, charter=version))
    assert_objects(found, Exit.REFUSED, Rule.NOT_IN_CHARTER)
    assert isinstance(desk.review(world.open(adds(DAVE), charter=version)), Review)


def test_a_second_key_of_one_person_may_come_with_a_caution():
    zoe = custodian("zoe", keys=2)
    world = World(3, 1)
    version = make_charter([ALICE, BOB, zoe], world.units)
    world.charter, world.people = version, (ALICE, BOB, zoe)
    desk = Desk(world, ALICE)
    desk.accept(version, others=[BOB, zoe])
    unit = world.units[0]
    unit.charter = version.digest
    unit.leave_imprint(world.people)
    body = AddAdministrator(key=zoe.proven(zoe.keys[1]))
    screen = desk.reviewed(world.open(body)).screen
    assert any("One person alone could command" in one for one in screen.cautions)
    unit.run(body, [ALICE, BOB])
    found = desk.review(world.open(Void(), filing=world.filing(Void(), voids=Digest(bytes(32)))))
    assert_objects(found, Exit.ALARM, Ground.SECOND_KEY_INSTALLED, says="zoe")
    assert isinstance(desk.review(world.open(RemoveAdministrator(ski=zoe.keys[0].ski))), Review)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (adds(ALICE), Rule.ADMINISTRATOR_EXISTS),
        (SetThresholds(signatures=4, revocations=2), Rule.THRESHOLD_ABOVE_ADMINISTRATORS),
        (RemoveAdministrator(ski=DAVE.key.ski), Rule.NO_SUCH_ADMINISTRATOR),
        (CommitNewRegister(vp=VP(bytes(32))), Rule.NEW_REGISTER_NOT_UNCOMMITTED),
    ],
)
def test_what_the_units_would_refuse_is_not_signed(body: Body, rule: Rule):
    world, (alice, *_) = world_with_desks()
    assert_objects(alice.review(world.open(body)), Exit.REFUSED, rule, says="on 2 of 2 units")


def test_in_imprint_mode_a_load_is_refused():
    world, (alice, *_) = world_with_desks(initialised=False)
    assert_objects(alice.review(world.open(LOAD)), Exit.REFUSED, Rule.IMPRINT_MODE)


# --- key parts ------------------------------------------------------------------------------------


def test_two_parts_of_one_person_are_not_loaded():
    world, (_, bob, _) = world_with_desks()
    load = load_of([(ALICE, ALICE.part()), (ALICE, ALICE.part("other"))])
    assert_objects(bob.review(world.open(load)), Exit.REFUSED, "PARTS_IN_CHARTER", says="alice")


def test_where_one_person_may_be_alone_they_may_give_both():
    world, (alice,) = world_with_desks(people=1, units=1, initialised=False)
    world.initialise(signatures=1, revocations=1)
    load = load_of([(ALICE, ALICE.part()), (ALICE, ALICE.part("other"))])
    assert isinstance(alice.review(world.open(load)), Review)


def test_a_part_of_a_stranger_is_not_loaded():
    world, (_, bob, _) = world_with_desks()
    load = load_of([(BOB, BOB.part()), (MALLORY, MALLORY.part())])
    assert_objects(
        bob.review(world.open(load)), Exit.ALARM, "PARTS_IN_CHARTER", says="outside your charter"
    )


@pytest.mark.parametrize("bend", ["other unit", "other request", "not signed", "none", "swapped"])
def test_an_importer_key_that_is_not_the_units_for_this_load_is_found(bend: str):
    world, (_, bob, _) = world_with_desks()
    news = world.open(LOAD)
    other = world.open(LOAD)
    first, second = news.request.progress

    def bent(one: Any) -> Any:
        if one.unit != first.unit:
            return one
        importer = {
            "other unit": second.importer,
            "other request": other.request.progress[0].importer,
            "not signed": sign_statement(
                Label.IMPORTER_KEY,
                world.unit(first.unit).importer_key(Digest(bytes(32))),
                MALLORY.identity.sign,
            ),
            "none": None,
            "swapped": first.importer,
        }[bend]
        if bend == "swapped":
            return one.but(target=one.target.but(importer=second.target.importer))
        return one.but(importer=importer)

    assert_objects(bob.review(world.each(news, bent)), Exit.ALARM, "IMPORTER_KEY_OF_UNIT")


def test_a_commit_of_a_key_with_two_parts_of_one_person_is_not_signed():
    world, (_, bob, _) = world_with_desks()
    for unit in world.units:
        unit.load([(ALICE, ALICE.part()), (ALICE, ALICE.part("other"))], [ALICE])
    vp = world.units[0].state.new.vp
    assert vp is not None
    found = bob.review(world.open(CommitNewRegister(vp=vp)))
    assert_objects(found, Exit.REFUSED, "PARTS_IN_CHARTER", says="two from alice")


def test_a_commit_of_a_key_with_a_strangers_part_is_not_signed():
    world, (_, bob, _) = world_with_desks()
    for unit in world.units:
        unit.load([(ALICE, ALICE.part()), (MALLORY, MALLORY.part())], [ALICE])
    vp = world.units[0].state.new.vp
    assert vp is not None
    found = bob.review(world.open(CommitNewRegister(vp=vp)))
    assert_objects(found, Exit.ALARM, "PARTS_IN_CHARTER")


def test_the_same_part_named_for_another_custodian_is_not_bobs():
    world, (_, bob, _) = world_with_desks()
    parts = (
        NamedPart(vp=vp_of(ALICE.part()), custodian=ALICE.agent),
        NamedPart(vp=vp_of(BOB.part()), custodian=CAROL.agent),
    )
    screen = bob.reviewed(world.open(LoadNewRegister(parts=parts))).screen
    assert screen.part_wanted is None


# --- signatures -----------------------------------------------------------------------------------


def test_signatures_that_do_not_verify_are_not_counted():
    world, (_, bob, _), vp = loaded()
    other = world.signed_by(world.open(Zeroize()), ALICE).request.progress[0].approvals
    news = world.each(
        world.open(CommitNewRegister(vp=vp)),
        lambda one: one.but(approvals=(*other, MALLORY.approve(bob_command(world)))),
    )
    screen = bob.reviewed(news).screen
    assert screen.have == 0 and screen.signed_by == ()
    assert len(screen.uncounted) == 2


def bob_command(world: World) -> Any:
    return world.units[0].command(Zeroize())


def test_a_signature_on_one_target_only_counts_there_only():
    world, (_, bob, _), vp = loaded()
    news = world.signed_by(world.open(CommitNewRegister(vp=vp)), ALICE)
    first = news.request.progress[0].unit
    news = world.each(news, lambda one: one if one.unit == first else one.but(approvals=()))
    screen = bob.reviewed(news).screen
    assert (screen.have, screen.needed) == (0, 2)
    assert screen.signed_by == ()


def test_two_keys_of_one_person_count_once():
    zoe = custodian("zoe", keys=2)
    world = World(3, 1)
    version = make_charter([ALICE, BOB, zoe], world.units)
    world.charter, world.people = version, (ALICE, BOB, zoe)
    desk = Desk(world, zoe)
    desk.accept(version, others=[ALICE, BOB])
    unit = world.units[0]
    unit.charter = version.digest
    unit.install(world.people)
    unit.run(AddAdministrator(key=zoe.proven(zoe.keys[1])))
    unit.run(SetThresholds(signatures=3, revocations=3), [ALICE, BOB, zoe])
    news = world.signed_by(world.open(SetThresholds(signatures=3, revocations=3)), zoe)
    from tests.cast.people import approval

    screen = desk.reviewed(news).screen
    assert screen.have == 1 and screen.keys == ()
    news = world.each(
        news,
        lambda one: one.but(
            approvals=(
                *one.approvals,
                approval(zoe.keys[1], news.request.command(one.target)),
            )
        ),
    )
    assert desk.reviewed(news).screen.have == 1


def test_where_one_person_may_be_alone_each_of_their_keys_counts_once():
    zoe = custodian("zoe", keys=2)
    world = World(1, 1)
    version = make_charter(
        [zoe],
        world.units,
        alone=True,
        floor=Floor(signatures=1, revocations=1, exit_people=1),
    )
    world.charter, world.people = version, (zoe,)
    desk = Desk(world, zoe)
    desk.accept(version)
    unit = world.units[0]
    unit.charter = version.digest
    for key in zoe.keys:
        unit.run(AddAdministrator(key=zoe.proven(key)))
    unit.run(SetThresholds(signatures=2, revocations=2), zoe.keys)
    news = world.signed_by(world.open(SetThresholds(signatures=1, revocations=2)), zoe)
    screen = desk.reviewed(news).screen
    assert (screen.have, screen.needed) == (1, 2)
    assert [key.ski for key in screen.keys] == [zoe.keys[1].ski]


# --- the log --------------------------------------------------------------------------------------


def test_a_forked_log_stops_all_signing_and_keeps_both_checkpoints():
    world, (_, bob, _), vp = loaded()
    for number in range(5):
        world.log.append(f"entry {number}")
    bob.look()
    forked = Log()
    for number in range(9):
        forked.append(f"another {number}")
    world.log = forked
    news = world.open(CommitNewRegister(vp=vp))
    assert_objects(bob.review(news), Exit.ALARM, "LOG_GOES_ON", says="forked or rolled back")
    assert bob.witness.fork is not None
    assert_objects(bob.review(world.open(Zeroize())), Exit.ALARM, "LOG_GOES_ON")


def test_a_rolled_back_log_is_found():
    world, (_, bob, _), vp = loaded()
    old = world.log.frontier, dict(world.log.nodes)
    world.log.append("entry")
    world.log.append("entry")
    bob.look()
    world.log.frontier, world.log.nodes = old
    note = world.log.note()

    def hiding(question: Question) -> Reply:
        if isinstance(question, AskConsistency):
            return Consistency(ref=0, checkpoint=note, proof=())
        return world.answer(question)

    news = world.open(CommitNewRegister(vp=vp))
    evil = Desk(world, BOB)
    evil.book, evil.memory, evil.witness = bob.book, bob.memory, bob.witness
    assert_objects(evil.review(news, hiding), Exit.ALARM, "LOG_GOES_ON", says="signed both")
    world.log.frontier, world.log.nodes = old
    assert_objects(bob.review(world.open(CommitNewRegister(vp=vp))), Exit.ALARM, "LOG_GOES_ON")


def test_a_request_at_a_checkpoint_of_another_log_is_found():
    world, (_, bob, _), vp = loaded()
    real = world.log
    world.log = Log()
    world.log.append("a view for bob only")
    news = world.open(CommitNewRegister(vp=vp))
    world.log = real
    assert_objects(bob.review(news), Exit.ALARM, "CHECKPOINT_IN_LOG")
    assert bob.witness.fork is None


@pytest.mark.parametrize("bend", ["none", "other", "not the log's"])
def test_a_request_without_its_checkpoint_is_found(bend: str):
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    stranger = Log("mallory's log")
    notes = {"none": None, "other": world.log.note(1), "not the log's": stranger.note()}
    if bend == "not the log's":
        from protocol.record.checkpoints import checkpoint_digest

        news = world.open(CommitNewRegister(vp=vp), checkpoint=checkpoint_digest(stranger.note()))
    found = bob.review(news.but(checkpoint=notes[bend]))
    assert_objects(found, Exit.ALARM, "CHECKPOINT_IN_LOG")


def test_a_request_that_was_opened_while_the_agent_looked_is_tried_again():
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp))
    evidence = bob.gather(None)
    found = review(news, bob.seat, evidence, world.now)
    assert_objects(found, Exit.UNREACHABLE, "CHECKPOINT_IN_LOG")


# --- clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-5 * MINUTE, 5 * MINUTE])
def test_this_machines_clock_off_is_said(ahead: int):
    world, (_, bob, _), vp = loaded()
    news = world.open(CommitNewRegister(vp=vp), not_after=Instant(world.now + 2 * HOUR))
    for unit in world.units:
        unit.now = Instant(world.now + ahead)
        unit.memory = unit.memory.but(clock=Instant(world.now + ahead))
    bob.ahead = Duration(ahead)
    answers = world.answer

    def with_unit_clocks(question: Question) -> Reply:
        if not isinstance(question, AskStates):
            return answers(question)
        now, world.now = world.now, Instant(world.now + ahead)
        reply = answers(question)
        world.now = now
        return reply

    found = bob.review(news, with_unit_clocks)
    assert_objects(found, Exit.CLOCK, "CLOCKS_TOGETHER", says="behind" if ahead > 0 else "ahead")


def test_another_clock_off_is_a_caution():
    world, (_, bob, _), vp = loaded()
    unit = world.units[0]
    unit.memory = unit.memory.but(clock=Instant(world.now + HOUR))
    news = world.open(CommitNewRegister(vp=vp))
    cautions = bob.reviewed(news).screen.cautions
    assert any("set clock" in one and "60 min" in one for one in cautions)
    bob.ahead = Duration(-2 * MINUTE)
    cautions = bob.reviewed(news).screen.cautions
    assert any("coordinator's clock is 2 min 0 s behind" in one for one in cautions)


def test_a_unit_without_a_line_in_the_charter_is_found():
    world, (_, bob, _), vp = loaded()
    stranger = CastUnit(9)
    world.units = (*world.units, stranger)
    news = world.open(CommitNewRegister(vp=vp))
    assert charter_unit(stranger) not in world.charter.units
    assert_objects(bob.review(news), Exit.ALARM, Rule.UNIT_NOT_IN_CHARTER)
