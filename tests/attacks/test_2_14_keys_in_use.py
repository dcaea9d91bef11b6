"""DESIGN §2.14: wrapping and unwrapping don't pass through the coordinator.

The certificate that a unit knows the coordinator by opens administration and nothing else, whoever
signed, and what the coordinator carries holds no key. A real unit host, over TLS.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hsm_backend.client.driver import Ran
from hsm_backend.client.host_client import HostClient
from protocol import canonical
from protocol.commands.bodies import (
    ClearCurrentRegister,
    CommitNewRegister,
    SetImmediate,
    Void,
)
from protocol.commands.command import Approval, Command, SignedCommand, signed_command
from protocol.history import verify_history
from protocol.identifiers import Signature, StateVersion
from protocol.receipts import Receipt
from protocol.schema import to_plain
from protocol.signing.labels import Label, labelled
from protocol.violations import Violation
from tests.attacks.key_callers import GIVEN, KEY, VP, give_key
from tests.attacks.served_units import Served, run, seen, served_units, units_of
from tests.cast.commands import (
    command_for_state,
    load_of,
)
from tests.cast.people import ALICE, BOB, CAROL

USES: dict[str, dict[str, Any]] = {
    "wrap": {"key": b"k" * 16, "plaintext": b"p" * 32},
    "unwrap": {"key": b"k" * 16, "wrapped": b"w" * 60},
    "create-key": {"key": b"k" * 16},
    "delete-key": {"key": b"k" * 16},
    "encrypt": {"vp": VP, "plaintext": b"p" * 32},
    "decrypt": {"vp": VP, "ciphertext": b"c" * 60},
    "export-current-register": {"vp": VP},
}
"""What might be asked of a unit with a master key, in commands' own form."""


class Recording(HostClient):
    """The coordinator's client; `carried` is all that it sent and was sent."""

    carried = b""

    async def _exchange(self, method: str, path: str, body: bytes | None) -> bytes:
        data = await super()._exchange(method, path, body)
        self.carried += (body or b"") + data
        return data


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_units(tmp_path) as made:
        yield made


def signed_by_all(command: Command, body: dict[str, Any]) -> SignedCommand:
    """The command with another body, signed by every administrator over these very bytes."""
    plain: Any = to_plain(command)
    data = canonical.encode({**plain, "body": body})
    return signed_command(
        command=data,
        approvals=tuple(
            Approval(
                ski=who.key.ski, signature=Signature(who.key.sign(labelled(Label.COMMAND, data)))
            )
            for who in sorted((ALICE, BOB, CAROL), key=lambda it: it.key.ski)
        ),
        contributions=(),
    )


@pytest.mark.parametrize("use", USES)
async def test_no_command_is_a_use_of_a_key_whoever_signed_it(host: Served, use: str):
    async with host.client() as coordinator:
        unit, _ = await units_of(coordinator)
        await give_key(coordinator, unit)
        before = await seen(coordinator, unit)
        command = command_for_state(Void(), before)
        asked = signed_by_all(command, {"kind": use, **USES[use]})
        for send in (coordinator.prepare, coordinator.execute):
            with pytest.raises(Violation, match="400"):
                await send(unit[0], asked)
        assert await seen(coordinator, unit) == before
        # The control: bytes made the same way are a command when their kind is one.
        assert isinstance(
            await coordinator.execute(unit[0], signed_by_all(command, {"kind": "void"})), Ran
        )


@pytest.mark.parametrize("use", USES)
async def test_the_coordinators_certificate_opens_no_use_of_a_key(host: Served, use: str):
    """Nothing at a unit answers to it, and whoever asks is hung up on."""
    async with host.client() as coordinator:
        unit, _ = await units_of(coordinator)
        await give_key(coordinator, unit)
        before = await seen(coordinator, unit)
        body = canonical.encode(USES[use])
        opened: Any = coordinator._open()
        there = f"units/{unit[0].hex()}"
        for path in (f"{there}/{use}", f"{there}/keys/{use}", f"{there}/keys", use):
            async with opened.post(f"/v1/{path}", data=body) as response:
                assert response.status == 404
                assert response.headers["Connection"] == "close"
        assert await seen(coordinator, unit) == before


async def test_what_the_coordinator_carries_holds_no_key(host: Served):
    """The whole life of a master key, and everything that a unit answers; parts travel sealed."""
    async with host.client(kind=Recording) as coordinator:
        assert isinstance(coordinator, Recording)
        unit, _ = await units_of(coordinator)
        await give_key(coordinator, unit)
        await run(coordinator, unit, ClearCurrentRegister(vp=VP), CAROL)
        entries = await coordinator.history(unit[0], StateVersion(0))
        history = verify_history(entries, unit[1])
        ran = [one.parsed().body for one in history.entries if isinstance(one, Receipt)]
        assert ran[-4:] == [
            load_of(GIVEN), CommitNewRegister(vp=VP), SetImmediate(vp=VP),
            ClearCurrentRegister(vp=VP),
        ]  # fmt: skip
        assert bytes(VP) in coordinator.carried
        for secret in (KEY, ALICE.part(), BOB.part()):
            assert secret not in coordinator.carried
            assert secret.hex().encode() not in coordinator.carried
