"""What the calls of the API answer, over the real engine and units in memory."""

import base64
import hashlib
from typing import Any

from coordinator.accounts.roles import Role
from protocol.charter import Charter
from protocol.history import verify_history
from protocol.identifiers import Bytes32, Digest, Nonce
from protocol.record.checkpoints import log_origin, open_checkpoint
from protocol.record.entries import SaltedEntry, entry_leaf
from protocol.record.proofs import verify_consistency, verify_inclusion
from protocol.record.tree import Hash
from protocol.request import Request, RequestState
from protocol.schema import from_bytes
from protocol.session.introduction import open_introduction
from protocol.session.invitation import read_invitation
from protocol.signing.statements import Signed
from tests.cast.coordinators import CERTIFICATE, PASSWORD, CastCoordinator
from tests.cast.http import Http
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, CAROL, INSTANCE

BTC = {"kind": "set-control-point", "point": 66, "on": True}


def asked(cast: CastCoordinator, command: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"command": command, "units": [unit.hex() for unit in cast.targets], **more}


def document(text: str) -> bytes:
    return base64.b64decode(text)


# who one is


async def test_the_coordinator_introduces_its_certificate(http: Http):
    nonce = Nonce(bytes(range(32)))
    found = await http.get(f"/v1/introduction?nonce={nonce.hex()}", by=None)
    signed = Signed(
        statement=document(found["statement"]),
        signature=document(found["signature"]),  # type: ignore[arg-type]
    )
    opened = open_introduction(signed, certificate=CERTIFICATE, nonce=nonce)
    assert opened.coordinator == http.cast.ledger.keys.identity
    assert (opened.instance, opened.practice) == (INSTANCE, True)


async def test_a_login_and_its_end(http: Http):
    await http.call("GET", "/v1/whoami", by="max")
    made = await http.post("/v1/accounts", {"name": "eve", "role": "auditor"}, by="max")
    begun = await http.post("/v1/login/once", {"token": made["login"]["token"]}, by=None)
    http.tokens["eve"] = begun["token"]
    who = await http.get("/v1/whoami", by="eve")
    assert who == begun["session"]
    assert (who["account"], who["role"], who["fresh"]) == ("eve", "auditor", True)
    assert who["expires"] == "2026-11-25T20:00:00Z"
    await http.post("/v1/password", {"new": PASSWORD}, by="eve")
    await http.post("/v1/logout", by="eve")
    assert (await http.call("GET", "/v1/whoami", by="eve")).status == 401
    body = {"account": "eve", "password": PASSWORD}
    assert (await http.post("/v1/login", body, by=None))["session"]["fresh"] is False


async def test_a_wrong_password_and_an_unknown_account_read_alike(http: Http):
    await http.cast.account("eve", Role.AUDITOR, password=PASSWORD)
    replies = [
        await http.call("POST", "/v1/login", {"account": name, "password": "wrong"})
        for name in ("eve", "nobody")
    ]
    assert [reply.status for reply in replies] == [401, 401]
    assert replies[0].data == replies[1].data
    assert (replies[0].data["exit"], replies[0].data["code"]) == ("wrong password", 4)


async def test_passwords_are_compared_in_normal_form(http: Http):
    await http.cast.account("eve", Role.AUDITOR, password="pässword-of-eve")
    body = {"account": "eve", "password": "pa\u0308ssword-of-eve"}
    assert (await http.call("POST", "/v1/login", body)).status == 200


# the instance


async def test_the_instance_shows_its_units_as_they_are(http: Http):
    found = await http.get("/v1/instance")
    assert (found["instance"], found["practice"], found["charter"]) == ("ledger-eu", True, 1)
    assert [unit["type"] for unit in found["units"]] == ["operational", "operational"]
    unit = found["units"][0]
    assert (unit["reachable"], unit["in_charter"], unit["line"]) == (True, True, [])
    state = unit["state"]
    assert (state["signature_threshold"], state["revocation_threshold"]) == (2, 2)
    assert {one["person"] for one in state["administrators"]} == {"alice", "bob", "carol"}
    assert state["current"] == {"state": "Empty", "vp": None}
    assert {key["person"] for key in found["keys"]} == {"alice", "bob", "carol"}


