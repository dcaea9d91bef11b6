"""What every event does to a request.

    waiting in line → collecting → ready → executing → executed

`decide` is the only way in which a request changes. What has to be done for it now (`wanted`) and
until when (`deadline`) follow from the request alone, so that a restart at any point goes on.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from coordinator.workflow import counting
from coordinator.workflow.live import expires
from protocol.charter import Charter
from protocol.commands.bodies import Void
from protocol.commands.command import Contribution
from protocol.identifiers import DAY, SKI, Duration, Instant, UnitId
from protocol.receipts import RefusalAnswer
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import (
    LAST_MINUTE,
    Opening,
    Outcome,
    Rejection,
    Request,
    RequestState,
    TargetProgress,
)
from protocol.schema import from_bytes
from protocol.sealing.contribution import open_contribution
from protocol.session.messages import UnitApproval, UnitContribution
from protocol.signing.statements import Signed

WAITS_AT_MOST = Duration(7 * DAY)
_STATE_MOVED = (Rule.STATE_CHANGED, Rule.WRONG_INCARNATION)
_PART_SPOILT = (Rule.PART_UNREADABLE, Rule.PART_MISMATCH)
_MOVED_BY_ITSELF = "the state has moved on by itself"


# events


@dataclass(frozen=True)
class Opened:
    """It is first in line; opening and targets are fixed."""

    opening: Opening
    progress: tuple[TargetProgress, ...]


@dataclass(frozen=True)
class Unfit:
    """It came first in line, and a rule refuses it for a target's present state."""

    unit: UnitId
    refusal: Refusal


@dataclass(frozen=True)
class Approved:
    """One key's signatures."""

    ski: SKI
    approvals: tuple[UnitApproval, ...]


@dataclass(frozen=True)
class Contributed:
    """One key part, sealed to the targets."""

    contributions: tuple[UnitContribution, ...]


@dataclass(frozen=True)
class SaidNo:
    """A custodian's rejection; verified."""

    rejection: Signed


@dataclass(frozen=True)
class Cancelled:
    """Whoever may has stopped asking for it, or has given up the units where it hasn't run."""

    by: str
    reason: str


@dataclass(frozen=True)
class Proceeded:
    """The operator's word to run it without the targets that are out of reach or superseded."""


@dataclass(frozen=True)
class Reached:
    """Whether a unit is in reach, and if so its state's version."""

    unit: UnitId
    reachable: bool


@dataclass(frozen=True)
class Moved:
    """A unit's state is no longer the one that the signers saw; while it collects or is ready."""

    unit: UnitId
    found: str


@dataclass(frozen=True)
class Prepared:
    """What the units answered to prepare: None where they would run it."""

    answers: Mapping[UnitId, tuple[Signed, RefusalAnswer] | None]


@dataclass(frozen=True)
class Ran:
    """A unit's receipt; verified."""

    unit: UnitId
    receipt: Signed


@dataclass(frozen=True)
class SaidNoUnit:
    """A unit's refusal to execute; verified."""

    unit: UnitId
    refusal: Signed
    answer: RefusalAnswer


@dataclass(frozen=True)
class TimePassed:
    """Nothing happened but time."""


@dataclass(frozen=True)
class Outdated:
    """A newer version of the charter is in force than the one that it was opened under."""


@dataclass(frozen=True)
class Needless:
    """A void whose targets have all moved on by themselves."""


Event = (
    Opened
    | Unfit
    | Approved
    | Contributed
    | SaidNo
    | Cancelled
    | Proceeded
    | Reached
    | Moved
    | Prepared
    | Ran
    | SaidNoUnit
    | TimePassed
    | Outdated
    | Needless
)


# what is to be done


@dataclass(frozen=True)
class Prepare:
    """Ask these units for the full check; nothing runs yet."""

    units: tuple[UnitId, ...]


@dataclass(frozen=True)
class Execute:
    """Have these units run it."""

    units: tuple[UnitId, ...]


