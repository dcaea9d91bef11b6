"""What holds for all canonical bytes: one value, one encoding, and no byte to spare."""

import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import canonical
from protocol.canonical import decode, encode
from protocol.charter import Charter
from protocol.commands.command import Command, SignedCommand
from protocol.receipts import Entry
from protocol.schema import Struct, from_bytes, to_bytes, to_plain
from protocol.violations import Violation
from tests.cast.charters import instance
from tests.cast.people import ALICE, BOB
from tests.cast.units import CastUnit

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(
    lambda text: unicodedata.normalize("NFC", text)
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | TEXT
    | st.binary(max_size=40)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


def reads_as(data: bytes) -> Any:
    try:
        return decode(data)
    except Violation:
        return None


@given(VALUES)
def test_decoding_undoes_encoding(value: Any) -> None:
    assert decode(encode(value)) == value


@given(VALUES, VALUES)
def test_different_values_have_different_encodings(one: Any, other: Any) -> None:
    """By type as well: True is not 1, and text is not bytes."""
    assert (encode(one) == encode(other)) == (repr(ordered(one)) == repr(ordered(other)))


@given(st.dictionaries(TEXT, SCALARS, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    pairs = list(value.items())
    random.shuffle(pairs)
    assert encode(dict(pairs)) == encode(value)


@given(st.binary(max_size=60))
@example(b"\xc1")
@example(b"\xdd\xff\xff\xff\xff")
def test_whatever_is_read_has_this_very_encoding(data: bytes) -> None:
    try:
        value = decode(data)
    except Violation:
        return
    assert encode(value) == data


@given(VALUES, st.data())
def test_a_changed_byte_is_refused_or_read_as_another_value(
    value: Any, data: st.DataObject
) -> None:
    good = encode(value)
    place = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[place]))
    changed = good[:place] + bytes([byte]) + good[place + 1 :]
    try:
        read = decode(changed)
    except Violation:
        return
    assert encode(read) == changed
    assert repr(ordered(read)) != repr(ordered(value))


def ordered(value: Any) -> Any:
    """The value with its maps in one order, so that its `repr` tells it from every other."""
    match value:
        case list():
            return [ordered(one) for one in value]
        case dict():
            return [(key, ordered(value[key])) for key in sorted(value)]
    return value


# --- structures -----------------------------------------------------------------------------------


def structures() -> list[Any]:
    """One of each that is signed, with what is in it."""
    charter, people, (unit, *_) = instance(2, 2)
    unit.leave_imprint(people)
    load = unit.sealed_load([(ALICE, ALICE.part()), (BOB, BOB.part())], [ALICE])
    unit.execute(load)
    return [
        pytest.param(Command, load.command, id="command"),
        pytest.param(SignedCommand, to_bytes(load), id="signed command"),
        pytest.param(Charter, to_bytes(charter), id="charter"),
        pytest.param(Entry, unit.entries[0].statement, id="birth"),
        pytest.param(Entry, unit.entries[-1].statement, id="receipt"),
    ]


@pytest.mark.parametrize(("kind", "data"), structures())
def test_a_structure_has_one_encoding(kind: Any, data: bytes) -> None:
    assert to_bytes(from_bytes(kind, data)) == data


@pytest.mark.parametrize(("kind", "data"), structures())
@given(where=st.integers(0, 1 << 20), byte=st.integers(1, 255))
def test_a_changed_byte_of_a_structure_is_refused_or_seen(
    kind: Any, data: bytes, where: int, byte: int
) -> None:
    """Never the same structure again; and what is read has exactly these bytes."""
    place = where % len(data)
    changed = data[:place] + bytes([data[place] ^ byte]) + data[place + 1 :]
    try:
        read = from_bytes(kind, changed)
    except Violation:
        return
    assert to_bytes(read) == changed
    assert read != from_bytes(kind, data)


def test_every_changed_byte_of_a_command() -> None:
    """The same, for every byte of one command and every bit of it."""
    unit = CastUnit()
    unit.leave_imprint((ALICE, BOB))
    load = unit.sealed_load([(ALICE, ALICE.part()), (BOB, BOB.part())])
    ids = {load.parsed().id}
    for place in range(len(load.command)):
        for bit in range(8):
            changed = bytearray(load.command)
            changed[place] ^= 1 << bit
            try:
                read = from_bytes(Command, bytes(changed))
            except Violation:
                continue
            assert to_bytes(read) == changed
            assert read.id not in ids
            ids.add(read.id)
    assert len(ids) > 8 * 32 * 6, "the digests alone can be changed in so many ways"


@given(st.integers(0, canonical.MAX_BYTES), st.binary(max_size=8))
def test_a_promise_of_much_takes_no_memory(count: int, content: bytes) -> None:
    for code in (0xC6, 0xDB, 0xDD, 0xDF, 0xC9):
        data = bytes([code]) + (count + len(content) + 1).to_bytes(4) + content
        with pytest.raises(Violation):
            decode(data)


class Said(Struct):
    text: str
    number: int
    data: bytes
    more: tuple[str, ...]


@given(
    st.text(), st.integers(-(1 << 63), (1 << 64) - 1), st.binary(max_size=40), st.lists(st.text())
)
def test_the_quick_way_writes_what_the_long_way_writes(
    text: str, number: int, data: bytes, more: list[str]
):
    """protocol.schema has msgspec write ASCII structures: the bytes are canonical's still."""
    value = Said(text=text, number=number, data=data, more=tuple(more))
    try:
        expected = canonical.encode(to_plain(value))
    except ValueError:
        with pytest.raises(ValueError):
            to_bytes(value)
        return
    assert to_bytes(value) == expected
    assert from_bytes(Said, expected) == value
