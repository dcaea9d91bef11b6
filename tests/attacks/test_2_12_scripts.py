"""DESIGN §2.12: a policy answers what it names and nothing else, whoever is behind it.

Here the coordinator *and* the filer whom bob's policy names are evil. What they can have is what
the policy says, and the control of every test is that they get that.
"""

from collections.abc import Callable
from typing import Any

import pytest

from protocol.commands.bodies import CommitNewRegister, SetControlPoint, SetImmediate, Zeroize
from protocol.displayable import AccountName, Purpose
from protocol.identifiers import DAY, HOUR, Instant
from protocol.refusals import Rule, refuse
from protocol.request import CeremonyStep
from protocol.secrets import Secret
from protocol.session.messages import Approve, Contribute, Done, Refused, RequestNews
from quorate import private_files
from signer_agent.daemon.script import Script, open_policy
from signer_agent.trust.evidence import AskStates, Question, Reply
from tests.attacks.bends import bend, loaded, opened, opening_of, refiled, signed_by
from tests.attacks.conftest import Attack
from tests.attacks.victim import PASSWORD, Victim
from tests.cast.commands import nonce, request_digest
from tests.cast.people import ALICE, BOB, CAROL, MALLORY
from tests.cores.desk_world import World

PURPOSE = "First initialisation, ticket CER-12"


def policy_of(bob: Victim, vp: bytes, times: int = 1) -> Script:
    """Bob lets alice have one commit of this key signed, on both units."""
    targets = ", ".join(f'"{unit.id.hex()}"' for unit in bob.world.units)
    path = bob.directory.path / "policy.toml"
    text = f"""
name = "nightly"
filer = "{ALICE.agent.hex()}"
until = 2026-12-02T12:00:00Z
[[allow]]
command = "commit-new-register"
key = "{vp.hex()}"
targets = [{targets}]
purpose = "{PURPOSE}"
times = {times}
sign-with = "{BOB.key.ski.hex()}"
"""
    private_files.write(path, text.encode(), untouched="no policy")
    opened_policy = open_policy(path, bob.directory, lambda file: Secret(PASSWORD), practice=True)
    return Script(bob.agent, opened_policy)


async def answered(bob: Victim, script: Script, news: RequestNews) -> bool:
    """Whether the policy gives anything for this."""
    before = len(bob.evil.given)
    await bob.hears(news)
    await script.look()
    digest = opening_of(news).digest
    given = [one for one in bob.evil.given[before:] if isinstance(one, Approve | Contribute)]
    return any(one.request == digest for one in given)


def another_command(world: World, news: RequestNews) -> RequestNews:
    return refiled(news, by=ALICE, body=Zeroize())


def another_point(world: World, news: RequestNews) -> RequestNews:
    return refiled(news, by=ALICE, body=SetControlPoint(point=55, on=True))


def immediate(world: World, news: RequestNews) -> RequestNews:
    body = news.request.filing.body
    assert isinstance(body, CommitNewRegister)
    return refiled(news, by=ALICE, body=SetImmediate(vp=body.vp))


def another_key(world: World, news: RequestNews) -> RequestNews:
    other = request_digest("another key")
    return refiled(news, by=ALICE, body=CommitNewRegister(vp=other))  # type: ignore[arg-type]


def another_purpose(world: World, news: RequestNews) -> RequestNews:
    return refiled(news, by=ALICE, purpose=Purpose(PURPOSE + "."))


def longer(world: World, news: RequestNews) -> RequestNews:
    bent = refiled(news, by=ALICE, valid_for=2 * DAY)
    return opened(bent, not_after=Instant(world.now + 2 * DAY))


def as_a_step(world: World, news: RequestNews) -> RequestNews:
    return refiled(news, by=ALICE, step=CeremonyStep(ceremony="rotate", step=1))


def leaving_out(world: World, news: RequestNews) -> RequestNews:
    """Filed for both, opened for one: the other is out of reach, says the coordinator."""
    bent = refiled(news, by=ALICE, leave_out=True)
    first, second = opening_of(bent).targets
    bent = opened(bent, targets=(first,), left_out=(second,))
    return bend(bent, progress=bent.request.progress[:1])


def on_fewer_targets(world: World, news: RequestNews) -> RequestNews:
    bent = refiled(news, by=ALICE, targets=news.request.filing.targets[:1])
    bent = opened(bent, targets=opening_of(bent).targets[:1])
    return bend(bent, progress=bent.request.progress[:1])


def by_another_filer(world: World, news: RequestNews) -> RequestNews:
    return refiled(news, by=CAROL, custodian=CAROL.agent)


def by_an_operator(world: World, news: RequestNews) -> RequestNews:
    return bend(refiled(news, custodian=None, account=AccountName("alice")), signature=None)


