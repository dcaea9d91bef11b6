"""Checks a report's evidence: every signature, every hash, every rule, against a charter.

Nothing here trusts the coordinator. Its log shows what it says happened and in what order; that a
command ran is proven by the receipts in units' histories, who signed it by the signatures in them.
Because each opening names a checkpoint of the log and custodians signed the opening's digest, the
log up to there can't be made anew. The report's maker, a custodian's agent, signed the last
checkpoint, and the units signed their states over that: so nothing can be cut off the end either;
and sealed all of the evidence: so nothing in it can be left out or hidden afterwards.

Where a version in force has named a new log, commands under the versions before it aren't in this
one. They are proven by the units' histories alone, and listed apart (`Proven.before`), every one.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from protocol.accession import accession, as_it_was
from protocol.charter import Acceptance, Chain, Charter, Person, open_acceptance
from protocol.history import History, verify_history
from protocol.identifiers import Digest, IdentityKey, Instant, UnitId, short
from protocol.receipts import Receipt, StateAnswer, open_state
from protocol.record.checkpoints import Checkpoint, log_origin, open_checkpoint
from protocol.record.entries import Entry, EntryKind, entry_leaf
from protocol.record.tree import Frontier, Hash
from protocol.report.evidence import Evidence, OwnEntry, SealedEvidence, Witness
from protocol.request import Filing, Opening, open_filing
from protocol.schema import from_bytes, to_bytes
from protocol.signing.algorithms import verify_identity
from protocol.signing.labels import Label, labelled
from protocol.signing.statements import Signed, open_statement
from protocol.standing import Finding, judge
from protocol.violations import Violation

T = TypeVar("T")


class ReportFails(Violation):
    """An element of the report doesn't hold. `element` says which, in words."""

    def __init__(self, element: str, *, expected: str, found: str) -> None:
        super().__init__(f"{element}: expected {expected}, found {found}")
        self.element = element
        self.expected = expected
        self.found = found


@dataclass(frozen=True)
class ProvenRequest:
    """A request whose filing is in the log, with the receipts that its commands got.

    `number` counts the filings in the log, from 1. `opening` is None where it was never opened.
    `signed` says whether the filing carries its custodian's signature; it was verified.
    """

    number: int
    filing: Filing
    signed: bool
    opening: Opening | None
    receipts: Mapping[UnitId, Receipt]


@dataclass(frozen=True)
class Proven:
    """What the evidence proves. Only `prove` makes one.

    `others` counts the log's entries of other instances, of which nothing is known here. `before`
    are the receipts of commands under versions that name an older log, by units and their order.
    """

    chain: Chain
    in_force: tuple[Charter, ...]
    acceptances: tuple[Acceptance, ...]
    checkpoint: Checkpoint
    maker: Person
    made: Instant
    others: int
    histories: Mapping[UnitId, History]
    states: Mapping[UnitId, StateAnswer]
    findings: Mapping[UnitId, tuple[Finding, ...]]
    requests: tuple[ProvenRequest, ...]
    before: tuple[tuple[UnitId, Receipt], ...]

    @property
    def charter(self) -> Charter:
        """The newest version in force."""
        return self.in_force[-1]

    @property
    def earlier(self) -> tuple[Charter, ...]:
        """The versions that name an older log than this one."""
        log = self.charter.coordinator.log
        return tuple(one for one in self.chain.versions if one.coordinator.log != log)

    @property
    def as_of(self) -> Instant | None:
        """The latest clock of the units that signed their states; None where no unit did."""
        return max((answer.clock for answer in self.states.values()), default=None)


def prove(sealed: SealedEvidence, anchor: Charter | None) -> Proven:
    """Checks everything; ReportFails at the first element that doesn't hold.

    `anchor` is a charter version that the reader has from somebody they trust; without one, all is
    only checked against itself.
    """
    evidence = sealed.evidence
    entries = _entries(evidence)
    chain = _chain(entries, anchor)
    log = chain.newest.coordinator.log
    checkpoint = _opened_note(evidence.checkpoint, log, "the log's checkpoint")
    roots = _roots(evidence)
    _expect("the log's checkpoint", "size", checkpoint.size, len(evidence.log))
    _expect("the log's checkpoint", "root", checkpoint.root.hex(), roots[-1].hex())
    notes = _checkpoints(evidence, chain, roots)
    histories = {one.unit: _history(one.identity, one.history) for one in evidence.units}
    _in_order("units", [one.unit for one in evidence.units])
    witness, maker = _witness(evidence, chain)
    states = _states(evidence, histories, witness)
    _sealed_by(maker, sealed)
    acceptances = _acceptances(entries, chain)
    in_force = _in_force(chain, acceptances, histories)
    _log_is_in_force(log, in_force[-1])
    _every_unit_is_there(in_force[-1], histories)
    logged = _logged_receipts(entries)
    _logged_receipts_are_there(logged, evidence)
    requests = _requests(entries, chain, histories, notes)
    _proven_receipts_are_logged(requests, logged)
    digests = {charter.digest for charter in in_force}
    return Proven(
        chain=chain,
        in_force=in_force,
        acceptances=acceptances,
        checkpoint=checkpoint,
        maker=maker,
        made=witness.at,
        others=len(evidence.log) - len(entries),
        histories=histories,
        states=states,
        findings={unit: judge(one, chain, digests) for unit, one in histories.items()},
        requests=requests,
        before=_before(log, chain, histories),
    )


