"""Who has an account on the coordinator, or steals one, or guesses: HTTPS, against the real API.

DESIGN §2 rests nothing on accounts: none can sign, whoever holds them. What each role may is walked
in `tests/api/test_rights.py`; here are those who try to get past it.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.accounts.roles import Right, Role
from coordinator.accounts.throttle import FOR_ACCOUNT, FOR_ADDRESS
from coordinator.api.table import ROUTES
from protocol.displayable import PersonName
from protocol.identifiers import MINUTE
from protocol.record.entries import EntryKind
from protocol.record.operations import AccountChange
from protocol.refusals import Rule
from protocol.request import Request, RequestState, open_filing
from protocol.schema import from_bytes
from protocol.session.invitation import read_invitation
from protocol.session.messages import Done, ProposeCharter, Refused
from protocol.signing.statements import Signed
from protocol.violations import Violation
from quorate import tls
from tests.attacks.evil_coordinator import Certificate
from tests.attacks.guarded import Guarded, guarded
from tests.cast.bare_agents import BareAgent
from tests.cast.charters import charter
from tests.cast.coordinators import PASSWORD
from tests.cast.http import Http, Reply
from tests.cast.people import ALICE, BOB, CAROL, MALLORY, Custodian

POINT = {"kind": "set-control-point", "point": 66, "on": True}
OTHER = "another good password"


@pytest.fixture
async def home(place: Path, certificate: Certificate) -> AsyncIterator[Guarded]:
    async with guarded(place, certificate) as made:
        yield made


@pytest.fixture
async def http(home: Guarded) -> AsyncIterator[Http]:
    """Amy is an operator, ann an auditor, max a manager; whose tokens are stolen, tests say."""
    async with Http(home.url, home.cast, tls.client_context(home.certificate.fingerprint)) as made:
        yield made


def filing(http: Http, **more: Any) -> dict[str, Any]:
    units = [unit.hex() for unit in http.cast.targets]
    return {"command": POINT, "units": units, "purpose": "ticket 7", **more}


async def log_in(http: Http, password: str, name: str = "amy", **headers: str) -> Reply:
    body = {"account": name, "password": password}
    return await http.call("POST", "/v1/login", body, headers=headers)


async def asks_again(http: Http, token: str) -> int:
    """What somebody with this token is answered."""
    header = {"Authorization": f"Bearer {token}"}
    return (await http.call("GET", "/v1/whoami", headers=header)).status


# --- no account signs ---------------------------------------------------------------------------


def other_agent(name: str) -> Custodian:
    """Mallory's agent and keys, under whatever name the invitation is made out to."""
    return Custodian(name=PersonName(name), identity=MALLORY.identity, keys=MALLORY.keys)


async def enrolled(home: Guarded, http: Http, name: str) -> BareAgent:
    """Mallory's agent, enrolled as `name` by an invitation that a manager's stolen account made."""
    body = {"person": name, "url": home.url, "days": 1}
    made = await http.post("/v1/invitations", body, by="max")
    invitation = read_invitation(made["invitation"])
    agent = BareAgent(other_agent(name), invitation, home.certificate.der)
    home.agents[f"mallory as {name}"] = agent
    await agent.connect(enrol=True)
    await agent.caught_up()
    return agent


async def opened(agent: BareAgent, number: int) -> Request:
    def found() -> Request | None:
        request = agent.requests.get(number)
        return request if request is not None and request.opening is not None else None

    request: Request = await agent.when(found)
    return request


@pytest.mark.parametrize("name", ["mallory", "alice"])
async def test_all_roles_together_run_nothing(home: Guarded, http: Http, name: str):
    """An operator's, a manager's and an auditor's token, and an agent enrolled by the manager's:
    in a new name, or in the place of a custodian's agent."""
    await home.agent(ALICE)
    before = [home.cast.unit(n).memory for n in (0, 1)]
    number = (await http.post("/v1/requests", filing(http)))["request"]["id"]
    evil = await enrolled(home, http, name)
    await opened(evil, number)
    answer = await evil.approve(number)
    assert isinstance(answer, Refused) and answer.refusal.rule is Rule.SIGNATURE_NOT_WANTED
    assert len(await home.cast.entries(EntryKind.ALARM)) == 1
    shown = await http.get(f"/v1/requests/{number}", by="ann")
    assert (shown["state"], shown["have"], shown["signed_by"]) == ("collecting", 0, [])
    assert [home.cast.unit(n).memory for n in (0, 1)] == before