def in_the_filers_name(world: World, news: RequestNews) -> RequestNews:
    return bend(news, signature=signed_by(MALLORY, news.request.filing))


def for_another_opening(world: World, news: RequestNews) -> RequestNews:
    return opened(news, filing=request_digest("another filing"))


@pytest.mark.parametrize(
    "how",
    [
        another_command,
        another_point,
        immediate,
        another_key,
        another_purpose,
        longer,
        as_a_step,
        leaving_out,
        on_fewer_targets,
        by_another_filer,
        by_an_operator,
        in_the_filers_name,
        for_another_opening,
    ],
)
async def test_what_the_policy_does_not_name_waits(
    attack: Attack, how: Callable[[World, RequestNews], RequestNews]
):
    async with attack() as bob:
        vp = loaded(bob.world)
        script = policy_of(bob, vp)
        news = bob.world.open(CommitNewRegister(vp=vp))
        assert not await answered(bob, script, how(bob.world, news))
        assert bob.evil.given == [] and script.left() == 1
        assert await answered(bob, script, news)
        (sent,) = bob.evil.given
        assert isinstance(sent, Approve) and len(sent.approvals) == 2
        assert script.left() == 0


async def test_so_often_and_not_more_often(attack: Attack):
    """The filer makes filings that differ in their nonce only; the agent counts, over restarts."""
    async with attack() as bob:
        vp = loaded(bob.world)
        script = policy_of(bob, vp, times=2)

        def again(number: int) -> RequestNews:
            filing = bob.world.filing(CommitNewRegister(vp=vp), nonce=nonce(f"filing {number}"))
            return bob.world.open(filing.body, filing=filing)

        assert await answered(bob, script, again(1))
        bob.agent.kept.set_memory(bob.agent.kept.memory.forgetting(Instant(1 << 52)), {})
        assert await answered(bob, script, again(2))
        await bob.restart()
        script = policy_of(bob, vp, times=2)
        assert script.left() == 0
        bob.agent.kept.set_memory(bob.agent.kept.memory.forgetting(Instant(1 << 52)), {})
        assert not await answered(bob, script, again(3))


async def test_one_filing_is_answered_once_however_often_it_is_opened(attack: Attack):
    """The coordinator opens alice's filing again, for the state that followed."""
    async with attack() as bob:
        vp = loaded(bob.world)
        script = policy_of(bob, vp, times=5)
        filing = bob.world.filing(CommitNewRegister(vp=vp))
        assert await answered(bob, script, bob.world.open(filing.body, filing=filing))
        bob.world.pass_time(HOUR)
        again = bob.world.open(filing.body, filing=filing)
        assert not await answered(bob, script, again)
        assert script.left() == 4


async def test_it_ends_when_it_says(attack: Attack):
    async with attack() as bob:
        vp = loaded(bob.world)
        script = policy_of(bob, vp)
        bob.world.now = Instant(bob.world.now + 8 * DAY)
        for unit in bob.world.units:
            unit.now = bob.world.now
        await bob.reconnect()
        assert not await answered(bob, script, bob.world.open(CommitNewRegister(vp=vp)))
        assert script.left() == 0


async def test_a_use_counts_though_the_coordinator_refuses_the_signature(attack: Attack):
    """It has the signature; so its No gives it no second one."""
    async with attack() as bob:
        vp = loaded(bob.world)
        script = policy_of(bob, vp)
        no = refuse(Rule.SIGNATURE_NOT_WANTED, expected="another", found="this")
        bob.evil.take = lambda _: Refused(ref=0, refusal=no)
        assert await answered(bob, script, bob.world.open(CommitNewRegister(vp=vp)))
        assert script.left() == 0
        bob.evil.take = _stored
        filing = bob.world.filing(CommitNewRegister(vp=vp), nonce=nonce("another filing"))
        assert not await answered(bob, script, bob.world.open(filing.body, filing=filing))


def _stored(_: Any) -> Done:
    return Done(ref=0, request=None)


async def test_the_checks_of_a_person_come_first(attack: Attack):
    """What would be an alarm for bob is none of the policy's business."""
    async with attack() as bob:
        vp = loaded(bob.world)
        script = policy_of(bob, vp)
        news = bob.world.open(CommitNewRegister(vp=vp))
        old = bob.world.answer(next(one for one in bob.evil.asked if isinstance(one, AskStates)))

        def replay(question: Question) -> Reply | None:
            return old if isinstance(question, AskStates) else bob.world.answer(question)

        bob.evil.answer = replay
        assert not await answered(bob, script, news)
        bob.evil.answer = bob.world.answer
        bob.world.out_of_reach = {bob.world.units[0].id}
        assert not await answered(bob, script, bend(news, changed=Instant(1)))
        bob.world.out_of_reach = set()
        assert await answered(bob, script, bend(news, changed=Instant(2)))
