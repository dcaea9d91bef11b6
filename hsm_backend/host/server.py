"""The process that serves a state directory until it is told to end."""

import asyncio
from collections.abc import Callable

from sqlalchemy import URL

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.store import Store
from hsm_backend.host.api import application
from hsm_backend.host.clients import Clients, allowed_clients
from hsm_backend.host.instance import Clock, Host
from hsm_backend.host.key_api import key_application
from hsm_backend.host.keys import KeyHost
from hsm_backend.keys.engine import sqlite_url
from quorate import logs, private_files, serving, state_lock, tls
from quorate.exits import Trouble
from quorate.unavailable import Unavailable

TICK_SECONDS = 3600


async def serve(
    directory: StateDirectory,
    *,
    host: str,
    port: int,
    keys_port: int,
    keys_database: URL | None,
    clock: Clock,
    ready: Callable[[str, str, Clients], None],
) -> None:
    """Serves all units of the directory until SIGTERM or SIGINT.

    `ready` is called with both addresses, HOST:PORT, once it listens: for the administration, and
    for key users. They are then also in the directory's files `address` and `keys-address`. Port 0
    takes any free one. Root keys are in the file `keys.db` unless `keys_database` says where.
    """
    directory.check()
    with state_lock.owned(directory.path, owner="quorate unit serve"):
        units = Host(Store.open(directory, load_device_key(directory)), clock=clock)
        keys = KeyHost(units, keys_database or sqlite_url(directory.keys))
        try:
            clients = allowed_clients(directory)
            context = tls.server_context(directory.tls_certificate, directory.tls_key)
            clients.require(context)
            told = serving.ending()
            for_keys = tls.server_context(directory.tls_certificate, directory.tls_key)
            async with (
                serving.listening(application(units, clients), host, port, context) as address,
                serving.listening(
                    key_application(keys), host, keys_port, for_keys, option="--keys-port"
                ) as keys_at,
            ):
                for file, where in (
                    (directory.address, address),
                    (directory.keys_address, keys_at),
                ):
                    line = f"{where}\n".encode()
                    private_files.write(file, line, untouched="nothing was served")
                ready(address, keys_at, clients)
                async with asyncio.TaskGroup() as group:
                    ticking = group.create_task(_tick_hourly(units, keys))
                    await told.wait()
                    ticking.cancel()
        finally:
            await keys.close()
            await units.close()


async def _tick_hourly(units: Host, keys: KeyHost) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        try:
            await keys.tick()
        except (Trouble, Unavailable) as error:
            logs.get("key storage").error("it wasn't looked after", why=str(error))
        try:
            await units.tick()
        except Trouble as trouble:
            logs.get("unit host").error("the clocks weren't written down", why=trouble.what)
