"""The coordinator's end of a session (DESIGN §4): who isn't who they say, gets nowhere.

The real gateway and intruders. Whoever breaks the protocol is hung up on with a reason, and nobody
else notices. The agent's end is in `test_session_of_agent`.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import WSCloseCode

from coordinator.agents import gateway
from protocol import canonical
from protocol.commands.bodies import SetControlPoint
from protocol.identifiers import DAY, Nonce, Signature
from protocol.schema import to_bytes, to_plain
from protocol.session.handshake import (
    AgentProof,
    Cursor,
    Enrolment,
    SignedCoordinatorHello,
    Welcome,
    prove,
)
from protocol.session.messages import (
    MAX_MESSAGE_BYTES,
    WantHistory,
    WantLog,
    WantStates,
)
from protocol.violations import Violation
from tests.attacks.evil_coordinator import PATIENCE, Certificate
from tests.attacks.guarded import Guarded, Intruder, guarded
from tests.cast.commands import nonce
from tests.cast.keys import noise, signature_key
from tests.cast.people import ALICE, BOB, MALLORY, Custodian

POINT = SetControlPoint(point=55, on=True)
POLICY = WSCloseCode.POLICY_VIOLATION


@pytest.fixture
async def home(place: Path, certificate: Certificate) -> AsyncIterator[Guarded]:
    async with guarded(place, certificate) as made:
        yield made


async def serves_others(home: Guarded) -> None:
    """The control: an enrolled agent still gets its answers."""
    agent = home.agents.get(BOB.name) or await home.agent(BOB)
    answer = await agent.ask(
        lambda ref: WantStates(ref=ref, units=home.cast.targets, nonce=Nonce(nonce("still there")))
    )
    assert len(answer.answers) == 2


# --- before anybody has proven themselves -------------------------------------------------------


NOT_A_HELLO: list[tuple[str, object, str]] = [
    ("nothing", b"", "not msgpack"),
    ("junk", b"\xc1" * 100, "not msgpack"),
    ("another encoding", canonical.encode({"a": 1})[:1] + b"\xa1a\xd0\x01", "not canonical"),
    ("no kind", to_bytes({"a": 1}), "not a valid"),
    ("an unknown kind", to_bytes({"kind": "superuser"}), "not a valid"),
    ("a message of later", WantLog(ref=1, start=0), "not a valid"),
    ("a proof", AgentProof(signature=Signature(bytes(64)), enrolment=None), "not a valid"),
    ("text", "hello", "messages are binary"),
]


@pytest.mark.parametrize(("what", "sent", "why"), NOT_A_HELLO, ids=[it[0] for it in NOT_A_HELLO])
async def test_what_is_no_hello(home: Guarded, what: str, sent: bytes, why: str):
    async with Intruder(home.url) as intruder:
        await intruder.send(sent)
        code, reason = await intruder.closed()
        assert code == POLICY and why in reason, reason
    await serves_others(home)


async def test_a_hello_with_a_field_too_many(home: Guarded):
    async with Intruder(home.url) as intruder:
        plain = to_plain(intruder.hello(BOB, home.certificate))
        await intruder.send(canonical.encode({**plain, "admin": True}))
        code, reason = await intruder.closed()
        assert code == POLICY and "unknown field" in reason
    await serves_others(home)


async def test_a_frame_that_is_too_big(home: Guarded):
    """Its header is enough: nothing of it is waited for."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = home.url.removeprefix("https://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    upgrade = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    lines = ["GET /v1/agent HTTP/1.1", *(f"{name}: {value}" for name, value in upgrade.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x82\xff" + (MAX_MESSAGE_BYTES + 1).to_bytes(8) + bytes(4))
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    assert answer == b"\x88\x02" + WSCloseCode.MESSAGE_TOO_BIG.to_bytes(2)
    writer.close()
    await serves_others(home)


async def test_an_unknown_version(home: Guarded):
    async with Intruder(home.url) as intruder:
        await intruder.send(intruder.hello(BOB, home.certificate, versions=(2, 3)))
        code, reason = await intruder.closed()
        assert code == POLICY and "no common version" in reason


async def test_a_handshake_that_takes_too_long(home: Guarded, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway, "HANDSHAKE_SECONDS", 0.01)
    async with Intruder(home.url) as intruder:
        code, reason = await intruder.closed()
        assert code == POLICY and "too slow" in reason
    monkeypatch.setattr(gateway, "HANDSHAKE_SECONDS", 10)
    await serves_others(home)


async def test_more_sessions_than_there_may_be(home: Guarded, monkeypatch: pytest.MonkeyPatch):
    await home.agent(BOB)
    monkeypatch.setattr(gateway, "MAX_SESSIONS", 1)
    async with Intruder(home.url) as intruder:
        code, reason = await intruder.closed()
        assert code == WSCloseCode.TRY_AGAIN_LATER and "too many" in reason
    await serves_others(home)


