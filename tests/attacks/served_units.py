"""A real unit host under attack: over TLS, in this process, with one client that it allows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from hsm_backend.client.driver import Ran
from hsm_backend.client.host_client import HostClient
from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.store import Store
from hsm_backend.host import clients
from hsm_backend.host.api import application
from hsm_backend.host.instance import Host
from hsm_backend.host.key_api import key_application
from hsm_backend.host.keys import KeyHost
from hsm_backend.host.vendor import UnitPlan, make_units
from hsm_backend.keys.engine import sqlite_url
from protocol.commands.bodies import Body
from protocol.commands.command import SignedCommand
from protocol.identifiers import IdentityKey, UnitId
from protocol.location import Location, UnitType
from protocol.receipts import StateAnswer, open_state
from quorate import clock, private_files, serving, tls
from tests.attacks.evil_coordinator import Certificate
from tests.cast.commands import NOON, command_for_state, nonce, signed
from tests.cast.people import Custodian

SeenUnit = tuple[UnitId, IdentityKey]


@dataclass
class Served:
    """A host with two units and its one client."""

    address: str
    directory: StateDirectory
    coordinator: Certificate
    keys_address: str

    def client(
        self, certificate: Certificate | None = None, kind: type[HostClient] = HostClient
    ) -> HostClient:
        """Whoever connects with this certificate."""
        own = certificate or self.coordinator
        return kind(
            self.address,
            pinned=tls.fingerprint(self.directory.tls_certificate.read_text()),
            certificate=own.certificate,
            key=own.key,
        )


@asynccontextmanager
async def served_units(place: Path, *, keys_database: URL | None = None) -> AsyncIterator[Served]:
    """Makes it and serves it until the end of the block; also to key users."""
    directory = StateDirectory(private_files.directory(place / "units"))
    plans = [
        UnitPlan(
            UnitType.OPERATIONAL,
            Location(region="eu-de", zone=f"AZ{n}-CS1", module=0, domain=n),
            f"93A0000{n}",
        )
        for n in (1, 2)
    ]
    make_units(directory, plans, names=["127.0.0.1"], now=NOON)
    coordinator = Certificate.make(place, "coordinator", at=clock.now())
    clients.allow(directory, [coordinator.certificate])
    units = Host(Store.open(directory, load_device_key(directory)), clock=lambda: NOON)
    keys = KeyHost(units, keys_database or sqlite_url(directory.keys))
    allowed = clients.allowed_clients(directory)
    context = tls.server_context(directory.tls_certificate, directory.tls_key)
    allowed.require(context)
    try:
        app = application(units, allowed)
        for_keys = tls.server_context(directory.tls_certificate, directory.tls_key)
        async with (
            serving.listening(app, "127.0.0.1", 0, context) as address,
            serving.listening(key_application(keys), "127.0.0.1", 0, for_keys) as keys_address,
        ):
            yield Served(address, directory, coordinator, keys_address)
    finally:
        await keys.close()
        await units.close()


async def units_of(client: HostClient) -> list[SeenUnit]:
    """Each unit's id and the key that it signs with."""
    certificates = [one.opened() for one in await client.certificates()]
    return [(one.unit, one.identity) for one in certificates]


async def seen(client: HostClient, unit: SeenUnit) -> StateAnswer:
    """The unit's state."""
    return open_state(await client.state(unit[0], (nonce("seen"),)), unit[1])


async def run(client: HostClient, unit: SeenUnit, body: Body, *who: Custodian) -> SignedCommand:
    """Signs it for the unit as it is, and has it run."""
    sent = signed(command_for_state(body, await seen(client, unit)), who)
    outcome = await client.execute(unit[0], sent)
    assert isinstance(outcome, Ran), outcome
    return sent
