"""Calls about requests: shown, filed, cancelled, proceeded with, voided, refiled."""

import unicodedata
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from coordinator.api.facts import Facts
from coordinator.api.request_views import request_view
from coordinator.api.routes import Answer, Call
from coordinator.engine import operations
from coordinator.engine.change import Change
from coordinator.engine.operations import Ended, Filed, Wanted
from coordinator.store import record, requests
from coordinator.store.connection import Connection
from coordinator.wire.command_bodies import body_of
from coordinator.wire.requests import (
    Asked,
    Evidence,
    FiledRequest,
    FiledWhen,
    RequestFilter,
    RequestPage,
    RequestView,
    Why,
)
from protocol.displayable import Purpose, Reason
from protocol.identifiers import SECOND, Duration, UnitId
from protocol.record.operations import Actor
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import Request
from protocol.schema import to_bytes

if TYPE_CHECKING:
    from coordinator.api.dispatch import Api


async def page(api: "Api", call: Call) -> Answer:
    """Requests, newest first."""
    wanted: RequestFilter = call.query
    unit = None if wanted.unit is None else UnitId(bytes.fromhex(wanted.unit))

    async def read(connection: Connection) -> RequestPage:
        facts = await api.facts(connection)
        if wanted.idempotency_key is not None:
            return await _filed_under(connection, call, facts)
        found: list[Request] = []
        before, more = wanted.before, True
        while more and len(found) <= wanted.limit:
            some = await requests.page(
                connection,
                facts.instance,
                state=wanted.state,
                ended=wanted.ended,
                before=before,
                limit=wanted.limit + 1,
            )
            found += [one for one in some if unit is None or unit in one.filing.targets]
            more = len(some) > wanted.limit
            before = some[-1].id if some else before
        shown = found[: wanted.limit]
        views = [await view(connection, one, facts) for one in shown]
        following = shown[-1].id if len(found) > wanted.limit else None
        return RequestPage(requests=tuple(views), next=following)

    return await api.ledger.database.read(read)


async def _filed_under(connection: Connection, call: Call, facts: Facts) -> RequestPage:
    """The request that this account filed under an idempotency key, if it is one of the wanted."""
    wanted: RequestFilter = call.query
    key = operations.idempotency_of(call.by.account, str(wanted.idempotency_key))
    request = await requests.by_idempotency(connection, key)
    shown = () if request is None or not _is_wanted(request, wanted) else (request,)
    views = [await view(connection, one, facts) for one in shown]
    return RequestPage(requests=tuple(views), next=None)


def _is_wanted(request: Request, wanted: RequestFilter) -> bool:
    unit = None if wanted.unit is None else UnitId(bytes.fromhex(wanted.unit))
    return (
        wanted.state in (None, request.state)
        and wanted.ended in (None, request.ended)
        and (wanted.before is None or request.id < wanted.before)
        and (unit is None or unit in request.filing.targets)
    )


async def show(api: "Api", call: Call) -> Answer:
    """One request."""

    async def read(connection: Connection) -> Answer:
        request = _found(await requests.get(connection, call.path["id"]), call)
        if isinstance(request, Refusal):
            return request
        return await view(connection, request, await api.facts(connection))

    return await api.ledger.database.read(read)


async def evidence(api: "Api", call: Call) -> Answer:
    """What an agent gets, and checks."""

    async def read(connection: Connection) -> Answer:
        request = _found(await requests.get(connection, call.path["id"]), call)
        if isinstance(request, Refusal):
            return request
        note = None
        if request.opening is not None:
            note = await record.checkpoint(connection, request.opening.checkpoint)
        return Evidence(request=to_bytes(request), checkpoint=note)

    return await api.ledger.database.read(read)


async def file(api: "Api", call: Call) -> Answer:
    """Queues a command."""
    asked: Asked = call.body

    async def work(change: Change) -> Filed | Refusal:
        body = body_of(asked.command, change.in_force())
        if isinstance(body, Refusal):
            return body
        wanted = Wanted(
            body=body,
            targets=tuple(UnitId(bytes.fromhex(unit)) for unit in asked.units),
            purpose=Purpose(_written(asked.purpose)),
            valid_for=Duration(asked.valid_for * SECOND),
            leave_out=asked.leave_out,
            idempotency_key=asked.idempotency_key,
        )
        return await operations.file(change, api.ledger, api.units, call.by.account, wanted)

    return await _filed(api, work)


async def cancel(api: "Api", call: Call) -> Answer:
    """Stops asking for it. What was signed isn't recalled: `live` says what can still run."""
    why: Why = call.body

    async def work(change: Change) -> Ended | Refusal:
        request = _found(await change.request(call.path["id"]), call)
        if isinstance(request, Refusal):
            return request
        name = call.by.account
        actor = Actor(custodian=None, account=name)
        reason = Reason(_written(why.reason))
        return await operations.cancel(change, api.units, request, actor, name, reason)

    done = await api.ledger.change(work)
    return done if isinstance(done, Refusal) else await _shown(api, done.request)


async def proceed(api: "Api", call: Call) -> Answer:
    """Runs it without the units that hold it."""

    async def work(change: Change) -> Request | Refusal:
        request = _found(await change.request(call.path["id"]), call)
        if isinstance(request, Refusal):
            return request
        actor = Actor(custodian=None, account=call.by.account)
        return await operations.proceed(change, request, actor)

    done = await api.ledger.change(work)
    return done if isinstance(done, Refusal) else await _shown(api, done)


async def void(api: "Api", call: Call) -> Answer:
    """Files what makes the signed copies of an ended request harmless."""

    async def work(change: Change) -> Filed | Refusal:
        request = _found(await change.request(call.path["id"]), call)
        if isinstance(request, Refusal):
            return request
        return await operations.void(change, api.ledger, api.units, request, call.by.account)

    return await _filed(api, work)


async def refile(api: "Api", call: Call) -> Answer:
    """Files the same command again, for the units that haven't run it."""

    async def work(change: Change) -> Filed | Refusal:
        request = _found(await change.request(call.path["id"]), call)
        if isinstance(request, Refusal):
            return request
        return await operations.refile(change, api.ledger, api.units, request, call.by.account)

    return await _filed(api, work)


async def view(connection: Connection, request: Request, facts: Facts) -> RequestView:
    """The request as the API shows it."""
    voids = None
    if request.filing.voids is not None:
        voided = await requests.by_digest(connection, request.filing.voids)
        voids = None if voided is None else voided.id
    return request_view(request, facts, voids)


def _found(request: Request | None, call: Call) -> Request | Refusal:
    if request is None:
        found = call.path["id"]
        return refuse(Rule.NO_SUCH_REQUEST, expected="the number of a request", found=found)
    return request


async def _filed(api: "Api", work: Callable[[Change], Awaitable[Filed | Refusal]]) -> Answer:
    filed = await api.ledger.change(work)
    if isinstance(filed, Refusal):
        return filed
    when = FiledWhen.BEFORE if filed.before else FiledWhen.NOW
    return FiledRequest(filed=when, request=await _shown(api, filed.request))


async def _shown(api: "Api", request: Request) -> RequestView:
    async def read(connection: Connection) -> RequestView:
        return await view(connection, request, await api.facts(connection))

    return await api.ledger.database.read(read)


def _written(text: str) -> str:
    """As it is signed and stored: in normal form C."""
    return unicodedata.normalize("NFC", text)
