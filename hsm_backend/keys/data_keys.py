"""What a root key does: it wraps data keys, with AES-256-GCM-SIV (RFC 8452), and opens them."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from protocol.keys.blobs import Blob
from protocol.keys.operations import KeyId, KeyVersion, StorageId
from protocol.refusals import Refusal, Rule, refuse


def wrap_data(
    root: bytes,
    storage: StorageId,
    key: KeyId,
    version: KeyVersion,
    *,
    data: bytes,
    associated: bytes,
    nonce: bytes,
) -> bytes:
    """A blob for the client. `nonce` are 12 random bytes."""
    blob = Blob(storage=storage, key=key, version=version, nonce=nonce, sealed=b"")
    sealed = AESGCMSIV(root).encrypt(nonce, data, blob.associated(associated))
    return Blob(storage=storage, key=key, version=version, nonce=nonce, sealed=sealed).to_bytes()


def unwrap_data(root: bytes, blob: Blob, associated: bytes) -> bytes | Refusal:
    """ASSOCIATED_DATA: the data key, if blob and associated data are as they were."""
    try:
        return AESGCMSIV(root).decrypt(blob.nonce, blob.sealed, blob.associated(associated))
    except (InvalidTag, ValueError):
        return refuse(
            Rule.ASSOCIATED_DATA,
            expected="the associated data given when it was wrapped",
            found=f"{len(associated)} bytes that it doesn't open with",
        )


def of_this_storage(blob: Blob, storage: StorageId | None) -> Refusal | None:
    """BLOB_OF_ANOTHER_INSTANCE: a blob is opened where its root key is."""
    if blob.storage == storage:
        return None
    return refuse(
        Rule.BLOB_OF_ANOTHER_INSTANCE,
        expected=f"key storage {storage.hex() if storage is not None else 'with a key in it'}",
        found=f"key storage {blob.storage.hex()}",
    )
