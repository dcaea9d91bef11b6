"""An instance for the first row: a unit host and a coordinator, with a fleet of agents.

Everything on the way there goes by the session's own messages; only the invitations are put into
the coordinator's store, as `quorate coordinator invite` does it, because a hundred commands take
their time.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from bench.fleet import FEED, FleetAgent, tokens
from coordinator.directory import CoordinatorDirectory
from coordinator.rehearsal.stack import Stack
from coordinator.store import people
from coordinator.store.database import Database
from protocol.charter import MAX_PEOPLE, Charter
from protocol.commands.bodies import Body, SetThresholds
from protocol.displayable import Purpose, Reason
from protocol.identifiers import HOUR, Instant, Nonce, UnitId
from protocol.request import DEFAULT_VALIDITY, Filing, Request, RequestState
from protocol.schema import from_bytes
from protocol.session.messages import (
    Accept,
    Approve,
    Cancel,
    CharterNews,
    Done,
    Feed,
    FileRequest,
    News,
    ProposeCharter,
    RequestNews,
    UnitApproval,
)
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from quorate import clock
from tests.cast.charters import accepts
from tests.cast.commands import adds
from tests.cast.people import INSTANCE, approval, custodian
from tests.scenarios.bare_stack import FLOOR, first_charter

ADMINISTRATORS = 8
_SECONDS = 300
T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """Two units, and which agents' people are their administrators."""

    units: tuple[UnitId, ...]
    administrators: tuple[int, ...]


