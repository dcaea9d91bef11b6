"""A type for bytes that nobody may see: passwords, private keys, key parts.

A `Secret` shows itself only to who asks for it by name. It can't be printed, formatted, compared,
hashed, copied, pickled or iterated by accident, so it can't reach a log, an error or a file.

Wiping is best effort. `wipe` overwrites the one buffer that the object owns; the interpreter may
have moved or copied the same bytes before (`bytes` can't be overwritten, what `reveal` returned is
a copy, libraries keep their own), and the machine may have swapped them out.
"""

import hmac
from typing import NoReturn, Self


class Secret:
    """Bytes that show themselves only through `reveal`.

    As a context manager it wipes itself at the end of the block.
    """

    __slots__ = ("_buffer", "_wiped")

    def __init__(self, value: bytes | bytearray) -> None:
        """Keeps a copy of `value`; who made `value` overwrites it if it can be."""
        self._buffer = bytearray(value)
        self._wiped = False

    def reveal(self) -> bytes:
        """A copy of the bytes, for the call that needs them. ValueError once wiped."""
        if self._wiped:
            raise ValueError("this secret has been wiped")
        return bytes(self._buffer)

    def matches(self, other: "Secret") -> bool:
        """Whether both hold the same bytes, in a time that doesn't depend on where they differ."""
        return hmac.compare_digest(self.reveal(), other.reveal())

    def is_empty(self) -> bool:
        """Whether there are no bytes: an empty password means No. ValueError once wiped."""
        return not self.reveal()

    def wipe(self) -> None:
        """Overwrites the bytes, as far as Python can (see above)."""
        self._buffer[:] = bytes(len(self._buffer))
        self._wiped = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return "<secret>"

    def __format__(self, _spec: str) -> NoReturn:
        raise TypeError("a secret can't be formatted")

    def __eq__(self, _other: object) -> NoReturn:
        raise TypeError("a secret can't be compared with ==; use matches()")

    def __hash__(self) -> NoReturn:
        raise TypeError("a secret can't be hashed")

    def __bool__(self) -> NoReturn:
        raise TypeError("a secret is neither true nor false; use is_empty()")

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret can't be pickled or copied")

    def __copy__(self) -> NoReturn:
        raise TypeError("a secret can't be copied")

    def __deepcopy__(self, _memo: object) -> NoReturn:
        raise TypeError("a secret can't be copied")
