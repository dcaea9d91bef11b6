"""The seal against a second implementation of HPKE with X-Wing."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from protocol.sealing import hpke
from protocol.violations import Violation

HERE = Path(__file__).parent / "hpke"
VECTORS = json.loads((HERE / "sealed.json").read_text())
DRAFT = json.loads((HERE / "draft.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["title"])
def test_what_the_other_sealed_opens(vector: Any) -> None:
    sealed, private_key = bytes.fromhex(vector["sealed"]), bytes.fromhex(vector["private_key"])
    assert len(sealed) == hpke.SEALED_BYTES
    assert len(private_key) == hpke.PRIVATE_KEY_BYTES
    assert hpke.public_key_of(private_key).hex() == vector["public_key"]
    opened = hpke.unseal(sealed, private_key, info=bytes.fromhex(vector["info"]))
    assert opened.hex() == vector["plaintext"]


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: vector["title"])
def test_what_was_not_sealed_to_this_key_for_this_purpose(vector: Any) -> None:
    sealed, private_key = bytes.fromhex(vector["sealed"]), bytes.fromhex(vector["private_key"])
    with pytest.raises(Violation):
        hpke.unseal(sealed, private_key, info=bytes.fromhex(vector["info"]))


def test_the_private_key_is_what_xwing_expands_its_seed_to() -> None:
    for vector in VECTORS["good"]:
        expanded = hashlib.shake_256(bytes.fromhex(vector["seed"])).hexdigest(96)
        assert expanded == vector["private_key"]


def test_keys_are_the_drafts() -> None:
    assert (DRAFT["kem_id"], DRAFT["kdf_id"], DRAFT["aead_id"]) == (0x647A, 1, 3)
    expanded = hashlib.shake_256(bytes.fromhex(DRAFT["skRm"])).digest(96)
    assert hpke.public_key_of(expanded).hex() == DRAFT["pkRm"]


def test_we_seal_what_opens_again_and_never_the_same_twice() -> None:
    vector = VECTORS["good"][0]
    public_key, private_key = (
        bytes.fromhex(vector[half]) for half in ("public_key", "private_key")
    )
    part, info = bytes(range(32)), b"what for"
    first, second = (hpke.seal(part, public_key, info=info) for _ in range(2))
    assert len(first) == len(second) == hpke.SEALED_BYTES
    assert first != second
    assert hpke.unseal(first, private_key, info=info) == part
    assert hpke.unseal(second, private_key, info=info) == part


@pytest.mark.parametrize("length", [0, 1, 1184, 1215, 1217])
def test_parts_are_not_sealed_to_what_is_no_key(length: int) -> None:
    with pytest.raises(Violation):
        hpke.seal(bytes(32), bytes(length), info=b"")
