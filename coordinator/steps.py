"""Every durable step of the coordinator: where it may be killed, and go on after the restart.

Each change is one transaction with its log entries and its news, so there are two places a change:
when all is written but not yet committed, and when it is committed but nobody was told. Every
transaction has a name here: what says none is `OTHER`. The other places lie where a unit or an
agent knows more than is stored, or less.
"""

from enum import StrEnum

from protocol.record.entries import EntryKind


class Write(StrEnum):
    """What is written as one piece."""

    TABLES = "tables"
    """A new database, or an older one brought up to date."""
    ENROLMENT = "enrolment"
    OFFER = "offer"
    """A signature key offered, a key part announced or withdrawn."""
    PROPOSAL = "charter proposed"
    ACCEPTANCE = "charter accepted"
    IN_FORCE = "charter in force"
    FILING = "filing"
    OPENING = "opening"
    APPROVAL = "approval"
    CONTRIBUTION = "contribution"
    REJECTION = "rejection"
    STEERING = "cancelled or proceeded"
    PREPARED = "prepared"
    EXECUTION = "execution"
    """A unit's receipt."""
    REFUSAL = "refusal"
    """A unit's refusal."""
    HISTORY = "history"
    """What a unit's history has grown by."""
    ALARM = "alarm"
    """What wasn't counted; that the store was rolled back."""
    ACCOUNT = "account"
    CHECKPOINT = "checkpoint"
    """The log's checkpoint that an opening is about to name."""
    COURSE = "went on by itself"
    """A request that expired, that a unit's state left behind, or whose unit came or went."""
    OTHER = "anything else"
    """The store's epoch, attempts to log in, invitations made at the host."""

    @property
    def before_commit(self) -> str:
        """After a crash here: as before; whoever wanted it asks again."""
        return f"coordinator: {self.value}, before commit"

    @property
    def after_commit(self) -> str:
        """After a crash here: it has happened, and nobody was told."""
        return f"coordinator: {self.value}, after commit"


KEYS_MADE = "coordinator: keys made, before anybody may log in"
PREPARED = "coordinator: between prepare and execute"
EXECUTED = "coordinator: executed, before it is stored"
STORED = "coordinator: stored, before it is pushed"
TAKEN = "coordinator: taken, before it is acknowledged"

STEPS = (
    *(step for write in Write for step in (write.before_commit, write.after_commit)),
    KEYS_MADE,
    PREPARED,
    EXECUTED,
    STORED,
    TAKEN,
)
"""The names for `quorate.crash_points`."""


def write_of(entry: EntryKind) -> Write:
    """What a change is that this kind of log entry tells of."""
    match entry:
        case EntryKind.ENROLMENT:
            return Write.ENROLMENT
        case EntryKind.CHARTER:
            return Write.PROPOSAL
        case EntryKind.ACCEPTANCE:
            return Write.ACCEPTANCE
        case EntryKind.FILING:
            return Write.FILING
        case EntryKind.OPENING:
            return Write.OPENING
        case EntryKind.APPROVAL:
            return Write.APPROVAL
        case EntryKind.CONTRIBUTION:
            return Write.CONTRIBUTION
        case EntryKind.REJECTION:
            return Write.REJECTION
        case EntryKind.CANCELLATION | EntryKind.PROCEED:
            return Write.STEERING
        case EntryKind.EXECUTION:
            return Write.EXECUTION
        case EntryKind.REFUSAL:
            return Write.REFUSAL
        case EntryKind.ALARM | EntryKind.CHECKPOINT_SEEN:
            return Write.ALARM
        case EntryKind.ENDING:
            return Write.COURSE
        case EntryKind.ACCOUNT:
            return Write.ACCOUNT
