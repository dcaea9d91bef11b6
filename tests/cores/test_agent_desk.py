"""Approve, contribute, reject, file, receipts: what leaves the agent, what it says happened."""

import pytest

from protocol.commands.bodies import (
    CommitNewRegister,
    RemoveAdministrator,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.commands.command import signed_command
from protocol.displayable import Reason
from protocol.identifiers import HOUR, VP, Digest, Instant, UnitId
from protocol.receipts import RefusalAnswer
from protocol.refusals import Refusal, Rule
from protocol.request import Outcome, RequestState, open_filing, open_rejection
from protocol.schema import to_bytes
from protocol.sealing import hpke
from protocol.sealing.contribution import open_contribution, vp_of
from protocol.secrets import Secret
from protocol.session.messages import Approve, Contribute, FileRequest, Reject, RequestNews
from protocol.signing.algorithms import Algorithm, verify
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from protocol.violations import Violation
from quorate.exits import Exit
from signer_agent.desk.approve import any_wanted, approve, signature_wanted
from signer_agent.desk.contribute import contribute, part_wanted
from signer_agent.desk.filing import Wish, file, wish
from signer_agent.desk.receipts import results, verify_receipt
from signer_agent.desk.reject import reject
from signer_agent.desk.review import Review
from signer_agent.desk.screen import what_changed
from signer_agent.desk.seat import HeldPart
from signer_agent.objections import Objection
from tests.cast.charters import charter as make_charter
from tests.cast.commands import adds, load_of
from tests.cast.people import ALICE, BOB, CAROL, DAVE, EVERYBODY, MALLORY
from tests.cores.desk_world import Desk, World, world_with_desks

LOAD = load_of([(ALICE, ALICE.part()), (BOB, BOB.part())])


def sealed(plaintext: bytes, key: bytes, info: bytes) -> bytes:
    return hpke.seal(plaintext, key, info=info)


def sign(desk: Desk, review: Review) -> Approve:
    """Signs as the agent does: kept first, then sent."""
    key = desk.who.key
    signing = approve(review, desk.seat, key.ski, key.sign, at=desk.world.now)
    desk.memory = desk.memory.signed(signing.given)
    return signing.publication


def give(desk: Desk, review: Review) -> Contribute:
    return contribute(
        review,
        desk.who.agent,
        Secret(desk.who.part()),
        seal=sealed,
        sign=desk.who.identity.sign,
    )


def run(world: World, news: RequestNews) -> RequestNews:
    """What an honest coordinator does with a complete request: all units run it."""
    progress = []
    for one in news.request.progress:
        command = news.request.command(one.target)
        unit = world.unit(one.unit)
        sent = signed_command(
            command=to_bytes(command), approvals=one.approvals, contributions=one.contributions
        )
        unit.execute(sent)
        progress.append(one.but(outcome=Outcome.EXECUTED, receipt=unit.receipts[command.id]))
    request = news.request.but(progress=tuple(progress), state=RequestState.EXECUTED)
    return news.but(request=request)


# --- a load from both ends, with real bytes -------------------------------------------------------


def test_what_agents_sign_and_seal_the_units_run():
    world, (alice, bob, carol) = world_with_desks()
    news = world.open(LOAD)
    news = world.with_parts(news, give(alice, alice.reviewed(news)))
    news = world.with_approvals(news, sign(alice, alice.reviewed(news)))
    screen = bob.reviewed(news).screen
    assert screen.have == 1 and [part.given for part in screen.parts] == [True, False]
    assert screen.waiting_for == ("bob",)
    assert screen.if_given == ("2 of 2 parts. Your file stays here.",)
    news = world.with_parts(news, give(bob, bob.reviewed(news)))
    assert bob.reviewed(news).screen.part_wanted is None
    done = run(world, news)
    own = frozenset({vp_of(BOB.part())})
    for found in results(done.request, world.charter, BOB.agent, own):
        assert found.executed and found.part_named and found.unverified is None
        assert found.signed_by == (ALICE.key.ski,)
        assert found.new is not None and found.new.vp is not None
    (first, _) = results(done.request, world.charter, CAROL.agent, frozenset())
    assert first.part_named is None
    vp = world.units[0].state.new.vp
    assert vp is not None
    parts = carol.reviewed(world.open(CommitNewRegister(vp=vp))).screen.parts
    assert [part.person for part in parts] == ["alice", "bob"]


def test_the_signature_is_over_the_commands_that_were_shown():
    world, (alice, *_) = world_with_desks()
    news = world.open(SetThresholds(signatures=3, revocations=3))
    sent = sign(alice, alice.reviewed(news))
    assert [one.unit for one in sent.approvals] == [one.unit for one in news.request.progress]
    for one, progress in zip(sent.approvals, news.request.progress, strict=True):
        message = news.request.command(progress.target).signing_bytes()
        verify(Algorithm.ED25519, ALICE.key.public_key, message, one.approval.signature)


def test_a_part_is_signed_by_the_agent_and_bound_to_its_load():
    world, (alice, *_) = world_with_desks()
    news = world.open(LOAD)
    sent = give(alice, alice.reviewed(news))
    for one, progress in zip(sent.contributions, news.request.progress, strict=True):
        part = open_contribution(one.contribution)
        assert part.custodian == ALICE.agent and part.vp == vp_of(ALICE.part())
        assert part.load == news.request.command(progress.target).id


# --- what may be given ----------------------------------------------------------------------------


def test_one_key_counts_once():
    world, (alice, *_) = world_with_desks()
    news = world.open(SetThresholds(signatures=3, revocations=3))
    first = world.now
    news = world.with_approvals(news, sign(alice, alice.reviewed(news)))
    world.pass_time(HOUR)
    review = alice.reviewed(news)
    found = signature_wanted(review, alice.seat, ALICE.key.ski)
    assert found is not None and found.rule == Rule.SIGNED_BEFORE
    assert "bob or carol" in (found.expected or "") and "first" in (found.found or "")
    earlier = alice.memory.earlier(review.screen.digest, ALICE.key.ski)
    assert earlier is not None and earlier.at == first
    assert any_wanted(review, alice.seat) == found
    with pytest.raises(ValueError, match="isn't wanted"):
        sign(alice, review)


def test_a_second_laptop_learns_that_the_key_has_signed():
    world, (alice, *_) = world_with_desks()
    news = world.open(SetThresholds(signatures=3, revocations=3))
    news = world.with_approvals(news, sign(alice, alice.reviewed(news)))
    second = Desk(world, ALICE)
    second.book, second.witness = alice.book, alice.witness
    found = signature_wanted(second.reviewed(news), second.seat, ALICE.key.ski)
    assert found is not None and found.rule == Rule.SIGNED_BEFORE
    assert "elsewhere" in (found.found or "")


def test_what_nobody_needs_is_not_signed():
    world, (alice, bob, _) = world_with_desks()
    news = world.open(Zeroize())
    news = world.with_approvals(news, sign(alice, alice.reviewed(news)))
    review = bob.reviewed(news)
    assert review.screen.keys == ()
    found = any_wanted(review, bob.seat)
    assert found is not None and found.rule == Rule.SIGNATURE_NOT_WANTED
    assert found.found == "1 of 1"


def test_somebody_without_an_installed_key_is_told_so():
    world, _ = world_with_desks()
    version = make_charter([*world.people, DAVE], world.units, previous=world.charter)
    dave = Desk(world, DAVE)
    dave.accept(world.charter, others=world.people)
    dave.accept(version, others=world.people)
    review = dave.reviewed(world.open(adds(DAVE), charter=version))
    assert review.screen.keys == () and review.screen.needed == 2
    found = signature_wanted(review, dave.seat, DAVE.key.ski)
    assert found is not None and found.rule == Rule.SIGNATURE_NOT_WANTED


def test_a_key_of_somebody_else_on_this_machine_is_not_offered():
    world, (_, bob, _) = world_with_desks()
    bob.keys = tuple(key.but(ski=ALICE.key.ski) for key in bob.keys)
    review = bob.reviewed(world.open(Zeroize()))
    assert review.screen.keys == ()
    assert signature_wanted(review, bob.seat, ALICE.key.ski) is not None


def test_while_it_executes_nothing_is_asked():
    world, (_, bob, _) = world_with_desks()
    news = world.open(LOAD)
    news = news.but(request=news.request.but(state=RequestState.EXECUTING))
    review = bob.reviewed(news)
    assert review.screen.keys == () and review.screen.part_wanted is None
    found = any_wanted(review, bob.seat)
    assert found is not None and found.rule == Rule.REQUEST_ENDED


def test_a_part_that_no_file_holds_is_not_given():
    world, (_, bob, _) = world_with_desks()
    bob.parts = (HeldPart(vp=vp_of(BOB.part("other")), name="bob part", file="bob-part.part"),)
    review = bob.reviewed(world.open(LOAD))
    found = part_wanted(review, bob.seat)
    assert isinstance(found, Objection) and found.exit is Exit.REFUSED
    assert '"bob part" holds another part' in found.what
    assert review.screen.part is None and review.screen.part_wanted == vp_of(BOB.part())
    with pytest.raises(ValueError, match="another part"):
        contribute(
            review, BOB.agent, Secret(BOB.part("other")), seal=sealed, sign=BOB.identity.sign
        )


def test_a_part_of_somebody_who_is_not_named_is_not_wanted():
    world, (_, _, carol) = world_with_desks()
    found = part_wanted(carol.reviewed(world.open(LOAD)), carol.seat)
    assert isinstance(found, Objection) and found.rule == Rule.PART_NOT_WANTED


def test_a_forged_contribution_is_not_taken_for_given():
    world, (alice, bob, _) = world_with_desks()
    news = world.open(LOAD)
    sent = give(alice, alice.reviewed(news))
    forged = world.each(
        news,
        lambda one: one.but(
            contributions=tuple(
                given.contribution.but(signature=bytes(64)) for given in sent.contributions
            )
        ),
    )
    assert [part.given for part in bob.reviewed(forged).screen.parts] == [False, False]
    elsewhere = world.open(LOAD)
    moved = world.with_parts(elsewhere, sent)
    assert [part.given for part in bob.reviewed(moved).screen.parts] == [False, False]


# --- live signatures ------------------------------------------------------------------------------


def test_a_live_signature_for_the_same_state_is_said():
    world, (alice, *_) = world_with_desks()
    first = world.open(SetThresholds(signatures=3, revocations=3))
    sign(alice, alice.reviewed(first))
    second = world.open(SetThresholds(signatures=3, revocations=2))
    cautions = alice.reviewed(second).screen.cautions
    assert any("request 1 is out for the same state" in one for one in cautions)
    assert not any("is out for" in one for one in alice.reviewed(first).screen.cautions)
    world.units[0].run(Void(), [CAROL])
    world.units[1].run(Void(), [CAROL])
    third = world.open(SetThresholds(signatures=3, revocations=2))
    assert not any("is out for" in one for one in alice.reviewed(third).screen.cautions)


def test_expired_signatures_are_forgotten():
    world, (alice, *_) = world_with_desks()
    sign(alice, alice.reviewed(world.open(SetThresholds(signatures=3, revocations=3))))
    assert len(alice.memory.given) == 2
    last = alice.memory.given[0].until
    assert len(alice.memory.forgetting(Instant(last - 1)).given) == 2
    assert alice.memory.forgetting(last).given == ()


# --- what changed while the password was typed ----------------------------------------------------


def test_a_signature_that_came_meanwhile_changes_nothing_that_was_decided_on():
    world, (alice, bob, _) = world_with_desks()
    news = world.open(SetThresholds(signatures=3, revocations=3))
    seen = bob.reviewed(news).screen
    world.pass_time(HOUR)
    news = world.with_approvals(news, sign(alice, alice.reviewed(news)))
    now = bob.reviewed(news).screen
    assert now != seen and now.decided_on == seen.decided_on
    assert what_changed(seen, now) == ()


def test_a_rejection_that_came_meanwhile_changes_it():
    world, (_, bob, carol) = world_with_desks()
    news = world.open(SetThresholds(signatures=3, revocations=3))
    seen = bob.reviewed(news).screen
    no = reject(news.request, carol.who.agent, Reason("no"), sign=CAROL.identity.sign, at=world.now)
    assert isinstance(no, Reject)
    news = news.but(request=news.request.but(rejections=(no.rejection,)))
    now = bob.reviewed(news).screen
    assert now.decided_on != seen.decided_on
    assert what_changed(seen, now) == (("rejections", "none", "carol"),)


def test_a_target_that_was_superseded_meanwhile_changes_it():
    world, (_, bob, _) = world_with_desks()
    news = world.open(SetThresholds(signatures=3, revocations=3))
    seen = bob.reviewed(news).screen
    gone = news.request.progress[0].unit
    news = world.each(
        news, lambda one: one.but(outcome=Outcome.SUPERSEDED) if one.unit == gone else one
    )
    now = bob.reviewed(news).screen
    assert now.decided_on != seen.decided_on
    assert [what for what, _, _ in what_changed(seen, now)] == ["targets"]


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "another"},
        {"title": "another"},
        {"key": VP(bytes(32))},
        {"digest": Digest(bytes(32))},
        {"not_after": Instant(0)},
        {"left_out": ()},
        {"roster": ()},
        {"groups": ()},
        {"cautions": ("beware",)},
        {"practice": False},
        {"alone": True},
        {"charter": 9},
    ],
)
def test_whatever_else_is_shown_is_decided_on(change):
    world, (_, bob, _) = world_with_desks(units=3)
    screen = bob.reviewed(
        world.open(SetThresholds(signatures=3, revocations=3), targets=world.units[:2])
    ).screen
    other = screen.but(**change)
    assert other.decided_on != screen.decided_on
    assert what_changed(screen, other) != ()


