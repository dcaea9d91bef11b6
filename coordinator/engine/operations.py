"""What operators and custodians do to requests: file, cancel, proceed, void, refile.

Each is one transaction. Filing gives nobody power, and neither does the rest: a request decides
only what people are asked, and never what they or the units agree to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.engine.change import Change
from coordinator.engine.ledger import Ledger
from coordinator.engine.units import Units
from coordinator.store import requests
from coordinator.workflow.events import Cancelled, Proceeded
from coordinator.workflow.filing import filing_refusal, new_request, not_our_log
from coordinator.workflow.live import nothing_live
from coordinator.workflow.rights import not_your_request
from protocol.commands.bodies import Body, Void
from protocol.displayable import AccountName, Purpose, Reason
from protocol.identifiers import Digest, Duration, Nonce, UnitId
from protocol.live import LiveCopy, live_copies, void_purpose, void_validity
from protocol.record.entries import EntryKind
from protocol.record.operations import Actor, Cancellation, Proceeding
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import Filing, Request, RequestState
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement


@dataclass(frozen=True)
class Wanted:
    """What an account asks for."""

    body: Body
    targets: tuple[UnitId, ...]
    purpose: Purpose
    valid_for: Duration
    leave_out: bool
    idempotency_key: str | None


@dataclass(frozen=True)
class Filed:
    """A request in the queue; `before` when it was there already."""

    request: Request
    before: bool


@dataclass(frozen=True)
class Ended:
    """A request that nobody is asked for any more, and the signed copies that aren't recalled."""

    request: Request
    live: tuple[LiveCopy, ...]


async def file(
    change: Change, ledger: Ledger, units: Units, account: AccountName, wanted: Wanted
) -> Filed | Refusal:
    """Queues what an account asks for. The same idempotency key files it once."""
    key = wanted.idempotency_key
    idempotency = None if key is None else idempotency_of(account, key)
    if idempotency is not None:
        before = await requests.by_idempotency(await change.written(), idempotency)
        if before is not None:
            return idempotency_key_used(before, wanted) or Filed(before, before=True)
    filing = _filing(change, ledger, account, wanted, voids=None)
    return await _queue_own(change, ledger, units, filing, idempotency)


def idempotency_of(account: AccountName, key: str) -> str:
    """Under what an account's idempotency key is kept: each account has its own."""
    return f"account {account} {key}"


def idempotency_key_used(before: Request, wanted: Wanted) -> Refusal | None:
    """IDEMPOTENCY_KEY_USED: one key stands for one filing."""
    filing = before.filing
    if (filing.body, filing.targets, filing.purpose) == (
        wanted.body,
        tuple(sorted(set(wanted.targets))),
        wanted.purpose,
    ):
        return None
    return refuse(
        Rule.IDEMPOTENCY_KEY_USED,
        expected="the same command, units and purpose as before",
        found=f"others; it was used for request {before.id}",
    )


async def cancel(
    change: Change, units: Units, request: Request, actor: Actor, by: str, reason: Reason
) -> Ended | Refusal:
    """Stops asking for a request. `by` is the name that people read."""
    refusal = not_your_request(request, actor)
    if refusal is not None:
        return refusal
    if request.state is not RequestState.CANCELLED:
        changed = await change.apply(request, Cancelled(by=by, reason=reason))
        if isinstance(changed, Refusal):
            return changed
        request = changed
        entry = Cancellation(filing=request.filing.digest, by=actor, reason=reason)
        change.log(EntryKind.CANCELLATION, entry)
    return Ended(request, live_copies(request, state_digests(units), change.at))


async def proceed(change: Change, request: Request, actor: Actor) -> Request | Refusal:
    """Runs a request without the units that hold it."""
    refusal = not_your_request(request, actor)
    if refusal is not None:
        return refusal
    changed = await change.apply(request, Proceeded())
    if isinstance(changed, Request) and changed != request:
        entry = Proceeding(filing=request.filing.digest, by=actor)
        change.log(EntryKind.PROCEED, entry)
    return changed


