"""DESIGN §2.10: nobody's clock makes a command run, or be signed, that shouldn't."""

import pytest

from protocol.commands.bodies import SetClock, SetControlPoint, Void
from protocol.commands.command import signed_command
from protocol.identifiers import DAY, HOUR, MINUTE, SECOND, Instant
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.schema import to_bytes
from quorate.exits import Exit
from signer_agent.local.messages import GetStatus, Status
from tests.attacks.conftest import Attack
from tests.attacks.victim import says
from tests.cast.commands import signed
from tests.cast.people import ALICE, BOB, CAROL

POINT = SetControlPoint(point=55, on=True)


@pytest.mark.parametrize(("minutes", "side"), [(5, "behind"), (-5, "ahead")])
async def test_this_machines_clock_is_off(attack: Attack, minutes: int, side: str):
    """All others say another time: it is said whose clock is off, and nothing is signed."""
    async with attack() as bob:
        news = bob.world.open(POINT)
        seen = await bob.sees(news)
        bob.behind = minutes * MINUTE
        await bob.reconnect()
        trouble = await bob.objects(seen)
        says(trouble, Exit.CLOCK, "CLOCKS_TOGETHER", f"5 min 0 s {side}", "set-ntp")
        bob.behind = 0
        await bob.reconnect()
        await bob.gives(seen)


@pytest.mark.parametrize(("minutes", "side"), [(10, "behind"), (-10, "ahead")])
async def test_this_machines_clock_is_set_while_the_session_stands(
    attack: Attack, minutes: int, side: str
):
    """Else all units would seem off, and their clocks be set to a wrong time."""
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(POINT))
        hellos = len(bob.evil.hellos)
        bob.behind = minutes * MINUTE
        trouble = await bob.objects(seen)
        says(trouble, Exit.CLOCK, "CLOCKS_TOGETHER", f"10 min 0 s {side}", "set-ntp")
        bob.world.pass_time(HOUR)
        says(await bob.objects(seen), Exit.CLOCK, "CLOCKS_TOGETHER", f"10 min 0 s {side}")
        bob.behind = 0
        await bob.gives(seen)
        assert len(bob.evil.hellos) == hellos


async def test_a_coordinator_with_another_clock_is_said_and_changes_nothing(attack: Attack):
    async with attack() as bob:
        bob.evil.ahead = 10 * MINUTE
        await bob.reconnect()
        status = await bob.client.ask(GetStatus(), Status)
        assert status.skew_forward == 10 * MINUTE
        screen = await bob.sees(bob.world.open(POINT))
        assert any("coordinator's clock is 10 min 0 s ahead" in one for one in screen.cautions)
        await bob.gives(screen)


async def test_a_coordinator_that_hides_the_units_can_not_set_the_time(attack: Attack):
    """Its word alone makes the agent refuse, and never makes it sign."""
    async with attack() as bob:
        news = bob.world.open(POINT)
        seen = await bob.sees(news)
        bob.world.out_of_reach = {unit.id for unit in bob.world.units}
        bob.evil.ahead = -10 * MINUTE
        await bob.reconnect()
        says(await bob.objects(seen), Exit.CLOCK, "CLOCKS_TOGETHER")


async def test_a_request_that_is_over_is_not_signed(attack: Attack):
    """Whatever the coordinator says its state is, by this machine's own clock."""
    async with attack() as bob:
        news = bob.world.open(POINT)
        seen = await bob.sees(news)
        bob.world.pass_time(DAY - MINUTE + SECOND)
        says(await bob.objects(seen), Exit.ENDED, Rule.EXPIRED, "nothing was signed")


async def test_a_command_that_is_over_runs_on_no_unit(attack: Attack):
    async with attack() as bob:
        unit = bob.world.units[0]
        command = unit.command(POINT)
        late = signed(command, [ALICE, CAROL])
        nearly = Instant(command.not_after - MINUTE)
        assert unit.refuses(late, at=nearly).rule is Rule.EXPIRED
        assert isinstance(unit.execute(late, at=Instant(nearly - 1)), Receipt)


async def test_a_units_clock_is_not_turned_back(attack: Attack):
    """The host's clock is: but the unit remembers how late it was."""
    async with attack() as bob:
        unit = bob.world.units[0]
        command = unit.command(POINT)
        sent = signed(command, [ALICE, CAROL])
        unit.pass_time(2 * DAY)
        unit.tick()
        assert unit.refuses(sent, at=Instant(command.not_before + HOUR)).rule is Rule.EXPIRED
        assert unit.seen().clock == Instant(command.not_before + 2 * DAY)


async def test_only_a_quorum_mends_a_clock(attack: Attack):
    """Else whoever pushes the mark ahead and back could run what is over."""
    async with attack() as bob:
        unit = bob.world.units[0]
        old = unit.command(POINT)
        unit.pass_time(30 * DAY)
        unit.tick()
        unit.now = old.not_before
        body = SetClock(to=unit.now)
        assert unit.refusal(body, [ALICE]).rule is Rule.TOO_FEW_SIGNATURES
        mend = unit.command(body, not_before=old.not_before, not_after=old.not_after)
        unit.run(Void(), [CAROL])
        sent = signed_command(
            command=to_bytes(mend),
            approvals=(ALICE.approve(mend), BOB.approve(mend)),
            contributions=(),
        )
        assert unit.refuses(sent).rule is Rule.STATE_CHANGED
        unit.run(body, [ALICE, BOB])
        assert unit.seen().clock == old.not_before
        assert unit.refuses(signed(old, [ALICE, CAROL])).rule is Rule.STATE_CHANGED
