"""Remembers what pure functions said, so that what five parties check costs as much as once.

A ceremony's time goes into the same signatures and bytes, looked at by every agent, the coordinator
and the test. Inside `shortcuts()` a signature that verified and bytes that were canonical are
recognised when they come again. Nothing else is different: a test runs a ceremony both ways.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from nacl.signing import VerifyKey

from protocol import canonical
from protocol.charter import Charter
from protocol.identifiers import Digest
from protocol.schema import Struct, to_bytes
from protocol.signing import algorithms, labels

_decode = canonical.decode
_digest: Callable[[Charter], Digest] = vars(Charter)["digest"].func


class _Memory:
    """What was seen while the shortcuts are taken."""

    def __init__(self) -> None:
        self.keys: dict[bytes, _Key] = {}
        self.decoded: dict[bytes, Any] = {}
        self.encoded: dict[Struct, bytes] = {}
        self.digests: dict[int, tuple[Charter, Digest]] = {}

    def key(self, public_key: bytes) -> "_Key":
        known = self.keys.get(public_key)
        if known is None:
            known = self.keys[public_key] = _Key(VerifyKey(public_key))
        return known

    def decode(self, data: bytes, *, limit: int = canonical.MAX_BYTES) -> Any:
        if data not in self.decoded or len(data) > limit:
            self.decoded[data] = _decode(data, limit=limit)
        return self.decoded[data]

    def encode(self, value: Struct) -> bytes:
        known = self.encoded.get(value)
        if known is None:
            known = self.encoded[value] = to_bytes(value)
        return known

    def digest(self, charter: Charter) -> Digest:
        known = self.digests.get(id(charter))
        if known is None:
            known = self.digests[id(charter)] = (charter, _digest(charter))
        return known[1]


class _Key:
    """A public key, and the messages whose signatures verified under it."""

    def __init__(self, key: VerifyKey) -> None:
        self._key = key
        self._good: set[tuple[bytes, bytes]] = set()

    def verify(self, message: bytes, signature: bytes) -> None:
        if (message, signature) not in self._good:
            self._key.verify(message, signature)
            self._good.add((message, signature))


@contextmanager
def shortcuts() -> Iterator[None]:
    """Takes the shortcuts until it is left."""
    memory = _Memory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(algorithms, "VerifyKey", memory.key)
        patch.setattr(canonical, "decode", memory.decode)
        patch.setattr(labels, "to_bytes", memory.encode)
        patch.setattr(Charter, "digest", property(memory.digest))
        yield
