"""Sealing 32 bytes to one reader: HPKE (RFC 9180) base mode with a hybrid KEM.

The suite is MLKEM768-X25519 (KEM id 0x647A, "X-Wing", draft-connolly-cfrg-xwing-kem-10, in HPKE by
draft-ietf-hpke-pq-04), HKDF-SHA256 and ChaCha20Poly1305. Encapsulated key and ciphertext come one
after the other: 1120 + 32 + 16 = 1168 bytes.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocol.violations import Violation

SUITE_NAME = "MLKEM768-X25519/HKDF-SHA256/ChaCha20Poly1305, draft-ietf-hpke-pq-04"
SEALED_BYTES = 1168
PRIVATE_KEY_BYTES = 64 + 32
_MLKEM_PUBLIC = 1184
_MLKEM_SEED = 64
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def public_key_of(private_key: bytes) -> bytes:
    """The 1216 public bytes that belong to the 96 private ones: ML-KEM seed, X25519 scalar."""
    mlkem, x25519 = _private(private_key)
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def seal(plaintext: bytes, public_key: bytes, *, info: bytes) -> bytes:
    """Seals `plaintext`, bound to `info`. Draws its own randomness; Violation if the key is bad."""
    try:
        mlkem = MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC])
        x25519 = X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC:])
        return _SUITE.encrypt(plaintext, hpke.MLKEM768X25519PublicKey(mlkem, x25519), info=info)
    except ValueError:
        raise Violation("not an importer key that parts can be sealed to") from None


def unseal(sealed: bytes, private_key: bytes, *, info: bytes) -> bytes:
    """Opens what was sealed to this key with this `info`; Violation if it wasn't."""
    mlkem, x25519 = _private(private_key)
    try:
        return _SUITE.decrypt(sealed, hpke.MLKEM768X25519PrivateKey(mlkem, x25519), info=info)
    except (InvalidTag, ValueError):
        raise Violation("not sealed to this key for this purpose") from None


def _private(private_key: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    mlkem = MLKEM768PrivateKey.from_seed_bytes(private_key[:_MLKEM_SEED])
    return mlkem, X25519PrivateKey.from_private_bytes(private_key[_MLKEM_SEED:])
