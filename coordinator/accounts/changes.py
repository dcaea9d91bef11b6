"""What managers do to accounts, and people to their own."""

from collections.abc import Sequence

from coordinator.accounts import throttle, tokens
from coordinator.accounts.logins import Principal, Throttled, charge, log, login_refused
from coordinator.accounts.passwords import Hasher, password_length
from coordinator.accounts.roles import Right, Role, allowed
from coordinator.accounts.token_kinds import TokenKind
from coordinator.engine.change import Change
from coordinator.engine.ledger import Ledger
from coordinator.store import accounts as store
from coordinator.store.accounts import Account, Token
from protocol.displayable import AccountName
from protocol.identifiers import Duration
from protocol.record.operations import AccountChange
from protocol.refusals import Refusal, Rule, refuse
from protocol.secrets import Secret

Issued = tuple[Secret, Token]
"""A new token, for its holder, and what is kept of it."""

MAX_ACCOUNTS = 1000


async def add(
    change: Change, by: Principal, name: AccountName, role: Role, entropy: tokens.Entropy
) -> tuple[Account, Issued] | Refusal:
    """A new account without a password, and the one-time login with which its owner begins."""
    refusal = only_logged_in(by)
    if refusal is not None:
        return refusal
    there = await store.all_accounts(change.connection)
    if any(account.name == name for account in there) or len(there) >= MAX_ACCOUNTS:
        return refuse(
            Rule.ACCOUNT_EXISTS,
            expected=f"a new name, and fewer than {MAX_ACCOUNTS} accounts",
            found=f"{name}, {len(there)} accounts",
        )
    account = Account(name=name, role=role, password=None, made=change.at)
    await store.add(change.connection, account)
    log(change, AccountChange.MADE, account, by=by.account)
    issued = await _issue(change, by, account, TokenKind.ONE_TIME, tokens.ONE_TIME, "", entropy)
    return account, issued


async def remove(change: Change, by: Principal, name: AccountName) -> Account | Refusal:
    """Deletes an account; its sessions end."""
    account = await _account(change, name)
    if isinstance(account, Refusal):
        return account
    refusal = await last_manager(change, account)
    if refusal is not None:
        return refusal
    await store.remove(change.connection, name)
    log(change, AccountChange.REMOVED, account, by=by.account)
    return account


async def set_role(
    change: Change, by: Principal, name: AccountName, role: Role
) -> Account | Refusal:
    """Gives an account another role, from its next request on."""
    account = await _account(change, name)
    if isinstance(account, Refusal) or account.role is role:
        return account
    refusal = await last_manager(change, account)
    if refusal is not None:
        return refusal
    await store.set_role(change.connection, name, role)
    changed = Account(name=name, role=role, password=account.password, made=account.made)
    log(change, AccountChange.ROLE, changed, by=by.account)
    return changed


async def last_manager(change: Change, account: Account) -> Refusal | None:
    """LAST_MANAGER: somebody must be left who can manage accounts."""
    count = await store.managers(change.connection)
    if account.role is not Role.MANAGER or count > 1:
        return None
    return refuse(Rule.LAST_MANAGER, expected="another manager", found=f"only {account.name}")


async def one_time_login(
    change: Change, by: Principal, name: AccountName, entropy: tokens.Entropy
) -> Issued | Refusal:
    """A token with which the account's owner logs in once, whatever became of their password."""
    refusal = only_logged_in(by)
    if refusal is not None:
        return refusal
    account = await _account(change, name)
    if isinstance(account, Refusal):
        return account
    return await _issue(change, by, account, TokenKind.ONE_TIME, tokens.ONE_TIME, "", entropy)


async def lasting_token(
    change: Change, by: Principal, label: str, valid_for: Duration, entropy: tokens.Entropy
) -> Issued | Refusal:
    """A token of one's own for scripts."""
    refusal = only_logged_in(by)
    if refusal is not None:
        return refusal
    account = await _account(change, by.account)
    if isinstance(account, Refusal):
        return account
    there = await store.tokens_of(change.connection, by.account, change.at)
    lasting = [token for token in there if token.kind is TokenKind.LASTING]
    if len(lasting) >= tokens.MAX_TOKENS:
        return refuse(
            Rule.TOO_MANY_TOKENS, expected=f"fewer than {tokens.MAX_TOKENS}", found=len(lasting)
        )
    return await _issue(change, by, account, TokenKind.LASTING, valid_for, label, entropy)


