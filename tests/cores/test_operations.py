"""What operators and custodians do to requests: the real engine and store over units in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from coordinator.engine import operations
from coordinator.engine.change import Change
from coordinator.engine.operations import Ended, Filed
from coordinator.engine.publications import Taken
from protocol.commands.bodies import Body, SetControlPoint, SetThresholds, Void
from protocol.displayable import AccountName, Purpose, Reason
from protocol.identifiers import HOUR, MINUTE, SECOND
from protocol.record.entries import EntryKind
from protocol.record.operations import Actor, Cancellation, Ending, Proceeding
from protocol.refusals import Refusal, Rule
from protocol.request import DEFAULT_VALIDITY, Filing, Outcome, Request, RequestState
from protocol.schema import from_bytes, to_bytes
from protocol.session.messages import Cancel, FileRequest, Proceed
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, open_statement, sign_statement
from tests.cast.commands import nonce
from tests.cast.coordinators import CastCoordinator, coordinator
from tests.cast.people import ALICE, BOB, CAROL, INSTANCE, Custodian

AMY = AccountName("amy")
BTC = SetControlPoint(point=66, on=True)
OTHER = SetControlPoint(point=67, on=True)
_OPERATOR = Actor(custodian=None, account=AMY)


@pytest.fixture
async def cast(tmp_path: Path) -> AsyncIterator[CastCoordinator]:
    async with coordinator(tmp_path) as made:
        yield made


async def cancelled(cast: CastCoordinator, number: int, reason: str = "") -> Ended | Refusal:
    async def work(change: Change) -> Ended | Refusal:
        request = await cast.request(number)
        return await operations.cancel(change, cast.units, request, _OPERATOR, AMY, Reason(reason))

    return await cast.ledger.change(work)


async def voided(cast: CastCoordinator, number: int) -> Filed | Refusal:
    async def work(change: Change) -> Filed | Refusal:
        request = await cast.request(number)
        return await operations.void(change, cast.ledger, cast.units, request, AMY)

    return await cast.ledger.change(work)


async def refiled(cast: CastCoordinator, number: int) -> Filed | Refusal:
    async def work(change: Change) -> Filed | Refusal:
        request = await cast.request(number)
        return await operations.refile(change, cast.ledger, cast.units, request, AMY)

    return await cast.ledger.change(work)


async def proceeded(cast: CastCoordinator, number: int) -> Request | Refusal:
    async def work(change: Change) -> Request | Refusal:
        return await operations.proceed(change, await cast.request(number), _OPERATOR)

    return await cast.ledger.change(work)


def rule(answer: object) -> Rule:
    assert isinstance(answer, Refusal), answer
    return answer.rule


async def signed_and_cancelled(
    cast: CastCoordinator, *people: Custodian, body: Body = BTC
) -> Request:
    """A request that these people signed before it was cancelled."""
    request = await cast.file(body)
    await cast.until(request.id, RequestState.COLLECTING)
    await cast.sign(request.id, *people)
    ended = await cancelled(cast, request.id)
    assert isinstance(ended, Ended)
    return ended.request


# filing


async def test_an_accounts_filing_is_queued_opened_and_run(cast: CastCoordinator):
    request = await cast.file(BTC)
    assert (request.filing.account, request.filing.custodian) == (AMY, None)
    assert request.signature is None
    await cast.until(request.id, RequestState.COLLECTING)
    await cast.sign(request.id, ALICE, BOB)
    done = await cast.until(request.id, RequestState.EXECUTED)
    assert {one.outcome for one in done.progress} == {Outcome.EXECUTED}


async def test_the_log_keeps_an_accounts_filing_signed_by_the_coordinator(cast: CastCoordinator):
    request = await cast.file(BTC)
    (entry,) = await cast.entries(EntryKind.FILING)
    signed = from_bytes(Signed, entry.body)
    identity = cast.ledger.keys.identity
    assert open_statement(Filing, Label.FILING, signed, identity) == request.filing


async def test_the_same_key_files_once_and_only_the_same_command(cast: CastCoordinator):
    first = await cast.file(BTC, key="k")
    again = await cast.try_file(BTC, key="k")
    assert isinstance(again, Filed)
    assert (again.request.id, again.before) == (first.id, True)
    assert rule(await cast.try_file(OTHER, key="k")) is Rule.IDEMPOTENCY_KEY_USED
    assert rule(await cast.try_file(BTC, key="other")) is Rule.SAME_REQUEST_OPEN


async def test_what_a_unit_would_refuse_is_refused_before_it_is_queued(cast: CastCoordinator):
    body = SetThresholds(signatures=9, revocations=2)
    assert rule(await cast.try_file(body)) is Rule.SIGNATURE_THRESHOLD_RANGE


async def test_the_log_tells_of_every_end_once_and_after_what_ended_it(cast: CastCoordinator):
    request = await cast.file(BTC)
    await cast.until(request.id, RequestState.COLLECTING)
    assert await cast.entries(EntryKind.ENDING) == []
    await cast.sign(request.id, ALICE, BOB)
    await cast.until(request.id, RequestState.EXECUTED)
    stopped = await cast.file(OTHER)
    await cancelled(cast, stopped.id, "not now")
    executed, given_up = [
        from_bytes(Ending, entry.body) for entry in await cast.entries(EntryKind.ENDING)
    ]
    assert (executed.filing, executed.state) == (request.filing.digest, RequestState.EXECUTED)
    assert given_up == Ending(
        filing=stopped.filing.digest,
        state=RequestState.CANCELLED,
        why="cancelled by amy: not now",
    )
    kinds = [entry.kind for entry in await cast.entries(*EntryKind)]
    assert kinds[-2:] == [EntryKind.CANCELLATION, EntryKind.ENDING]
    assert kinds[kinds.index(EntryKind.ENDING) - 1] is EntryKind.EXECUTION


# cancelling


async def test_cancelling_says_what_it_doesnt_recall(cast: CastCoordinator):
    request = await cast.file(BTC)
    opened = await cast.until(request.id, RequestState.COLLECTING)
    await cast.sign(request.id, ALICE)
    ended = await cancelled(cast, request.id, "not on the agenda")
    assert isinstance(ended, Ended)
    assert ended.request.state is RequestState.CANCELLED
    assert ended.request.why == "cancelled by amy: not on the agenda"
    assert {copy.unit for copy in ended.live} == set(cast.targets)
    assert {copy.signed_by for copy in ended.live} == {(ALICE.key.ski,)}
    assert opened.opening is not None
    assert {copy.until for copy in ended.live} == {opened.opening.not_after}
    (entry,) = await cast.entries(EntryKind.CANCELLATION)
    told = from_bytes(Cancellation, entry.body)
    assert (told.filing, told.by, told.reason) == (
        request.filing.digest,
        _OPERATOR,
        "not on the agenda",
    )


async def test_nothing_is_live_where_nobody_has_signed(cast: CastCoordinator):
    request = await cast.file(BTC)
    await cast.until(request.id, RequestState.COLLECTING)
    ended = await cancelled(cast, request.id)
    assert isinstance(ended, Ended)
    assert ended.live == ()


async def test_cancelling_twice_is_answered_as_once(cast: CastCoordinator):
    request = await signed_and_cancelled(cast, ALICE)
    again = await cancelled(cast, request.id)
    assert isinstance(again, Ended)
    assert again.request == request
    assert len(await cast.entries(EntryKind.CANCELLATION)) == 1


async def test_what_has_run_cant_be_cancelled(cast: CastCoordinator):
    request = await cast.file(BTC)
    await cast.until(request.id, RequestState.COLLECTING)
    await cast.sign(request.id, ALICE, BOB)
    await cast.until(request.id, RequestState.EXECUTED)
    assert rule(await cancelled(cast, request.id)) is Rule.REQUEST_ENDED


# custodians


async def filed_by(cast: CastCoordinator, who: Custodian, body: Body) -> Request:
    filing = Filing(
        instance=INSTANCE,
        body=body,
        targets=cast.targets,
        purpose=Purpose("a test"),
        custodian=who.agent,
        account=None,
        step=None,
        voids=None,
        valid_for=DEFAULT_VALIDITY,
        leave_out=False,
        at=cast.clock.now,
        nonce=nonce(f"filing of {who.name}"),
    )
    signed = sign_statement(Label.FILING, filing, who.identity.sign)
    taken = await cast.publish(who, FileRequest(filing=signed, idempotency_key=None))
    assert isinstance(taken, Taken)
    assert taken.request is not None
    return await cast.request(taken.request)


async def test_a_custodian_cancels_what_they_filed(cast: CastCoordinator):
    request = await filed_by(cast, ALICE, BTC)
    cancel = Cancel(filing=request.filing.digest, reason=Reason("no"))
    assert isinstance(await cast.publish(ALICE, cancel), Taken)
    assert (await cast.request(request.id)).why == "cancelled by alice: no"
    (entry,) = await cast.entries(EntryKind.CANCELLATION)
    by = from_bytes(Cancellation, entry.body).by
    assert by == Actor(custodian=ALICE.agent, account=None)


@pytest.mark.parametrize("publication", [Cancel, Proceed])
async def test_nobody_steers_what_another_filed(
    cast: CastCoordinator, publication: type[Cancel | Proceed]
):
    request = await filed_by(cast, ALICE, BTC)
    more = {"reason": Reason("")} if publication is Cancel else {}
    sent = publication(filing=request.filing.digest, **more)
    assert rule(await cast.publish(BOB, sent)) is Rule.NOT_YOUR_REQUEST
    by_amy = await cast.file(OTHER)
    sent = publication(filing=by_amy.filing.digest, **more)
    assert rule(await cast.publish(ALICE, sent)) is Rule.NOT_YOUR_REQUEST
    assert not (await cast.request(request.id)).ended


async def test_a_custodian_cancels_nothing_that_isnt_there(cast: CastCoordinator):
    sent = Cancel(filing=cast.charter.digest, reason=Reason(""))
    assert rule(await cast.publish(ALICE, sent)) is Rule.NO_SUCH_REQUEST


# proceeding


async def test_proceeding_runs_it_without_the_unit_that_is_lost(cast: CastCoordinator):
    request = await cast.file(BTC)
    await cast.until(request.id, RequestState.COLLECTING)
    lost, there = cast.targets
    cast.lose(lost)
    await cast.sign(request.id, ALICE, BOB)
    await cast.when(request.id, lambda it: not all(one.reachable for one in it.progress))
    held = await cast.request(request.id)
    assert held.state is RequestState.READY
    assert isinstance(await proceeded(cast, request.id), Request)
    partly = await cast.until(request.id, RequestState.PARTLY_EXECUTED)
    outcomes = {one.unit: one.outcome for one in partly.progress}
    assert outcomes == {lost: Outcome.OPEN, there: Outcome.EXECUTED}
    again = await proceeded(cast, request.id)
    assert isinstance(again, Request)
    (entry,) = await cast.entries(EntryKind.PROCEED)
    assert from_bytes(Proceeding, entry.body).by == _OPERATOR


async def test_what_nothing_holds_cant_be_proceeded_with(cast: CastCoordinator):
    request = await cast.file(BTC)
    await cast.until(request.id, RequestState.COLLECTING)
    assert rule(await proceeded(cast, request.id)) is Rule.REQUEST_ENDED


# voids


async def test_a_void_makes_signed_copies_harmless(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE, body=BTC)
    filed = await voided(cast, origin.id)
    assert isinstance(filed, Filed)
    void = filed.request
    assert isinstance(void.filing.body, Void)
    assert origin.opening is not None
    assert void.filing.voids == origin.opening.digest
    await cast.until(void.id, RequestState.COLLECTING)
    await cast.sign(void.id, CAROL)
    await cast.until(void.id, RequestState.EXECUTED)
    assert rule(await voided(cast, origin.id)) is Rule.VOID_ORIGIN


async def test_a_void_expires_with_the_copies(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    cast.clock.pass_time(5 * HOUR)
    filed = await voided(cast, origin.id)
    assert isinstance(filed, Filed)
    cast.clock.pass_time(HOUR)
    for unit in cast.driver.units.values():
        unit.now = cast.clock.now
    opened = await cast.until(filed.request.id, RequestState.COLLECTING)
    assert origin.opening is not None
    assert opened.opening is not None
    assert opened.opening.not_after == origin.opening.not_after


async def test_there_is_one_void_at_a_time(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    first, second = await voided(cast, origin.id), await voided(cast, origin.id)
    assert isinstance(first, Filed)
    assert isinstance(second, Filed)
    assert (second.request.id, second.before) == (first.request.id, True)


async def test_a_void_has_no_other_origin(cast: CastCoordinator):
    unsigned = await cast.file(BTC)
    await cast.until(unsigned.id, RequestState.COLLECTING)
    assert rule(await voided(cast, unsigned.id)) is Rule.VOID_ORIGIN
    await cancelled(cast, unsigned.id)
    assert rule(await voided(cast, unsigned.id)) is Rule.VOID_ORIGIN
    signed = await cast.file(OTHER)
    await cast.until(signed.id, RequestState.COLLECTING)
    await cast.sign(signed.id, ALICE)
    assert rule(await voided(cast, signed.id)) is Rule.VOID_ORIGIN


async def test_copies_that_have_expired_need_no_void(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    cast.clock.pass_time(DEFAULT_VALIDITY - MINUTE - SECOND)
    assert isinstance(await voided(cast, origin.id), Filed)
    await cancelled(cast, origin.id + 1)
    cast.clock.pass_time(SECOND)
    assert rule(await voided(cast, origin.id)) is Rule.VOID_ORIGIN


async def test_a_custodians_void_is_for_live_copies_too(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    assert origin.opening is not None
    for unit in cast.driver.units.values():
        unit.run(OTHER, (ALICE, BOB))
        await cast.units.state(unit.id, (nonce("again"),))
    filing = Filing(
        instance=INSTANCE,
        body=Void(),
        targets=cast.targets,
        purpose=Purpose("a test"),
        custodian=BOB.agent,
        account=None,
        step=None,
        voids=origin.opening.digest,
        valid_for=HOUR,
        leave_out=False,
        at=cast.clock.now,
        nonce=nonce("void"),
    )
    signed = sign_statement(Label.FILING, filing, BOB.identity.sign)
    taken = await cast.publish(BOB, FileRequest(filing=signed, idempotency_key=None))
    assert rule(taken) is Rule.VOID_ORIGIN


async def test_a_void_can_be_withdrawn(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    filed = await voided(cast, origin.id)
    assert isinstance(filed, Filed)
    ended = await cancelled(cast, filed.request.id)
    assert isinstance(ended, Ended)
    again = await voided(cast, origin.id)
    assert isinstance(again, Filed)
    assert not again.before


async def test_a_waiting_void_ends_needless_when_the_units_move_on(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    ahead = await cast.file(OTHER)
    await cast.until(ahead.id, RequestState.COLLECTING)
    filed = await voided(cast, origin.id)
    assert isinstance(filed, Filed)
    assert filed.request.state is RequestState.WAITING_IN_LINE
    await cast.sign(ahead.id, BOB, CAROL)
    await cast.until(ahead.id, RequestState.EXECUTED)
    await cast.until(filed.request.id, RequestState.NEEDLESS)


async def test_an_opened_void_ends_needless_when_the_units_move_on(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    filed = await voided(cast, origin.id)
    assert isinstance(filed, Filed)
    await cast.until(filed.request.id, RequestState.COLLECTING)
    for unit in cast.driver.units.values():
        unit.run(OTHER, (ALICE, BOB))
        await cast.units.state(unit.id, (nonce("again"),))
    await cast.until(filed.request.id, RequestState.NEEDLESS)


async def test_a_void_is_for_the_units_where_copies_live(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    moved = cast.unit(0)
    moved.run(OTHER, (ALICE, BOB))
    await cast.units.state(moved.id, (nonce("again"),))
    filed = await voided(cast, origin.id)
    assert isinstance(filed, Filed)
    assert filed.request.filing.targets == (cast.targets[1],)


async def test_a_void_runs_where_it_can_and_isnt_held(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    lost, there = cast.targets
    filed = await voided(cast, origin.id)
    assert isinstance(filed, Filed)
    await cast.until(filed.request.id, RequestState.COLLECTING)
    cast.lose(lost)
    await cast.sign(filed.request.id, CAROL)
    partly = await cast.until(filed.request.id, RequestState.PARTLY_EXECUTED)
    assert {one.unit for one in partly.progress if one.receipt} == {there}


async def test_a_waiting_void_expires_when_the_copies_do(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    ahead = await cast.file(OTHER)
    await cast.until(ahead.id, RequestState.COLLECTING)
    filed = await voided(cast, origin.id)
    assert isinstance(filed, Filed)
    cast.clock.pass_time(DEFAULT_VALIDITY - MINUTE)
    cast.wake()
    expired = await cast.until(filed.request.id, RequestState.EXPIRED)
    ended = [from_bytes(Ending, entry.body) for entry in await cast.entries(EntryKind.ENDING)]
    assert (expired.filing.digest, RequestState.EXPIRED) in {(it.filing, it.state) for it in ended}


async def partly_executed(cast: CastCoordinator) -> Request:
    """It ran on the second unit; the first is lost."""
    request = await cast.file(BTC)
    await cast.until(request.id, RequestState.COLLECTING)
    cast.lose(cast.targets[0])
    await cast.sign(request.id, ALICE, BOB)
    await cast.when(request.id, lambda it: not all(one.reachable for one in it.progress))
    await proceeded(cast, request.id)
    return await cast.until(request.id, RequestState.PARTLY_EXECUTED)


async def test_a_void_gives_up_what_ran_on_some_units_only(cast: CastCoordinator):
    request = await partly_executed(cast)
    filed = await voided(cast, request.id)
    assert isinstance(filed, Filed)
    assert filed.request.filing.targets == (cast.targets[0],)
    over = await cast.request(request.id)
    assert (over.state, over.ended) == (RequestState.PARTLY_EXECUTED, True)
    assert [one.outcome for one in over.progress] == [Outcome.GIVEN_UP, Outcome.EXECUTED]
    assert len(await cast.entries(EntryKind.CANCELLATION)) == 1


# refiling


async def test_refiling_asks_for_the_same_again(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    filed = await refiled(cast, origin.id)
    assert isinstance(filed, Filed)
    again = filed.request.filing
    assert (again.body, again.targets, again.purpose, again.valid_for) == (
        origin.filing.body,
        origin.filing.targets,
        origin.filing.purpose,
        origin.filing.valid_for,
    )
    assert again.digest != origin.filing.digest
    opened = await cast.until(filed.request.id, RequestState.COLLECTING)
    assert not any(one.approvals for one in opened.progress)


async def test_refiling_what_is_open_is_refused(cast: CastCoordinator):
    request = await cast.file(BTC)
    assert rule(await refiled(cast, request.id)) is Rule.SAME_REQUEST_OPEN


async def test_refiling_is_for_the_units_that_havent_run_it(cast: CastCoordinator):
    request = await partly_executed(cast)
    cast.clock.pass_time(DEFAULT_VALIDITY)
    cast.wake()
    over = await cast.when(request.id, lambda it: it.ended)
    assert over.state is RequestState.PARTLY_EXECUTED
    filed = await refiled(cast, request.id)
    assert isinstance(filed, Filed)
    assert filed.request.filing.targets == (cast.targets[0],)


async def test_refiling_a_void_voids_again_what_still_lives(cast: CastCoordinator):
    origin = await signed_and_cancelled(cast, ALICE)
    first = await voided(cast, origin.id)
    assert isinstance(first, Filed)
    await cancelled(cast, first.request.id)
    again = await refiled(cast, first.request.id)
    assert isinstance(again, Filed)
    assert again.request.filing.voids == first.request.filing.voids
    assert to_bytes(again.request.filing) != to_bytes(first.request.filing)
