"""DESIGN §2.1: only what people compared and accepted counts, whatever the coordinator says."""

from typing import Any

import pytest

from protocol.charter import Charter, Floor
from protocol.commands.bodies import SetControlPoint, SetThresholds
from protocol.identifiers import Instant
from protocol.refusals import Rule
from protocol.session.messages import Accept, CharterNews
from quorate.exits import Exit
from signer_agent.local.messages import AcceptCharter, Charters, GetCharters, OfferKey, Ok
from signer_agent.trust import charters
from tests.attacks.bends import opened
from tests.attacks.conftest import Attack
from tests.attacks.victim import Victim, ends_with, foiled, says
from tests.cast.charters import accepts, charter
from tests.cast.commands import SOME_CHARTER
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, CAROL, DAVE, MALLORY, Custodian, custodian
from tests.cores.desk_world import World

RAISE = SetThresholds(signatures=3, revocations=2)
POINT = SetControlPoint(point=55, on=True)
NOT_ALICE = Custodian(
    name=ALICE.name, identity=MALLORY.identity, keys=(signature_key("mallory's alice"),)
)
NOT_BOB = Custodian(
    name=BOB.name, identity=MALLORY.identity, keys=(signature_key("mallory's bob"),)
)


def following(world: World, *people: Custodian, **changes: Any) -> Charter:
    """The version after the world's."""
    return charter(
        people or world.people,
        world.units,
        previous=world.charter,
        coordinator=world.charter.coordinator,
        **changes,
    )


async def told(bob: Victim, version: Charter, *yes: Custodian) -> None:
    """The coordinator says that these have accepted it, and that it is in force."""
    signed = tuple(accepts(one, version) for one in yes)
    await bob.hears(CharterNews(charter=version, acceptances=signed, in_force=True))


async def in_force(bob: Victim) -> list[int]:
    """The numbers of the versions that the agent holds to be in force."""
    known = await bob.client.ask(GetCharters(), Charters)
    return [one.charter.number for one in known.versions if one.in_force]


# --- what opens requests ------------------------------------------------------------------------


async def test_a_version_that_nobody_accepted_opens_nothing(attack: Attack):
    async with attack() as bob:
        version = following(bob.world)
        await told(bob, version)
        news = bob.world.open(RAISE)
        trouble = await foiled(bob, news, opened(news, charter=version.digest))
        says(trouble, Exit.ALARM, Rule.CHARTER_NOT_IN_FORCE, "version 1", "version 2", "call")


async def test_a_charter_that_nobody_has_heard_of_opens_nothing(attack: Attack):
    async with attack() as bob:
        news = bob.world.open(RAISE)
        trouble = await foiled(bob, news, opened(news, charter=SOME_CHARTER))
        says(trouble, Exit.ALARM, Rule.CHARTER_NOT_IN_FORCE, SOME_CHARTER.hex()[:8])


async def test_the_coordinators_word_brings_nothing_into_force(attack: Attack):
    async with attack() as bob:
        version = following(bob.world, *bob.world.people, MALLORY)
        forged = tuple(
            accepts(Custodian(name=one.name, identity=bob.evil.identity, keys=one.keys), version)
            for one in bob.world.people
        )
        news = CharterNews(charter=version, acceptances=forged, in_force=True)
        await bob.hears(news)
        assert await in_force(bob) == [1]
        await told(bob, version, ALICE, CAROL)
        assert await in_force(bob) == [1, 2]


async def test_an_older_version_opens_nothing_any_more(attack: Attack):
    async with attack() as bob:
        old = bob.world.open(RAISE)
        seen = await bob.sees(old)
        version = following(bob.world, *bob.world.people, DAVE)
        await bob.accepts(version, others=[ALICE])
        trouble = await bob.objects(seen)
        says(trouble, Exit.ENDED, Rule.CHARTER_NOT_IN_FORCE, "version 2 is in force")
        await bob.gives(await bob.sees(bob.world.open(RAISE, charter=version)))


async def test_a_version_in_force_that_one_has_not_accepted_stops_signing(attack: Attack):
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(RAISE))
        version = following(bob.world, *bob.world.people, DAVE)
        await told(bob, version, ALICE, CAROL)
        trouble = await bob.objects(seen)
        says(trouble, Exit.REFUSED, Rule.CHARTER_NOT_IN_FORCE, "version 2", "charter accept")
        await bob.accepts(version)
        await bob.gives(await bob.sees(bob.world.open(RAISE, charter=version)))


