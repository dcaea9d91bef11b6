"""Typed structures and the canonical maps that stand for them.

Bytes are parsed once, at the border, into types that can't be invalid: a field that is unknown,
missing, of another type or out of bounds is a Violation. Nothing has a default, so that every
structure has exactly one encoding.
"""

import re
from functools import lru_cache
from typing import Any, Self, TypeVar, dataclass_transform

import msgspec

from protocol import canonical
from protocol.violations import Violation

T = TypeVar("T")

_REPEATED = re.compile(
    r"(unknown field|Invalid enum value|Invalid value) .*?( - at `\$[^ ]*`)?\Z", re.DOTALL
)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen structure with one canonical encoding.

    A subclass whose fields must agree with each other overrides `invariant`.
    """

    def invariant(self) -> str | None:
        """What is wrong between the fields, in a few words; None when they agree."""
        return None

    def __post_init__(self) -> None:
        wrong = self.invariant()
        if wrong is not None:
            raise ValueError(wrong)

    def but(self, **changes: Any) -> Self:
        """A copy with these fields changed."""
        return msgspec.structs.replace(self, **changes)


class Variant(Struct, tag_field="kind"):
    """A member of a union of structures; give its name in the bytes as `tag=`."""


def to_plain(value: Any) -> Any:
    """Maps, lists, text, integers and bytes that stand for a structure."""
    return msgspec.to_builtins(value, builtin_types=(bytes,))


def to_bytes(value: Any) -> bytes:
    """The canonical bytes of a structure, or of a tuple of structures."""
    fast = _fast_bytes(value)
    return canonical.encode(to_plain(value)) if fast is None else fast


def from_plain(kind: type[T], plain: Any) -> T:
    """The structure of type `kind` that `plain` stands for; Violation when there is none."""
    tag = getattr(getattr(kind, "__struct_config__", None), "tag_field", None)
    if tag is not None and isinstance(plain, dict) and tag not in plain:
        raise Violation(f"not a valid {_name(kind)}: no {tag}")
    try:
        # Bytes are bytes: without this, msgspec would take text for them too, as base64.
        return msgspec.convert(plain, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise Violation(f"not a valid {_name(kind)}: {_said(error)}") from None


def from_bytes(kind: type[T], data: bytes, *, limit: int = canonical.MAX_BYTES) -> T:
    """Parses canonical bytes into `kind` (a Struct, or a union of tagged ones)."""
    if len(data) <= limit:
        fast = _fast_value(kind, data)
        if fast is not None:
            return fast
    return from_plain(kind, canonical.decode(data, limit=limit))


# The quick way: msgspec's own encoder writes the same bytes (tests/properties/test_encoding.py
# compares the two), but for text, whose normal form it doesn't look at, and never says why it
# refuses something. So it only ever says Yes; for what it doesn't like, `canonical` speaks.

_PACK = msgspec.msgpack.Encoder(order="sorted")
_TEXT = msgspec.json.Encoder()


def _fast_bytes(value: Any) -> bytes | None:
    """The canonical bytes of a structure whose text is ASCII; None for any other."""
    # In JSON bytes are base64, so what isn't ASCII there is text that isn't.
    return _PACK.encode(value) if _TEXT.encode(value).isascii() else None


def _fast_value(kind: type[T], data: bytes) -> T | None:
    """What canonical bytes stand for, if all its text is ASCII; None for any other bytes."""
    try:
        value: T = _decoder(kind).decode(data)  # type: ignore[arg-type]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return value if _fast_bytes(value) == data else None


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def _said(error: msgspec.ValidationError) -> str:
    """What the error says, without the peer's own text that it repeats."""
    return _REPEATED.sub(r"\1\2", str(error))


def _name(kind: Any) -> str:
    """A structure's name; a union of them has none, and many members."""
    return getattr(kind, "__name__", "structure")