def _entries(evidence: Evidence) -> list[tuple[int, Entry]]:
    entries = [
        (position, item.salted.entry)
        for position, item in enumerate(evidence.log)
        if isinstance(item, OwnEntry)
    ]
    for position, entry in entries:
        if entry.instance not in (None, evidence.instance):
            raise ReportFails(
                f"log entry {position}", expected=evidence.instance, found=str(entry.instance)
            )
    return entries


def _chain(entries: list[tuple[int, Entry]], anchor: Charter | None) -> Chain:
    """The chain of charter versions in the log that leads to the newest accepted one."""
    proposed = [
        _parsed(Charter, entry, position)
        for position, entry in entries
        if entry.kind is EntryKind.CHARTER
    ]
    for charter in proposed:
        _checked(f"charter version {charter.number}", charter.check)
    by_digest = {charter.digest: charter for charter in proposed}
    accepted = {
        _parsed_statement(entry, position).charter
        for position, entry in entries
        if entry.kind is EntryKind.ACCEPTANCE
    }
    candidates = [charter for charter in proposed if charter.digest in accepted]
    if not candidates:
        raise ReportFails("the charter", expected="a version that was accepted", found="none")
    versions: list[Charter] = []
    wanted: Digest | None = candidates[-1].digest
    while wanted is not None:
        if wanted not in by_digest:
            raise ReportFails("the charter", expected=f"version {short(wanted)}", found="missing")
        versions.insert(0, by_digest[wanted])
        wanted = versions[0].previous
    chain = _checked("the charter", lambda: Chain(versions))
    if anchor is not None and chain.get(anchor.digest) is None:
        raise ReportFails(
            "the charter",
            expected=f"yours: {anchor.instance} version {anchor.number}, {short(anchor.digest)}",
            found=f"{chain.newest.instance} version {chain.newest.number}, "
            f"{short(chain.newest.digest)}",
        )
    return chain


def _roots(evidence: Evidence) -> list[Hash]:
    """The log's root at every size, from 0 on."""
    grown = Frontier.empty()
    roots = [grown.root]
    for item in evidence.log:
        leaf = entry_leaf(item.salted) if isinstance(item, OwnEntry) else item.leaf
        grown, _ = grown.append(leaf)
        roots.append(grown.root)
    return roots


def _checkpoints(evidence: Evidence, chain: Chain, roots: list[Hash]) -> dict[Digest, int]:
    """The sizes of the checkpoints that openings name: each is of this very log."""
    sizes: dict[Digest, int] = {}
    before = -1
    for note in evidence.checkpoints:
        checkpoint = _opened_note(note, chain.newest.coordinator.log, "an opening's checkpoint")
        if checkpoint.size <= before or checkpoint.size >= len(roots):
            raise ReportFails(
                "the openings' checkpoints",
                expected="rising sizes within the log",
                found=f"{checkpoint.size} after {before}",
            )
        before = checkpoint.size
        _expect(
            f"the checkpoint of size {checkpoint.size}",
            "root",
            checkpoint.root.hex(),
            roots[checkpoint.size].hex(),
        )
        sizes[Digest(hashlib.sha256(note).digest())] = checkpoint.size
    return sizes


def _opened_note(note: bytes, log: IdentityKey, element: str) -> Checkpoint:
    return _checked(element, lambda: open_checkpoint(note, name=log_origin(log), public_key=log))


def _history(identity: IdentityKey, signed: tuple[Signed, ...]) -> History:
    return _checked("a unit's history", lambda: verify_history(signed, identity))


def _witness(evidence: Evidence, chain: Chain) -> tuple[Witness, Person]:
    """The agent that made the report is a custodian's, and saw this very checkpoint."""
    element = "the witness of the log's checkpoint"
    claimed = _checked(element, lambda: from_bytes(Witness, evidence.witness.statement))
    maker = chain.newest.custodian(claimed.agent)
    if maker is None:
        raise ReportFails(
            element, expected="the agent of a custodian", found=f"key {short(claimed.agent)}"
        )
    witness = _checked(
        element, lambda: open_statement(Witness, Label.REPORT, evidence.witness, maker.agent)
    )
    expected = (evidence.instance, hashlib.sha256(evidence.checkpoint).digest())
    _expect(element, "checkpoint", expected, (witness.instance, witness.checkpoint))
    return witness, maker


