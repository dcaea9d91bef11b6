"""What the log says of those who steer requests and accounts, as bodies of its entries.

Their author is the coordinator: a custodian was proven by the session, an account by its token.
None of it is proof of anything to others; it tells them what the coordinator says it was told.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from protocol.displayable import AccountName, Reason
from protocol.identifiers import Digest, IdentityKey
from protocol.request import RequestState
from protocol.schema import Struct


class Actor(Struct):
    """Who said it: exactly one of a custodian, by the key of their agent, and an account."""

    custodian: IdentityKey | None
    account: AccountName | None

    def invariant(self) -> str | None:
        if (self.custodian is None) == (self.account is None):
            return "either a custodian or an account"
        return None


class Cancellation(Struct):
    """Somebody stopped asking for a request (`EntryKind.CANCELLATION`)."""

    filing: Digest
    by: Actor
    reason: Reason


class Proceeding(Struct):
    """Somebody said to run a request without the units that held it (`EntryKind.PROCEED`)."""

    filing: Digest
    by: Actor


class Ending(Struct):
    """A request has ended, or came to something else after its end (`EntryKind.ENDING`)."""

    filing: Digest
    state: RequestState
    why: str


class AccountChange(StrEnum):
    """What happened to an account."""

    MADE = "made"
    REMOVED = "removed"
    ROLE = "role"
    PASSWORD = "password"  # noqa: S105 - the name of an event
    LOGGED_IN = "logged-in"
    LOGGED_OUT = "logged-out"
    LOCKED = "locked"
    TOKEN_MADE = "token-made"  # noqa: S105
    TOKEN_REVOKED = "token-revoked"  # noqa: S105
    INVITED = "invited"
    INVITATION_REVOKED = "invitation-revoked"


_Short = Annotated[str, msgspec.Meta(max_length=64)]


class AccountEvent(Struct):
    """Something happened to an account or by one (`EntryKind.ACCOUNT`).

    `by` is None where it was done at the coordinator's host, or by the person with a one-time
    token. `role` is the account's afterwards. `detail` is what identifies the token or the person
    invited; never a secret.
    """

    change: AccountChange
    account: AccountName
    by: AccountName | None
    role: _Short
    detail: _Short
