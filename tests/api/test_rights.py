"""Who may what: every role on every route."""

from itertools import product

import pytest

from coordinator.accounts.roles import Role
from coordinator.api.routes import Route
from coordinator.api.table import ROUTES
from tests.cast.http import ROLES, Http

ANYBODY = {"introduction", "login", "login_once", "set_up"}
READERS = {
    "logout",
    "whoami",
    "choose_password",
    "instance",
    "charter",
    "unit_history",
    "requests",
    "request",
    "request_evidence",
    "events",
    "log",
    "checkpoint",
    "consistency",
    "inclusion",
    "tokens",
    "make_token",
    "revoke_token",
}
OPERATORS = {"file", "cancel", "proceed", "void", "refile"}
MANAGERS = {
    "accounts",
    "add_account",
    "remove_account",
    "set_role",
    "one_time_login",
    "invitations",
    "invite",
    "withdraw_invitation",
}
MAY = {
    None: ANYBODY,
    Role.AUDITOR: ANYBODY | READERS,
    Role.OPERATOR: ANYBODY | READERS | OPERATORS,
    Role.MANAGER: ANYBODY | READERS | MANAGERS,
}
SOMETHING = {
    "id": "1",
    "name": "nobody",
    "unit": "00" * 32,
    "token": "0123456789abcdef",
    "invitation": "0123456789abcdef",
}
BY_ROLE = {role: name for name, role in ROLES.items()}


def test_every_route_is_in_the_table():
    assert {route.name for route in ROUTES} == ANYBODY | READERS | OPERATORS | MANAGERS
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize(
    ("route", "role"),
    list(product(ROUTES, MAY)),
    ids=lambda it: it.name if isinstance(it, Route) else str(it),
)
async def test_every_role_on_every_route(http: Http, route: Route, role: Role | None):
    path = route.path.format_map(SOMETHING)
    by = None if role is None else BY_ROLE[role]
    headers = await http.headers(by)
    body: dict[str, str] | None = {} if route.body is not None else None
    async with http.session.request(
        route.method, http.url + path, json=body, headers=headers
    ) as response:
        status = response.status
    if route.name in MAY[role]:
        assert status not in (401, 403)
    else:
        assert status == (401 if role is None else 403)


async def test_the_description_is_for_everybody(http: Http):
    assert (await http.call("GET", "/v1/openapi.json")).status == 200


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer quorate_AAAA", "Basic bWF4OnB3", "quorate_", "Bearer \xe9"]
)
async def test_what_is_no_token_lets_nobody_in(http: Http, value: str):
    reply = await http.call("GET", "/v1/whoami", headers={"Authorization": value})
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.data["rule"] == "NOT_LOGGED_IN"


async def test_a_token_that_was_revoked_is_good_for_nothing(http: Http):
    (mine,) = (await http.get("/v1/tokens"))["tokens"]
    reply = await http.call("DELETE", f"/v1/tokens/{mine['id']}", by="max")
    assert reply.status == 200
    assert (await http.call("GET", "/v1/whoami", by="amy")).status == 401


async def test_a_session_ends_after_eight_hours(http: Http):
    await http.get("/v1/whoami")
    http.cast.clock.pass_time(8 * 3600 * 1000)
    assert (await http.call("GET", "/v1/whoami", by="amy")).status == 401


async def test_a_demoted_operator_files_no_more(http: Http):
    await http.headers("amy")
    await http.post("/v1/accounts/amy/role", {"role": "auditor"}, by="max")
    reply = await http.call("POST", "/v1/requests/1/void", by="amy")
    assert (reply.status, reply.data["rule"]) == (403, "NOT_YOURS")