@pytest.mark.parametrize("name", ["mallory", "alice"])
async def test_a_manager_makes_no_custodian(home: Guarded, http: Http, name: str):
    """The stranger proposes a charter that names them; nobody but they would accept it."""
    evil = await enrolled(home, http, name)
    people = [BOB, CAROL, evil.who]
    first = home.cast.charter
    units = [home.cast.unit(n) for n in (0, 1)]
    second = charter(people, units, previous=first, coordinator=first.coordinator)
    assert isinstance(await evil.publish(ProposeCharter(charter=second)), Done)
    with contextlib.suppress(ConnectionResetError):  # in the place of one who is to judge it
        await evil.accept(second)
    versions = (await http.get("/v1/charter", by="ann"))["versions"]
    assert [one["in_force"] for one in versions] == [True, False]
    number = (await http.post("/v1/requests", filing(http)))["request"]["id"]
    request = await http.cast.until(number, RequestState.COLLECTING)
    assert request.opening is not None and request.opening.charter == first.digest


async def test_whose_place_was_taken_takes_it_back_and_signs(home: Guarded, http: Http):
    """What such an invitation costs alice: her agent is hung up on until she is invited again."""
    alice = await home.agent(ALICE)
    await home.agent(BOB)
    evil = await enrolled(home, http, "alice")
    await alice.until_closed()
    number = (await http.post("/v1/requests", filing(http)))["request"]["id"]
    await opened(evil, number)
    new = {"person": "alice", "url": home.url, "days": 1}
    made = await http.post("/v1/invitations", new, by="max")
    again = BareAgent(ALICE, read_invitation(made["invitation"]), home.certificate.der)
    home.agents["alice again"] = again
    await again.connect(enrol=True)
    await evil.until_closed()
    for agent in (again, home.agents["bob"]):
        await opened(agent, number)
        assert isinstance(await agent.approve(number), Done)
    await again.until(number, RequestState.EXECUTED)
    told = [(one.change, str(one.by), one.detail) for one in await home.cast.account_events()]
    assert told.count((AccountChange.INVITED, "max", "alice")) == 2


async def test_what_a_manager_must_do_to_file_is_in_the_log(home: Guarded, http: Http):
    """They may make themselves an operator; not unseen, and not under the name of another."""
    assert (await http.call("POST", "/v1/requests", filing(http), by="max")).status == 403
    made = await http.post("/v1/accounts", {"name": "eve", "role": "operator"}, by="max")
    begun = await http.post("/v1/login/once", {"token": made["login"]["token"]}, by=None)
    http.tokens["eve"] = begun["token"]
    filed = await http.post("/v1/requests", filing(http), by="eve")
    assert filed["request"]["filed_by"] == {"name": "eve", "account": True}
    told = [(one.change, one.account, one.by) for one in await home.cast.account_events()]
    assert told[-3:] == [
        (AccountChange.MADE, "eve", "max"),
        (AccountChange.TOKEN_MADE, "eve", "max"),
        (AccountChange.LOGGED_IN, "eve", "eve"),
    ]


# --- an operator asks in another's name ---------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {"account": "max"},
        {"custodian": ALICE.agent.hex()},
        {"filed_by": {"name": "alice", "account": False}},
        {"signature": "AA=="},
        {"approvals": [{"ski": ALICE.key.ski.hex(), "signature": "AA=="}]},
        {"step": 1},
    ],
    ids=lambda it: next(iter(it)),
)
async def test_a_filing_says_no_more_than_what_is_wanted(http: Http, more: dict[str, Any]):
    reply = await http.call("POST", "/v1/requests", filing(http, **more), by="amy")
    assert reply.status == 400
    assert (await http.get("/v1/requests"))["requests"] == []


async def test_an_account_with_a_custodians_name_is_no_custodian(home: Guarded, http: Http):
    """What agents get is an account's filing, without a signature: they say that it isn't verified
    (test_2_11_voices). Nor does it make the request that custodian's to steer."""
    alice = await home.agent(ALICE)
    http.roles["alice"] = Role.OPERATOR
    filed = await http.post("/v1/requests", filing(http), by="alice")
    number = filed["request"]["id"]
    assert filed["request"]["filed_by"] == {"name": "alice", "account": True}
    request = await opened(alice, number)
    assert (request.filing.account, request.filing.custodian) == ("alice", None)
    assert request.signature is None
    (logged,) = await home.cast.entries(EntryKind.FILING)
    signed = from_bytes(Signed, logged.body)
    for who in (ALICE, BOB, CAROL):
        with pytest.raises(Violation):
            open_filing(signed, who.agent)


