"""DESIGN §2.9: an agent follows one log that only grows, and says loudly when it doesn't."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.charter import Charter
from protocol.commands.bodies import SetControlPoint, SetThresholds
from protocol.identifiers import HOUR, MINUTE, Instant
from protocol.record.checkpoints import checkpoint_digest
from protocol.record.entries import EntryKind, entry_leaf
from protocol.record.operations import Ending
from protocol.report.evidence import OtherEntry, OwnEntry
from protocol.request import RequestState
from protocol.session.messages import (
    Accept,
    Announce,
    Approve,
    CharterNews,
    Consistency,
    Done,
    OfferKey,
    Publication,
    Reject,
    RequestNews,
    UnitApproval,
)
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from quorate.exits import Exit, Trouble
from signer_agent.daemon import link
from signer_agent.local.messages import (
    AcceptCharter,
    Gathered,
    GatherReport,
    GetStatus,
    HearCharter,
    Ok,
    Status,
)
from signer_agent.trust.evidence import AskConsistency, Question, Reply
from tests.attacks.bends import bend, no, opened, opening_of
from tests.attacks.conftest import Attack
from tests.attacks.evil_coordinator import Certificate
from tests.attacks.guarded import Guarded, guarded
from tests.attacks.victim import Victim, ends_with, foiled, says
from tests.cast.bare_agents import BareAgent
from tests.cast.charters import accepts, charter
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, CAROL, Custodian
from tests.cores.desk_world import Log

RAISE = SetThresholds(signatures=3, revocations=2)
POINT = SetControlPoint(point=55, on=True)
ANOTHER = signature_key("another coordinator")


def another_log(*entries: str, title: str = "log") -> Log:
    """What the same key signs for somebody else; with another title, another key."""
    log = Log(title)
    for entry in entries:
        log.append(entry)
    return log


def follows(bob: Victim, log: Callable[[int], Reply | None]) -> None:
    """From now on the coordinator answers questions about its log so."""

    def answer(question: Question) -> Reply | None:
        if isinstance(question, AskConsistency):
            return log(question.size)
        return bob.world.answer(question)

    bob.evil.answer = answer


async def alarmed(bob: Victim) -> Exit | None:
    status = await bob.client.ask(GetStatus(), Status)
    return None if status.alarm is None else status.alarm.exit


async def test_a_forked_log(attack: Attack):
    """One alarm for ever, over restarts, whatever the coordinator says afterwards."""
    async with attack() as bob:
        news = bob.world.open(RAISE)
        seen = await bob.sees(news)
        assert await alarmed(bob) is None
        other = another_log("not request 1", "request 2", "request 3")
        follows(bob, other.consistency)
        trouble = await bob.objects(seen)
        says(trouble, Exit.ALARM, "LOG_GOES_ON", "forked or rolled back", "call the others")
        bob.evil.answer = bob.world.answer
        says(await bob.objects(seen), Exit.ALARM, "LOG_GOES_ON")
        await bob.restart()
        says(await bob.objects(seen), Exit.ALARM, "LOG_GOES_ON", "kept as evidence")
        assert await alarmed(bob) is Exit.ALARM
        witness = bob.agent.kept.witness
        assert witness is not None and witness.fork is not None
        assert witness.fork.found == other.note() and witness.fork.seen != other.note()


async def test_only_a_version_that_names_another_log_ends_the_alarm(attack: Attack):
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(RAISE))
        follows(bob, another_log("not request 1", "request 2").consistency)
        await bob.objects(seen)
        older = bob.world.charter
        bob.world.log = Log("another log")
        bob.evil.answer = bob.world.answer
        coordinator = older.coordinator.but(log=bob.world.log.key.identity)
        newer = charter(bob.world.people, bob.world.units, previous=older, coordinator=coordinator)
        await bob.accepts(newer, others=[ALICE])
        assert await alarmed(bob) is None
        await bob.gives(await bob.sees(bob.world.open(POINT, charter=newer)))


async def test_a_log_that_was_rolled_back(attack: Attack):
    """The log key signs a shorter log, with a proof of nothing."""
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(RAISE))
        shorter = bob.world.log.note(1)
        follows(bob, lambda _: Consistency(ref=0, checkpoint=shorter, proof=()))
        says(await bob.objects(seen), Exit.ALARM, "LOG_GOES_ON", "entry 1,")
        assert await alarmed(bob) is Exit.ALARM


async def test_a_coordinator_that_says_itself_that_its_log_is_shorter(attack: Attack):
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(RAISE))
        follows(bob, another_log().consistency)
        trouble = await bob.objects(seen)
        says(trouble, Exit.ALARM, "LOG_GOES_ON", "rolled back", "was a backup restored")
        assert await alarmed(bob) is Exit.ALARM
        bob.evil.answer = bob.world.answer
        await bob.gives(seen)
        assert await alarmed(bob) is None


async def test_a_proof_that_proves_nothing(attack: Attack):
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(RAISE))
        bob.world.log.append("something more")
        follows(
            bob,
            lambda _: Consistency(ref=0, checkpoint=bob.world.log.note(), proof=(bytes(32),)),  # type: ignore[arg-type]
        )
        says(await bob.objects(seen), Exit.ALARM, "LOG_GOES_ON")


async def test_a_log_with_another_key(attack: Attack):
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(RAISE))
        follows(bob, another_log("request 1", "more", title="mallory's log").consistency)
        trouble = await bob.objects(seen)
        says(trouble, Exit.ALARM, None, "broke the protocol", "nothing was signed")
        bob.evil.answer = bob.world.answer
        await bob.gives(seen)


async def test_answers_about_the_log_are_hidden(attack: Attack, monkeypatch: pytest.MonkeyPatch):
    """It may refuse; then nothing is signed."""
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(RAISE))
        follows(bob, lambda _: None)
        monkeypatch.setattr(link, "ANSWER_SECONDS", 0.01)
        says(await bob.objects(seen), Exit.UNREACHABLE, None, "doesn't answer")
        bob.evil.answer = bob.world.answer
        monkeypatch.setattr(link, "ANSWER_SECONDS", 30)
        await bob.gives(seen)


async def test_no_report_is_made_of_another_log(attack: Attack):
    """The agent signs which log it saw: it must be the one that it follows."""
    async with attack() as bob:
        await bob.sees(bob.world.open(RAISE))
        follows(bob, another_log("not request 1", "request 2").consistency)
        trouble = await ends_with(bob.client.ask(GatherReport(), Gathered))
        says(trouble, Exit.ALARM, "LOG_GOES_ON", "forked or rolled back")


async def gathers(bob: Victim) -> Trouble | None:
    """What a report ends with, if anything is wrong."""
    try:
        await bob.client.ask(GatherReport(), Gathered)
    except Trouble as trouble:
        return trouble
    return None


def hides(bob: Victim, position: int) -> None:
    """Passes an entry off as another instance's: its leaf is the same, so the root is."""
    items = list(bob.world.log.items)
    item = items[position]
    assert isinstance(item, OwnEntry)
    items[position] = OtherEntry(leaf=entry_leaf(item.salted))
    bob.evil.log = lambda: items


