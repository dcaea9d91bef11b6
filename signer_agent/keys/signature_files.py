"""Signature key files: `alice.sig`. Made here, by the agent of who signs with them."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA512

from protocol.claims import ProvenKey
from protocol.displayable import AdministratorName
from protocol.files.keyfile import MAX_BYTES, parse, write_signature_key
from protocol.files.keyfile_header import SignatureKeyHeader
from protocol.files.private_keys import ed25519, hybrid, p521, private_key_length
from protocol.identifiers import SKI, Instant
from protocol.schema import from_bytes, to_bytes
from protocol.secrets import Secret
from protocol.signing.algorithms import Algorithm
from protocol.violations import Violation
from quorate import private_files
from quorate.crash_points import crash_point
from quorate.exits import Trouble
from signer_agent.keys import locked_files
from signer_agent.keys.locked_files import Listing, LockedFile
from signer_agent.steps import KEY_FILE_WRITTEN, OFFER_WRITTEN

SUFFIX = ".sig"
OFFER = ".offer"
"""The file beside it: the public key, with the proof that it is its owner's."""


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

    def remove(self) -> None:
        """Deletes the file and its offer."""
        super().remove()
        self.path.with_suffix(OFFER).unlink(missing_ok=True)

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
    offer: Callable[[UnlockedKey], ProvenKey] | None = None,
) -> SignatureKeyFile:
    """Makes a new key and its file in `directory`. Trouble if it can't be stored.

    `offer` makes the key's offer, which is kept beside the file, in `alice.offer`. It is written
    first, so that a key file that is there can be offered without its password.
    """
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
        header = parse(SignatureKeyHeader, data).header
        proven = None if offer is None else offer(UnlockedKey(header, private_key))
    untouched = "no signature key was made"
    path = locked_files.place(directory, name, SUFFIX)
    if proven is not None:
        private_files.write(path.with_suffix(OFFER), to_bytes(proven), untouched=untouched)
        crash_point(OFFER_WRITTEN)
    private_files.create(path, data, untouched=untouched)
    crash_point(KEY_FILE_WRITTEN)
    return open_file(path)


def offer_of(file: SignatureKeyFile) -> ProvenKey | None:
    """The offer beside a key file, if it is that key's; checked by its signature."""
    try:
        data = private_files.read(file.path.with_suffix(OFFER), limit=MAX_BYTES)
        proven = from_bytes(ProvenKey, data)
        proven.check()
    except (FileNotFoundError, Trouble, Violation):
        return None
    return proven if proven.ski == file.ski else None


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
