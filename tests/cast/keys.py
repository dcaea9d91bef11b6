"""Signature keys of every algorithm, made from a name: the same ones in every run."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA512

from protocol.files import private_keys
from protocol.identifiers import SKI, IdentityKey
from protocol.signing.algorithms import Algorithm, ski_of
from protocol.signing.statements import Sign

_P521_ORDER = ec.SECP521R1().group_order


@dataclass(frozen=True)
class SignatureKey:
    """A key pair; `sign` is all that is left of the private half."""

    algorithm: Algorithm
    public_key: bytes
    ski: SKI
    sign: Sign = field(repr=False, compare=False)

    @property
    def identity(self) -> IdentityKey:
        """The public key, where an Ed25519 key is somebody's identity."""
        assert self.algorithm is Algorithm.ED25519
        return IdentityKey(self.public_key)


@cache
def signature_key(name: str, algorithm: Algorithm = Algorithm.ED25519) -> SignatureKey:
    """The key of this name."""
    secret = private_key(name, algorithm)
    public_key = private_keys.public_key_of(algorithm, secret)
    return SignatureKey(
        algorithm=algorithm,
        public_key=public_key,
        ski=ski_of(algorithm, public_key),
        sign=_signer(algorithm, secret),
    )


def private_key(name: str, algorithm: Algorithm = Algorithm.ED25519) -> bytes:
    """The private half of the key of this name, as key files hold it."""
    drawn = noise(f"{algorithm.value} {name}", private_keys.private_key_length(algorithm))
    if algorithm is Algorithm.ECDSA_P521_SHA512:
        return (int.from_bytes(drawn) % (_P521_ORDER - 1) + 1).to_bytes(len(drawn))
    return drawn


def noise(what: str, length: int = 32) -> bytes:
    """Bytes that look random and are the same for the same `what`."""
    return hashlib.shake_256(b"quorate cast: " + what.encode()).digest(length)


def _signer(algorithm: Algorithm, private_key: bytes) -> Callable[[bytes], bytes]:
    match algorithm:
        case Algorithm.ED25519:
            ed25519 = private_keys.ed25519(private_key)
            return lambda message: ed25519.sign(message).signature
        case Algorithm.ECDSA_P521_SHA512:
            p521 = private_keys.p521(private_key)
            how = ec.ECDSA(SHA512(), deterministic_signing=True)
            return lambda message: p521.sign(message, how)
        case Algorithm.ED25519_ML_DSA_65:
            classical, post_quantum = private_keys.hybrid(private_key)
            return lambda message: classical.sign(message).signature + post_quantum.sign(message)
