"""Who may what: each account has one role, each role a few rights."""

from enum import StrEnum


class Role(StrEnum):
    """What an account is for. None of them can sign."""

    OPERATOR = "operator"
    """Files commands, and cancels, proceeds with, voids and refiles requests."""
    AUDITOR = "auditor"
    """Only reads."""
    MANAGER = "manager"
    """Makes accounts and invites custodians; files nothing."""


class Right(StrEnum):
    """What a role may do."""

    READ = "read"
    FILE = "file"
    MANAGE = "manage"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.OPERATOR: frozenset({Right.READ, Right.FILE}),
    Role.AUDITOR: frozenset({Right.READ}),
    Role.MANAGER: frozenset({Right.READ, Right.MANAGE}),
}


def allowed(role: Role, right: Right) -> bool:
    """Whether the role has the right."""
    return right in RIGHTS[role]
