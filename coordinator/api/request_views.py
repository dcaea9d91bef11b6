"""Requests as the API shows them: a pure function of the request and the facts."""

from coordinator.api.facts import Facts
from coordinator.wire.command_bodies import owner_of, person_of, shown
from coordinator.wire.requests import (
    Filer,
    Live,
    No,
    OnUnit,
    PartOf,
    Ran,
    Refused,
    RequestView,
    Signer,
)
from coordinator.wire.values import time_of
from coordinator.workflow import counting
from coordinator.workflow.course import held_by
from coordinator.workflow.line import behind
from protocol.charter import Charter
from protocol.commands.bodies import LoadNewRegister
from protocol.commands.wording import title
from protocol.identifiers import SKI, short
from protocol.live import not_recalled
from protocol.receipts import Receipt, RefusalAnswer
from protocol.request import Rejection, Request, RequestState, TargetProgress
from protocol.schema import from_bytes


def request_view(request: Request, facts: Facts, voids: int | None) -> RequestView:
    """The request. `voids` is the id of the request that it is a void for."""
    filing, opening = request.filing, request.opening
    charter = facts.opened_under(request)
    digest = None if opening is None else opening.digest
    names, have, needed = frozenset[str](), 0, 0
    if charter is not None and not request.ended:
        names, have, needed = counting.waiting_for(request, charter)
    if request.ended:
        have, needed = _most_missing(request, charter)
    return RequestView(
        id=request.id,
        instance=facts.instance,
        practice=facts.practice,
        command=shown(filing.body, facts.charters),
        title=title(filing.body, lambda ski: owner_of(ski, facts.charters)),
        units=tuple(unit.hex() for unit in filing.targets),
        left_out=() if opening is None else tuple(unit.hex() for unit in opening.left_out),
        purpose=filing.purpose,
        filed_by=_filer(request, facts),
        filed=time_of(request.filed),
        filing=filing.digest.hex(),
        state=request.state,
        ended=request.ended,
        why=request.why,
        changed=time_of(request.changed),
        opened=None if opening is None else time_of(opening.not_before),
        expires=None if opening is None else time_of(opening.not_after),
        digest=None if digest is None else digest.hex(),
        charter=None if opening is None or charter is None else charter.number,
        have=have,
        needed=needed,
        waiting_for=tuple(sorted(names)),
        behind=tuple(behind(request, facts.standing)) if _waits(request) else (),
        held_by=tuple(unit.hex() for unit in held_by(request)),
        proceed=request.proceed,
        signed_by=_signed_by(request, facts),
        approvals=_counted(request),
        parts=_parts(request, facts),
        rejections=tuple(_no(one.statement, facts) for one in request.rejections),
        progress=tuple(_on_unit(one, charter) for one in request.progress),
        live=_live(request, facts, charter) if request.ended else None,
        voids=voids,
        void=next(
            (one.id for one in facts.standing if digest and one.filing.voids == digest), None
        ),
    )


def _waits(request: Request) -> bool:
    return request.state is RequestState.WAITING_IN_LINE


def _filer(request: Request, facts: Facts) -> Filer:
    filing = request.filing
    if filing.custodian is None:
        return Filer(name=str(filing.account), account=True)
    name = person_of(filing.custodian, facts.charters) or short(filing.custodian)
    return Filer(name=name, account=False)


def _most_missing(request: Request, charter: Charter | None) -> tuple[int, int]:
    counts = [(_have(one, charter), one.needed) for one in request.progress]
    return max(counts, key=lambda one: one[1] - one[0], default=(0, 0))


def _have(progress: TargetProgress, charter: Charter | None) -> int:
    return 0 if charter is None else counting.have(progress, charter)


def _signed_by(request: Request, facts: Facts) -> tuple[Signer, ...]:
    skis = {approval.ski for one in request.progress for approval in one.approvals}
    signers = [Signer(ski=ski.hex(), person=owner_of(ski, facts.charters)) for ski in skis]
    return tuple(sorted(signers, key=lambda one: (one.person or "", one.ski)))


def _counted(request: Request) -> tuple[str, ...]:
    skis = {ski for one in request.progress for ski in _receipt_skis(one)}
    return tuple(sorted(ski.hex() for ski in skis))


def _receipt_skis(progress: TargetProgress) -> list[SKI]:
    if progress.receipt is None:
        return []
    receipt = from_bytes(Receipt, progress.receipt.statement)
    return [approval.ski for approval in receipt.approvals]


def _parts(request: Request, facts: Facts) -> tuple[PartOf, ...]:
    body = request.filing.body
    if not isinstance(body, LoadNewRegister):
        return ()
    given = [counting.given_parts(one) for one in request.progress if one.open or one.receipt]
    return tuple(
        PartOf(
            vp=part.vp.hex(),
            custodian=person_of(part.custodian, facts.charters) or short(part.custodian),
            given=bool(given) and all((part.vp, part.custodian) in one for one in given),
        )
        for part in body.parts
    )


def _no(statement: bytes, facts: Facts) -> No:
    rejection = from_bytes(Rejection, statement)
    name = person_of(rejection.custodian, facts.charters) or short(rejection.custodian)
    return No(person=name, reason=rejection.reason, at=time_of(rejection.at))


def _on_unit(progress: TargetProgress, charter: Charter | None) -> OnUnit:
    return OnUnit(
        unit=progress.unit.hex(),
        version=progress.target.version,
        outcome=progress.outcome,
        reachable=progress.reachable,
        have=_have(progress, charter),
        needed=progress.needed,
        receipt=None if progress.receipt is None else _ran(progress.receipt.statement),
        refusal=None if progress.refusal is None else _refused(progress.refusal.statement),
    )


def _ran(statement: bytes) -> Ran:
    receipt = from_bytes(Receipt, statement)
    new, current = receipt.after.new.vp, receipt.after.current.vp
    return Ran(
        version=receipt.version,
        at=time_of(receipt.at),
        approvals=tuple(approval.ski.hex() for approval in receipt.approvals),
        new=None if new is None else new.hex(),
        current=None if current is None else current.hex(),
    )


def _refused(statement: bytes) -> Refused:
    answer = from_bytes(RefusalAnswer, statement)
    return Refused(
        rule=answer.refusal.rule.value,
        says=answer.refusal.facts.says,
        expected=answer.refusal.expected,
        found=answer.refusal.found,
        can_still_run=answer.can_still_run,
    )


def _live(request: Request, facts: Facts, charter: Charter | None) -> Live | None:
    live = None if charter is None else not_recalled(request, charter, facts.states, facts.at)
    if live is None:
        return None
    return Live(
        units=tuple(unit.hex() for unit in live.units),
        signed_by=live.signed_by,
        have=live.have,
        needed=live.needed,
        could_add=live.could_add,
        until=time_of(live.until),
    )