class Fleet:
    """All agents, connected; in every pair of units eight administrators, thresholds of eight.

    The first agent is the one that looks into the news.
    """

    def __init__(
        self, directory: Path, *, agents: int, pairs: int, context: ssl.SSLContext
    ) -> None:
        units = [f"recovery:[eu-de].[AZ1-CS1].[{number:02}].[03]" for number in range(2 * pairs)]
        self.stack = Stack(directory / "stack", people=(), units=units)
        self.agents: list[FleetAgent] = []
        self.pairs: list[Pair] = []
        self._count, self._pair_count, self._context = agents, pairs, context
        self._requests: dict[int, Request] = {}
        self._charter: CharterNews | None = None
        self._news = asyncio.Event()
        self._filed = 0

    async def __aenter__(self) -> Self:
        try:
            await self.stack.start_coordinator_and_units()
            async with asyncio.timeout(_SECONDS):
                await self._connect()
                await self._accept()
                await self._initialise()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    def listen_to_none(self) -> None:
        """All agents but the first let news pass."""
        for agent in self.agents:
            agent.on_news = lambda _: None
        self.agents[0].on_news = self._look

    async def file_and_open(self, body: Body) -> list[Request]:
        """One request a pair, for the same command; when all of them collect."""
        self.listen_to_none()
        numbers = await asyncio.gather(*(self._file(pair, body) for pair in self.pairs))
        return [await self._until(one, RequestState.COLLECTING) for one in numbers]

    async def cancel(self, requests: Sequence[Request]) -> None:
        """Ends them; nothing was executed."""
        for pair, request in zip(self.pairs, requests, strict=True):
            cancel = Cancel(filing=request.filing.digest, reason=Reason("the wave is over"))
            await self.agents[pair.administrators[0]].publish(cancel)
        self._requests.clear()

    # --- setting up -----------------------------------------------------------------------------

    async def _connect(self) -> None:
        place = CoordinatorDirectory(self.stack.directory / "coordinator")
        keys = place.keys()
        certificate = ssl.PEM_cert_to_DER_cert(place.tls_certificate.read_text())
        named = [custodian(f"agent-{number}") for number in range(self._count)]
        drawn = tokens(self._count)
        expires = Instant(clock.now() + HOUR)
        database = await Database.open(place.database)
        try:
            await asyncio.gather(
                *(
                    database.write(
                        lambda connection, who=who, token=token: people.invite(  # type: ignore[misc]
                            connection, INSTANCE, who.name, token, expires
                        )
                    )
                    for who, token in zip(named, drawn, strict=True)
                )
            )
        finally:
            await database.close()
        for who, token in zip(named, drawn, strict=True):
            agent = FleetAgent(who, keys.identity, certificate)
            await agent.connect(self.stack.coordinator.address, token, self._context)
            self.agents.append(agent)
        self.listen_to_none()

    async def _accept(self) -> None:
        members = [agent.who for agent in self.agents[:MAX_PEOPLE]]
        charter = first_charter(self.stack.directory, self.stack, members, FLOOR, False)
        await self.agents[0].publish(ProposeCharter(charter=charter))
        for agent in self.agents[:MAX_PEOPLE]:
            await agent.publish(Accept(acceptance=accepts(agent.who, charter)))
        await self._when(
            lambda: self._charter if self._charter is not None and self._charter.in_force else None
        )
        self.pairs = _pairs(charter, self._pair_count, len(members))

    async def _initialise(self) -> None:
        """Eight administrators in every pair, then thresholds of eight: imprint mode is left."""
        for place in range(ADMINISTRATORS):
            numbers = await asyncio.gather(
                *(
                    self._file(pair, adds(self.agents[pair.administrators[place]].who))
                    for pair in self.pairs
                )
            )
            for number in numbers:
                await self._until(number, RequestState.EXECUTED)
        body = SetThresholds(signatures=ADMINISTRATORS, revocations=ADMINISTRATORS)
        requests = await self.file_and_open(body)
        for pair, request in zip(self.pairs, requests, strict=True):
            for number in pair.administrators:
                await self._approve(number, request)
            await self._until(request.id, RequestState.EXECUTED)
        self._requests.clear()

    async def _approve(self, number: int, request: Request) -> None:
        agent = self.agents[number]
        assert request.opening is not None
        approvals = tuple(
            UnitApproval(
                unit=one.unit, approval=approval(agent.who.key, request.command(one.target))
            )
            for one in request.progress
        )
        await agent.publish(
            Approve(request=request.opening.digest, ski=agent.who.key.ski, approvals=approvals)
        )

    async def _file(self, pair: Pair, body: Body) -> int:
        agent = self.agents[pair.administrators[0]]
        self._filed += 1
        filing = Filing(
            instance=INSTANCE,
            body=body,
            targets=pair.units,
            purpose=Purpose("a benchmark"),
            custodian=agent.who.agent,
            account=None,
            step=None,
            voids=None,
            valid_for=DEFAULT_VALIDITY,
            leave_out=False,
            at=clock.now(),
            nonce=Nonce(self._filed.to_bytes(32)),
        )
        signed = sign_statement(Label.FILING, filing, agent.who.identity.sign)
        done: Done = await agent.publish(FileRequest(filing=signed, idempotency_key=None))
        assert done.request is not None
        return done.request

    # --- news -----------------------------------------------------------------------------------

    def _look(self, message: bytes) -> None:
        assert message.startswith(FEED)
        news: News = from_bytes(Feed, message).news
        match news:
            case RequestNews(request=request):
                self._requests[request.id] = request
            case CharterNews():
                self._charter = news
            case _:
                return
        self._news.set()

    async def _until(self, number: int, state: RequestState) -> Request:
        def found() -> Request | None:
            request = self._requests.get(number)
            return request if request is not None and request.state is state else None

        return await self._when(found)

    async def _when(self, found: Callable[[], T | None]) -> T:
        async with asyncio.timeout(_SECONDS):
            while (result := found()) is None:
                self._news.clear()
                await self._news.wait()
        return result

    async def _stop(self) -> None:
        for agent in self.agents:
            agent.close()
        await self.stack.stop()


def _pairs(charter: Charter, count: int, members: int) -> list[Pair]:
    """Units by twos; administrators one after the other, so that all have equally much to do."""
    units = [unit.id for unit in charter.units]
    step = max(1, members // count)
    return [
        Pair(
            units=(units[2 * number], units[2 * number + 1]),
            administrators=tuple((step * number + at) % members for at in range(ADMINISTRATORS)),
        )
        for number in range(count)
    ]
