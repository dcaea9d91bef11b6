"""DESIGN §2.4: what you see is what you sign.

The person has looked at an honest request. Then the coordinator tells another, or answers the
agent's questions otherwise: nothing is signed, and the agent says what is wrong. In each test the
same agent signs the honest request afterwards.
"""

import io
from collections.abc import Callable

import pytest

from hsm_backend.unit import machine
from protocol.commands.bodies import CommitNewRegister, SetThresholds, Void, Zeroize
from protocol.displayable import AccountName, Purpose
from protocol.identifiers import DAY, MINUTE, SECOND, Instant
from protocol.receipts import StateAnswer
from protocol.refusals import Rule
from protocol.request import RequestState
from protocol.schema import from_bytes
from protocol.session.messages import HistoryPage, RequestNews, States
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from quorate.console import Console
from quorate.exits import Exit
from signer_agent.cli.screens import lines_of
from signer_agent.trust.evidence import AskStates, Question, Reply
from tests.attacks.bends import bend, each, loaded, opened, opening_of, refiled
from tests.attacks.conftest import Attack
from tests.attacks.victim import Victim, ends_with, foiled, says
from tests.cast.commands import request_digest
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, MALLORY
from tests.cast.units import CastUnit
from tests.cores.desk_world import World

Bend = Callable[[World, RequestNews], RequestNews]


def other_body(_: World, news: RequestNews) -> RequestNews:
    """The people are shown a commit; the coordinator opens a zeroize."""
    return bend(news, filing=news.request.filing.but(body=Zeroize()))


def other_body_opened(_: World, news: RequestNews) -> RequestNews:
    return refiled(news, body=Zeroize())


def other_purpose(_: World, news: RequestNews) -> RequestNews:
    return refiled(news, purpose=Purpose("the auditors asked for it"))


def unsigned(_: World, news: RequestNews) -> RequestNews:
    return bend(news, signature=None)


def filed_by_an_outsider(_: World, news: RequestNews) -> RequestNews:
    return refiled(news, by=MALLORY, custodian=MALLORY.agent)


def filed_in_alices_name(_: World, news: RequestNews) -> RequestNews:
    return refiled(news, by=MALLORY, body=Zeroize())


def target_added(world: World, news: RequestNews) -> RequestNews:
    """Filed for the first unit, opened for both."""
    both = bend(world.open(news.request.filing.body), id=news.request.id)
    fewer = news.request.filing.but(targets=news.request.filing.targets[:1])
    return bend(both, filing=fewer, opening=opening_of(both).but(filing=fewer.digest))


def target_left_out(_: World, news: RequestNews) -> RequestNews:
    first, second = opening_of(news).targets
    one = opened(news, targets=(first,), left_out=(second,))
    return bend(one, progress=news.request.progress[:1])


def one_target_twice(_: World, news: RequestNews) -> RequestNews:
    first, _second = news.request.progress
    return bend(news, progress=(first, first))


def longer(world: World, news: RequestNews) -> RequestNews:
    return opened(news, not_after=Instant(world.now + 2 * DAY))


def opened_late(world: World, news: RequestNews) -> RequestNews:
    """A filing of long ago, whose filer may have changed their mind."""
    return refiled(news, by=ALICE, at=Instant(world.now - 8 * DAY))


def another_instance(_: World, news: RequestNews) -> RequestNews:
    return refiled(news, by=ALICE, instance="ledger-us")


def for_real(_: World, news: RequestNews) -> RequestNews:
    return opened(news, practice=False)


def unit_of_nobody(_: World, news: RequestNews) -> RequestNews:
    """Filed, by somebody who colludes, for a unit that the charter doesn't hold."""
    theirs = World(3, 3).units[2]
    filing = news.request.filing.but(targets=(theirs.id,))
    one = news.request.progress[0]
    seen = theirs.seen()
    target = one.target.but(
        unit=theirs.id,
        incarnation=seen.incarnation,
        version=seen.version,
        state=seen.state_digest,
    )
    return bend(
        opened(refiled(news, by=ALICE, targets=filing.targets), targets=filing.targets),
        progress=(one.but(target=target),),
    )


def state_to_come(_: World, news: RequestNews) -> RequestNews:
    """Signed now, it would run on ground that nobody has seen yet."""
    return each(news, lambda _, one: one.but(target=one.target.but(version=one.target.version + 1)))


def state_never_seen(_: World, news: RequestNews) -> RequestNews:
    other = request_digest("another state")
    return each(news, lambda _, one: one.but(target=one.target.but(state=other)))


def ends_before_it_begins(world: World, news: RequestNews) -> RequestNews:
    """No command can be valid so: what can't be built must not end in a crash."""
    return opened(
        news, not_before=Instant(world.now + 3 * DAY), not_after=Instant(world.now + 2 * DAY)
    )


def importer_for_a_commit(_: World, news: RequestNews) -> RequestNews:
    importer = request_digest("importer")
    return each(news, lambda _, one: one.but(target=one.target.but(importer=importer)))


