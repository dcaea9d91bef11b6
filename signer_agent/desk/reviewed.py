"""One target of a request, checked."""

from dataclasses import dataclass

from protocol.charter import Charter, CharterUnit
from protocol.commands.command import Command
from protocol.history import History
from protocol.identifiers import SKI, VP, Instant
from protocol.request import Target
from protocol.sealing.importer import ImporterKey
from protocol.standing import could_still_sign
from protocol.unit_state import UnitState
from signer_agent.desk.seat import Seat
from signer_agent.desk.signers import Signatures


@dataclass(frozen=True)
class ReviewedTarget:
    """A target that can still run, with what was checked about it.

    `asked` is when the unit signed `state`, and `fresh` whether that was now. `needed` counts as
    the charter does: people, or keys where one person may be alone. `given` are the parts that have
    come. Only `signer_agent.desk.review` makes one.
    """

    unit: CharterUnit
    target: Target
    command: Command
    state: UnitState
    history: History | None
    asked: Instant
    fresh: bool
    needed: int
    signatures: Signatures
    importer: ImporterKey | None
    given: frozenset[VP]


def own_keys(seat: Seat, charter: Charter, target: ReviewedTarget) -> tuple[SKI, ...]:
    """The person's keys at hand that are installed in a target, haven't signed, and would count."""
    wanted = {ski for ski, _ in could_still_sign(target.state, target.signatures.skis, charter)}
    return tuple(key.ski for key in seat.keys if key.ski in wanted and seat.mine(key.ski, charter))