async def test_a_floor_that_was_lowered_behind_ones_back(attack: Attack):
    """The coordinator opens an exit from imprint mode by one person under its own version."""
    async with attack(initialised=False) as bob:
        for unit in bob.world.units:
            unit.install(bob.world.people)
        alone = following(
            bob.world, floor=Floor(signatures=1, revocations=1, exit_people=1), alone=True
        )
        await told(bob, alone, *bob.world.people[:1])
        honest = bob.world.open(SetThresholds(signatures=2, revocations=2))
        bent = opened(honest, charter=alone.digest)
        says(await foiled(bob, honest, bent), Exit.ALARM, Rule.CHARTER_NOT_IN_FORCE)


async def test_a_version_that_waits_drops_a_unit(attack: Attack):
    """Bob has accepted it, and it isn't in force: what is asked under the old one still is."""
    async with attack() as bob:
        kept, dropped = bob.world.units
        version = charter(
            bob.world.people,
            [kept],
            previous=bob.world.charter,
            coordinator=bob.world.charter.coordinator,
        )
        await bob.accepts(version)
        assert await in_force(bob) == [1]
        await bob.gives(await bob.sees(bob.world.open(RAISE, targets=[dropped])))


# --- forks --------------------------------------------------------------------------------------


async def test_a_version_of_another_line_is_not_accepted(attack: Attack):
    async with attack() as bob:
        ours = following(bob.world, *bob.world.people, DAVE)
        await bob.accepts(ours, others=[ALICE])
        theirs = following(bob.world, *bob.world.people, MALLORY)
        await told(bob, theirs, ALICE, CAROL)
        trouble = await ends_with(bob.client.ask(AcceptCharter(charter=theirs.digest), Ok))
        says(trouble, Exit.ALARM, None, "doesn't go on from", "call the others")
        news = bob.world.open(RAISE, charter=ours)
        trouble = await foiled(bob, news, opened(news, charter=theirs.digest))
        says(trouble, Exit.ALARM, Rule.CHARTER_NOT_IN_FORCE)


async def test_a_version_with_a_gap_before_it_is_not_accepted(attack: Attack):
    async with attack() as bob:
        second = following(bob.world, *bob.world.people, MALLORY)
        third = charter(
            bob.world.people,
            bob.world.units,
            previous=second,
            coordinator=bob.world.charter.coordinator,
        )
        await told(bob, third, ALICE, CAROL)
        asked = AcceptCharter(charter=third.digest)
        says(await ends_with(bob.client.ask(asked, Ok)), Exit.ALARM, None, "a gap")
        await told(bob, second)
        says(await ends_with(bob.client.ask(asked, Ok)), Exit.ALARM, None, "never came into force")
        await told(bob, second, ALICE, CAROL)
        await bob.looks()
        await bob.client.ask(asked, Ok)


# --- who judges ---------------------------------------------------------------------------------


async def test_a_version_can_not_replace_the_agents_of_its_judges(attack: Attack):
    """Even where bob falls for it: the others' acceptances are checked by their old agents."""
    async with attack() as bob:
        version = following(bob.world, NOT_ALICE, BOB, CAROL)
        await told(bob, version, NOT_ALICE)
        await bob.client.ask(AcceptCharter(charter=version.digest), Ok)
        await bob.looks()
        assert await in_force(bob) == [1]
        news = bob.world.open(RAISE)
        trouble = await foiled(bob, news, opened(news, charter=version.digest))
        says(trouble, Exit.ALARM, Rule.CHARTER_NOT_IN_FORCE)
        await told(bob, version, CAROL)
        assert await in_force(bob) == [1, 2]


async def test_somebody_else_under_ones_own_name(attack: Attack):
    """All read the same words; only bob's own agent can see that its key isn't there."""
    async with attack(fresh=True) as bob:
        version = charter(
            [ALICE, NOT_BOB, CAROL], bob.world.units, coordinator=bob.world.charter.coordinator
        )
        await told(bob, version, ALICE, CAROL)
        trouble = await ends_with(bob.client.ask(AcceptCharter(charter=version.digest), Ok))
        says(trouble, Exit.ALARM, "OWN_ENTRY", "another agent", "call the others")
        assert not any(isinstance(one, Accept) for one in bob.evil.taken)
        await bob.accepts(bob.world.charter, others=bob.world.people)
        assert await in_force(bob) == [1]


