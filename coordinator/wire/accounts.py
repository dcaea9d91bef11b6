"""Logging in, accounts, tokens, invitations."""

from typing import Annotated

import msgspec

from coordinator.accounts.roles import Role
from coordinator.accounts.token_kinds import TokenKind
from coordinator.wire.values import Hex32, Json, Time
from protocol.displayable import AccountName, PersonName

Password = Annotated[str, msgspec.Meta(max_length=1024)]
TokenText = Annotated[str, msgspec.Meta(max_length=100)]


class ByPassword(Json):
    """Logs in by name and password."""

    account: AccountName
    password: Password


class ByToken(Json):
    """Logs in by a token that works once."""

    token: TokenText


class SetUp(Json):
    """Makes a manager by the set-up token that was printed at the coordinator's host."""

    token: TokenText
    account: AccountName
    password: Password


class SessionView(Json):
    """Who one is. `fresh`: a one-time login began it, so a password may be chosen without the old.

    `id` is the token's.
    """

    account: str
    role: Role
    id: str
    expires: Time
    fresh: bool
    instance: str
    practice: bool
    coordinator: Hex32


class SessionBegun(Json):
    """A session, and its token: send it as `Authorization: Bearer TOKEN`."""

    token: str
    session: SessionView


class IntroductionView(Json):
    """The coordinator's signed word on its certificate (`protocol.session.introduction`)."""

    statement: bytes
    signature: bytes


class IntroductionFor(Json):
    """The asker's 32 random bytes."""

    nonce: Hex32


class AccountView(Json):
    """An account. `password`: whether its owner has chosen one."""

    name: str
    role: Role
    password: bool
    made: Time


class Accounts(Json):
    """All accounts, by name."""

    accounts: tuple[AccountView, ...]


class NewAccount(Json):
    """An account to be made. Its owner begins with a one-time login."""

    name: AccountName
    role: Role


class RoleOf(Json):
    """The role that an account shall have."""

    role: Role


class NewPassword(Json):
    """One's own new password. `old` isn't asked for in a fresh session."""

    new: Password
    old: Password | None = None


class TokenView(Json):
    """A token, without what it is known by."""

    id: str
    account: str
    kind: TokenKind
    label: str
    made: Time
    expires: Time


class Tokens(Json):
    """An account's tokens, oldest first."""

    tokens: tuple[TokenView, ...]


class TokensOf(Json):
    """Whose tokens; one's own unless said. Only managers see others'."""

    account: AccountName | None = None


class NewToken(Json):
    """A lasting token of one's own, for scripts."""

    label: Annotated[str, msgspec.Meta(max_length=64)] = ""
    days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 30


class TokenMade(Json):
    """A new token: `token` is shown this once."""

    token: str
    made: TokenView


class AccountMade(Json):
    """A new account, and the one-time login for its owner."""

    account: AccountView
    login: TokenMade


class NewInvitation(Json):
    """An invitation for a custodian's agent. `url` is how the agent reaches the coordinator."""

    person: PersonName
    url: Annotated[str, msgspec.Meta(min_length=9, max_length=200, pattern=r"\Ahttps://[!-~]+\Z")]
    days: Annotated[int, msgspec.Meta(ge=1, le=30)] = 7


class InvitationView(Json):
    """An invitation, without its token."""

    id: str
    person: str
    expires: Time
    used: bool


class InvitationMade(Json):
    """A new invitation: `invitation` is the line to give to the person, shown this once."""

    invitation: str
    made: InvitationView


class Invitations(Json):
    """All invitations that haven't expired."""

    invitations: tuple[InvitationView, ...]
