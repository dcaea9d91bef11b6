"""What happened: results are receipts that this agent verified, and nothing else."""

from dataclasses import dataclass

from protocol.charter import Charter, CharterUnit
from protocol.commands.command import Command
from protocol.identifiers import SKI, VP, IdentityKey, Instant, StateVersion
from protocol.receipts import Receipt, open_entry, open_refusal
from protocol.refusals import Refusal
from protocol.request import Outcome, Request, TargetProgress
from protocol.schema import Struct
from protocol.signing.statements import Signed
from protocol.unit_state import Register
from protocol.violations import Violation
from signer_agent.desk.load import own_parts_named
from signer_agent.desk.screen import UnitLine
from signer_agent.desk.units import line_of


@dataclass(frozen=True)
class VerifiedReceipt:
    """A receipt that its unit signed, of the very command that it is said to be of.

    Only `verify_receipt` makes one.
    """

    receipt: Receipt
    command: Command


def verify_receipt(signed: Signed, unit: CharterUnit, command: Command) -> VerifiedReceipt:
    """Violation unless `unit` signed that it ran exactly `command`."""
    entry = open_entry(signed, unit.certificate.identity)
    if not isinstance(entry, Receipt):
        raise Violation("a birth where a receipt was expected")
    if entry.parsed().id != command.id or entry.unit != unit.id:
        raise Violation("a receipt of another command")
    return VerifiedReceipt(receipt=entry, command=command)


class UnitResult(Struct):
    """What became of a request on one unit.

    `executed` and `refused` are proven by the unit's signature; `outcome` is the coordinator's word
    where neither is. `part_named`: where a load's receipt names a part of this custodian, whether
    it is one of theirs; None where it names none.
    """

    unit: UnitLine
    outcome: Outcome
    executed: bool
    at: Instant | None
    version: StateVersion | None
    signed_by: tuple[SKI, ...]
    new: Register | None
    current: Register | None
    refused: Refusal | None
    can_still_run: bool
    part_named: bool | None
    unverified: str | None


def results(
    request: Request, charter: Charter, custodian: IdentityKey | None, own_parts: frozenset[VP]
) -> tuple[UnitResult, ...]:
    """What verified receipts and refusals prove, target by target.

    `charter` is the version that the request was opened under, `own_parts` the person's key parts;
    an operator is no `custodian` and has none.
    """
    found = []
    for progress in request.progress:
        unit = charter.unit(progress.unit)
        if unit is not None:
            found.append(_result(request, progress, unit, custodian, own_parts))
    return tuple(found)


def _result(
    request: Request,
    progress: TargetProgress,
    unit: CharterUnit,
    custodian: IdentityKey | None,
    own_parts: frozenset[VP],
) -> UnitResult:
    command = request.command(progress.target)
    nothing = UnitResult(
        unit=line_of(unit),
        outcome=progress.outcome,
        executed=False,
        at=None,
        version=None,
        signed_by=(),
        new=None,
        current=None,
        refused=None,
        can_still_run=progress.open,
        part_named=None,
        unverified=None,
    )
    try:
        if progress.receipt is not None:
            verified = verify_receipt(progress.receipt, unit, command)
            return _executed(nothing, verified, custodian, own_parts)
        if progress.refusal is not None:
            answer = open_refusal(progress.refusal, unit.certificate.identity)
            if answer.command != command.id:
                raise Violation("a refusal of another command")
            return nothing.but(
                at=answer.at, refused=answer.refusal, can_still_run=answer.can_still_run
            )
    except Violation as violation:
        return nothing.but(unverified=str(violation))
    if progress.outcome is Outcome.EXECUTED:
        return nothing.but(unverified="it is said to have run, without a receipt")
    return nothing


def _executed(
    nothing: UnitResult,
    verified: VerifiedReceipt,
    custodian: IdentityKey | None,
    own_parts: frozenset[VP],
) -> UnitResult:
    receipt = verified.receipt
    named = frozenset() if custodian is None else own_parts_named(receipt, custodian)
    return nothing.but(
        executed=True,
        at=receipt.at,
        version=receipt.version,
        signed_by=tuple(approval.ski for approval in receipt.approvals),
        new=receipt.after.new,
        current=receipt.after.current,
        can_still_run=False,
        part_named=named <= own_parts if named else None,
    )