# --- rejecting ------------------------------------------------------------------------------------


def test_a_rejection_is_signed_by_the_agent():
    world, (_, bob, _) = world_with_desks()
    news = world.open(Zeroize())
    sent = reject(
        news.request, BOB.agent, Reason("not agreed"), sign=BOB.identity.sign, at=world.now
    )
    assert isinstance(sent, Reject)
    opened = open_rejection(sent.rejection)
    assert (opened.custodian, opened.reason) == (bob.who.agent, "not agreed")
    assert news.request.opening is not None
    assert opened.request == news.request.opening.digest


def test_what_has_ended_or_waits_in_line_is_not_rejected():
    world, _ = world_with_desks()
    request = world.open(Zeroize()).request
    for other in (
        request.but(state=RequestState.CANCELLED),
        request.but(state=RequestState.WAITING_IN_LINE, opening=None, progress=()),
    ):
        found = reject(other, BOB.agent, Reason("no"), sign=BOB.identity.sign, at=world.now)
        assert isinstance(found, Objection)


# --- filing ---------------------------------------------------------------------------------------


def filed(desk: Desk, wanted: Wish) -> FileRequest | Objection:
    evidence = desk.look()
    return file(
        wanted,
        desk.seat,
        evidence,
        sign=desk.who.identity.sign,
        at=desk.world.now,
        nonce=desk.world.nonce(),
    )