async def tokens_of(
    change: Change, by: Principal, name: AccountName | None
) -> Sequence[Token] | Refusal:
    """The tokens of one's own account; of another's for managers."""
    asked = name or by.account
    if asked != by.account and not allowed(by.role, Right.MANAGE):
        return not_yours(by)
    account = await _account(change, asked)
    if isinstance(account, Refusal):
        return account
    return await store.tokens_of(change.connection, asked, change.at)


async def revoke(change: Change, by: Principal, token_id: str) -> Token | Refusal:
    """Revokes a token of one's own; any for managers. It is good for nothing from then on."""
    token = await store.token_by_id(change.connection, token_id, change.at)
    own = token is not None and token.account == by.account
    if token is None or token.account is None or not (own or allowed(by.role, Right.MANAGE)):
        return refuse(Rule.NO_SUCH_TOKEN, expected="a token of yours", found=token_id)
    account = await _account(change, token.account)
    if isinstance(account, Refusal):
        return account
    await store.remove_token(change.connection, token_id)
    log(change, AccountChange.TOKEN_REVOKED, account, by=by.account, detail=token_id)
    return token


async def choose_password(
    ledger: Ledger, hasher: Hasher, by: Principal, old: Secret | None, new: Secret
) -> Refusal | Throttled | None:
    """Gives one's own account another password; its other sessions and tokens end.

    The old one is asked for, but once in a session that a one-time login began: whoever steals its
    token later can't take the account over.
    """
    refusal = password_length(new)
    if refusal is not None:
        return refusal

    counted = [(throttle.account_key(by.account), throttle.FOR_ACCOUNT)]

    async def attempt(change: Change) -> Throttled | Account | None:
        until = None if by.token.fresh else await charge(change, counted)
        if until is not None:
            return Throttled(until)
        return await store.get(change.connection, by.account)

    account = await ledger.change(attempt)
    if isinstance(account, Throttled):
        return account
    stored = None if account is None else account.password
    given = Secret(b"") if old is None else old
    if not by.token.fresh and not await hasher.matches(stored, given):
        return login_refused()
    hashed = await hasher.hashed(new)

    async def work(change: Change) -> Refusal | None:
        found = await store.get(change.connection, by.account)
        if found is None or found.password != stored:
            return login_refused()
        await store.remember_failures(change.connection, counted[0][0], None)
        await store.set_password(change.connection, by.account, hashed)
        await store.remove_tokens_of(change.connection, by.account, but=by.token.id)
        await store.set_stale(change.connection, by.token.id)
        log(change, AccountChange.PASSWORD, found, by=by.account)
        return None

    return await ledger.change(work)


def only_logged_in(by: Principal) -> Refusal | None:
    """NOT_YOURS: who has only a lasting token makes no other, of whatever kind and for whomever."""
    if by.token.kind is TokenKind.SESSION:
        return None
    return refuse(Rule.NOT_YOURS, expected="a login", found="a lasting token")


def not_yours(by: Principal) -> Refusal:
    """NOT_YOURS: the account's role hasn't the right."""
    return refuse(Rule.NOT_YOURS, expected="a role with that right", found=by.role)


async def _account(change: Change, name: AccountName) -> Account | Refusal:
    account = await store.get(change.connection, name)
    if account is None:
        return refuse(Rule.NO_SUCH_ACCOUNT, expected="the name of an account", found=name)
    return account


async def _issue(
    change: Change,
    by: Principal,
    account: Account,
    kind: TokenKind,
    valid_for: Duration,
    label: str,
    entropy: tokens.Entropy,
) -> Issued:
    secret, token = tokens.make(
        entropy, kind, account.name, at=change.at, valid_for=valid_for, label=label
    )
    if kind is TokenKind.ONE_TIME:  # a new one takes the place of those before
        await store.remove_tokens_of(change.connection, account.name, kind=kind)
    await store.add_token(change.connection, store.token_hash(secret.reveal()), token)
    log(change, AccountChange.TOKEN_MADE, account, by=by.account, detail=token.id)
    return secret, token
