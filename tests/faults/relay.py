"""A wire between two processes that is cut, again and again, in the middle of what goes over it."""

import asyncio
import contextlib
import random
from types import TracebackType
from typing import Self

_PIECE = 1 << 12


class Relay:
    """Passes on what comes to `address` to HOST:PORT `target`, each way, as it is.

    The first `cuts` connections end with a reset once so many bytes have passed as the dice say,
    between `least` and `most`; all others live as long as both ends want.
    """

    def __init__(self, dice: random.Random, cuts: int, *, least: int, most: int) -> None:
        self._dice, self._least, self._most = dice, least, most
        self.cuts_left = cuts
        self.target = ""
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        """Where to connect instead."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._relay(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        ends = [writer]
        try:
            there, back = await asyncio.open_connection(host, int(port))
            ends.append(back)
            wire = _Wire(self, self._dice.randint(self._least, self._most))
            await asyncio.gather(wire.carry(reader, back), wire.carry(there, writer))
        except OSError:
            pass
        finally:
            for end in ends:
                end.transport.abort()


class _Wire:
    """One connection: both ways share what may pass."""

    def __init__(self, relay: Relay, bytes_left: int) -> None:
        self._relay = relay
        self._left = bytes_left

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE):
            self._left -= len(data)
            if self._left < 0 < self._relay.cuts_left:
                self._relay.cuts_left -= 1
                with contextlib.suppress(OSError):
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                raise ConnectionAbortedError("cut")
            writer.write(data)
            await writer.drain()
        raise ConnectionAbortedError("one end has gone")
