"""A signed statement: canonical bytes of one structure, and one identity key's signature.

The bytes travel as they were signed. A `Signed` proves nothing until it was opened.
"""

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from protocol.identifiers import IdentityKey, Signature
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.signing.algorithms import verify_identity
from protocol.signing.labels import Label, labelled

S = TypeVar("S")

Sign = Callable[[bytes], bytes]
"""Signs a message with a key that the caller holds: Ed25519 where an identity key is meant."""


class Signed(Struct):
    """A statement's canonical bytes and the signature over label and bytes."""

    statement: Annotated[bytes, msgspec.Meta(max_length=1 << 20)]
    signature: Signature


def sign_statement(label: Label, statement: Struct, sign: Sign) -> Signed:
    """Signs the canonical bytes of `statement` under `label`."""
    data = to_bytes(statement)
    return Signed(statement=data, signature=Signature(sign(labelled(label, data))))


def open_statement(kind: type[S], label: Label, signed: Signed, key: IdentityKey) -> S:
    """The statement, if `key` signed it under `label`; Violation otherwise."""
    verify_identity(key, labelled(label, signed.statement), signed.signature)
    return from_bytes(kind, signed.statement)
