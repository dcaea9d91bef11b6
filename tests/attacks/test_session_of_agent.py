"""The agent's end of a session (DESIGN §4): it talks to the coordinator of its charter, and to
nobody who only says so; what breaks the protocol ends the session with a reason, not the agent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from protocol import canonical
from protocol.commands.bodies import SetControlPoint
from protocol.displayable import PersonName
from protocol.identifiers import Instant
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.session.handshake import AgentHello, Welcome
from protocol.session.messages import (
    MAX_MESSAGE_BYTES,
    CaughtUp,
    CharterNews,
    Done,
    States,
)
from quorate import https, serving, tls
from quorate.exits import Exit
from signer_agent.daemon import link
from signer_agent.local.messages import AcceptCharter, Ok
from signer_agent.trust.evidence import AskConsistency, Question
from tests.attacks.conftest import Attack
from tests.attacks.evil_coordinator import PATIENCE, Certificate, EvilCoordinator
from tests.attacks.guarded import Guarded, guarded
from tests.attacks.victim import Victim, ends_with, make_files, says
from tests.cast.charters import accepts, charter
from tests.cast.commands import NOON
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, Custodian
from tests.cores.desk_world import World

POINT = SetControlPoint(point=55, on=True)


async def hung_up(bob: Victim, *codes: int) -> str:
    """Waits until the agent has hung up; why."""
    evil = bob.evil
    found, reason = await evil.until(
        lambda: next((one for one in evil.closed if one[0] != WSCloseCode.OK), None)
    )
    assert found in (codes or (WSCloseCode.POLICY_VIOLATION,)), (found, reason)
    return reason


async def goes_on(bob: Victim) -> None:
    """The control: with an honest coordinator the agent comes again, and signs."""
    bob.evil.hello = bob.evil.honest_hello
    await bob.connected()
    await bob.gives(await bob.sees(bob.world.open(POINT)))


# --- messages -----------------------------------------------------------------------------------


NO_MESSAGES: list[tuple[str, object, str]] = [
    ("junk", b"\xc1\xc1", "not msgpack"),
    ("another spelling", b"\x81\xa4kind\xd9\x04done", "not canonical"),
    ("a key twice", b"\x82\xa1a\x01\xa1a\x01", "not canonical"),
    ("no kind", canonical.encode({"ref": 1}), "not a valid"),
    ("an unknown kind", canonical.encode({"kind": "run-this", "ref": 1}), "not a valid"),
    (
        "a field too many",
        canonical.encode({"kind": "done", "ref": 1, "request": None, "x": 1}),
        "unknown field",
    ),
    ("a field of another type", canonical.encode({"kind": "done", "ref": "1"}), "not a valid"),
    ("an agent's message", to_bytes(CaughtUp(position=1, now=NOON))[:-1], "not msgpack"),
    ("a welcome again", to_bytes(Welcome(person=PersonName("bob"))), "not a valid"),
    ("text", "hello", "messages are binary"),
    ("too deep", b"\x91" * 60 + b"\xc0", "not canonical"),
]


@pytest.mark.parametrize(("what", "sent", "why"), NO_MESSAGES, ids=[one[0] for one in NO_MESSAGES])
async def test_what_is_no_message(attack: Attack, what: str, sent: bytes, why: str):
    async with attack() as bob:
        await bob.evil.send(sent)
        assert why in await hung_up(bob)
        await goes_on(bob)


async def test_a_message_that_is_too_big(attack: Attack):
    async with attack() as bob:
        await bob.evil.send(bytes(MAX_MESSAGE_BYTES + 1))
        # What it doesn't read any more may cut the goodbye off.
        await hung_up(bob, WSCloseCode.MESSAGE_TOO_BIG, WSCloseCode.ABNORMAL_CLOSURE)
        await goes_on(bob)


async def test_answers_that_nobody_asked_for(attack: Attack):
    """They are passed over: also for questions to come."""
    async with attack() as bob:
        await bob.evil.send(States(ref=1000, answers=()))
        await bob.evil.send(Done(ref=0, request=7))
        await bob.gives(await bob.sees(bob.world.open(POINT)))


async def test_a_publication_that_is_answered_with_something_else(attack: Attack):
    """Neither Yes nor No: it counts as neither, and the agent goes on."""
    async with attack() as bob:
        seen = await bob.sees(bob.world.open(POINT))
        bob.evil.take = lambda _: States(ref=0, answers=())
        trouble = await ends_with(bob.gives(seen))
        says(trouble, Exit.ALARM, None, "broke the protocol")
        sent = list(bob.agent.kept.sent.values())
        assert not sent[-1].acknowledged
        bob.evil.take = lambda _: Done(ref=0, request=None)
        await bob.reconnect()
        await bob.evil.until(lambda: len(bob.evil.given) == 2 or None)
        assert bob.evil.given[0] == bob.evil.given[1]


async def test_news_that_come_while_it_looks(attack: Attack):
    """The coordinator swaps a request for one at another checkpoint, between question and answer:
    the evidence was gathered for the first, so the first is judged."""
    async with attack() as bob:
        news = bob.world.open(POINT)
        await bob.hears(news)
        other = bob.world.open(POINT)
        swapped = other.but(request=other.request.but(id=1))

        async def swap(question: Question) -> None:
            if isinstance(question, AskConsistency):
                bob.evil.meanwhile = None
                await bob.hears(swapped)

        bob.evil.meanwhile = swap
        seen = await bob.shown(1)
        assert seen.digest == news.request.opening.digest  # type: ignore[union-attr]
        says(await ends_with(bob.gives(seen)), Exit.ENDED, None, "has changed")
        assert not bob.evil.given
        await bob.gives(await bob.shown(1))


# --- the handshake ------------------------------------------------------------------------------


def by_somebody_else(evil: EvilCoordinator, hello: AgentHello) -> Struct:
    """Right in everything but the key."""
    evil_key = signature_key("mallory's coordinator")
    evil.identity = evil_key
    answer = evil.honest_hello(hello.but(coordinator=evil_key.identity))
    evil.identity = signature_key("coordinator")
    return answer


def of_an_earlier_session(evil: EvilCoordinator, hello: AgentHello) -> Struct:
    """Recorded when the true coordinator said it."""
    return evil.honest_hello(evil.hellos[0])


def changed_after_signing(evil: EvilCoordinator, hello: AgentHello) -> Struct:
    answer = evil.honest_hello(hello)
    return answer.but(hello=answer.hello.but(time=Instant(answer.hello.time + 1)))


def of_another_version(evil: EvilCoordinator, hello: AgentHello) -> Struct:
    answer = evil.honest_hello(hello)
    return answer.but(hello=answer.hello.but(version=2))


def the_agents_own_words(evil: EvilCoordinator, hello: AgentHello) -> Struct:
    return hello


def a_welcome(evil: EvilCoordinator, hello: AgentHello) -> Struct:
    return Welcome(person=PersonName("bob"))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (by_somebody_else, "doesn't verify"),
        (of_an_earlier_session, "doesn't verify"),
        (changed_after_signing, "doesn't verify"),
        (of_another_version, "wasn't offered"),
        (the_agents_own_words, "not a valid"),
        (a_welcome, "not a valid"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
async def test_who_is_not_the_coordinator(
    attack: Attack, how: Callable[[EvilCoordinator, AgentHello], Struct], why: str
):
    async with attack() as bob:
        proofs = len(bob.evil.proofs)
        bob.evil.hello = lambda hello: how(bob.evil, hello)
        await bob.evil.hang_up()
        assert why in await hung_up(bob)
        assert len(bob.evil.proofs) == proofs, "it proved itself to a stranger"
        await goes_on(bob)


async def test_the_coordinator_that_the_charter_no_longer_names(attack: Attack):
    """Its key is the invitation's; but the people have accepted a version that names another."""
    async with attack() as bob:
        older = bob.world.charter
        new = signature_key("the new coordinator")
        coordinator = older.coordinator.but(identity=new.identity)
        newer = charter(bob.world.people, bob.world.units, previous=older, coordinator=coordinator)
        yes = (accepts(ALICE, newer),)
        await bob.hears(CharterNews(charter=newer, acceptances=yes, in_force=True))
        bob.evil.hello = lambda hello: bob.evil.honest_hello(
            hello.but(coordinator=older.coordinator.identity)
        )
        taken = len(bob.evil.taken)
        await bob.client.ask(AcceptCharter(charter=newer.digest), Ok)
        assert "doesn't verify" in await hung_up(bob)
        assert bob.evil.hellos[-1].coordinator == new.identity
        assert len(bob.evil.taken) == taken, "not even the acceptance is for the old one"
        bob.evil.identity = new
        bob.evil.hello = bob.evil.honest_hello
        await bob.connected()
        await bob.looks()
        await bob.gives(await bob.sees(bob.world.open(POINT, charter=newer)))


