"""What an event makes of a request's targets, one by one."""

from collections.abc import Callable

from protocol.identifiers import UnitId
from protocol.receipts import RefusalAnswer
from protocol.refusals import Rule
from protocol.request import Outcome, Request, TargetProgress
from protocol.schema import from_bytes
from protocol.signing.statements import Signed

_STATE_MOVED = (Rule.STATE_CHANGED, Rule.WRONG_INCARNATION)


def refused(one: TargetProgress, signed: Signed, answer: RefusalAnswer) -> TargetProgress:
    """The unit said No: for good, or because its state moved, or not yet."""
    if answer.refusal.rule in _STATE_MOVED:
        return superseded(one).but(refusal=signed)
    if answer.can_still_run:
        same = last_refused_by(one) is answer.refusal.rule
        return one if same else one.but(refusal=signed)
    outcome = Outcome.EXPIRED if answer.refusal.rule is Rule.EXPIRED else Outcome.REFUSED
    return one.but(outcome=outcome, refusal=signed)


def last_refused_by(one: TargetProgress) -> Rule | None:
    """The rule by which the unit said No last."""
    if one.refusal is None:
        return None
    return from_bytes(RefusalAnswer, one.refusal.statement).refusal.rule


def superseded(one: TargetProgress) -> TargetProgress:
    """Its signatures are for a state, or under a charter, that is no more."""
    return one.but(outcome=Outcome.SUPERSEDED)


def given_up(request: Request) -> Request:
    """It isn't tried any more on the units where it hasn't run. Its signed copies may still run."""
    progress = tuple(
        one.but(outcome=Outcome.GIVEN_UP) if one.open else one for one in request.progress
    )
    return request.but(progress=progress)


def ran(request: Request, unit: UnitId, receipt: Signed) -> Request:
    """The unit ran it: its first receipt counts."""
    one = request.progress_on(unit)
    if one is None or one.receipt is not None:
        return request
    return replaced(request, one.but(outcome=Outcome.EXECUTED, receipt=receipt, refusal=None))


def on_open(
    request: Request, unit: UnitId, change: Callable[[TargetProgress], TargetProgress]
) -> Request:
    """With a target changed, if it is still open."""
    one = request.progress_on(unit)
    return request if one is None or not one.open else replaced(request, change(one))


def replaced(request: Request, changed: TargetProgress) -> Request:
    """With this in place of what the same target was."""
    return request.but(
        progress=tuple(changed if one.unit == changed.unit else one for one in request.progress)
    )
