"""Accounts, tokens and failed logins, in their tables."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from coordinator.accounts.roles import Role
from coordinator.accounts.throttle import Failures
from coordinator.accounts.token_kinds import TokenKind
from coordinator.store.connection import Connection
from coordinator.store.tables import accounts, login_failures, tokens
from protocol.displayable import AccountName
from protocol.identifiers import Instant

MAX_FAILURE_KEYS = 10_000
"""How many accounts and addresses with failed logins are remembered."""


@dataclass(frozen=True)
class Account:
    """An account. `password` is the hash of one, None before its owner has chosen one."""

    name: AccountName
    role: Role
    password: str | None
    made: Instant


@dataclass(frozen=True)
class Token:
    """A token without what it is known by.

    `id` names it to people; `fresh` is a session that a one-time login began.
    """

    id: str
    account: AccountName | None
    kind: TokenKind
    label: str
    fresh: bool
    made: Instant
    expires: Instant


def token_hash(token: bytes) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token).digest()


# accounts


async def get(connection: Connection, name: str) -> Account | None:
    """The account of this name."""
    rows = await connection.execute(select(accounts).where(accounts.c.name == name))
    return next(map(_account, rows.mappings()), None)


async def all_accounts(connection: Connection) -> Sequence[Account]:
    """Every account, by name."""
    rows = await connection.execute(select(accounts).order_by(accounts.c.name))
    return [_account(row) for row in rows.mappings()]


async def add(connection: Connection, account: Account) -> None:
    """A new account."""
    await connection.execute(
        insert(accounts).values(
            name=account.name,
            role=account.role.value,
            password=account.password,
            made=account.made,
        )
    )


async def set_role(connection: Connection, name: AccountName, role: Role) -> None:
    """Gives the account another role."""
    await connection.execute(
        update(accounts).where(accounts.c.name == name).values(role=role.value)
    )


async def set_password(connection: Connection, name: AccountName, hashed: str) -> None:
    """Gives the account another password."""
    await connection.execute(
        update(accounts).where(accounts.c.name == name).values(password=hashed)
    )


async def remove(connection: Connection, name: AccountName) -> None:
    """Deletes the account and all its tokens."""
    await connection.execute(delete(tokens).where(tokens.c.account == name))
    await connection.execute(delete(accounts).where(accounts.c.name == name))


async def managers(connection: Connection) -> int:
    """How many accounts are managers'."""
    count = select(func.count()).where(accounts.c.role == Role.MANAGER.value)
    return int((await connection.execute(count)).scalar())


# tokens


async def add_token(connection: Connection, hashed: bytes, token: Token) -> None:
    """Keeps a token, by its hash; those that have expired are forgotten."""
    await connection.execute(delete(tokens).where(tokens.c.expires <= token.made))
    await connection.execute(
        insert(tokens).values(
            hash=hashed,
            id=token.id,
            account=token.account,
            kind=token.kind.value,
            label=token.label,
            fresh=token.fresh,
            made=token.made,
            expires=token.expires,
        )
    )


async def find_token(connection: Connection, hashed: bytes, at: Instant) -> Token | None:
    """The token with this hash, unless it has expired."""
    rows = await connection.execute(
        select(tokens).where(tokens.c.hash == hashed, tokens.c.expires > at)
    )
    return next(map(_token, rows.mappings()), None)


async def use_up(connection: Connection, hashed: bytes, kind: TokenKind, at: Instant) -> bool:
    """Takes a token that works once; False when it isn't there, or not any more."""
    done = await connection.changed(
        delete(tokens).where(
            tokens.c.hash == hashed, tokens.c.kind == kind.value, tokens.c.expires > at
        )
    )
    return bool(done)


async def tokens_of(connection: Connection, name: AccountName, at: Instant) -> Sequence[Token]:
    """The account's tokens that haven't expired, oldest first."""
    rows = await connection.execute(
        select(tokens)
        .where(tokens.c.account == name, tokens.c.expires > at)
        .order_by(tokens.c.made, tokens.c.id)
    )
    return [_token(row) for row in rows.mappings()]


async def token_by_id(connection: Connection, token_id: str, at: Instant) -> Token | None:
    """The token that people call so."""
    rows = await connection.execute(
        select(tokens).where(tokens.c.id == token_id, tokens.c.expires > at)
    )
    return next(map(_token, rows.mappings()), None)


async def set_stale(connection: Connection, token_id: str) -> None:
    """The token's session isn't fresh any more: from now on it asks for the old password."""
    await connection.execute(update(tokens).where(tokens.c.id == token_id).values(fresh=False))


async def remove_token(connection: Connection, token_id: str) -> None:
    """Revokes a token."""
    await connection.execute(delete(tokens).where(tokens.c.id == token_id))


async def remove_tokens_of(
    connection: Connection,
    name: AccountName,
    *,
    kind: TokenKind | None = None,
    but: str | None = None,
) -> None:
    """Revokes an account's tokens: all, or those of one kind, but perhaps for one."""
    condition = tokens.c.account == name
    if kind is not None:
        condition &= tokens.c.kind == kind.value
    if but is not None:
        condition &= tokens.c.id != but
    await connection.execute(delete(tokens).where(condition))


# failed logins


async def failures(connection: Connection, key: bytes) -> Failures | None:
    """What is remembered under this key."""
    query = select(login_failures.c.count, login_failures.c.last)
    row = (await connection.execute(query.where(login_failures.c.key == key))).first()
    return None if row is None else Failures(count=row[0], last=Instant(row[1]))


async def remember_failures(connection: Connection, key: bytes, found: Failures | None) -> None:
    """Remembers them, or forgets them all; the oldest are forgotten where there are too many."""
    await connection.execute(delete(login_failures).where(login_failures.c.key == key))
    if found is None or found.count < 1:
        return
    count = await connection.execute(select(func.count()).select_from(login_failures))
    if count.scalar() >= MAX_FAILURE_KEYS:
        oldest = select(login_failures.c.key).order_by(login_failures.c.last).limit(1)
        await connection.execute(
            delete(login_failures).where(login_failures.c.key == oldest.scalar_subquery())
        )
    await connection.execute(
        insert(login_failures).values(key=key, count=found.count, last=found.last)
    )


def _account(found: Mapping[str, Any]) -> Account:
    return Account(
        name=AccountName(found["name"]),
        role=Role(found["role"]),
        password=found["password"],
        made=Instant(found["made"]),
    )


def _token(found: Mapping[str, Any]) -> Token:
    return Token(
        id=found["id"],
        account=found["account"],
        kind=TokenKind(found["kind"]),
        label=found["label"],
        fresh=found["fresh"],
        made=Instant(found["made"]),
        expires=Instant(found["expires"]),
    )
