"""The description of the API is valid, and its answers are as it says: many calls, made from it."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case
from schemathesis.config import SchemathesisConfig

from coordinator.accounts.roles import Role
from coordinator.api.openapi import document
from coordinator.api.table import ROUTES
from protocol.commands.bodies import SetControlPoint
from protocol.request import RequestState
from tests.cast.coordinators import coordinator
from tests.cast.people import ALICE

EXAMPLES = 15
# Always the same calls: where the tool only guesses that a call is bad, luck would decide.
CONFIG = SchemathesisConfig.from_dict({"seed": 1, "generation": {"database": "none"}})
schema = schemathesis.openapi.from_dict(document(ROUTES), config=CONFIG)
# A stream never ends, and these two end the session that calls; they have tests of their own.
calls = schema.exclude(path=["/v1/events", "/v1/logout", "/v1/password"])


def test_the_description_is_valid():
    OpenAPIV31SpecValidator(document(ROUTES)).validate()


def test_every_route_is_described():
    described = {
        (method.upper(), path)
        for path, operations in document(ROUTES)["paths"].items()
        for method in operations
    }
    assert described == {(route.method, route.path) for route in ROUTES}


def test_patterns_are_ecmascripts():
    assert r"\A" not in str(document(ROUTES))
    assert r"\Z" not in str(document(ROUTES))


@dataclass(frozen=True)
class Served:
    """A coordinator that a thread serves: some requests are there, and everybody's tokens."""

    url: str
    tokens: dict[Role, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("served")
    ready: list[Served] = []
    begun, loop = threading.Event(), asyncio.new_event_loop()
    ending = asyncio.Event()

    async def serve() -> None:
        async with coordinator(directory) as cast:
            cast.api._by_address = cast.api._by_account = _Never()  # type: ignore[assignment]
            first = await cast.file(SetControlPoint(point=66, on=True))
            await cast.until(first.id, RequestState.COLLECTING)
            await cast.sign(first.id, ALICE)
            server = TestServer(cast.application())
            await server.start_server()
            tokens = {role: await cast.token(f"the-{role}", role) for role in Role}
            ready.append(Served(str(server.make_url("")), tokens))
            begun.set()
            await ending.wait()
            await server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert begun.wait(30)
    yield ready[0]
    loop.call_soon_threadsafe(ending.set)
    thread.join(30)
    loop.close()


class _Never:
    """No limit to the rate."""

    def wait(self, key: str) -> float:
        return 0.0


ROLE_FOR = {route.name: route.right for route in ROUTES}


def role_for(case: Case[Any]) -> Role:
    operation: dict[str, Any] = case.operation.definition.raw
    match ROLE_FOR[operation["operationId"]]:
        case "manage":
            return Role.MANAGER
        case "file":
            return Role.OPERATOR
        case _:
            return Role.AUDITOR


@calls.parametrize()
@settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(served: Served, case: Case[Any]):
    headers = {"Authorization": f"Bearer {served.tokens[role_for(case)]}"}
    case.call_and_validate(base_url=served.url, headers=headers)
