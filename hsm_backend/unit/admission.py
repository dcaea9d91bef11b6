"""What every command must pass before its own rules are asked: one rule, one function."""

from hsm_backend.unit.memory import Memory, UnitIdentity
from protocol.commands.bodies import SetClock
from protocol.commands.command import Approval, Command, distinct
from protocol.commands.quorum import signatures_needed
from protocol.commands.rules import not_a_recovery_unit, refusal_of
from protocol.identifiers import Instant, UnitId, short
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import LAST_MINUTE, LONGEST_VALIDITY
from protocol.signing.algorithms import verify
from protocol.unit_state import UnitState
from protocol.violations import Violation


def admit(
    memory: Memory,
    identity: UnitIdentity,
    command: Command,
    approvals: tuple[Approval, ...],
    *,
    at: Instant,
) -> Refusal | None:
    """The first rule that refuses the command at `at`, the unit's own time; None if it may run.

    Asks all that needs no secrets; a load's parts and what is exported come after.
    """
    return (
        wrong_unit(command, identity.unit)
        or wrong_incarnation(command, memory)
        or state_changed(command, memory)
        or valid_too_long(command)
        or not_yet_valid(command, at)
        or expired(command, at)
        or signer_refusal(command, approvals, memory.state)
        or too_few_signatures(command, approvals, memory.state)
        or not_a_recovery_unit(command.body, identity.type)
        or refusal_of(command.body, memory.state)
    )


def wrong_unit(command: Command, unit: UnitId) -> Refusal | None:
    """WRONG_UNIT: a command runs on the unit that it names."""
    if command.unit == unit:
        return None
    return refuse(Rule.WRONG_UNIT, expected=unit.hex(), found=command.unit.hex())


def wrong_incarnation(command: Command, memory: Memory) -> Refusal | None:
    """WRONG_INCARNATION: a command runs in the life that it names."""
    if command.incarnation == memory.incarnation:
        return None
    expected, found = memory.incarnation, command.incarnation
    return refuse(
        Rule.WRONG_INCARNATION,
        expected=f"{expected.number}, {expected.id.hex()}",
        found=f"{found.number}, {found.id.hex()}",
    )


def state_changed(command: Command, memory: Memory) -> Refusal | None:
    """STATE_CHANGED: a command runs only on the very state that its signers saw."""
    digest = memory.state_digest
    if (command.version, command.state) == (memory.version, digest):
        return None
    return refuse(
        Rule.STATE_CHANGED,
        expected=f"state version {memory.version}, {short(digest)}",
        found=f"state version {command.version}, {short(command.state)}",
    )


def valid_too_long(command: Command) -> Refusal | None:
    """VALID_TOO_LONG: at most 7 days from not-before to not-after."""
    validity = command.not_after - command.not_before
    if validity <= LONGEST_VALIDITY:
        return None
    return refuse(
        Rule.VALID_TOO_LONG, expected=f"at most {LONGEST_VALIDITY} ms", found=f"{validity} ms"
    )


def not_yet_valid(command: Command, at: Instant) -> Refusal | None:
    """NOT_YET_VALID: not before not-before; `set clock` is exempt, it mends the clock."""
    if at >= command.not_before or isinstance(command.body, SetClock):
        return None
    return refuse(Rule.NOT_YET_VALID, expected=f"at {command.not_before} or later", found=at)


def expired(command: Command, at: Instant) -> Refusal | None:
    """EXPIRED: execution doesn't start within a minute of not-after; `set clock` is exempt."""
    latest = command.not_after - LAST_MINUTE
    if at < latest or isinstance(command.body, SetClock):
        return None
    return refuse(Rule.EXPIRED, expected=f"before {latest}", found=at)


def signer_refusal(
    command: Command, approvals: tuple[Approval, ...], state: UnitState
) -> Refusal | None:
    """SIGNER_UNKNOWN, SIGNATURE_INVALID: each signature is an installed administrator's."""
    message = command.signing_bytes()
    for approval in distinct(approvals):
        signer = state.administrator(approval.ski)
        if signer is None:
            return refuse(
                Rule.SIGNER_UNKNOWN,
                expected="signatures of installed administrators",
                found=approval.ski.hex(),
            )
        try:
            verify(signer.algorithm, signer.public_key, message, approval.signature)
        except Violation:
            return refuse(
                Rule.SIGNATURE_INVALID,
                expected=f"{signer.name}'s signature over this command",
                found="one that doesn't verify",
            )
    return None


def too_few_signatures(
    command: Command, approvals: tuple[Approval, ...], state: UnitState
) -> Refusal | None:
    """TOO_FEW_SIGNATURES, IMPRINT_MODE: as many distinct administrators as the table asks for."""
    needed = signatures_needed(command.body, state)
    if isinstance(needed, Refusal):
        return needed
    have = len(distinct(approvals))
    if have >= needed:
        return None
    return refuse(Rule.TOO_FEW_SIGNATURES, expected=needed, found=have)