async def test_nothing_that_the_maker_knows_of_is_hidden_in_a_report(attack: Attack):
    """Neither what others filed and gave and said, nor what the charter is."""
    async with attack() as bob:
        world, log = bob.world, bob.world.log
        log.record(EntryKind.CHARTER, world.charter)
        for who in world.people:
            log.record(EntryKind.ACCEPTANCE, accepts(who, world.charter))
        news = world.signed_by(world.open(RAISE), ALICE)
        opening, filing = opening_of(news), news.request.filing
        rejection = no(news, CAROL, CAROL)
        news = news.but(request=news.request.but(rejections=(rejection,)))
        log.record(EntryKind.FILING, sign_statement(Label.FILING, filing, ALICE.identity.sign))
        log.record(EntryKind.OPENING, opening)
        given = tuple(
            UnitApproval(unit=one.unit, approval=one.approvals[0]) for one in news.request.progress
        )
        log.record(
            EntryKind.APPROVAL,
            Approve(request=opening.digest, ski=ALICE.key.ski, approvals=given),
        )
        log.record(EntryKind.REJECTION, Reject(rejection=rejection))
        await bob.gives(await bob.sees(news))
        (own,) = bob.evil.given
        assert isinstance(own, Approve)
        log.record(EntryKind.APPROVAL, own)
        assert await gathers(bob) is None
        positions = [n for n, item in enumerate(log.items) if isinstance(item, OwnEntry)]
        assert len(positions) == 9
        for position in positions:
            hides(bob, position)
            trouble = await gathers(bob)
            assert trouble is not None, log.items[position]
            says(trouble, Exit.ALARM, "LOG_HOLDS_WHAT_HAPPENED", "hides", "call the others")
        # Of its own signature it needn't be told.
        assert "a signature of your own" in f"{trouble and trouble.expected}"


