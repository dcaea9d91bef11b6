"""Signature key files: `alice.sig`. Made here, by the agent of who signs with them."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA512

from protocol.displayable import AdministratorName
from protocol.files.keyfile import write_signature_key
from protocol.files.keyfile_header import SignatureKeyHeader
from protocol.files.private_keys import ed25519, hybrid, p521, private_key_length
from protocol.identifiers import SKI, Instant
from protocol.secrets import Secret
from protocol.signing.algorithms import Algorithm
from signer_agent.keys import locked_files
from signer_agent.keys.locked_files import Listing, LockedFile

SUFFIX = ".sig"


class UnlockedKey:
    """A signature key, ready to sign. As a context manager it wipes itself at the end."""

    def __init__(self, header: SignatureKeyHeader, private_key: Secret) -> None:
        self.name = header.name
        self.algorithm = header.algorithm
        self.public_key = header.public_key
        self.ski = header.ski
        self._private_key = private_key

    def sign(self, message: bytes) -> bytes:
        """A signature as `protocol.signing.algorithms.verify` takes it. ValueError once wiped.

        P-521 takes its per-signature number from key and message (RFC 6979), so that no weakness
        of this machine's randomness can give the key away.
        """
        private_key = self._private_key.reveal()
        match self.algorithm:
            case Algorithm.ED25519:
                return ed25519(private_key).sign(message).signature
            case Algorithm.ECDSA_P521_SHA512:
                how = ec.ECDSA(SHA512(), deterministic_signing=True)
                return p521(private_key).sign(message, how)
            case Algorithm.ED25519_ML_DSA_65:
                classical, post_quantum = hybrid(private_key)
                return classical.sign(message).signature + post_quantum.sign(message)

    def wipe(self) -> None:
        """Overwrites the private key, as far as Python can (`protocol.secrets`)."""
        self._private_key.wipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"<unlocked key {self.ski.hex()[:8]}>"


@dataclass(frozen=True)
class SignatureKeyFile(LockedFile[SignatureKeyHeader]):
    """A signature key file that was whole, and private to its owner, when it was looked at."""

    @property
    def name(self) -> AdministratorName:
        """The administrator's name."""
        return self.header.name

    @property
    def ski(self) -> SKI:
        """The subject key identifier."""
        return self.header.ski

    def unlock(self, password: Secret, *, practice: bool) -> UnlockedKey:
        """Opens the file, as it is now, for a charter that is practice or isn't.

        WrongPractice if the key wasn't made for that; WrongPassword; Damaged, Unsupported or
        OtherKey if the file isn't what it was; OutOfMemory; Trouble if others can read it. Takes
        most of a second of one core and 256 MiB: not for an event loop's own thread.
        """
        return UnlockedKey(self.header, self._open(password, practice=practice))


def generate(
    directory: Path,
    password: Secret,
    *,
    name: AdministratorName,
    algorithm: Algorithm,
    practice: bool,
    at: Instant,
) -> SignatureKeyFile:
    """Makes a new key and its file in `directory`. Trouble if it can't be stored."""
    with _new_private_key(algorithm) as private_key:
        data = write_signature_key(
            private_key,
            password,
            name=name,
            algorithm=algorithm,
            created=at,
            practice=practice,
            lock=locked_files.new_lock(practice=practice),
        )
    untouched = "no signature key was made"
    return open_file(locked_files.store(directory, name, SUFFIX, data, untouched=untouched))


def open_file(path: Path) -> SignatureKeyFile:
    """Looks at one signature key file, without its password. Errors as `unlock`."""
    return SignatureKeyFile(path, locked_files.read(SignatureKeyHeader, path).header)


def list_in(directory: Path) -> Listing[SignatureKeyFile]:
    """The signature key files in `directory`, and those that can't be used."""
    return locked_files.list_in(directory, SUFFIX, open_file)


def _new_private_key(algorithm: Algorithm) -> Secret:
    length = private_key_length(algorithm)
    match algorithm:
        case Algorithm.ED25519 | Algorithm.ED25519_ML_DSA_65:
            return Secret(secrets.token_bytes(length))
        case Algorithm.ECDSA_P521_SHA512:
            number = ec.generate_private_key(ec.SECP521R1()).private_numbers().private_value
            return Secret(number.to_bytes(length))