async def test_a_key_of_somebody_else_under_ones_own_name(attack: Attack):
    """A claim is signed by the claimed key only: anybody can make one for bob and his agent."""
    async with attack(fresh=True) as bob:
        both = Custodian(name=BOB.name, identity=BOB.identity, keys=(*BOB.keys, *NOT_BOB.keys))
        coordinator = bob.world.charter.coordinator
        version = charter([ALICE, both, CAROL], bob.world.units, coordinator=coordinator)
        await told(bob, version, ALICE, CAROL)
        trouble = await ends_with(bob.client.ask(AcceptCharter(charter=version.digest), Ok))
        says(trouble, Exit.ALARM, "OWN_ENTRY", NOT_BOB.key.ski.hex()[:8], "call the others")
        assert not any(isinstance(one, Accept) for one in bob.evil.taken)


async def test_a_key_of_ones_own_is_accepted(attack: Attack):
    """Whether its file lies here, or it was offered from here, or it was in a version before."""
    async with attack() as bob:
        more = custodian("bob", keys=2)
        await bob.client.ask(OfferKey(key=more.proven(more.keys[1])), Ok)
        version = following(bob.world, ALICE, more, CAROL)
        await bob.accepts(version, others=[ALICE])
        bob.forget_key_files()
        again = charter(
            [ALICE, more, CAROL, DAVE],
            bob.world.units,
            previous=version,
            coordinator=version.coordinator,
        )
        await bob.accepts(again, others=[ALICE])
        assert await in_force(bob) == [1, 2, 3]


async def test_a_unit_that_left_imprint_mode_under_the_older_version(attack: Attack):
    """Whoever takes a unit out while the new version waits keeps it from coming into force."""
    async with attack(initialised=False) as bob:
        version = following(bob.world, *bob.world.people, DAVE)
        bob.world.units[0].leave_imprint(bob.world.people)
        await bob.accepts(version, others=[ALICE, CAROL, DAVE])
        assert await in_force(bob) == [1]


# --- what can't be a charter --------------------------------------------------------------------


def of_another_instance(world: World) -> Charter:
    people = [Custodian(**(vars(one) | {"instance": "ledger-us"})) for one in world.people]
    return charter(people, world.units, instance="ledger-us")


def for_real(world: World) -> Charter:
    people = [Custodian(**(vars(one) | {"practice": False})) for one in world.people]
    return charter(people, world.units, practice=False)


def uncertified(world: World) -> Charter:
    """With a unit of the attacker's, which no vendor certified."""
    made = following(world)
    first, *rest = made.units
    bent = first.but(certificate=first.certificate.but(made=Instant(1)))
    return made.but(units=(bent, *rest))


def unproven(world: World) -> Charter:
    """With carol's name on a key that isn't hers."""
    made = following(world)
    *rest, carol = made.people
    key = carol.keys[0]
    claim = key.claim.but(public_key=MALLORY.key.public_key)
    return made.but(people=(*rest, carol.but(keys=(key.but(claim=claim),))))


@pytest.mark.parametrize("make", [of_another_instance, for_real, uncertified, unproven])
async def test_what_can_not_be_a_charter_is_not_kept(attack: Attack, make: Any):
    async with attack() as bob:
        bad = make(bob.world)
        await bob.evil.tell(CharterNews(charter=bad, acceptances=(), in_force=True))
        good = following(bob.world, *bob.world.people, DAVE)
        await told(bob, good)
        known = await bob.client.ask(GetCharters(), Charters)
        assert [one.charter for one in known.versions] == [bob.world.charter, good]


async def test_versions_are_bounded_and_no_flood_keeps_a_real_one_out(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(charters, "MAX_VERSIONS", 3)
    async with attack() as bob:
        for signatures in range(3, 8):
            floor = Floor(signatures=signatures, revocations=2, exit_people=2)
            await told(bob, following(bob.world, floor=floor))
        known = await bob.client.ask(GetCharters(), Charters)
        assert len(known.versions) == 3
        await bob.restart()
        version = following(bob.world, *bob.world.people, DAVE)
        await bob.accepts(version, others=[ALICE])
        known = await bob.client.ask(GetCharters(), Charters)
        assert len(known.versions) == 3
        assert await in_force(bob) == [1, 2]


async def test_acceptances_that_are_none_do_not_keep_the_real_ones_out(attack: Attack):
    """However many the coordinator makes up, it can only delay."""
    async with attack() as bob:
        version = following(bob.world, *bob.world.people, DAVE)
        junk = tuple(
            accepts(ALICE, version).but(signature=number.to_bytes(64)) for number in range(200)
        )
        await bob.hears(CharterNews(charter=version, acceptances=junk, in_force=False))
        await told(bob, version, ALICE, CAROL)
        assert await in_force(bob) == [1, 2]
