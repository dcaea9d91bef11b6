"""The process that serves a state directory until it is told to end."""

import asyncio
from collections.abc import Callable

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.store import Store
from hsm_backend.host.api import application
from hsm_backend.host.clients import Clients, allowed_clients
from hsm_backend.host.instance import Clock, Host
from quorate import logs, private_files, serving, state_lock, tls
from quorate.exits import Trouble

TICK_SECONDS = 3600


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
    with state_lock.owned(directory.path, owner="quorate unit serve"):
        units = Host(Store.open(directory, load_device_key(directory)), clock=clock)
        try:
            clients = allowed_clients(directory)
            context = tls.server_context(directory.tls_certificate, directory.tls_key)
            clients.require(context)
            told = serving.ending()
            app = application(units, clients)
            async with serving.listening(app, host, port, context) as address:
                line = f"{address}\n".encode()
                private_files.write(directory.address, line, untouched="nothing was served")
                ready(address, clients)
                async with asyncio.TaskGroup() as group:
                    ticking = group.create_task(_tick_hourly(units))
                    await told.wait()
                    ticking.cancel()
        finally:
            await units.close()


async def _tick_hourly(units: Host) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            await units.tick()
        except Trouble as trouble:
            logs.get("unit host").error("the clocks weren't written down", why=trouble.what)
