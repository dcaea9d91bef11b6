"""What must hold of key users before they are installed or removed: one rule, one function."""

from collections.abc import Callable

from nacl.bindings import crypto_core_ed25519_is_valid_point

from protocol.commands.bodies import AddKeyUser, RemoveKeyUser
from protocol.displayable import is_printable_string, shown
from protocol.identifiers import short
from protocol.refusals import Refusal, Rule, refuse
from protocol.unit_state import MAX_KEY_USERS, KeyRight, UnitState

LONGEST_NAME = 64


def adding(body: AddKeyUser) -> tuple[Callable[[UnitState], Refusal | None], ...]:
    """The rules that a new key user must pass, in their order."""
    return (
        lambda _: key_user_name(body),
        lambda _: key_user_key(body),
        lambda _: key_user_rights(body),
        lambda state: key_user_exists(body, state),
        too_many_key_users,
    )


def key_user_name(body: AddKeyUser) -> Refusal | None:
    """KEY_USER_NAME: 1 to 64 characters of ASN.1 PrintableString, no blanks at its ends."""
    name = body.name
    if 1 <= len(name) <= LONGEST_NAME and is_printable_string(name) and name == name.strip():
        return None
    return refuse(
        Rule.KEY_USER_NAME,
        expected=f"1 to {LONGEST_NAME} characters of PrintableString, no blank at either end",
        found=f"{len(name)}: {shown(name)[:250]}",
    )


def key_user_key(body: AddKeyUser) -> Refusal | None:
    """KEY_USER_KEY: a point of the curve's large subgroup, in its one spelling (RFC 8032, 5.1.3).

    Under a point of small order, signatures would verify that nobody made.
    """
    if crypto_core_ed25519_is_valid_point(body.public_key):
        return None
    return refuse(Rule.KEY_USER_KEY, expected="an Ed25519 public key", found=body.public_key.hex())


def key_user_rights(body: AddKeyUser) -> Refusal | None:
    """KEY_USER_RIGHTS: at least one, each known, each once."""
    known = [right.value for right in KeyRight]
    if body.rights and set(body.rights) <= set(known) and len(set(body.rights)) == len(body.rights):
        return None
    return refuse(
        Rule.KEY_USER_RIGHTS,
        expected=f"one or more of {', '.join(known)}, each once",
        found=", ".join(shown(right)[:60] for right in body.rights) or "none",
    )


def key_user_exists(body: AddKeyUser, state: UnitState) -> Refusal | None:
    """KEY_USER_EXISTS: a key is installed once, and a name stands for one key."""
    for there in state.key_users:
        if body.public_key == there.public_key or body.name == there.name:
            return refuse(
                Rule.KEY_USER_EXISTS,
                expected="a name and a key that aren't installed",
                found=f"{short(there.public_key)}, installed as {shown(there.name)}",
            )
    return None


def too_many_key_users(state: UnitState) -> Refusal | None:
    """TOO_MANY_KEY_USERS: at most 64 a unit."""
    if len(state.key_users) < MAX_KEY_USERS:
        return None
    return refuse(
        Rule.TOO_MANY_KEY_USERS,
        expected=f"at most {MAX_KEY_USERS}",
        found=len(state.key_users) + 1,
    )


def no_such_key_user(body: RemoveKeyUser, state: UnitState) -> Refusal | None:
    """NO_SUCH_KEY_USER: only who is installed can be removed."""
    if state.key_user(body.public_key) is not None:
        return None
    installed = ", ".join(shown(one.name) for one in state.key_users) or "nobody"
    return refuse(
        Rule.NO_SUCH_KEY_USER, expected=f"one of {installed}", found=short(body.public_key)
    )
