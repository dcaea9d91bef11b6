"""Whether the log holds what this agent knows has happened.

The coordinator opens the entries of an instance to its agents, and could pass one off as another
instance's: only its leaf is seen then. Nothing else shows that; so whoever makes a report compares
the log with what their agent was told before it asked for the log's checkpoint, and with what it
sent that was acknowledged. What it was never told, nobody here can miss.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping

from protocol.charter import Acceptance, Chain, Charter
from protocol.commands.command import Contribution
from protocol.displayable import shown
from protocol.identifiers import Digest, UnitId
from protocol.record.entries import Entry, EntryKind
from protocol.record.operations import Ending
from protocol.report.evidence import LogItem, OwnEntry
from protocol.request import Rejection, Request
from protocol.schema import from_bytes, to_bytes
from protocol.sealing.contribution import open_contribution
from protocol.session.messages import Accept, Approve, Contribute, FileRequest, Reject
from protocol.signing.statements import Signed
from signer_agent.kept import Kept
from signer_agent.objections import CALL, Objection, alarm

Fact = tuple[Hashable, ...]
"""What makes two entries say the same: their kind, and what is compared of the body."""


def hidden(known: Mapping[Fact, str], log: Iterable[LogItem]) -> Objection | None:
    """LOG_HOLDS_WHAT_HAPPENED: the log, opened as far as it was, holds all that is known here."""
    there = {
        fact for item in log if isinstance(item, OwnEntry) for fact in _facts(item.salted.entry)
    }
    missing = [words for fact, words in known.items() if fact not in there]
    if not missing:
        return None
    more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    return alarm(
        "the coordinator hides entries of its log; no report was made",
        expected=f"entries of all that your agent knows has happened: {missing[0]}",
        found=f"no entry of it{more}",
        next=f"{CALL} A report that another agent makes may hold it",
        rule="LOG_HOLDS_WHAT_HAPPENED",
    )


def known_to_have_happened(kept: Kept) -> dict[Fact, str]:
    """What an honest log has entries of by now, each with its words.

    Where a charter version has named a new log, it may lack what was before: that isn't asked for.
    """
    trusted = kept.book.trusted
    if trusted is None:
        return {}
    log = trusted.newest.coordinator.log
    whole = all(one.coordinator.log == log for one in trusted.versions)
    facts = dict(_of_charters(kept, trusted))
    for number, news in sorted(kept.requests.items()):
        opening = news.request.opening
        version = None if opening is None else kept.book.known.get(opening.charter)
        if whole or (version is not None and version.charter.coordinator.log == log):
            facts |= _of_request(news.request, f"request {number}")
    if whole:
        facts |= _of_sent(kept)
    return facts


def _of_charters(kept: Kept, trusted: Chain) -> Iterator[tuple[Fact, str]]:
    """The accepted versions and who has accepted them, but for what is still on its way."""
    going = {
        _acceptance(one.publication.acceptance).charter
        for one in kept.sent.values()
        if isinstance(one.publication, Accept) and not one.acknowledged
    }
    for charter in trusted.versions:
        if charter.coordinator.log != trusted.newest.coordinator.log or charter.digest in going:
            continue
        version = f"charter version {charter.number}"
        yield (EntryKind.CHARTER, charter.digest), version
        for one in kept.book.acceptances(charter.digest):
            words = f"{shown(one.person)}'s acceptance of {version}"
            yield (EntryKind.ACCEPTANCE, charter.digest, one.person), words


def _of_request(request: Request, name: str) -> dict[Fact, str]:
    facts: dict[Fact, str] = {
        (EntryKind.FILING, to_bytes(request.filing)): f"the filing of {name}",
    }
    if request.ended:
        end = Ending(filing=request.filing.digest, state=request.state, why=request.why)
        facts[(EntryKind.ENDING, to_bytes(end))] = f"how {name} ended"
    for rejection in request.rejections:
        facts[_no(rejection)] = f"a rejection of {name}"
    if request.opening is None:
        return facts
    facts[(EntryKind.OPENING, to_bytes(request.opening))] = f"the opening of {name}"
    about = request.opening.digest
    for one in request.progress:
        for approval in one.approvals:
            facts[(EntryKind.APPROVAL, about, one.unit, approval)] = f"a signature for {name}"
        for part in one.contributions:
            facts[_part(about, one.unit, part)] = f"a key part for {name}"
        if one.receipt is not None:
            facts[(EntryKind.EXECUTION, one.receipt.statement)] = f"a receipt of {name}"
        if one.refusal is not None:
            facts[(EntryKind.REFUSAL, one.refusal.statement)] = f"a unit's refusal of {name}"
    return facts


def _of_sent(kept: Kept) -> dict[Fact, str]:
    """What this agent sent and the coordinator acknowledged, for requests that haven't ended.

    What changed nothing isn't logged: a signature or part for a unit that isn't open, a No of who
    has signed or given, a filing whose idempotency key stands for an earlier one.
    """
    open_units = {
        (news.request.opening.digest, one.unit)
        for news in kept.requests.values()
        if news.request.opening is not None
        for one in news.request.progress
        if one.open
    }
    published = [one.publication for one in kept.sent.values() if one.acknowledged]
    gave = {one.request for one in published if isinstance(one, Approve | Contribute)}
    facts: dict[Fact, str] = {}
    for publication in published:
        match publication:
            case FileRequest(filing=filing, idempotency_key=None):
                facts[(EntryKind.FILING, filing.statement)] = "a filing of your own"
            case Approve(request=about, approvals=approvals):
                for one in approvals:
                    if (about, one.unit) in open_units:
                        facts[(EntryKind.APPROVAL, about, one.unit, one.approval)] = (
                            "a signature of your own"
                        )
            case Contribute(request=about, contributions=contributions):
                for part in contributions:
                    if (about, part.unit) in open_units:
                        facts[_part(about, part.unit, part.contribution)] = "a key part of your own"
            case Reject(rejection=signed) if _rejection(signed).request not in gave:
                facts[_no(signed)] = "a rejection of your own"
            case _:
                pass
    return facts


def _facts(entry: Entry) -> Iterator[Fact]:
    """What an entry says; Violation where its body isn't of its kind."""
    match entry.kind:
        case EntryKind.FILING | EntryKind.EXECUTION | EntryKind.REFUSAL:
            yield entry.kind, from_bytes(Signed, entry.body).statement
        case EntryKind.OPENING | EntryKind.ENDING:
            yield entry.kind, entry.body
        case EntryKind.APPROVAL:
            approve = from_bytes(Approve, entry.body)
            for given in approve.approvals:
                yield entry.kind, approve.request, given.unit, given.approval
        case EntryKind.CONTRIBUTION:
            contribute = from_bytes(Contribute, entry.body)
            for part in contribute.contributions:
                yield _part(contribute.request, part.unit, part.contribution)
        case EntryKind.REJECTION:
            yield _no(from_bytes(Reject, entry.body).rejection)
        case EntryKind.CHARTER:
            yield entry.kind, from_bytes(Charter, entry.body).digest
        case EntryKind.ACCEPTANCE:
            accepted = _acceptance(from_bytes(Signed, entry.body))
            yield entry.kind, accepted.charter, accepted.person
        case _:
            pass


def _part(request: Digest, unit: UnitId, contribution: Contribution) -> Fact:
    """A part that comes again is sealed anew, and isn't logged again."""
    part = open_contribution(contribution)
    return EntryKind.CONTRIBUTION, request, unit, part.custodian, part.vp


def _no(signed: Signed) -> Fact:
    """A custodian's first No is logged, whatever else they say afterwards."""
    rejection = _rejection(signed)
    return EntryKind.REJECTION, rejection.request, rejection.custodian


def _rejection(signed: Signed) -> Rejection:
    return from_bytes(Rejection, signed.statement)


def _acceptance(signed: Signed) -> Acceptance:
    return from_bytes(Acceptance, signed.statement)
