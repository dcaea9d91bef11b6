"""Keys are made, deleted, restored and destroyed in the first unit of a host that may be killed.

`python -m tests.faults.key_life DIR` does all of it, as a client that asks again what wasn't
answered before a crash; it counts answers in a file beside DIR. The unit has a master key and the
key user `payroll` already (`ready`).
"""

import asyncio
import sys
from pathlib import Path

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.store import Store
from hsm_backend.host.instance import Host, HostedUnit
from hsm_backend.host.keys import KeyHost
from hsm_backend.keys.draft import RETENTION
from hsm_backend.keys.engine import sqlite_url
from hsm_backend.wire import Ran
from protocol.identifiers import Instant
from protocol.keys.answers import Items, KeyView, Outcome, open_answer
from protocol.keys.operations import (
    Delete,
    EventNumber,
    Following,
    ListKeys,
    Operation,
    Restore,
)
from tests.cast.commands import NOON
from tests.cast.key_users import PAYROLL, key_id, new_keys
from tests.cast.people import ALICE, BOB
from tests.faults.unit_life import LIFE, made

LATER = Instant(NOON + RETENTION + 1)


def following(title: str, after: int) -> Following:
    return Following(key=key_id(title), after=EventNumber(after))


CALLS: tuple[Operation, ...] = (
    new_keys("a", "b", "c"),  # events 0 to 2
    Delete(items=(following("a", 0), following("b", 1))),  # 3, 4
    Restore(items=(following("a", 3),)),  # 5
)
"""Then an hourly tick, long after, destroys `b`: event 6."""


async def ready(directory: StateDirectory) -> None:
    """Out of imprint mode, a master key, a key user."""
    host = Host(Store.open(directory, load_device_key(directory)), clock=lambda: NOON)
    (unit,) = host.units
    bodies = [*LIFE[:6], (PAYROLL.added(), (ALICE, BOB))]
    for body, signers in bodies:
        outcome = await unit.execute(await made(unit, body, signers))
        assert isinstance(outcome, Ran), outcome
    await host.close()


async def ask(keys: KeyHost, unit: HostedUnit, operation: Operation, at: Instant) -> Outcome:
    """What the unit answers now."""
    call = PAYROLL.signed(PAYROLL.call(unit.id, operation, at=at))
    answer = await keys.answer(unit.id, call)
    assert answer is not None
    return open_answer(answer, unit.certified.opened().identity, call).outcome


async def live(directory: StateDirectory) -> None:
    """All calls, and the tick that destroys."""
    now = [NOON]
    host = Host(Store.open(directory, load_device_key(directory)), clock=lambda: now[0])
    keys = KeyHost(host, sqlite_url(directory.keys))
    (unit,) = host.units
    answered = directory.path.parent / "answered"
    done = int(answered.read_text()) if answered.exists() else 0
    for number, operation in enumerate(CALLS[done:], start=done + 1):
        outcome = await ask(keys, unit, operation, NOON)
        assert isinstance(outcome, Items), outcome
        assert all(isinstance(item, KeyView) for item in outcome.items), outcome
        answered.write_text(str(number))
    now[0] = LATER
    await keys.tick()
    await keys.close()
    await host.close()


async def listed(directory: StateDirectory) -> Outcome:
    """What a host that is started afterwards says of its keys."""
    host = Host(Store.open(directory, load_device_key(directory)), clock=lambda: NOON)
    keys = KeyHost(host, sqlite_url(directory.keys))
    (unit,) = host.units
    try:
        return await ask(keys, unit, ListKeys(after=None), NOON)
    finally:
        await keys.close()
        await host.close()


if __name__ == "__main__":
    asyncio.run(live(StateDirectory(Path(sys.argv[1]))))
