"""What every call has in common: who calls, how often, how much, and how it is answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

import msgspec
import structlog
from aiohttp import web

from coordinator.accounts import tokens
from coordinator.accounts.logins import Principal, Throttled, authenticate
from coordinator.accounts.passwords import Hasher
from coordinator.accounts.roles import Right, allowed
from coordinator.api import answers, openapi
from coordinator.api.facts import Facts, facts
from coordinator.api.limits import Buckets
from coordinator.api.routes import Call, Handler, Route, Stream, body_of, path_of, query_of
from coordinator.api.table import ROUTES
from coordinator.engine.ledger import Ledger
from coordinator.engine.units import Units
from coordinator.store.connection import Connection
from coordinator.wire.values import Json
from protocol.refusals import Refusal, Rule, refuse
from protocol.secrets import Secret
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 15.0
OPENAPI = "/v1/openapi.json"
_log = structlog.get_logger("coordinator.api")

RawHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """The API of an instance. `certificate` is the SHA-256 of our TLS certificate.

    `clock` gives seconds for the rates, and never runs backwards. `close` when done.
    """

    def __init__(
        self,
        ledger: Ledger,
        units: Units,
        hasher: Hasher,
        *,
        practice: bool,
        certificate: bytes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self.units = units
        self.hasher = hasher
        self.practice = practice
        self.certificate = certificate
        self.watchers: set[asyncio.Task[object]] = set()
        self._by_address = Buckets(a_second=50, burst=200, clock=clock)
        self._by_account = Buckets(a_second=50, burst=200, clock=clock)

    def routes(self) -> list[web.RouteDef]:
        """What the server has to route here."""
        found = [web.route(one.method, one.path, self._serves(one)) for one in ROUTES]
        return [*found, web.route("GET", OPENAPI, self._openapi)]

    async def close(self) -> None:
        """Ends the streams of those who watch, and the threads."""
        watchers = list(self.watchers)
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        self.hasher.close()

    async def facts(self, connection: Connection) -> Facts:
        """What views are made from."""
        return await facts(connection, self.ledger, self.units, practice=self.practice)

    def _serves(self, route: Route) -> RawHandler:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                return await self._serve(route, request)
            except Unavailable as error:
                return answers.trouble(
                    503, Exit.UNREACHABLE, str(error), next="try again later; asking twice is safe"
                )
            except Trouble as trouble:
                return answers.trouble(507, trouble.exit, trouble.what, next=trouble.next)
            except (web.HTTPException, ConnectionError):
                raise
            except Exception:
                _log.exception("a call ended in a bug", route=route.name)
                return answers.trouble(
                    500, Exit.BUG, "our mistake", next="please report it with the coordinator's log"
                )

        return serve

    async def _serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        address = request.remote or ""
        too_often = self._too_often(self._by_address, address)
        if too_often is not None:
            return too_often
        secret = _bearer(request)
        principal: Principal | None = None
        if route.right is not None:
            principal = await self._principal(secret)
            refusal = may(principal, route.right)
            if refusal is not None:
                return answers.refused(refusal)
        if principal is not None:
            too_often = self._too_often(self._by_account, principal.account)
            if too_often is not None:
                return too_often
        try:
            path = path_of(route, request.match_info)
        except msgspec.ValidationError:
            return not_there(request)
        try:
            query = query_of(route, request.query)
            body = body_of(route, await _body(route, request))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            return answers.trouble(
                400,
                Exit.USAGE,
                "what was sent isn't what this takes",
                found=str(error)[:400],
                next=f"look what it takes: {OPENAPI}",
            )
        call = Call(principal, secret, path, query, body, address, request)
        if route.answer is None:
            return await cast(Stream, route.handler)(self, call)
        answer = await cast(Handler, route.handler)(self, call)
        return self._answered(answer)

    def _answered(self, answer: Json | Refusal | Throttled) -> web.Response:
        match answer:
            case Refusal():
                return answers.refused(answer)
            case Throttled():
                now = self.ledger.now()
                wait = {"Retry-After": str(answer.seconds(now))}
                return answers.refused(answer.refusal(now), headers=wait)
            case _:
                return answers.done(answer)

    async def _principal(self, secret: Secret | None) -> Principal | None:
        return await self.ledger.database.read(
            lambda connection: authenticate(connection, secret, self.ledger.now())
        )

    def _too_often(self, buckets: Buckets, key: str) -> web.Response | None:
        wait = buckets.wait(key)
        if not wait:
            return None
        return answers.trouble(
            429,
            Exit.UNREACHABLE,
            "too many calls",
            next="call less often",
            headers={"Retry-After": str(max(1, round(wait)))},
        )

    async def _openapi(self, request: web.Request) -> web.Response:
        too_often = self._too_often(self._by_address, request.remote or "")
        return too_often or answers.done(openapi.document(ROUTES))


def may(principal: Principal | None, right: Right) -> Refusal | None:
    """NOT_LOGGED_IN, NOT_YOURS: who calls has proven who they are, and their role has the right."""
    if principal is None:
        return refuse(Rule.NOT_LOGGED_IN, expected="a token that is good", found="none")
    if not allowed(principal.role, right):
        found = f"{principal.account}, {principal.role}"
        return refuse(Rule.NOT_YOURS, expected=f"the right to {right}", found=found)
    return None


@web.middleware
async def plain_errors(request: web.Request, handler: RawHandler) -> web.StreamResponse:
    """What the server itself answers, no such path for one, in the API's words too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status == 404:
            return not_there(request)
        allow: Mapping[str, str] = {}
        if isinstance(error, web.HTTPMethodNotAllowed):
            allow = {"Allow": ", ".join(sorted(error.allowed_methods))}
        message = error.reason.lower()
        return answers.trouble(error.status, Exit.USAGE, message, headers=allow)


def not_there(request: web.Request) -> web.Response:
    """There is nothing of that name."""
    return answers.trouble(
        404,
        Exit.USAGE,
        "there is nothing here",
        found=request.path[:200],
        next=f"look what there is: {OPENAPI}",
    )


def _bearer(request: web.Request) -> Secret | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return tokens.read(token.strip()) if scheme.lower() == "bearer" else None


async def _body(route: Route, request: web.Request) -> bytes:
    if route.body is not None and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
