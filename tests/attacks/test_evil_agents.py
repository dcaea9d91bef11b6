"""Evil custodians' agents against the real coordinator (issue 4, §6; DESIGN §2.11).

The session proves who sends: nothing is taken in another's name. What doesn't count is refused,
isn't counted, and is written to the log as an alarm.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.engine import charters, publications
from coordinator.workflow import filing as filing_rules
from protocol.charter import Floor
from protocol.commands.bodies import Body, SetControlPoint
from protocol.commands.command import Approval
from protocol.displayable import InstanceName, Reason
from protocol.identifiers import DAY, Instant, Nonce, Signature
from protocol.record.entries import EntryKind
from protocol.refusals import Rule
from protocol.request import DEFAULT_VALIDITY, Announcement, Filing, Rejection, Request
from protocol.schema import from_bytes
from protocol.sealing.contribution import vp_of
from protocol.sealing.importer import ImporterKey
from protocol.session.messages import (
    Accept,
    Announce,
    Approve,
    Cancel,
    Contribute,
    Done,
    FileRequest,
    OfferKey,
    Proceed,
    ProposeCharter,
    Publication,
    Refused,
    Reject,
    UnitApproval,
    UnitContribution,
)
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from tests.attacks.evil_coordinator import Certificate
from tests.attacks.guarded import Guarded, guarded
from tests.cast.bare_agents import BareAgent
from tests.cast.charters import accepts, charter
from tests.cast.commands import SOME_CHARTER, contribution, load_of, nonce, request_digest
from tests.cast.people import ALICE, BOB, CAROL, MALLORY, Custodian, approval, custodian

POINT = SetControlPoint(point=55, on=True)
LOAD = load_of([(ALICE, ALICE.part()), (BOB, BOB.part())])


@pytest.fixture
async def home(place: Path, certificate: Certificate) -> AsyncIterator[Guarded]:
    """With alice's and bob's agents in sessions; bob's is evil."""
    async with guarded(place, certificate) as made:
        await made.agent(ALICE)
        await made.agent(BOB)
        yield made


def filing(home: Guarded, who: Custodian, body: Body = POINT, **changes: Any) -> Filing:
    fields: dict[str, Any] = {
        "instance": home.cast.charter.instance,
        "body": body,
        "targets": home.cast.targets,
        "purpose": "a test",
        "custodian": who.agent,
        "account": None,
        "step": None,
        "voids": None,
        "valid_for": DEFAULT_VALIDITY,
        "leave_out": False,
        "at": home.cast.clock.now,
        "nonce": Nonce(nonce("filing")),
    }
    return Filing(**(fields | changes))


async def collecting(home: Guarded, body: Body = POINT) -> Request:
    """A request by alice that collects."""
    answer = await home.agents["alice"].file(body, list(home.cast.targets))
    assert isinstance(answer, Done) and answer.request is not None, answer
    bob, number = home.agents["bob"], answer.request
    opened: Request = await bob.when(lambda: _opened(bob, number))
    return opened


def _opened(agent: BareAgent, number: int) -> Request | None:
    found = agent.requests.get(number)
    return found if found is not None and found.opening is not None else None


async def closes(home: Guarded, publication: Publication) -> str:
    """Bob's agent publishes this and is hung up on; why. Nothing came of it."""
    bob = home.agents["bob"]
    with pytest.raises(ConnectionResetError):
        await bob.publish(publication)
    return await bob.until_closed()


async def refused(home: Guarded, publication: Publication) -> Rule:
    """Bob's agent publishes this and is refused, by which rule."""
    answer = await home.agents["bob"].publish(publication)
    assert isinstance(answer, Refused), answer
    return answer.refusal.rule


# --- in the name of another ---------------------------------------------------------------------


async def test_a_filing_in_somebody_elses_name(home: Guarded):
    made = filing(home, ALICE)
    forged = sign_statement(Label.FILING, made, BOB.identity.sign)
    reason = await closes(home, FileRequest(filing=forged, idempotency_key=None))
    assert "in the name of somebody else" in reason
    assert home.agents["alice"].requests == {}


async def test_somebody_elses_filing_sent_again(home: Guarded):
    """Alice's own signed bytes, which the log shows everybody."""
    replayed = sign_statement(Label.FILING, filing(home, ALICE), ALICE.identity.sign)
    reason = await closes(home, FileRequest(filing=replayed, idempotency_key=None))
    assert "doesn't verify" in reason
    assert home.agents["alice"].requests == {}


@pytest.mark.parametrize("signer", [ALICE, BOB], ids=["replayed", "forged"])
async def test_a_rejection_in_somebody_elses_name(home: Guarded, signer: Custodian):
    request = await collecting(home)
    assert request.opening is not None
    rejection = Rejection(
        request=request.opening.digest,
        custodian=ALICE.agent,
        reason=Reason("no"),
        at=home.cast.clock.now,
    )
    signed = sign_statement(Label.REJECTION, rejection, signer.identity.sign)
    await closes(home, Reject(rejection=signed))
    assert (await home.cast.request(request.id)).rejections == ()