def everywhere(world: World) -> list[UnitId]:
    return [unit.id for unit in world.units]


def test_a_filing_is_signed_and_names_its_targets_in_order():
    world, (alice, *_) = world_with_desks()
    sent = filed(alice, wish(Zeroize(), sorted(everywhere(world), reverse=True), "ticket 12"))
    assert isinstance(sent, FileRequest)
    filing = open_filing(sent.filing, ALICE.agent)
    assert filing.targets == tuple(sorted(everywhere(world)))
    assert (filing.custodian, filing.purpose) == (ALICE.agent, "ticket 12")


def test_a_ninth_administrator_is_refused_before_it_is_filed():
    world = World(8, 2)
    ninth = EVERYBODY[8]
    world.charter = make_charter(EVERYBODY[:9], world.units)
    world.people = EVERYBODY[:9]
    for unit in world.units:
        unit.charter = world.charter.digest
        unit.leave_imprint(EVERYBODY[:8])
    desk = Desk(world, ALICE)
    desk.accept(world.charter, others=world.people)
    found = filed(desk, wish(adds(ninth), everywhere(world)))
    assert isinstance(found, Objection) and found.rule == Rule.TOO_MANY_ADMINISTRATORS
    assert found.found == "9, on 2 of 2 units" and "nothing was filed" in found.what


