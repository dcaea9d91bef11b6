"""Who comes in: by a password, by a token that works once, and then by a session's token.

Who guesses learns nothing from the answers or their timing: there is one refusal for an unknown
account and a wrong password, both cost the same hash, and both are counted.
"""

from dataclasses import dataclass

from coordinator.accounts import throttle, tokens
from coordinator.accounts.passwords import Hasher, password_length
from coordinator.accounts.roles import Role
from coordinator.accounts.throttle import FOR_ACCOUNT, FOR_ADDRESS, Policy
from coordinator.accounts.token_kinds import TokenKind
from coordinator.engine.change import Change
from coordinator.engine.ledger import Ledger
from coordinator.store import accounts as store
from coordinator.store.accounts import Account, Token
from coordinator.store.connection import Connection
from protocol.displayable import AccountName
from protocol.identifiers import SECOND, Instant
from protocol.record.entries import EntryKind
from protocol.record.operations import AccountChange, AccountEvent
from protocol.refusals import Refusal, Rule, refuse
from protocol.secrets import Secret


@dataclass(frozen=True)
class Principal:
    """Who is asking: an account that has proven itself by a token."""

    account: AccountName
    role: Role
    token: Token


@dataclass(frozen=True)
class LoggedIn:
    """A session has begun. `secret` is for its holder alone."""

    principal: Principal
    secret: Secret


