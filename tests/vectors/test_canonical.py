"""Canonical msgpack against another implementation's bytes, most of them wrong on purpose."""

import json
from pathlib import Path
from typing import Any

import pytest

from protocol import canonical
from protocol.violations import Violation

VECTORS = json.loads((Path(__file__).parent / "canonical" / "canonical.json").read_text())


def raw(spelt: Any) -> bytes:
    if isinstance(spelt, str):
        return bytes.fromhex(spelt)
    return b"".join(
        bytes.fromhex(piece) if isinstance(piece, str) else bytes.fromhex(piece[0]) * piece[1]
        for piece in spelt
    )


def value(shown: Any) -> Any:
    match shown:
        case {"bytes": spelt}:
            return raw(spelt)
        case {"text": spelt}:
            return raw(spelt).decode()
        case {"map": pairs}:
            return {value(key): value(one) for key, one in pairs}
        case list():
            return [value(one) for one in shown]
    return shown


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["title"])
def test_the_one_encoding(vector: Any) -> None:
    data, meant = raw(vector["bytes"]), value(vector["value"])
    assert canonical.encode(meant) == data
    assert canonical.decode(data) == meant


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["title"])
def test_no_other_bytes(vector: Any) -> None:
    with pytest.raises(Violation):
        canonical.decode(raw(vector["bytes"]))


def test_most_vectors_are_wrong_on_purpose() -> None:
    assert len(VECTORS["bad"]) > 7 * len(VECTORS["good"])
