"""The key file, version 1: a signature key, a master key part or an agent's identity key.

    magic line | length of header | header | body | SHA-256 of all before

The header is public, canonical msgpack. The body of a signature key or key part is locked with a
password: Argon2id makes the key, XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) seals, and all
that stands before the body is its associated data. An agent's identity key is not locked. Why all
this: `docs/decisions/0003-key-file.md`. Byte by byte, for who writes a reader of their own:
`docs/reference/key-file.md`.

Practice files may have a cheap lock. They say so in the header, and real work never takes them
(`check_practice`); a real file can't be written below the floor (`password_lock`).
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Generic

import nacl.bindings as sodium
import nacl.exceptions

from protocol.displayable import AdministratorName, PersonName
from protocol.files.keyfile_header import (
    H,
    Header,
    IdentityHeader,
    KeyPartHeader,
    L,
    LockedHeader,
    PartName,
    SignatureKeyHeader,
    kind_of,
)
from protocol.files.password_lock import CEILING, PasswordLock, check_may_write, derive
from protocol.files.private_keys import SEED_BYTES, private_key_length, public_key_of
from protocol.identifiers import VP, IdentityKey, Instant, grouped
from protocol.schema import from_bytes, to_bytes
from protocol.secrets import Secret
from protocol.signing.algorithms import Algorithm, ski_of
from protocol.violations import Violation

MAGIC = b"quorate key file 1\n"
MAX_BYTES = 8 * 1024
"""No key file is longer; who reads one from a disk need not read further."""

PART_BYTES = 32
_HEADER: Any = Header  # a union, where a type checker wants one class
_TAG_BYTES = 16
_LENGTH_BYTES = 2
_CHECKSUM_BYTES = 32


class KeyFileError(Exception):
    """The key file can't be used."""

    def __init__(self, *, expected: str | None = None, found: str | None = None) -> None:
        """`expected` and `found` are the values compared, fit to be shown; never secrets."""
        super().__init__(type(self).__doc__)
        self.expected = expected
        self.found = found


class WrongPassword(KeyFileError):
    """The password is wrong; the file is undamaged."""


class Damaged(KeyFileError):
    """The file isn't as it was written; no password can open it."""


class Unsupported(KeyFileError):
    """The file isn't a key file that this program can use here."""


class OtherKey(KeyFileError):
    """The file holds another key than the one that is meant."""


class WrongPractice(KeyFileError):
    """Practice keys serve practice only, and real keys never practise."""


class OutOfMemory(KeyFileError):
    """This machine can't give the memory that opening the file takes; the file is undamaged."""


@dataclass(frozen=True, repr=False)
class KeyFile(Generic[H]):
    """A whole key file: its checksum held and its header is valid. Only `parse` makes one."""

    header: H
    preamble: bytes
    """All that stands before the body, byte for byte: the body's associated data."""
    body: bytes


def parse(kind: type[H], data: bytes) -> KeyFile[H]:
    """Reads a key file of one kind. No password is needed.

    Damaged if these aren't the bytes that were written. Unsupported if they are, but are no key
    file of this version and kind, or one that asks for more than `CEILING`.
    """
    file = parse_any(data)
    if not isinstance(file.header, kind):
        raise Unsupported(expected=kind_of(kind), found=kind_of(type(file.header)))
    return KeyFile(header=file.header, preamble=file.preamble, body=file.body)


def parse_any(data: bytes) -> KeyFile[Header]:
    """Reads a key file of whichever kind; errors as `parse`."""
    content = _without_checksum(data)
    _check_version(content)
    start = len(MAGIC) + _LENGTH_BYTES
    end = start + int.from_bytes(content[len(MAGIC) : start])
    try:
        header: Header = from_bytes(_HEADER, content[start:end])
    except Violation:  # a file is no peer: nothing to close, only a file to refuse
        raise Unsupported(expected="a valid header", found="another") from None
    body = content[end:]
    if len(body) != _body_length(header):
        raise Unsupported(expected=f"{_body_length(header)} bytes of body", found=str(len(body)))
    if not isinstance(header, IdentityHeader) and not CEILING.reaches(header.lock.cost):
        raise Unsupported(expected=f"at most {CEILING} to open", found=str(header.lock.cost))
    return KeyFile(header=header, preamble=content[:end], body=body)


def unlock(file: KeyFile[L], password: Secret) -> Secret:
    """The private key or key part in a locked file, checked against the header.

    WrongPassword or OutOfMemory; Damaged if what the password opened isn't what the header says.
    """
    lock = file.header.lock
    try:
        content = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            file.body, file.preamble, lock.nonce, _key(password, lock)
        )
    except nacl.exceptions.CryptoError:
        raise WrongPassword from None
    _check_content(file.header, content)
    return Secret(content)


def identity_private_key(file: KeyFile[IdentityHeader]) -> Secret:
    """The Ed25519 seed of an agent's identity; Damaged if it isn't that of the header's key."""
    _check_content(file.header, file.body)
    return Secret(file.body)


