"""The agent's identity key: who this agent is to the coordinator and to other agents.

It signs filings, contributions, rejections and acceptances, not commands. The daemon uses it
without a person there, so its file has no password; it is private to its owner and never copied
(`docs/decisions/0003-key-file.md`).
"""

import secrets
from pathlib import Path

from protocol.displayable import PersonName
from protocol.files.keyfile import (
    MAX_BYTES,
    KeyFileError,
    identity_private_key,
    parse,
    write_identity,
)
from protocol.files.keyfile_header import IdentityHeader
from protocol.files.private_keys import SEED_BYTES, ed25519
from protocol.identifiers import IdentityKey, Instant
from protocol.secrets import Secret
from quorate import private_files
from quorate.exits import Exit, Trouble

FILE_NAME = "agent.identity"


class AgentIdentity:
    """An agent's identity key, ready to sign."""

    def __init__(self, name: PersonName, key: IdentityKey, seed: Secret) -> None:
        self.name = name
        self.key = key
        self._seed = seed

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature, as `protocol.signing.algorithms.verify_identity` takes it."""
        return ed25519(self._seed.reveal()).sign(message).signature

    def __repr__(self) -> str:
        return f"<agent identity {self.name} {self.key.hex()[:8]}>"


def create(directory: Path, *, name: PersonName, at: Instant) -> AgentIdentity:
    """Makes a new identity in `directory`; refused Trouble if there is one already."""
    private_files.directory(directory)
    with Secret(secrets.token_bytes(SEED_BYTES)) as seed:
        data = write_identity(seed, name=name, created=at)
    private_files.create(directory / FILE_NAME, data, untouched="no identity key was made")
    return load(directory)


def load(directory: Path) -> AgentIdentity:
    """The identity in `directory`. Trouble if there is none, it is exposed or damaged."""
    path = directory / FILE_NAME
    try:
        data = private_files.read(path, limit=MAX_BYTES)
    except FileNotFoundError:
        raise Trouble(
            Exit.USAGE,
            "this agent has no identity key yet",
            expected=str(path),
            found="no file",
            next="quorate agent init",
        ) from None
    try:
        file = parse(IdentityHeader, data)
    except KeyFileError as error:
        raise Trouble(
            Exit.DAMAGED,
            f"{FILE_NAME} isn't as it was written; it was left as it is",
            expected=error.expected,
            found=error.found,
            next="ask for an invitation, make an agent anew, and have all accept a charter with it",
        ) from None
    return AgentIdentity(file.header.name, file.header.key, identity_private_key(file))