@pytest.mark.parametrize("signer", [ALICE, BOB], ids=["replayed", "forged"])
async def test_an_announcement_in_somebody_elses_name(home: Guarded, signer: Custodian):
    announcement = Announcement(
        instance=home.cast.charter.instance,
        custodian=ALICE.agent,
        vp=vp_of(ALICE.part()),
        description="",
        offered=False,
        at=home.cast.clock.now,
    )
    signed = sign_statement(Label.ANNOUNCEMENT, announcement, signer.identity.sign)
    await closes(home, Announce(announcement=signed))


async def test_an_announcement_to_another_instance(home: Guarded):
    announcement = Announcement(
        instance=InstanceName("ledger-us"),
        custodian=BOB.agent,
        vp=vp_of(BOB.part()),
        description="",
        offered=True,
        at=home.cast.clock.now,
    )
    signed = sign_statement(Label.ANNOUNCEMENT, announcement, BOB.identity.sign)
    assert "another instance" in await closes(home, Announce(announcement=signed))


async def test_a_key_offered_in_somebody_elses_name(home: Guarded):
    """With alice's name, or with her agent, or for another instance."""
    thiefs = Custodian(name=ALICE.name, identity=BOB.identity, keys=MALLORY.keys)
    assert "another person" in await closes(home, OfferKey(key=thiefs.proven()))


async def test_a_key_offered_for_somebody_elses_agent(home: Guarded):
    theirs = Custodian(name=BOB.name, identity=ALICE.identity, keys=MALLORY.keys)
    assert "somebody else's agent" in await closes(home, OfferKey(key=theirs.proven()))


async def test_an_acceptance_in_somebody_elses_name(home: Guarded):
    version = charter(
        home.cast.people, list(home.cast.driver.units.values()), previous=home.cast.charter
    )
    assert isinstance(await home.agents["bob"].publish(ProposeCharter(charter=version)), Done)
    assert "somebody else" in await closes(home, Accept(acceptance=accepts(ALICE, version)))


async def test_a_request_of_another_is_not_his_to_steer(home: Guarded):
    request = await collecting(home)
    digest = request.filing.digest
    cancel = Cancel(filing=digest, reason=Reason("mine now"))
    assert await refused(home, cancel) is Rule.NOT_YOUR_REQUEST
    assert await refused(home, Proceed(filing=digest)) is Rule.NOT_YOUR_REQUEST
    done = await home.agents["alice"].publish(cancel)
    assert isinstance(done, Done)


# --- signatures that don't count ----------------------------------------------------------------


def signatures(asked: Request, key: Any, **changes: Any) -> Approve:
    """A key's signatures, over commands that `changes` bend."""
    assert asked.opening is not None
    given = tuple(
        UnitApproval(
            unit=one.unit, approval=approval(key, asked.command(one.target).but(**changes))
        )
        for one in asked.progress
    )
    return Approve(request=asked.opening.digest, ski=key.ski, approvals=given)


def in_alices_name(request: Request) -> Approve:
    made = signatures(request, BOB.key)
    return made.but(
        ski=ALICE.key.ski,
        approvals=tuple(
            one.but(approval=one.approval.but(ski=ALICE.key.ski)) for one in made.approvals
        ),
    )


def with_two_names(request: Request) -> Approve:
    """One SKI outside, another inside."""
    return signatures(request, BOB.key).but(ski=ALICE.key.ski)


def swapped(request: Request) -> Approve:
    made = signatures(request, BOB.key)
    one, two = made.approvals
    return made.but(approvals=(one.but(approval=two.approval), two.but(approval=one.approval)))


def of_a_stranger(request: Request) -> Approve:
    return signatures(request, MALLORY.key)


def for_another_charter(request: Request) -> Approve:
    return signatures(request, BOB.key, charter=SOME_CHARTER)


def for_another_state(request: Request) -> Approve:
    return signatures(request, BOB.key, state=request_digest("state"))


def for_another_request(request: Request) -> Approve:
    return signatures(request, BOB.key, request=request_digest("another"))


def for_another_command(request: Request) -> Approve:
    return signatures(request, BOB.key, body=SetControlPoint(point=56, on=True))


def for_longer(request: Request) -> Approve:
    assert request.opening is not None
    return signatures(request, BOB.key, not_after=Instant(request.opening.not_after + DAY))


def junk(request: Request) -> Approve:
    made = signatures(request, BOB.key)
    none = Approval(ski=BOB.key.ski, signature=Signature(bytes(64)))
    return made.but(approvals=tuple(one.but(approval=none) for one in made.approvals))