@dataclass(frozen=True)
class Throttled:
    """Too many attempts have failed; the next one may be made at `until`."""

    until: Instant

    def seconds(self, at: Instant) -> int:
        """How long to wait from `at` on."""
        return max(1, -(-(self.until - at) // SECOND))

    def refusal(self, at: Instant) -> Refusal:
        """TOO_MANY_ATTEMPTS: on the account or from the address; which, isn't said."""
        expected = f"the next attempt in {self.seconds(at)} s"
        return refuse(Rule.TOO_MANY_ATTEMPTS, expected=expected, found="one now")


async def authenticate(
    connection: Connection, secret: Secret | None, at: Instant
) -> Principal | None:
    """Whose session or lasting token this is."""
    if secret is None:
        return None
    token = await store.find_token(connection, store.token_hash(secret.reveal()), at)
    if token is None or token.kind not in (TokenKind.SESSION, TokenKind.LASTING):
        return None
    account = None if token.account is None else await store.get(connection, token.account)
    return None if account is None else Principal(account.name, account.role, token)


async def log_in(
    ledger: Ledger, hasher: Hasher, name: AccountName, password: Secret, address: str
) -> LoggedIn | Refusal | Throttled:
    """By name and password."""
    counted = [
        (throttle.account_key(name), FOR_ACCOUNT),
        (throttle.address_key(address), FOR_ADDRESS),
    ]

    async def attempt(change: Change) -> Throttled | Account | None:
        until = await charge(change, counted)
        return Throttled(until) if until is not None else await store.get(change.connection, name)

    # Counted before it is tried: many attempts at once are as many attempts.
    account = await ledger.change(attempt)
    if isinstance(account, Throttled):
        return account
    stored = None if account is None else account.password
    right = await hasher.matches(stored, password)

    async def finish(change: Change) -> LoggedIn | Refusal:
        found = await store.get(change.connection, name)
        if not right or found is None or found.password != stored or stored is None:
            await _log_a_lock(change, counted[0][0], found)
            return login_refused()
        await store.remember_failures(change.connection, counted[0][0], None)
        await _refund(change, counted[1][0])
        return await _begin(change, ledger, found, fresh=False)

    return await ledger.change(finish)


async def log_in_once(
    ledger: Ledger, secret: Secret | None, address: str
) -> LoggedIn | Refusal | Throttled:
    """By a token that works once."""
    counted = [(throttle.address_key(address), FOR_ADDRESS)]

    async def work(change: Change) -> LoggedIn | Refusal | Throttled:
        until = await charge(change, counted)
        if until is not None:
            return Throttled(until)
        hashed = store.token_hash(b"" if secret is None else secret.reveal())
        token = await store.find_token(change.connection, hashed, change.at)
        if not await store.use_up(change.connection, hashed, TokenKind.ONE_TIME, change.at):
            return login_refused()
        name = None if token is None else token.account
        account = None if name is None else await store.get(change.connection, name)
        if account is None:
            return login_refused()
        await _refund(change, counted[0][0])
        return await _begin(change, ledger, account, fresh=True)

    return await ledger.change(work)


async def set_up(
    ledger: Ledger,
    hasher: Hasher,
    secret: Secret | None,
    name: AccountName,
    password: Secret,
    address: str,
) -> LoggedIn | Refusal | Throttled:
    """Makes a manager with the token that was printed at the coordinator's host, and logs in."""
    refusal = password_length(password)
    if refusal is not None:
        return refusal
    counted = [(throttle.address_key(address), FOR_ADDRESS)]
    token = store.token_hash(b"" if secret is None else secret.reveal())

    async def attempt(change: Change) -> Throttled | bool:
        until = await charge(change, counted)
        if until is not None:
            return Throttled(until)
        found = await store.find_token(change.connection, token, change.at)
        return found is not None and found.kind is TokenKind.SET_UP

    good = await ledger.change(attempt)
    if isinstance(good, Throttled):
        return good
    if not good:
        return login_refused()
    hashed = await hasher.hashed(password)

    async def finish(change: Change) -> LoggedIn | Refusal:
        if await store.get(change.connection, name) is not None:
            return refuse(Rule.ACCOUNT_EXISTS, expected="a new name", found=name)
        if not await store.use_up(change.connection, token, TokenKind.SET_UP, change.at):
            return login_refused()
        account = await make_manager(change, name, hashed)
        await _refund(change, counted[0][0])
        return await _begin(change, ledger, account, fresh=False)

    return await ledger.change(finish)


async def make_manager(change: Change, name: AccountName, hashed: str) -> Account:
    """An account that can make others; by somebody at the coordinator's host."""
    account = Account(name=name, role=Role.MANAGER, password=hashed, made=change.at)
    await store.add(change.connection, account)
    log(change, AccountChange.MADE, account, by=None)
    return account


async def log_out(change: Change, principal: Principal) -> None:
    """Ends the session that asks."""
    await store.remove_token(change.connection, principal.token.id)
    event = AccountEvent(
        change=AccountChange.LOGGED_OUT,
        account=principal.account,
        by=principal.account,
        role=principal.role.value,
        detail=principal.token.id,
    )
    change.log(EntryKind.ACCOUNT, event)


def login_refused() -> Refusal:
    """LOGIN_REFUSED: the same words for whatever was wrong."""
    return refuse(
        Rule.LOGIN_REFUSED, expected="an account and its password, or an unused token", found="none"
    )


def log(
    change: Change,
    what: AccountChange,
    account: Account,
    *,
    by: AccountName | None,
    detail: str = "",
) -> None:
    """Writes into the log what happened to an account."""
    event = AccountEvent(
        change=what, account=account.name, by=by, role=account.role.value, detail=detail
    )
    change.log(EntryKind.ACCOUNT, event)


async def _begin(change: Change, ledger: Ledger, account: Account, *, fresh: bool) -> LoggedIn:
    secret, token = tokens.make(
        ledger.entropy,
        TokenKind.SESSION,
        account.name,
        at=change.at,
        valid_for=tokens.SESSION,
        fresh=fresh,
    )
    await _make_room(change, account)
    await store.add_token(change.connection, store.token_hash(secret.reveal()), token)
    log(change, AccountChange.LOGGED_IN, account, by=account.name, detail=token.id)
    return LoggedIn(Principal(account.name, account.role, token), secret)


async def _make_room(change: Change, account: Account) -> None:
    """A new session takes the place of the oldest one where there are too many."""
    there = await store.tokens_of(change.connection, account.name, change.at)
    sessions = [token for token in there if token.kind is TokenKind.SESSION]
    for token in sessions[: max(0, len(sessions) - tokens.MAX_TOKENS + 1)]:
        await store.remove_token(change.connection, token.id)


async def charge(change: Change, counted: list[tuple[bytes, Policy]]) -> Instant | None:
    """Counts an attempt under every key; None, or when one may be made if it is too early."""
    found = [(key, policy, await store.failures(change.connection, key)) for key, policy in counted]
    until = max(throttle.allowed_from(one, policy) for _, policy, one in found)
    if until > change.at:
        return until
    for key, policy, one in found:
        more = throttle.with_one_more(one, policy, change.at)
        await store.remember_failures(change.connection, key, more)
    return None


async def _refund(change: Change, key: bytes) -> None:
    """An attempt turned out well: it isn't counted."""
    found = await store.failures(change.connection, key)
    if found is not None:
        fewer = throttle.Failures(count=found.count - 1, last=found.last)
        await store.remember_failures(change.connection, key, fewer)


async def _log_a_lock(change: Change, key: bytes, account: Account | None) -> None:
    """From now on its owner may have to wait: once for each series of failures."""
    found = await store.failures(change.connection, key)
    if account is not None and found is not None and found.count == FOR_ACCOUNT.free:
        log(change, AccountChange.LOCKED, account, by=None)
