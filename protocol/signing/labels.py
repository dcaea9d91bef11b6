"""Domain separation: no signed or hashed bytes can be taken for another kind of bytes.

Signed or hashed bytes are an ASCII label with a version, a zero byte, and the canonical bytes of
one structure. A change of any structure below is a new label. The list is part of the format:
`docs/decisions/0001-signed-bytes.md`.
"""

import hashlib
from enum import Enum

from protocol.identifiers import Digest
from protocol.schema import Struct, to_bytes


class Label(bytes, Enum):
    """What a signature or digest is about."""

    COMMAND = b"quorate command v1"
    STATE = b"quorate state v1"
    STATE_ANSWER = b"quorate state answer v1"
    HISTORY = b"quorate history v1"
    REFUSAL = b"quorate refusal v1"
    UNIT_CERTIFICATE = b"quorate unit certificate v1"
    IMPORTER_KEY = b"quorate importer key v1"
    CONTRIBUTION = b"quorate contribution v1"
    SEALING = b"quorate sealing v1"
    COPY = b"quorate copy v1"
    RECEIVERS = b"quorate receivers v1"
    PERSON = b"quorate person v1"
    CHARTER = b"quorate charter v1"
    ACCEPTANCE = b"quorate acceptance v1"
    FILING = b"quorate filing v1"
    REQUEST = b"quorate request v1"
    REJECTION = b"quorate rejection v1"
    ANNOUNCEMENT = b"quorate announcement v1"
    HELLO = b"quorate hello v1"
    REPORT = b"quorate report v1"
    REPORT_SEAL = b"quorate report seal v1"
    INTRODUCTION = b"quorate introduction v1"
    KEY_REQUEST = b"quorate key request v1"
    KEY_ANSWER = b"quorate key answer v1"
    KEY_EVENT = b"quorate key event v1"
    KEY_INVENTORY = b"quorate key inventory v1"
    KEY_BLOB = b"quorate key blob v1"
    ROOT_KEY_WRAP = b"quorate root key wrap v1"


def labelled(label: Label, value: Struct | bytes) -> bytes:
    """Label, zero byte, canonical bytes: what is signed."""
    return label.value + b"\0" + (value if isinstance(value, bytes) else to_bytes(value))


def digest(label: Label, value: Struct | bytes) -> Digest:
    """SHA-256 of the labelled bytes."""
    return Digest(hashlib.sha256(labelled(label, value)).digest())
