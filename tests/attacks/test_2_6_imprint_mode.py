"""DESIGN §2.6: imprint mode is left only on the state and by the people that were seen."""

from typing import Any

import pytest

from protocol.commands.bodies import AddAdministrator, SetThresholds
from protocol.commands.command import SignedCommand, signed_command
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.schema import to_bytes
from protocol.session.messages import Approve, RequestNews
from protocol.standing import Ground
from quorate.exits import Exit
from tests.attacks.conftest import Attack
from tests.attacks.victim import Victim, says
from tests.cast.charters import charter
from tests.cast.commands import adds
from tests.cast.people import ALICE, BOB, CAROL, MALLORY, custodian
from tests.cast.units import CastUnit
from tests.cores.desk_world import World

EXIT = SetThresholds(signatures=2, revocations=2)


async def installed(bob: Victim) -> None:
    """All people are administrators; no unit has left imprint mode."""
    for unit in bob.world.units:
        unit.install(bob.world.people)


def signed(bob: Victim, news: RequestNews, unit: CastUnit, *more: Any) -> SignedCommand:
    """The command with bob's signature from his agent and others' from the cast."""
    approve = bob.evil.given[-1]
    assert isinstance(approve, Approve)
    own = next(one.approval for one in approve.approvals if one.unit == unit.id)
    one = news.request.progress_on(unit.id)
    assert one is not None
    command = news.request.command(one.target)
    others = tuple(who.approve(command) for who in more)
    return signed_command(command=to_bytes(command), approvals=(own, *others), contributions=())


async def test_the_people_leave_imprint_mode(attack: Attack):
    async with attack(initialised=False) as bob:
        await installed(bob)
        news = bob.world.open(EXIT)
        await bob.gives(await bob.sees(news))
        for unit in bob.world.units:
            assert isinstance(unit.execute(signed(bob, news, unit, ALICE)), Receipt)
            assert not unit.state.imprint


async def test_an_administrator_slipped_in_kills_the_signatures(attack: Attack):
    """Nothing needs a signature there; but the exit is bound to the state without the stranger."""
    async with attack(initialised=False) as bob:
        await installed(bob)
        bad, good = bob.world.units
        news = bob.world.open(EXIT)
        await bob.gives(await bob.sees(news))
        bad.run(adds(MALLORY))
        assert bad.refuses(signed(bob, news, bad, ALICE)).rule is Rule.STATE_CHANGED
        assert bad.state.imprint
        assert isinstance(good.execute(signed(bob, news, good, ALICE)), Receipt)


async def test_an_administrator_slipped_in_while_the_password_is_typed(attack: Attack):
    async with attack(initialised=False) as bob:
        await installed(bob)
        seen = await bob.sees(bob.world.open(EXIT))
        bob.world.units[0].run(adds(MALLORY))
        says(await bob.objects(seen), Exit.ENDED, Rule.STATE_CHANGED, "nothing was signed")
        fit = bob.world.open(EXIT, targets=bob.world.units[1:])
        await bob.gives(await bob.sees(fit))


async def test_an_administrator_slipped_in_before_anybody_looks(attack: Attack):
    async with attack(initialised=False) as bob:
        await installed(bob)
        bob.world.units[0].run(adds(MALLORY))
        await bob.hears(bob.world.open(EXIT))
        trouble = await bob.objects(number=1)
        says(trouble, Exit.ALARM, Ground.STRANGER_INSTALLED, "mallory", "nothing was signed")
        fit = bob.world.open(EXIT, targets=bob.world.units[1:])
        await bob.gives(await bob.sees(fit))


async def test_a_stranger_is_not_made_an_administrator(attack: Attack):
    """Nor somebody of the charter under another name, nor with another algorithm's claim."""
    async with attack() as bob:
        await bob.hears(bob.world.open(adds(MALLORY)))
        says(await bob.objects(number=1), Exit.REFUSED, Rule.NOT_IN_CHARTER, "mallory")
        renamed = AddAdministrator(key=CAROL.proven(title="root"))
        await bob.hears(bob.world.open(renamed))
        says(await bob.objects(number=2), Exit.REFUSED, Rule.NOT_IN_CHARTER, "root")


async def test_somebody_who_has_left_does_not_take_a_unit_out(attack: Attack):
    async with attack(initialised=False) as bob:
        await installed(bob)
        older = bob.world.charter
        newer = charter(
            [ALICE, BOB], bob.world.units, previous=older, coordinator=older.coordinator
        )
        await bob.accepts(newer, others=[ALICE, CAROL])
        bob.world.charter = newer
        await bob.hears(bob.world.open(EXIT))
        says(await bob.objects(number=1), Exit.REFUSED, "ROSTER_IN_CHARTER", "carol", "remove")


@pytest.mark.parametrize(("signatures", "revocations"), [(1, 2), (2, 1)])
async def test_an_exit_below_the_floor(attack: Attack, signatures: int, revocations: int):
    async with attack(initialised=False) as bob:
        await installed(bob)
        body = SetThresholds(signatures=signatures, revocations=revocations)
        await bob.hears(bob.world.open(body))
        says(await bob.objects(number=1), Exit.REFUSED, Ground.FLOOR_BROKEN, "nothing was signed")
        await bob.gives(await bob.sees(bob.world.open(EXIT)))


async def test_one_person_with_two_keys_is_one_person(attack: Attack):
    """Alice's second key is installed, too; the exit would let her command alone."""
    alice = custodian("alice", keys=2)
    world = World()
    world.people = (alice, BOB, CAROL)
    world.charter = charter(world.people, world.units)
    async with attack(world, initialised=False) as bob:
        for unit in world.units:
            unit.install([alice, BOB])
            unit.run(AddAdministrator(key=alice.proven(alice.keys[1])))
        await bob.hears(world.open(EXIT))
        trouble = await bob.objects(number=1)
        says(trouble, Exit.REFUSED, Ground.SECOND_KEY_INSTALLED, "nothing was signed", "alice")
