"""DESIGN §2.7: a key part has an author and one reader."""

from collections.abc import Callable
from typing import Any

import pytest

from protocol.commands.bodies import CommitNewRegister, LoadNewRegister, NamedPart, SetControlPoint
from protocol.commands.command import Command, Contribution, SignedCommand, signed_command
from protocol.identifiers import IncarnationId, Signature, StateVersion
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.request import Outcome, Request, TargetProgress
from protocol.schema import from_bytes, to_bytes
from protocol.sealing import hpke
from protocol.sealing.contribution import (
    SealedPart,
    open_contribution,
    sealing_info,
    unseal_part,
    vp_of,
)
from protocol.sealing.importer import ImporterKey
from protocol.session.messages import Contribute, RequestNews
from protocol.signing.labels import Label, labelled
from protocol.signing.statements import sign_statement
from protocol.unit_state import RegisterState
from quorate.exits import Exit
from signer_agent.local.messages import ApproveRequest, FilePassword, GetResults, Given, Results
from tests.attacks.bends import each, refiled
from tests.attacks.conftest import Attack
from tests.attacks.victim import PASSWORD, Victim, ends_with, foiled, says
from tests.cast.commands import contribution, load_of, request_digest
from tests.cast.keys import noise, signature_key
from tests.cast.people import ALICE, BOB, CAROL, MALLORY
from tests.cast.units import CastUnit
from tests.cores.desk_world import World

BOTH = load_of([(ALICE, ALICE.part()), (BOB, BOB.part())])
KEY = bytes(a ^ b for a, b in zip(ALICE.part(), BOB.part(), strict=True))
PRIVATE = noise("the attacker's importer key", hpke.PRIVATE_KEY_BYTES)


# --- what importer key parts are sealed to ------------------------------------------------------

Bend = Callable[[World, Request, TargetProgress], tuple[ImporterKey, CastUnit | None]]


def honest_importer(one: TargetProgress) -> ImporterKey:
    assert one.importer is not None
    return from_bytes(ImporterKey, one.importer.statement)


def of_the_coordinator(world: World, request: Request, one: TargetProgress) -> Any:
    """A key whose private half the attacker has; it can't have the unit's signature."""
    mine = honest_importer(one).but(public_key=hpke.public_key_of(PRIVATE))
    return mine, None


def of_another_unit(world: World, request: Request, one: TargetProgress) -> Any:
    other = next(unit for unit in world.units if unit.id != one.unit)
    assert request.opening is not None
    return other.importer_key(request.opening.digest), other


def by_another_unit(world: World, request: Request, one: TargetProgress) -> Any:
    """A unit that the attacker owns signs for the other."""
    other = next(unit for unit in world.units if unit.id != one.unit)
    return honest_importer(one).but(public_key=hpke.public_key_of(PRIVATE)), other


def of_another_request(world: World, request: Request, one: TargetProgress) -> Any:
    unit = world.unit(one.unit)
    return unit.importer_key(request_digest("another")), unit


def of_another_life(world: World, request: Request, one: TargetProgress) -> Any:
    unit, key = world.unit(one.unit), honest_importer(one)
    return key.but(incarnation=key.incarnation.but(id=IncarnationId(bytes(16)))), unit


def of_another_state(world: World, request: Request, one: TargetProgress) -> Any:
    unit, key = world.unit(one.unit), honest_importer(one)
    return key.but(state=request_digest("another state")), unit


def of_another_version(world: World, request: Request, one: TargetProgress) -> Any:
    unit, key = world.unit(one.unit), honest_importer(one)
    return key.but(version=StateVersion(key.version + 1)), unit


@pytest.mark.parametrize(
    "how",
    [
        of_the_coordinator,
        of_another_unit,
        by_another_unit,
        of_another_request,
        of_another_life,
        of_another_state,
        of_another_version,
    ],
)
async def test_an_importer_key_that_the_unit_did_not_make_for_this_load(attack: Attack, how: Bend):
    async with attack() as bob:
        news = bob.world.open(BOTH)

        def swap(request: Request, one: TargetProgress) -> TargetProgress:
            key, signer = how(bob.world, request, one)
            sign = bob.evil.identity.sign if signer is None else signer.key.sign
            signed = sign_statement(Label.IMPORTER_KEY, key, sign)
            return one.but(importer=signed, target=one.target.but(importer=key.digest))

        trouble = await foiled(bob, news, each(news, swap))
        says(trouble, Exit.ALARM, "IMPORTER_KEY_OF_UNIT", "your part stayed here", "Call")