@pytest.mark.parametrize(
    "forge",
    [
        in_alices_name,
        with_two_names,
        swapped,
        of_a_stranger,
        for_another_charter,
        for_another_state,
        for_another_request,
        for_another_command,
        for_longer,
        junk,
    ],
)
async def test_a_signature_that_does_not_count(home: Guarded, forge: Any):
    request = await collecting(home)
    assert await refused(home, forge(request)) is Rule.SIGNATURE_NOT_WANTED
    stored = await home.cast.request(request.id)
    assert all(one.approvals == () for one in stored.progress)
    assert len(await home.cast.entries(EntryKind.ALARM)) == 1
    done = await home.agents["bob"].publish(signatures(request, BOB.key))
    assert isinstance(done, Done)


async def test_one_key_counts_once(home: Guarded):
    """The same bytes again are the same; another signature of the same key is told so."""
    request = await collecting(home)
    given = signatures(request, BOB.key)
    for _ in range(2):
        assert isinstance(await home.agents["bob"].publish(given), Done)
    stored = await home.cast.request(request.id)
    assert [len(one.approvals) for one in stored.progress] == [1, 1]


async def test_two_keys_of_one_person_count_once(home: Guarded):
    """Bob's second key isn't even installed; were it, people are counted."""
    request = await collecting(home)
    both = custodian("bob", keys=2)
    assert isinstance(await home.agents["bob"].publish(signatures(request, both.keys[0])), Done)
    again = signatures(request, both.keys[1])
    assert await refused(home, again) is Rule.SIGNATURE_NOT_WANTED


# --- parts that don't count ---------------------------------------------------------------------


def parts(request: Request, given: tuple[Custodian, bytes], by: Custodian) -> Contribute:
    """A part sealed for every target; signed by `by`, whoever it says that it is of."""
    assert request.opening is not None
    sealed = []
    for one in request.progress:
        assert one.importer is not None
        importer = from_bytes(ImporterKey, one.importer.statement)
        made = contribution(
            (Custodian(given[0].name, _speaks(given[0], by), ()), given[1]),
            request.command(one.target),
            importer,
        )
        sealed.append(UnitContribution(unit=one.unit, contribution=made))
    return Contribute(request=request.opening.digest, contributions=tuple(sealed))


def _speaks(named: Custodian, signer: Custodian) -> Any:
    """An identity that is named as one and signs as the other."""
    return replace(named.identity, sign=signer.identity.sign)


PART_RULES = (Rule.PART_NOT_WANTED, Rule.PART_AUTHOR)


@pytest.mark.parametrize(
    ("given", "by"),
    [((ALICE, ALICE.part()), BOB), ((BOB, MALLORY.part()), BOB), ((CAROL, CAROL.part()), CAROL)],
    ids=["alice's part by bob", "a part that isn't named", "a part of carol's"],
)
async def test_a_part_that_does_not_count(
    home: Guarded, given: tuple[Custodian, bytes], by: Custodian
):
    request = await collecting(home, LOAD)
    assert await refused(home, parts(request, given, by)) in PART_RULES
    stored = await home.cast.request(request.id)
    assert all(one.contributions == () for one in stored.progress)
    good = parts(request, (BOB, BOB.part()), BOB)
    assert isinstance(await home.agents["bob"].publish(good), Done)


# --- bounds -------------------------------------------------------------------------------------


async def test_keys_and_parts_offered_by_one_agent_are_bounded(
    home: Guarded, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(publications, "MAX_OFFERS", 3)
    bob = home.agents["bob"]
    many = custodian("bob", keys=5)
    answers = [await bob.publish(OfferKey(key=many.proven(key))) for key in many.keys]
    assert [isinstance(one, Done) for one in answers] == [True, True, True, False, False]
    assert isinstance(await home.agents["alice"].publish(OfferKey(key=ALICE.proven())), Done)


async def test_proposals_are_bounded(home: Guarded, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(charters, "MAX_PROPOSALS", 2)
    bob, units = home.agents["bob"], list(home.cast.driver.units.values())
    answers = []
    for signatures_at_least in (2, 3, 4):
        floor = Floor(signatures=signatures_at_least, revocations=2, exit_people=2)
        version = charter(home.cast.people, units, previous=home.cast.charter, floor=floor)
        answers.append(await bob.publish(ProposeCharter(charter=version)))
    assert [isinstance(one, Done) for one in answers] == [True, True, False]


async def test_the_queue_is_bounded(home: Guarded, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filing_rules, "MAX_WAITING", 2)
    bob = home.agents["bob"]
    answers = [
        await bob.file(SetControlPoint(point=point, on=True), list(home.cast.targets))
        for point in (55, 66, 67)
    ]
    assert [isinstance(one, Done) for one in answers] == [True, True, False]
    assert isinstance(answers[-1], Refused) and answers[-1].refusal.rule is Rule.QUEUE_FULL
