"""Takes in what agents publish, as `coordinator.engine.publications` and `charters` do."""

from coordinator.workflow.events import Approved, Contributed, Event, Proceeded, SaidNo
from coordinator.workflow.filing import filing_refusal, new_request
from protocol.accession import accession
from protocol.charter import Acceptance, Chain, Charter, open_acceptance
from protocol.identifiers import Digest, IdentityKey
from protocol.record.entries import EntryKind
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import open_announcement, open_filing, open_rejection
from protocol.schema import from_bytes
from protocol.session.messages import (
    Accept,
    Announce,
    Approve,
    Contribute,
    FileRequest,
    Proceed,
    ProposeCharter,
    Publication,
    Reject,
)
from protocol.signing.statements import Signed
from tests.sim.store import Change


def take(change: Change, agent: IdentityKey, publication: Publication) -> int | Refusal | None:
    """What becomes of a publication: the id of the request that it is about, or a refusal."""
    match publication:
        case FileRequest():
            return _file(change, agent, publication)
        case Approve(request=digest, ski=ski, approvals=approvals):
            event: Event = Approved(ski, approvals)
            return _on_request(change, digest, event, EntryKind.APPROVAL, publication)
        case Contribute(request=digest, contributions=contributions):
            event = Contributed(contributions)
            return _on_request(change, digest, event, EntryKind.CONTRIBUTION, publication)
        case Reject(rejection=signed):
            rejection = open_rejection(signed)
            assert rejection.custodian == agent
            kind = EntryKind.REJECTION
            return _on_request(change, rejection.request, SaidNo(signed), kind, publication)
        case Proceed(filing=filing):
            number = next(
                one.id for one in change.store.requests.values() if one.filing.digest == filing
            )
            changed = change.apply(number, Proceeded())
            return changed if isinstance(changed, Refusal) else number
        case Announce(announcement=signed):
            announcement = open_announcement(signed)
            assert announcement.custodian == agent
            change.tell_part(signed, f"part {announcement.vp.hex()}")
            return None
        case ProposeCharter(charter=charter):
            _propose(change, charter)
            return None
        case Accept(acceptance=signed):
            return _accept(change, signed)
        case _:
            raise AssertionError(f"nobody publishes {type(publication).__name__} here")


def _file(change: Change, agent: IdentityKey, publication: FileRequest) -> int | Refusal:
    filing = open_filing(publication.filing, agent)
    key = f"{agent.hex()} {publication.idempotency_key}"
    if key in change.store.idempotency:
        return change.store.idempotency[key]
    states = {unit: history.state for unit, history in change.store.histories.items()}
    refusal = filing_refusal(
        filing, change.store.charter, states, change.store.standing(), voided=None
    )
    if refusal is not None:
        return refusal
    number = len(change.store.requests) + 1
    change.store.idempotency[key] = number
    change.log(EntryKind.FILING, publication.filing)
    change.save(new_request(number, filing, publication.filing.signature, at=change.at))
    return number


def _on_request(
    change: Change, digest: Digest, event: Event, kind: EntryKind, publication: Publication
) -> int | Refusal:
    request = change.store.opened(digest)
    if request is None:
        return refuse(Rule.NO_SUCH_REQUEST, expected="an opened request", found=digest.hex())
    changed = change.apply(request.id, event)
    if isinstance(changed, Refusal):
        change.log(EntryKind.ALARM, publication)
        return changed
    if changed != request:
        change.log(kind, publication)
    return request.id


def _propose(change: Change, charter: Charter) -> None:
    if charter.digest not in change.store.charters:
        charter.check()
        change.store.charters[charter.digest] = charter
        change.store.in_force[charter.digest] = False
        change.log(EntryKind.CHARTER, charter)
        change.tell_charter(charter)


def _accept(change: Change, signed: Signed) -> Refusal | None:
    claimed = from_bytes(Acceptance, signed.statement)
    charter = change.store.charters.get(claimed.charter)
    if charter is None:
        return refuse(
            Rule.CHARTER_DOES_NOT_FOLLOW, expected="a version that was proposed", found="another"
        )
    acceptance = open_acceptance(signed, Chain([charter]))
    key = (charter.digest, acceptance.person)
    if key not in change.store.acceptances:
        change.store.acceptances[key] = signed
        change.log(EntryKind.ACCEPTANCE, signed)
        bring_into_force(change, charter)
    return None


def judge_proposals(change: Change) -> None:
    """Brings the version into force where what units show now lets it."""
    for charter in list(change.store.charters.values()):
        if not change.store.in_force[charter.digest]:
            bring_into_force(change, charter, quiet=True)


def bring_into_force(change: Change, charter: Charter, *, quiet: bool = False) -> None:
    """Puts the only version into force once nothing is missing, and tells how far it is."""
    accepted = [
        from_bytes(Acceptance, signed.statement)
        for (digest, _), signed in change.store.acceptances.items()
        if digest == charter.digest
    ]
    in_force = accession(charter, None, accepted, change.store.histories).in_force
    if in_force:
        change.store.in_force[charter.digest] = True
    if in_force or not quiet:
        change.tell_charter(charter)