async def test_the_charter_comes_with_its_bytes(http: Http):
    found = await http.get("/v1/charter")
    (version,) = found["versions"]
    assert from_bytes(Charter, document(version["document"])) == http.cast.charter
    assert version["digest"] == http.cast.charter.digest.hex()


async def test_a_units_history_verifies(http: Http):
    unit = http.cast.unit(0)
    found = await http.get(f"/v1/units/{unit.id.hex()}/history")
    entries = [from_bytes(Signed, document(one)) for one in found["entries"]]
    history = verify_history(entries, unit.certificate.identity)
    assert history.last_receipt == unit.last_receipt
    rest = await http.get(f"/v1/units/{unit.id.hex()}/history?after={len(entries) - 1}")
    assert rest["entries"] == found["entries"][-1:]


# requests


async def test_a_command_is_filed_signed_and_run(http: Http):
    cast = http.cast
    filed = await http.post("/v1/requests", asked(cast, BTC, purpose="ticket 7"))
    assert filed["filed"] == "now"
    number = filed["request"]["id"]
    await cast.until(number, RequestState.COLLECTING)
    view = await http.get(f"/v1/requests/{number}", by="ann")
    assert view["command"] == BTC
    assert view["title"] == "set control point 66 (XCP_CPB_BTC)"
    assert view["filed_by"] == {"name": "amy", "account": True}
    assert (view["have"], view["needed"]) == (0, 2)
    assert view["waiting_for"] == ["alice", "bob", "carol"]
    assert view["expires"] == "2026-11-26T12:00:00Z"
    await cast.sign(number, ALICE)
    view = await http.get(f"/v1/requests/{number}")
    assert (view["have"], view["waiting_for"]) == (1, ["bob", "carol"])
    assert [one["person"] for one in view["signed_by"]] == ["alice"]
    await cast.sign(number, BOB)
    await cast.until(number, RequestState.EXECUTED)
    view = await http.get(f"/v1/requests/{number}")
    assert (view["state"], view["ended"], view["live"]) == ("executed", True, None)
    assert set(view["approvals"]) == {ALICE.key.ski.hex(), BOB.key.ski.hex()}
    assert [one["outcome"] for one in view["progress"]] == ["executed"] * 2


async def test_people_and_keys_are_named_as_the_charter_names_them(http: Http):
    cast = http.cast
    parts = [{"vp": "11" * 32, "custodian": "alice"}, {"vp": "22" * 32, "custodian": "bob"}]
    command = {"kind": "load-new-register", "parts": parts}
    filed = await http.post("/v1/requests", asked(cast, command))
    assert filed["request"]["command"] == command
    stored = await cast.request(filed["request"]["id"])
    body: Any = stored.filing.body
    assert [part.custodian for part in body.parts] == [ALICE.agent, BOB.agent]
    stranger = {"kind": "load-new-register", "parts": [{"vp": "11" * 32, "custodian": "mallory"}]}
    reply = await http.call("POST", "/v1/requests", asked(cast, stranger), by="amy")
    assert (reply.status, reply.data["rule"]) == (409, "NOT_IN_CHARTER")
    removal = {"kind": "remove-administrator", "ski": CAROL.key.ski.hex()}
    filed = await http.post("/v1/requests", asked(cast, removal))
    assert filed["request"]["title"] == "remove administrator carol"


async def test_a_refusal_says_what_was_compared(http: Http):
    command = {"kind": "set-thresholds", "signatures": 9, "revocations": 2}
    reply = await http.call("POST", "/v1/requests", asked(http.cast, command), by="amy")
    assert reply.status == 409
    assert reply.data == {
        "exit": "refused",
        "code": 3,
        "message": "the signature threshold must be 1 to 8",
        "expected": "1 to 8",
        "found": "9",
        "rule": "SIGNATURE_THRESHOLD_RANGE",
        "next": "choose a number within the range",
    }


