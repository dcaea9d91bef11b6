"""Accounts: passwords, tokens, throttling, roles; the real store, Argon2id at its least cost."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from coordinator.accounts import changes, logins, throttle, tokens
from coordinator.accounts.logins import LoggedIn, Principal, Throttled, authenticate
from coordinator.accounts.passwords import LONGEST, SHORTEST, Hasher, password_length
from coordinator.accounts.roles import RIGHTS, Right, Role
from coordinator.accounts.throttle import FOR_ACCOUNT, FOR_ADDRESS, Failures, allowed_from
from coordinator.accounts.token_kinds import TokenKind
from coordinator.store import accounts as store
from coordinator.store.tables import login_failures
from coordinator.store.tables import tokens as tokens_table
from protocol.displayable import AccountName
from protocol.identifiers import HOUR, MINUTE, SECOND, Duration, Instant
from protocol.record.operations import AccountChange
from protocol.refusals import Refusal, Rule
from protocol.secrets import Secret
from quorate.unavailable import Unavailable
from tests.cast.commands import NOON
from tests.cast.coordinators import CHEAP, PASSWORD, CastCoordinator, coordinator

AMY, MAX = AccountName("amy"), AccountName("max")
HERE = "192.0.2.1"


@pytest.fixture
async def cast(tmp_path: Path) -> AsyncIterator[CastCoordinator]:
    async with coordinator(tmp_path, units=1, imprint=True) as made:
        yield made


def secret(text: str = PASSWORD) -> Secret:
    return Secret(text.encode())


async def log_in(
    cast: CastCoordinator, name: str = "amy", password: str = PASSWORD, address: str = HERE
) -> LoggedIn | Refusal | Throttled:
    return await logins.log_in(
        cast.ledger, cast.api.hasher, AccountName(name), secret(password), address
    )


async def principal(cast: CastCoordinator, name: str, role: Role) -> Principal:
    token = tokens.read(await cast.token(name, role))
    found = await cast.ledger.database.read(
        lambda connection: authenticate(connection, token, cast.clock.now)
    )
    assert found is not None
    return found


def rule(answer: object) -> Rule:
    assert isinstance(answer, Refusal), answer
    return answer.rule


# passwords


def test_a_hash_is_argon2id_and_holds_nothing_of_the_password():
    hasher = Hasher(**CHEAP)
    hashed = hasher.hash(secret())
    assert hashed.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert hashed != hasher.hash(secret())
    hasher.close()


@pytest.mark.parametrize(("practice", "cost"), [(False, "m=262144,t=3"), (True, "m=65536,t=2")])
def test_real_instances_pay_libsodiums_moderate_cost(practice: bool, cost: str):
    hasher = Hasher.for_instance(practice=practice)
    assert hasher.hash(secret()).startswith(f"$argon2id$v=19${cost},p=1$")
    hasher.close()


async def test_only_the_right_password_matches_and_no_password_never_does():
    hasher = Hasher(**CHEAP)
    hashed = await hasher.hashed(secret())
    assert await hasher.matches(hashed, secret())
    assert not await hasher.matches(hashed, secret("another password"))
    assert not await hasher.matches(None, secret())
    assert not await hasher.matches(None, secret(""))
    hasher.close()


async def test_an_unknown_account_costs_the_same_hash(monkeypatch: pytest.MonkeyPatch):
    from nacl.pwhash import argon2id

    hashed_with: list[bytes] = []
    verify = argon2id.verify

    def counted(stored: bytes, password: bytes) -> bool:
        hashed_with.append(stored.rpartition(b"$")[0].rpartition(b"$")[0])
        return bool(verify(stored, password))

    monkeypatch.setattr(argon2id, "verify", counted)
    hasher = Hasher(**CHEAP)
    await hasher.matches(await hasher.hashed(secret()), secret())
    await hasher.matches(None, secret())
    assert hashed_with == [b"$argon2id$v=19$m=8,t=1,p=1"] * 2
    hasher.close()


async def test_those_who_wait_for_a_hash_are_bounded():
    hasher = Hasher(**CHEAP)
    results = await asyncio.gather(
        *(hasher.matches(None, secret()) for _ in range(40)), return_exceptions=True
    )
    assert sum(result is False for result in results) == 16
    assert sum(isinstance(result, Unavailable) for result in results) == 24
    hasher.close()


@pytest.mark.parametrize("length", [SHORTEST, LONGEST])
def test_a_password_may_be_so_long(length: int):
    assert password_length(secret("x" * length)) is None


@pytest.mark.parametrize("length", [0, SHORTEST - 1, LONGEST + 1])
def test_a_password_may_not_be_so_long(length: int):
    assert rule(password_length(secret("x" * length))) is Rule.PASSWORD_LENGTH


# tokens


def test_a_token_reads_back_and_is_stored_by_its_hash():
    value, token = tokens.make(
        lambda size: bytes(range(size)),
        TokenKind.SESSION,
        AMY,
        at=NOON,
        valid_for=tokens.SESSION,
    )
    text = tokens.write(value)
    assert text.startswith("quorate_")
    again = tokens.read(text)
    assert again is not None
    assert again.reveal() == bytes(range(32))
    assert token.id == hashlib.sha256(bytes(range(32))).hexdigest()[:16]
    assert token.expires == NOON + 8 * HOUR


@pytest.mark.parametrize(
    "text", ["", "quorate_", "quorate_" + "A" * 42, "A" * 43, "quorate_" + "!" * 43, "quorate_é"]
)
def test_other_text_is_no_token(text: str):
    assert tokens.read(text) is None


async def test_what_is_stored_lets_nobody_in(cast: CastCoordinator):
    await cast.token("amy", Role.OPERATOR)
    rows = await cast.ledger.database.read(
        lambda connection: connection.execute(select(tokens_table.c.hash))
    )
    for hashed in rows.scalars():
        given = Secret(hashed)
        found = await cast.ledger.database.read(partial(authenticate, secret=given, at=NOON))
        assert found is None


# throttling


@pytest.mark.parametrize(
    ("count", "wait"),
    [(0, 0), (4, 0), (5, 1), (6, 2), (7, 4), (10, 32), (14, 512), (15, 900), (500, 900)],
)
def test_the_wait_doubles_up_to_a_quarter_of_an_hour(count: int, wait: int):
    failures = Failures(count=count, last=NOON)
    expected = NOON + wait * SECOND if wait else 0
    assert allowed_from(failures, FOR_ACCOUNT) == expected


def test_failures_are_forgotten_after_a_day():
    old = Failures(count=9, last=NOON)
    day = 24 * HOUR
    assert throttle.with_one_more(old, FOR_ACCOUNT, Instant(NOON + day)).count == 10
    assert throttle.with_one_more(old, FOR_ACCOUNT, Instant(NOON + day + 1)).count == 1


def test_addresses_of_one_ipv6_network_are_one():
    same = throttle.address_key("2001:db8::1")
    assert throttle.address_key("2001:db8::ffff:1") == same
    assert throttle.address_key("2001:db8:0:1::1") != same
    assert throttle.address_key("192.0.2.1") != throttle.address_key("192.0.2.2")
    assert throttle.address_key("::ffff:192.0.2.1") == throttle.address_key("192.0.2.1")


async def test_an_account_is_throttled_after_five_failures(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    for number in range(FOR_ACCOUNT.free):
        assert rule(await log_in(cast, password="wrong")) is Rule.LOGIN_REFUSED, number
    throttled = await log_in(cast)
    assert isinstance(throttled, Throttled)
    assert throttled.seconds(cast.clock.now) == 1
    assert rule(throttled.refusal(cast.clock.now)) is Rule.TOO_MANY_ATTEMPTS
    cast.clock.pass_time(SECOND)
    assert isinstance(await log_in(cast), LoggedIn)
    assert rule(await log_in(cast, password="wrong")) is Rule.LOGIN_REFUSED
    changes = [event.change for event in await cast.account_events()]
    assert changes == [AccountChange.LOCKED, AccountChange.LOGGED_IN]


async def test_an_unknown_account_is_answered_and_throttled_as_a_known_one(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    answers: dict[str, list[Any]] = {}
    for name in ("amy", "nobody"):
        address = f"192.0.2.{len(name)}"
        answers[name] = [await log_in(cast, name, "wrong", address) for _ in range(7)]
    assert answers["amy"] == answers["nobody"]


async def test_many_attempts_at_once_are_as_many_attempts(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    found = await asyncio.gather(*(log_in(cast, password="wrong") for _ in range(12)))
    tried = [one for one in found if isinstance(one, Refusal)]
    assert len(tried) == FOR_ACCOUNT.free


async def test_an_address_is_throttled_over_all_accounts(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    for number in range(FOR_ADDRESS.free):
        assert rule(await log_in(cast, f"nobody{number}", "wrong")) is Rule.LOGIN_REFUSED
    assert isinstance(await log_in(cast), Throttled)
    assert isinstance(await log_in(cast, address="192.0.2.2"), LoggedIn)


async def test_who_logs_in_rightly_is_never_throttled(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    for _ in range(FOR_ADDRESS.free + 2):
        assert isinstance(await log_in(cast), LoggedIn)


async def test_what_is_remembered_of_failures_is_bounded(
    cast: CastCoordinator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "MAX_FAILURE_KEYS", 6)
    for number in range(10):
        await log_in(cast, f"nobody{number}", "wrong", f"192.0.2.{number}")
        cast.clock.pass_time(1)
    count = await cast.ledger.database.read(
        lambda connection: connection.execute(select(func.count()).select_from(login_failures))
    )
    assert count.scalar() == 6
    latest = await cast.ledger.database.read(
        lambda connection: store.failures(connection, throttle.account_key("nobody9"))
    )
    assert latest is not None


async def test_failures_outlive_a_restart(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    for _ in range(FOR_ACCOUNT.free):
        await log_in(cast, password="wrong")
    again = Hasher(**CHEAP)
    assert isinstance(
        await logins.log_in(cast.ledger, again, AMY, secret(), "192.0.2.7"), Throttled
    )
    again.close()


# sessions


async def test_a_session_lasts_eight_hours(cast: CastCoordinator):
    token = tokens.read(await cast.token("amy", Role.AUDITOR))

    async def who() -> Principal | None:
        return await cast.ledger.database.read(
            lambda connection: authenticate(connection, token, cast.clock.now)
        )

    cast.clock.pass_time(8 * HOUR - 1)
    found = await who()
    assert found is not None
    assert (found.account, found.role) == ("amy", Role.AUDITOR)
    cast.clock.pass_time(1)
    assert await who() is None


async def test_logging_out_ends_the_session(cast: CastCoordinator):
    amy = await principal(cast, "amy", Role.OPERATOR)
    await cast.ledger.change(lambda change: logins.log_out(change, amy))
    left = await cast.ledger.change(lambda change: changes.tokens_of(change, amy, None))
    assert left == []


async def test_the_oldest_session_makes_room(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    ids = []
    for _ in range(tokens.MAX_TOKENS + 2):
        begun = await log_in(cast)
        assert isinstance(begun, LoggedIn)
        ids.append(begun.principal.token.id)
        cast.clock.pass_time(1)
    found = await cast.ledger.database.read(
        lambda connection: store.tokens_of(connection, AMY, cast.clock.now)
    )
    assert [token.id for token in found] == ids[2:]


async def test_a_one_time_login_is_good_once(cast: CastCoordinator):
    manager = await principal(cast, "max", Role.MANAGER)
    made = await cast.ledger.change(
        lambda change: changes.add(change, manager, AMY, Role.OPERATOR, cast.ledger.entropy)
    )
    assert not isinstance(made, Refusal)
    _, (token, _) = made
    begun = await logins.log_in_once(cast.ledger, token, HERE)
    assert isinstance(begun, LoggedIn)
    assert begun.principal.token.fresh
    assert rule(await logins.log_in_once(cast.ledger, token, HERE)) is Rule.LOGIN_REFUSED
    as_session = await cast.ledger.database.read(
        lambda connection: authenticate(connection, token, cast.clock.now)
    )
    assert as_session is None


async def test_a_one_time_login_that_was_not_used_is_no_session(cast: CastCoordinator):
    manager = await principal(cast, "max", Role.MANAGER)
    issued = await cast.ledger.change(
        lambda change: changes.one_time_login(change, manager, MAX, cast.ledger.entropy)
    )
    assert not isinstance(issued, Refusal)
    found = await cast.ledger.database.read(
        lambda connection: authenticate(connection, issued[0], cast.clock.now)
    )
    assert found is None


async def test_a_new_one_time_login_takes_the_place_of_the_old(cast: CastCoordinator):
    manager = await principal(cast, "max", Role.MANAGER)
    await cast.account("amy", Role.OPERATOR)
    issued = []
    for _ in range(2):
        one = await cast.ledger.change(
            lambda change: changes.one_time_login(change, manager, AMY, cast.ledger.entropy)
        )
        assert not isinstance(one, Refusal)
        issued.append(one[0])
    assert rule(await logins.log_in_once(cast.ledger, issued[0], HERE)) is Rule.LOGIN_REFUSED
    assert isinstance(await logins.log_in_once(cast.ledger, issued[1], HERE), LoggedIn)


async def test_a_one_time_login_expires(cast: CastCoordinator):
    manager = await principal(cast, "max", Role.MANAGER)
    issued = await cast.ledger.change(
        lambda change: changes.one_time_login(change, manager, MAX, cast.ledger.entropy)
    )
    assert not isinstance(issued, Refusal)
    cast.clock.pass_time(24 * HOUR)
    assert rule(await logins.log_in_once(cast.ledger, issued[0], HERE)) is Rule.LOGIN_REFUSED


# the first manager


async def set_up_token(cast: CastCoordinator) -> Secret:
    value, token = tokens.make(
        cast.ledger.entropy, TokenKind.SET_UP, None, at=cast.clock.now, valid_for=tokens.SET_UP
    )
    await cast.ledger.change(
        lambda change: store.add_token(change.connection, store.token_hash(value.reveal()), token)
    )
    return value


async def test_the_set_up_token_makes_one_manager(cast: CastCoordinator):
    token = await set_up_token(cast)

    async def set_up(name: str, given: Secret | None, password: str = PASSWORD) -> object:
        return await logins.set_up(
            cast.ledger, cast.api.hasher, given, AccountName(name), secret(password), HERE
        )

    assert rule(await set_up("max", None)) is Rule.LOGIN_REFUSED
    assert rule(await set_up("max", token, "short")) is Rule.PASSWORD_LENGTH
    begun = await set_up("max", token)
    assert isinstance(begun, LoggedIn)
    assert begun.principal.role is Role.MANAGER
    assert rule(await set_up("moritz", token)) is Rule.LOGIN_REFUSED
    (made, _) = await cast.account_events()
    assert (made.change, made.account, made.by) == (AccountChange.MADE, "max", None)


async def test_a_set_up_token_doesnt_take_an_account_over(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    token = await set_up_token(cast)
    answer = await logins.set_up(cast.ledger, cast.api.hasher, token, AMY, secret(), HERE)
    assert rule(answer) is Rule.ACCOUNT_EXISTS
    begun = await logins.set_up(cast.ledger, cast.api.hasher, token, MAX, secret(), HERE)
    assert isinstance(begun, LoggedIn)


async def test_no_other_token_sets_up(cast: CastCoordinator):
    session = tokens.read(await cast.token("max", Role.MANAGER))
    answer = await logins.set_up(cast.ledger, cast.api.hasher, session, AMY, secret(), HERE)
    assert rule(answer) is Rule.LOGIN_REFUSED


# accounts


async def test_whatever_happens_to_an_account_is_logged(cast: CastCoordinator):
    manager = await principal(cast, "max", Role.MANAGER)
    before = len(await cast.account_events())
    entropy = cast.ledger.entropy
    made = await cast.ledger.change(
        lambda change: changes.add(change, manager, AMY, Role.OPERATOR, entropy)
    )
    assert not isinstance(made, Refusal)
    begun = await logins.log_in_once(cast.ledger, made[1][0], HERE)
    assert isinstance(begun, LoggedIn)
    amy = begun.principal
    await changes.choose_password(cast.ledger, cast.api.hasher, amy, None, secret())
    lasting = await cast.ledger.change(
        lambda change: changes.lasting_token(change, amy, "nightly", Duration(HOUR), entropy)
    )
    assert not isinstance(lasting, Refusal)
    await cast.ledger.change(lambda change: changes.revoke(change, amy, lasting[1].id))
    await cast.ledger.change(lambda change: changes.set_role(change, manager, AMY, Role.AUDITOR))
    await cast.ledger.change(lambda change: logins.log_out(change, amy))
    await cast.ledger.change(lambda change: changes.remove(change, manager, AMY))
    told = [
        (event.change, event.by, event.role) for event in (await cast.account_events())[before:]
    ]
    assert told == [
        (AccountChange.MADE, "max", "operator"),
        (AccountChange.TOKEN_MADE, "max", "operator"),
        (AccountChange.LOGGED_IN, "amy", "operator"),
        (AccountChange.PASSWORD, "amy", "operator"),
        (AccountChange.TOKEN_MADE, "amy", "operator"),
        (AccountChange.TOKEN_REVOKED, "amy", "operator"),
        (AccountChange.ROLE, "max", "auditor"),
        (AccountChange.LOGGED_OUT, "amy", "operator"),
        (AccountChange.REMOVED, "max", "auditor"),
    ]


async def test_an_account_is_made_once(cast: CastCoordinator):
    manager = await principal(cast, "max", Role.MANAGER)
    answers = [
        await cast.ledger.change(
            lambda change: changes.add(change, manager, AMY, Role.OPERATOR, cast.ledger.entropy)
        )
        for _ in range(2)
    ]
    assert rule(answers[1]) is Rule.ACCOUNT_EXISTS


async def test_somebody_stays_who_can_manage_accounts(cast: CastCoordinator):
    manager = await principal(cast, "max", Role.MANAGER)

    async def remove() -> object:
        return await cast.ledger.change(lambda change: changes.remove(change, manager, MAX))

    async def demote(name: str = "max") -> object:
        return await cast.ledger.change(
            lambda change: changes.set_role(change, manager, AccountName(name), Role.AUDITOR)
        )

    assert rule(await remove()) is Rule.LAST_MANAGER
    assert rule(await demote()) is Rule.LAST_MANAGER
    await cast.account("moritz", Role.MANAGER)
    assert not isinstance(await demote("moritz"), Refusal)
    assert rule(await remove()) is Rule.LAST_MANAGER


async def test_a_removed_accounts_sessions_end(cast: CastCoordinator):
    manager = await principal(cast, "max", Role.MANAGER)
    token = tokens.read(await cast.token("amy", Role.OPERATOR))
    await cast.ledger.change(lambda change: changes.remove(change, manager, AMY))
    found = await cast.ledger.database.read(
        lambda connection: authenticate(connection, token, cast.clock.now)
    )
    assert found is None


async def test_a_new_role_counts_at_once(cast: CastCoordinator):
    manager = await principal(cast, "max", Role.MANAGER)
    token = tokens.read(await cast.token("amy", Role.OPERATOR))
    await cast.ledger.change(lambda change: changes.set_role(change, manager, AMY, Role.AUDITOR))
    found = await cast.ledger.database.read(
        lambda connection: authenticate(connection, token, cast.clock.now)
    )
    assert found is not None
    assert found.role is Role.AUDITOR


async def test_a_password_is_changed_by_who_knows_the_old_one(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    begun, other = await log_in(cast), await log_in(cast)
    assert isinstance(begun, LoggedIn)
    assert isinstance(other, LoggedIn)
    amy = begun.principal

    async def choose(old: str | None, new: str) -> object:
        given = None if old is None else secret(old)
        return await changes.choose_password(cast.ledger, cast.api.hasher, amy, given, secret(new))

    assert rule(await choose(None, "another password")) is Rule.LOGIN_REFUSED
    assert rule(await choose("wrong", "another password")) is Rule.LOGIN_REFUSED
    assert rule(await choose(PASSWORD, "short")) is Rule.PASSWORD_LENGTH
    assert await choose(PASSWORD, "another password") is None
    left = await cast.ledger.change(lambda change: changes.tokens_of(change, amy, None))
    assert not isinstance(left, Refusal)
    assert [token.id for token in left] == [amy.token.id]
    assert rule(await log_in(cast)) is Rule.LOGIN_REFUSED
    assert isinstance(await log_in(cast, password="another password"), LoggedIn)


async def test_guessing_the_old_password_in_a_session_is_throttled(cast: CastCoordinator):
    await cast.account("amy", Role.OPERATOR, password=PASSWORD)
    begun = await log_in(cast)
    assert isinstance(begun, LoggedIn)
    answers = [
        await changes.choose_password(
            cast.ledger, cast.api.hasher, begun.principal, secret("wrong"), secret("another one!")
        )
        for _ in range(FOR_ACCOUNT.free + 1)
    ]
    assert isinstance(answers[-1], Throttled)


async def test_a_lasting_token_makes_no_other(cast: CastCoordinator):
    amy = await principal(cast, "amy", Role.OPERATOR)
    entropy = cast.ledger.entropy
    made = await cast.ledger.change(
        lambda change: changes.lasting_token(change, amy, "", Duration(HOUR), entropy)
    )
    assert not isinstance(made, Refusal)
    by_token = await cast.ledger.database.read(
        lambda connection: authenticate(connection, made[0], cast.clock.now)
    )
    assert by_token is not None
    again = await cast.ledger.change(
        lambda change: changes.lasting_token(change, by_token, "", Duration(HOUR), entropy)
    )
    assert rule(again) is Rule.NOT_YOURS


async def test_tokens_are_seen_and_revoked_by_their_owner_and_by_managers(cast: CastCoordinator):
    amy = await principal(cast, "amy", Role.OPERATOR)
    bob = await principal(cast, "bob", Role.OPERATOR)
    manager = await principal(cast, "max", Role.MANAGER)

    async def see(by: Principal, name: str | None) -> object:
        wanted = None if name is None else AccountName(name)
        return await cast.ledger.change(lambda change: changes.tokens_of(change, by, wanted))

    async def revoke(by: Principal, token_id: str) -> object:
        return await cast.ledger.change(lambda change: changes.revoke(change, by, token_id))

    assert rule(await see(bob, "amy")) is Rule.NOT_YOURS
    assert rule(await revoke(bob, amy.token.id)) is Rule.NO_SUCH_TOKEN
    assert not isinstance(await see(manager, "amy"), Refusal)
    assert rule(await see(manager, "nobody")) is Rule.NO_SUCH_ACCOUNT
    assert not isinstance(await revoke(manager, amy.token.id), Refusal)
    assert rule(await revoke(manager, amy.token.id)) is Rule.NO_SUCH_TOKEN


def test_roles_are_apart():
    assert RIGHTS[Role.AUDITOR] == {Right.READ}
    assert RIGHTS[Role.OPERATOR] & RIGHTS[Role.MANAGER] == {Right.READ}


def test_seconds_to_wait_are_never_none():
    assert Throttled(until=NOON).seconds(NOON) == 1
    assert Throttled(until=Instant(NOON + MINUTE)).seconds(Instant(NOON + 1)) == 60