async def test_how_a_request_ended_is_not_hidden_in_a_report(attack: Attack):
    """Of one that was never opened there is nothing else: neither signatures nor receipts."""
    async with attack() as bob:
        world, log = bob.world, bob.world.log
        log.record(EntryKind.CHARTER, world.charter)
        for who in world.people:
            log.record(EntryKind.ACCEPTANCE, accepts(who, world.charter))
        news = world.open(RAISE)
        filing = news.request.filing
        log.record(EntryKind.FILING, sign_statement(Label.FILING, filing, ALICE.identity.sign))
        why = "cancelled by alice: not on the agenda"
        log.record(
            EntryKind.ENDING, Ending(filing=filing.digest, state=RequestState.CANCELLED, why=why)
        )
        ended = bend(news, state=RequestState.CANCELLED, why=why, opening=None, progress=())
        await bob.hears(ended)
        assert await gathers(bob) is None
        hides(bob, len(log.items) - 1)
        trouble = await gathers(bob)
        assert trouble is not None
        says(trouble, Exit.ALARM, "LOG_HOLDS_WHAT_HAPPENED", "how request 1 ended")


async def test_what_is_told_after_the_checkpoint_is_not_missed_in_a_report(attack: Attack):
    """Else an honest coordinator would be accused."""
    async with attack() as bob:
        world, looks = bob.world, [0]
        world.log.record(EntryKind.CHARTER, world.charter)
        for who in world.people:
            world.log.record(EntryKind.ACCEPTANCE, accepts(who, world.charter))
        news = world.open(RAISE)

        def told_at_the_second_look(question: Question) -> Reply | None:
            looks[0] += isinstance(question, AskConsistency)
            if looks[0] == 2:
                bob.agent.kept.know_request(news)
            return world.answer(question)

        bob.evil.answer = told_at_the_second_look
        assert await gathers(bob) is None
        assert await gathers(bob) is not None


async def test_the_last_checkpoint_is_named_at_hello(attack: Attack):
    async with attack() as bob:
        await bob.sees(bob.world.open(RAISE))
        await bob.restart()
        assert bob.evil.hellos[-1].checkpoint == bob.world.log.note()


# --- another coordinator, with another log --------------------------------------------------------


def moving(bob: Victim) -> Charter:
    """The version after the present one, which names another coordinator with another log."""
    older = bob.world.charter
    bob.world.log = Log("another log")
    coordinator = older.coordinator.but(identity=ANOTHER.identity, log=bob.world.log.key.identity)
    return charter(bob.world.people, bob.world.units, previous=older, coordinator=coordinator)


async def moves(bob: Victim, newer: Charter, *others: Custodian) -> None:
    """Bob accepts it, from a file; and these others, as the new coordinator tells."""
    await bob.client.ask(HearCharter(versions=(newer,), acceptances=()), Ok)
    bob.evil.identity, bob.evil.epoch = ANOTHER, bytes(16)
    yes = tuple(accepts(one, newer) for one in others)
    bob.evil.news = [CharterNews(charter=newer, acceptances=yes, in_force=True)]
    await bob.client.ask(AcceptCharter(charter=newer.digest), Ok)
    await bob.connected()
    await bob.looks()


def silently(_: Publication) -> Any:
    """It takes what it is sent and never acknowledges it."""


