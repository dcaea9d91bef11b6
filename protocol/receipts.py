"""What a crypto unit says, signed with its identity key: states, refusals, and its history.

The history is one hash chain over all of a unit's lives. Each entry names the hash of the one
before; a life begins with a `Birth` that says why, and every executed command is a `Receipt`.
A result is a receipt; what no verified receipt proves did not happen.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from protocol.commands.command import MAX_COMMAND_BYTES, Approval, Command, parse_command
from protocol.identifiers import (
    CommandId,
    Digest,
    IdentityKey,
    Incarnation,
    Instant,
    Nonce,
    StateVersion,
    UnitId,
)
from protocol.refusals import Refusal
from protocol.schema import Struct, Variant
from protocol.sealing.copies import SealedCopy
from protocol.signing.labels import Label, digest
from protocol.signing.statements import Signed, open_statement
from protocol.unit_identity import unit_id
from protocol.unit_state import UnitState, state_digest
from protocol.violations import Violation

MAX_NONCES = 64


class BirthCause(StrEnum):
    """Why an incarnation began."""

    MADE = "made"
    ZEROIZE = "zeroize"
    BY_HAND = "by hand"
    RESTORE = "restore"


class Birth(Variant, tag="birth"):
    """An incarnation's first entry. `previous` is the last entry of the life before, if any."""

    unit: UnitId
    incarnation: Incarnation
    version: StateVersion
    previous: Digest | None
    cause: BirthCause
    after: UnitState
    at: Instant


class Receipt(Variant, tag="receipt"):
    """One executed command: what was signed, by whom, and what it changed.

    `version` is the state version that it led to, `approvals` the signatures that counted, `at`
    the unit's clock. An export's has a copy for each receiver, in the order of its command.
    """

    unit: UnitId
    incarnation: Incarnation
    version: StateVersion
    previous: Digest
    command: Annotated[bytes, msgspec.Meta(max_length=MAX_COMMAND_BYTES)]
    approvals: tuple[Approval, ...]
    before: UnitState
    after: UnitState
    copies: Annotated[tuple[SealedCopy, ...], msgspec.Meta(max_length=32)]
    at: Instant

    def parsed(self) -> Command:
        """The command that ran."""
        return parse_command(self.command)


Entry = Birth | Receipt


def entry_hash(signed: Signed) -> Digest:
    """What the next entry names as the one before: the digest of the entry's signed bytes."""
    return digest(Label.HISTORY, signed.statement)


def open_entry(signed: Signed, identity: IdentityKey) -> Entry:
    """A history entry, if the unit with this identity key signed it as its own."""
    entry: Entry = open_statement(Entry, Label.HISTORY, signed, identity)  # type: ignore[arg-type]
    _own(entry.unit, identity)
    return entry


class StateAnswer(Struct):
    """A unit's state, signed over the nonces of those who asked; `clock` is the unit's."""

    unit: UnitId
    incarnation: Incarnation
    version: StateVersion
    state: UnitState
    last_receipt: Digest
    clock: Instant
    nonces: Annotated[tuple[Nonce, ...], msgspec.Meta(max_length=MAX_NONCES)]

    @property
    def state_digest(self) -> Digest:
        """What a command for this very state is bound to."""
        return state_digest(self.state, self.last_receipt)


def open_state(signed: Signed, identity: IdentityKey) -> StateAnswer:
    """A state answer, if the unit with this identity key signed it as its own."""
    answer = open_statement(StateAnswer, Label.STATE_ANSWER, signed, identity)
    _own(answer.unit, identity)
    return answer


class RefusalAnswer(Struct):
    """A unit's No to a command. It changed nothing."""

    unit: UnitId
    command: CommandId
    incarnation: Incarnation
    version: StateVersion
    refusal: Refusal
    can_still_run: bool
    at: Instant


def open_refusal(signed: Signed, identity: IdentityKey) -> RefusalAnswer:
    """A refusal, if the unit with this identity key signed it as its own."""
    answer = open_statement(RefusalAnswer, Label.REFUSAL, signed, identity)
    _own(answer.unit, identity)
    return answer


def _own(unit: UnitId, identity: IdentityKey) -> None:
    if unit != unit_id(identity):
        raise Violation("a crypto unit signed a statement about another")
