"""A wrapped data key as clients keep it.

    "QRK1"  storage id 16  key id 16  version 4  nonce 12  ciphertext  tag 16  checksum 8

Numbers are big-endian. The checksum is the first 8 bytes of SHA-256 over all before it: it tells a
blob that was damaged from one that is opened with the wrong associated data. It proves nothing.
"""

import hashlib
from dataclasses import dataclass

from protocol.keys.operations import MAX_BLOB, KeyId, KeyVersion, StorageId
from protocol.refusals import Refusal, Rule, refuse
from protocol.signing.labels import Label

MAGIC = b"QRK1"
NONCE_BYTES = 12
TAG_BYTES = 16
_HEADER = 4 + 16 + 16 + 4
_CHECKSUM = 8
OVERHEAD = _HEADER + NONCE_BYTES + TAG_BYTES + _CHECKSUM


@dataclass(frozen=True)
class Blob:
    """The pieces. `sealed` is ciphertext and tag."""

    storage: StorageId
    key: KeyId
    version: KeyVersion
    nonce: bytes
    sealed: bytes

    @property
    def header(self) -> bytes:
        """Which key of which storage: 40 bytes."""
        return MAGIC + self.storage + self.key + self.version.to_bytes(4, "big")

    def to_bytes(self) -> bytes:
        """What the client keeps."""
        body = self.header + self.nonce + self.sealed
        return body + _checksum(body)

    def associated(self, given: bytes) -> bytes:
        """The AEAD's associated data: label, header, and what the client gave."""
        return Label.KEY_BLOB.value + b"\0" + self.header + given


def parse_blob(data: bytes) -> Blob | Refusal:
    """BLOB_DAMAGED: whole, of a version that we know, and as it was written."""
    body, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if not OVERHEAD < len(data) <= MAX_BLOB:
        return _damaged(f"more than {OVERHEAD}, at most {MAX_BLOB} bytes", f"{len(data)} bytes")
    if data[:4] != MAGIC:
        return _damaged(f"{MAGIC.decode()} in front", data[:4].hex())
    if checksum != _checksum(body):
        return _damaged(f"checksum {_checksum(body).hex()}", checksum.hex())
    version = int.from_bytes(data[36:40], "big")
    if version == 0:
        return _damaged("a key version of 1 or more", "0")
    return Blob(
        storage=StorageId(data[4:20]),
        key=KeyId(data[20:36]),
        version=KeyVersion(version),
        nonce=body[_HEADER : _HEADER + NONCE_BYTES],
        sealed=body[_HEADER + NONCE_BYTES :],
    )


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECKSUM]


def _damaged(expected: str, found: str) -> Refusal:
    return refuse(Rule.BLOB_DAMAGED, expected=expected, found=found)
