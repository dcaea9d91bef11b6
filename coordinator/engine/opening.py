"""Opening a request: what people are asked to sign is fixed, from what its units show now."""

from coordinator.engine.change import Change
from coordinator.engine.ledger import Ledger
from coordinator.steps import Write
from coordinator.workflow.filing import (
    not_for_these_units,
    person_not_in_charter,
    unit_not_in_charter,
)
from coordinator.workflow.live import expires
from protocol.charter import Charter
from protocol.commands.command import ReceiverProof
from protocol.commands.rules import refusal_of
from protocol.identifiers import Nonce, UnitId
from protocol.receipts import StateAnswer
from protocol.refusals import Refusal
from protocol.request import Opening, Outcome, Request, Target, TargetProgress
from protocol.schema import from_bytes
from protocol.sealing.copies import receivers_of
from protocol.sealing.importer import ImporterKey
from protocol.signing.statements import Signed
from protocol.standing import needed_by_people


def fit(request: Request, state: StateAnswer, charter: Charter) -> int | Refusal:
    """How many people have to sign for a unit in this state; or why it can't run the command."""
    filing = request.filing
    stranger = (
        unit_not_in_charter(filing, charter)
        or person_not_in_charter(filing, charter)
        or not_for_these_units(filing, charter)
    )
    if stranger is not None:
        return stranger  # the charter may have changed while it waited in line
    needed = needed_by_people(filing.body, state.state, charter)
    if isinstance(needed, Refusal):
        return needed
    return refusal_of(filing.body, state.state) or needed


async def fix(
    ledger: Ledger, change: Change, request: Request, charter: Charter, targets: list[UnitId]
) -> Opening:
    """The opening for these of its targets, in the log as it is in this transaction."""
    _, _, checkpoint = await ledger.checkpoint(change.connection)
    change.writes(Write.CHECKPOINT)
    filing = request.filing
    return Opening(
        filing=filing.digest,
        charter=charter.digest,
        practice=charter.practice,
        targets=tuple(sorted(targets)),
        left_out=tuple(unit for unit in filing.targets if unit not in targets),
        checkpoint=checkpoint,
        not_before=change.at,
        not_after=expires(request, change.at),
        nonce=Nonce(ledger.entropy(32)),
    )


def progress(
    state: StateAnswer,
    needed: int,
    importer: tuple[Signed, ImporterKey] | None,
    receivers: tuple[ReceiverProof, ...],
) -> TargetProgress:
    """A target as nobody has answered yet.

    `importer` is the unit's key for this opening, where it is a load; `receivers` prove those of
    an export.
    """
    signed, key = importer or (None, None)
    sealed_to = None if key is None else key.digest
    if receivers:
        keys = tuple(from_bytes(ImporterKey, one.importer.statement) for one in receivers)
        sealed_to = receivers_of(keys).digest
    return TargetProgress(
        target=Target(
            unit=state.unit,
            incarnation=state.incarnation,
            version=state.version,
            state=state.state_digest,
            importer=sealed_to,
        ),
        state=state.state,
        needed=needed,
        importer=signed,
        receivers=receivers,
        approvals=(),
        contributions=(),
        outcome=Outcome.OPEN,
        receipt=None,
        refusal=None,
        reachable=True,
    )
