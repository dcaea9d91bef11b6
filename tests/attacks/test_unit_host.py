"""A unit host's clients (DESIGN §5): without an allowed certificate nobody says a word to a unit,
and with one they can bring it to nothing that wasn't signed. The real host, over TLS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hsm_backend.client.driver import Ran, Refused
from hsm_backend.client.host_client import HostClient
from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.store import Store
from hsm_backend.host import clients
from hsm_backend.host.api import application
from hsm_backend.host.instance import Host
from hsm_backend.host.vendor import UnitPlan, make_units
from protocol.commands.bodies import Body, SetThresholds
from protocol.commands.command import SignedCommand
from protocol.identifiers import IdentityKey, UnitId
from protocol.location import Location, UnitType
from protocol.receipts import StateAnswer, open_refusal, open_state
from protocol.refusals import Rule
from protocol.violations import Violation
from quorate import clock, private_files, serving, tls
from quorate.unavailable import Unavailable
from tests.attacks.evil_coordinator import Certificate
from tests.cast.commands import NOON, adds, command_for_state, nonce, signed
from tests.cast.people import ALICE, BOB, CAROL, Custodian

EXIT = SetThresholds(signatures=2, revocations=2)


@dataclass
class Served:
    """A host with two units and its one client."""

    address: str
    directory: StateDirectory
    coordinator: Certificate

    def client(self, certificate: Certificate | None = None) -> HostClient:
        """Whoever connects with this certificate."""
        own = certificate or self.coordinator
        return HostClient(
            self.address,
            pinned=tls.fingerprint(self.directory.tls_certificate.read_text()),
            certificate=own.certificate,
            key=own.key,
        )


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Served]:
    directory = StateDirectory(private_files.directory(tmp_path / "units"))
    plans = [
        UnitPlan(
            UnitType.OPERATIONAL,
            Location(region="eu-de", zone=f"AZ{n}-CS1", module=0, domain=n),
            f"93A0000{n}",
        )
        for n in (1, 2)
    ]
    make_units(directory, plans, names=["127.0.0.1"], now=NOON)
    coordinator = Certificate.make(tmp_path, "coordinator", at=clock.now())
    clients.allow(directory, [coordinator.certificate])
    async with _serving(directory) as address:
        yield Served(address, directory, coordinator)


@asynccontextmanager
async def _serving(directory: StateDirectory) -> AsyncIterator[str]:
    units = Host(Store.open(directory, load_device_key(directory)), clock=lambda: NOON)
    allowed = clients.allowed_clients(directory)
    context = tls.server_context(directory.tls_certificate, directory.tls_key)
    allowed.require(context)
    try:
        app = application(units, allowed)
        async with serving.listening(app, "127.0.0.1", 0, context) as address:
            yield address
    finally:
        await units.close()


async def units_of(client: HostClient) -> list[tuple[UnitId, IdentityKey]]:
    certificates = [one.opened() for one in await client.certificates()]
    return [(one.unit, one.identity) for one in certificates]


async def seen(client: HostClient, unit: tuple[UnitId, IdentityKey]) -> StateAnswer:
    return open_state(await client.state(unit[0], (nonce("seen"),)), unit[1])


async def run(
    client: HostClient, unit: tuple[UnitId, IdentityKey], body: Body, *who: Custodian
) -> SignedCommand:
    """Signs it for the unit as it is, and has it run."""
    sent = signed(command_for_state(body, await seen(client, unit)), who)
    outcome = await client.execute(unit[0], sent)
    assert isinstance(outcome, Ran), outcome
    return sent


async def test_without_an_allowed_certificate_nobody_speaks_to_a_unit(host: Served, tmp_path: Path):
    mallory = Certificate.make(tmp_path, "mallory", at=clock.now())
    async with host.client(mallory) as stranger:
        with pytest.raises((Unavailable, Violation)):
            await stranger.certificates()
    context = tls.client_context(tls.fingerprint(host.directory.tls_certificate.read_text()))
    async with aiohttp.ClientSession() as nobody:
        with pytest.raises(aiohttp.ClientError):
            async with nobody.get(f"https://{host.address}/v1/units", ssl=context) as response:
                await response.read()
    async with host.client() as coordinator:
        assert len(await coordinator.certificates()) == 2


async def test_the_client_alone_runs_nothing_that_was_not_signed(host: Served):
    """It holds the only allowed certificate; outside imprint mode that is worth nothing."""
    async with host.client() as coordinator:
        one, other = await units_of(coordinator)
        for unit in (one, other):
            for who in (ALICE, BOB, CAROL):
                await run(coordinator, unit, adds(who))
        exit_of_one = await run(coordinator, one, EXIT, ALICE, BOB)
        before = await seen(coordinator, other)
        outcome = await coordinator.execute(other[0], exit_of_one)
        assert isinstance(outcome, Refused)
        assert open_refusal(outcome.refusal, other[1]).refusal.rule is Rule.WRONG_UNIT
        unsigned = signed(command_for_state(EXIT, before))
        outcome = await coordinator.execute(other[0], unsigned)
        assert isinstance(outcome, Refused)
        assert open_refusal(outcome.refusal, other[1]).refusal.rule is Rule.TOO_FEW_SIGNATURES
        assert await seen(coordinator, other) == before
        again = await coordinator.execute(one[0], exit_of_one)
        assert isinstance(again, Ran)
        assert (await seen(coordinator, one)).version == 5


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81\xa1a\x01", b"\x81\xa1a\xd0\x01"])
async def test_what_is_no_command_is_answered_with_a_reason(host: Served, body: bytes):
    async with host.client() as coordinator:
        (unit, _), _ = await units_of(coordinator)
        session: Any = coordinator._open()
        async with (
            asyncio.timeout(20),
            session.post(f"/v1/units/{unit.hex()}/execute", data=body) as response,
        ):
            assert response.status == 400 and await response.text()
        assert len(await coordinator.certificates()) == 2