async def test_a_key_user_is_installed_and_removed_by_commands(http: Http):
    cast = http.cast
    key = signature_key("payroll").identity.hex()
    user = {"name": "payroll", "public_key": key, "rights": ["unwrap", "wrap"]}
    for command, title, then in (
        ({"kind": "add-key-user", **user}, 'add key user "payroll"', [user]),
        ({"kind": "remove-key-user", "public_key": key}, f"remove key user {key[:8]}…", []),
    ):
        number = (await http.post("/v1/requests", asked(cast, command)))["request"]["id"]
        await cast.until(number, RequestState.COLLECTING)
        view = await http.get(f"/v1/requests/{number}")
        assert (view["command"], view["title"]) == (command, title)
        await cast.sign(number, ALICE)
        await cast.sign(number, BOB)
        await cast.until(number, RequestState.EXECUTED)
        units = (await http.get("/v1/instance"))["units"]
        assert [one["state"]["key_users"] for one in units if one["state"]] == [then] * len(units)


async def test_the_same_key_files_once(http: Http):
    body = asked(http.cast, BTC, idempotency_key="k")
    first, second = [await http.post("/v1/requests", body) for _ in range(2)]
    assert (first["filed"], second["filed"]) == ("now", "before")
    assert first["request"]["id"] == second["request"]["id"]


async def test_keys_of_two_accounts_are_two_keys(http: Http):
    http.roles["eve"] = Role.OPERATOR
    first = await http.post("/v1/requests", asked(http.cast, BTC, idempotency_key="k"))
    command = {**BTC, "point": 67}
    body = asked(http.cast, command, idempotency_key="k")
    second = await http.post("/v1/requests", body, by="eve")
    assert second["filed"] == "now"
    assert second["request"]["id"] != first["request"]["id"]


async def test_cancelling_shows_what_can_still_run_and_a_void_ends_it(http: Http):
    cast = http.cast
    filed = await http.post("/v1/requests", asked(cast, BTC))
    number = filed["request"]["id"]
    await cast.until(number, RequestState.COLLECTING)
    await cast.sign(number, ALICE)
    view = await http.post(f"/v1/requests/{number}/cancel", {"reason": "not on the agenda"})
    assert view["state"] == "cancelled"
    assert view["live"] == {
        "units": [unit.hex() for unit in cast.targets],
        "signed_by": ["alice"],
        "have": 1,
        "needed": 2,
        "could_add": ["bob", "carol"],
        "until": "2026-11-26T12:00:00Z",
    }
    void = (await http.post(f"/v1/requests/{number}/void"))["request"]
    assert (void["command"], void["voids"]) == ({"kind": "void"}, number)
    assert (await http.get(f"/v1/requests/{number}"))["void"] == void["id"]
    await cast.until(void["id"], RequestState.COLLECTING)
    await cast.sign(void["id"], CAROL)
    await cast.until(void["id"], RequestState.EXECUTED)
    assert (await http.get(f"/v1/requests/{number}"))["live"] is None
    again = (await http.post(f"/v1/requests/{number}/refile"))["request"]
    assert again["command"] == BTC


async def test_proceeding_leaves_the_unit_that_is_lost(http: Http):
    cast = http.cast
    filed = await http.post("/v1/requests", asked(cast, BTC))
    number = filed["request"]["id"]
    await cast.until(number, RequestState.COLLECTING)
    lost = cast.targets[0]
    cast.lose(lost)
    await cast.sign(number, ALICE, BOB)
    await cast.when(number, lambda it: not all(one.reachable for one in it.progress))
    assert (await http.get(f"/v1/requests/{number}"))["held_by"] == [lost.hex()]
    await http.post(f"/v1/requests/{number}/proceed")
    await cast.until(number, RequestState.PARTLY_EXECUTED)
    view = await http.get(f"/v1/requests/{number}")
    assert [one["outcome"] for one in view["progress"]] == ["open", "executed"]


async def test_requests_come_by_pages_and_by_what_is_asked_for(http: Http):
    cast = http.cast
    for point in (66, 67, 55):
        await http.post("/v1/requests", asked(cast, {**BTC, "point": point}))
    await http.post("/v1/requests/2/cancel", {})
    page = await http.get("/v1/requests?limit=2")
    assert [one["id"] for one in page["requests"]] == [3, 2]
    rest = await http.get(f"/v1/requests?limit=2&before={page['next']}")
    assert ([one["id"] for one in rest["requests"]], rest["next"]) == ([1], None)
    open_ones = await http.get("/v1/requests?ended=false")
    assert [one["id"] for one in open_ones["requests"]] == [3, 1]
    cancelled = await http.get("/v1/requests?state=cancelled")
    assert [one["id"] for one in cancelled["requests"]] == [2]
    none = await http.get(f"/v1/requests?unit={'00' * 32}")
    assert none["requests"] == []
    assert (await http.get("/v1/requests/3"))["behind"] == [1]


