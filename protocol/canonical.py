"""Canonical msgpack: one value, one encoding.

What is signed or hashed must read the same to everybody, so of the many msgpack encodings of a
value exactly one is accepted: string map keys in the order of their UTF-8 bytes, shortest
integers, no floats, no extension types, text in Unicode normal form C, bytes as `bin`. The
decoder encodes what it read again and refuses every other spelling; duplicate keys and trailing
bytes included. See `docs/decisions/0001-signed-bytes.md`.
"""

import unicodedata
from typing import Any

import msgpack

from protocol.violations import Violation

MAX_DEPTH = 24
MAX_BYTES = 16 * 1024 * 1024
_LEAST, _GREATEST = -(1 << 63), (1 << 64) - 1


def encode(value: Any) -> bytes:
    """The one encoding of `value`: None, bool, int, str, bytes, and lists and maps of these.

    Raises TypeError or ValueError for what has none; that is a mistake of the caller.
    """
    return bytes(msgpack.packb(_ordered(value, MAX_DEPTH), use_bin_type=True))


def decode(data: bytes, *, limit: int = MAX_BYTES) -> Any:
    """Reads canonical bytes; raises Violation for anything else. Arrays come back as lists."""
    if len(data) > limit:
        raise Violation(f"{len(data)} bytes where at most {limit} are allowed")
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True, use_list=True)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Violation(f"not msgpack: {type(error).__name__}") from None
    try:
        again = encode(value)
    except (TypeError, ValueError) as error:
        raise Violation(f"not canonical: {error}") from None
    if again != data:
        raise Violation("not canonical: these bytes have another spelling")
    return value


def _ordered(value: Any, depth: int) -> Any:
    # By exact type, the frequent ones first: this is the busiest function of the whole system.
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    kind = type(value)
    if kind is str:
        # ASCII is in normal form C.
        if not value.isascii() and not unicodedata.is_normalized("NFC", value):
            raise ValueError("text that is not in normal form C")
        return value
    if kind is bytes or kind is bool or value is None:
        return value
    if kind is int:
        if not _LEAST <= value <= _GREATEST:
            raise ValueError("an integer beyond 64 bits")
        return value
    if kind is list or kind is tuple:
        return [_ordered(item, depth - 1) for item in value]
    if kind is dict:
        if not all(type(key) is str for key in value):
            raise TypeError("a map key that is not text")
        # Text is in the order of its UTF-8 bytes when it is in the order of its code points.
        return {_ordered(key, depth): _ordered(value[key], depth - 1) for key in sorted(value)}
    raise TypeError(f"{kind.__name__} has no canonical encoding")
