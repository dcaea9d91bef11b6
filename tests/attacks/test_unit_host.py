"""A unit host's clients (DESIGN §5): without an allowed certificate nobody says a word to a unit,
and with one they can bring it to nothing that wasn't signed. The real host, over TLS."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hsm_backend.client.driver import Ran, Refused
from protocol.commands.bodies import SetThresholds
from protocol.receipts import open_refusal
from protocol.refusals import Rule
from protocol.violations import Violation
from quorate import clock, tls
from quorate.unavailable import Unavailable
from tests.attacks.evil_coordinator import Certificate
from tests.attacks.served_units import Served, run, seen, served_units, units_of
from tests.cast.commands import adds, command_for_state, signed
from tests.cast.people import ALICE, BOB, CAROL

EXIT = SetThresholds(signatures=2, revocations=2)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_units(tmp_path) as made:
        yield made


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