# --- a stolen token -----------------------------------------------------------------------------


async def begin(http: Http, name: str, role: str = "operator") -> str:
    """The one-time login of a new account, as a manager gives it to its owner."""
    made = await http.post("/v1/accounts", {"name": name, "role": role}, by="max")
    token: str = made["login"]["token"]
    return token


async def once(http: Http, token: str) -> Reply:
    return await http.call("POST", "/v1/login/once", {"token": token})


async def test_a_one_time_login_lets_one_in_of_many_who_come_at_once(home: Guarded, http: Http):
    token = await begin(http, "eve")
    replies = await asyncio.gather(*(once(http, token) for _ in range(12)))
    statuses = sorted(reply.status for reply in replies)
    assert statuses == [200] + [401] * 11
    assert await asks_again(http, token) == 401
    events = await home.cast.account_events()
    assert [one.change for one in events if one.account == "eve"].count(
        AccountChange.LOGGED_IN
    ) == 1


async def test_a_stolen_one_time_login_is_noticed_and_taken_back(home: Guarded, http: Http):
    """The thief was first: its owner can't log in, asks for another, and the thief is out."""
    token = await begin(http, "eve")
    stolen = (await once(http, token)).data["token"]
    body = {"label": "nightly", "days": 60}
    header = {"Authorization": f"Bearer {stolen}"}
    lasting = (await http.call("POST", "/v1/tokens", body, headers=header)).data["token"]
    late = await once(http, token)
    assert (late.status, late.data["rule"]) == (401, "LOGIN_REFUSED")
    again = (await http.post("/v1/accounts/eve/login", by="max"))["token"]
    http.tokens["eve"] = (await once(http, again)).data["token"]
    await http.post("/v1/password", {"new": PASSWORD}, by="eve")
    assert [await asks_again(http, one) for one in (stolen, lasting)] == [401, 401]
    assert (await http.call("GET", "/v1/whoami", by="eve")).status == 200


async def test_a_session_stolen_after_its_owner_chose_a_password(http: Http):
    """It began with a one-time login, where no old password was asked for: that was then."""
    http.tokens["eve"] = (await once(http, await begin(http, "eve"))).data["token"]
    await http.post("/v1/password", {"new": PASSWORD}, by="eve")
    assert (await http.get("/v1/whoami", by="eve"))["fresh"] is False
    for old in ({}, {"old": None}, {"old": OTHER}):
        reply = await http.call("POST", "/v1/password", {"new": OTHER, **old}, by="eve")
        assert (reply.status, reply.data["rule"]) == (401, "LOGIN_REFUSED")
    assert (await log_in(http, OTHER, "eve")).status == 401
    assert (await log_in(http, PASSWORD, "eve")).status == 200


async def test_who_guesses_the_old_password_in_a_stolen_session_waits(http: Http):
    """And has then used up the guesses at the login too."""
    await http.cast.account("amy", Role.OPERATOR, password=PASSWORD)
    http.tokens["amy"] = (await log_in(http, PASSWORD)).data["token"]
    for number in range(FOR_ACCOUNT.free):
        body = {"old": f"guess number {number}", "new": OTHER}
        assert (await http.call("POST", "/v1/password", body, by="amy")).status == 401
    right = {"old": PASSWORD, "new": OTHER}
    assert (await http.call("POST", "/v1/password", right, by="amy")).status == 429
    assert (await log_in(http, PASSWORD)).status == 429


@pytest.mark.parametrize("wanted", ["for oneself", "for another", "a new account", "for scripts"])
async def test_a_stolen_token_for_scripts_becomes_nothing_more(
    home: Guarded, http: Http, wanted: str
):
    """A manager's, even: it can't be turned into a login, which could choose a password."""
    await http.cast.account("amy", Role.OPERATOR)
    script = await http.post("/v1/tokens", {"label": "nightly", "days": 30}, by="max")
    http.tokens["thief"] = script["token"]
    before = await home.cast.account_events()
    path, body = {
        "for oneself": ("/v1/accounts/max/login", None),
        "for another": ("/v1/accounts/amy/login", None),
        "a new account": ("/v1/accounts", {"name": "eve", "role": "manager"}),
        "for scripts": ("/v1/tokens", {"label": "more", "days": 60}),
    }[wanted]
    reply = await http.call("POST", path, body, by="thief")
    assert (reply.status, reply.data["rule"]) == (403, "NOT_YOURS")
    assert await home.cast.account_events() == before
    assert (await http.call("POST", path, body, by="max")).status == 200


