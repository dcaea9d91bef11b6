"""The units' HTTP interface (`hsm_backend.wire`): bytes in, bytes out, everything bounded.

What breaks the protocol is answered with 400 and a reason, and the connection is closed; a disk
that is full or too many requests at once, with 503. A unit's own No is an answer like any other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from hsm_backend.host.clients import Clients
from hsm_backend.host.instance import Host, HostedUnit
from hsm_backend.wire import (
    CONTENT_TYPE,
    MAX_REQUEST_BYTES,
    HistoryRequest,
    ImporterKeyRequest,
    StateRequest,
    Units,
)
from protocol.commands.command import SignedCommand
from protocol.identifiers import StateVersion, UnitId
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.violations import Violation
from quorate import logs
from quorate.exits import Exit, Trouble

MAX_AT_ONCE = 64
BODY_SECONDS = 15
"""How long a request's body may take to arrive."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Verb:
    """What a unit is asked: the type of the request, and who answers it."""

    asks: type[Any]
    answer: Callable[[HostedUnit, Any], Awaitable[Struct]]


async def _state(unit: HostedUnit, asked: StateRequest) -> Struct:
    return unit.state(asked.nonces)


async def _importer_key(unit: HostedUnit, asked: ImporterKeyRequest) -> Struct:
    return await unit.importer_key(asked.request)


async def _prepare(unit: HostedUnit, asked: SignedCommand) -> Struct:
    return await unit.prepare(asked)


async def _execute(unit: HostedUnit, asked: SignedCommand) -> Struct:
    return await unit.execute(asked)


async def _history(unit: HostedUnit, asked: HistoryRequest) -> Struct:
    return await unit.history(StateVersion(asked.after))


VERBS = {
    "state": Verb(StateRequest, _state),
    "importer-key": Verb(ImporterKeyRequest, _importer_key),
    "prepare": Verb(SignedCommand, _prepare),
    "execute": Verb(SignedCommand, _execute),
    "history": Verb(HistoryRequest, _history),
}


def application(host: Host, clients: Clients) -> web.Application:
    """The interface of `host`, for `clients` and nobody else."""
    log = logs.get("unit host")
    at_once = 0

    @web.middleware
    async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal at_once
        transport = request.transport
        client = clients.name_of(transport.get_extra_info("ssl_object") if transport else None)
        if client is None:
            log.warning("a stranger's certificate", path=request.path)
            return _no(403, "this certificate isn't among the host's clients")
        if at_once >= MAX_AT_ONCE:
            return _no(503, f"more than {MAX_AT_ONCE} requests at once")
        at_once += 1
        try:
            return await handler(request)
        except Violation as violation:
            log.warning("a request breaks the protocol", client=client, why=str(violation))
            return _no(400, str(violation))
        except Trouble as trouble:
            if trouble.exit is not Exit.STORAGE:
                raise
            log.error("the disk can't be written", why=trouble.what)
            return _no(503, trouble.what)
        except web.HTTPException as error:
            return _no(error.status, error.reason)
        finally:
            at_once -= 1

    async def units(_: web.Request) -> web.Response:
        return _yes(Units(units=host.certified))

    async def ask(request: web.Request) -> web.Response:
        unit = host.unit(UnitId(bytes.fromhex(request.match_info["unit"])))
        verb = VERBS.get(request.match_info["verb"])
        if unit is None or verb is None:
            return _no(404, "no such crypto unit here" if verb else "no such verb")
        return _yes(await verb.answer(unit, from_bytes(verb.asks, await _body(request))))

    app = web.Application(client_max_size=MAX_REQUEST_BYTES, middlewares=[bounded])
    app.router.add_get("/v1/units", units)
    app.router.add_post("/v1/units/{unit:[0-9a-f]{64}}/{verb}", ask)
    return app


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise Violation(f"the body took longer than {BODY_SECONDS} s") from None


def _yes(answer: Struct) -> web.Response:
    return web.Response(body=to_bytes(answer), content_type=CONTENT_TYPE)


def _no(status: int, reason: str) -> web.Response:
    response = web.Response(status=status, text=reason)
    if status != 503:
        response.force_close()
    return response
