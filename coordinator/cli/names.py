"""Names as people type them: refused here, with what a name may be, before anything is sent."""

from typing import TypeVar

import msgspec

from protocol.displayable import AccountName, PersonName
from quorate.exits import Exit, Trouble

T = TypeVar("T")


def account_name(text: str) -> AccountName:
    """An account's name; usage trouble when it can't be one."""
    return _name(text, AccountName, "an account's name: small letters, digits, dots, dashes and @")


def person_name(text: str) -> PersonName:
    """A custodian's name; usage trouble when it can't be one."""
    return _name(text, PersonName, "a person's name: up to 30 small letters, digits, dots, dashes")


def _name(text: str, kind: type[T], says: str) -> T:
    try:
        return msgspec.convert(text, kind)
    except msgspec.ValidationError:
        raise Trouble(
            Exit.USAGE, "that can't be a name", expected=says, found=text, next="choose another"
        ) from None