async def test_a_token_is_taken_from_its_header_only(http: Http):
    """Nothing that a browser would send by itself, and nothing that ends up in proxies' logs."""
    token = (await http.headers("amy"))["Authorization"].removeprefix("Bearer ")
    for headers in (
        {"Cookie": f"token={token}; Authorization=Bearer {token}"},
        {"X-Authorization": f"Bearer {token}"},
        {"Proxy-Authorization": f"Bearer {token}"},
        {"Authorization": f"Basic {base64.b64encode(f'amy:{token}'.encode()).decode()}"},
        {"Authorization": f"Bearer {token}0"},
        {"Authorization": f"Bearer {token[:-1]}"},
        {"Authorization": f"Bearer {token.upper()}"},
    ):
        reply = await http.call("GET", "/v1/whoami", headers=headers)
        assert reply.status == 401, headers
    reply = await http.call("GET", f"/v1/whoami?token={token}&access_token={token}")
    assert reply.status == 401
    assert await asks_again(http, token) == 200


# --- somebody without an account ----------------------------------------------------------------


async def test_a_guesser_gains_nothing_by_saying_where_they_come_from(http: Http):
    """Who stands before the coordinator is the address; headers are a stranger's words."""
    await http.cast.account("amy", Role.OPERATOR, password=PASSWORD)
    statuses = []
    for number in range(FOR_ADDRESS.free + 3):
        address = f"198.51.100.{number}"
        reply = await log_in(
            http,
            "wrong password",
            f"nobody{number}",
            **{"X-Forwarded-For": address, "Forwarded": f"for={address}", "X-Real-IP": address},
        )
        statuses.append(reply.status)
    assert statuses == [401] * FOR_ADDRESS.free + [429] * 3


async def test_a_guesser_gains_nothing_by_spelling_the_name_otherwise(http: Http):
    await http.cast.account("amy", Role.OPERATOR, password=PASSWORD)
    for _ in range(FOR_ACCOUNT.free):
        assert (await log_in(http, "wrong password")).status == 401
    for name in ("AMY", "Amy", " amy", "amy ", "amy\0", "amy\n", "\uff41my", "am\u0443", "%61my"):
        assert (await log_in(http, PASSWORD, name)).status == 400, name
    assert (await log_in(http, PASSWORD)).status == 429


async def test_who_has_to_wait_doesnt_learn_whether_the_guess_was_right(http: Http):
    await http.cast.account("amy", Role.OPERATOR, password=PASSWORD)
    for _ in range(FOR_ACCOUNT.free):
        await log_in(http, "wrong password")
    right, wrong = await log_in(http, PASSWORD), await log_in(http, "wrong password")
    assert right.status == wrong.status == 429
    assert right.data == wrong.data
    assert right.headers["Retry-After"] == wrong.headers["Retry-After"]


async def test_a_guesser_shuts_nobody_out(http: Http):
    """Amy's session goes on, and a one-time login comes in past the guesses at her password."""
    await http.cast.account("amy", Role.OPERATOR, password=PASSWORD)
    await http.headers("amy")
    for _ in range(FOR_ACCOUNT.free + 3):
        reply = await log_in(http, "wrong password")
    assert reply.status == 429
    assert (await http.call("GET", "/v1/whoami", by="amy")).status == 200
    login = (await http.post("/v1/accounts/amy/login", by="max"))["token"]
    assert (await once(http, login)).status == 200
    http.cast.clock.pass_time(15 * MINUTE)
    assert (await log_in(http, PASSWORD)).status == 200


@pytest.mark.parametrize("path", ["/v1/login/once", "/v1/setup"])
async def test_who_guesses_tokens_waits(http: Http, path: str):
    statuses = []
    for number in range(FOR_ADDRESS.free + 1):
        guess = base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()
        body = {"token": f"quorate_{guess}"}
        if path == "/v1/setup":
            body |= {"account": "mallory", "password": PASSWORD}
        statuses.append((await http.call("POST", path, body)).status)
    assert statuses == [401] * FOR_ADDRESS.free + [429]


