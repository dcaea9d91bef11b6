"""Bounds of the units' HTTP interface that can't be met with a real host in a moment."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import BaseTestServer, TestServer

from hsm_backend.client.host_client import HostClient
from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.store import Store
from hsm_backend.host import api
from hsm_backend.host.clients import Clients
from hsm_backend.host.instance import Host
from hsm_backend.host.vendor import UnitPlan, make_units
from hsm_backend.wire import HistoryPage, Units
from protocol.identifiers import StateVersion, UnitId
from protocol.location import UnitType, parse_location
from protocol.schema import from_bytes
from protocol.violations import Violation
from quorate import private_files
from quorate.tls import Fingerprint
from tests.cast.commands import NOON

ANYBODY = Clients(names={Fingerprint(hashlib.sha256(b"").digest()): "anybody"}, certificates=())
"""Lets in who shows no certificate, as nobody can over TLS."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[BaseTestServer]:
    directory = StateDirectory(private_files.directory(tmp_path / "host"))
    plan = UnitPlan(
        UnitType.RECOVERY, parse_location("[eu-de].[AZ1-CS1].[00].[03]"), serial="93A0021F"
    )
    make_units(directory, [plan], names=["127.0.0.1"], now=NOON)
    host = Host(Store.open(directory, load_device_key(directory)), clock=lambda: NOON)
    async with TestServer(api.application(host, ANYBODY)) as server:
        yield server
    await host.close()


async def test_too_many_at_once_may_try_again(
    server: BaseTestServer, monkeypatch: pytest.MonkeyPatch
):
    async with aiohttp.ClientSession() as session:
        async with session.get(server.make_url("/v1/units")) as answer:
            assert answer.status == 200
        monkeypatch.setattr(api, "MAX_AT_ONCE", 0)
        async with session.get(server.make_url("/v1/units")) as answer:
            assert answer.status == 503
            assert "at once" in await answer.text()
        monkeypatch.undo()
        async with session.get(server.make_url("/v1/units")) as answer:
            assert answer.status == 200


async def test_a_body_that_does_not_come(server: BaseTestServer, monkeypatch: pytest.MonkeyPatch):
    url = server.make_url("/v1/units")
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        units = from_bytes(Units, await answer.read()).units
    monkeypatch.setattr(api, "BODY_SECONDS", 0)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    head = "Host: x\r\nContent-Length: 100\r\n\r\n"
    path = f"/v1/units/{units[0].opened().unit.hex()}/state"
    writer.write(f"POST {path} HTTP/1.1\r\n{head}".encode())
    said = await reader.readuntil(b"longer than 0 s")
    writer.close()
    assert b" 400 " in said


class Endless(HostClient):
    """A host client whose host answers every question for history in the same way."""

    def __init__(self, page: HistoryPage) -> None:
        self._address = "host"
        self._page = page

    async def _ask_unit(self, *_: object) -> HistoryPage:  # type: ignore[override]
        return self._page


async def test_a_history_without_end_is_a_violation():
    client = Endless(HistoryPage(entries=(), more=True))
    with pytest.raises(Violation, match="without end"):
        await client.history(UnitId(bytes(32)), StateVersion(0))