@pytest.mark.parametrize("named", [True, False])
async def test_an_importer_key_that_is_not_the_one_named_or_not_there(attack: Attack, named: bool):
    async with attack() as bob:
        news = bob.world.open(BOTH)
        other = request_digest("another key")

        def bent(_: Request, one: TargetProgress) -> TargetProgress:
            if named:
                return one.but(target=one.target.but(importer=other))
            return one.but(importer=None)

        trouble = await foiled(bob, news, each(news, bent))
        says(trouble, Exit.ALARM, "IMPORTER_KEY_OF_UNIT", "stayed here")


# --- whose parts --------------------------------------------------------------------------------


def parts(*named: tuple[bytes, Any]) -> LoadNewRegister:
    return LoadNewRegister(
        parts=tuple(NamedPart(vp=vp_of(value), custodian=who.agent) for value, who in named)
    )


@pytest.mark.parametrize(
    ("body", "exit", "text"),
    [
        (parts((MALLORY.part(), MALLORY), (BOB.part(), BOB)), Exit.ALARM, "outside your charter"),
        (parts((ALICE.part(), ALICE), (ALICE.part("2"), ALICE)), Exit.REFUSED, "two from alice"),
        (parts((BOB.part(), BOB), (BOB.part("2"), BOB)), Exit.REFUSED, "two from bob"),
    ],
)
async def test_parts_that_no_master_key_is_made_of(
    attack: Attack, body: LoadNewRegister, exit: Exit, text: str
):
    """Also where the filer is in it: alice has filed this."""
    async with attack() as bob:
        news = bob.world.open(BOTH)
        trouble = await foiled(bob, news, refiled(news, by=ALICE, body=body))
        says(trouble, exit, "PARTS_IN_CHARTER", text)


async def test_ones_own_part_under_somebody_elses_name(attack: Attack):
    """It isn't asked for, and typing its password all the same gives nothing."""
    async with attack() as bob:
        swapped = parts((BOB.part(), ALICE), (ALICE.part(), BOB))
        screen = await bob.sees(bob.world.open(swapped))
        assert screen.part is None
        await assert_part_stays(bob, screen.request)


async def test_a_part_that_one_does_not_have(attack: Attack):
    async with attack() as bob:
        body = parts((ALICE.part(), ALICE), (noise("chosen by the attacker"), BOB))
        screen = await bob.sees(bob.world.open(body))
        assert screen.part is None and screen.part_wanted == vp_of(noise("chosen by the attacker"))
        await assert_part_stays(bob, screen.request)


async def assert_part_stays(bob: Victim, number: int) -> None:
    screen = await bob.shown(number)
    typed = FilePassword(file="bob-part-1.part", password=PASSWORD)
    asked = ApproveRequest(screen=screen, signature=None, part=typed)
    trouble = await ends_with(bob.client.ask(asked, Given))
    says(trouble, Exit.REFUSED, Rule.PART_NOT_WANTED, "nothing was given")
    assert not bob.evil.given


@pytest.mark.parametrize(
    ("givers", "exit", "text"),
    [
        ([(ALICE, ALICE.part()), (ALICE, ALICE.part("2"))], Exit.REFUSED, "two from alice"),
        ([(ALICE, ALICE.part()), (MALLORY, MALLORY.part())], Exit.ALARM, "outside your charter"),
    ],
)
async def test_a_key_of_such_parts_is_not_committed(
    attack: Attack, givers: Any, exit: Exit, text: str
):
    """One administrator with the coordinator can load it. It stays uncommitted."""
    async with attack() as bob:
        bad, good = bob.world.units
        bad.load(givers, [ALICE])
        good.load([(ALICE, ALICE.part()), (BOB, BOB.part())], [ALICE])
        assert bad.state.new.vp is not None and good.state.new.vp is not None
        body = CommitNewRegister(vp=bad.state.new.vp)
        await bob.hears(bob.world.open(body, targets=[bad]))
        says(await bob.objects(number=1), exit, "PARTS_IN_CHARTER", text, "nothing was signed")
        body = CommitNewRegister(vp=good.state.new.vp)
        await bob.gives(await bob.sees(bob.world.open(body, targets=[good])))


