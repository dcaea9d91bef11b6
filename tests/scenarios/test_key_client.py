"""The client for programs: pinned units, spread over those that hold the key, one zone gone."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hsm_backend.client.key_client import KeyClient, KeyRefused
from hsm_backend.client.key_units import KeyUnit, KeyUserKey
from hsm_backend.keys.engine import sqlite_url
from protocol.commands.bodies import ClearCurrentRegister
from protocol.keys.answers import KeyState, KeyView, Unwrapped, Wrapped
from protocol.keys.operations import MAX_DATA, KeyId, ToUnwrap, ToWrap
from protocol.refusals import Rule
from protocol.violations import Violation
from quorate import tls
from quorate.unavailable import Unavailable
from tests.attacks.key_callers import VP, give_key
from tests.attacks.served_units import SeenUnit, Served, run, served_units, units_of
from tests.cast.commands import NOON
from tests.cast.key_users import BACKUP, PAYROLL, CastKeyUser
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB


@dataclass
class Zone:
    """A host with two units, which can go away."""

    served: Served
    units: list[SeenUnit]
    stack: AsyncExitStack

    def key_units(self, **changes: Any) -> list[KeyUnit]:
        pinned = tls.fingerprint(self.served.directory.tls_certificate.read_text())
        fields: dict[str, Any] = {"address": self.served.keys_address, "pinned": pinned} | changes
        return [
            KeyUnit(**({"name": f"unit {unit[0].hex()[:4]}", "identity": unit[1]} | fields))
            for unit in self.units
        ]

    async def goes_away(self) -> None:
        await self.stack.aclose()


@asynccontextmanager
async def zone(place: Path, keys: Path) -> AsyncIterator[Zone]:
    """Both units with the same master key and the key user `payroll`."""
    async with AsyncExitStack() as stack:
        url = sqlite_url(keys)
        served = await stack.enter_async_context(served_units(place, keys_database=url))
        async with served.client() as coordinator:
            units = await units_of(coordinator)
            for unit in units:
                await give_key(coordinator, unit)
                await run(coordinator, unit, PAYROLL.added(), ALICE, BOB)
        yield Zone(served, units, stack)


@pytest.fixture
async def zones(tmp_path: Path) -> AsyncIterator[tuple[Zone, Zone]]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    keys = tmp_path / "keys.db"
    async with zone(tmp_path / "one", keys) as one, zone(tmp_path / "two", keys) as two:
        yield one, two


def client(units: list[KeyUnit], who: CastKeyUser = PAYROLL) -> KeyClient:
    key = KeyUserKey(public_key=who.public_key, sign=who.key.sign)
    return KeyClient(units, key, clock=lambda: NOON)


async def test_the_whole_life_of_a_key(zones: tuple[Zone, Zone]):
    one, two = zones
    async with client([*one.key_units(), *two.key_units()]) as keys:
        made = await keys.create("payroll")
        blob = await keys.wrap(made.key, b"data key", associated=b"row 7")
        for _ in range(4):  # whichever unit's turn it is
            assert await keys.unwrap(blob, associated=b"row 7") == b"data key"
        assert await keys.show(made.key) == made
        assert (await keys.delete(made.key)).state is KeyState.DELETED
        with pytest.raises(KeyRefused) as refused:
            await keys.unwrap(blob, associated=b"row 7")
        assert refused.value.refusal.rule is Rule.KEY_DELETED
        assert (await keys.restore(made.key)).state is KeyState.ACTIVE
        with pytest.raises(KeyRefused) as refused:
            await keys.unwrap(blob)
        assert refused.value.refusal.rule is Rule.ASSOCIATED_DATA
        assert [key async for key in keys.every()] == [await keys.show(made.key)]
        stats = await keys.stats()
        assert (stats.active, stats.deleted, stats.vp) == (1, 0, VP)


async def test_thousands_over_one_connection(zones: tuple[Zone, Zone]):
    one, _ = zones
    async with client(one.key_units()[:1]) as keys:
        made = await keys.create_all(f"key {number}" for number in range(2500))
        views = [view for view in made if isinstance(view, KeyView)]
        assert [view.name for view in views] == [f"key {number}" for number in range(2500)]
        assert [key.key async for key in keys.every()] == [view.key for view in views]
        items = [ToWrap(key=view.key, data=view.key, associated=b"") for view in views]
        items.append(ToWrap(key=KeyId(bytes(16)), data=b"x", associated=b""))
        wrapped = await keys.wrap_all(items)
        assert not isinstance(wrapped[-1], Wrapped) and wrapped[-1].rule is Rule.NO_SUCH_KEY
        blobs = [each.blob for each in wrapped if isinstance(each, Wrapped)]
        opened = await keys.unwrap_all([ToUnwrap(blob=blob, associated=b"") for blob in blobs])
        assert [each.data for each in opened if isinstance(each, Unwrapped)] == [
            view.key for view in views
        ]


async def test_the_longest_items_are_spread_over_calls(zones: tuple[Zone, Zone]):
    one, _ = zones
    async with client(one.key_units()) as keys:
        made = await keys.create()
        data = bytes(MAX_DATA)
        items = [ToWrap(key=made.key, data=data, associated=bytes(1024))] * 400
        blobs = [each.blob for each in await keys.wrap_all(items) if isinstance(each, Wrapped)]
        opened = await keys.unwrap_all(
            [ToUnwrap(blob=blob, associated=bytes(1024)) for blob in blobs]
        )
        assert opened == [Unwrapped(data=data)] * 400


async def test_it_goes_on_when_a_zone_is_gone(zones: tuple[Zone, Zone]):
    one, two = zones
    async with client([*one.key_units(), *two.key_units()]) as keys:
        made = await keys.create()
        blob = await keys.wrap(made.key, b"data key")
        await one.goes_away()
        for _ in range(8):
            assert await keys.unwrap(blob) == b"data key"
        assert isinstance(await keys.create("meanwhile"), KeyView)
        await two.goes_away()
        with pytest.raises(Unavailable, match="no unit with root keys is in reach"):
            await keys.unwrap(blob)


async def test_failover_units_are_asked_when_no_other_can(zones: tuple[Zone, Zone]):
    one, two = zones
    async with client([*one.key_units(), *two.key_units(failover=True)]) as keys:
        made = await keys.create()
        for _ in range(6):
            await keys.show(made.key)
        assert [reached._session is None for reached in keys._units] == [False, False, True, True]
        await one.goes_away()
        assert await keys.show(made.key) == made
        assert not all(reached._session is None for reached in keys._units[2:])


async def test_a_unit_without_the_key_is_left_aside(zones: tuple[Zone, Zone]):
    one, _ = zones
    async with one.served.client() as coordinator:
        await run(coordinator, one.units[0], ClearCurrentRegister(vp=VP), BOB)
    async with client(one.key_units()) as keys:
        made = await keys.create()
        for _ in range(4):
            assert await keys.show(made.key) == made
    async with client(one.key_units()[:1]) as keys:
        with pytest.raises(KeyRefused) as refused:
            await keys.show(made.key)
        assert refused.value.refusal.rule is Rule.NO_MASTER_KEY


async def test_a_stranger_is_told_so(zones: tuple[Zone, Zone]):
    one, two = zones
    async with client([*one.key_units(), *two.key_units()], BACKUP) as keys:
        with pytest.raises(KeyRefused) as refused:
            await keys.create()
        assert refused.value.refusal.rule is Rule.KEY_USER_UNKNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"pinned": tls.Fingerprint(bytes(32))},
        {"identity": signature_key("an impostor").identity},
    ],
    ids=["another certificate", "another unit"],
)
async def test_only_pinned_units_are_believed(zones: tuple[Zone, Zone], changes: dict[str, Any]):
    one, _ = zones
    async with client(one.key_units(**changes)) as keys:
        with pytest.raises(Violation):
            await keys.create()


async def test_a_database_that_was_put_back_is_no_reason_to_ask_elsewhere(
    zones: tuple[Zone, Zone], tmp_path: Path
):
    one, two = zones
    async with client(one.key_units()) as keys:
        await keys.create("a")
        await keys.create("b")
    with sqlite3.connect(tmp_path / "keys.db") as connection:
        for table in ("inventory", "events", "wraps"):
            connection.execute(f"DELETE FROM {table}")
    connection.close()
    async with client([*one.key_units(), *two.key_units()]) as keys:
        keys._turn = len(keys._units) - 1
        with pytest.raises(KeyRefused) as refused:
            await keys.stats()
        assert refused.value.refusal.rule is Rule.STORAGE_ROLLED_BACK
