"""A recovery unit gives its key to others, and they take it.

`docs/decisions/0010-recovery-units.md`. The public rules (registers, receivers named once, a
recovery unit) are in `protocol.commands.rules`; here is what needs the receivers' proofs, importer
keys and secrets.
"""

from hsm_backend.unit.memory import HeldImporterKey, Memory
from protocol.commands.bodies import ExportKey, Held, ImportKey
from protocol.commands.command import Command, ReceiverProof
from protocol.identifiers import Digest, Instant, UnitId, short
from protocol.receipts import Receipt, open_entry, open_state
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import LONGEST_VALIDITY
from protocol.sealing.contribution import Seal, vp_of
from protocol.sealing.copies import SealedCopy, copy_info, open_copy, receivers_of
from protocol.sealing.importer import ImporterKey, open_importer_key
from protocol.secrets import Secret
from protocol.signing.statements import Signed
from protocol.unit_identity import unit_id
from protocol.unit_state import UnitState
from protocol.violations import Violation


def proven_receivers(
    memory: Memory, command: Command, body: ExportKey, proofs: tuple[ReceiverProof, ...]
) -> tuple[ImporterKey, ...] | Refusal:
    """RECEIVER_UNPROVEN, RECEIVER_UNLIKE: the importer keys of receivers like this unit."""
    found: list[ImporterKey] = []
    for proof in proofs:
        try:
            importer, state = _proven(proof, body, command.request)
        except Violation as violation:
            return refuse(
                Rule.RECEIVER_UNPROVEN,
                expected="what the receiver's vendor and it signed",
                found=violation,
            )
        unlike = _unlike(memory.state, state, importer.unit)
        if unlike is not None:
            return unlike
        found.append(importer)
    importers = tuple(found)
    if tuple(one.unit for one in importers) != body.receivers:
        return refuse(
            Rule.RECEIVER_UNPROVEN,
            expected=f"proofs of {len(body.receivers)} receivers, in the command's order",
            found=", ".join(short(one.unit) for one in importers) or "none",
        )
    digest = receivers_of(importers).digest
    if digest != command.importer:
        return refuse(
            Rule.RECEIVER_UNPROVEN,
            expected=f"receivers as they were signed, {short(command.importer or b'')}",
            found=short(digest),
        )
    return importers


def _proven(
    proof: ReceiverProof, body: ExportKey, request: Digest
) -> tuple[ImporterKey, UnitState]:
    if proof.certified.vendor_root not in body.vendor_roots:
        raise Violation(f"vendor root {short(proof.certified.vendor_root)}")
    identity = proof.certified.opened().identity
    importer = open_importer_key(proof.importer, identity)
    state = open_state(proof.state, identity)
    bound = (importer.incarnation, importer.version, importer.state, importer.request)
    if bound != (state.incarnation, state.version, state.state_digest, request):
        raise Violation(f"unit {short(importer.unit)} made that importer key for something else")
    return importer, state.state


def _unlike(own: UnitState, other: UnitState, unit: UnitId) -> Refusal | None:
    """RECEIVER_UNLIKE: whoever can't command the key here mustn't get to command it there."""
    if other.imprint:
        found = "one in imprint mode"
    elif other.administrators != own.administrators:
        found = "other administrators"
    elif (other.signature_threshold, other.revocation_threshold) != (
        own.signature_threshold,
        own.revocation_threshold,
    ):
        found = f"thresholds {other.signature_threshold} and {other.revocation_threshold}"
    else:
        return None
    return refuse(
        Rule.RECEIVER_UNLIKE,
        expected="this unit's administrators and thresholds "
        f"{own.signature_threshold} and {own.revocation_threshold}",
        found=f"{found}, in unit {short(unit)}",
    )


def copies(
    memory: Memory,
    command: Command,
    body: ExportKey,
    importers: tuple[ImporterKey, ...],
    seal: Seal,
) -> tuple[SealedCopy, ...]:
    """The register's key, sealed for each receiver."""
    key = memory.new_key if body.register is Held.NEW else memory.current_key
    if key is None:
        raise AssertionError("a register with this verification pattern holds a key")
    return tuple(
        SealedCopy(
            receiver=one.unit,
            sealed=seal(key.reveal(), one.public_key, copy_info(command, body.vp, one.unit)),
        )
        for one in importers
    )


def received(
    memory: Memory, unit: UnitId, body: ImportKey, export: Signed | None, at: Instant
) -> Secret | Refusal:
    """The exported key; EXPORT_UNPROVEN, IMPORTER_KEY_UNKNOWN or COPY_UNREADABLE."""
    try:
        command, copy = _export_for(unit, body, export)
    except Violation as violation:
        return refuse(
            Rule.EXPORT_UNPROVEN,
            expected=f"the receipt of export {short(body.export)} by {short(body.source)}",
            found=violation,
        )
    importer = _importer_key_of(memory, command.request, at)
    if isinstance(importer, Refusal):
        return importer
    try:
        key = open_copy(copy, command, body.vp, importer.private.reveal())
    except Violation as violation:
        return refuse(
            Rule.COPY_UNREADABLE, expected="a copy sealed to this unit's key", found=violation
        )
    if vp_of(key) != body.vp:
        return refuse(Rule.COPY_UNREADABLE, expected=body.vp.hex(), found=vp_of(key).hex())
    return Secret(key)


def _export_for(unit: UnitId, body: ImportKey, export: Signed | None) -> tuple[Command, SealedCopy]:
    if export is None:
        raise Violation("none came along")
    entry = open_entry(export, body.source)
    command = entry.parsed() if isinstance(entry, Receipt) else None
    if not isinstance(entry, Receipt) or command is None or command.id != body.export:
        raise Violation("the receipt of something else")
    if not isinstance(command.body, ExportKey) or command.body.vp != body.vp:
        raise Violation("the receipt of another key")
    for copy in entry.copies:
        if copy.receiver == unit and unit != unit_id(body.source):
            return command, copy
    raise Violation("it has no copy for this unit")


def _importer_key_of(memory: Memory, request: Digest, at: Instant) -> HeldImporterKey | Refusal:
    """IMPORTER_KEY_UNKNOWN: made here, in this life and state, for the export; 7 days at most."""
    for held in memory.importer_keys:
        if held.public.request == request and at - held.public.made <= LONGEST_VALIDITY:
            return held
    return refuse(
        Rule.IMPORTER_KEY_UNKNOWN,
        expected="an importer key made for the export's request, in this state, within 7 days",
        found="none",
    )