async def test_a_coordinator_that_takes_one_for_somebody_else(attack: Attack):
    async with attack() as bob:
        people = bob.world.people
        bob.world.people = (Custodian(ALICE.name, BOB.identity, BOB.keys),)
        await bob.evil.hang_up()
        assert "somebody else's" in await hung_up(bob)
        bob.world.people = people
        await goes_on(bob)


async def test_a_handshake_that_takes_too_long(attack: Attack, monkeypatch: pytest.MonkeyPatch):
    async with attack() as bob:
        monkeypatch.setattr(link, "HANDSHAKE_SECONDS", 0.01)
        bob.evil.silent = True
        await bob.evil.hang_up()
        await bob.evil.until(lambda: len(bob.evil.hellos) > 3 or None)
        monkeypatch.setattr(link, "HANDSHAKE_SECONDS", 10)
        bob.evil.silent = False
        await goes_on(bob)


# --- in the middle ------------------------------------------------------------------------------


class Middle:
    """Somebody between agent and coordinator, with a TLS certificate of their own."""

    def __init__(self, home: Guarded, certificate: Certificate, honest: bool) -> None:
        self.home, self.certificate, self.honest = home, certificate, honest
        self.reasons: asyncio.Queue[str] = asyncio.Queue()
        self.passed: list[bytes] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        application = web.Application()
        application.add_routes([web.get("/v1/agent", self._relay)])
        context = tls.server_context(self.certificate.certificate, self.certificate.key)
        async with serving.listening(application, "127.0.0.1", 0, context) as address:
            yield f"https://{address}"

    async def _relay(self, request: web.Request) -> web.WebSocketResponse:
        agent = web.WebSocketResponse(compress=False)
        await agent.prepare(request)
        context = tls.client_context(self.home.certificate.fingerprint)
        async with (
            aiohttp.ClientSession(connector=https.connector(context)) as http,
            http.ws_connect(self.home.url + "/v1/agent") as coordinator,
        ):
            first = from_bytes(AgentHello, await agent.receive_bytes())
            if not self.honest:
                # What the coordinator would see if it were talked to directly.
                first = first.but(certificate=self.home.certificate.fingerprint)
            await coordinator.send_bytes(to_bytes(first))
            back = asyncio.create_task(self._copy(coordinator, agent))
            await self._copy(agent, coordinator)
            back.cancel()
        return agent

    async def _copy(self, source: Any, target: Any) -> None:
        async for message in source:
            if message.type is WSMsgType.BINARY:
                self.passed.append(message.data)
                await target.send_bytes(message.data)
        await self.reasons.put(str(source.close_code))
        await target.close()