def _sealed_by(maker: Person, sealed: SealedEvidence) -> None:
    """Nothing was changed, hidden or left out since the maker gathered it."""
    message = labelled(Label.REPORT_SEAL, sealed.evidence)
    _checked(
        f"the seal of {maker.name}'s agent",
        lambda: verify_identity(maker.agent, message, sealed.seal),
    )


def _states(
    evidence: Evidence, histories: Mapping[UnitId, History], witness: Witness
) -> dict[UnitId, StateAnswer]:
    """The units' states, signed for this report: each is where its history ends."""
    states: dict[UnitId, StateAnswer] = {}
    for one in evidence.units:
        if one.state is None:
            continue
        answer = _checked("a unit's state", partial(open_state, one.state, one.identity))
        history = histories[one.unit]
        if witness.nonce not in answer.nonces:
            raise ReportFails(
                f"the state of unit {short(one.unit)}",
                expected="signed for this report",
                found="signed for another occasion",
            )
        _expect(
            f"the history of unit {short(one.unit)}",
            "last receipt",
            answer.last_receipt.hex(),
            history.last_receipt.hex(),
        )
        _expect(f"the state of unit {short(one.unit)}", "state", answer.state, history.state)
        states[one.unit] = answer
    return states


def _acceptances(entries: list[tuple[int, Entry]], chain: Chain) -> tuple[Acceptance, ...]:
    opened: list[Acceptance] = []
    for position, entry in entries:
        if entry.kind is not EntryKind.ACCEPTANCE:
            continue
        signed = _parsed(Signed, entry, position)
        if chain.get(from_bytes(Acceptance, signed.statement).charter) is None:
            continue
        opened.append(_checked(f"log entry {position}", partial(open_acceptance, signed, chain)))
    return tuple(opened)


def _in_force(
    chain: Chain, acceptances: tuple[Acceptance, ...], histories: Mapping[UnitId, History]
) -> tuple[Charter, ...]:
    """Each version judged by the units as they were before its first command, as agents do.

    Of a unit that the newest version no longer names there is no history here.
    """
    standing: list[Charter] = []
    for place, charter in enumerate(chain.versions):
        preceding = standing[-1] if standing else None
        named = {unit.id for unit in charter.units}
        later = {one.digest for one in chain.versions[place:]}
        units = {unit: as_it_was(one, later) for unit, one in histories.items() if unit in named}
        found = accession(charter, preceding, acceptances, units)
        gone = {unit for unit in named if chain.newest.unit(unit) is None}
        if not found.enough or found.outdated or found.unknown - gone:
            break
        standing.append(charter)
    if not standing:
        raise ReportFails(
            "the charter", expected="a version that all have accepted", found="none is in force"
        )
    return tuple(standing)


def _log_is_in_force(log: IdentityKey, newest: Charter) -> None:
    """Else whoever proposes a version could leave the log of the one in force out of the report."""
    if newest.coordinator.log != log:
        raise ReportFails(
            "the log",
            expected=f"the one that version {newest.number} names, the newest in force",
            found="the log of a version that isn't in force",
        )


def _every_unit_is_there(charter: Charter, histories: Mapping[UnitId, History]) -> None:
    for unit in charter.units:
        if unit.id not in histories:
            raise ReportFails(
                f"the history of {unit.certificate.location}", expected="one", found="none"
            )


def _logged_receipts(entries: list[tuple[int, Entry]]) -> set[bytes]:
    return {
        _parsed(Signed, entry, position).statement
        for position, entry in entries
        if entry.kind is EntryKind.EXECUTION
    }


def _proven_receipts_are_logged(requests: tuple[ProvenRequest, ...], logged: set[bytes]) -> None:
    for request in requests:
        for unit, receipt in request.receipts.items():
            if to_bytes(receipt) not in logged:
                raise ReportFails(
                    f"receipt {receipt.version} of unit {short(unit)}",
                    expected="an entry of the log",
                    found="none",
                )


def _logged_receipts_are_there(logged: set[bytes], evidence: Evidence) -> None:
    there = {signed.statement for unit in evidence.units for signed in unit.history}
    missing = len(logged - there)
    if missing:
        raise ReportFails(
            "units' histories",
            expected="every receipt that the log holds",
            found=f"{missing} fewer",
        )


