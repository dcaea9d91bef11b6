"""A client of the daemon's local socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from protocol.schema import from_bytes, to_bytes
from protocol.violations import Violation
from quorate.exits import Exit, Trouble
from signer_agent.directory import AgentDirectory
from signer_agent.local import wire
from signer_agent.local.messages import (
    MAX_BYTES,
    Answer,
    Failed,
    Question,
    Requests,
    WatchRequest,
)

A = TypeVar("A")


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
    """Asks the daemon that serves an agent's directory."""

    def __init__(self, directory: AgentDirectory) -> None:
        self.directory = directory

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