# --- what a part can be used for ----------------------------------------------------------------


class Sealed:
    """Bob's real agent has given its part for both units; alice's is the cast's."""

    def __init__(self, bob: Victim, news: RequestNews) -> None:
        self.bob, self.news = bob, news
        given = bob.evil.given[-1]
        assert isinstance(given, Contribute)
        self.part = {one.unit: one.contribution for one in given.contributions}

    @classmethod
    async def given(cls, bob: Victim) -> "Sealed":
        news = bob.world.open(BOTH)
        await bob.gives(await bob.sees(news))
        return cls(bob, news)

    def command(self, unit: CastUnit) -> Command:
        one = self.news.request.progress_on(unit.id)
        assert one is not None
        return self.news.request.command(one.target)

    def importer(self, unit: CastUnit) -> ImporterKey:
        one = self.news.request.progress_on(unit.id)
        assert one is not None
        return honest_importer(one)

    def alices(self, unit: CastUnit) -> Contribution:
        return contribution((ALICE, ALICE.part()), self.command(unit), self.importer(unit))

    def sent(self, unit: CastUnit, *parts: Contribution) -> SignedCommand:
        command = self.command(unit)
        return signed_command(
            command=to_bytes(command),
            approvals=(ALICE.approve(command),),
            contributions=parts,
        )


async def test_the_parts_make_the_key_inside_the_unit(attack: Attack):
    async with attack() as bob:
        sealed = await Sealed.given(bob)
        for unit in bob.world.units:
            receipt = unit.execute(sealed.sent(unit, sealed.part[unit.id], sealed.alices(unit)))
            assert isinstance(receipt, Receipt)
            assert unit.state.new.vp == vp_of(KEY)


async def test_nobody_but_the_unit_reads_the_part(attack: Attack):
    async with attack() as bob:
        sealed = await Sealed.given(bob)
        first, second = bob.world.units
        part = open_contribution(sealed.part[first.id])
        (theirs,) = second.memory.importer_keys
        (own,) = first.memory.importer_keys
        for private in (PRIVATE, theirs.private.reveal()):
            refusal = unseal_part(part, sealed.command(first), private)
            assert not isinstance(refusal, bytes) and refusal.rule is Rule.PART_UNREADABLE
        assert unseal_part(part, sealed.command(first), own.private.reveal()) == BOB.part()


def replayed_at_another_unit(sealed: Sealed, unit: CastUnit) -> Contribution:
    other = next(one for one in sealed.bob.world.units if one is not unit)
    return sealed.part[other.id]


def rewritten_for_this_unit(sealed: Sealed, unit: CastUnit) -> Contribution:
    """The bytes that were sealed to the other unit, said to be for this load by the attacker."""
    other = replayed_at_another_unit(sealed, unit)
    part = open_contribution(other).but(load=sealed.command(unit).id)
    return signed(part, MALLORY.identity.sign)


def in_the_attackers_name(sealed: Sealed, unit: CastUnit) -> Contribution:
    part = open_contribution(sealed.part[unit.id]).but(custodian=MALLORY.agent)
    return signed(part, MALLORY.identity.sign)


def of_the_attackers_making(sealed: Sealed, unit: CastUnit) -> Contribution:
    """A value that the attacker knows, in bob's name."""
    command, value = sealed.command(unit), BOB.part()
    info = sealing_info(command, vp_of(value), BOB.agent)
    part = SealedPart(
        load=command.id,
        vp=vp_of(value),
        custodian=BOB.agent,
        sealed=hpke.seal(bytes(32), sealed.importer(unit).public_key, info=info),
    )
    return signed(part, MALLORY.identity.sign)


def another_value_by_bob_himself(sealed: Sealed, unit: CastUnit) -> Contribution:
    """Bob's evil agent seals another value than the VP says."""
    command, value = sealed.command(unit), BOB.part()
    info = sealing_info(command, vp_of(value), BOB.agent)
    part = SealedPart(
        load=command.id,
        vp=vp_of(value),
        custodian=BOB.agent,
        sealed=hpke.seal(bytes(32), sealed.importer(unit).public_key, info=info),
    )
    return signed(part, BOB.identity.sign)


