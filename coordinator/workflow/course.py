"""What every event does to a request.

    waiting in line → collecting → ready → executing → executed

`decide` is the only way in which a request changes. What has to be done for it now (`wanted`) and
until when (`deadline`) follow from the request alone, so that a restart at any point goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.workflow import counting
from coordinator.workflow.collection import (
    COLLECTING,
    approve,
    came_before,
    contribute,
    not_open,
    reject,
    too_late,
)
from coordinator.workflow.events import (
    BY_PEOPLE,
    Approved,
    Cancelled,
    Contributed,
    Event,
    Moved,
    Needless,
    Opened,
    Outdated,
    Prepared,
    Proceeded,
    Ran,
    Reached,
    SaidNo,
    SaidNoUnit,
    TimePassed,
    Unfit,
)
from coordinator.workflow.live import expires
from coordinator.workflow.targets import given_up, on_open, ran, refused, replaced, superseded
from protocol.charter import Charter
from protocol.commands.bodies import Void
from protocol.identifiers import DAY, Duration, Instant, UnitId
from protocol.receipts import RefusalAnswer
from protocol.refusals import Refusal
from protocol.request import LAST_MINUTE, Outcome, Request, RequestState
from protocol.signing.statements import Signed

WAITS_AT_MOST = Duration(7 * DAY)
_MOVED_BY_ITSELF = "the state has moved on by itself"


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
    if came_before(request, event):
        return request
    if request.ended:
        return _after_the_end(request, event, at)
    limit = deadline(request)
    if limit is not None and at >= limit and not isinstance(event, Ran | SaidNoUnit | Reached):
        return too_late(request) if isinstance(event, BY_PEOPLE) else _expire(request, at)
    changed = _decide(request, event, charter)
    if isinstance(changed, Refusal) or changed == request:
        return changed
    return _advance(changed, charter).but(changed=at)


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
            return approve(request, event, charter)
        case Contributed():
            return contribute(request, event)
        case SaidNo(rejection=rejection):
            return reject(request, rejection, charter)
        case Cancelled(by=by, reason=reason):
            if request.state is RequestState.PARTLY_EXECUTED:
                return given_up(request)
            if request.state not in _CANCELLABLE:
                return too_late(request)
            return request.but(state=RequestState.CANCELLED, why=f"cancelled by {by}: {reason}")
        case Proceeded():
            if request.opening is None:
                return not_open(request)
            if not held_by(request):
                return too_late(request)
            return request.but(proceed=True)
        case Reached(unit=unit, reachable=reachable):
            return on_open(request, unit, lambda one: one.but(reachable=reachable))
        case Moved(unit=unit):
            if request.state not in COLLECTING:
                return request  # its own command may have moved it; the unit's answer will say
            return on_open(request, unit, superseded)
        case Prepared(answers=answers):
            return _prepared(request, answers)
        case Ran(unit=unit, receipt=receipt):
            return ran(request, unit, receipt)
        case SaidNoUnit(unit=unit, refusal=refusal, answer=answer):
            return on_open(request, unit, lambda one: refused(one, refusal, answer))
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


_RUNNING = (RequestState.EXECUTING, RequestState.PARTLY_EXECUTED)
_CANCELLABLE = (RequestState.WAITING_IN_LINE, *COLLECTING)


def _advance(request: Request, charter: Charter) -> Request:
    """Takes the steps that follow from what has come in."""
    if request.state in COLLECTING:
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
            request = replaced(request, refused(one, *answer))
    return request


def _outdated(request: Request) -> Request:
    """Nobody signs under a version that was replaced; what is ready isn't begun."""
    progress = tuple(superseded(one) if one.open else one for one in request.progress)
    request = request.but(progress=progress)
    if request.state not in COLLECTING:
        return request
    why = "a newer version of the charter is in force"
    return request.but(state=RequestState.SUPERSEDED, why=why)


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
        late = ran(request, event.unit, event.receipt)
        return request if late == request else _ran_all_the_same(late).but(changed=at)
    return too_late(request) if isinstance(event, BY_PEOPLE) else request


def _ran_all_the_same(request: Request) -> Request:
    """A receipt came after the end: what it proves is told, and nothing is begun again."""
    if any(one.open for one in request.progress):
        return request.but(why="its signed copies ran on some units all the same")
    return _finish(request)
