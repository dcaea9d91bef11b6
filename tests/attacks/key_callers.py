"""Key users at a real unit host: two units with one master key, and whoever calls them."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from hsm_backend.client.driver import Ran
from hsm_backend.client.host_client import HostClient
from protocol.commands.bodies import (
    CommitNewRegister,
    SetImmediate,
    SetThresholds,
)
from protocol.keys.answers import (
    CallRefused,
    Outcome,
    open_answer,
)
from protocol.keys.operations import Operation
from protocol.refusals import Rule
from protocol.schema import from_bytes, to_bytes
from protocol.sealing.contribution import vp_of
from protocol.sealing.importer import open_importer_key
from protocol.signing.statements import Signed
from protocol.unit_state import RegisterState
from quorate import https, tls
from tests.attacks.served_units import SeenUnit, Served, run, seen, units_of
from tests.cast.commands import (
    adds,
    command_for_state,
    contribution,
    load_of,
    request_digest,
    signed,
)
from tests.cast.key_users import (
    PAYROLL,
    CastKeyUser,
)
from tests.cast.people import ALICE, BOB, CAROL

GIVEN = [(ALICE, ALICE.part()), (BOB, BOB.part())]
KEY = bytes(a ^ b for a, b in zip(ALICE.part(), BOB.part(), strict=True))
VP = vp_of(KEY)


async def give_key(coordinator: HostClient, unit: SeenUnit) -> None:
    """Out of imprint mode, and a master key in the current register."""
    for who in (ALICE, BOB, CAROL):
        await run(coordinator, unit, adds(who))
    await run(coordinator, unit, SetThresholds(signatures=2, revocations=2), ALICE, BOB)
    importer = open_importer_key(await coordinator.importer_key(unit[0], request_digest()), unit[1])
    load = command_for_state(
        load_of(GIVEN), await seen(coordinator, unit), importer=importer.digest
    )
    parts = [contribution(one, load, importer) for one in GIVEN]
    outcome = await coordinator.execute(unit[0], signed(load, [ALICE], parts))
    assert isinstance(outcome, Ran), outcome
    await run(coordinator, unit, CommitNewRegister(vp=VP), ALICE, BOB)
    await run(coordinator, unit, SetImmediate(vp=VP), BOB)
    assert (await seen(coordinator, unit)).state.current.state is RegisterState.VALID


class Caller:
    """Whoever reaches the port for key users: over the pinned certificate, showing none."""

    def __init__(self, host: Served) -> None:
        pinned = tls.fingerprint(host.directory.tls_certificate.read_text())
        self._session = aiohttp.ClientSession(
            f"https://{host.keys_address}", connector=https.connector(tls.client_context(pinned))
        )

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        async with self._session.post(path, data=io.BytesIO(body)) as response:
            return response.status, await response.read()

    async def send(self, unit: SeenUnit, call: Signed) -> tuple[int, bytes]:
        return await self.post(f"/v1/units/{unit[0].hex()}/keys", to_bytes(call))

    async def outcome(self, unit: SeenUnit, call: Signed) -> Outcome:
        """What the unit answers to a signed call."""
        status, body = await self.send(unit, call)
        assert status == 200, body
        return open_answer(from_bytes(Signed, body), unit[1], call).outcome

    async def ask(
        self, unit: SeenUnit, operation: Operation, who: CastKeyUser = PAYROLL, **changes: Any
    ) -> Outcome:
        return await self.outcome(unit, who.signed(who.call(unit[0], operation, **changes)))

    async def refused(
        self, unit: SeenUnit, operation: Operation, who: CastKeyUser = PAYROLL, **changes: Any
    ) -> Rule:
        outcome = await self.ask(unit, operation, who, **changes)
        assert isinstance(outcome, CallRefused), outcome
        return outcome.refusal.rule


@asynccontextmanager
async def two_units_with_payroll(host: Served) -> AsyncIterator[tuple[SeenUnit, SeenUnit]]:
    """The same master key in both, and one key user with all rights."""
    async with host.client() as coordinator:
        first, second = await units_of(coordinator)
        for unit in (first, second):
            await give_key(coordinator, unit)
            await run(coordinator, unit, PAYROLL.added(), ALICE, BOB)
        yield first, second
