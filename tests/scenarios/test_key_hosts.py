"""Two unit hosts, each a process, over one PostgreSQL: what one wraps the other opens."""

import io
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from protocol.keys.answers import Items, KeyView, Outcome, Page, Unwrapped, Wrapped, open_answer
from protocol.keys.operations import ListKeys, Operation
from protocol.schema import from_bytes, to_bytes
from protocol.signing.statements import Signed
from quorate import clock, https, tls
from tests.attacks.key_callers import give_key
from tests.attacks.served_units import SeenUnit, run, units_of
from tests.cast import postgres
from tests.cast.key_users import PAYROLL, new_keys, unwraps, wraps
from tests.cast.people import ALICE, BOB
from tests.scenarios.unit_hosts import Client, Serving, make_host, quorate, serving

UNITS = (
    "operational:[eu-de].[AZ1-CS1].[00].[03]:93A0021F",
    "operational:[eu-de].[AZ2-CS1].[00].[03]:93A0021G",
)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.server() as socket:
        yield postgres.make_database(socket, "keys")


@dataclass
class Zone:
    """A host with one unit that has the master key and knows the key user."""

    host: Serving
    unit: SeenUnit

    async def ask(self, operation: Operation) -> Outcome:
        """What the unit answers to `payroll`."""
        call = PAYROLL.signed(PAYROLL.call(self.unit[0], operation, at=clock.now()))
        directory = self.host.directory
        address = (directory / "keys-address").read_text().strip()
        context = tls.client_context(tls.fingerprint((directory / "tls.pem").read_text()))
        async with aiohttp.ClientSession(connector=https.connector(context)) as session:
            path = f"https://{address}/v1/units/{self.unit[0].hex()}/keys"
            async with session.post(path, data=io.BytesIO(to_bytes(call))) as response:
                body = await response.read()
                assert response.status == 200, body
        return open_answer(from_bytes(Signed, body), self.unit[1], call).outcome

    async def item(self, operation: Operation) -> object:
        outcome = await self.ask(operation)
        assert isinstance(outcome, Items), outcome
        return outcome.items[0]


async def zone(host: Serving, coordinator: Client) -> Zone:
    async with host.client(coordinator) as client:
        (unit,) = await units_of(client)
        await give_key(client, unit)
        await run(client, unit, PAYROLL.added(), ALICE, BOB)
        return Zone(host, unit)


async def test_two_hosts_over_one_database(tmp_path: Path, database: str):
    coordinator = Client.make(tmp_path, "coordinator")
    options = ["--keys-database", database]
    async with AsyncExitStack() as stack:
        zones = []
        for number, unit in enumerate(UNITS):
            directory = tmp_path / f"zone {number}"
            make_host(directory, coordinator, [unit])
            host = stack.enter_context(serving(directory, options=options))
            zones.append(await zone(host, coordinator))
            assert not (directory / "keys.db").exists()
        one, two = zones
        assert isinstance(await one.item(new_keys("k")), KeyView)
        wrapped = await one.item(wraps("k", b"a data key", b"row 7"))
        assert isinstance(wrapped, Wrapped)
        opened = Unwrapped(data=b"a data key")
        assert await two.item(unwraps(wrapped.blob, b"row 7")) == opened

        one.host.process.send_signal(signal.SIGKILL)
        one.host.process.wait(timeout=30)
        assert await two.item(unwraps(wrapped.blob, b"row 7")) == opened
        assert isinstance(await two.item(new_keys("while one was gone")), KeyView)

        again = stack.enter_context(serving(one.host.directory, options=options))
        one = Zone(again, one.unit)
        assert await one.item(unwraps(wrapped.blob, b"row 7")) == opened
        pages = [await each.ask(ListKeys(after=None)) for each in (one, two)]
        assert isinstance(pages[0], Page) and pages[0] == pages[1]
        assert [key.name for key in pages[0].keys] == ["k", "while one was gone"]


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("sqlite:///keys.db", 2, "postgresql://USER@HOST/DATABASE"),
        ("nonsense", 2, "postgresql://USER@HOST/DATABASE"),
        ("postgresql://quorate:hunter2@db/keys", 9, "~/.pgpass"),
    ],
)
def test_what_is_no_database(tmp_path: Path, url: str, code: int, said: str):
    make_host(tmp_path / "units", Client.make(tmp_path, "coordinator"), UNITS[:1])
    done = quorate("unit", "serve", tmp_path / "units", "--keys-database", url)
    assert done.returncode == code
    assert said in done.stderr and "hunter2" not in done.stderr
