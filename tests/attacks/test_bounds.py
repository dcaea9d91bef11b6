"""What a peer can make grow has a bound (DESIGN §4), and no flood keeps out what is true."""

import pytest

from protocol.commands.bodies import SetControlPoint
from protocol.displayable import PersonName
from protocol.identifiers import Instant
from protocol.request import Announcement, RequestState
from protocol.sealing.contribution import vp_of
from protocol.session.messages import AgentNews, KeyNews, PartNews
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from signer_agent import kept
from signer_agent.local.messages import Charters, GetCharters, GetRequests, Requests
from tests.attacks.bends import bend
from tests.attacks.conftest import Attack
from tests.cast.commands import NOON
from tests.cast.keys import noise, signature_key
from tests.cast.people import ALICE, CAROL, INSTANCE, Custodian

POINT = SetControlPoint(point=55, on=True)


def part(who: Custodian, value: bytes) -> PartNews:
    announcement = Announcement(
        instance=INSTANCE,
        custodian=who.agent,
        vp=vp_of(value),
        description="a part",
        offered=True,
        at=NOON,
    )
    return PartNews(
        announcement=sign_statement(Label.ANNOUNCEMENT, announcement, who.identity.sign)
    )


async def test_requests_that_have_ended_are_forgotten_when_there_are_too_many(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kept, "MAX_REQUESTS", 4)
    async with attack() as bob:
        first = bob.world.open(POINT)
        await bob.hears(first)
        for _ in range(10):
            await bob.hears(bend(bob.world.open(POINT), state=RequestState.CANCELLED))
        known = await bob.client.ask(GetRequests(), Requests)
        assert len(known.requests) == 4 and known.requests[0].id == 1
        await bob.restart()
        await bob.gives(await bob.shown(1))


async def test_open_requests_are_bounded(attack: Attack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "MAX_REQUESTS", 4)
    async with attack() as bob:
        for _ in range(10):
            await bob.hears(bob.world.open(POINT))
        known = await bob.client.ask(GetRequests(), Requests)
        assert [one.id for one in known.requests] == [1, 2, 3, 4]
        await bob.gives(await bob.shown(4))


async def test_keys_parts_and_agents_are_bounded(attack: Attack, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "MAX_OFFERS", 3)
    async with attack() as bob:
        for number in range(6):
            stranger = signature_key(f"stranger {number}")
            mallory = Custodian(name=ALICE.name, identity=stranger, keys=(stranger,))
            await bob.hears(
                AgentNews(person=PersonName("alice"), agent=stranger.identity, enrolled=Instant(0)),
                KeyNews(key=mallory.proven()),
                part(mallory, noise(f"part {number}")),
            )
        await bob.hears(
            AgentNews(person=CAROL.name, agent=CAROL.agent, enrolled=NOON),
            KeyNews(key=CAROL.proven()),
            part(CAROL, CAROL.part()),
        )
        await bob.restart()
        known = await bob.client.ask(GetCharters(), Charters)
        assert len(known.agents) == len(known.keys) == len(known.parts) == 3
        assert CAROL.agent in [one.agent for one in known.agents]
        assert CAROL.proven() in known.keys
        assert vp_of(CAROL.part()) in [one.vp for one in known.parts]