async def test_the_coordinator_moves_nobody_to_another_log(attack: Attack):
    """Whatever it says is in force: only the own person's Yes is followed."""
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(RAISE))
        followed, log = bob.agent.kept.witness, bob.world.log
        newer = moving(bob)
        for number in range(9):
            bob.world.log.append(f"more, {number}")
        yes = (accepts(ALICE, newer),)
        await bob.hears(CharterNews(charter=newer, acceptances=yes, in_force=True))
        says(await bob.objects(seen), Exit.ALARM, None, "broke the protocol")
        bob.world.log = log
        await bob.looks()
        now = bob.agent.kept.witness
        assert followed is not None and now is not None
        assert now.log == followed.log and now.size >= followed.size


async def test_before_the_version_is_in_force_nothing_is_signed_under_the_one_before(
    attack: Attack,
):
    """Some follow the one log and some the other: a command would not share one."""
    async with attack() as bob:
        older, newer = bob.world.charter, moving(bob)
        await moves(bob, newer)
        news = bob.world.open(RAISE, charter=older)
        await bob.hears(news)
        trouble = await bob.objects(number=news.request.id)
        says(trouble, Exit.REFUSED, "LOG_IN_FORCE", "isn't in force yet")
        with_alice = CharterNews(charter=newer, acceptances=(accepts(ALICE, newer),), in_force=True)
        await bob.hears(with_alice)
        await bob.looks()
        trouble = await bob.objects(number=news.request.id)
        says(trouble, Exit.ENDED, "CHARTER_NOT_IN_FORCE")
        await bob.gives(await bob.sees(bob.world.open(POINT, charter=newer)))


async def test_nothing_of_the_old_requests_is_sent_to_the_new_coordinator(attack: Attack):
    """What is open ends, and says what can still run; the new one is told who we are, no more."""
    async with attack() as bob:
        acknowledged = bob.evil.take
        bob.evil.take = silently  # so that it would be sent again
        news = bob.world.open(RAISE)
        seen = await bob.sees(news)
        giving = asyncio.create_task(ends_with(bob.gives(seen)))
        await bob.evil.until(lambda: bob.evil.given or None)
        newer = moving(bob)
        taken, bob.evil.take = len(bob.evil.taken), acknowledged
        await moves(bob, newer, ALICE)
        assert (await giving).exit is Exit.UNREACHABLE
        await bob.evil.until(
            lambda: next((one for one in bob.evil.taken[taken:] if isinstance(one, Accept)), None)
        )
        assert {type(one) for one in bob.evil.taken[taken:]} <= {Accept, OfferKey, Announce}
        ended = bob.agent.kept.requests[news.request.id].request
        assert (ended.state, ended.ended) == (RequestState.SUPERSEDED, True)
        assert "names another coordinator" in ended.why
        assert {one.request for one in bob.agent.kept.memory.given} == {seen.digest}


async def test_a_log_that_was_left_does_not_come_back(attack: Attack):
    """Its forks would be forgotten: the agent no longer keeps what it saw of it."""
    async with attack() as bob:
        older, newer = bob.world.charter, moving(bob)
        await moves(bob, newer, ALICE)
        again = charter(bob.world.people, bob.world.units, previous=newer)
        assert again.coordinator.log == older.coordinator.log
        yes = (accepts(ALICE, again),)
        await bob.hears(CharterNews(charter=again, acceptances=yes, in_force=True))
        trouble = await ends_with(bob.client.ask(AcceptCharter(charter=again.digest), Ok))
        says(trouble, Exit.ALARM, None, "wasn't accepted")


# --- the checkpoint of a request ----------------------------------------------------------------


def named(news: RequestNews, note: bytes | None) -> RequestNews:
    """The same request, opened at this checkpoint."""
    digest = checkpoint_digest(note or b"")
    return opened(news, checkpoint=digest).but(checkpoint=note)


async def test_a_request_at_a_checkpoint_of_another_log(attack: Attack):
    """So that two agents can't be shown two logs and sign one command."""
    async with attack() as bob:
        news = bob.world.open(RAISE)
        trouble = await foiled(bob, news, named(news, another_log("other").note()))
        says(trouble, Exit.ALARM, "CHECKPOINT_IN_LOG", "of another log", "call the others")


async def test_a_request_at_a_checkpoint_that_the_log_key_did_not_sign(attack: Attack):
    async with attack() as bob:
        news = bob.world.open(RAISE)
        trouble = await foiled(bob, news, named(news, Log("mallory's log").note()))
        says(trouble, Exit.ALARM, "CHECKPOINT_IN_LOG", "the log key didn't sign")


