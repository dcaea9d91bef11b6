"""Canonical msgpack: what has an encoding, and the bounds. The bytes are in tests/vectors."""

from typing import Any

import pytest

from protocol import canonical
from protocol.canonical import MAX_DEPTH, decode, encode
from protocol.violations import Violation


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        0.0,
        {1, 2},
        frozenset(),
        object(),
        bytearray(b"x"),
        memoryview(b"x"),
        {1: 2},
        {b"x": 1},
        {None: 1},
        [1.0],
        {"a": {"b": 1.5}},
        1 << 64,
        -(1 << 63) - 1,
        "e\u0301",
        {"e\u0301": 1},
        "\ud800",
        {"\ud800": 1},
        nested(MAX_DEPTH + 1),
    ],
    ids=lambda value: (
        f"{type(value).__name__} {str(value)[:20].encode('ascii', 'replace')!r}"
        if not isinstance(value, memoryview) and type(value) is not object
        else type(value).__name__
    ),
)
def test_what_has_no_encoding(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(value)


def test_tuples_are_lists() -> None:
    assert encode((1, (2, b"3"))) == encode([1, [2, b"3"]])
    assert decode(encode((1, 2))) == [1, 2]


def test_true_is_not_one() -> None:
    assert encode(True) != encode(1)
    assert decode(encode([True, 1])) == [True, 1]
    assert [type(one) for one in decode(encode([True, 1]))] == [bool, int]


def test_keys_are_in_the_order_of_their_bytes_at_every_depth() -> None:
    forwards = {"a": {"x": 1, "y": [{"p": 1, "q": 2}]}, "b": 2}
    backwards = {"b": 2, "a": {"y": [{"q": 2, "p": 1}], "x": 1}}
    assert encode(forwards) == encode(backwards)


def test_too_many_bytes_are_refused_before_they_are_read() -> None:
    data = encode(b"x" * 100)
    assert decode(data, limit=len(data)) == b"x" * 100
    with pytest.raises(Violation, match="at most"):
        decode(data, limit=len(data) - 1)
    with pytest.raises(Violation, match="at most"):
        decode(b"\xc1" * (canonical.MAX_BYTES + 1))


@pytest.mark.parametrize("data", [b"\xa6secret", b"\x81\xa6secret\xc1", b"\xd9\x06secret"])
def test_a_violation_does_not_repeat_the_bytes(data: bytes) -> None:
    with pytest.raises(Violation) as violation:
        decode(data + b"\xc1")
    assert "secret" not in str(violation.value)
