"""Checkpoints: what a log signs to say "I have so many entries, and this is their root".

A checkpoint is a *signed note*: text, an empty line, and a line for each signature. The formats
are C2SP's `tlog-checkpoint` (v1) and `signed-note` (v1), with Ed25519 (RFC 8032) as the log's
algorithm. Stricter than C2SP in two things: the key's name is the origin, and a checkpoint has no
extension lines. Signatures by other keys, those of witnesses for one, are ignored, as C2SP asks.

Bytes that aren't such a note, or that the log didn't sign, raise Violation.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from protocol.identifiers import Digest, IdentityKey
from protocol.record.proofs import ProofFailed, verify_consistency
from protocol.record.tree import EMPTY_ROOT, MAX_SIZE, Hash, Path, Size
from protocol.schema import Struct
from protocol.violations import Violation

MAX_NOTE_BYTES = 256 * 1024
MAX_SIGNATURES = 64
"""C2SP asks for room for at least 16, each of up to 5 kB."""

_ED25519 = b"\x01"
_SIGNATURE_BYTES = 64
_ROOT_BYTES = len(EMPTY_ROOT)
_DASH = "\N{EM DASH} "
_SIZE = re.compile(r"0|[1-9][0-9]*")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")  # all ASCII control characters but newline

MAX_ORIGIN = 255
Origin = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ORIGIN)]
"""A log's name, for ever the same and no other log's."""


class Checkpoint(Struct):
    """How large a log is, and the root over its leaves at that size (RFC 6962, section 2.1)."""

    origin: Origin
    size: Size
    root: Hash

    def invariant(self) -> str | None:
        if not 0 < len(self.origin) <= MAX_ORIGIN:
            return f"an origin has 1 to {MAX_ORIGIN} characters"
        if "\n" in self.origin or _CONTROL.search(self.origin):
            return "an origin is one line of text"
        if not 0 <= self.size <= MAX_SIZE:
            return "a size is a number below 2**63"
        if len(self.root) != _ROOT_BYTES:
            return "a root is 32 bytes"
        if self.size == 0 and self.root != EMPTY_ROOT:
            return "the empty tree has another root"
        return None


def log_origin(public_key: IdentityKey) -> str:
    """The origin of the log that signs with this key: one key, one log, one name."""
    return "quorate-log/" + hashlib.sha256(public_key).hexdigest()[:32]


def checkpoint_digest(note: bytes) -> Digest:
    """SHA-256 of the signed note: what the opening of a request names."""
    return Digest(hashlib.sha256(note).digest())


def verify_extends(old: Checkpoint, new: Checkpoint, path: Path) -> None:
    """`new` is of the same log as `old` and holds all that `old` held; else ProofFailed."""
    if old.origin != new.origin:
        raise ProofFailed("checkpoints of two logs")
    verify_consistency(
        old_size=old.size, old_root=old.root, new_size=new.size, new_root=new.root, path=path
    )


def sign_checkpoint(
    checkpoint: Checkpoint, *, public_key: IdentityKey, sign: Callable[[bytes], bytes]
) -> bytes:
    """The signed note. `sign` makes the 64 bytes of an Ed25519 signature with the log's key."""
    return sign_note(
        format_checkpoint(checkpoint), name=checkpoint.origin, public_key=public_key, sign=sign
    )


def open_checkpoint(note: bytes, *, name: str, public_key: IdentityKey) -> Checkpoint:
    """The checkpoint in `note`, once the log `name` is known to have signed it with this key."""
    checkpoint = parse_checkpoint(open_note(note, name=name, public_key=public_key))
    if checkpoint.origin != name:
        raise Violation("the checkpoint is that of another log")
    return checkpoint


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text that is signed: origin, size, root in base64, each on a line of its own."""
    root = base64.b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Reads what `format_checkpoint` writes. Says nothing of who wrote it."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise Violation("a checkpoint is three lines")
    origin, size, root = lines[:3]
    if not _SIZE.fullmatch(size):
        raise Violation("a checkpoint's size is a decimal number without leading zeros")
    try:
        return Checkpoint(origin=origin, size=int(size), root=Hash(_base64(root)))
    except ValueError as error:
        raise Violation(f"not a valid checkpoint: {error}") from None


class _Line(NamedTuple):
    """One signature line of a note, unverified."""

    name: str
    key_id: bytes
    signature: bytes


def sign_note(
    text: str, *, name: str, public_key: IdentityKey, sign: Callable[[bytes], bytes]
) -> bytes:
    """`text` with one Ed25519 signature. ValueError for what can't be a note."""
    if not _is_key_name(name):
        raise ValueError("a key's name is text without spaces and plus signs")
    if not text.endswith("\n") or _CONTROL.search(text):
        raise ValueError("a note's text is whole lines without control characters")
    signature = sign(text.encode())
    if len(signature) != _SIGNATURE_BYTES:
        raise ValueError("an Ed25519 signature is 64 bytes")
    signed = base64.b64encode(_key_id(name, public_key) + signature).decode()
    return f"{text}\n{_DASH}{name} {signed}\n".encode()


def open_note(note: bytes, *, name: str, public_key: IdentityKey) -> str:
    """The text of `note`, once it is known to be signed with this key under this name.

    A signature that claims the key and fails is a Violation, whatever else signed the note.
    """
    text, lines = _split(note)
    verifier = VerifyKey(public_key)
    key_id = _key_id(name, public_key)
    ours = [line for line in lines if (line.name, line.key_id) == (name, key_id)]
    if not ours:
        raise Violation("the note has no signature by the expected key")
    for line in ours:
        if len(line.signature) != _SIGNATURE_BYTES:
            raise Violation("the note's signature isn't 64 bytes long")
        try:
            verifier.verify(text.encode(), line.signature)
        except BadSignatureError:
            raise Violation("the note's signature is wrong") from None
    return text


def _split(note: bytes) -> tuple[str, list[_Line]]:
    if len(note) > MAX_NOTE_BYTES:
        raise Violation(f"a note of {len(note)} bytes where {MAX_NOTE_BYTES} are allowed")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise Violation("a note is UTF-8 text") from None
    if _CONTROL.search(whole):
        raise Violation("a note has no control characters")
    text, separator, signatures = whole.rpartition("\n\n")
    if not separator or not text or not signatures.endswith("\n"):
        raise Violation("a note is text, an empty line, and signature lines")
    lines = signatures.removesuffix("\n").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise Violation(f"a note with {len(lines)} signatures where {MAX_SIGNATURES} are allowed")
    return text + "\n", [_parse_line(line) for line in lines]


def _parse_line(line: str) -> _Line:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not _is_key_name(name):
        raise Violation("a signature line is a dash, a key's name and a signature")
    signed = _base64(encoded)
    if len(signed) < 5:
        raise Violation("a signature line holds a key id and a signature")
    return _Line(name, signed[:4], signed[4:])


def _key_id(name: str, public_key: IdentityKey) -> bytes:
    """C2SP signed-note, "Ed25519 signatures": tells keys apart, proves nothing."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def _is_key_name(name: str) -> bool:
    return name != "" and "+" not in name and not any(map(str.isspace, name))


def _base64(text: str) -> bytes:
    """Standard base64 with padding (RFC 4648, section 4), in its one canonical spelling."""
    try:
        value = base64.b64decode(text)  # forgiving: what it forgave shows below
    except ValueError:
        raise Violation("not base64") from None
    if base64.b64encode(value).decode() != text:
        raise Violation("not base64 in its canonical spelling")
    return value
