"""Typed structures: strict about everything, for every structure that the project has."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest

import protocol
from protocol import canonical
from protocol.schema import Struct, Variant, from_bytes, from_plain, to_bytes, to_plain
from protocol.unit_state import Attribute
from protocol.violations import Violation


class Inner(Struct):
    """A structure in a structure."""

    data: bytes


class Left(Variant, tag="left"):
    """One kind."""

    number: int


class Right(Variant, tag="right"):
    """Another."""


class Outer(Struct):
    """One of each."""

    text: Annotated[str, msgspec.Meta(max_length=10)]
    small: Annotated[int, msgspec.Meta(ge=0, le=9)]
    yes: bool
    data: bytes
    maybe: bytes | None
    several: tuple[Inner, ...]
    side: Left | Right
    attribute: Attribute

    def invariant(self) -> str | None:
        return "text and data must agree" if self.text and not self.data else None


OUTER = Outer(
    text="text",
    small=3,
    yes=True,
    data=b"data",
    maybe=None,
    several=(Inner(data=b"1"), Inner(data=b"2")),
    side=Left(number=1),
    attribute=Attribute.ZEROIZE_ONE,
)


def plain(**changes: Any) -> dict[str, Any]:
    changed: dict[str, Any] = to_plain(OUTER) | changes
    return changed


def test_a_structure_survives_the_wire() -> None:
    assert from_bytes(Outer, to_bytes(OUTER)) == OUTER
    assert from_plain(Outer, plain()) == OUTER
    assert canonical.decode(to_bytes(OUTER))["side"] == {"kind": "left", "number": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        plain(more=1),
        {key: value for key, value in plain().items() if key != "text"},
        {key: value for key, value in plain().items() if key != "maybe"},
        plain(text=b"text"),
        plain(text=None),
        plain(text="x" * 11),
        plain(small=-1),
        plain(small=10),
        plain(small="3"),
        plain(small=True),
        plain(yes=1),
        plain(yes="true"),
        plain(data="data"),
        plain(data="ZGF0YQ=="),  # base64 is no bytes
        plain(data=None),
        plain(data=[100]),
        plain(maybe=False),
        plain(maybe="bWF5YmU="),
        plain(several=[{"data": b"1", "more": b"2"}]),
        plain(several=[{}]),
        plain(several={"data": b"1"}),
        plain(several=None),
        plain(side={"kind": "left", "number": 1, "more": 1}),
        plain(side={"kind": "left"}),
        plain(side={"kind": "up"}),
        plain(side={"number": 1}),
        plain(side={"kind": None}),
        plain(side="left"),
        plain(attribute="zeroize-two"),
        plain(attribute=0),
        plain(data=b""),  # breaks the invariant
        None,
        [],
        [plain()],
        "text",
    ],
    ids=repr,
)
def test_what_is_no_such_structure(wrong: Any) -> None:
    with pytest.raises(Violation, match="not a valid Outer"):
        from_plain(Outer, wrong)


def test_a_kind_by_itself_needs_its_tag_too() -> None:
    assert from_plain(Right, {"kind": "right"}) == Right()
    for wrong in ({}, {"kind": "left"}, {"kind": None}):
        with pytest.raises(Violation):
            from_plain(Right, wrong)


def test_an_invariant_holds_for_whoever_makes_one() -> None:
    with pytest.raises(ValueError, match="must agree"):
        OUTER.but(data=b"")
    assert OUTER.but(small=4).small == 4
    assert OUTER.small == 3


def test_a_structure_is_frozen() -> None:
    with pytest.raises(AttributeError):
        OUTER.small = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong",
    [
        plain(**{"evil \x1b[31m": 1}),
        plain(attribute="evil \x1b[31m"),
        plain(attribute="evil - at `$.x`"),
        plain(side={"kind": "evil " * 1000}),
        plain(text="evil"),
        {"evil` - at `$.x": 1},
    ],
    ids=range(6),
)
def test_a_violation_does_not_repeat_the_peers_text(wrong: Any) -> None:
    """Else it would reach a terminal or a log, with whatever a terminal obeys."""
    if wrong.get("text") == "evil":
        wrong["data"] = b""
    with pytest.raises(Violation) as violation:
        from_plain(Outer, wrong)
    assert "evil" not in str(violation.value)
    assert "\x1b" not in str(violation.value)
    assert len(str(violation.value)) < 200


# --- every structure of the protocol --------------------------------------------------------------


def structures(kind: type[Any] = Struct) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        if below.__module__.startswith("protocol."):
            yield below
        yield from structures(below)


for module in pkgutil.walk_packages(protocol.__path__, "protocol."):
    importlib.import_module(module.name)
STRUCTURES = sorted(
    set(structures()) - {Variant}, key=lambda kind: (kind.__module__, kind.__name__)
)


def types_in(kind: Any) -> Iterator[Any]:
    """All types in a structure's fields, as msgspec sees them; other structures not opened."""
    yield kind
    for name in ("item_type", "key_type", "value_type"):
        if isinstance(getattr(kind, name, None), msgspec.inspect.Type):
            yield from types_in(getattr(kind, name))
    for name in ("types", "item_types"):
        for one in getattr(kind, name, ()):
            yield from types_in(one)


def fields(structure: type[Any]) -> list[tuple[str, Any]]:
    told = msgspec.inspect.type_info(structure)
    assert isinstance(told, msgspec.inspect.StructType)
    return [(field.name, field.type) for field in told.fields]


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda kind: kind.__name__)
def test_every_structure_is_strict(structure: type[Any]) -> None:
    config = structure.__struct_config__
    assert config.frozen
    assert config.forbid_unknown_fields
    assert not config.omit_defaults
    assert not config.array_like
    assert structure.__struct_defaults__ == (), "a field with a default has two encodings"
    assert structure.__doc__ or structure.__name__.startswith("_")


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda kind: kind.__name__)
def test_every_field_has_one_encoding(structure: type[Any]) -> None:
    for name, declared in fields(structure):
        for one in types_in(declared):
            assert not isinstance(
                one,
                msgspec.inspect.AnyType
                | msgspec.inspect.RawType
                | msgspec.inspect.FloatType
                | msgspec.inspect.DecimalType
                | msgspec.inspect.DateTimeType
                | msgspec.inspect.UUIDType
                | msgspec.inspect.ByteArrayType
                | msgspec.inspect.MemoryViewType
                | msgspec.inspect.SetType
                | msgspec.inspect.FrozenSetType
                | msgspec.inspect.ListType
                | msgspec.inspect.DictType,
            ), f"{name} is {one}"


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda kind: kind.__name__)
def test_every_pattern_is_for_the_whole_text(structure: type[Any]) -> None:
    """`$` would let a line feed through at the end."""
    for name, declared in fields(structure):
        for one in types_in(declared):
            pattern = getattr(one, "pattern", None)
            if pattern is not None:
                assert pattern.startswith(r"\A") and pattern.endswith(r"\Z"), f"{name}: {pattern}"


def test_there_are_structures() -> None:
    assert len(STRUCTURES) > 40
