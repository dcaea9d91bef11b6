"""The process that serves a state directory until it is told to end."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.lock import owned
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.store import Store
from hsm_backend.host.api import application
from hsm_backend.host.clients import Clients, allowed_clients
from hsm_backend.host.instance import Clock, Host
from quorate import logs, private_files, tls
from quorate.exits import Exit, Trouble

TICK_SECONDS = 3600
HANDSHAKE_SECONDS = 10
ENDING_SECONDS = 10
"""How long requests may take to end after the process was told to."""


async def serve(
    directory: StateDirectory,
    *,
    host: str,
    port: int,
    clock: Clock,
    ready: Callable[[str, Clients], None],
) -> None:
    """Serves all units of the directory until SIGTERM or SIGINT.

    `ready` is called with the address, HOST:PORT, once it listens; the address is then also in the
    directory's `address` file. Port 0 takes any free one.
    """
    directory.check()
    with owned(directory):
        units = Host(Store.open(directory, load_device_key(directory)), clock=clock)
        try:
            clients = allowed_clients(directory)
            async with _listening(directory, units, clients, host, port) as address:
                private_files.write(
                    directory.address, f"{address}\n".encode(), untouched="nothing was served"
                )
                ready(address, clients)
                async with asyncio.TaskGroup() as group:
                    ticking = group.create_task(_tick_hourly(units))
                    await _told_to_end()
                    ticking.cancel()
        finally:
            await units.close()


@asynccontextmanager
async def _listening(
    directory: StateDirectory, units: Host, clients: Clients, host: str, port: int
) -> AsyncIterator[str]:
    context = tls.server_context(directory.tls_certificate, directory.tls_key)
    clients.require(context)
    runner = web.AppRunner(
        application(units, clients), access_log=None, shutdown_timeout=ENDING_SECONDS
    )
    await runner.setup()
    assert runner.server is not None, "an AppRunner has a server once it is set up"
    try:
        server = await asyncio.get_running_loop().create_server(
            runner.server,
            host,
            port,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
        )
    except OSError as error:
        await runner.cleanup()
        raise Trouble(
            Exit.USAGE,
            f"can't listen on {host}:{port}: {error.strerror}",
            next="choose another --host or --port",
        ) from None
    try:
        found = server.sockets[0].getsockname()
        yield f"[{found[0]}]:{found[1]}" if ":" in found[0] else f"{found[0]}:{found[1]}"
    finally:
        server.close()
        await runner.cleanup()


async def _tick_hourly(units: Host) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            await units.tick()
        except Trouble as trouble:
            logs.get("unit host").error("the clocks weren't written down", why=trouble.what)


async def _told_to_end() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()
