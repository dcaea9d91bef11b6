"""Keys of recovery units: who would get one, and where one comes from (decision 0010)."""

from protocol.charter import Charter, CharterUnit
from protocol.commands.bodies import Body, CommitNewRegister, ExportKey, ImportKey
from protocol.commands.command import Command
from protocol.history import History
from protocol.identifiers import CommandId, UnitId, short
from protocol.location import UnitType
from protocol.receipts import Receipt
from protocol.request import TargetProgress
from protocol.sealing.copies import receivers_of
from protocol.sealing.importer import ImporterKey, open_importer_key
from protocol.unit_identity import unit_id
from protocol.unit_state import UnitState
from protocol.violations import Violation
from quorate.exits import Exit
from signer_agent.desk import load, units
from signer_agent.objections import Objection, alarm, object_to
from signer_agent.trust.charters import CharterBook
from signer_agent.trust.evidence import Evidence

_UNTOUCHED = "nothing was signed"


def receivers_hold(
    progress: TargetProgress,
    command: Command,
    state: UnitState,
    charter: Charter,
    book: CharterBook,
    evidence: Evidence,
) -> Objection | None:
    """RECEIVERS_OF_EXPORT: all are units of the charter, judged as targets, as they are signed for.

    And governed as the source is, in `state`.
    """
    body = command.body
    if not isinstance(body, ExportKey):
        return None
    if body.vendor_roots != charter.vendor_roots:
        return _receivers_alarm(
            "the export would take certificates of other vendors than your charter names",
            expected=", ".join(short(root) for root in charter.vendor_roots),
            found=", ".join(short(root) for root in body.vendor_roots) or "none",
        )
    importers: list[ImporterKey] = []
    for unit, proof in zip(body.receivers, (*progress.receivers, None), strict=False):
        named = charter.unit(unit)
        if named is None or proof is None:
            return _receivers_alarm(
                "the key would go to a crypto unit that your charter doesn't hold, or that isn't "
                "proven",
                expected=f"units of charter version {charter.number}, each with its proof",
                found=short(unit),
            )
        found = _receiver(named, evidence, book, body, state)
        if found is not None:
            return found
        try:
            importers.append(open_importer_key(proof.importer, named.certificate.identity))
        except Violation as violation:
            return _receivers_alarm(
                f"the importer key isn't {units.line_of(named)}'s",
                expected="a key signed by the unit",
                found=str(violation),
            )
        if not _bound(importers[-1], command, evidence, unit):
            return _receivers_alarm(
                f"the importer key of {units.line_of(named)} was made for something else",
                expected="for its present state and this request",
                found=short(importers[-1].digest),
            )
    if receivers_of(tuple(importers)).digest == command.importer:
        return None
    return _receivers_alarm(
        "the export is bound to other receivers than the coordinator tells of",
        expected=short(command.importer or b""),
        found=short(receivers_of(tuple(importers)).digest),
    )


def _receivers_alarm(what: str, *, expected: str, found: str) -> Objection:
    return alarm(
        f"{what}; {_UNTOUCHED}",
        expected=expected,
        found=found,
        next="call the others: who should get the master key?",
        rule="RECEIVERS_OF_EXPORT",
    )


def _receiver(
    named: CharterUnit,
    evidence: Evidence,
    book: CharterBook,
    body: ExportKey,
    source: UnitState,
) -> Objection | None:
    """What is wrong with a receiver: with its history first, then with how it is governed."""
    line, found = units.line_of(named), evidence.units[named.id]
    objection = (
        units.was_seen(line, found)
        or units.history_holds(line, found, body)
        or units.people_stand_behind(line, found, book, body)
    )
    if objection is not None:
        return objection
    state = units.state_of(found)
    governed = (state.administrators, state.signature_threshold, state.revocation_threshold)
    if governed == (
        source.administrators,
        source.signature_threshold,
        source.revocation_threshold,
    ):
        return None
    return object_to(
        Exit.REFUSED,
        f"{line} isn't governed as the recovery unit is; {_UNTOUCHED}",
        expected="the same administrators and thresholds",
        found=f"{len(state.administrators)} administrators, thresholds "
        f"{state.signature_threshold} and {state.revocation_threshold}",
        next="quorate tke cryptounit-compare",
        rule="RECEIVER_UNLIKE",
    )


def _bound(importer: ImporterKey, command: Command, evidence: Evidence, unit: UnitId) -> bool:
    present = units.now_of(evidence.units[unit])
    bound = (importer.incarnation, importer.version, importer.state)
    return bound == present and importer.request == command.request


def source_holds(
    body: ImportKey, target: UnitId, charter: Charter, book: CharterBook, evidence: Evidence
) -> Objection | None:
    """SOURCE_OF_IMPORT: a recovery unit of the charter, whose history holds and has the export."""
    named = charter.unit(unit_id(body.source))
    if named is None or named.certificate.type is not UnitType.RECOVERY:
        return _source_alarm(
            "the key would come from something else than a recovery unit of your charter",
            expected=f"a recovery unit of charter version {charter.number}",
            found=short(unit_id(body.source)),
        )
    line, found = units.line_of(named), evidence.units[named.id]
    objection = (
        units.was_seen(line, found)
        or units.history_holds(line, found, body)
        or units.people_stand_behind(line, found, book, body)
    )
    if objection is not None:
        return objection
    history = found.history
    entries = () if history is None else history.entries
    if any(_is_export(entry, body, target) for entry in entries if isinstance(entry, Receipt)):
        return None
    return _source_alarm(
        f"no receipt of {line} says that it exported this key to this unit",
        expected=f"export {short(body.export)} of key {short(body.vp)}",
        found=f"{len(entries)} entries without it",
    )


def origin(body: Body, history: History | None) -> ImportKey | None:
    """The import that this body is, or that put in the key which it commits."""
    if isinstance(body, ImportKey):
        return body
    if not isinstance(body, CommitNewRegister):
        return None
    found = load.origin(history, body.vp)
    return found[0] if found is not None and isinstance(found[0], ImportKey) else None


def _is_export(receipt: Receipt, body: ImportKey, target: UnitId) -> bool:
    command = receipt.parsed()
    if not isinstance(command.body, ExportKey) or command.body.vp != body.vp:
        return False
    return command.id == CommandId(body.export) and target in command.body.receivers


def _source_alarm(what: str, *, expected: str, found: str) -> Objection:
    return alarm(
        f"{what}; {_UNTOUCHED}",
        expected=expected,
        found=found,
        next="call the others: where does this key come from?",
        rule="SOURCE_OF_IMPORT",
    )