def wanted(request: Request) -> Prepare | Execute | None:
    """What the units are to be asked now; None while people, a unit or the operator must act."""
    open_ones = [one for one in request.progress if one.open]
    in_reach = tuple(one.unit for one in open_ones if one.reachable)
    match request.state:
        case RequestState.READY if in_reach and (request.proceed or not held_by(request)):
            return Prepare(in_reach)
        case RequestState.EXECUTING | RequestState.PARTLY_EXECUTED if in_reach:
            return Execute(in_reach)
        case _:
            return None


def held_by(request: Request) -> tuple[UnitId, ...]:
    """The targets for whose sake a ready request doesn't run: out of reach, or superseded.

    Nothing holds a void: what it makes harmless is harmless, whatever the other units do.
    """
    if request.state is not RequestState.READY or request.proceed:
        return ()
    if isinstance(request.filing.body, Void):
        return ()
    return tuple(
        one.unit
        for one in request.progress
        if one.outcome is Outcome.SUPERSEDED or (one.open and not one.reachable)
    )


def deadline(request: Request) -> Instant | None:
    """When `TimePassed` will change something, if nothing else does before."""
    if request.ended:
        return None
    if request.opening is None and isinstance(request.filing.body, Void):
        return Instant(expires(request, request.filed) - LAST_MINUTE)
    if request.opening is None:
        return Instant(request.filed + WAITS_AT_MOST)
    return Instant(request.opening.not_after - LAST_MINUTE)


def decide(request: Request, event: Event, charter: Charter, *, at: Instant) -> Request | Refusal:
    """The request after `event`; the same one where nothing changes; a refusal where it may not.

    `charter` is the version that the request was, or is to be, opened under.
    """
    if _came_before(request, event):
        return request
    if request.ended:
        return _after_the_end(request, event, at)
    limit = deadline(request)
    if limit is not None and at >= limit and not isinstance(event, Ran | SaidNoUnit | Reached):
        return _too_late(request) if isinstance(event, _BY_PEOPLE) else _expire(request, at)
    changed = _decide(request, event, charter)
    if isinstance(changed, Refusal) or changed == request:
        return changed
    return _advance(changed, charter).but(changed=at)


_BY_PEOPLE = (Approved, Contributed, SaidNo, Cancelled, Proceeded)


def _came_before(request: Request, event: Event) -> bool:
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


def _decide(request: Request, event: Event, charter: Charter) -> Request | Refusal:
    match event:
        case Opened(opening=opening, progress=progress):
            if request.state is not RequestState.WAITING_IN_LINE:
                return request
            return request.but(state=RequestState.COLLECTING, opening=opening, progress=progress)
        case Unfit(refusal=refusal):
            if request.state is not RequestState.WAITING_IN_LINE:
                return request
            why = f"{refusal.rule}: expected {refusal.expected}, found {refusal.found}"
            return request.but(state=RequestState.FAILED, why=why)
        case Approved():
            return _approve(request, event, charter)
        case Contributed():
            return _contribute(request, event)
        case SaidNo(rejection=rejection):
            return _reject(request, rejection, charter)
        case Cancelled(by=by, reason=reason):
            if request.state is RequestState.PARTLY_EXECUTED:
                return _given_up(request)
            if request.state not in _CANCELLABLE:
                return _too_late(request)
            return request.but(state=RequestState.CANCELLED, why=f"cancelled by {by}: {reason}")
        case Proceeded():
            if request.opening is None:
                return _not_open(request)
            if not held_by(request):
                return _too_late(request)
            return request.but(proceed=True)
        case Reached(unit=unit, reachable=reachable):
            return _on_open(request, unit, lambda one: one.but(reachable=reachable))
        case Moved(unit=unit):
            if request.state not in _COLLECTING:
                return request  # its own command may have moved it; the unit's answer will say
            return _on_open(request, unit, _superseded)
        case Prepared(answers=answers):
            return _prepared(request, answers)
        case Ran(unit=unit, receipt=receipt):
            return _ran(request, unit, receipt)
        case SaidNoUnit(unit=unit, refusal=refusal, answer=answer):
            return _on_open(request, unit, lambda one: _refused(one, refusal, answer))
        case Outdated():
            if request.opening is None or request.state is RequestState.EXECUTING:
                return request
            return _outdated(request)
        case Needless():
            if request.state not in _CANCELLABLE:
                return request
            return request.but(state=RequestState.NEEDLESS, why=_MOVED_BY_ITSELF)
        case TimePassed():
            return request


