"""The limit of the first row: what the machine gives without a coordinator.

`python -m bench.bare_server DIR` serves one WebSocket over TLS. For each message it verifies two
Ed25519 signatures, stores one row, in groups of what has come meanwhile, and answers once that is
durable; nothing else. It prints `ready PORT`.

A message is a ref of 8 bytes, then twice: public key (32), signature (64), length (2), message.
The answer is the ref.
"""

import asyncio
import sqlite3
import sys
from pathlib import Path

from aiohttp import WSMsgType, web
from nacl.signing import VerifyKey

from quorate import tls
from quorate.serving import listening

MAX_GROUP = 128
Waiting = tuple[web.WebSocketResponse, bytes]


def packed(ref: int, signed: list[tuple[bytes, bytes, bytes]]) -> bytes:
    """A message: a ref, and (public key, signature, message) twice."""
    pieces = (
        key + signature + len(message).to_bytes(2) + message for key, signature, message in signed
    )
    return ref.to_bytes(8) + b"".join(pieces)


def verify(data: bytes) -> None:
    """Verifies all signatures of a message; BadSignatureError otherwise."""
    at = 8
    while at < len(data):
        key, signature = data[at : at + 32], data[at + 32 : at + 96]
        end = at + 98 + int.from_bytes(data[at + 96 : at + 98])
        VerifyKey(key).verify(data[at + 98 : end], signature)
        at = end


class Bare:
    """The server: connections on one side, one writer on the other."""

    def __init__(self, database: Path) -> None:
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._database = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                break
            verify(message.data)
            self._queue.put_nowait((socket, message.data))
        return socket

    async def write(self) -> None:
        """Stores what has come, as one group, and answers; for ever."""
        while True:
            group = [await self._queue.get()]
            while len(group) < MAX_GROUP and not self._queue.empty():
                group.append(self._queue.get_nowait())
            await asyncio.to_thread(self._store, [(data,) for _, data in group])
            for socket, data in group:
                await socket.send_bytes(data[:8])

    def _store(self, rows: list[tuple[bytes]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO rows (body) VALUES (?)", rows)
        self._database.execute("COMMIT")


async def main(place: Path) -> None:
    """Serves until it is killed."""
    bare = Bare(place / "bare.db")
    application = web.Application()
    application.add_routes([web.get("/", bare.serve)])
    context = tls.server_context(place / "tls.pem", place / "tls.key")
    async with listening(application, "127.0.0.1", 0, context) as address:
        print(f"ready {address}", flush=True)
        await bare.write()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
