"""What people give: signatures, key parts, a No. Each word counts once, whoever brings it again."""

from collections.abc import Iterable

from coordinator.workflow import counting
from coordinator.workflow.events import Approved, Contributed, Event, Proceeded, SaidNo
from coordinator.workflow.targets import last_refused_by, replaced
from protocol.charter import Charter
from protocol.commands.command import Contribution
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import Rejection, Request, RequestState, TargetProgress
from protocol.schema import from_bytes
from protocol.sealing.contribution import open_contribution
from protocol.signing.statements import Signed

COLLECTING = (RequestState.COLLECTING, RequestState.READY)
_PART_SPOILT = (Rule.PART_UNREADABLE, Rule.PART_MISMATCH)


def came_before(request: Request, event: Event) -> bool:
    """Whether this very word of somebody's counts already: what comes twice is answered as once."""
    match event:
        case Approved(approvals=approvals):
            return _counts_already(
                (one, given.approval in one.approvals)
                for given in approvals
                if (one := request.progress_on(given.unit)) is not None
            )
        case Contributed(contributions=contributions):
            return _counts_already(
                (one, given.contribution in one.contributions)
                for given in contributions
                if (one := request.progress_on(given.unit)) is not None
            )
        case SaidNo(rejection=rejection):
            return rejection in request.rejections
        case Proceeded():
            return request.proceed
        case _:
            return False


def _counts_already(given: Iterable[tuple[TargetProgress, bool]]) -> bool:
    """What was given for a target that had ended before isn't there, and isn't missed."""
    found = list(given)
    some = any(there for _, there in found)
    return some and all(there or not one.open for one, there in found)


def approve(request: Request, event: Approved, charter: Charter) -> Request | Refusal:
    """With one key's signatures; whoever has said No before takes it back by them."""
    if request.opening is None:
        return not_open(request)
    if request.state not in COLLECTING:
        return too_late(request)
    given = {one.unit: one.approval for one in event.approvals}
    progress: list[TargetProgress] = []
    counts = False
    for one in request.progress:
        approval = given.pop(one.unit, None)
        if approval is None or not one.open:
            progress.append(one)
            continue
        before = next((it for it in one.approvals if it.ski == approval.ski), None)
        if before is not None:
            if before != approval:
                return refuse(
                    Rule.SIGNED_BEFORE,
                    expected="a key that hasn't signed",
                    found=f"{approval.ski.hex()} again",
                )
            progress.append(one)
            continue
        if approval.ski != event.ski:
            return refuse(
                Rule.SIGNATURE_NOT_WANTED, expected=event.ski.hex(), found=approval.ski.hex()
            )
        refusal = counting.approval_refusal(
            one, request.command(one.target), approval, charter
        ) or counting.person_signed_before(one, approval.ski, charter)
        if refusal is not None:
            return refusal
        together = sorted((*one.approvals, approval), key=lambda it: it.ski)
        progress.append(one.but(approvals=tuple(together)))
        counts = True
    if given:
        return refuse(
            Rule.SIGNATURE_NOT_WANTED, expected="signatures for its targets", found="for others"
        )
    if not counts:
        return request
    owner = charter.owner_of(event.ski)
    rejections = tuple(
        one
        for one in request.rejections
        if owner is None or _rejection(one).custodian != owner.agent
    )
    return request.but(progress=tuple(progress), rejections=rejections)


def contribute(request: Request, event: Contributed) -> Request | Refusal:
    """With one custodian's sealed parts."""
    if request.opening is None:
        return not_open(request)
    if request.state not in COLLECTING:
        return too_late(request)
    for given in event.contributions:
        one = request.progress_on(given.unit)
        if one is None:
            return refuse(
                Rule.PART_NOT_WANTED, expected="parts for its targets", found="for another unit"
            )
        if not one.open:
            continue
        command = request.command(one.target)
        refusal = counting.contribution_refusal(one, command, given.contribution)
        if refusal is not None:
            return refusal
        fresh = one.but(contributions=(given.contribution,))
        if not counting.given_parts(fresh) <= counting.given_parts(one):
            together = (*one.contributions, given.contribution)
            request = replaced(request, one.but(contributions=together))
        elif last_refused_by(one) in _PART_SPOILT:
            request = replaced(request, _given_again(one, given.contribution))
    return request


def _given_again(one: TargetProgress, again: Contribution) -> TargetProgress:
    """With a part in place of the one that the unit couldn't take."""
    vp = open_contribution(again).vp
    others = [there for there in one.contributions if open_contribution(there).vp != vp]
    return one.but(contributions=(*others, again), refusal=None)


def reject(request: Request, rejection: Signed, charter: Charter) -> Request | Refusal:
    """With a custodian's No."""
    if request.opening is None:
        return not_open(request)
    if request.state not in COLLECTING:
        return too_late(request)
    custodian = _rejection(rejection).custodian
    if any(_rejection(one).custodian == custodian for one in request.rejections):
        return request
    if counting.gave_all(request, custodian, charter):
        return request  # what was signed can't be taken back
    return request.but(rejections=(*request.rejections, rejection))


def not_open(request: Request) -> Refusal:
    """REQUEST_NOT_OPEN: it still waits in line."""
    return refuse(Rule.REQUEST_NOT_OPEN, expected="an opened request", found=request.state)


def too_late(request: Request) -> Refusal:
    """REQUEST_ENDED: it collects no more."""
    return refuse(Rule.REQUEST_ENDED, expected="a request that still collects", found=request.state)


def _rejection(signed: Signed) -> Rejection:
    return from_bytes(Rejection, signed.statement)
