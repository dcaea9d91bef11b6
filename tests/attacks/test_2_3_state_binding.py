"""DESIGN §2.3: a command runs once, only on the very state that its signers saw."""

from protocol.commands.bodies import (
    SetControlPoint,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.commands.command import Command, SignedCommand, signed_command
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.schema import to_bytes
from protocol.session.messages import Approve, RequestNews
from tests.attacks.conftest import Attack
from tests.attacks.victim import Victim
from tests.cast.people import ALICE, BOB, CAROL
from tests.cast.units import CastUnit

RAISE = SetThresholds(signatures=3, revocations=2)


def with_signatures(bob: Victim, news: RequestNews, unit: CastUnit) -> SignedCommand:
    """The request's command for a unit with what bob's agent signed and alice's signature."""
    approve = bob.evil.given[-1]
    assert isinstance(approve, Approve)
    own = next(one.approval for one in approve.approvals if one.unit == unit.id)
    command = command_of(news, unit)
    return signed_command(
        command=to_bytes(command), approvals=(own, ALICE.approve(command)), contributions=()
    )


def command_of(news: RequestNews, unit: CastUnit) -> Command:
    one = news.request.progress_on(unit.id)
    assert one is not None
    return news.request.command(one.target)


async def test_nothing_runs_twice(attack: Attack):
    async with attack() as bob:
        unit = bob.world.units[0]
        news = bob.world.open(SetControlPoint(point=55, on=True))
        await bob.gives(await bob.sees(news))
        sent = with_signatures(bob, news, unit)
        first = unit.execute(sent)
        assert isinstance(first, Receipt)
        unit.run(SetControlPoint(point=55, on=False), [ALICE, BOB])
        version = unit.memory.version
        assert unit.execute(sent) == first
        assert unit.memory.version == version
        assert unit.state.control_points == ()


async def test_any_command_kills_what_was_signed_for_the_state_before(attack: Attack):
    """Also a void: that is how a cancelled command is made harmless."""
    async with attack() as bob:
        first, second = bob.world.units
        news = bob.world.open(RAISE)
        await bob.gives(await bob.sees(news))
        first.run(Void(), [CAROL])
        assert first.refuses(with_signatures(bob, news, first)).rule is Rule.STATE_CHANGED
        assert isinstance(second.execute(with_signatures(bob, news, second)), Receipt)


async def test_a_state_that_looks_the_same_again_is_another(attack: Attack):
    async with attack() as bob:
        unit = bob.world.units[0]
        news = bob.world.open(RAISE)
        await bob.gives(await bob.sees(news))
        before = unit.state
        for on in (True, False):
            unit.run(SetControlPoint(point=55, on=on), [ALICE, CAROL])
        assert unit.state == before
        assert unit.refuses(with_signatures(bob, news, unit)).rule is Rule.STATE_CHANGED


async def test_nothing_is_replayed_across_a_zeroize(attack: Attack):
    """The same people, the same thresholds, another life."""
    async with attack() as bob:
        first, second = bob.world.units
        news = bob.world.open(RAISE)
        await bob.gives(await bob.sees(news))
        before = first.state
        first.run(Zeroize(), [CAROL])
        first.leave_imprint(bob.world.people)
        assert first.state == before
        assert first.refuses(with_signatures(bob, news, first)).rule is Rule.WRONG_INCARNATION
        assert isinstance(second.execute(with_signatures(bob, news, second)), Receipt)


async def test_a_zeroize_that_was_signed_clears_one_life_only(attack: Attack):
    async with attack() as bob:
        unit = bob.world.units[0]
        news = bob.world.open(Zeroize())
        await bob.gives(await bob.sees(news))
        sent = with_signatures(bob, news, unit)
        first = unit.execute(sent)
        assert isinstance(first, Receipt)
        unit.leave_imprint(bob.world.people)
        assert unit.execute(sent) == first
        assert not unit.state.imprint


async def test_a_signature_that_is_out_is_said_before_another_is_given(attack: Attack):
    """Also after the agent was restarted: it doesn't forget what it signed."""
    async with attack() as bob:
        first = bob.world.open(RAISE)
        await bob.gives(await bob.sees(first))
        await bob.restart()
        second = bob.world.open(SetThresholds(signatures=2, revocations=3))
        screen = await bob.sees(second)
        said = [one for one in screen.cautions if "is out for the same state" in one]
        assert len(said) == 2 and "request 1" in said[0]
        bob.world.units[0].run(Void(), [CAROL])
        third = bob.world.open(SetThresholds(signatures=2, revocations=3))
        screen = await bob.sees(third)
        assert len([one for one in screen.cautions if "is out for the same state" in one]) == 1