async def void(
    change: Change, ledger: Ledger, units: Units, request: Request, account: AccountName
) -> Filed | Refusal:
    """Files what makes the signed copies of an ended request harmless, on all their units.

    One that ran on some of its units only is given up on the others first.
    """
    origin = None if request.opening is None else request.opening.digest
    for other in change.not_ended():
        if origin is not None and other.filing.voids == origin:
            return Filed(other, before=True)
    after = request
    if request.state is RequestState.PARTLY_EXECUTED and not request.ended:
        given_up = await change.preview(request, Cancelled(by=account, reason=""))
        after = request if isinstance(given_up, Refusal) else given_up
    live = live_copies(after, state_digests(units), change.at) if after.ended else ()
    if origin is None or not live:
        return refuse(
            Rule.VOID_ORIGIN,
            expected="an ended request whose signed copies can still run",
            found=f"request {request.id}, {request.state}",
        )
    wanted = Wanted(
        body=Void(),
        targets=tuple(copy.unit for copy in live),
        purpose=void_purpose(request.id),
        valid_for=void_validity(live, change.at),
        # What can be reached is made harmless at once; for the rest it can be asked for again.
        leave_out=True,
        idempotency_key=None,
    )
    filing = _filing(change, ledger, account, wanted, voids=origin)
    filed = await _queue_own(change, ledger, units, filing, None, voided=after)
    if isinstance(filed, Filed) and after != request:
        await change.save(after)
        actor = Actor(custodian=None, account=account)
        entry = Cancellation(filing=request.filing.digest, by=actor, reason=Reason(""))
        change.log(EntryKind.CANCELLATION, entry)
    return filed


async def refile(
    change: Change, ledger: Ledger, units: Units, request: Request, account: AccountName
) -> Filed | Refusal:
    """Files the same command again, for the same purpose and the units that haven't run it."""
    filing = request.filing
    if not request.ended:
        return refuse(
            Rule.SAME_REQUEST_OPEN,
            expected="a request that has ended",
            found=f"request {request.id}, {request.state}",
        )
    if filing.voids is not None:
        voided = await change.opened(filing.voids)
        if voided is None:
            raise AssertionError("a void is only filed for a request that is there")
        return await void(change, ledger, units, voided, account)
    wanted = Wanted(
        body=filing.body,
        targets=request.left_to_run or filing.targets,
        purpose=filing.purpose,
        valid_for=filing.valid_for,
        leave_out=filing.leave_out,
        idempotency_key=None,
    )
    again = _filing(change, ledger, account, wanted, voids=None)
    return await _queue_own(change, ledger, units, again, None)


async def queue(
    change: Change,
    units: Units,
    filing: Filing,
    signed: Signed,
    idempotency: str | None,
    *,
    voided: Request | None = None,
) -> Request | Refusal:
    """Puts a filing at the end of the line, if every rule lets it pass.

    `signed` is what the log keeps of it; only a custodian's signature is told to others. `voided`
    is the request that a void is for, where it is about to change.
    """
    if filing.voids is not None and voided is None:
        voided = await change.opened(filing.voids)
    charter = change.in_force()
    refusal = (
        not_our_log(charter, change.log_key)
        or filing_refusal(
            filing,
            charter,
            {unit: history.state for unit, history in units.histories.items()},
            change.not_ended(),
            voided=voided,
        )
        or nothing_live(filing, voided, state_digests(units), change.at)
    )
    if refusal is not None:
        return refusal
    signature = None if filing.custodian is None else signed.signature
    number = change.next_id()
    request = new_request(number, filing, signature, at=change.at)
    change.log(EntryKind.FILING, signed)
    await change.add(request, idempotency)
    return request


def state_digests(units: Units) -> Mapping[UnitId, Digest]:
    """The digest of each unit's last verified state."""
    return {unit: history.state_digest for unit, history in units.histories.items()}


async def _queue_own(
    change: Change,
    ledger: Ledger,
    units: Units,
    filing: Filing,
    idempotency: str | None,
    *,
    voided: Request | None = None,
) -> Filed | Refusal:
    # An account has no key: in the log the coordinator signs what it says it was asked.
    signed = sign_statement(Label.FILING, filing, ledger.keys.sign)
    request = await queue(change, units, filing, signed, idempotency, voided=voided)
    return request if isinstance(request, Refusal) else Filed(request, before=False)


def _filing(
    change: Change, ledger: Ledger, account: AccountName, wanted: Wanted, *, voids: Digest | None
) -> Filing:
    return Filing(
        instance=change.instance,
        body=wanted.body,
        targets=tuple(sorted(set(wanted.targets))),
        purpose=wanted.purpose,
        custodian=None,
        account=account,
        step=None,
        voids=voids,
        valid_for=wanted.valid_for,
        leave_out=wanted.leave_out,
        at=change.at,
        nonce=Nonce(ledger.entropy(32)),
    )
