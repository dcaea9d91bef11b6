"""Twelve words to compare by voice.

132 bits of a slow hash of a digest: slow, so that nobody can search for two documents that read
alike. The hash is Argon2id (RFC 9106) with a fixed salt; the words are BIP-39's English list, whose
2048 words differ in their first four letters.
"""

import hashlib
from functools import cache
from importlib.resources import files

from nacl.pwhash import argon2id

from protocol.identifiers import Digest

COUNT = 12
_BITS_PER_WORD = 11
_SALT = hashlib.sha256(b"quorate words v1").digest()[: argon2id.SALTBYTES]
_MEMORY = 64 * 1024 * 1024
_PASSES = 3
_BYTES = 17
"""The first 132 of 136 bits."""


def words_of(digest: Digest) -> tuple[str, ...]:
    """The twelve words of a digest. Takes about 0.1 s and 64 MiB, on purpose."""
    slow = argon2id.kdf(_BYTES, digest, _SALT, opslimit=_PASSES, memlimit=_MEMORY)
    number = int.from_bytes(slow, "big") >> (8 * _BYTES - COUNT * _BITS_PER_WORD)
    listed = _word_list()
    mask = (1 << _BITS_PER_WORD) - 1
    places = range((COUNT - 1) * _BITS_PER_WORD, -1, -_BITS_PER_WORD)
    return tuple(listed[(number >> place) & mask] for place in places)


@cache
def _word_list() -> tuple[str, ...]:
    return tuple((files("protocol.signing") / "words.txt").read_text("ascii").split())
