"""DESIGN §2.8: what no verified receipt proves isn't shown as a result."""

from collections.abc import Callable

import pytest

from hsm_backend.unit import machine
from protocol.commands.bodies import SetControlPoint, SetThresholds
from protocol.commands.command import signed_command
from protocol.receipts import Receipt, RefusalAnswer, open_entry
from protocol.refusals import Rule, refuse
from protocol.request import Outcome, Request, RequestState, TargetProgress
from protocol.schema import to_bytes
from protocol.session.messages import RequestNews
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from signer_agent.desk.receipts import UnitResult
from signer_agent.local.messages import GetResults, Results
from tests.attacks.bends import bend, each
from tests.attacks.conftest import Attack
from tests.attacks.victim import Victim
from tests.cast.people import ALICE, BOB, CAROL
from tests.cast.units import CastUnit

POINT = SetControlPoint(point=55, on=True)


def run(news: RequestNews, unit: CastUnit) -> Signed:
    """The unit runs the request; its receipt."""
    one = news.request.progress_on(unit.id)
    assert one is not None
    command = news.request.command(one.target)
    approvals = (ALICE.approve(command), CAROL.approve(command))
    done = unit.execute(
        signed_command(command=to_bytes(command), approvals=approvals, contributions=())
    )
    assert isinstance(done, Receipt), done
    return unit.entries[-1]


async def results(bob: Victim, news: RequestNews) -> list[UnitResult]:
    await bob.hears(news)
    found = await bob.client.ask(GetResults(number=news.request.id), Results)
    return list(found.units)


def claimed(news: RequestNews, receipts: dict[bytes, Signed | None]) -> RequestNews:
    """The coordinator says that it ran on these units, with these receipts or none."""

    def claim(_: Request, one: TargetProgress) -> TargetProgress:
        if one.unit not in receipts:
            return one
        return one.but(outcome=Outcome.EXECUTED, receipt=receipts[one.unit])

    return bend(each(news, claim), state=RequestState.EXECUTED)


async def test_results_are_receipts(attack: Attack):
    async with attack() as bob:
        news = bob.world.open(POINT)
        first, second = bob.world.units
        told = claimed(news, {first.id: run(news, first), second.id: run(news, second)})
        for one in await results(bob, told):
            assert one.executed and one.unverified is None and not one.can_still_run
            assert set(one.signed_by) == {ALICE.key.ski, CAROL.key.ski}


Forge = Callable[[Victim, RequestNews, CastUnit], Signed | None]


def none(bob: Victim, news: RequestNews, unit: CastUnit) -> Signed | None:
    return None


def signed_by_the_coordinator(bob: Victim, news: RequestNews, unit: CastUnit) -> Signed | None:
    receipt = open_entry(run(news, unit), unit.key.identity)
    return sign_statement(Label.HISTORY, receipt, bob.evil.identity.sign)


def of_another_command(bob: Victim, news: RequestNews, unit: CastUnit) -> Signed | None:
    unit.run(SetThresholds(signatures=3, revocations=2), [ALICE, BOB])
    return unit.entries[-1]


def of_another_request(bob: Victim, news: RequestNews, unit: CastUnit) -> Signed | None:
    """The same command, of another request."""
    return run(bob.world.open(POINT), unit)


def of_another_unit(bob: Victim, news: RequestNews, unit: CastUnit) -> Signed | None:
    other = next(one for one in bob.world.units if one is not unit)
    return run(news, other)


def a_birth(bob: Victim, news: RequestNews, unit: CastUnit) -> Signed | None:
    return unit.entries[0]


@pytest.mark.parametrize(
    "how",
    [
        none,
        signed_by_the_coordinator,
        of_another_command,
        of_another_request,
        of_another_unit,
        a_birth,
    ],
)
async def test_a_result_that_did_not_happen(attack: Attack, how: Forge):
    async with attack() as bob:
        news = bob.world.open(POINT)
        first, second = bob.world.units
        told = claimed(news, {first.id: how(bob, news, first)})
        found = {one.unit.unit: one for one in await results(bob, told)}
        bad = found[first.id]
        assert not bad.executed and bad.unverified
        assert bad.at is None and bad.version is None and bad.signed_by == ()
        assert found[second.id].can_still_run


def no(news: RequestNews, unit: CastUnit, rule: Rule, sign: Callable[[bytes], bytes]) -> Signed:
    one = news.request.progress_on(unit.id)
    assert one is not None
    refusal = refuse(rule, expected="one thing", found="another")
    answer = RefusalAnswer(
        unit=unit.id,
        command=news.request.command(one.target).id,
        incarnation=unit.memory.incarnation,
        version=unit.memory.version,
        refusal=refusal,
        can_still_run=refusal.facts.can_still_run,
        at=unit.now,
    )
    return sign_statement(Label.REFUSAL, answer, sign)


async def test_a_refusal_that_the_unit_did_not_sign(attack: Attack):
    """ "It can't run any more" is worth something: people may sign another command then."""
    async with attack() as bob:
        news = bob.world.open(POINT)
        first, second = bob.world.units
        forged = no(news, first, Rule.STATE_CHANGED, bob.evil.identity.sign)
        honest = no(news, second, Rule.STATE_CHANGED, second.key.sign)
        refusals = {first.id: forged, second.id: honest}
        told = each(news, lambda _, one: one.but(refusal=refusals[one.unit]))
        found = {one.unit.unit: one for one in await results(bob, told)}
        assert found[first.id].refused is None and found[first.id].unverified
        assert found[first.id].can_still_run
        refused = found[second.id].refused
        assert refused is not None and refused.rule is Rule.STATE_CHANGED
        assert not found[second.id].can_still_run


async def test_a_refusal_of_another_command(attack: Attack):
    async with attack() as bob:
        news, other = bob.world.open(POINT), bob.world.open(POINT)
        first = bob.world.units[0]
        elsewhere = no(other, first, Rule.STATE_CHANGED, first.key.sign)
        told = each(
            news,
            lambda _, one: one.but(refusal=elsewhere) if one.unit == first.id else one,
        )
        found = {one.unit.unit: one for one in await results(bob, told)}
        assert found[first.id].refused is None
        assert "another command" in str(found[first.id].unverified)
        assert found[first.id].can_still_run


async def test_a_refusal_says_whether_the_command_can_still_run(attack: Attack):
    """By the real unit: too few signatures may become enough, a state that is gone stays gone."""
    async with attack() as bob:
        unit = bob.world.units[0]
        command = unit.command(POINT)
        one = signed_command(
            command=to_bytes(command), approvals=(ALICE.approve(command),), contributions=()
        )
        refusal = unit.refuses(one)
        answer = machine.answer_refusal(unit.identity, unit.memory, command, refusal, unit.now)
        assert refusal.rule is Rule.TOO_FEW_SIGNATURES and refusal.facts.can_still_run
        assert answer.signature
        two = one.but(approvals=(*one.approvals, BOB.approve(command)))
        first = unit.execute(two)
        assert isinstance(first, Receipt)
        assert unit.execute(one) == first
