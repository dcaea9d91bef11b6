"""Operators, auditors and managers by their commands, with real processes."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from coordinator.client import profile
from coordinator.client.calls import Calls
from coordinator.rehearsal.process import Server, run
from coordinator.wire.commands import SetControlPoint
from coordinator.wire.requests import Asked
from protocol.commands import bodies
from protocol.commands.bodies import Body, SetThresholds
from protocol.identifiers import grouped
from protocol.request import RequestState
from protocol.session.messages import Cancel, Done, Refused
from tests.cast.commands import adds
from tests.cast.people import ALICE, BOB, CAROL
from tests.rim.terminal import Terminal
from tests.scenarios.bare_stack import BareStack, bare_stack
from tests.scenarios.operators import PROGRAM, Operator, TwoHosts

PEOPLE = (ALICE, BOB, CAROL)
PASSWORD = "correct horse battery staple"
BTC = SetControlPoint(point=66, on=True)


# One stack for all of them: each ends what it has begun.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BareStack]:
    directory = tmp_path_factory.mktemp("operators") / "stack"
    made = await bare_stack(directory, PEOPLE, stack=TwoHosts(directory))
    await initialise(made)
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def manager(stack: BareStack) -> Operator:
    """The first manager, by the set-up token from the coordinator's host."""
    directory = stack.stack.directory
    made = await run(["coordinator", "setup-token", str(directory / "coordinator")])
    who = Operator(directory / "max")
    await who.run(
        *("login", url(stack), "--as", "max", "--set-up", "--token-file", "-", "--yes"),
        *("--password-file", who.password_file(PASSWORD)),
        given=made.data["setup_token"],
    )
    return who


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def amy(stack: BareStack, manager: Operator) -> Operator:
    """An operator who is logged in."""
    return await let_in(stack, manager, "amy", "operator")


async def initialise(stack: BareStack) -> None:
    alice = stack["alice"]
    bodies: list[Body] = [*map(adds, PEOPLE), SetThresholds(signatures=2, revocations=2)]
    for body in bodies:
        done = await alice.file(body, stack.units)
        assert isinstance(done, Done), done
        assert done.request is not None
        if isinstance(body, SetThresholds):
            await sign(stack, done.request, "alice", "bob")
        await alice.until(done.request, RequestState.EXECUTED)


async def sign(stack: BareStack, number: int, *people: str) -> None:
    for name in people:
        await stack[name].until(number, RequestState.COLLECTING, RequestState.READY)
        done = await stack[name].approve(number)
        assert isinstance(done, Done), done


def url(stack: BareStack) -> str:
    return f"https://{stack.stack.coordinator.address}"


async def let_in(stack: BareStack, manager: Operator, name: str, role: str) -> Operator:
    made = await manager.run("accounts", "add", name, "--role", role)
    person = Operator(stack.stack.directory / name)
    await person.run(
        "login", url(stack), "--once", "--token-file", "-", "--yes", given=made.data["token"]
    )
    return person


