"""Answers and refusals as HTTP: a status, JSON, and headers that are strict."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from coordinator.wire.errors import Error
from protocol.refusals import Refusal, Rule
from quorate.exits import Exit

STATUS: Mapping[Rule, int] = {
    Rule.NOT_LOGGED_IN: 401,
    Rule.LOGIN_REFUSED: 401,
    Rule.NOT_YOURS: 403,
    Rule.NOT_YOUR_REQUEST: 403,
    Rule.NO_SUCH_REQUEST: 404,
    Rule.NO_SUCH_ACCOUNT: 404,
    Rule.NO_SUCH_TOKEN: 404,
    Rule.NO_SUCH_INVITATION: 404,
    Rule.UNIT_NOT_IN_CHARTER: 404,
    Rule.LOG_SHORTER: 404,
    Rule.TOO_MANY_ATTEMPTS: 429,
}
CONFLICT = 409
"""What every other rule's No answers: the instance, as it is, doesn't allow it."""

NEXT: Mapping[Rule, str] = {Rule.NO_SUCH_REQUEST: "quorate requests list --all"}
"""Where an account does something else next than a custodian."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "quorate",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer of the API."""


def status_of(refusal: Refusal) -> int:
    """The status of a rule's No."""
    return STATUS.get(refusal.rule, CONFLICT)


def done(answer: msgspec.Struct | Mapping[str, object]) -> web.Response:
    """What was asked for."""
    return web.Response(
        body=msgspec.json.encode(answer), content_type="application/json", headers=HEADERS
    )


def refused(refusal: Refusal, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """A rule's No."""
    wrong_password = refusal.rule is Rule.LOGIN_REFUSED
    return trouble(
        status_of(refusal),
        Exit.WRONG_PASSWORD if wrong_password else Exit.REFUSED,
        refusal.facts.says,
        expected=refusal.expected,
        found=refusal.found,
        rule=refusal.rule.value,
        next=NEXT.get(refusal.rule, refusal.facts.next_step),
        headers=headers,
    )


def trouble(
    status: int,
    exit_code: Exit,
    message: str,
    *,
    expected: str | None = None,
    found: str | None = None,
    rule: str | None = None,
    next: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Why it wasn't done as asked."""
    error = Error(
        exit=exit_code.label,
        code=int(exit_code),
        message=message,
        expected=expected,
        found=found,
        rule=rule,
        next=next,
    )
    more = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return web.Response(
        status=status,
        body=msgspec.json.encode(error),
        content_type="application/json",
        headers={**HEADERS, **more, **(headers or {})},
    )
