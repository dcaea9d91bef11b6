"""Requests: asked for, shown, steered."""

from enum import StrEnum
from typing import Annotated

import msgspec

from coordinator.wire.commands import Command, ShownCommand
from coordinator.wire.values import Hex32, Json, Time, instant_of
from protocol.displayable import PersonName
from protocol.identifiers import UnitId
from protocol.live import NotRecalled
from protocol.request import Outcome, RequestState

_Text = Annotated[str, msgspec.Meta(max_length=500)]


class Asked(Json):
    """A command that is asked for. `valid_for` is in seconds, from its opening on.

    `leave_out`: targets out of reach or unfit at opening are left out. With the same
    `idempotency_key` it is filed once.
    """

    command: Command
    units: Annotated[tuple[Hex32, ...], msgspec.Meta(min_length=1, max_length=32)]
    purpose: _Text = ""
    valid_for: Annotated[int, msgspec.Meta(ge=120, le=7 * 24 * 3600)] = 24 * 3600
    leave_out: bool = False
    idempotency_key: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None


class Why(Json):
    """Why nobody shall be asked any more."""

    reason: _Text = ""


class Filer(Json):
    """Who asked: a custodian, whose agent signed the filing, or an account, which has no key."""

    name: str
    account: bool


class Signer(Json):
    """A signature key, and whose it is; null for a key that the charter doesn't know."""

    ski: Hex32
    person: str | None


class PartOf(Json):
    """A key part of a load, and whether it has come for every unit."""

    vp: Hex32
    custodian: str
    given: bool


class No(Json):
    """A custodian's rejection."""

    person: str
    reason: str
    at: Time


class Ran(Json):
    """What a unit's receipt says: the state version that it led to, the unit's clock, who counted.

    `new` and `current` are the VPs of both registers afterwards.
    """

    version: int
    at: Time
    approvals: tuple[Hex32, ...]
    new: Hex32 | None
    current: Hex32 | None


class Refused(Json):
    """What a unit's refusal says."""

    rule: str
    says: str
    expected: str
    found: str
    can_still_run: bool


class OnUnit(Json):
    """How far a request is on one unit; `version` is the state version that it is signed for."""

    unit: Hex32
    version: int
    outcome: Outcome
    reachable: bool
    have: int
    needed: int
    receipt: Ran | None
    refusal: Refused | None


class Live(Json):
    """Signed copies that can still run, although the request has ended: on which units, until when.

    `have` of `needed` signatures are on them, by `signed_by`; `could_add` are those whose signature
    would still count.
    """

    units: tuple[Hex32, ...]
    signed_by: tuple[str, ...]
    have: int
    needed: int
    could_add: tuple[str, ...]
    until: Time


class RequestView(Json):
    """A request as the coordinator sees it. What of it is proven, its evidence says.

    `expires` is there once it was opened; before that, `behind` are the requests before it in line.
    `held_by` are units for whose sake a ready request doesn't run. `approvals` are the keys that
    receipts counted. `voids` is the request that a void is for, `void` an open void for this one.
    """

    id: int
    instance: str
    practice: bool
    command: ShownCommand
    title: str
    units: tuple[Hex32, ...]
    left_out: tuple[Hex32, ...]
    purpose: str
    filed_by: Filer
    filed: Time
    filing: Hex32
    state: RequestState
    ended: bool
    why: str
    changed: Time
    opened: Time | None
    expires: Time | None
    digest: Hex32 | None
    charter: int | None
    have: int
    needed: int
    waiting_for: tuple[str, ...]
    behind: tuple[int, ...]
    held_by: tuple[Hex32, ...]
    proceed: bool
    signed_by: tuple[Signer, ...]
    approvals: tuple[Hex32, ...]
    parts: tuple[PartOf, ...]
    rejections: tuple[No, ...]
    progress: tuple[OnUnit, ...]
    live: Live | None
    voids: int | None
    void: int | None

    def not_recalled(self) -> NotRecalled | None:
        """What the coordinator says can still run of it, as people read that."""
        if self.live is None:
            return None
        return NotRecalled(
            units=tuple(UnitId(bytes.fromhex(unit)) for unit in self.live.units),
            targets=len(self.progress),
            signed_by=tuple(map(PersonName, self.live.signed_by)),
            have=self.live.have,
            needed=self.live.needed,
            could_add=tuple(map(PersonName, self.live.could_add)),
            until=instant_of(self.live.until),
        )


class RequestPage(Json):
    """Requests, newest first. `next` is the `before` of the next page; null when there is none."""

    requests: tuple[RequestView, ...]
    next: int | None


class FiledWhen(StrEnum):
    """Whether this call filed it, or it was there before."""

    NOW = "now"
    BEFORE = "before"


class FiledRequest(Json):
    """A request in the queue."""

    filed: FiledWhen
    request: RequestView


class Evidence(Json):
    """The request as agents get it: canonical bytes, and the checkpoint that its opening names."""

    request: bytes
    checkpoint: bytes | None


class RequestFilter(Json):
    """Which requests: in this state, ended or not, for this unit, older than `before`.

    With `idempotency_key`, the one that this account filed under it, if it is one of those.
    """

    idempotency_key: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    state: RequestState | None = None
    ended: bool | None = None
    unit: Hex32 | None = None
    before: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