@pytest.mark.parametrize(
    "early",
    [
        WantLog(ref=1, start=0),
        WantHistory(ref=1, unit=bytes(32), after=0),  # type: ignore[arg-type]
    ],
)
async def test_nothing_is_answered_before_the_proof(home: Guarded, early: WantLog):
    async with Intruder(home.url) as intruder:
        await intruder.send(intruder.hello(BOB, home.certificate))
        await intruder.receive(SignedCoordinatorHello)
        await intruder.send(early)
        code, reason = await intruder.closed()
        assert code == POLICY and "not a valid" in reason


# --- who isn't who they say ---------------------------------------------------------------------


async def proves(home: Guarded, who: Custodian, proof: Callable[..., AgentProof]) -> str:
    """Says hello as `who`, and proves it so; why it is hung up on."""
    async with Intruder(home.url) as intruder:
        hello = intruder.hello(who, home.certificate)
        await intruder.send(hello)
        answer = await intruder.receive(SignedCoordinatorHello)
        await intruder.send(proof(hello, answer))
        code, reason = await intruder.closed()
        assert code == POLICY
        return reason


async def test_another_key_proves_nothing(home: Guarded):
    await home.agent(BOB)
    reason = await proves(
        home,
        BOB,
        lambda hello, answer: prove(hello, answer, enrolment=None, sign=MALLORY.identity.sign),
    )
    assert "doesn't verify" in reason
    await serves_others(home)


async def test_a_proof_from_another_session(home: Guarded):
    """Recorded once, played again: the coordinator's nonce is another."""
    await home.agent(BOB)
    recorded: list[AgentProof] = []
    async with Intruder(home.url) as intruder:
        hello = intruder.hello(BOB, home.certificate)
        await intruder.send(hello)
        answer = await intruder.receive(SignedCoordinatorHello)
        recorded.append(prove(hello, answer, enrolment=None, sign=BOB.identity.sign))
    assert "doesn't verify" in await proves(home, BOB, lambda *_: recorded[0])


async def test_a_proof_that_the_coordinator_itself_made(home: Guarded):
    """Its own signature over the same hellos, played back to it."""
    reason = await proves(
        home,
        Custodian(name=BOB.name, identity=signature_key("coordinator"), keys=()),
        lambda _, answer: AgentProof(signature=answer.signature, enrolment=None),
    )
    assert "doesn't verify" in reason


async def test_somebody_who_is_not_enrolled(home: Guarded):
    reason = await proves(
        home,
        MALLORY,
        lambda hello, answer: prove(hello, answer, enrolment=None, sign=MALLORY.identity.sign),
    )
    assert "isn't enrolled" in reason
    assert not any(isinstance(one, Exception) for one in home.agents.values())


async def test_a_hello_for_another_coordinator_or_certificate(home: Guarded):
    for changes, why in (
        ({"coordinator": MALLORY.agent}, "another coordinator"),
        ({"certificate": noise("mallory's certificate")}, "another TLS certificate"),
    ):
        async with Intruder(home.url) as intruder:
            await intruder.send(intruder.hello(BOB, home.certificate).but(**changes))
            code, reason = await intruder.closed()
            assert code == POLICY and why in reason


# --- invitations --------------------------------------------------------------------------------


async def enrols(home: Guarded, who: Custodian, name: str, token: bytes) -> str:
    """Tries to enrol `who`'s agent as `name`; why not."""
    enrolment = Enrolment(token=token, person=Custodian(name, who.identity, ()).name)  # type: ignore[arg-type]
    return await proves(
        home,
        who,
        lambda hello, answer: prove(hello, answer, enrolment=enrolment, sign=who.identity.sign),
    )


async def test_an_invitation_works_once(home: Guarded):
    await home.agent(BOB)
    used = noise("invitation of bob ")
    assert "used, expired or somebody else's" in await enrols(home, MALLORY, "bob", used)
    await serves_others(home)


async def test_an_invitation_that_has_expired(home: Guarded):
    token = await home.invite("bob")
    home.cast.clock.pass_time(DAY)
    assert "expired" in await enrols(home, MALLORY, "bob", token)


async def test_an_invitation_of_somebody_else(home: Guarded):
    token = await home.invite("alice")
    assert "somebody else's" in await enrols(home, MALLORY, "bob", token)
    async with Intruder(home.url) as intruder:
        enrolment = Enrolment(token=token, person=ALICE.name)
        await intruder.enter(ALICE, home.certificate, enrolment=enrolment)


async def test_a_token_that_was_guessed(home: Guarded):
    await home.invite("bob")
    assert "isn't good" in await enrols(home, MALLORY, "bob", bytes(32))


async def test_an_enrolled_agent_does_not_become_somebody_else(home: Guarded):
    """Alice's agent shows an invitation for bob: it stays alice's, and the invitation unused."""
    await home.agent(ALICE)
    token = await home.invite("bob")
    agent = home.agents["alice"]
    await agent.close()
    async with Intruder(home.url) as intruder:
        enrolment = Enrolment(token=token, person=BOB.name)
        hello = intruder.hello(ALICE, home.certificate)
        await intruder.send(hello)
        answer = await intruder.receive(SignedCoordinatorHello)
        await intruder.send(prove(hello, answer, enrolment=enrolment, sign=ALICE.identity.sign))
        assert (await intruder.receive(Welcome)).person == "alice"
    async with Intruder(home.url) as intruder:
        enrolment = Enrolment(token=token, person=BOB.name)
        await intruder.enter(BOB, home.certificate, enrolment=enrolment)


