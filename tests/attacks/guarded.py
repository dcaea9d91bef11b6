"""The coordinator under attack: the real gateway, API, store and engine, over TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from coordinator.agents.gateway import Gateway
from coordinator.store import people
from protocol.displayable import PersonName
from protocol.identifiers import DAY, Instant, Nonce
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.session.handshake import (
    AgentHello,
    Cursor,
    Enrolment,
    SignedCoordinatorHello,
    Welcome,
    prove,
)
from protocol.session.invitation import Invitation
from quorate import https, serving, tls
from tests.attacks.evil_coordinator import PATIENCE, Certificate
from tests.cast.bare_agents import BareAgent
from tests.cast.commands import nonce
from tests.cast.coordinators import CastCoordinator, coordinator
from tests.cast.keys import noise, signature_key
from tests.cast.people import INSTANCE, Custodian


@dataclass
class Guarded:
    """A coordinator that serves agents and accounts. Everybody of its charter may enrol."""

    cast: CastCoordinator
    gateway: Gateway
    certificate: Certificate
    url: str
    agents: dict[str, BareAgent] = field(default_factory=dict)

    async def invite(self, name: str, *, title: str = "", lasts: int = DAY) -> bytes:
        """An invitation's token."""
        token = noise(f"invitation of {name} {title}")
        expires = Instant(self.cast.clock.now + lasts)
        await self.cast.ledger.change(
            lambda change: people.invite(
                change.connection, INSTANCE, PersonName(name), token, expires
            )
        )
        return token

    async def agent(self, who: Custodian) -> BareAgent:
        """Their enrolled agent, in a session."""
        token = await self.invite(who.name)
        agent = BareAgent(who, self.invitation(who.name, token), self.certificate.der)
        await agent.connect(enrol=True)
        await agent.caught_up()
        self.agents[who.name] = agent
        return agent

    def invitation(self, name: str, token: bytes) -> Invitation:
        """What the person was given."""
        return Invitation(
            url=self.url,
            coordinator=signature_key("coordinator").identity,
            log=signature_key("log").identity,
            instance=INSTANCE,
            practice=True,
            person=PersonName(name),
            token=token,
        )


@asynccontextmanager
async def guarded(directory: Path, certificate: Certificate) -> AsyncIterator[Guarded]:
    """Serves until the end of the block."""
    async with coordinator(directory) as cast:
        gateway = Gateway(
            cast.ledger,
            cast.units,
            certificate=certificate.fingerprint,
            epoch=await cast.ledger.epoch(),
        )
        application = cast.application()
        application.add_routes(gateway.routes())
        context = tls.server_context(certificate.certificate, certificate.key)
        async with serving.listening(application, "127.0.0.1", 0, context) as address:
            made = Guarded(cast, gateway, certificate, f"https://{address}")
            try:
                yield made
            finally:
                for agent in made.agents.values():
                    await agent.close()
                await gateway.close()


class Intruder:
    """Somebody who opens a WebSocket and sends whatever bytes they like."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http: aiohttp.ClientSession
        self.socket: aiohttp.ClientWebSocketResponse

    async def __aenter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._http = aiohttp.ClientSession(connector=https.connector(context))
        self.socket = await self._http.ws_connect(self.url + "/v1/agent", max_msg_size=0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.socket.close()
        await self._http.close()

    async def send(self, message: Struct | bytes | str) -> None:
        """A message, bytes, or text."""
        if isinstance(message, str):
            await self.socket.send_str(message)
        else:
            await self.socket.send_bytes(
                message if isinstance(message, bytes) else to_bytes(message)
            )

    async def receive(self, kind: Any) -> Any:
        """The next message."""
        async with asyncio.timeout(PATIENCE):
            return from_bytes(kind, await self.socket.receive_bytes())

    async def closed(self) -> tuple[int | None, str]:
        """Waits until it is hung up on; the code and the reason. Other messages are passed over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    continue
                return self.socket.close_code, str(message.extra or "")

    # --- the handshake, step by step ------------------------------------------------------------

    def hello(self, who: Custodian, certificate: Certificate, **changes: Any) -> AgentHello:
        """An agent's first words."""
        fields: dict[str, Any] = {
            "versions": (1,),
            "agent": who.agent,
            "coordinator": signature_key("coordinator").identity,
            "certificate": certificate.fingerprint,
            "nonce": Nonce(nonce("intruder")),
            "cursor": None,
            "checkpoint": None,
        }
        return AgentHello(**(fields | changes))

    async def enter(
        self,
        who: Custodian,
        certificate: Certificate,
        *,
        enrolment: Enrolment | None = None,
        cursor: Cursor | None = None,
    ) -> SignedCoordinatorHello:
        """The whole handshake, as an enrolled agent or with an invitation."""
        hello = self.hello(who, certificate, cursor=cursor)
        await self.send(hello)
        answer: SignedCoordinatorHello = await self.receive(SignedCoordinatorHello)
        await self.send(prove(hello, answer, enrolment=enrolment, sign=who.identity.sign))
        await self.receive(Welcome)
        return answer
