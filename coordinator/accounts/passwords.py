"""Passwords of accounts: Argon2id (RFC 9106), in threads of its own.

Two at a time, because each takes much memory; those who wait are bounded too, so that nobody can
make the coordinator run out of either.
"""

import asyncio
import secrets
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from nacl.exceptions import InvalidkeyError
from nacl.pwhash import argon2id

from protocol.refusals import Refusal, Rule, refuse
from protocol.secrets import Secret
from quorate.unavailable import Unavailable

T = TypeVar("T")
SHORTEST = 12
LONGEST = 1024
"""Bytes of UTF-8."""
AT_ONCE = 2
MAX_WAITING = 16


def password_length(password: Secret) -> Refusal | None:
    """PASSWORD_LENGTH: long enough to be hard to guess; bounded, because it is hashed."""
    length = len(password.reveal())
    if SHORTEST <= length <= LONGEST:
        return None
    return refuse(
        Rule.PASSWORD_LENGTH, expected=f"{SHORTEST} to {LONGEST} bytes of UTF-8", found=length
    )


class Hasher:
    """Hashes passwords and compares them. `close` when done."""

    def __init__(self, *, operations: int, memory: int) -> None:
        """`operations` passes over `memory` bytes."""
        self._operations = operations
        self._memory = memory
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobodys = _hash_of_no_password(operations, memory)

    @classmethod
    def for_instance(cls, *, practice: bool) -> Self:
        """With libsodium's MODERATE cost; in a rehearsal with its INTERACTIVE one."""
        if practice:
            return cls(
                operations=argon2id.OPSLIMIT_INTERACTIVE, memory=argon2id.MEMLIMIT_INTERACTIVE
            )
        return cls(operations=argon2id.OPSLIMIT_MODERATE, memory=argon2id.MEMLIMIT_MODERATE)

    def hash(self, password: Secret) -> str:
        """The hash to store. Blocks for as long as it costs."""
        hashed = argon2id.str(password.reveal(), opslimit=self._operations, memlimit=self._memory)
        return hashed.decode("ascii").rstrip("\0")

    async def hashed(self, password: Secret) -> str:
        """The hash to store, made in a thread."""
        return await self._in_thread(lambda: self.hash(password))

    async def matches(self, stored: str | None, password: Secret) -> bool:
        """Whether it is the password that was stored; takes as long where none was."""
        return await self._in_thread(lambda: _verify(stored or self._nobodys, password))

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too many people log in just now")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _verify(stored: str, password: Secret) -> bool:
    try:
        return argon2id.verify(stored.encode("ascii"), password.reveal())
    except InvalidkeyError:
        return False


def _hash_of_no_password(operations: int, memory: int) -> str:
    """Looks like a hash of this cost, and is that of no password that anybody could find."""

    def text(size: int) -> str:
        return b64encode(secrets.token_bytes(size)).decode().rstrip("=")

    return f"$argon2id$v=19$m={memory // 1024},t={operations},p=1${text(16)}${text(32)}"
