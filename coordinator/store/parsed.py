"""What is read again and again and never changes: read once, parsed once.

What is stored is canonical, so equal bytes are equal structures, and structures never change. Nor
does what a digest stands for.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from protocol.identifiers import Digest
from protocol.schema import Struct, from_bytes

S = TypeVar("S", bound=Struct)
V = TypeVar("V")
KEPT_BYTES = 16 * 1024 * 1024
KEPT_DIGESTS = 1024


class Parsed(Generic[S]):
    """Parses bytes into one kind of structure, and remembers the newest of them.

    At most `limit` bytes' worth.
    """

    def __init__(self, kind: type[S], *, limit: int = KEPT_BYTES) -> None:
        self._kind = kind
        self._limit = limit
        self._known: dict[bytes, S] = {}
        self._size = 0

    def __call__(self, body: bytes) -> S:
        """The structure that these bytes stand for; Violation when they stand for none."""
        known = self._known.get(body)
        if known is not None:
            return known
        value = from_bytes(self._kind, body)
        self.know(body, value)
        return value

    def know(self, body: bytes, value: S) -> None:
        """These are the bytes of this structure."""
        if body in self._known:
            return
        self._known[body] = value
        self._size += len(body)
        while self._size > self._limit:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._size -= len(oldest)


class ByDigest(Generic[V]):
    """Finds what digests stand for, and remembers the newest that were found."""

    def __init__(self, *, limit: int = KEPT_DIGESTS) -> None:
        self._limit = limit
        self._known: dict[Digest, V] = {}

    async def find(self, digest: Digest, look: Callable[[], Awaitable[V | None]]) -> V | None:
        """What the digest stands for; `look` is asked the first time."""
        known = self._known.get(digest)
        if known is not None:
            return known
        found = await look()
        if found is not None:
            self.know(digest, found)
        return found

    def know(self, digest: Digest, value: V) -> None:
        """What the digest stands for."""
        self._known[digest] = value
        if len(self._known) > self._limit:
            del self._known[next(iter(self._known))]
