"""What happens to a request: from people, from the line, from its units, by time."""

from collections.abc import Mapping
from dataclasses import dataclass

from protocol.identifiers import SKI, UnitId
from protocol.receipts import RefusalAnswer
from protocol.refusals import Refusal
from protocol.request import Opening, TargetProgress
from protocol.session.messages import UnitApproval, UnitContribution
from protocol.signing.statements import Signed


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


BY_PEOPLE = (Approved, Contributed, SaidNo, Cancelled, Proceeded)
