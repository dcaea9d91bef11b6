"""The coordinator's process: the only place that builds everything."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from aiohttp import web

from coordinator.accounts.passwords import Hasher
from coordinator.agents.gateway import Gateway
from coordinator.api.dispatch import MAX_BODY_BYTES, Api, plain_errors
from coordinator.directory import CoordinatorDirectory
from coordinator.engine import rollback
from coordinator.engine.ledger import Ledger
from coordinator.engine.pursuit import Pursuit
from coordinator.engine.units import Units
from coordinator.store.database import Database, migrate
from hsm_backend.client.host_client import HostClient
from protocol.displayable import InstanceName
from protocol.identifiers import Nonce, UnitId
from quorate import clock, private_files, serving, state_lock, tls


async def serve(
    directory: CoordinatorDirectory,
    instance: InstanceName,
    hosts: Sequence[tuple[str, tls.Fingerprint]],
    *,
    practice: bool,
    host: str,
    port: int,
    ready: Callable[[str], None],
) -> None:
    """Serves an instance until SIGTERM or SIGINT.

    `hosts` are the unit hosts, HOST:PORT with the fingerprint of their TLS certificate. `ready` is
    called with the address once it listens.
    """
    keys = directory.keys()
    async with AsyncExitStack() as stack:
        stack.enter_context(state_lock.owned(directory.path, owner="quorate coordinator serve"))
        await asyncio.to_thread(migrate, directory.database)
        database = await Database.open(directory.database)
        stack.push_async_callback(database.close)
        ledger = Ledger(database, instance, keys, now=clock.now, entropy=secrets.token_bytes)
        drivers = [
            await stack.enter_async_context(
                HostClient(
                    address,
                    pinned=pinned,
                    certificate=directory.tls_certificate,
                    key=directory.tls_key,
                )
            )
            for address, pinned in hosts
        ]

        async def unit_changed(unit: UnitId) -> None:
            await pursuit.unit_changed(unit)

        units = Units(
            drivers,
            database,
            nonce=lambda: Nonce(secrets.token_bytes(32)),
            on_change=unit_changed,
        )
        pursuit = Pursuit(ledger, units)
        certificate = tls.fingerprint(directory.tls_certificate.read_text())
        epoch = await ledger.epoch()
        gateway = Gateway(ledger, units, certificate=certificate, epoch=epoch)
        api = Api(
            ledger,
            units,
            Hasher.for_instance(practice=practice),
            practice=practice,
            certificate=certificate,
        )
        await rollback.load(ledger)
        await units.start()
        stack.push_async_callback(units.stop)
        pursuing = asyncio.create_task(pursuit.run())
        stack.push_async_callback(_cancelled, pursuing)
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[plain_errors])
        application.add_routes([*gateway.routes(), *api.routes()])
        context = tls.server_context(directory.tls_certificate, directory.tls_key)
        address = await stack.enter_async_context(
            serving.listening(application, host, port, context)
        )
        stack.push_async_callback(gateway.close)
        stack.push_async_callback(api.close)
        private_files.write(
            directory.address, f"{address}\n".encode(), untouched="nothing was served"
        )
        told = serving.ending()
        ready(address)
        ending = asyncio.create_task(told.wait())
        await asyncio.wait({ending, pursuing}, return_when=asyncio.FIRST_COMPLETED)
        if pursuing.done():
            pursuing.result()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
