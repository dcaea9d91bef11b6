"""How a password becomes a key, and what each guess must cost.

Argon2id (RFC 9106, version 0x13) with one lane and a 32-byte result, through libsodium, whose
words `opslimit` and `memlimit` the format keeps.
"""

import unicodedata
from typing import Annotated

import msgspec
import nacl.exceptions
from nacl.pwhash import argon2id

from protocol.schema import Struct
from protocol.secrets import Secret

SALT_BYTES = 16
NONCE_BYTES = 24
_KEY_BYTES = 32
_KIB = 1024
_MIB = 1024 * 1024


class Cost(Struct):
    """What one guess of the password costs."""

    opslimit: Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
    """Passes over the memory (`t` in RFC 9106)."""
    memlimit: Annotated[int, msgspec.Meta(ge=8 * _KIB, lt=1 << 42, multiple_of=_KIB)]
    """Bytes of memory, whole KiB (`m` in RFC 9106, there in KiB)."""

    def reaches(self, floor: "Cost") -> bool:
        """Whether neither number is below that of `floor`."""
        return self.opslimit >= floor.opslimit and self.memlimit >= floor.memlimit

    def __str__(self) -> str:
        return f"{self.memlimit // _KIB} KiB and {self.opslimit} passes"


FLOOR = Cost(opslimit=3, memlimit=256 * _MIB)
"""The least that a real file is written with: libsodium's MODERATE, most of a second."""

CEILING = Cost(opslimit=10, memlimit=1024 * _MIB)
"""The most that a file may ask of the machine that opens it: 1 GiB, some ten seconds."""

PRACTICE = Cost(opslimit=1, memlimit=_MIB)
"""What practice files are written with: below a millisecond."""


class PasswordLock(Struct):
    """How the password becomes the key of the body. Salt and nonce are new with every writing."""

    cost: Cost
    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    """For XChaCha20-Poly1305."""


def usual_cost(*, practice: bool) -> Cost:
    """What a new file is written with."""
    return PRACTICE if practice else FLOOR


def check_may_write(cost: Cost, *, practice: bool) -> None:
    """COST_OF_GUESSING: a real file costs at least `FLOOR`, no file more than `CEILING`.

    Raises ValueError: whoever asks for less has a bug, people never choose it.
    """
    if not practice and not cost.reaches(FLOOR):
        raise ValueError(f"a real key file costs at least {FLOOR}, not {cost}")
    if not CEILING.reaches(cost):
        raise ValueError(f"a key file costs at most {CEILING}, not {cost}")


def derive(password: Secret, lock: PasswordLock) -> bytes:
    """The 32-byte key. Takes the time and memory that `lock` names; MemoryError if there is none.

    The caller has compared the cost with `CEILING`.
    """
    try:
        return argon2id.kdf(
            _KEY_BYTES,
            password.reveal(),
            lock.salt,
            opslimit=lock.cost.opslimit,
            memlimit=lock.cost.memlimit,
        )
    except nacl.exceptions.RuntimeError:  # with arguments in bounds, only memory can be missing
        raise MemoryError(f"Argon2id couldn't have {lock.cost.memlimit} bytes") from None


def password_from_text(text: str) -> Secret:
    """A password as the format wants it: UTF-8 of the text in Unicode normal form C.

    So that the same keys pressed on another system open the file. ValueError if `text` isn't
    Unicode (lone surrogates, as terminals give for bytes that they can't decode).
    """
    return Secret(unicodedata.normalize("NFC", text).encode())