def signed(part: SealedPart, sign: Callable[[bytes], bytes]) -> Contribution:
    data = to_bytes(part)
    return Contribution(
        statement=data, signature=Signature(sign(labelled(Label.CONTRIBUTION, data)))
    )


@pytest.mark.parametrize(
    ("how", "rule"),
    [
        (replayed_at_another_unit, Rule.PART_MISSING),
        (rewritten_for_this_unit, Rule.PART_AUTHOR),
        (in_the_attackers_name, Rule.PART_AUTHOR),
        (of_the_attackers_making, Rule.PART_AUTHOR),
        (another_value_by_bob_himself, Rule.PART_MISMATCH),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
async def test_a_part_serves_nothing_else(
    attack: Attack, how: Callable[[Sealed, CastUnit], Contribution], rule: Rule
):
    async with attack() as bob:
        sealed = await Sealed.given(bob)
        unit = bob.world.units[0]
        bent = sealed.sent(unit, how(sealed, unit), sealed.alices(unit))
        assert unit.refuses(bent).rule is rule
        assert unit.state.new.state is RegisterState.EMPTY
        good = sealed.sent(unit, sealed.part[unit.id], sealed.alices(unit))
        assert isinstance(unit.execute(good), Receipt)


async def test_one_part_alone_loads_nothing(attack: Attack):
    async with attack() as bob:
        sealed = await Sealed.given(bob)
        unit = bob.world.units[0]
        own = sealed.part[unit.id]
        assert unit.refuses(sealed.sent(unit, own)).rule is Rule.PART_MISSING
        assert unit.refuses(sealed.sent(unit, own, own)).rule is Rule.PART_MISSING


async def test_a_part_is_not_replayed_into_another_load(attack: Attack):
    """Not in another request, nor in the same one once the unit has moved on."""
    async with attack() as bob:
        sealed = await Sealed.given(bob)
        unit = bob.world.units[0]
        command, importer = unit.load_command(
            [(ALICE, ALICE.part()), (BOB, BOB.part())], request=request_digest("another")
        )
        alices = contribution((ALICE, ALICE.part()), command, importer)
        again = signed_command(
            command=to_bytes(command),
            approvals=(ALICE.approve(command),),
            contributions=(alices, sealed.part[unit.id]),
        )
        assert unit.refuses(again).rule is Rule.PART_MISSING
        good = sealed.sent(unit, sealed.part[unit.id], sealed.alices(unit))
        unit.zeroize_by_hand()
        unit.leave_imprint(bob.world.people)
        assert unit.refuses(good).rule is Rule.WRONG_INCARNATION


async def test_a_stale_importer_key_is_dropped_with_its_state(attack: Attack):
    async with attack() as bob:
        sealed = await Sealed.given(bob)
        unit = bob.world.units[0]
        assert unit.memory.importer_keys
        unit.run(SetControlPoint(point=55, on=True), [ALICE, CAROL])
        assert not unit.memory.importer_keys
        good = sealed.sent(unit, sealed.part[unit.id], sealed.alices(unit))
        assert unit.refuses(good).rule is Rule.STATE_CHANGED


async def test_a_receipt_that_does_not_name_ones_part_is_said(attack: Attack):
    """The coordinator has the unit load other parts and shows that receipt for bob's load."""
    async with attack() as bob:
        sealed = await Sealed.given(bob)
        unit = bob.world.units[0]
        unit.load([(ALICE, ALICE.part()), (CAROL, CAROL.part())], [ALICE])
        other = unit.entries[-1]

        def claim(_: Request, one: TargetProgress) -> TargetProgress:
            return one.but(receipt=other, outcome=Outcome.EXECUTED) if one.unit == unit.id else one

        await bob.hears(each(sealed.news, claim))
        found = await bob.client.ask(GetResults(number=1), Results)
        (result,) = [one for one in found.units if one.unit.unit == unit.id]
        assert not result.executed and "another command" in str(result.unverified)


def test_the_attacker_has_none_of_the_units_keys():
    """What the forgeries above rest on."""
    keys = {unit.key.identity for unit in World().units}
    assert signature_key("coordinator").identity not in keys
