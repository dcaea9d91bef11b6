"""What a master key does for key storage: it wraps root keys and vouches for the inventory.

Not by itself: by two keys derived from it (HKDF-SHA256, RFC 5869, no salt), one for each purpose.
Root keys are wrapped with AES-256-GCM-SIV (RFC 8452).
"""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hsm_backend.keys.inventory import Inventory
from protocol.identifiers import VP
from protocol.keys.blobs import NONCE_BYTES
from protocol.keys.operations import KeyId, KeyVersion, StorageId
from protocol.schema import Struct
from protocol.sealing.contribution import vp_of
from protocol.secrets import Secret
from protocol.signing.labels import Label, labelled

ROOT_KEY_BYTES = 32


class WrapPlace(Struct):
    """Where a wrapped root key belongs: the associated data of its wrap."""

    storage: StorageId
    key: KeyId
    version: KeyVersion
    master: VP


class MasterKey:
    """A master key at work, for the time of one call. `secret` is a register's 32 bytes."""

    def __init__(self, secret: Secret) -> None:
        key = secret.reveal()
        self.vp = vp_of(key)
        self._wrapping = AESGCMSIV(_derived(key, Label.ROOT_KEY_WRAP))
        self._inventory = _derived(key, Label.KEY_INVENTORY)

    def wrap(
        self, root: bytes, storage: StorageId, key: KeyId, version: KeyVersion, *, nonce: bytes
    ) -> bytes:
        """A root key for the database: nonce (12 random bytes), ciphertext, tag."""
        if len(root) != ROOT_KEY_BYTES or len(nonce) != NONCE_BYTES:
            raise ValueError("a root key has 32 bytes, a nonce 12")
        associated = self._place(storage, key, version)
        return nonce + self._wrapping.encrypt(nonce, root, associated)

    def unwrap(
        self, wrap: bytes, storage: StorageId, key: KeyId, version: KeyVersion
    ) -> bytes | None:
        """The root key; None unless this wrap was made for this very place."""
        nonce, sealed = wrap[:NONCE_BYTES], wrap[NONCE_BYTES:]
        try:
            root = self._wrapping.decrypt(nonce, sealed, self._place(storage, key, version))
        except (InvalidTag, ValueError):
            return None
        return root if len(root) == ROOT_KEY_BYTES else None

    def vouch(self, inventory: Inventory) -> bytes:
        """HMAC-SHA256 (RFC 2104) over the labelled inventory: 32 bytes."""
        mac = HMAC(self._inventory, SHA256())
        mac.update(labelled(Label.KEY_INVENTORY, inventory))
        return mac.finalize()

    def vouched(self, inventory: Inventory, tag: bytes) -> bool:
        """Whether a unit with this master key has written this inventory."""
        return hmac.compare_digest(self.vouch(inventory), tag)

    def _place(self, storage: StorageId, key: KeyId, version: KeyVersion) -> bytes:
        place = WrapPlace(storage=storage, key=key, version=version, master=self.vp)
        return labelled(Label.ROOT_KEY_WRAP, place)


def _derived(key: bytes, label: Label) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=label.value).derive(key)
