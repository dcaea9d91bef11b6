"""The twelve words against another Argon2 and the published word list."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from protocol.identifiers import Digest
from protocol.signing.words import COUNT, words_of

VECTORS = json.loads((Path(__file__).parent / "words" / "words.json").read_text())
PUBLISHED = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
"""SHA-256 of BIP-39's english.txt."""


def test_the_list_is_the_published_one() -> None:
    data = (files("protocol.signing") / "words.txt").read_bytes()
    assert hashlib.sha256(data).hexdigest() == PUBLISHED
    listed = data.decode("ascii").split()
    assert len(listed) == 2048
    assert len({word[:4] for word in listed}) == 2048, "four letters tell words apart"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["digest"][:8])
def test_words_are_the_others(vector: Any) -> None:
    words = words_of(Digest(bytes.fromhex(vector["digest"])))
    assert len(words) == COUNT
    assert list(words) == vector["words"]