@pytest.mark.parametrize(
    ("wanted", "rule"),
    [
        (wish(adds(MALLORY), []), Rule.UNIT_NOT_IN_CHARTER),
        (SetThresholds(signatures=0, revocations=2), Rule.SIGNATURE_THRESHOLD_RANGE),
        (SetThresholds(signatures=9, revocations=2), Rule.SIGNATURE_THRESHOLD_RANGE),
        (SetThresholds(signatures=4, revocations=2), Rule.THRESHOLD_ABOVE_ADMINISTRATORS),
        (SetThresholds(signatures=1, revocations=2), Rule.BELOW_FLOOR),
        (SetThresholds(signatures=2, revocations=1), Rule.BELOW_FLOOR),
        (adds(MALLORY), Rule.NOT_IN_CHARTER),
        (load_of([(ALICE, ALICE.part())]), Rule.PART_COUNT),
        (load_of([(ALICE, ALICE.part()), (ALICE, b"b" * 32)]), "PARTS_IN_CHARTER"),
        (CommitNewRegister(vp=VP(bytes(32))), Rule.NEW_REGISTER_NOT_UNCOMMITTED),
    ],
)
def test_what_could_not_run_is_not_filed(wanted, rule):
    world, (alice, *_) = world_with_desks()
    if not isinstance(wanted, Wish):
        wanted = wish(wanted, everywhere(world))
    found = filed(alice, wanted)
    assert isinstance(found, Objection) and found.rule == rule
    assert "nothing was filed" in found.what