async def test_the_evidence_is_what_agents_get(http: Http):
    await http.post("/v1/requests", asked(http.cast, BTC))
    await http.cast.until(1, RequestState.COLLECTING)
    found = await http.get("/v1/requests/1/evidence")
    assert from_bytes(Request, document(found["request"])) == await http.cast.request(1)
    opening = (await http.cast.request(1)).opening
    assert opening is not None
    assert hashlib.sha256(document(found["checkpoint"])).digest() == opening.checkpoint


async def test_what_isnt_there_isnt_found(http: Http):
    for method, path in (
        ("GET", "/v1/requests/7"),
        ("POST", "/v1/requests/7/void"),
        ("DELETE", "/v1/requests/7"),
        ("GET", "/v1/nothing"),
        ("GET", "/nothing"),
        ("GET", "/v1/units/zz/history"),
    ):
        reply = await http.call(method, path, by="amy")
        assert reply.status in (404, 405), (method, path)
        assert set(reply.data) == {
            "exit", "code", "message", "expected", "found", "rule", "next"
        }  # fmt: skip


# the log


async def test_the_log_proves_itself(http: Http):
    cast = http.cast
    old = await http.get("/v1/log/checkpoint")
    await http.post("/v1/requests", asked(cast, BTC))
    await cast.until(1, RequestState.COLLECTING)
    new = await http.get("/v1/log/checkpoint")
    key = cast.ledger.keys.log
    opened = open_checkpoint(new["note"].encode(), name=log_origin(key), public_key=key)
    assert (opened.size, opened.root.hex()) == (new["size"], new["root"])
    path = await http.get(f"/v1/log/consistency?old={old['size']}&new={new['size']}")
    verify_consistency(
        old_size=old["size"],
        old_root=_hash(old["root"]),
        new_size=new["size"],
        new_root=_hash(new["root"]),
        path=tuple(_hash(one) for one in path["path"]),
    )
    page = await http.get("/v1/log?start=0")
    assert page["next"] is None
    assert len(page["items"]) == new["size"]
    for item in page["items"]:
        salted = from_bytes(SaltedEntry, document(item["entry"]["salted"]))
        assert entry_leaf(salted).hex() == item["leaf"]
        proof = await http.get(f"/v1/log/inclusion?position={item['position']}&size={new['size']}")
        verify_inclusion(
            leaf=_hash(item["leaf"]),
            index=item["position"],
            size=new["size"],
            root=_hash(new["root"]),
            path=tuple(_hash(one) for one in proof["path"]),
        )


async def test_the_log_comes_by_pages(http: Http):
    first = await http.get("/v1/log?limit=1")
    assert (len(first["items"]), first["next"]) == (1, 1)
    reply = await http.call("GET", "/v1/log/inclusion?position=99&size=100", by="ann")
    assert (reply.status, reply.data["rule"]) == (404, "LOG_SHORTER")


# invitations


async def test_a_manager_invites_a_custodian(http: Http):
    body = {"person": "dave", "url": "https://quorate.example:7443", "days": 2}
    made = await http.post("/v1/invitations", body, by="max")
    invitation = read_invitation(made["invitation"])
    assert (invitation.person, invitation.url) == ("dave", body["url"])
    assert invitation.coordinator == http.cast.ledger.keys.identity
    assert invitation.log == http.cast.ledger.keys.log
    (listed,) = (await http.get("/v1/invitations", by="max"))["invitations"]
    assert listed == made["made"]
    assert invitation.token.hex() not in str(listed)
    await http.call("DELETE", f"/v1/invitations/{listed['id']}", by="max")
    assert (await http.get("/v1/invitations", by="max"))["invitations"] == []
    reply = await http.call("DELETE", f"/v1/invitations/{listed['id']}", by="max")
    assert (reply.status, reply.data["rule"]) == (404, "NO_SUCH_INVITATION")


def _hash(text: str) -> Hash:
    value: Bytes32 = Digest(bytes.fromhex(text))
    return Hash(value)
