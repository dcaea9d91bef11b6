"""The coordinator as a process between a real unit host and agents that check nothing."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.commands.bodies import CommitNewRegister, SetImmediate, SetThresholds
from protocol.receipts import Receipt
from protocol.refusals import Rule
from protocol.request import Outcome, Request, RequestState
from protocol.schema import from_bytes
from protocol.sealing.contribution import vp_of
from protocol.session.messages import Done, Refused
from protocol.unit_state import RegisterState, UnitState
from tests.cast.commands import adds, load_of
from tests.cast.people import ALICE, BOB, CAROL, DAVE
from tests.scenarios.bare_stack import BareStack, bare_stack

PEOPLE = (ALICE, BOB, CAROL)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[BareStack]:
    made = await bare_stack(tmp_path / "stack", PEOPLE)
    yield made
    await made.close()


def filed(answer: Done | Refused) -> int:
    assert isinstance(answer, Done), answer
    assert answer.request is not None
    return answer.request


def refused(answer: Done | Refused) -> Rule:
    assert isinstance(answer, Refused), answer
    return answer.refusal.rule


async def initialise(stack: BareStack) -> Request:
    """Administrators added, imprint mode left."""
    alice = stack["alice"]
    for who in PEOPLE:
        number = filed(await alice.file(adds(who), stack.units))
        await alice.until(number, RequestState.EXECUTED)
    number = filed(await alice.file(SetThresholds(signatures=2, revocations=2), stack.units))
    await alice.until(number, RequestState.COLLECTING)
    filed(await alice.approve(number))
    await stack["bob"].until(number, RequestState.COLLECTING)
    filed(await stack["bob"].approve(number))
    return await alice.until(number, RequestState.EXECUTED)


def states(request: Request) -> list[UnitState]:
    found = []
    for one in request.progress:
        assert one.receipt is not None
        found.append(from_bytes(Receipt, one.receipt.statement).after)
    return found


async def test_a_whole_ceremony(stack: BareStack):
    alice, bob, carol = (stack[who.name] for who in PEOPLE)
    done = await initialise(stack)
    assert {state.signature_threshold for state in states(done)} == {2}
    parts = [(ALICE, ALICE.part()), (BOB, BOB.part())]
    number = filed(await carol.file(load_of(parts), stack.units))
    for agent, (_, part) in ((alice, parts[0]), (bob, parts[1])):
        await agent.until(number, RequestState.COLLECTING)
        filed(await agent.contribute(number, part))
    filed(await alice.approve(number))
    done = await alice.until(number, RequestState.EXECUTED)
    vp = vp_of(bytes(a ^ b for a, b in zip(parts[0][1], parts[1][1], strict=True)))
    assert {state.new.vp for state in states(done)} == {vp}
    number = filed(await bob.file(CommitNewRegister(vp=vp), stack.units))
    for agent in (bob, carol):
        await agent.until(number, RequestState.COLLECTING)
        filed(await agent.approve(number))
    await bob.until(number, RequestState.EXECUTED)
    number = filed(await carol.file(SetImmediate(vp=vp), stack.units))
    await carol.until(number, RequestState.COLLECTING)
    filed(await carol.approve(number))
    done = await carol.until(number, RequestState.EXECUTED)
    assert {state.current.state for state in states(done)} == {RegisterState.VALID}
    assert {state.current.vp for state in states(done)} == {vp}


async def test_what_doesnt_count_is_refused(stack: BareStack):
    alice, bob = stack["alice"], stack["bob"]
    await initialise(stack)
    body = SetThresholds(signatures=3, revocations=2)
    number = filed(await alice.file(body, stack.units))
    await alice.until(number, RequestState.COLLECTING)
    assert refused(await alice.file(body, stack.units)) is Rule.SAME_REQUEST_OPEN
    wrong = await alice.approve(number, practice=False)
    assert refused(wrong) is Rule.SIGNATURE_NOT_WANTED
    filed(await alice.approve(number))
    filed(await alice.approve(number))
    request = await alice.when(
        lambda: alice.requests[number] if alice.requests[number].progress[0].approvals else None
    )
    assert [len(one.approvals) for one in request.progress] == [1, 1]
    await bob.until(number, RequestState.COLLECTING)
    filed(await bob.approve(number))
    await bob.until(number, RequestState.EXECUTED)
    filed(await bob.approve(number))
    await stack["carol"].until(number, RequestState.EXECUTED)
    assert refused(await stack["carol"].approve(number)) is Rule.REQUEST_ENDED


async def test_bad_filings_are_refused_before_they_are_queued(stack: BareStack):
    alice = stack["alice"]
    for body, rule in (
        (SetThresholds(signatures=0, revocations=2), Rule.SIGNATURE_THRESHOLD_RANGE),
        (SetThresholds(signatures=2, revocations=9), Rule.REVOCATION_THRESHOLD_RANGE),
        (SetThresholds(signatures=2, revocations=2), Rule.THRESHOLD_ABOVE_ADMINISTRATORS),
        (adds(DAVE), Rule.NOT_IN_CHARTER),
        (CommitNewRegister(vp=vp_of(b"")), Rule.NEW_REGISTER_NOT_UNCOMMITTED),
    ):
        assert refused(await alice.file(body, stack.units)) is rule
    assert alice.requests == {}


async def test_the_same_idempotency_key_files_once(stack: BareStack):
    alice = stack["alice"]
    first = filed(await alice.file(adds(ALICE), stack.units, idempotency_key="k"))
    await alice.until(first, RequestState.EXECUTED)
    assert filed(await alice.file(adds(ALICE), stack.units, idempotency_key="k")) == first


async def test_two_requests_in_line_for_the_same_units(stack: BareStack):
    alice, bob = stack["alice"], stack["bob"]
    await initialise(stack)
    first = filed(await alice.file(SetThresholds(signatures=3, revocations=2), stack.units))
    second = filed(await bob.file(SetThresholds(signatures=2, revocations=3), stack.units))
    await alice.until(first, RequestState.COLLECTING)
    assert (await alice.until(second, RequestState.WAITING_IN_LINE)).opening is None
    for agent in (alice, bob):
        await agent.until(first, RequestState.COLLECTING)
        filed(await agent.approve(first))
    await alice.until(first, RequestState.EXECUTED)
    opened = await alice.until(second, RequestState.COLLECTING)
    assert {one.needed for one in opened.progress} == {3}


async def test_a_coordinator_killed_after_the_approval_goes_on(stack: BareStack):
    alice, bob = stack["alice"], stack["bob"]
    await initialise(stack)
    number = filed(await alice.file(SetThresholds(signatures=3, revocations=2), stack.units))
    await alice.until(number, RequestState.COLLECTING)
    filed(await alice.approve(number))
    await stack.stack.coordinator.kill()
    for agent in (alice, bob):
        await agent.close()
    await stack.stack.coordinator.start()
    for agent in (alice, bob):
        agent.closed = None
        await agent.connect()
        await agent.caught_up()
    request = await bob.until(number, RequestState.COLLECTING)
    assert [len(one.approvals) for one in request.progress] == [1, 1]
    filed(await bob.approve(number))
    await bob.until(number, RequestState.EXECUTED)


@pytest.mark.parametrize(
    "point",
    ["coordinator: between prepare and execute", "coordinator: executed, before it is stored"],
)
async def test_a_coordinator_killed_while_it_executes(stack: BareStack, point: str):
    alice, bob = stack["alice"], stack["bob"]
    await initialise(stack)
    coordinator = stack.stack.coordinator
    for agent in stack.agents.values():
        await agent.close()
    await coordinator.stop()
    await coordinator.start({"QUORATE_CRASH_AT": point})
    for agent in (alice, bob):
        agent.closed = None
        await agent.connect()
        await agent.caught_up()
    number = filed(await alice.file(SetThresholds(signatures=3, revocations=2), stack.units))
    for agent in (alice, bob):
        await agent.until(number, RequestState.COLLECTING)
    filed(await alice.approve(number))
    with contextlib.suppress(ConnectionResetError):  # it may die before it has said thanks
        filed(await bob.approve(number))
    assert await coordinator.ended() == 137
    for agent in (alice, bob):
        await agent.close()
        agent.closed = None
    await coordinator.start()
    await alice.connect()
    done = await alice.until(number, RequestState.EXECUTED)
    assert [one.outcome for one in done.progress] == [Outcome.EXECUTED] * 2
    assert {state.signature_threshold for state in states(done)} == {3}


async def test_a_unit_host_that_is_down_holds_the_request(stack: BareStack):
    alice, bob = stack["alice"], stack["bob"]
    await initialise(stack)
    number = filed(await alice.file(SetThresholds(signatures=3, revocations=2), stack.units))
    await alice.until(number, RequestState.COLLECTING)
    await bob.until(number, RequestState.COLLECTING)
    filed(await alice.approve(number))
    await stack.stack.units.kill()
    filed(await bob.approve(number))
    await alice.when(
        lambda: (
            True
            if alice.requests[number].state is RequestState.READY
            and not any(one.reachable for one in alice.requests[number].progress)
            else None
        )
    )
    await stack.stack.units.start()
    await alice.until(number, RequestState.EXECUTED)