@pytest.mark.parametrize(
    ("how", "exit", "rule", "text"),
    [
        (other_body, Exit.ALARM, "FILING_UNCHANGED", "isn't what was filed"),
        (other_body_opened, Exit.ALARM, "FILER_IN_CHARTER", "alice didn't sign that"),
        (other_purpose, Exit.ALARM, "FILER_IN_CHARTER", "alice didn't sign that"),
        (unsigned, Exit.ALARM, "FILER_IN_CHARTER", "alice didn't sign that"),
        (filed_by_an_outsider, Exit.ALARM, "FILER_IN_CHARTER", "outside your charter"),
        (filed_in_alices_name, Exit.ALARM, "FILER_IN_CHARTER", "call alice"),
        (target_added, Exit.ALARM, "FILER_IN_CHARTER", "alice didn't sign that"),
        (target_left_out, Exit.ALARM, "TARGETS_OF_FILING", "1 left out"),
        (one_target_twice, Exit.ALARM, "TARGETS_OF_FILING", "2 targets"),
        (longer, Exit.ALARM, "TIMES_OF_FILING", "172800 s"),
        (opened_late, Exit.ALARM, "TIMES_OF_FILING", "691200 s after"),
        (another_instance, Exit.ALARM, "SAME_INSTANCE", "ledger-us"),
        (for_real, Exit.ALARM, "SAME_INSTANCE", "practice: no"),
        (unit_of_nobody, Exit.ALARM, Rule.UNIT_NOT_IN_CHARTER, "your charter doesn't hold"),
        (state_to_come, Exit.ALARM, Rule.STATE_CHANGED, "your agent can't see"),
        (state_never_seen, Exit.ENDED, Rule.STATE_CHANGED, "superseded"),
        (ends_before_it_begins, Exit.ALARM, "TIMES_OF_FILING", "valid for"),
        (importer_for_a_commit, Exit.ALARM, "TARGETS_OF_FILING", "for a load or an export only"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
async def test_what_was_told_otherwise(attack: Attack, how: Bend, exit: Exit, rule: str, text: str):
    async with attack() as bob:
        vp = loaded(bob.world)
        news = bob.world.open(CommitNewRegister(vp=vp))
        trouble = await foiled(bob, news, how(bob.world, news))
        says(trouble, exit, rule, text)


async def test_another_request_under_the_same_number(attack: Attack):
    """Honest in itself, but not what the person has looked at."""
    async with attack() as bob:
        loaded(bob.world)
        seen = await bob.sees(bob.world.open(SetThresholds(signatures=3, revocations=2)))
        other = bend(bob.world.open(Zeroize()), id=seen.request)
        await bob.hears(other)
        says(
            await ends_with(bob.gives(seen)), Exit.ENDED, None, "has changed", "nothing was signed"
        )
        assert not bob.evil.given
        await bob.gives(await bob.shown(seen.request))


# --- states -------------------------------------------------------------------------------------


async def caught(bob: Victim, answer: Callable[[Question], Reply | None]) -> str:
    """The person has looked at an honest request; from then on questions are answered so.

    Nothing is given; what the agent says. With honest answers it gives.
    """
    seen = await bob.sees(bob.world.open(SetThresholds(signatures=3, revocations=2)))
    bob.evil.answer = answer
    trouble = await bob.objects(seen)
    assert trouble.exit is Exit.ALARM and "nothing was signed" in str(trouble.next)
    bob.evil.answer = bob.world.answer
    await bob.gives(seen)
    return trouble.what


async def test_an_old_state_signed_for_an_earlier_question(attack: Attack):
    async with attack() as bob:
        old = bob.world.answer(next(one for one in bob.evil.asked if isinstance(one, AskStates)))

        def replay(question: Question) -> Reply | None:
            return old if isinstance(question, AskStates) else bob.world.answer(question)

        assert "signed for an earlier question" in await caught(bob, replay)


def answers(question: Question, world: World, bend: Callable[[Signed], Signed]) -> Reply | None:
    reply = world.answer(question)
    if not isinstance(reply, States):
        return reply
    return reply.but(answers=tuple(bend(one) for one in reply.answers))


async def test_a_state_that_the_coordinator_made_up(attack: Attack):
    async with attack() as bob:

        def forge(one: Signed) -> Signed:
            answer = from_bytes(StateAnswer, one.statement)
            higher = answer.but(state=answer.state.but(signature_threshold=1))
            return sign_statement(Label.STATE_ANSWER, higher, bob.evil.identity.sign)

        what = await caught(bob, lambda question: answers(question, bob.world, forge))
        assert "doesn't verify" in what


async def test_another_units_state(attack: Attack):
    async with attack() as bob:
        stranger = World(3, 3).units[2]

        def swap(one: Signed) -> Signed:
            asked = from_bytes(StateAnswer, one.statement)
            return machine.answer_state(
                stranger.identity, stranger.memory, asked.nonces, bob.world.now
            )

        what = await caught(bob, lambda question: answers(question, bob.world, swap))
        assert "wasn't asked for" in what


async def test_one_unit_that_speaks_for_another(attack: Attack):
    async with attack() as bob:
        first, second = bob.world.units

        def lie(one: Signed) -> Signed:
            asked = from_bytes(StateAnswer, one.statement)
            if asked.unit == first.id:
                return one
            return sign_statement(Label.STATE_ANSWER, asked, first.key.sign)

        what = await caught(bob, lambda question: answers(question, bob.world, lie))
        assert "doesn't verify" in what
        assert second.seen().version == 5


@pytest.mark.parametrize("reply", [HistoryPage(ref=0, entries=()), States(ref=0, answers=())])
async def test_an_answer_to_another_question(attack: Attack, reply: Reply):
    async with attack() as bob:
        first = bob.world.units[0]
        elsewhere = machine.answer_state(first.identity, first.memory, (), bob.world.now)

        def wrong(question: Question) -> Reply | None:
            if not isinstance(question, AskStates):
                return bob.world.answer(question)
            return reply.but(answers=(elsewhere,)) if isinstance(reply, States) else reply

        assert "broke the protocol" in await caught(bob, wrong)


async def test_a_unit_that_moves_while_the_password_is_typed(attack: Attack):
    async with attack() as bob:
        news = bob.world.open(SetThresholds(signatures=3, revocations=2))
        seen = await bob.sees(news)
        bob.world.units[0].run(Void(), [ALICE])
        trouble = await bob.objects(seen)
        says(trouble, Exit.ENDED, Rule.STATE_CHANGED, "superseded", "nothing was signed")
        again = bob.world.open(SetThresholds(signatures=3, revocations=2))
        await bob.gives(await bob.sees(again))


async def test_a_unit_that_moves_with_its_request(attack: Attack):
    """The coordinator re-targets the same request to the state that followed."""
    async with attack() as bob:
        unit = bob.world.units[0]
        news = bob.world.open(SetThresholds(signatures=3, revocations=2))
        seen = await bob.sees(news)
        unit.run(Void(), [ALICE])

        def follow(cast: CastUnit) -> RequestNews:
            now = cast.seen()
            return each(
                news,
                lambda _, one: (
                    one.but(target=one.target.but(version=now.version, state=now.state_digest))
                    if one.unit == cast.id
                    else one
                ),
            )

        await bob.hears(follow(unit))
        trouble = await ends_with(bob.gives(seen))
        says(trouble, Exit.ENDED, None, "has changed", "state version")
        assert not bob.evil.given
        await bob.gives(await bob.shown(seen.request))


async def test_a_state_that_came_too_slowly(attack: Attack):
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(SetThresholds(signatures=3, revocations=2)))

        def slowly(question: Question) -> Reply | None:
            reply = bob.world.answer(question)
            if isinstance(question, AskStates):
                bob.world.pass_time(MINUTE + SECOND)
            return reply

        bob.evil.answer = slowly
        trouble = await bob.objects(seen)
        says(trouble, Exit.UNREACHABLE, "STATE_FRESH", "at most 1 min old", "nothing was signed")
        bob.evil.answer = bob.world.answer
        await bob.gives(seen)


# --- the screen ---------------------------------------------------------------------------------

OBEYED = "harmless\x1b[2J\x1b[1;1H\u202ekcab\nSigned by    alice, bob, carol, verified"


async def test_nobodys_words_rewrite_the_terminal(attack: Attack):
    """Neither escape sequences nor line breaks of others reach the screen as they are."""
    async with attack() as bob:
        filing = bob.world.filing(
            SetThresholds(signatures=3, revocations=2),
            custodian=None,
            account=AccountName("amy"),
            purpose=Purpose(OBEYED),
        )
        news = bob.world.open(filing.body, filing=filing)
        screen = await bob.sees(news)
        out = io.StringIO()
        console = Console(out=out)
        for line in lines_of(screen, now=bob.world.now):
            console.say(line)
        assert "harmless" in out.getvalue()
        assert_tame(out.getvalue())


async def test_nobodys_reason_rewrites_the_terminal(attack: Attack):
    async with attack() as bob:
        news = bob.world.open(SetThresholds(signatures=3, revocations=2))
        await bob.hears(bend(news, state=RequestState.CANCELLED, why=OBEYED))
        trouble = await ends_with(bob.shown(1))
        err = io.StringIO()
        Console(err=err).trouble(trouble)
        assert "harmless" in err.getvalue()
        assert_tame(err.getvalue())


def assert_tame(text: str) -> None:
    assert "\x1b" not in text and "\u202e" not in text
    assert not any(line.startswith("Signed by    alice") for line in text.splitlines())


def test_the_attackers_key_is_none_of_the_units():
    """What the forgeries above rest on."""
    world = World()
    keys = {unit.key.identity for unit in world.units}
    assert signature_key("coordinator").identity not in keys
