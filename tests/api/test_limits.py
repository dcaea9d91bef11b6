"""What somebody can make the API do, and how much of it."""

import json
from itertools import pairwise

import pytest

from coordinator.accounts.throttle import FOR_ACCOUNT
from coordinator.api.dispatch import MAX_BODY_BYTES
from coordinator.api.limits import Buckets
from tests.cast.coordinators import Clock
from tests.cast.http import Http


def buckets(clock: Clock, *, keys: int = 100) -> Buckets:
    return Buckets(a_second=2, burst=3, clock=lambda: clock.seconds, keys=keys)


def test_a_burst_is_let_through_and_then_a_steady_rate():
    clock = Clock()
    limit = buckets(clock)
    assert [limit.wait("amy") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.pass_time(499)
    assert limit.wait("amy") > 0
    clock.pass_time(1)
    assert limit.wait("amy") == 0
    assert limit.wait("amy") == 0.5


def test_a_bucket_never_holds_more_than_a_burst():
    clock = Clock()
    limit = buckets(clock)
    limit.wait("amy")
    clock.pass_time(3_600_000)
    assert [limit.wait("amy") for _ in range(4)] == [0, 0, 0, 0.5]


def test_each_has_a_bucket_and_the_longest_unused_is_forgotten():
    clock = Clock()
    limit = buckets(clock, keys=2)
    for _ in range(4):
        limit.wait("amy")
    assert limit.wait("ann") == 0
    assert limit.wait("amy") > 0
    limit.wait("max")  # ann's is forgotten
    assert limit.wait("amy") > 0
    limit.wait("eve")
    limit.wait("bob")  # amy's is forgotten
    assert limit.wait("amy") == 0


async def test_too_many_calls_are_put_off(http: Http):
    replies = [await http.call("GET", "/v1/whoami") for _ in range(220)]
    statuses = [reply.status for reply in replies]
    assert statuses[:200] == [401] * 200
    assert statuses[200:] == [429] * 20
    assert int(replies[-1].headers["Retry-After"]) >= 1
    http.cast.clock.pass_time(1000)
    assert (await http.call("GET", "/v1/whoami")).status == 401


async def test_too_many_failed_logins_are_put_off(http: Http):
    body = {"account": "nobody", "password": "wrong"}
    replies = [await http.call("POST", "/v1/login", body) for _ in range(FOR_ACCOUNT.free + 1)]
    assert [reply.status for reply in replies] == [401] * FOR_ACCOUNT.free + [429]
    assert replies[-1].headers["Retry-After"] == "1"
    assert replies[-1].data["rule"] == "TOO_MANY_ATTEMPTS"


async def test_a_body_has_an_end(http: Http):
    body = {"reason": "x" * MAX_BODY_BYTES}
    reply = await http.call("POST", "/v1/requests/1/cancel", body, by="amy")
    assert reply.status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"reason": 1}',
        b'{"reason": "x", "more": 1}',
        b'{"reason": "\\ud800"}',
        b'{"reason": "\xff"}',
        b'{"reason": "' + b"x" * 501 + b'"}',
        b"[" * 60_000,
    ],
)
async def test_what_isnt_what_it_takes_is_refused(http: Http, body: bytes):
    headers = {**await http.headers("amy"), "Content-Type": "application/json"}
    async with http.session.post(
        f"{http.url}/v1/requests/1/cancel", data=body, headers=headers
    ) as response:
        assert response.status == 400
        answer = await response.json()
    assert (answer["exit"], answer["code"]) == ("usage", 2)


async def test_a_body_is_json(http: Http):
    headers = {**await http.headers("amy"), "Content-Type": "text/plain"}
    async with http.session.post(
        f"{http.url}/v1/requests/1/cancel", data=b"{}", headers=headers
    ) as response:
        assert response.status == 415


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "more=1", "state=null", "ended=yes",
     "limit=01", "limit=1.0", "before=-1", "unit=zz"],
)  # fmt: skip
async def test_a_query_is_what_it_takes(http: Http, query: str):
    reply = await http.call("GET", f"/v1/requests?{query}", by="amy")
    assert reply.status == 400


@pytest.mark.parametrize("path", ["/v1/whoami", "/v1/requests/9", "/v1/nothing"])
async def test_every_answer_has_strict_headers(http: Http, path: str):
    reply = await http.call("GET", path, by="amy")
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert reply.headers["Server"] == "quorate"
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert reply.headers["Content-Type"] == "application/json"


async def test_nothing_secret_is_repeated(http: Http):
    body = {"account": "amy", "password": "a secret that nobody may see", "more": 1}
    reply = await http.call("POST", "/v1/login", body)
    assert "secret" not in json.dumps(reply.data)


def test_waits_are_shorter_the_later_one_asks():
    clock = Clock()
    limit = buckets(clock)
    for _ in range(3):
        limit.wait("amy")
    waits = []
    for _ in range(4):
        waits.append(limit.wait("amy"))
        clock.pass_time(100)
    assert all(later < sooner for sooner, later in pairwise(waits))
