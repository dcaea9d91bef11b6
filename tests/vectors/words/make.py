# mypy: ignore-errors
"""Makes words.json with another Argon2 and another copy of the word list; see README.md.

It needs libraries that the project doesn't, so types aren't checked here.
"""

import hashlib
import json
import sys

from argon2.low_level import Type, hash_secret_raw
from mnemonic import Mnemonic

WORDS = Mnemonic("english").wordlist
SALT = hashlib.sha256(b"quorate words v1").digest()[:16]


def words(digest: bytes) -> list[str]:
    slow = hash_secret_raw(
        digest,
        SALT,
        time_cost=3,
        memory_cost=64 * 1024,
        parallelism=1,
        hash_len=17,
        type=Type.ID,
        version=19,
    )
    bits = "".join(f"{byte:08b}" for byte in slow)
    return [WORDS[int(bits[place : place + 11], 2)] for place in range(0, 132, 11)]


DIGESTS = [
    bytes(32),
    bytes([255]) * 32,
    bytes(range(32)),
    bytes(31) + b"\x01",
    hashlib.sha256(b"quorate words vector 1").digest(),
    hashlib.sha256(b"quorate words vector 2").digest(),
]

json.dump(
    [{"digest": digest.hex(), "words": words(digest)} for digest in DIGESTS], sys.stdout, indent=1
)
print()