def _requests(
    entries: list[tuple[int, Entry]],
    chain: Chain,
    histories: Mapping[UnitId, History],
    notes: Mapping[Digest, int],
) -> tuple[ProvenRequest, ...]:
    filings: dict[Digest, tuple[int, Filing, bool]] = {}
    openings: dict[Digest, Opening] = {}
    for position, entry in entries:
        match entry.kind:
            case EntryKind.FILING:
                filing, signed = _filing(entry, position, chain)
                filings[filing.digest] = (len(filings) + 1, filing, signed)
            case EntryKind.OPENING:
                opening = _parsed(Opening, entry, position)
                if opening.filing not in filings or opening.filing in openings:
                    raise ReportFails(
                        f"log entry {position}", expected="an opening of a filing", found="another"
                    )
                named = chain.get(opening.charter)
                if named is not None and named.coordinator.log != chain.newest.coordinator.log:
                    raise ReportFails(
                        f"log entry {position}",
                        expected="an opening under a version that names this log",
                        found=f"one under version {named.number}",
                    )
                size = notes.get(opening.checkpoint)
                if size is None or size > position:
                    raise ReportFails(
                        f"log entry {position}",
                        expected="an opening under a checkpoint of this log",
                        found=short(opening.checkpoint),
                    )
                openings[opening.filing] = opening
            case _:
                pass
    unused = set(notes) - {opening.checkpoint for opening in openings.values()}
    if unused:
        raise ReportFails(
            "the openings' checkpoints", expected="those that openings name", found="others too"
        )
    receipts = _receipts(openings, filings, chain, histories)
    return tuple(
        ProvenRequest(
            number=number,
            filing=filing,
            signed=signed,
            opening=openings.get(digest),
            receipts=receipts.get(digest, {}),
        )
        for digest, (number, filing, signed) in filings.items()
    )


def _filing(entry: Entry, position: int, chain: Chain) -> tuple[Filing, bool]:
    signed = _parsed(Signed, entry, position)
    filing = _checked(f"log entry {position}", lambda: from_bytes(Filing, signed.statement))
    if filing.custodian is None:
        return filing, False
    custodian = filing.custodian
    _checked(f"log entry {position}", lambda: open_filing(signed, custodian))
    return filing, True


def _receipts(
    openings: Mapping[Digest, Opening],
    filings: Mapping[Digest, tuple[int, Filing, bool]],
    chain: Chain,
    histories: Mapping[UnitId, History],
) -> dict[Digest, dict[UnitId, Receipt]]:
    """Every receipt under versions that name this log belongs to a request in it, and says the
    same."""
    by_request = {opening.digest: filing for filing, opening in openings.items()}
    found: dict[Digest, dict[UnitId, Receipt]] = {}
    for unit, history in histories.items():
        for entry in history.entries:
            if not isinstance(entry, Receipt):
                continue
            command = entry.parsed()
            element = f"receipt {entry.version} of unit {short(unit)}"
            named = chain.get(command.charter)
            if named is None or named.coordinator.log != chain.newest.coordinator.log:
                continue  # of these `_before` tells, or the findings
            filing_digest = by_request.get(command.request)
            if filing_digest is None:
                raise ReportFails(
                    element, expected="a request in the log", found=short(command.request)
                )
            opening = openings[filing_digest]
            _, filing, _ = filings[filing_digest]
            expected = (filing.body, opening.charter, opening.not_before, opening.not_after)
            got = (command.body, command.charter, command.not_before, command.not_after)
            _expect(element, "command", expected, got)
            if unit not in opening.targets:
                raise ReportFails(element, expected="a target of its request", found="another")
            found.setdefault(filing_digest, {})[unit] = entry
    return found


def _before(
    log: IdentityKey, chain: Chain, histories: Mapping[UnitId, History]
) -> tuple[tuple[UnitId, Receipt], ...]:
    """Every receipt under a version that names an older log."""
    return tuple(
        (unit, entry)
        for unit, history in sorted(histories.items())
        for entry in history.entries
        if isinstance(entry, Receipt)
        and (named := chain.get(entry.parsed().charter)) is not None
        and named.coordinator.log != log
    )


def _parsed(kind: type[T], entry: Entry, position: int) -> T:
    return _checked(f"log entry {position}", lambda: from_bytes(kind, entry.body))


def _parsed_statement(entry: Entry, position: int) -> Acceptance:
    signed = _parsed(Signed, entry, position)
    return _checked(f"log entry {position}", lambda: from_bytes(Acceptance, signed.statement))


def _checked(element: str, check: Callable[[], T]) -> T:
    try:
        return check()
    except ReportFails:
        raise
    except Violation as violation:
        raise ReportFails(element, expected="one that verifies", found=str(violation)) from None


def _expect(element: str, what: str, expected: object, found: object) -> None:
    if expected != found:
        raise ReportFails(element, expected=f"{what} {expected}", found=str(found))


def _in_order(what: str, values: list[UnitId]) -> None:
    if values != sorted(set(values)):
        raise ReportFails(what, expected="each once, in order", found="another order")
