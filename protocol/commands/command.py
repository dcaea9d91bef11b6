"""The command as it is signed: one body for one unit, bound to state, time, charter and request."""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from protocol.commands.bodies import Body, ExportKey, LoadNewRegister
from protocol.identifiers import (
    SKI,
    CommandId,
    Digest,
    Incarnation,
    Instant,
    Signature,
    StateVersion,
    UnitId,
)
from protocol.schema import Struct, from_bytes
from protocol.signing.labels import Label, digest, labelled
from protocol.signing.statements import Signed
from protocol.unit_identity import CertifiedUnit

MAX_COMMAND_BYTES = 64 * 1024


class Command(Struct):
    """What an administrator signs for one target unit.

    `request` is the request digest. `version` and `state` name the state that the signer saw
    (`protocol.unit_state.state_digest`). `importer` is the digest of the importer key that a load's
    parts are sealed to; of an export, of its `protocol.sealing.copies.Receivers`. A command is
    valid from `not_before` until `not_after`.
    """

    charter: Digest
    practice: bool
    request: Digest
    unit: UnitId
    incarnation: Incarnation
    version: StateVersion
    state: Digest
    not_before: Instant
    not_after: Instant
    importer: Digest | None
    body: Body

    def invariant(self) -> str | None:
        if isinstance(self.body, LoadNewRegister | ExportKey) != (self.importer is not None):
            return "a load or an export, and nothing else, names importer keys"
        if self.not_before >= self.not_after:
            return "a command's time must begin before it ends"
        return None

    def signing_bytes(self) -> bytes:
        """Label, zero byte, canonical bytes."""
        return labelled(Label.COMMAND, self)

    @property
    def id(self) -> CommandId:
        """SHA-256 of the signing bytes."""
        return CommandId(digest(Label.COMMAND, self))


class Approval(Struct):
    """An administrator's signature over a command's signing bytes."""

    ski: SKI
    signature: Signature


class ReceiverProof(Struct):
    """What proves an export's receiver: its certificate, and its own word on state and key."""

    certified: CertifiedUnit
    state: Signed
    importer: Signed


class SignedCommand(Struct):
    """What a unit is sent: a command's canonical bytes, signatures, and what it needs besides.

    The bytes travel as they were signed; whoever needs the command parses them. A load needs sealed
    key parts, an export the proofs of its receivers, an import the export's receipt.
    """

    command: Annotated[bytes, msgspec.Meta(max_length=MAX_COMMAND_BYTES)]
    approvals: Annotated[tuple[Approval, ...], msgspec.Meta(max_length=16)]
    contributions: Annotated[tuple["Contribution", ...], msgspec.Meta(max_length=8)]
    receivers: Annotated[tuple[ReceiverProof, ...], msgspec.Meta(max_length=32)]
    export: Signed | None

    def parsed(self) -> Command:
        """The command; Violation when the bytes are not canonical or of an unknown kind."""
        return parse_command(self.command)


def signed_command(
    *,
    command: bytes,
    approvals: tuple[Approval, ...],
    contributions: tuple["Contribution", ...] = (),
) -> SignedCommand:
    """What a unit is sent of a command that needs neither receivers nor an export."""
    return SignedCommand(
        command=command,
        approvals=approvals,
        contributions=contributions,
        receivers=(),
        export=None,
    )


class Contribution(Struct):
    """A sealed key part and its custodian's signature (`protocol.sealing.contribution`)."""

    statement: Annotated[bytes, msgspec.Meta(max_length=8192)]
    signature: Signature


def parse_command(data: bytes) -> Command:
    """Parses canonical command bytes."""
    return from_bytes(Command, data, limit=MAX_COMMAND_BYTES)


def distinct(approvals: Iterable[Approval]) -> tuple[Approval, ...]:
    """Each SKI once, the first one given, by ascending SKI: one key counts once."""
    first: dict[SKI, Approval] = {}
    for approval in approvals:
        first.setdefault(approval.ski, approval)
    return tuple(first[ski] for ski in sorted(first))