def check_practice(header: LockedHeader, *, practice: bool) -> None:
    """PRACTICE_APART: a key serves practice or real work, as it was made. Raises WrongPractice.

    So a cheap lock never guards a key that counts, and a real key part is never sealed to a unit
    that people only practise on.
    """
    if header.practice != practice:
        words = {True: "a practice key", False: "a real key"}
        raise WrongPractice(expected=words[practice], found=words[header.practice])


def write_signature_key(
    private_key: Secret,
    password: Secret,
    *,
    name: AdministratorName,
    algorithm: Algorithm,
    created: Instant,
    practice: bool,
    lock: PasswordLock,
) -> bytes:
    """The bytes of a new signature key file. ValueError for what may not be written."""
    public_key = public_key_of(algorithm, private_key.reveal())
    header = SignatureKeyHeader(
        name=name,
        algorithm=algorithm,
        public_key=public_key,
        ski=ski_of(algorithm, public_key),
        created=created,
        practice=practice,
        lock=lock,
    )
    return _locked(header, private_key, password)


def write_key_part(
    part: Secret,
    password: Secret,
    *,
    name: PartName,
    created: Instant,
    practice: bool,
    lock: PasswordLock,
) -> bytes:
    """The bytes of a new key part file. ValueError for what may not be written."""
    vp = vp_of(part.reveal())
    header = KeyPartHeader(name=name, vp=vp, created=created, practice=practice, lock=lock)
    return _locked(header, part, password)


def write_identity(private_key: Secret, *, name: PersonName, created: Instant) -> bytes:
    """The bytes of a new identity file. They hold the private key in the clear."""
    seed = private_key.reveal()
    key = IdentityKey(public_key_of(Algorithm.ED25519, seed))
    return _with_checksum(_preamble(IdentityHeader(name=name, key=key, created=created)) + seed)


def with_new_password(file: KeyFile[L], old: Secret, new: Secret, *, lock: PasswordLock) -> bytes:
    """The same key under another password; nothing else changes. `lock` has fresh randomness.

    Errors as `unlock`, and ValueError for what may not be written.
    """
    with unlock(file, old) as content:
        return _locked(file.header.but(lock=lock), content, new)


def vp_of(part: bytes) -> VP:
    """The verification pattern of a key part: its SHA-256. ValueError if it hasn't 32 bytes."""
    if len(part) != PART_BYTES:
        raise ValueError(f"a key part has {PART_BYTES} bytes")
    return VP(hashlib.sha256(part).digest())


def _key(password: Secret, lock: PasswordLock) -> bytes:
    try:
        return derive(password, lock)
    except MemoryError:
        raise OutOfMemory(expected=f"{lock.cost.memlimit} bytes") from None


def _locked(header: LockedHeader, content: Secret, password: Secret) -> bytes:
    if password.is_empty():
        raise ValueError("an empty password means No; no file is written with it")
    check_may_write(header.lock.cost, practice=header.practice)
    preamble = _preamble(header)
    body = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
        content.reveal(), preamble, header.lock.nonce, _key(password, header.lock)
    )
    return _with_checksum(preamble + body)


def _preamble(header: Header) -> bytes:
    data = to_bytes(header)
    try:
        from_bytes(_HEADER, data)
    except Violation as wrong:  # what came isn't a peer's but our caller's: a bug
        raise ValueError(f"this header couldn't be read again: {wrong}") from None
    return MAGIC + len(data).to_bytes(_LENGTH_BYTES) + data


def _with_checksum(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


def _without_checksum(data: bytes) -> bytes:
    content, written = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if not content:
        raise Damaged(expected="a whole key file", found=f"{len(data)} bytes")
    now = hashlib.sha256(content).digest()
    if now != written:
        raise Damaged(expected=f"checksum {written.hex()[:8]}", found=now.hex()[:8])
    return content


def _check_version(content: bytes) -> None:
    if content.startswith(MAGIC):
        return
    family = MAGIC[: MAGIC.rindex(b" ") + 1]
    found = "another version" if content.startswith(family) else "another kind of file"
    raise Unsupported(expected="a key file of version 1", found=found)


def _body_length(header: Header) -> int:
    match header:
        case SignatureKeyHeader():
            return private_key_length(header.algorithm) + _TAG_BYTES
        case KeyPartHeader():
            return PART_BYTES + _TAG_BYTES
        case IdentityHeader():
            return SEED_BYTES


def _check_content(header: Header, content: bytes) -> None:
    """CONTENT_IS_AS_NAMED: the secret is the one whose public side the header shows."""
    expected: bytes
    found: bytes
    try:
        match header:
            case SignatureKeyHeader():
                public_key = public_key_of(header.algorithm, content)
                expected, found = header.ski, ski_of(header.algorithm, public_key)
            case KeyPartHeader():
                expected, found = header.vp, vp_of(content)
            case IdentityHeader():
                expected, found = header.key, public_key_of(Algorithm.ED25519, content)
    except ValueError:
        raise Damaged(expected="a private key", found="no number that can be one") from None
    if found != expected:
        raise Damaged(expected=grouped(expected), found=grouped(found))
