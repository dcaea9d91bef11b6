"""DESIGN §2.2: a signature is for one unit, life, state, command, time, charter and request."""

from typing import Any

import pytest

from protocol.commands.bodies import Body, SetThresholds, Void, Zeroize
from protocol.commands.command import Approval, Command, SignedCommand, signed_command
from protocol.identifiers import DAY, Incarnation, IncarnationId, Instant
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.schema import to_bytes
from protocol.session.messages import Approve, RequestNews
from quorate.exits import Exit
from tests.attacks.conftest import Attack
from tests.attacks.victim import Victim, foiled, says
from tests.cast.commands import SOME_CHARTER, nonce, request_digest
from tests.cast.people import ALICE, CAROL, MALLORY
from tests.cast.units import CastUnit
from tests.cores.desk_world import World

RAISE = SetThresholds(signatures=3, revocations=2)


def sent(command: Command, *approvals: Approval) -> SignedCommand:
    """A command with signatures that need not be its own."""
    return signed_command(command=to_bytes(command), approvals=approvals, contributions=())


async def signed(bob: Victim, body: Body = RAISE) -> tuple[RequestNews, dict[bytes, Approval]]:
    """Bob's agent signs an honest request; what it sent for each unit."""
    news = bob.world.open(body)
    await bob.gives(await bob.sees(news))
    approve = bob.evil.given[-1]
    assert isinstance(approve, Approve)
    return news, {one.unit: one.approval for one in approve.approvals}


def command_of(news: RequestNews, unit: CastUnit) -> Command:
    one = news.request.progress_on(unit.id)
    assert one is not None
    return news.request.command(one.target)


async def test_what_two_people_signed_runs(attack: Attack):
    async with attack() as bob:
        news, given = await signed(bob)
        for unit in bob.world.units:
            command = command_of(news, unit)
            receipt = unit.execute(sent(command, given[unit.id], ALICE.approve(command)))
            assert isinstance(receipt, Receipt)
            assert len(receipt.approvals) == 2


LIFE = Incarnation(number=1, id=IncarnationId(bytes(16)))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"body": SetThresholds(signatures=2, revocations=3)}, Rule.SIGNATURE_INVALID),
        ({"body": Void()}, Rule.SIGNATURE_INVALID),
        ({"body": Zeroize()}, Rule.SIGNATURE_INVALID),
        ({"charter": SOME_CHARTER}, Rule.SIGNATURE_INVALID),
        ({"practice": False}, Rule.SIGNATURE_INVALID),
        ({"request": request_digest("another")}, Rule.SIGNATURE_INVALID),
        ({"later": 1}, Rule.SIGNATURE_INVALID),
        ({"earlier": 1}, Rule.SIGNATURE_INVALID),
        ({"version": 6}, Rule.STATE_CHANGED),
        ({"state": request_digest("another state")}, Rule.STATE_CHANGED),
        ({"incarnation": LIFE}, Rule.WRONG_INCARNATION),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
async def test_a_signature_serves_no_other_command(
    attack: Attack, changes: dict[str, Any], rule: Rule
):
    async with attack() as bob:
        news, given = await signed(bob)
        unit = bob.world.units[0]
        command = command_of(news, unit)
        if "later" in changes:
            changes = {"not_after": Instant(command.not_after + DAY)}
        if "earlier" in changes:
            changes = {"not_before": Instant(command.not_before - DAY)}
        other = command.but(**changes)
        both = (given[unit.id], ALICE.approve(command))
        assert unit.refuses(sent(other, *both)).rule is rule
        assert isinstance(unit.execute(sent(command, *both)), Receipt)


async def test_a_signature_moved_to_the_state_that_follows(attack: Attack):
    async with attack() as bob:
        news, given = await signed(bob)
        unit = bob.world.units[0]
        command = command_of(news, unit)
        both = (given[unit.id], ALICE.approve(command))
        unit.run(Void(), [CAROL])
        assert unit.refuses(sent(command, *both)).rule is Rule.STATE_CHANGED
        seen = unit.seen()
        moved = command.but(version=seen.version, state=seen.state_digest)
        assert unit.refuses(sent(moved, *both)).rule is Rule.SIGNATURE_INVALID


async def test_a_signature_for_one_unit_is_worth_nothing_on_another(attack: Attack):
    async with attack() as bob:
        news, given = await signed(bob)
        first, second = bob.world.units
        one, other = command_of(news, first), command_of(news, second)
        refusal = second.refuses(sent(one, given[first.id], ALICE.approve(one)))
        assert refusal.rule is Rule.WRONG_UNIT
        swapped = sent(other, given[first.id], ALICE.approve(one))
        assert second.refuses(swapped).rule is Rule.SIGNATURE_INVALID
        assert isinstance(
            second.execute(sent(other, given[second.id], ALICE.approve(other))), Receipt
        )


async def test_one_signature_counts_once_under_one_name(attack: Attack):
    async with attack() as bob:
        news, given = await signed(bob)
        unit = bob.world.units[0]
        command, own = command_of(news, unit), given[unit.id]
        assert unit.refuses(sent(command, own)).rule is Rule.TOO_FEW_SIGNATURES
        assert unit.refuses(sent(command, own, own)).rule is Rule.TOO_FEW_SIGNATURES
        as_alice = own.but(ski=ALICE.key.ski)
        assert unit.refuses(sent(command, own, as_alice)).rule is Rule.SIGNATURE_INVALID
        stranger = MALLORY.approve(command)
        assert unit.refuses(sent(command, own, stranger)).rule is Rule.SIGNER_UNKNOWN


async def test_nobody_signs_for_more_than_seven_days_and_no_unit_runs_it(attack: Attack):
    async with attack() as bob:
        news = bob.world.open(RAISE)
        assert news.request.opening is not None
        late = Instant(bob.world.now + 8 * DAY)
        bent = news.but(request=news.request.but(opening=news.request.opening.but(not_after=late)))
        trouble = await foiled(bob, news, bent)
        says(trouble, Exit.ALARM, "TIMES_OF_FILING")
        unit = bob.world.units[0]
        assert unit.refusal(RAISE, [ALICE, CAROL], not_after=late).rule is Rule.VALID_TOO_LONG


async def test_the_agent_signs_what_it_built_itself(attack: Attack):
    """The signature verifies over the command of what was shown, for each unit its own."""
    async with attack() as bob:
        news, given = await signed(bob)
        for unit in bob.world.units:
            command = command_of(news, unit)
            assert given[unit.id] == bob.who.approve(command)
        assert {approval.signature for approval in given.values()} != set()
        assert len({approval.signature for approval in given.values()}) == 2


def test_nonces_make_each_request_one_of_a_kind():
    world = World()
    first, second = world.open(RAISE), world.open(RAISE, nonce=nonce("another"))
    assert first.request.opening is not None and second.request.opening is not None
    assert first.request.opening.digest != second.request.opening.digest
