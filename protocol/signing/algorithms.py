"""The signature algorithms. An algorithm belongs to a key from the day it is installed.

`ed25519` is RFC 8032; a public key is its 32 raw bytes. `ecdsa-p521-sha512` is FIPS 186-5 with
DER signatures (RFC 3279, 2.2.3); a public key is the 133 bytes `04` ‖ X ‖ Y (SEC 1, 2.3.3).
`ed25519+ml-dsa-65` is both Ed25519 and ML-DSA-65 (FIPS 204), public keys and signatures one after
the other; both must verify.
"""

import hashlib
from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.hashes import SHA512
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from protocol.identifiers import SKI, IdentityKey
from protocol.violations import Violation

_ED25519_KEY = 32
_ED25519_SIGNATURE = 64
_P521_KEY = 133
_ML_DSA_65_KEY = 1952


class Algorithm(StrEnum):
    """How a signature key signs."""

    ED25519 = "ed25519"
    ECDSA_P521_SHA512 = "ecdsa-p521-sha512"
    ED25519_ML_DSA_65 = "ed25519+ml-dsa-65"


@lru_cache(maxsize=1024)
def ski_of(algorithm: Algorithm, public_key: bytes) -> SKI:
    """The subject key identifier: SHA-256 of the public key. Violation if it is malformed."""
    check_public_key(algorithm, public_key)
    return SKI(hashlib.sha256(public_key).digest())


def check_public_key(algorithm: Algorithm, public_key: bytes) -> None:
    """Raises Violation unless `public_key` is a well-formed key of `algorithm`."""
    try:
        match algorithm:
            case Algorithm.ED25519:
                VerifyKey(public_key)
            case Algorithm.ECDSA_P521_SHA512:
                _p521(public_key)
            case Algorithm.ED25519_ML_DSA_65:
                VerifyKey(public_key[:_ED25519_KEY])
                mldsa.MLDSA65PublicKey.from_public_bytes(public_key[_ED25519_KEY:])
    except (ValueError, TypeError):
        raise Violation(f"not a public key for {algorithm.value}") from None


def verify(algorithm: Algorithm, public_key: bytes, message: bytes, signature: bytes) -> None:
    """Raises Violation unless `signature` is that of `message` under `public_key`."""
    try:
        match algorithm:
            case Algorithm.ED25519:
                VerifyKey(public_key).verify(message, signature)
            case Algorithm.ECDSA_P521_SHA512:
                _p521(public_key).verify(signature, message, ec.ECDSA(SHA512()))
            case Algorithm.ED25519_ML_DSA_65:
                VerifyKey(public_key[:_ED25519_KEY]).verify(message, signature[:_ED25519_SIGNATURE])
                mldsa.MLDSA65PublicKey.from_public_bytes(public_key[_ED25519_KEY:]).verify(
                    signature[_ED25519_SIGNATURE:], message
                )
    except (BadSignatureError, InvalidSignature, ValueError, TypeError):
        raise Violation("a signature that doesn't verify") from None


def verify_identity(key: IdentityKey, message: bytes, signature: bytes) -> None:
    """Ed25519 under an agent's, unit's, coordinator's or vendor's identity key."""
    verify(Algorithm.ED25519, key, message, signature)


def _p521(public_key: bytes) -> ec.EllipticCurvePublicKey:
    if len(public_key) != _P521_KEY:
        raise ValueError("a P-521 public key has 133 bytes")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP521R1(), public_key)