def test_what_could_run_by_then_may_be_filed():
    world, (alice, *_) = world_with_desks()
    wanted = wish(CommitNewRegister(vp=VP(bytes(32))), everywhere(world)).but(ahead=True)
    assert isinstance(filed(alice, wanted), FileRequest)


def test_for_a_unit_that_nobody_would_sign_for_nothing_is_filed():
    world, (alice, *_) = world_with_desks()
    world.units[0].run(adds(MALLORY), [BOB, CAROL])
    found = filed(alice, wish(LOAD, everywhere(world)))
    assert isinstance(found, Objection) and found.exit is Exit.ALARM
    removal = RemoveAdministrator(ski=MALLORY.key.ski)
    assert isinstance(filed(alice, wish(removal, [world.units[0].id])), FileRequest)


def test_before_a_charter_is_in_force_nothing_is_filed():
    world = World(3, 1)
    desk = Desk(world, ALICE)
    desk.accept(world.charter)
    found = filed(desk, wish(Zeroize(), everywhere(world)))
    assert isinstance(found, Objection) and found.rule == Rule.CHARTER_NOT_IN_FORCE


# --- results --------------------------------------------------------------------------------------


def executed() -> tuple[World, RequestNews]:
    world, (alice, *_) = world_with_desks()
    news = world.open(Zeroize())
    news = world.with_approvals(news, sign(alice, alice.reviewed(news)))
    return world, run(world, news)


def test_a_receipt_of_another_command_proves_nothing():
    world, done = executed()
    first, second = done.request.progress
    swapped = world.each(
        done, lambda one: one.but(receipt=(second if one.unit == first.unit else first).receipt)
    )
    for found in results(swapped.request, world.charter, BOB.agent, frozenset()):
        assert not found.executed and found.unverified is not None


def test_a_receipt_that_the_unit_did_not_sign_proves_nothing():
    world, done = executed()
    one = done.request.progress[0]
    assert one.receipt is not None
    forged = sign_statement(
        Label.HISTORY,
        world.unit(one.unit).history()[-2],
        MALLORY.identity.sign,
    )
    unit = world.charter.unit(one.unit)
    assert unit is not None
    command = done.request.command(one.target)
    assert verify_receipt(one.receipt, unit, command).command == command
    with pytest.raises(Violation, match="verify"):
        verify_receipt(forged, unit, command)


def test_executed_without_a_receipt_is_not_shown_as_a_result():
    world, done = executed()
    bare = world.each(done, lambda one: one.but(receipt=None))
    for found in results(bare.request, world.charter, BOB.agent, frozenset()):
        assert not found.executed and "without a receipt" in (found.unverified or "")


def test_a_load_that_names_another_part_than_the_one_given_is_said():
    world, (alice, bob, _) = world_with_desks()
    news = world.open(LOAD)
    for desk in (alice, bob):
        news = world.with_parts(news, give(desk, desk.reviewed(news)))
    news = run(world, world.with_approvals(news, sign(alice, alice.reviewed(news))))
    other = frozenset({vp_of(BOB.part("other"))})
    assert [one.part_named for one in results(news.request, world.charter, BOB.agent, other)] == [
        False,
        False,
    ]


def test_a_units_refusal_is_verified_too():
    world, _ = world_with_desks()
    news = world.open(Zeroize())
    one = news.request.progress[0]
    command = news.request.command(one.target)
    unit = world.unit(one.unit)
    answer = RefusalAnswer(
        unit=unit.id,
        command=command.id,
        incarnation=command.incarnation,
        version=command.version,
        refusal=Refusal(rule=Rule.EXPIRED, expected="a", found="b"),
        can_still_run=False,
        at=world.now,
    )
    good = sign_statement(Label.REFUSAL, answer, unit.key.sign)
    other = sign_statement(
        Label.REFUSAL,
        answer.but(command=news.request.command(news.request.progress[1].target).id),
        unit.key.sign,
    )
    for signed, rule in ((good, Rule.EXPIRED), (other, None)):
        told = news.request.but(
            progress=(one.but(refusal=signed, outcome=Outcome.REFUSED), news.request.progress[1])
        )
        first, second = results(told, world.charter, BOB.agent, frozenset())
        assert (first.refused.rule if first.refused else None) == rule
        assert (first.unverified is None) == (rule is not None)
        assert second.refused is None and second.can_still_run
