"""Key storage's HTTP interface, for key users, on a port of its own.

    POST /v1/units/{unit, 64 hex digits}/keys     Signed (KeyCall)  ->  Signed (KeyAnswer)

Over the host's TLS certificate, which key users pin; they show none, their calls are signed.
Nothing of the administration of units is here. What breaks the protocol is answered with 400 and a
reason, and the connection is closed; a database or disk that can't serve just now, or too many
calls at once, with 503. A unit's No is an answer like any other.
"""

import asyncio

from aiohttp import web

from hsm_backend.host.api import BODY_SECONDS, Handler
from hsm_backend.host.keys import KeyHost
from hsm_backend.wire import CONTENT_TYPE
from protocol.identifiers import UnitId
from protocol.keys.operations import MAX_CALL_BYTES
from protocol.schema import from_bytes, to_bytes
from protocol.signing.statements import Signed
from protocol.violations import Violation
from quorate import logs
from quorate.exits import Trouble
from quorate.unavailable import Unavailable

MAX_AT_ONCE = 64
_FRAME = 4096
"""More than what stands around a signed call of the longest."""


def key_application(keys: KeyHost) -> web.Application:
    """The interface to `keys`."""
    log = logs.get("key storage")
    at_once = 0

    @web.middleware
    async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal at_once
        if at_once >= MAX_AT_ONCE:
            return _no(503, f"more than {MAX_AT_ONCE} calls at once")
        at_once += 1
        try:
            return await handler(request)
        except Violation as violation:
            log.warning("a call breaks the protocol", why=str(violation))
            return _no(400, str(violation))
        except Unavailable as error:
            log.error("not just now", why=str(error))
            return _no(503, str(error))
        except Trouble as trouble:
            log.error("key storage can't serve", why=trouble.what)
            return _no(503, trouble.what)
        except web.HTTPException as error:
            return _no(error.status, error.reason)
        finally:
            at_once -= 1

    async def call(request: web.Request) -> web.Response:
        unit = UnitId(bytes.fromhex(request.match_info["unit"]))
        signed: Signed = from_bytes(Signed, await _body(request))
        answer = await keys.answer(unit, signed)
        if answer is None:
            return _no(404, "no such crypto unit here")
        return web.Response(body=to_bytes(answer), content_type=CONTENT_TYPE)

    app = web.Application(client_max_size=MAX_CALL_BYTES + _FRAME, middlewares=[bounded])
    app.router.add_post("/v1/units/{unit:[0-9a-f]{64}}/keys", call)
    return app


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise Violation(f"the body took longer than {BODY_SECONDS} s") from None


def _no(status: int, reason: str) -> web.Response:
    response = web.Response(status=status, text=reason)
    if status != 503:
        response.force_close()
    return response