_COLLECTING = (RequestState.COLLECTING, RequestState.READY)
_RUNNING = (RequestState.EXECUTING, RequestState.PARTLY_EXECUTED)
_CANCELLABLE = (RequestState.WAITING_IN_LINE, *_COLLECTING)


def _advance(request: Request, charter: Charter) -> Request:
    """Takes the steps that follow from what has come in."""
    if request.state in _COLLECTING:
        return _collect(request, charter)
    return _finish(request) if request.state in _RUNNING else request


def _collect(request: Request, charter: Charter) -> Request:
    open_ones = [one for one in request.progress if one.open]
    outcomes = {one.outcome for one in request.progress}
    if Outcome.REFUSED in outcomes:
        return request.but(state=RequestState.FAILED, why="a unit would refuse it")
    if Outcome.EXPIRED in outcomes:
        return request.but(state=RequestState.EXPIRED, why="a unit says that its time ran out")
    if not open_ones:
        return _finish(request)
    if all(counting.complete(request, one, charter) for one in open_ones):
        return request.but(state=RequestState.READY)
    rejecting = counting.custodians_rejecting(request)
    if not all(counting.still_possible(request, one, charter, rejecting) for one in open_ones):
        return request.but(state=RequestState.REJECTED, why="those who haven't said No are too few")
    return request.but(state=RequestState.COLLECTING)


def _finish(request: Request) -> Request:
    """Executing: has every unit answered?"""
    outcomes = {one.outcome for one in request.progress}
    ran = Outcome.EXECUTED in outcomes
    if any(one.open for one in request.progress):
        waits = all(not one.reachable for one in request.progress if one.open)
        state = RequestState.PARTLY_EXECUTED if ran and waits else RequestState.EXECUTING
        if request.state is RequestState.PARTLY_EXECUTED:
            state = RequestState.PARTLY_EXECUTED
        return request.but(state=state)
    if outcomes == {Outcome.EXECUTED}:
        return request.but(state=RequestState.EXECUTED)
    if ran:
        return request.but(
            state=RequestState.PARTLY_EXECUTED, why="it ran on some of its units only"
        )
    if outcomes == {Outcome.SUPERSEDED} and isinstance(request.filing.body, Void):
        return request.but(state=RequestState.NEEDLESS, why=_MOVED_BY_ITSELF)
    if outcomes == {Outcome.SUPERSEDED}:
        return request.but(
            state=RequestState.SUPERSEDED, why="the state under all its signatures changed"
        )
    if outcomes == {Outcome.EXPIRED}:
        return request.but(state=RequestState.EXPIRED, why="it expired before a unit ran it")
    return request.but(state=RequestState.FAILED, why="no unit ran it")


def _approve(request: Request, event: Approved, charter: Charter) -> Request | Refusal:
    if request.opening is None:
        return _not_open(request)
    if request.state not in _COLLECTING:
        return _too_late(request)
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


def _contribute(request: Request, event: Contributed) -> Request | Refusal:
    if request.opening is None:
        return _not_open(request)
    if request.state not in _COLLECTING:
        return _too_late(request)
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
            request = _with(request, one.but(contributions=together))
        elif _last_refused_by(one) in _PART_SPOILT:
            request = _with(request, _given_again(one, given.contribution))
    return request


def _given_again(one: TargetProgress, again: Contribution) -> TargetProgress:
    """With a part in place of the one that the unit couldn't take."""
    vp = open_contribution(again).vp
    others = [there for there in one.contributions if open_contribution(there).vp != vp]
    return one.but(contributions=(*others, again), refusal=None)


def _reject(request: Request, rejection: Signed, charter: Charter) -> Request | Refusal:
    if request.opening is None:
        return _not_open(request)
    if request.state not in _COLLECTING:
        return _too_late(request)
    custodian = _rejection(rejection).custodian
    if any(_rejection(one).custodian == custodian for one in request.rejections):
        return request
    if counting.gave_all(request, custodian, charter):
        return request  # what was signed can't be taken back
    return request.but(rejections=(*request.rejections, rejection))


