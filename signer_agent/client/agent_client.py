"""A client of the daemon's local socket: a custodian, by their agent."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import TypeVar

from protocol.displayable import InstanceName, PersonName
from protocol.identifiers import IdentityKey, UnitId
from protocol.request import Request
from protocol.schema import from_bytes, to_bytes
from protocol.violations import Violation
from quorate import private_files
from quorate.exits import Exit, Trouble
from signer_agent.client.party import KnownCharters, OfferedPart
from signer_agent.desk.filing import Wish
from signer_agent.directory import AgentDirectory
from signer_agent.local import wire
from signer_agent.local.messages import (
    MAX_BYTES,
    Answer,
    Charters,
    Failed,
    FileWish,
    GetCharters,
    GetFiled,
    GetRequests,
    GetResults,
    GetUnits,
    Ok,
    Question,
    Requests,
    Results,
    Units,
    WatchRequest,
)

A = TypeVar("A")
_SELECTION = "selection.json"
_LIMIT = 64 * 1024


def _check(question: Question) -> None:
    """Usage trouble for what the daemon wouldn't take: texts are as people typed them."""
    try:
        from_bytes(type(question), to_bytes(question), limit=MAX_BYTES)
    except UnicodeEncodeError:
        why = "a text isn't UTF-8"
    except Violation as violation:
        why = str(violation)
    else:
        return
    raise Trouble(
        Exit.USAGE, f"the agent can't be asked that: {why}", next="say it shorter, or otherwise"
    )


class AgentClient:
    """Asks the daemon that serves an agent's directory. A `signer_agent.client.party.Party`."""

    def __init__(self, directory: AgentDirectory) -> None:
        self.directory = directory

    # --- who ------------------------------------------------------------------------------------

    @property
    def instance(self) -> InstanceName:
        """The service instance."""
        return self.directory.read().instance

    @property
    def person(self) -> PersonName:
        """Whose agent it is."""
        return self.directory.read().person

    @property
    def name(self) -> str:
        """The same."""
        return self.person

    @property
    def verified(self) -> bool:
        """An agent verifies what it tells."""
        return True

    def command(self, verb: str, number: int) -> str:
        """`quorate agent watch 7`."""
        return f"quorate agent {verb} {number}"

    @property
    def listing(self) -> str:
        """All requests that the agent knows."""
        return "quorate agent pending --all"

    # --- which units ----------------------------------------------------------------------------

    @property
    def selection(self) -> set[UnitId]:
        """Unit ids in the agent's directory."""
        try:
            text = private_files.read(self.directory.path / _SELECTION, limit=_LIMIT)
        except FileNotFoundError:
            return set()
        return {UnitId(bytes.fromhex(one)) for one in json.loads(text)}

    def select(self, units: set[UnitId]) -> None:
        """Keeps the selection."""
        text = json.dumps(sorted(unit.hex() for unit in units)).encode()
        private_files.write(
            self.directory.path / _SELECTION, text, untouched="the selection is as it was"
        )

    async def units(self) -> Units:
        """The units, looked at and verified now."""
        return await self.ask(GetUnits(), Units)

    # --- what is known and asked for ------------------------------------------------------------

    async def charters(self) -> KnownCharters:
        """The versions that the agent knows, accepted or not."""
        known = await self.ask(GetCharters(), Charters)
        in_force = [one.charter for one in known.versions if one.in_force]
        return KnownCharters(
            versions=tuple(one.charter for one in known.versions),
            in_force=in_force[-1] if in_force else None,
        )

    async def parts(self) -> tuple[OfferedPart, ...]:
        """The parts that people's agents announced, signed."""
        known = await self.ask(GetCharters(), Charters)

        def whose(agent: IdentityKey) -> PersonName | None:
            people = (one.charter.custodian(agent) for one in reversed(known.versions))
            return next((person.name for person in people if person is not None), None)

        return tuple(
            OfferedPart(
                vp=part.vp,
                description=part.description,
                custodian=part.custodian,
                person=whose(part.custodian),
            )
            for part in sorted(known.parts, key=lambda part: part.at)
        )

    async def request(self, number: int) -> Request | None:
        """A request as the agent knows it."""
        known = await self.ask(GetRequests(), Requests)
        return next((one for one in known.requests if one.id == number), None)

    async def open_requests(self) -> tuple[Request, ...]:
        """Those that haven't ended."""
        known = await self.ask(GetRequests(), Requests)
        return tuple(one for one in known.requests if not one.ended)

    async def results(self, number: int) -> Results:
        """What the agent has verified."""
        return await self.ask(GetResults(number=number), Results)

    async def filed(self, idempotency_key: str) -> int | None:
        """What was filed here under this key."""
        return (await self.ask(GetFiled(idempotency_key=idempotency_key), Ok)).request

    async def file(self, wish: Wish) -> int:
        """Files it, signed with the agent's identity key."""
        done = await self.ask(FileWish(wish=wish), Ok)
        if done.request is None:
            raise AssertionError("a filing has a request")
        return done.request

    # --- the socket -----------------------------------------------------------------------------

    async def ask(self, question: Question, answer: type[A]) -> A:
        """The daemon's answer; its objection, or that it isn't there, as Trouble."""
        _check(question)
        reader, writer = await self._connect()
        try:
            await wire.send(writer, question)
            found: Answer = await wire.receive(reader, Answer)
        except (EOFError, ConnectionError):
            raise self._not_there("ended while it was asked") from None
        finally:
            writer.close()
        if isinstance(found, Failed):
            raise found.objection.trouble()
        if not isinstance(found, answer):
            raise AssertionError(f"{type(found).__name__} answers another question")
        return found

    async def watch(self, number: int | None) -> AsyncIterator[Requests]:
        """A request, or all, as they are now and after every change."""
        reader, writer = await self._connect()
        try:
            await wire.send(writer, WatchRequest(number=number))
            while True:
                yield await wire.receive(reader, Requests)
        except (EOFError, ConnectionError):
            raise self._not_there("ended while it was watched") from None
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            with self.directory.reachable_socket() as name:
                reader, writer = await asyncio.open_unix_connection(name)
        except OSError:
            raise self._not_there("isn't running") from None
        wire.check_peer(writer)
        return reader, writer

    def _not_there(self, what: str) -> Trouble:
        return Trouble(
            Exit.UNREACHABLE,
            f"the agent in {self.directory.path} {what}",
            next=f"start it: quorate agent run {self.directory.path}",
        )
