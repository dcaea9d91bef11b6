"""What stays possible, one test each (DESIGN §2; docs/security/what-each-party-can-do.md).

Nothing of it is a defect; a change that makes one of these fail changes what is promised.
"""

import pytest

from protocol.commands.bodies import (
    ClearCurrentRegister,
    ClearNewRegister,
    CommitNewRegister,
    SetAttribute,
    SetControlPoint,
    SetImmediate,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.commands.command import SignedCommand, signed_command
from protocol.identifiers import HOUR
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.request import RequestState
from protocol.schema import to_bytes
from protocol.session.messages import Approve, HistoryPage, RequestNews
from protocol.unit_state import Attribute, RegisterState
from quorate.exits import Exit
from signer_agent.daemon import link
from signer_agent.trust.evidence import AskHistory, Question, Reply
from tests.attacks.bends import bend
from tests.attacks.conftest import Attack
from tests.attacks.victim import Victim, says
from tests.cast.commands import signed
from tests.cast.people import ALICE, BOB, CAROL
from tests.cast.units import CastUnit

POINT = SetControlPoint(point=55, on=True)


def initialised() -> CastUnit:
    unit = CastUnit()
    unit.leave_imprint([ALICE, BOB, CAROL])
    return unit


def given(bob: Victim, news: RequestNews, unit: CastUnit) -> SignedCommand:
    """The command with the signature that bob's agent gave, and alice's."""
    approve = next(
        one
        for one in bob.evil.given
        if isinstance(one, Approve)
        and news.request.opening is not None
        and one.request == news.request.opening.digest
    )
    own = next(one.approval for one in approve.approvals if one.unit == unit.id)
    progress = news.request.progress_on(unit.id)
    assert progress is not None
    command = news.request.command(progress.target)
    return signed_command(
        command=to_bytes(command), approvals=(own, ALICE.approve(command)), contributions=()
    )


# --- one administrator with the coordinator -----------------------------------------------------


def test_one_administrator_may_load_and_clear():
    """With parts of their own: units don't know people. The others' agents won't commit it."""
    unit = initialised()
    unit.load([(ALICE, ALICE.part()), (ALICE, ALICE.part("2"))], [ALICE])
    assert unit.state.new.state is RegisterState.FULL_UNCOMMITTED
    assert unit.state.new.vp is not None
    vp = unit.state.new.vp
    assert unit.refusal(CommitNewRegister(vp=vp), [ALICE]).rule is Rule.TOO_FEW_SIGNATURES
    unit.run(ClearNewRegister(vp=vp), [ALICE])


def test_one_administrator_may_set_immediate_and_clear_the_current_key():
    """At a moment of their choosing, once the others have committed it."""
    unit = initialised()
    unit.load([(ALICE, ALICE.part()), (BOB, BOB.part())], [ALICE])
    assert unit.state.new.vp is not None
    vp = unit.state.new.vp
    unit.run(CommitNewRegister(vp=vp), [BOB, CAROL])
    unit.run(SetImmediate(vp=vp), [ALICE])
    assert unit.state.current.state is RegisterState.VALID
    unit.run(ClearCurrentRegister(vp=vp), [ALICE])
    assert unit.state.current.vp is None


def test_one_administrator_may_void():
    unit = initialised()
    unit.run(Void(), [ALICE])


def test_one_administrator_may_zeroize_where_the_attribute_is_on():
    unit = initialised()
    unit.run(SetAttribute(attribute=Attribute.ZEROIZE_ONE, on=False), [ALICE, BOB])
    assert unit.refusal(Zeroize(), [ALICE]).rule is Rule.TOO_FEW_SIGNATURES
    unit.run(SetAttribute(attribute=Attribute.ZEROIZE_ONE, on=True), [ALICE, BOB])
    unit.run(Zeroize(), [ALICE])
    assert unit.state.imprint


# --- the coordinator alone ----------------------------------------------------------------------


async def test_it_may_refuse(attack: Attack, monkeypatch: pytest.MonkeyPatch):
    """Then nothing happens, and it is said; what was given isn't lost."""
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(POINT))
        monkeypatch.setattr(link, "ANSWER_SECONDS", 0.01)

        def silent(question: Question) -> None:
            return None

        bob.evil.answer = silent
        trouble = await bob.objects(seen)
        says(trouble, Exit.UNREACHABLE, None, "doesn't answer", "try again later")
        bob.evil.answer = bob.world.answer
        monkeypatch.setattr(link, "ANSWER_SECONDS", 30)
        await bob.gives(seen)


