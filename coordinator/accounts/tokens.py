"""Tokens: 32 random bytes that only their holder knows, in a text that says what it is."""

import base64
import binascii
from collections.abc import Callable

from coordinator.accounts.token_kinds import TokenKind
from coordinator.store import accounts as store
from coordinator.store.accounts import Token
from protocol.displayable import AccountName
from protocol.identifiers import DAY, HOUR, Duration, Instant
from protocol.secrets import Secret

SESSION = Duration(8 * HOUR)
ONE_TIME = Duration(24 * HOUR)
SET_UP = Duration(7 * DAY)
MAX_TOKENS = 32
"""Of one account."""

_PREFIX = "quorate_"
_BYTES = 32

Entropy = Callable[[int], bytes]


def make(
    entropy: Entropy,
    kind: TokenKind,
    account: AccountName | None,
    *,
    at: Instant,
    valid_for: Duration,
    label: str = "",
    fresh: bool = False,
) -> tuple[Secret, Token]:
    """A new token: the secret for its holder, and what is kept of it."""
    secret = Secret(entropy(_BYTES))
    token = Token(
        id=store.token_hash(secret.reveal()).hex()[:16],
        account=account,
        kind=kind,
        label=label,
        fresh=fresh,
        made=at,
        expires=Instant(at + valid_for),
    )
    return secret, token


def write(secret: Secret) -> str:
    """The text that its holder keeps."""
    return _PREFIX + base64.urlsafe_b64encode(secret.reveal()).rstrip(b"=").decode()


def read(text: str) -> Secret | None:
    """The token in a text; None when it can't be one."""
    encoded = text.removeprefix(_PREFIX)
    if not text.startswith(_PREFIX) or len(encoded) != 43 or not encoded.isascii():
        return None
    try:
        value = base64.b64decode(encoded + "=", altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return Secret(value) if len(value) == _BYTES else None