def _prepared(
    request: Request, answers: Mapping[UnitId, tuple[Signed, RefusalAnswer] | None]
) -> Request:
    if request.state is not RequestState.READY or held_by(request):
        return request
    asked = {one.unit for one in request.progress if one.open and one.reachable}
    if asked and asked <= answers.keys() and all(answer is None for answer in answers.values()):
        return request.but(state=RequestState.EXECUTING)
    for one in request.progress:
        answer = answers.get(one.unit)
        if answer is not None and one.open:
            request = _with(request, _refused(one, *answer))
    return request


def _outdated(request: Request) -> Request:
    """Nobody signs under a version that was replaced; what is ready isn't begun."""
    progress = tuple(_superseded(one) if one.open else one for one in request.progress)
    request = request.but(progress=progress)
    if request.state not in _COLLECTING:
        return request
    why = "a newer version of the charter is in force"
    return request.but(state=RequestState.SUPERSEDED, why=why)


def _refused(one: TargetProgress, signed: Signed, answer: RefusalAnswer) -> TargetProgress:
    if answer.refusal.rule in _STATE_MOVED:
        return _superseded(one).but(refusal=signed)
    if answer.can_still_run:
        same = _last_refused_by(one) is answer.refusal.rule
        return one if same else one.but(refusal=signed)
    outcome = Outcome.EXPIRED if answer.refusal.rule is Rule.EXPIRED else Outcome.REFUSED
    return one.but(outcome=outcome, refusal=signed)


def _last_refused_by(one: TargetProgress) -> Rule | None:
    """The rule by which the unit said No last."""
    if one.refusal is None:
        return None
    return from_bytes(RefusalAnswer, one.refusal.statement).refusal.rule


def _superseded(one: TargetProgress) -> TargetProgress:
    return one.but(outcome=Outcome.SUPERSEDED)


def _given_up(request: Request) -> Request:
    """It isn't tried any more on the units where it hasn't run. Its signed copies may still run."""
    progress = tuple(
        one.but(outcome=Outcome.GIVEN_UP) if one.open else one for one in request.progress
    )
    return request.but(progress=progress)


def _expire(request: Request, at: Instant) -> Request:
    """Past its time: what hasn't run has expired. A receipt that comes late still counts."""
    progress = tuple(
        one.but(outcome=Outcome.EXPIRED) if one.open else one for one in request.progress
    )
    expired = request.but(progress=progress, changed=at)
    if request.state in _RUNNING:
        return _finish(expired)
    return expired.but(state=RequestState.EXPIRED, why="its time ran out; nothing ran")


def _after_the_end(request: Request, event: Event, at: Instant) -> Request | Refusal:
    if isinstance(event, Ran):
        late = _ran(request, event.unit, event.receipt)
        return request if late == request else _ran_all_the_same(late).but(changed=at)
    return _too_late(request) if isinstance(event, _BY_PEOPLE) else request


def _ran_all_the_same(request: Request) -> Request:
    """A receipt came after the end: what it proves is told, and nothing is begun again."""
    if any(one.open for one in request.progress):
        return request.but(why="its signed copies ran on some units all the same")
    return _finish(request)


def _ran(request: Request, unit: UnitId, receipt: Signed) -> Request:
    one = request.progress_on(unit)
    if one is None or one.receipt is not None:
        return request
    return _with(request, one.but(outcome=Outcome.EXECUTED, receipt=receipt, refusal=None))


def _on_open(
    request: Request, unit: UnitId, change: Callable[[TargetProgress], TargetProgress]
) -> Request:
    one = request.progress_on(unit)
    return request if one is None or not one.open else _with(request, change(one))


def _with(request: Request, changed: TargetProgress) -> Request:
    return request.but(
        progress=tuple(changed if one.unit == changed.unit else one for one in request.progress)
    )


def _not_open(request: Request) -> Refusal:
    return refuse(Rule.REQUEST_NOT_OPEN, expected="an opened request", found=request.state)


def _too_late(request: Request) -> Refusal:
    return refuse(Rule.REQUEST_ENDED, expected="a request that still collects", found=request.state)


def _rejection(signed: Signed) -> Rejection:
    return from_bytes(Rejection, signed.statement)