async def test_a_request_at_a_checkpoint_to_come(attack: Attack):
    """Signed by the log key for a log that is longer than it admits."""
    async with attack() as bob:
        news = bob.world.open(RAISE)
        longer = another_log(*(f"entry {number}" for number in range(9)))
        trouble = await foiled(bob, news, named(news, longer.note()))
        says(trouble, Exit.ALARM, "CHECKPOINT_IN_LOG")


async def test_a_request_without_the_checkpoint_that_it_names(attack: Attack):
    async with attack() as bob:
        news = bob.world.open(RAISE)
        for bent in (news.but(checkpoint=None), news.but(checkpoint=bob.world.log.note(1))):
            seen = await bob.sees(news)
            await bob.hears(bent)
            trouble = await bob.objects(seen)
            says(trouble, Exit.ALARM, "CHECKPOINT_IN_LOG", "doesn't come with the checkpoint")
        await bob.hears(news)
        await bob.gives(seen)


async def test_a_request_at_a_checkpoint_from_before_what_was_seen(attack: Attack):
    """Two logs, forked after it, would both hold it: so it is as new as the opening."""
    async with attack() as bob:
        old = bob.world.log.note()
        await bob.sees(bob.world.open(POINT))
        bob.world.now = Instant(bob.world.now + 10 * MINUTE)
        news = bob.world.open(RAISE)
        trouble = await foiled(bob, news, named(news, old))
        says(trouble, Exit.ALARM, "CHECKPOINT_RECENT", "older than what your agent had seen")


async def test_a_request_at_no_checkpoint_at_all(attack: Attack):
    """Every log goes on from the empty one."""
    async with attack() as bob:
        await bob.sees(bob.world.open(POINT))
        bob.world.now = Instant(bob.world.now + 10 * MINUTE)
        await bob.restart()
        news = bob.world.open(RAISE)
        trouble = await foiled(bob, news, named(news, bob.world.log.note(0)))
        says(trouble, Exit.ALARM, "CHECKPOINT_RECENT")


async def test_what_was_seen_after_the_opening_is_newer_than_its_checkpoint(attack: Attack):
    """However long it waits for its signatures, and however the log grows meanwhile."""
    async with attack() as bob:
        news = bob.world.open(RAISE)
        for hour in range(20):
            bob.world.log.append(f"hour {hour}")
            bob.world.now = Instant(bob.world.now + HOUR)
            seen = await bob.sees(news)
        await bob.gives(seen)


# --- the coordinator itself was rolled back -----------------------------------------------------


async def rolled_back(home: Guarded, note: bytes) -> bool:
    """Bob's agent has seen this of the log; then alice files. Whether nothing runs any more."""
    await home.agent(ALICE)
    token = await home.invite("bob")
    bob = BareAgent(BOB, home.invitation("bob", token), home.certificate.der)
    await bob.connect(enrol=True, checkpoint=note)
    home.agents["bob"] = bob
    filed = await home.agents["alice"].file(POINT, list(home.cast.targets))
    assert isinstance(filed, Done) and filed.request is not None
    if home.cast.ledger.rolled_back:
        await home.cast.pursuit._round()
        request = await home.cast.request(filed.request)
        return request.state is RequestState.WAITING_IN_LINE
    await home.cast.until(filed.request, RequestState.COLLECTING)
    return False


async def test_a_coordinator_that_lacks_what_an_agent_has_seen_runs_nothing(
    place: Path, certificate: Certificate
):
    """Longer than its log, or of the same length with another root: both signed by its own key."""
    for number, entries in enumerate((1, 50)):
        directory = place / str(number)
        directory.mkdir()
        log = another_log(*(f"entry {entry}" for entry in range(entries)))
        async with guarded(directory, certificate) as home:
            assert await rolled_back(home, log.note())


async def test_a_checkpoint_that_anybody_made_up_stops_nothing(
    place: Path, certificate: Certificate
):
    """Else any agent could stop the coordinator."""
    log = another_log(*(f"entry {entry}" for entry in range(50)), title="mallory's log")
    async with guarded(place, certificate) as home:
        assert not await rolled_back(home, log.note())
