"""DESIGN §2.11: others' answers are shown when they are verified, and what isn't is marked."""

from collections.abc import Callable

import pytest

from protocol.commands.bodies import SetControlPoint
from protocol.displayable import AccountName, PersonName, Reason
from protocol.identifiers import Digest, Instant, Signature
from protocol.request import Announcement, Rejection, Request, TargetProgress, open_filing
from protocol.schema import from_bytes, to_bytes
from protocol.sealing.importer import ImporterKey
from protocol.session.messages import (
    AgentNews,
    FileRequest,
    KeyNews,
    PartNews,
    Reject,
)
from protocol.signing.labels import Label, labelled
from protocol.signing.statements import sign_statement
from quorate.exits import Exit
from signer_agent.desk.filing import wish
from signer_agent.local.messages import (
    Charters,
    FileWish,
    GetCharters,
    Ok,
    RejectRequest,
)
from tests.attacks.bends import bend, each, no, opened, refiled, signed_by
from tests.attacks.conftest import Attack
from tests.attacks.victim import ends_with, foiled, says
from tests.cast.commands import NOON, contribution, load_of, request_digest
from tests.cast.people import ALICE, BOB, CAROL, MALLORY, Custodian, approval
from tests.cores.desk_world import World

POINT = SetControlPoint(point=55, on=True)


# --- who asks -----------------------------------------------------------------------------------


async def test_an_operators_filing_is_marked(attack: Attack):
    """An account has no key; so the coordinator may say what it likes, and that is said."""
    async with attack() as bob:
        filing = bob.world.filing(POINT, custodian=None, account=AccountName("amy"))
        screen = await bob.sees(bob.world.open(POINT, filing=filing))
        assert screen.filed_by.operator and not screen.filed_by.verified


async def test_a_filing_taken_from_its_custodian_is_marked(attack: Attack):
    """The coordinator turns alice's filing into an operator's: it isn't hers any more."""
    async with attack() as bob:
        news = bob.world.open(POINT)
        assert (await bob.sees(news)).filed_by.verified
        bent = refiled(news, custodian=None, account=AccountName("alice"))
        screen = await bob.sees(bend(bent, signature=None))
        assert screen.filed_by.operator and not screen.filed_by.verified


@pytest.mark.parametrize("forger", [MALLORY, CAROL])
async def test_a_filing_in_somebody_elses_name(attack: Attack, forger: Custodian):
    """Also by another custodian, who could file it in their own."""
    async with attack() as bob:
        news = bob.world.open(POINT)
        bent = bend(news, signature=signed_by(forger, news.request.filing))
        says(await foiled(bob, news, bent), Exit.ALARM, "FILER_IN_CHARTER", "call alice")


async def test_the_agent_files_in_its_own_name(attack: Attack):
    async with attack() as bob:
        await ends_with(bob.client.ask(FileWish(wish=wish(POINT, [bob.world.units[0].id])), Ok))
        (filed,) = [one for one in bob.evil.taken if isinstance(one, FileRequest)]
        assert open_filing(filed.filing, BOB.agent).custodian == BOB.agent


# --- who has answered ---------------------------------------------------------------------------


async def test_a_rejection_that_nobody_signed_is_not_shown(attack: Attack):
    async with attack() as bob:
        news = bob.world.open(POINT)
        elsewhere = no(bob.world.open(POINT), CAROL, CAROL)
        forged = (no(news, CAROL, MALLORY), no(news, MALLORY, MALLORY), elsewhere)
        screen = await bob.sees(bend(news, rejections=forged))
        assert screen.rejections == ()
        screen = await bob.sees(bend(news, rejections=(*forged, no(news, CAROL, CAROL))))
        assert [one.person for one in screen.rejections] == ["carol"]


async def test_signatures_that_nobody_gave_are_not_counted(attack: Attack):
    """The coordinator says "1 of 2: alice" so that bob gives the last one."""
    async with attack() as bob:
        news = bob.world.open(POINT)

        def forge(request: Request, one: TargetProgress) -> TargetProgress:
            command = request.command(one.target)
            forged = approval(MALLORY.key, command).but(ski=ALICE.key.ski)
            old = approval(ALICE.key, command.but(practice=False))
            stranger = approval(MALLORY.key, command)
            return one.but(approvals=(forged, old, stranger))

        screen = await bob.sees(each(news, forge))
        assert (screen.have, screen.signed_by) == (0, ())
        assert any("doesn't verify" in one for one in screen.uncounted)
        assert any("isn't installed" in one for one in screen.uncounted)
        honest = bob.world.signed_by(news, ALICE)
        screen = await bob.sees(honest)
        assert (screen.have, [one.person for one in screen.signed_by]) == (1, ["alice"])


