"""Signatures, keys and SKIs against published vectors and second implementations."""

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.files import private_keys
from protocol.signing.algorithms import Algorithm, check_public_key, ski_of, verify
from protocol.violations import Violation

VECTORS = json.loads((Path(__file__).parent / "signatures" / "signatures.json").read_text())
MALFORMED_KEYS = ("short public key", "long public key", "long_pk", "short_pk")
"""In the titles of cases whose fault is the key itself."""


def cases(algorithm: Algorithm) -> list[Any]:
    return [
        pytest.param(bytes.fromhex(key["public_key"]), case, id=case["title"])
        for key in VECTORS[algorithm.value]
        for case in key["cases"]
    ]


def check(algorithm: Algorithm, public_key: bytes, case: Any) -> None:
    message, signature = bytes.fromhex(case["message"]), bytes.fromhex(case["signature"])
    if case["valid"]:
        verify(algorithm, public_key, message, signature)
    else:
        with pytest.raises(Violation):
            verify(algorithm, public_key, message, signature)


@pytest.mark.parametrize(("public_key", "case"), cases(Algorithm.ED25519))
def test_ed25519(public_key: bytes, case: Any) -> None:
    check(Algorithm.ED25519, public_key, case)


@pytest.mark.parametrize(("public_key", "case"), cases(Algorithm.ECDSA_P521_SHA512))
def test_p521(public_key: bytes, case: Any) -> None:
    check(Algorithm.ECDSA_P521_SHA512, public_key, case)


@pytest.mark.parametrize(("public_key", "case"), cases(Algorithm.ED25519_ML_DSA_65))
def test_hybrid(public_key: bytes, case: Any) -> None:
    check(Algorithm.ED25519_ML_DSA_65, public_key, case)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_skis_are_sha_256_of_the_public_key(algorithm: Algorithm) -> None:
    for key in VECTORS[algorithm.value]:
        public_key = bytes.fromhex(key["public_key"])
        if any(words in key["cases"][0]["title"] for words in MALFORMED_KEYS):
            with pytest.raises(Violation):
                ski_of(algorithm, public_key)
        else:
            assert ski_of(algorithm, public_key).hex() == key["ski"]


@pytest.mark.parametrize("algorithm", Algorithm)
def test_private_keys_have_these_public_keys(algorithm: Algorithm) -> None:
    known = [key for key in VECTORS[algorithm.value] if key["private_key"]]
    assert known
    for key in known:
        made = private_keys.public_key_of(algorithm, bytes.fromhex(key["private_key"]))
        assert made.hex() == key["public_key"]


@pytest.mark.parametrize(
    "vector", VECTORS["malformed"], ids=lambda v: f"{v['algorithm']}, {v['title']}"
)
def test_malformed_keys(vector: Any) -> None:
    algorithm, public_key = Algorithm(vector["algorithm"]), bytes.fromhex(vector["public_key"])
    with pytest.raises(Violation):
        check_public_key(algorithm, public_key)
    with pytest.raises(Violation):
        ski_of(algorithm, public_key)
    with pytest.raises(Violation):
        verify(algorithm, public_key, b"", bytes(64))
