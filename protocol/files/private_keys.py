"""Private signature keys as bytes: how long they are, and which public key each has.

- `ed25519`: the 32-byte seed (RFC 8032, 5.1.5).
- `ecdsa-p521-sha512`: the private number, 66 bytes, most significant first (SEC 1, 2.3.7).
- `ed25519+ml-dsa-65`: the Ed25519 seed, then the 32-byte seed of ML-DSA (FIPS 204, 6.1).
"""

from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.signing import SigningKey

from protocol.signing.algorithms import Algorithm

SEED_BYTES = 32


def private_key_length(algorithm: Algorithm) -> int:
    """How many bytes a private key has."""
    match algorithm:
        case Algorithm.ED25519:
            return SEED_BYTES
        case Algorithm.ECDSA_P521_SHA512:
            return 66
        case Algorithm.ED25519_ML_DSA_65:
            return 2 * SEED_BYTES


def public_key_of(algorithm: Algorithm, private_key: bytes) -> bytes:
    """The public key, as `protocol.signing.algorithms` describes it. ValueError if malformed."""
    if len(private_key) != private_key_length(algorithm):
        raise ValueError(f"not the length of a private key for {algorithm.value}")
    match algorithm:
        case Algorithm.ED25519:
            return bytes(ed25519(private_key).verify_key)
        case Algorithm.ECDSA_P521_SHA512:
            public = p521(private_key).public_key()
            return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        case Algorithm.ED25519_ML_DSA_65:
            classical, post_quantum = hybrid(private_key)
            return bytes(classical.verify_key) + post_quantum.public_key().public_bytes_raw()


def ed25519(private_key: bytes) -> SigningKey:
    """The library's object for a private key of `ed25519`."""
    return SigningKey(private_key)


def p521(private_key: bytes) -> ec.EllipticCurvePrivateKey:
    """The library's object for a private key of `ecdsa-p521-sha512`."""
    return ec.derive_private_key(int.from_bytes(private_key), ec.SECP521R1())


def hybrid(private_key: bytes) -> tuple[SigningKey, mldsa.MLDSA65PrivateKey]:
    """The libraries' objects for a private key of `ed25519+ml-dsa-65`."""
    classical, post_quantum = private_key[:SEED_BYTES], private_key[SEED_BYTES:]
    return SigningKey(classical), mldsa.MLDSA65PrivateKey.from_seed_bytes(post_quantum)