async def test_a_signature_on_one_unit_is_not_shown_for_all(attack: Attack):
    async with attack() as bob:
        news = bob.world.signed_by(bob.world.open(POINT), ALICE)
        first = bob.world.units[0].id
        one_only = each(news, lambda _, one: one if one.unit == first else one.but(approvals=()))
        screen = await bob.sees(one_only)
        assert (screen.have, screen.signed_by) == (0, ())


async def test_a_part_that_its_custodian_did_not_give_is_not_shown_as_given(attack: Attack):
    async with attack() as bob:
        news = bob.world.open(load_of([(ALICE, ALICE.part()), (BOB, BOB.part())]))

        def give(by: Custodian) -> Callable[[Request, TargetProgress], TargetProgress]:
            def change(request: Request, one: TargetProgress) -> TargetProgress:
                assert one.importer is not None
                importer = from_bytes(ImporterKey, one.importer.statement)
                forged = contribution((ALICE, ALICE.part()), request.command(one.target), importer)
                signature = by.identity.sign(labelled(Label.CONTRIBUTION, forged.statement))
                return one.but(contributions=(forged.but(signature=Signature(signature)),))

            return change

        screen = await bob.sees(each(news, give(MALLORY)))
        assert [one.given for one in screen.parts] == [False, False]
        screen = await bob.sees(each(news, give(ALICE)))
        assert [one.given for one in screen.parts] == [True, False]


# --- what is offered ----------------------------------------------------------------------------


async def test_what_is_announced_in_somebodys_name_is_not_kept(attack: Attack):
    async with attack() as bob:
        announcement = Announcement(
            instance=bob.world.charter.instance,
            custodian=ALICE.agent,
            vp=request_digest("a part"),  # type: ignore[arg-type]
            description="alice part",
            offered=True,
            at=NOON,
        )
        forged = sign_statement(Label.ANNOUNCEMENT, announcement, MALLORY.identity.sign)
        good = sign_statement(Label.ANNOUNCEMENT, announcement, ALICE.identity.sign)
        key = CAROL.proven().but(proof=MALLORY.proven().proof)
        await bob.hears(PartNews(announcement=forged), KeyNews(key=key))
        known = await bob.client.ask(GetCharters(), Charters)
        assert known.parts == () and known.keys == ()
        elsewhere = announcement.but(instance="ledger-us")
        replayed = sign_statement(Label.ANNOUNCEMENT, elsewhere, ALICE.identity.sign)
        await bob.hears(PartNews(announcement=replayed))
        assert (await bob.client.ask(GetCharters(), Charters)).parts == ()
        await bob.hears(PartNews(announcement=good), KeyNews(key=CAROL.proven()))
        known = await bob.client.ask(GetCharters(), Charters)
        assert known.parts == (announcement,) and known.keys == (CAROL.proven(),)


async def test_an_agent_that_the_coordinator_made_up_is_nobody(attack: Attack):
    """It may say that mallory's agent is alice's; her signature under a filing says otherwise."""
    async with attack() as bob:
        await bob.hears(
            AgentNews(person=PersonName("alice"), agent=MALLORY.agent, enrolled=Instant(0))
        )
        news = bob.world.open(POINT)
        bent = refiled(news, by=MALLORY, custodian=MALLORY.agent)
        says(await foiled(bob, news, bent), Exit.ALARM, "FILER_IN_CHARTER", "outside your charter")


# --- one's own No -------------------------------------------------------------------------------


async def test_a_no_is_to_what_was_read(attack: Attack):
    """Shown one request, bob's No must not serve as his No to another."""
    async with attack() as bob:
        news, other = bob.world.open(POINT), bob.world.open(POINT)
        assert other.request.opening is not None
        bent = opened(news, filing=other.request.filing.digest)
        await bob.hears(bent)
        asked = RejectRequest(number=1, reason=Reason("not on the agenda"))
        trouble = await ends_with(bob.client.ask(asked, Ok))
        says(trouble, Exit.ALARM, "FILING_UNCHANGED")
        assert not any(isinstance(one, Reject) for one in bob.evil.taken)
        await bob.hears(news)
        await bob.client.ask(asked, Ok)
        (sent,) = [one for one in bob.evil.taken if isinstance(one, Reject)]
        rejection = from_bytes(Rejection, sent.rejection.statement)
        assert news.request.opening is not None
        assert rejection.request == news.request.opening.digest


def test_digests_tell_filings_apart():
    """What the tests above rest on."""
    world = World()
    one, two = world.filing(POINT), world.filing(POINT)
    assert one.digest != two.digest and isinstance(Digest(one.digest), bytes)
    assert to_bytes(one) != to_bytes(two)