async def test_it_may_choose_moment_and_order(attack: Attack):
    """Within the times that were signed: and whichever runs first kills the other."""
    async with attack() as bob:
        unit = bob.world.units[0]
        first = bob.world.open(SetThresholds(signatures=3, revocations=2))
        second = bob.world.open(POINT)
        for news in (first, second):
            await bob.gives(await bob.sees(news))
        unit.pass_time(23 * HOUR)
        assert isinstance(unit.execute(given(bob, second, unit)), Receipt)
        assert unit.refuses(given(bob, first, unit)).rule is Rule.STATE_CHANGED


async def test_it_may_run_a_cancelled_command_until_it_is_voided(attack: Attack):
    async with attack() as bob:
        one, other = bob.world.units
        news = bob.world.open(POINT)
        await bob.gives(await bob.sees(news))
        cancelled = news.request.but(state=RequestState.CANCELLED, why="cancelled by amy")
        await bob.hears(bend(news, state=cancelled.state, why=cancelled.why))
        says(await bob.objects(number=1), Exit.ENDED, Rule.REQUEST_ENDED)
        assert isinstance(one.execute(given(bob, news, one)), Receipt)
        other.run(Void(), [CAROL])
        assert other.refuses(given(bob, news, other)).rule is Rule.STATE_CHANGED


async def test_it_may_run_on_some_units_only(attack: Attack):
    """All or none is an honest coordinator's service."""
    async with attack() as bob:
        one, other = bob.world.units
        news = bob.world.open(POINT)
        await bob.gives(await bob.sees(news))
        assert isinstance(one.execute(given(bob, news, one)), Receipt)
        assert other.state.control_points == ()


async def test_it_may_hide_a_unit(attack: Attack):
    """And its receipts. Then its last verified state is shown with its age, and the signature is
    bound to that."""
    async with attack() as bob:
        hidden, seen = bob.world.units

        def hides(question: Question) -> Reply | None:
            if isinstance(question, AskHistory) and question.unit == hidden.id:
                return HistoryPage(ref=0, entries=())
            return bob.world.answer(question)

        bob.evil.answer = hides
        await bob.looks()
        hidden.run(Void(), [CAROL])
        bob.world.pass_time(2 * HOUR)
        bob.world.out_of_reach = {hidden.id}
        news = bob.world.open(POINT)
        before = hidden.memory
        stale = hidden_as_seen(bob, news, hidden)
        screen = await bob.sees(stale)
        lines = {one.unit.unit: one for one in screen.targets}
        assert not lines[hidden.id].fresh and lines[seen.id].fresh
        assert bob.world.now - lines[hidden.id].asked == 2 * HOUR
        await bob.gives(screen)
        assert hidden.refuses(given(bob, stale, hidden)).rule is Rule.STATE_CHANGED
        assert hidden.memory is before
        assert isinstance(seen.execute(given(bob, stale, seen)), Receipt)


def hidden_as_seen(bob: Victim, news: RequestNews, unit: CastUnit) -> RequestNews:
    """The request for the unit as bob's agent saw it last."""
    known = bob.agent.kept.memory.seen(unit.id)
    assert known is not None
    history = known.history
    progress = tuple(
        one.but(
            target=one.target.but(
                version=len(history.entries),
                state=history.state_digest,
                incarnation=history.incarnation,
            )
        )
        if one.unit == unit.id
        else one
        for one in news.request.progress
    )
    return bend(news, progress=progress)


async def test_it_may_hide_requests_and_other_peoples_answers(attack: Attack):
    async with attack() as bob:
        news = bob.world.signed_by(bob.world.open(POINT), ALICE)
        without = bend(news, progress=bob.world.each(news, _unsigned).request.progress)
        assert (await bob.sees(without)).have == 0
        assert (await bob.sees(news)).have == 1


def _unsigned(one):
    return one.but(approvals=())


# --- who owns a host ----------------------------------------------------------------------------


def test_a_raw_copy_put_back_runs_again_what_is_still_valid():
    """The unit can't notice; agents who saw more do (`test_2_5_history`)."""
    unit = initialised()
    memory, entries, receipts = unit.memory, list(unit.entries), dict(unit.receipts)
    sent = signed(unit.command(POINT), [ALICE, BOB])
    first = unit.execute(sent)
    assert isinstance(first, Receipt)
    unit.memory, unit.entries, unit.receipts = memory, entries, receipts
    again = unit.execute(sent)
    assert isinstance(again, Receipt)
    assert again == first