async def file(stack: BareStack, who: Operator, command: SetControlPoint) -> int:
    """Files a command over the API, as a TKE command does for an operator."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in who.environment.items():
            patch.setenv(name, value)
        known, token = profile.load("default"), profile.token("default")
    assert known is not None
    async with Calls(known.url, known.fingerprint, token) as calls:
        units = tuple(unit.hex() for unit in sorted(stack.units))
        filed = await calls.file(Asked(command=command, units=units, purpose="ticket 7"))
    return filed.request.id


async def test_a_manager_lets_people_in_and_out(stack: BareStack, manager: Operator):
    bea = await let_in(stack, manager, "bea", "operator")
    assert (await bea.run("whoami")).data["fresh"] is True
    password = bea.password_file(PASSWORD)
    await bea.run("accounts", "password", "--password-file", password)
    await bea.run("logout")
    out = await bea.run("requests", "list", expect=3)
    assert out.data["rule"] == "NOT_LOGGED_IN"
    again = await bea.run("login", url(stack), "--as", "bea", "--password-file", password)
    assert (again.data["role"], again.data["fresh"]) == ("operator", False)
    wrong = bea.password_file("not the password")
    out = await bea.run("login", url(stack), "--as", "bea", "--password-file", wrong, expect=4)
    assert out.data["exit"] == "wrong password"
    out = await bea.run("accounts", "list", expect=3)
    assert out.data["rule"] == "NOT_YOURS"
    await manager.run("accounts", "role", "bea", "auditor")
    listed = (await manager.run("accounts", "list")).data["accounts"]
    roles = {one["name"]: one["role"] for one in listed}
    assert (roles["bea"], roles["max"]) == ("auditor", "manager")
    await manager.run("accounts", "remove", "bea", "--yes")
    assert (await bea.run("whoami", expect=3)).data["rule"] == "NOT_LOGGED_IN"


async def test_a_manager_invites_an_agent(manager: Operator, tmp_path: Path):
    made = await manager.run("invite", "dave")
    dave = tmp_path / "dave"
    given = made.data["invitation"] + "\n"
    await run(["agent", "init", str(dave), "--invitation-file", "-"], given=given)
    (listed,) = [
        one
        for one in (await manager.run("invite", "--list")).data["invitations"]
        if one["person"] == "dave"
    ]
    await manager.run("invite", "--withdraw", listed["id"])
    said = await manager.says("invite", "--list")
    assert "dave" not in said


async def test_the_first_login_compares_the_key_and_keeps_it(
    stack: BareStack, manager: Operator, tmp_path: Path
):
    made = await manager.run("accounts", "add", "eve", "--role", "auditor")
    eve = Operator(tmp_path / "eve")
    key = stack.charter.coordinator.identity
    arguments = ["login", url(stack), "--once"]
    with Terminal(PROGRAM, arguments, eve.environment) as terminal:
        terminal.expect("The coordinator's key must be the one on your invitation:")
        terminal.expect(grouped(key))
        terminal.expect("? The same? [y/N] ")
        terminal.type("n\n")
        terminal.expect("alarm (12)")
        assert terminal.ends() == 12
    with Terminal(PROGRAM, arguments, eve.environment) as terminal:
        terminal.expect("? The same? [y/N] ")
        terminal.type("y\n")
        terminal.expect("? One-time login: ")
        terminal.type(made.data["token"] + "\n")
        terminal.expect("logged in: eve, auditor of ledger-eu, until ")
        terminal.expect("You can read; you can't file or sign.")
        assert made.data["token"] not in terminal.screen
        assert terminal.ends() == 0
    token = eve.home / "quorate" / "profiles" / "default" / "token"
    assert token.stat().st_mode & 0o777 == 0o600
    kept = token.with_name("profile.toml").read_text()
    # another certificate at that address: nothing is sent there
    token.with_name("profile.toml").write_text(
        re.sub('fingerprint = "[0-9a-f]{64}"', f'fingerprint = "{"00" * 32}"', kept)
    )
    out = await eve.run("whoami", expect=12)
    assert "another certificate" in out.data["message"]
    # another key at that address: not even a login
    token.with_name("profile.toml").write_text(kept.replace(key.hex(), "00" * 32))
    made = await manager.run("accounts", "token", "eve")
    out = await eve.run(
        "login", url(stack), "--once", "--token-file", "-", given=made.data["token"], expect=12
    )
    assert out.data["found"] == grouped(key)
    out = await eve.run(
        *("login", url(stack), "--once", "--token-file", "-", "--profile", "b"),
        *("--fingerprint", "11" * 32),
        given=made.data["token"],
        expect=12,
    )
    assert out.data["found"] == key.hex()


async def test_an_operator_cancels_and_voids(stack: BareStack, amy: Operator):
    number = await file(stack, amy, BTC)
    await sign(stack, number, "alice")
    said = await amy.says("requests", "list")
    assert re.search(
        rf"^{number} +collecting +set control point 66 \(XCP_CPB_BTC\) +3 +bob or carol \(1 of 2\)",
        said,
        re.MULTILINE,
    )
    said = await amy.says("requests", "cancel", str(number), "--reason", "not on the agenda")
    assert f"✓ cancelled: nobody is asked for request {number} any more" in said
    assert "! Not recalled: 1 of 2 signatures (alice)." in said
    assert re.search(
        r"Signed copies can still run until .* if bob's or carol's is added,\s+or until the unit "
        r"runs something else\.",
        said,
    )
    assert f"Next: quorate requests void {number}" in said
    out = await amy.run("requests", "watch", str(number), expect=13)
    assert (out.data["exit"], out.data["state"]) == ("ended", "cancelled")
    assert out.data["live"]["could_add"] == ["bob", "carol"]
    said = await amy.says("requests", "void", str(number))
    void = number + 1
    assert f"✓ filed as request {void}: raises the state version only. 0 of 1" in said
    assert "waiting for alice, bob or carol" in said
    await sign(stack, void, "carol")
    out = await amy.run("requests", "watch", str(void), "--timeout", "30")
    assert (out.data["state"], out.data["receipts_verified"]) == ("executed", 3)
    said = await amy.says("requests", "show", str(void))
    assert f"Request {void} · ledger-eu · void, on 3 units · executed" in said
    assert re.search(r"^  Changes     state version \d+ → \d+, nothing else$", said, re.MULTILINE)
    assert "  Filed by    amy, not verified (this account has no key)" in said
    assert re.search(r"^  Signed by   carol [0-9a-f]{8}…, verified$", said, re.MULTILINE)
    assert (
        f"  Receipts    3 of 3 verified. The signatures for request {number} can't run on these "
        "units any more." in said
    )
    out = await amy.run("requests", "void", str(number), expect=3)
    assert out.data["rule"] == "VOID_ORIGIN"
    out = await amy.run("requests", "refile", str(number))
    assert (out.data["filed"], out.data["request"]) == ("now", void + 1)
    assert out.data["purpose"] == "ticket 7"
    await amy.run("requests", "cancel", str(void + 1))


async def test_an_operator_proceeds_without_a_unit_that_is_lost(stack: BareStack, amy: Operator):
    hosts = stack.stack
    assert isinstance(hosts, TwoHosts)
    number = await file(stack, amy, BTC)
    await sign(stack, number, "alice")
    await hosts.far.kill()
    out = await amy.run("requests", "watch", str(number), "--timeout", "0.5", expect=6)
    assert (out.data["exit"], out.data["waiting_for"]) == ("waiting", ["bob", "carol"])
    done = await stack["bob"].approve(number)
    assert isinstance(done, Done)
    await stack["alice"].when(
        lambda: (
            True
            if stack["alice"].requests[number].state is RequestState.READY
            and any(not one.reachable for one in stack["alice"].requests[number].progress)
            else None
        )
    )
    said = await amy.says("requests", "watch", str(number), "--timeout", "1", expect=6)
    assert "… ready on 2 of 3 units, held" in said
    assert "FAILOVER [eu-gb].[AZ1-CS1].[03].[04] is out of reach" in said
    assert "Nothing has run. It goes on by itself if the unit returns by" in said
    assert f"Next, if you don't want to wait: quorate requests proceed {number}" in said
    said = await amy.says("requests", "proceed", str(number), "--yes", expect=6)
    assert "✓ executed on 2 of 3 units, receipts verified" in said
    assert f"waiting (6): request {number} is partly executed" in said
    said = await amy.says("requests", "list")
    assert re.search(rf"^{number} +partly executed .* 2 of 3 +FAILOVER", said, re.MULTILINE)
    await hosts.far.start()
    out = await amy.run("requests", "watch", str(number), "--timeout", "30")
    assert (out.data["state"], out.data["receipts_verified"]) == ("executed", 3)


async def test_an_auditor_reads_and_does_nothing_else(
    stack: BareStack, amy: Operator, manager: Operator
):
    ann = await let_in(stack, manager, "ann", "auditor")
    number = await file(stack, amy, BTC)
    shown = await ann.run("requests", "show", str(number))
    assert shown.data["command"] == "cryptounit-cp"
    assert shown.data["filed_by"] == "amy"
    for verb in ("cancel", "void", "refile"):
        out = await ann.run("requests", verb, str(number), expect=3)
        assert out.data["rule"] == "NOT_YOURS"
    await amy.run("requests", "cancel", str(number))


async def test_a_custodian_cancels_their_own_request_only(stack: BareStack, amy: Operator):
    number = await file(stack, amy, BTC)
    alice = stack["alice"]
    request = await alice.until(number, RequestState.COLLECTING)
    answer = await alice.publish(Cancel(filing=request.filing.digest, reason="no"))  # type: ignore[arg-type]
    assert isinstance(answer, Refused)
    done = await alice.file(bodies.SetControlPoint(point=67, on=True), stack.units)
    assert isinstance(done, Done)
    assert done.request is not None
    own = await alice.until(done.request, RequestState.WAITING_IN_LINE)
    answer = await alice.publish(Cancel(filing=own.filing.digest, reason="no"))  # type: ignore[arg-type]
    assert isinstance(answer, Done)
    out = await amy.run("requests", "watch", str(done.request), expect=13)
    assert out.data["why"] == "cancelled by alice: no"
    await amy.run("requests", "cancel", str(number))


async def test_a_coordinator_is_made_with_its_first_manager(tmp_path: Path):
    directory, who = tmp_path / "coordinator", Operator(tmp_path / "max")
    password = who.password_file(PASSWORD)
    arguments = ["coordinator", "init", str(directory), "--instance", "ledger-eu", "--practice"]
    made = await run([*arguments, "--manager", "max", "--password-file", password])
    assert (made.data["manager"], made.data["setup_token"]) == ("max", None)
    server = Server(
        "coordinator",
        ["coordinator", "serve", str(directory), "--port", "0"],
        tmp_path / "coordinator.log",
        {},
    )
    address = await server.start()
    try:
        begun = await who.run(
            *("login", f"https://{address}", "--as", "max", "--password-file", password),
            *("--fingerprint", made.data["identity"]),
        )
    finally:
        await server.stop()
    assert (begun.data["account"], begun.data["role"]) == ("max", "manager")


async def test_a_restart_ends_nobodys_session(stack: BareStack, amy: Operator):
    # The last one: bare agents don't come back by themselves.
    await stack.stack.coordinator.kill()
    out = await amy.run("requests", "list", expect=7)
    assert "(3 tries in 3 s)" in out.data["message"]
    await stack.stack.coordinator.start()
    assert (await amy.run("whoami")).data["account"] == "amy"