# --- what is seen of others ---------------------------------------------------------------------


@pytest.mark.parametrize("by", ["amy", "ann"])
async def test_an_account_learns_nothing_of_others_accounts(http: Http, by: str):
    """Not even whether there is one: answers about one that is there and none are the same."""
    await http.headers("max")
    (token,) = (await http.get("/v1/tokens", by="max"))["tokens"]
    there, not_there = [
        await http.call("GET", f"/v1/tokens?account={name}", by=by) for name in ("max", "nobody")
    ]
    assert there.status == not_there.status == 403
    assert there.data == not_there.data
    there, not_there = [
        await http.call("DELETE", f"/v1/tokens/{one}", by=by) for one in (token["id"], "00" * 8)
    ]
    assert there.status == not_there.status == 404
    assert {**there.data, "found": ""} == {**not_there.data, "found": ""}
    for method, path in (("DELETE", "/v1/accounts/{}"), ("POST", "/v1/accounts/{}/login")):
        replies = [await http.call(method, path.format(name), by=by) for name in ("max", "nobody")]
        assert [reply.status for reply in replies] == [403, 403]
        assert replies[0].data == replies[1].data
    assert (await http.call("GET", "/v1/whoami", by="max")).status == 200


async def secrets_of(home: Guarded, http: Http) -> list[bytes]:
    """Everything that only its holder may know, in the forms in which it could lie about."""
    login = await begin(http, "eve")
    waiting = (await http.post("/v1/accounts/eve/login", by="max"))["token"]
    http.tokens["eve"] = (await once(http, waiting)).data["token"]
    unused = (await http.post("/v1/accounts/amy/login", by="max"))["token"]
    await http.post("/v1/password", {"new": PASSWORD}, by="eve")
    await log_in(http, "a wrong password of eve", "eve")
    script = (await http.post("/v1/tokens", {"label": "nightly", "days": 30}))["token"]
    body = {"person": "dave", "url": home.url, "days": 2}
    invitation = (await http.post("/v1/invitations", body, by="max"))["invitation"]
    texts = [login, waiting, unused, script, *http.tokens.values()]
    raw = [base64.urlsafe_b64decode(text.removeprefix("quorate_") + "=") for text in texts]
    raw.append(read_invitation(invitation).token)
    found = [PASSWORD.encode(), b"a wrong password of eve", invitation.encode()]
    for one in raw:
        found += [one, one.hex().encode(), base64.b64encode(one)[:40]]
        found.append(base64.urlsafe_b64encode(one)[:40])
    return found


def files_of(place: Path) -> bytes:
    return b"".join(path.read_bytes() for path in place.glob("coordinator.db*"))


async def test_a_stolen_database_holds_no_secret(home: Guarded, http: Http, place: Path):
    """Its files, byte by byte, the log and deleted rows with them."""
    await http.headers("amy")
    secrets = await secrets_of(home, http)
    stored = files_of(place)
    assert b"nightly" in stored and b"$argon2id$" in stored
    assert [one for one in secrets if one in stored] == []


async def test_whoever_may_read_everything_reads_no_secret(
    home: Guarded, http: Http, capfd: pytest.CaptureFixture[str]
):
    """Nor does whoever reads what the coordinator prints."""
    for by in ("amy", "ann"):
        await http.headers(by)
    secrets = await secrets_of(home, http)
    number = (await http.post("/v1/requests", filing(http)))["request"]["id"]
    await home.cast.until(number, RequestState.COLLECTING)
    unit = home.cast.targets[0].hex()
    said = b""
    for route in ROUTES:
        if route.method != "GET" or route.answer is None or route.right is None:
            continue
        query = {"consistency": "?old=1&new=2", "inclusion": "?position=0&size=2"}
        path = route.path.format(id=number, unit=unit) + query.get(route.name, "")
        by = "max" if route.right is Right.MANAGE else "ann"
        async with http.session.get(http.url + path, headers=await http.headers(by)) as reply:
            assert reply.status == 200, path
            said += await reply.read()
    items = [
        base64.b64decode(one["entry"]["salted"]) for one in (await http.get("/v1/log"))["items"]
    ]
    said += b"".join(items)
    assert b"dave" in said and b"$argon2id$" not in said
    out, err = capfd.readouterr()
    said += out.encode() + err.encode()
    assert [one for one in secrets if one in said] == []
