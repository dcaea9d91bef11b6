"""Listening over TLS until the process is told to end: what unit host and coordinator share."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from quorate.exits import Exit, Trouble

HANDSHAKE_SECONDS = 10
ENDING_SECONDS = 10
"""How long requests may take to end after the process was told to."""


@asynccontextmanager
async def listening(
    application: web.Application,
    host: str,
    port: int,
    context: ssl.SSLContext,
    *,
    option: str = "--port",
) -> AsyncIterator[str]:
    """Serves the application; gives the address, HOST:PORT. Port 0 takes any free one.

    `option` is what chooses another port, for whoever finds this one taken.
    """
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=ENDING_SECONDS)
    await runner.setup()
    assert runner.server is not None, "an AppRunner has a server once it is set up"
    try:
        server = await asyncio.get_running_loop().create_server(
            runner.server, host, port, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS
        )
    except OSError as error:
        await runner.cleanup()
        raise Trouble(
            Exit.USAGE,
            f"can't listen on {host}:{port}: {error.strerror}",
            next=f"choose another --host or {option}",
        ) from None
    try:
        found = server.sockets[0].getsockname()
        yield f"[{found[0]}]:{found[1]}" if ":" in found[0] else f"{found[0]}:{found[1]}"
    finally:
        server.close()
        await runner.cleanup()


def ending() -> asyncio.Event:
    """Set once the process is told to end, by SIGTERM or SIGINT.

    Ask for it before saying that the process is ready: from then on it ends cleanly.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    return told
