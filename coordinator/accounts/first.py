"""How the first manager comes to be: at the coordinator's host, where nobody has an account yet."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coordinator.accounts import tokens
from coordinator.accounts.logins import make_manager
from coordinator.accounts.passwords import Hasher, password_length
from coordinator.accounts.token_kinds import TokenKind
from coordinator.directory import CoordinatorDirectory
from coordinator.engine.change import Change
from coordinator.engine.ledger import Ledger
from coordinator.store import accounts as store
from coordinator.store.database import Database
from protocol.displayable import AccountName
from protocol.identifiers import Instant
from protocol.secrets import Secret
from quorate import clock, exits


async def first_manager(place: CoordinatorDirectory, name: AccountName, password: Secret) -> None:
    """Makes a manager's account in a coordinator that isn't served yet."""
    refusal = password_length(password)
    if refusal is not None:
        raise exits.refused(refusal, untouched="no account was made")
    _, practice = place.instance()
    hasher = Hasher.for_instance(practice=practice)
    try:
        hashed = hasher.hash(password)
    finally:
        hasher.close()

    async def make(change: Change) -> None:
        await make_manager(change, name, hashed)

    async with _ledger(place) as ledger:
        await ledger.change(make)


async def set_up_token(place: CoordinatorDirectory) -> tuple[str, Instant]:
    """A token with which somebody makes themselves a manager, once; and until when it is good.

    Also where one is served: it is a single row, and its use is what the log tells.
    """
    secret, token = tokens.make(
        secrets.token_bytes,
        TokenKind.SET_UP,
        None,
        at=clock.now(),
        valid_for=tokens.SET_UP,
    )
    async with _ledger(place) as ledger:
        await ledger.database.write(
            lambda connection: store.add_token(connection, store.token_hash(secret.reveal()), token)
        )
    return tokens.write(secret), token.expires


@asynccontextmanager
async def _ledger(place: CoordinatorDirectory) -> AsyncIterator[Ledger]:
    instance, _ = place.instance()
    database = await Database.open(place.database)
    try:
        yield Ledger(database, instance, place.keys(), now=clock.now, entropy=secrets.token_bytes)
    finally:
        await database.close()
