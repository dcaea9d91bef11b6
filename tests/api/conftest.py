"""The API of a coordinator in this process, over plain HTTP on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.cast.coordinators import CastCoordinator, coordinator
from tests.cast.http import Http


@pytest.fixture
async def cast(tmp_path: Path) -> AsyncIterator[CastCoordinator]:
    async with coordinator(tmp_path) as made:
        yield made


@pytest.fixture
async def http(cast: CastCoordinator) -> AsyncIterator[Http]:
    server = TestServer(cast.application())
    await server.start_server()
    async with Http(str(server.make_url("")), cast) as made:
        yield made
    await server.close()