# --- after the handshake ------------------------------------------------------------------------


AFTERWARDS: list[tuple[str, object, str]] = [
    ("junk", b"\xc1", "not msgpack"),
    ("an unknown kind", to_bytes({"kind": "become-root", "ref": 1}), "not a valid"),
    ("a number that is too large", to_bytes({"kind": "want-log", "ref": 1, "start": 1 << 60}), ""),
    ("text", "hello", "messages are binary"),
    ("too deep", b"\x91" * 60 + b"\xc0", "not canonical"),
]


@pytest.mark.parametrize(("what", "sent", "why"), AFTERWARDS, ids=[it[0] for it in AFTERWARDS])
async def test_what_is_no_message(home: Guarded, what: str, sent: bytes, why: str):
    await home.agent(BOB)
    async with Intruder(home.url) as intruder:
        token = await home.invite("alice")
        await intruder.enter(
            ALICE, home.certificate, enrolment=Enrolment(token=token, person=ALICE.name)
        )
        await intruder.send(sent)
        code, reason = await intruder.closed()
        assert code == POLICY and why in reason, reason
    await serves_others(home)


async def test_a_frame_that_is_too_big_afterwards(home: Guarded):
    await home.agent(BOB)
    token = await home.invite("alice")
    async with Intruder(home.url) as intruder:
        await intruder.enter(
            ALICE, home.certificate, enrolment=Enrolment(token=token, person=ALICE.name)
        )
        with contextlib.suppress(ConnectionError):
            await intruder.send(bytes(MAX_MESSAGE_BYTES + 1))
        await intruder.closed()
    await serves_others(home)


async def test_a_flood_of_questions(home: Guarded):
    """Whoever asks without waiting for answers is hung up on; others are answered."""
    await home.agent(BOB)
    token = await home.invite("alice")
    held = asyncio.Event()

    async def slow(*_: object) -> object:
        await held.wait()
        raise Violation("over")

    async with Intruder(home.url) as intruder:
        await intruder.enter(
            ALICE, home.certificate, enrolment=Enrolment(token=token, person=ALICE.name)
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(home.cast.units, "state", slow)
            for ref in range(gateway.MAX_QUESTIONS + 1):
                await intruder.send(
                    WantStates(
                        ref=ref, units=home.cast.targets[:1], nonce=Nonce(nonce(f"flood {ref}"))
                    )
                )
            code, reason = await intruder.closed()
        held.set()
        assert code == POLICY and "unanswered" in reason
    await serves_others(home)


async def test_a_stranger_can_not_make_everybody_read_everything_anew(home: Guarded):
    """A cursor beyond the feed's end says that the store was lost: only who has proven themselves
    may say so, and is told to come again."""
    bob = await home.agent(BOB)
    epoch = await home.cast.ledger.epoch()
    beyond = Cursor(epoch=epoch, position=1 << 40)
    async with Intruder(home.url) as intruder:
        hello = intruder.hello(BOB, home.certificate, cursor=beyond)
        await intruder.send(hello)
        answer = await intruder.receive(SignedCoordinatorHello)
        assert answer.hello.epoch == epoch
        await intruder.send(AgentProof(signature=Signature(bytes(64)), enrolment=None))
        assert "doesn't verify" in (await intruder.closed())[1]
    assert await home.cast.ledger.epoch() == epoch
    await bob.close()
    async with Intruder(home.url) as intruder:
        hello = intruder.hello(BOB, home.certificate, cursor=beyond)
        await intruder.send(hello)
        answer = await intruder.receive(SignedCoordinatorHello)
        await intruder.send(prove(hello, answer, enrolment=None, sign=BOB.identity.sign))
        assert "connect again" in (await intruder.closed())[1]
    assert await home.cast.ledger.epoch() != epoch


async def test_an_agent_that_was_replaced_is_hung_up_on(home: Guarded):
    """A stolen laptop's session ends when its owner enrols a new one."""
    bob = await home.agent(BOB)
    token = await home.invite("bob", title="again")
    new = Custodian(name=BOB.name, identity=signature_key("bob's new laptop"), keys=BOB.keys)
    async with Intruder(home.url) as intruder:
        await intruder.enter(
            new, home.certificate, enrolment=Enrolment(token=token, person=BOB.name)
        )
        assert "another session" in await bob.until_closed()


async def test_one_agent_can_not_take_all_sessions(home: Guarded):
    bob = await home.agent(BOB)
    async with Intruder(home.url) as second:
        await second.enter(BOB, home.certificate)
        assert "another session" in await bob.until_closed()
        await second.send(WantLog(ref=1, start=0))
        async with Intruder(home.url) as third:
            await third.enter(BOB, home.certificate)
            code, reason = await second.closed()
            assert code == POLICY and "another session" in reason
