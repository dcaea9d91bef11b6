"""DESIGN §2.13: an algorithm belongs to a key; nothing is negotiated, nothing is weakened."""

from collections.abc import Callable

import pytest

from protocol.commands.bodies import AddAdministrator, SetControlPoint
from protocol.commands.command import Approval, Command, signed_command
from protocol.identifiers import Signature
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.request import Request, TargetProgress
from protocol.schema import to_bytes
from protocol.session.messages import Approve
from protocol.signing.algorithms import Algorithm
from protocol.violations import Violation
from quorate.exits import Exit
from tests.attacks.bends import each
from tests.attacks.conftest import Attack
from tests.attacks.victim import says
from tests.cast.charters import charter
from tests.cast.people import CAROL, approval, custodian
from tests.cores.desk_world import World

POINT = SetControlPoint(point=55, on=True)
ALICE = custodian("alice", algorithm=Algorithm.ED25519_ML_DSA_65)
BOB = custodian("bob", algorithm=Algorithm.ECDSA_P521_SHA512)
ED25519_SIGNATURE = 64


def mixed() -> World:
    """Three people with keys of three algorithms."""
    world = World()
    world.people = (ALICE, BOB, CAROL)
    world.charter = charter(world.people, world.units)
    return world


async def test_each_key_signs_in_its_own_way(attack: Attack):
    async with attack(mixed(), BOB) as bob:
        news = bob.world.open(POINT)
        await bob.gives(await bob.sees(news))
        approve = bob.evil.given[-1]
        assert isinstance(approve, Approve)
        for one in approve.approvals:
            unit = bob.world.unit(one.unit)
            progress = news.request.progress_on(one.unit)
            assert progress is not None
            command = news.request.command(progress.target)
            sent = signed_command(
                command=to_bytes(command),
                approvals=(one.approval, ALICE.approve(command)),
                contributions=(),
            )
            assert isinstance(unit.execute(sent), Receipt)


def classical_only(command: Command) -> Approval:
    """Whoever breaks ML-DSA's half, or leaves it away, has nothing."""
    good = ALICE.approve(command)
    return good.but(signature=Signature(good.signature[:ED25519_SIGNATURE]))


def junk_for_ml_dsa(command: Command) -> Approval:
    good = ALICE.approve(command)
    rest = bytes(len(good.signature) - ED25519_SIGNATURE)
    return good.but(signature=Signature(good.signature[:ED25519_SIGNATURE] + rest))


def junk_for_ed25519(command: Command) -> Approval:
    """Whoever has a quantum computer has the other half; it isn't enough."""
    good = ALICE.approve(command)
    rest = good.signature[ED25519_SIGNATURE:]
    return good.but(signature=Signature(bytes(ED25519_SIGNATURE) + rest))


def halves_of_two_commands(command: Command) -> Approval:
    one, other = ALICE.approve(command), ALICE.approve(command.but(practice=False))
    halves = one.signature[:ED25519_SIGNATURE] + other.signature[ED25519_SIGNATURE:]
    return one.but(signature=Signature(halves))


def by_another_algorithm(command: Command) -> Approval:
    """A good Ed25519 signature where a P-521 key is installed."""
    return approval(CAROL.key, command).but(ski=BOB.key.ski)


@pytest.mark.parametrize(
    "forge",
    [
        classical_only,
        junk_for_ml_dsa,
        junk_for_ed25519,
        halves_of_two_commands,
        by_another_algorithm,
    ],
)
async def test_half_a_signature_is_none(attack: Attack, forge: Callable[[Command], Approval]):
    """Neither the unit nor the agent counts it."""
    async with attack(mixed(), BOB) as bob:
        unit = bob.world.units[0]
        command = unit.command(POINT)
        sent = signed_command(
            command=to_bytes(command),
            approvals=(forge(command), approval(CAROL.key, command)),
            contributions=(),
        )
        assert unit.refuses(sent).rule is Rule.SIGNATURE_INVALID
        news = bob.world.open(POINT)
        bent = each(
            news, lambda request, one: one.but(approvals=(forge(request.command(one.target)),))
        )
        screen = await bob.sees(bent)
        assert (screen.have, screen.signed_by) == (0, ()) and screen.uncounted
        assert (await bob.sees(each(news, _signed_by_alice))).have == 1


def _signed_by_alice(request: Request, one: TargetProgress) -> TargetProgress:
    return one.but(approvals=(ALICE.approve(request.command(one.target)),))


async def test_a_key_is_not_installed_as_one_of_another_algorithm(attack: Attack):
    """Half of alice's key, claimed as a classical one, is a key that nobody of the charter has."""
    async with attack(mixed(), BOB) as bob:
        claim = ALICE.proven().claim
        weaker = claim.but(algorithm=Algorithm.ED25519, public_key=ALICE.key.public_key[:32])
        body = AddAdministrator(key=ALICE.proven().but(claim=weaker))
        await bob.hears(bob.world.open(body))
        says(await bob.objects(number=1), Exit.REFUSED, Rule.NOT_IN_CHARTER)
        unit = bob.world.units[0]
        assert unit.refusal(body, [BOB, CAROL]).rule is Rule.ADMINISTRATOR_KEY
        mislabelled = AddAdministrator(
            key=ALICE.proven().but(claim=claim.but(algorithm=Algorithm.ED25519))
        )
        with pytest.raises(Violation):
            assert mislabelled.key.ski
        assert unit.refusal(mislabelled, [BOB, CAROL]).rule is Rule.ADMINISTRATOR_KEY
