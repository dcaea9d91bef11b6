"""The public header of a key file: what it holds, for whom, how it is locked.

Anybody may read a header; that nobody changed it shows only when the password opens the body
(`keyfile.unlock`). An identity file has no password: its header is as good as the file's mode.
"""

from typing import Annotated, NewType, TypeAlias, TypeVar

import msgspec

from protocol.displayable import PRINTABLE_STRING, AdministratorName, PersonName
from protocol.files.password_lock import PasswordLock
from protocol.identifiers import SKI, VP, IdentityKey, Instant
from protocol.schema import Variant
from protocol.signing.algorithms import Algorithm, ski_of

PartName = NewType(
    "PartName",
    Annotated[str, msgspec.Meta(min_length=1, max_length=30, pattern=PRINTABLE_STRING)],
)
"""What its custodian calls a key part: 1 to 30 characters of ASN.1 PrintableString."""


class SignatureKeyHeader(Variant, tag="signature-key"):
    """An administrator's key. The body is the private key, as `private_keys` describes it."""

    name: AdministratorName
    algorithm: Algorithm
    public_key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=4096)]
    ski: SKI
    created: Instant
    practice: bool
    lock: PasswordLock

    def invariant(self) -> str | None:
        if ski_of(self.algorithm, self.public_key) != self.ski:
            return "the SKI is not that of the public key"
        return None


class KeyPartHeader(Variant, tag="key-part"):
    """A master key part. The body is its 32 bytes, of which `vp` is the SHA-256."""

    name: PartName
    vp: VP
    created: Instant
    practice: bool
    lock: PasswordLock


class IdentityHeader(Variant, tag="agent-identity"):
    """An agent's identity key. The body is its Ed25519 seed, in the clear."""

    name: PersonName
    key: IdentityKey
    created: Instant


LockedHeader: TypeAlias = SignatureKeyHeader | KeyPartHeader
Header: TypeAlias = LockedHeader | IdentityHeader

H = TypeVar("H", bound=Header)
L = TypeVar("L", bound=LockedHeader)


def kind_of(header: type[Variant]) -> str:
    """The kind of a header, as files and people call it."""
    return str(header.__struct_config__.tag)
