"""Text that people wrote and that is safe to show to others."""

import string
import unicodedata
from typing import Annotated, NewType

import msgspec

_PRINTABLE = set(string.ascii_letters + string.digits + " '()+,-./:=?")
PRINTABLE_STRING = r"\A[A-Za-z0-9 '()+,\-./:=?]+\Z"

AdministratorName = NewType(
    "AdministratorName",
    Annotated[str, msgspec.Meta(min_length=1, max_length=30, pattern=PRINTABLE_STRING)],
)
"""1 to 30 characters of ASN.1 PrintableString (ITU-T X.680, 41.4)."""

PersonName = NewType(
    "PersonName",
    Annotated[str, msgspec.Meta(min_length=1, max_length=30, pattern=r"\A[a-z0-9][a-z0-9.\-]*\Z")],
)
"""Who: a custodian in the charter. Lower case, so that no two read alike."""

InstanceName = NewType(
    "InstanceName",
    Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"\A[a-z0-9][a-z0-9.\-]*\Z")],
)

AccountName = NewType(
    "AccountName",
    Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"\A[a-z0-9][a-z0-9.@\-]*\Z")],
)

Purpose = NewType("Purpose", Annotated[str, msgspec.Meta(max_length=500)])
"""The filer's own words."""

Reason = NewType("Reason", Annotated[str, msgspec.Meta(max_length=500)])


def is_printable_string(text: str) -> bool:
    """Whether ASN.1 PrintableString can hold `text`."""
    return set(text) <= _PRINTABLE


def shown(text: str) -> str:
    """Somebody else's words in double quotes: what a terminal might obey is spelt out."""
    return '"' + "".join(_visible(character) for character in text) + '"'


def _visible(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character == " " or unicodedata.category(character)[0] in "LNPS":
        return character
    return f"\\u{{{ord(character):x}}}"
