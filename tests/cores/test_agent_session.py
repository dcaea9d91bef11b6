"""signer_agent.session: both ends of a session joined in memory, and what an end must not do."""

from typing import Any

import pytest

from protocol.identifiers import IdentityKey, Instant, UnitId
from protocol.schema import from_bytes, to_bytes
from protocol.session.handshake import (
    AgentHello,
    AgentProof,
    Cursor,
    Enrolment,
    SignedCoordinatorHello,
    Welcome,
    answer_hello,
    check_proof,
)
from protocol.session.messages import AgentNews, CaughtUp, Done, Feed, WantHistory
from protocol.violations import Violation
from signer_agent.session import AgentSession, AllHeard, Answered, Heard, Self, Send, Standing
from tests.cast.commands import NOON, nonce
from tests.cast.keys import noise, signature_key
from tests.cast.people import ALICE, BOB, MALLORY

COORDINATOR = signature_key("coordinator")
CERTIFICATE = noise("a TLS certificate")
EPOCH, OTHER_EPOCH = noise("epoch", 16), noise("other epoch", 16)


def session(**changes: Any) -> AgentSession:
    fields: dict[str, Any] = {
        "certificate": CERTIFICATE,
        "cursor": None,
        "checkpoint": None,
        "enrolment": None,
        "nonce": nonce("agent"),
    }
    own = Self(ALICE.name, ALICE.agent, ALICE.identity.sign)
    return AgentSession(own, COORDINATOR.identity, **(fields | changes))


def answered(hello: bytes, *, key=COORDINATOR, epoch: bytes = EPOCH, **changes: Any) -> bytes:
    """What a coordinator answers to a hello."""
    fields: dict[str, Any] = {"nonce": nonce("coordinator"), "now": NOON, "sign": key.sign}
    seen = from_bytes(AgentHello, hello)
    answer = answer_hello(
        seen, IdentityKey(seen.coordinator), CERTIFICATE, epoch=epoch, **(fields | changes)
    )
    return to_bytes(answer)


def standing(**changes: Any) -> AgentSession:
    made = session(**changes)
    made.receive(answered(made.hello()))
    made.receive(to_bytes(Welcome(person=ALICE.name)))
    assert made.stands
    return made


def test_both_sides_prove_themselves():
    made = session(enrolment=Enrolment(token=noise("token"), person=ALICE.name))
    answer = answered(made.hello())
    (sent,) = made.receive(answer)
    assert isinstance(sent, Send)
    proof = from_bytes(AgentProof, sent.data)
    check_proof(
        from_bytes(AgentHello, made.hello()), from_bytes(SignedCoordinatorHello, answer), proof
    )
    assert proof.enrolment is not None
    assert not made.stands
    (stands,) = made.receive(to_bytes(Welcome(person=ALICE.name)))
    assert stands == Standing(other_store=False, coordinator_time=NOON)
    assert made.stands


@pytest.mark.parametrize(
    "forge",
    [
        lambda hello: answered(hello, key=MALLORY.identity),
        lambda hello: answered(session(nonce=nonce("another session")).hello()),
        lambda hello: to_bytes(Welcome(person=ALICE.name)),
        lambda hello: b"\xc1",
        lambda hello: answered(hello) + b"\x00",
    ],
    ids=["another key", "played back", "out of turn", "malformed", "trailing"],
)
def test_a_coordinator_that_hasnt_proven_itself_gets_no_proof(forge):
    made = session()
    with pytest.raises(Violation):
        made.receive(forge(made.hello()))
    assert not made.stands


def test_an_agent_taken_for_somebody_else():
    made = session()
    made.receive(answered(made.hello()))
    with pytest.raises(Violation, match="somebody else"):
        made.receive(to_bytes(Welcome(person=BOB.name)))
    assert not made.stands


def test_nothing_is_asked_before_it_stands():
    made = session()
    with pytest.raises(ValueError, match="before both sides"):
        made.ask(lambda ref: WantHistory(ref=ref, unit=UnitId(noise("unit")), after=0))


@pytest.mark.parametrize(("epoch", "other"), [(EPOCH, False), (OTHER_EPOCH, True)])
def test_another_store_is_noticed(epoch: bytes, other: bool):
    made = session(cursor=Cursor(epoch=epoch, position=7))
    made.receive(answered(made.hello()))
    (stands,) = made.receive(to_bytes(Welcome(person=ALICE.name)))
    assert isinstance(stands, Standing)
    assert stands.other_store is other


def test_news_come_with_their_cursor_and_answers_with_their_ref():
    made = standing()
    news = AgentNews(person=BOB.name, agent=BOB.agent, enrolled=Instant(1))
    feed = Feed(position=3, news=news)
    assert made.receive(to_bytes(feed)) == (Heard(feed, Cursor(epoch=EPOCH, position=3)),)
    told = made.receive(to_bytes(CaughtUp(position=3, now=NOON)))
    assert told == (AllHeard(Cursor(epoch=EPOCH, position=3)),)
    first, _ = made.ask(lambda ref: WantHistory(ref=ref, unit=UnitId(noise("unit")), after=0))
    second, data = made.ask(lambda ref: WantHistory(ref=ref, unit=UnitId(noise("unit")), after=0))
    assert (first, second) == (1, 2)
    assert from_bytes(WantHistory, data).ref == 2
    done = Done(ref=2, request=None)
    assert made.receive(to_bytes(done)) == (Answered(2, done),)


def test_what_isnt_a_message_of_a_coordinator_breaks_the_protocol():
    made = standing()
    for data in (made.hello(), b"", to_bytes(Welcome(person=ALICE.name))):
        with pytest.raises(Violation):
            made.receive(data)
