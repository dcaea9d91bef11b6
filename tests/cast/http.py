"""Somebody who calls a coordinator's API, as a role."""

import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from multidict import CIMultiDictProxy

from coordinator.accounts.roles import Role
from tests.cast.coordinators import CastCoordinator

ROLES = {"amy": Role.OPERATOR, "ann": Role.AUDITOR, "max": Role.MANAGER}
"""Who is what, unless a test says otherwise."""


@dataclass(frozen=True)
class Reply:
    """What was answered."""

    status: int
    headers: CIMultiDictProxy[str]
    data: Any


class Http:
    """Calls, each as the person named; nobody without one. `context` is for a URL of https."""

    def __init__(
        self, url: str, cast: CastCoordinator, context: ssl.SSLContext | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.cast = cast
        self._context = context
        self.tokens: dict[str, str] = {}
        self.roles = dict(ROLES)
        self.session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        context = True if self._context is None else self._context
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.session.close()

    async def headers(self, by: str | None) -> dict[str, str]:
        """The header that proves who calls."""
        if by is None:
            return {}
        if by not in self.tokens:
            self.tokens[by] = await self.cast.token(by, self.roles[by])
        return {"Authorization": f"Bearer {self.tokens[by]}"}

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """One call with a JSON body, if there is one."""
        all_headers = {**await self.headers(by), **(headers or {})}
        async with self.session.request(
            method, self.url + path, json=body, headers=all_headers
        ) as response:
            return Reply(response.status, response.headers, await response.json())

    async def get(self, path: str, *, by: str | None = "amy") -> Any:
        """What a call that succeeds answers."""
        reply = await self.call("GET", path, by=by)
        assert reply.status == 200, reply
        return reply.data

    async def post(self, path: str, body: Any = None, *, by: str | None = "amy") -> Any:
        """What a call that succeeds answers."""
        reply = await self.call("POST", path, body, by=by)
        assert reply.status == 200, reply
        return reply.data
