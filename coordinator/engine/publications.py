"""Takes in what people publish: each is checked, stored, logged and told in one transaction.

Everything may come twice. What doesn't count is refused, and written to the log as an alarm.
"""

from dataclasses import dataclass

from coordinator.engine import operations
from coordinator.engine.change import Change
from coordinator.engine.charters import accept_charter, propose_charter
from coordinator.engine.ledger import Ledger
from coordinator.engine.units import Units
from coordinator.steps import Write
from coordinator.store import feed, requests
from coordinator.workflow.events import Approved, Contributed, Event, SaidNo
from protocol.displayable import PersonName
from protocol.identifiers import Digest, IdentityKey
from protocol.record.entries import EntryKind
from protocol.record.operations import Actor
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import open_announcement, open_filing, open_rejection
from protocol.session.messages import (
    Accept,
    Announce,
    Approve,
    Cancel,
    Contribute,
    FileRequest,
    KeyNews,
    News,
    OfferKey,
    PartNews,
    Proceed,
    ProposeCharter,
    Publication,
    Reject,
)
from protocol.violations import Violation

MAX_OFFERS = 64
"""Keys that one agent may offer, and parts that it may announce."""


@dataclass(frozen=True)
class Publisher:
    """Whose agent sends it: proven by the handshake."""

    person: PersonName
    agent: IdentityKey


@dataclass(frozen=True)
class Taken:
    """It is durable. `request` is the id of the request that it filed or changed, if any."""

    request: int | None


async def take(
    ledger: Ledger, units: Units, publisher: Publisher, publication: Publication
) -> Taken | Refusal:
    """Makes a publication durable, or refuses it; Violation when it is somebody else's to send."""

    async def work(change: Change) -> Taken | Refusal:
        match publication:
            case FileRequest():
                return await _file(change, units, publisher, publication)
            case Approve(request=digest, ski=ski, approvals=approvals):
                event: Event = Approved(ski, approvals)
                return await _on_request(change, digest, event, EntryKind.APPROVAL, publication)
            case Contribute(request=digest, contributions=contributions):
                event = Contributed(contributions)
                return await _on_request(change, digest, event, EntryKind.CONTRIBUTION, publication)
            case Reject(rejection=signed):
                rejection = open_rejection(signed)
                _own(rejection.custodian, publisher)
                event = SaidNo(signed)
                kind = EntryKind.REJECTION
                return await _on_request(change, rejection.request, event, kind, publication)
            case Cancel() | Proceed():
                return await _steer(change, units, publisher, publication)
            case OfferKey(key=key):
                key.check()
                _own(key.claim.agent, publisher)
                if (key.claim.person, key.claim.instance) != (publisher.person, change.instance):
                    raise Violation("a key that was claimed for another person or instance")
                return await _told(change, KeyNews(key=key), f"key {publisher.agent.hex()} ")
            case Announce(announcement=signed):
                announcement = open_announcement(signed)
                _own(announcement.custodian, publisher)
                if announcement.instance != change.instance:
                    raise Violation("a part that was announced to another instance")
                news = PartNews(announcement=signed)
                return await _told(change, news, f"part {publisher.agent.hex()} ")
            case ProposeCharter(charter=charter):
                refusal = await propose_charter(change, charter, ledger.keys)
                return Taken(None) if refusal is None else refusal
            case Accept(acceptance=signed):
                refusal = await accept_charter(change, signed, publisher.agent, units.histories)
                return Taken(None) if refusal is None else refusal

    return await ledger.change(work)


async def _file(
    change: Change, units: Units, publisher: Publisher, publication: FileRequest
) -> Taken | Refusal:
    filing = open_filing(publication.filing, publisher.agent)
    if filing.custodian != publisher.agent or filing.instance != change.instance:
        raise Violation("a filing in the name of somebody else, or for another instance")
    key = publication.idempotency_key
    idempotency = None if key is None else f"{publisher.agent.hex()} {key}"
    before = await requests.by_filing(await change.written(), filing.digest)
    if before is None and idempotency is not None:
        before = await requests.by_idempotency(change.connection, idempotency)
    if before is not None:
        return Taken(before.id)
    request = await operations.queue(change, units, filing, publication.filing, idempotency)
    return request if isinstance(request, Refusal) else Taken(request.id)


async def _steer(
    change: Change, units: Units, publisher: Publisher, publication: Cancel | Proceed
) -> Taken | Refusal:
    """Cancels or proceeds with a request, in the name of the custodian whose session it is."""
    request = await requests.by_filing(await change.written(), publication.filing)
    if request is None:
        return refuse(
            Rule.NO_SUCH_REQUEST, expected="a filed request", found=publication.filing.hex()
        )
    actor = Actor(custodian=publisher.agent, account=None)
    done: object
    match publication:
        case Cancel(reason=reason):
            done = await operations.cancel(change, units, request, actor, publisher.person, reason)
        case Proceed():
            done = await operations.proceed(change, request, actor)
    return done if isinstance(done, Refusal) else Taken(request.id)


async def _on_request(
    change: Change, digest: Digest, event: Event, kind: EntryKind, publication: Publication
) -> Taken | Refusal:
    request = await change.opened(digest)
    if request is None:
        return refuse(Rule.NO_SUCH_REQUEST, expected="an opened request", found=digest.hex())
    changed = await change.apply(request, event)
    if isinstance(changed, Refusal):
        change.log(EntryKind.ALARM, publication)
        return changed
    if changed != request:
        change.log(kind, publication)
    return Taken(request.id)


async def _told(change: Change, news: News, subjects: str) -> Taken | Refusal:
    """Tells of a key or part; QUEUE_FULL where one agent would have too many of them."""
    there = await change.told(subjects)
    known = await change.told(feed.subject_of(news))
    if there >= MAX_OFFERS and not known:
        return refuse(Rule.QUEUE_FULL, expected=f"at most {MAX_OFFERS} of one agent", found=there)
    await change.tell(news)
    change.writes(Write.OFFER)
    return Taken(None)


def _own(agent: IdentityKey, publisher: Publisher) -> None:
    if agent != publisher.agent:
        raise Violation("a statement in the name of somebody else's agent")