@pytest.mark.parametrize("honest", [True, False])
async def test_a_man_in_the_middle(place: Path, certificate: Certificate, honest: bool):
    """With the true coordinator behind them: the certificate that the agent sees is in the hello,
    and both sign it. So either the coordinator hangs up, or the agent."""
    mallorys = Certificate.make(place, "mallory", at=NOON)
    async with guarded(place, certificate) as home:
        token = await home.invite("bob")
        middle = Middle(home, mallorys, honest)
        async with middle.listening() as url, visiting(url, token, place / "bob") as bob:
            async with asyncio.timeout(PATIENCE):
                await middle.reasons.get()
            assert bob.caught_up == 0 and not bob.agent.link.connected
        assert not any(_is_welcome(data) for data in middle.passed)
        async with visiting(home.url, token, place / "bob") as bob:
            await bob.until(lambda: bob.caught_up > 0)


def _is_welcome(data: bytes) -> bool:
    plain = canonical.decode(data)
    return isinstance(plain, dict) and plain.get("kind") == "welcome"


@asynccontextmanager
async def visiting(url: str, token: bytes, path: Path) -> AsyncIterator[Victim]:
    """Bob's agent, invited to the coordinator at this URL."""
    place = EvilCoordinator(World(), Certificate(path, path))
    place.address = url.removeprefix("https://")
    bob = Victim(place, BOB, path)
    if not any(bob.directory.path.iterdir()):
        make_files(bob.directory, BOB, [])
    bob.token = token
    await bob.start()
    try:
        yield bob
    finally:
        await bob.stop()
