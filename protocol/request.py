"""Requests: what is asked for, what is fixed when people are asked, how far it is.

The *filing* says what somebody asks for, and is signed by their agent where they have one. The
*opening* is made when the request is first in the line of its targets; it fixes charter,
checkpoint, times and a nonce. Its digest, the request digest, stands in every command of the
request.
"""

from enum import StrEnum
from functools import cached_property
from typing import Annotated

import msgspec

from protocol.commands.bodies import Body, Void
from protocol.commands.command import Approval, Command, Contribution, ReceiverProof
from protocol.displayable import AccountName, InstanceName, Purpose, Reason
from protocol.identifiers import (
    DAY,
    HOUR,
    MINUTE,
    VP,
    Digest,
    Duration,
    IdentityKey,
    Incarnation,
    Instant,
    Nonce,
    Signature,
    StateVersion,
    UnitId,
)
from protocol.schema import Struct, from_bytes
from protocol.signing.labels import Label, digest
from protocol.signing.statements import Signed, open_statement
from protocol.unit_state import UnitState

LONGEST_VALIDITY = Duration(7 * DAY)
DEFAULT_VALIDITY = Duration(24 * HOUR)
LAST_MINUTE = MINUTE
"""Execution doesn't start within this time of not-after."""


class CeremonyStep(Struct):
    """Which step of which ceremony a request is."""

    ceremony: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    step: Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class Filing(Struct, dict=True):
    """What is asked for. Exactly one of `custodian` and `account` says by whom.

    `targets` are in ascending order; `leave_out` is the filer's word that targets out of reach or
    in an unfit state are left out at opening. `voids` is the digest of the request whose signed
    copies a void makes harmless; it is there for a void and nothing else. `nonce` makes the filing
    one of a kind.
    """

    instance: InstanceName
    body: Body
    targets: Annotated[tuple[UnitId, ...], msgspec.Meta(min_length=1, max_length=32)]
    purpose: Purpose
    custodian: IdentityKey | None
    account: AccountName | None
    step: CeremonyStep | None
    voids: Digest | None
    valid_for: Duration
    leave_out: bool
    at: Instant
    nonce: Nonce

    def invariant(self) -> str | None:
        if list(self.targets) != sorted(set(self.targets)):
            return "targets are not each there once, in ascending order"
        if (self.custodian is None) == (self.account is None):
            return "a filing is either a custodian's or an account's"
        if isinstance(self.body, Void) != (self.voids is not None):
            return "a void, and nothing else, names the request that it is for"
        if not 2 * LAST_MINUTE <= self.valid_for <= LONGEST_VALIDITY:
            return "a request is valid for 2 minutes to 7 days"
        return None

    @cached_property
    def digest(self) -> Digest:
        """What names the filing."""
        return digest(Label.FILING, self)


def open_filing(signed: Signed, custodian: IdentityKey) -> Filing:
    """A filing, if the custodian with this identity key signed it as their own."""
    return open_statement(Filing, Label.FILING, signed, custodian)


class Opening(Struct, dict=True):
    """What is fixed when people are asked. `checkpoint` is the digest of the log's checkpoint.

    `targets` are those of the filing that were in reach and fit; the others are in `left_out`.
    """

    filing: Digest
    charter: Digest
    practice: bool
    targets: Annotated[tuple[UnitId, ...], msgspec.Meta(min_length=1, max_length=32)]
    left_out: Annotated[tuple[UnitId, ...], msgspec.Meta(max_length=32)]
    checkpoint: Digest
    not_before: Instant
    not_after: Instant
    nonce: Nonce

    @cached_property
    def digest(self) -> Digest:
        """The request digest."""
        return digest(Label.REQUEST, self)


class Target(Struct):
    """One target's own part of the commands: the state that its signers must have seen."""

    unit: UnitId
    incarnation: Incarnation
    version: StateVersion
    state: Digest
    importer: Digest | None


def command_for(opening: Opening, filing: Filing, target: Target) -> Command:
    """The command of this request for one target: what its administrators sign."""
    return Command(
        charter=opening.charter,
        practice=opening.practice,
        request=opening.digest,
        unit=target.unit,
        incarnation=target.incarnation,
        version=target.version,
        state=target.state,
        not_before=opening.not_before,
        not_after=opening.not_after,
        importer=target.importer,
        body=filing.body,
    )


