"""The life of one crypto unit, from its first administrator to its end by zeroize.

`python -m tests.faults.unit_life DIR OUTBOX` lives it in the directory's first unit, as a client
that never gives up: every command is kept in OUTBOX before it is sent, so that whoever runs it
again after a crash sends the same bytes again. `... DIR OUTBOX tick` only writes the clocks down.
"""

import asyncio
import sys
from pathlib import Path

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.store import Store
from hsm_backend.host.instance import Host, HostedUnit
from hsm_backend.wire import Ran
from protocol.commands.bodies import (
    Body,
    CommitNewRegister,
    LoadNewRegister,
    SetImmediate,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.commands.command import SignedCommand
from protocol.identifiers import HOUR, Instant
from protocol.receipts import open_state
from protocol.schema import from_bytes, to_bytes
from protocol.sealing.contribution import vp_of
from protocol.sealing.importer import open_importer_key
from protocol.signing.statements import Signed
from tests.cast.commands import (
    NOON,
    Signer,
    adds,
    command_for_state,
    contribution,
    load_of,
    nonce,
    request_digest,
    signed,
)
from tests.cast.people import ALICE, BOB

PARTS = ((ALICE, ALICE.part()), (BOB, BOB.part()))
KEY = bytes(a ^ b for a, b in zip(ALICE.part(), BOB.part(), strict=True))
LIFE: tuple[tuple[Body, tuple[Signer, ...]], ...] = (
    (adds(ALICE), ()),
    (adds(BOB), ()),
    (SetThresholds(signatures=2, revocations=2), (ALICE, BOB)),
    (load_of(PARTS), (ALICE,)),
    (CommitNewRegister(vp=vp_of(KEY)), (BOB, ALICE)),
    (SetImmediate(vp=vp_of(KEY)), (BOB,)),
    (Void(), (ALICE,)),
    (Zeroize(), (BOB,)),
)
"""The commands in their order, and who signs."""


async def live(directory: StateDirectory, outbox: Path) -> None:
    """Sends all commands, those that were sent before first; every one must run, once."""
    host = Host(Store.open(directory, load_device_key(directory)), clock=lambda: NOON)
    unit = host.unit(host.certified[0].opened().unit)
    assert unit is not None
    for number, (body, signers) in enumerate(LIFE):
        sent = outbox / f"{number}"
        if not sent.exists():
            sent.write_bytes(to_bytes(await made(unit, body, signers)))
        outcome = await unit.execute(from_bytes(SignedCommand, sent.read_bytes()))
        assert isinstance(outcome, Ran), outcome
        answered = outbox / f"{number}.receipt"
        if answered.exists():
            assert from_bytes(Signed, answered.read_bytes()) == outcome.receipt
        answered.write_bytes(to_bytes(outcome.receipt))
    await host.close()


async def made(unit: HostedUnit, body: Body, signers: tuple[Signer, ...]) -> SignedCommand:
    """The command for the unit as it is now, with all that it needs."""
    identity = unit.certified.opened().identity
    seen = open_state(unit.state((nonce("life"),)), identity)
    if not isinstance(body, LoadNewRegister):
        return signed(command_for_state(body, seen), signers)
    importer = open_importer_key(await unit.importer_key(request_digest()), identity)
    command = command_for_state(body, seen, importer=importer.digest)
    return signed(command, signers, [contribution(part, command, importer) for part in PARTS])


async def tick(directory: StateDirectory) -> None:
    """Writes the clocks down, an hour later."""
    host = Host(Store.open(directory, load_device_key(directory)), clock=lambda: LATER)
    await host.tick()
    await host.close()


LATER = Instant(NOON + HOUR)

if __name__ == "__main__":
    place = StateDirectory(Path(sys.argv[1]))
    asyncio.run(tick(place) if sys.argv[3:] == ["tick"] else live(place, Path(sys.argv[2])))