class RequestState(StrEnum):
    """Where a request is on its way; `docs/reference/requests.md` draws it."""

    WAITING_IN_LINE = "waiting in line"
    COLLECTING = "collecting"
    READY = "ready"
    EXECUTING = "executing"
    PARTLY_EXECUTED = "partly executed"
    EXECUTED = "executed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    FAILED = "failed"
    NEEDLESS = "needless"


_ENDS = frozenset(
    {
        RequestState.EXECUTED,
        RequestState.REJECTED,
        RequestState.CANCELLED,
        RequestState.EXPIRED,
        RequestState.SUPERSEDED,
        RequestState.FAILED,
        RequestState.NEEDLESS,
    }
)


class Outcome(StrEnum):
    """What became of a request on one unit."""

    OPEN = "open"
    EXECUTED = "executed"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    GIVEN_UP = "given up"


class TargetProgress(Struct):
    """How far a request is on one unit.

    `state` is the unit's at opening; `needed` is how many signatures count as enough; `importer` is
    the unit's signed importer key for a load, `receivers` prove those of an export. `receipt` is
    there when it ran, `refusal` when the
    unit said No last. `reachable` is the coordinator's word only.
    """

    target: Target
    state: UnitState
    needed: int
    importer: Signed | None
    receivers: Annotated[tuple[ReceiverProof, ...], msgspec.Meta(max_length=32)]
    approvals: tuple[Approval, ...]
    contributions: tuple[Contribution, ...]
    outcome: Outcome
    receipt: Signed | None
    refusal: Signed | None
    reachable: bool

    @property
    def unit(self) -> UnitId:
        """The unit that this is about."""
        return self.target.unit

    @property
    def open(self) -> bool:
        """Whether it can still run."""
        return self.outcome is Outcome.OPEN


class Request(Struct):
    """A request as the coordinator keeps and tells it. Nothing in it is proven until verified.

    `signature` is the filing custodian's over the filing; None where an account filed it.
    `progress` is empty until opening and then has one entry a target, in the opening's order.
    """

    id: int
    filing: Filing
    signature: Signature | None
    state: RequestState
    opening: Opening | None
    progress: tuple[TargetProgress, ...]
    rejections: tuple[Signed, ...]
    proceed: bool
    filed: Instant
    changed: Instant
    why: Annotated[str, msgspec.Meta(max_length=1000)]

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        if self.state is RequestState.PARTLY_EXECUTED:
            return not any(one.open for one in self.progress)
        return self.state in _ENDS

    @property
    def left_to_run(self) -> tuple[UnitId, ...]:
        """The units of the filing that haven't run it."""
        ran = {one.unit for one in self.progress if one.outcome is Outcome.EXECUTED}
        return tuple(unit for unit in self.filing.targets if unit not in ran)

    def command(self, target: Target) -> Command:
        """What administrators sign for this target. ValueError before opening."""
        if self.opening is None:
            raise ValueError("a request that hasn't been opened has no commands")
        return command_for(self.opening, self.filing, target)

    def progress_on(self, unit: UnitId) -> TargetProgress | None:
        """How far it is on this unit."""
        return next((one for one in self.progress if one.target.unit == unit), None)


class Rejection(Struct):
    """A custodian's No to a request, signed with their agent's identity key."""

    request: Digest
    custodian: IdentityKey
    reason: Reason
    at: Instant


class Announcement(Struct):
    """A key part that a custodian can give: its VP, never its value; withdrawn when not offered."""

    instance: InstanceName
    custodian: IdentityKey
    vp: VP
    description: Annotated[str, msgspec.Meta(max_length=64)]
    offered: bool
    at: Instant


def open_rejection(signed: Signed) -> Rejection:
    """A rejection, if the custodian that it names signed it."""
    claimed = from_bytes(Rejection, signed.statement)
    return open_statement(Rejection, Label.REJECTION, signed, claimed.custodian)


def open_announcement(signed: Signed) -> Announcement:
    """An announcement, if the custodian that it names signed it."""
    claimed = from_bytes(Announcement, signed.statement)
    return open_statement(Announcement, Label.ANNOUNCEMENT, signed, claimed.custodian)
