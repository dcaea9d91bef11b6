"""What `agent show` prints, as data: everything that a person decides on.

Times are instants, keys are whole: who prints them lays them out. Two screens that differ in what
is `decided_on` ask for different consents; progress, ages and counts don't matter for that.
"""

import hashlib
from collections.abc import Iterator

from protocol.displayable import PersonName
from protocol.identifiers import (
    SKI,
    VP,
    Digest,
    Instant,
    StateVersion,
    UnitId,
    grouped,
)
from protocol.location import UnitType
from protocol.request import Outcome, RequestState
from protocol.schema import Struct, to_bytes
from signer_agent.desk.seat import HeldKey, HeldPart


class UnitLine(Struct):
    """A unit as people name it."""

    unit: UnitId
    type: UnitType
    location: str

    def __str__(self) -> str:
        return f"{self.type.upper()} {self.location}"


class TargetLine(Struct):
    """A target. `asked` is when the unit signed the state shown; `fresh` whether it did so now."""

    unit: UnitLine
    version: StateVersion
    outcome: Outcome
    asked: Instant
    fresh: bool
    needed: int


class ChangeLine(Struct):
    """One thing that changes."""

    what: str
    before: str
    after: str


class ChangeGroup(Struct):
    """What changes and what stays, on units where that reads the same."""

    units: tuple[UnitLine, ...]
    changes: tuple[ChangeLine, ...]
    stays: tuple[str, ...]


class AdministratorLine(Struct):
    """An installed administrator; `person` is None for somebody whom no charter names."""

    name: str
    ski: SKI
    person: PersonName | None
    me: bool
    left: bool


class RosterGroup(Struct):
    """Who is installed, on units where that is the same."""

    units: tuple[UnitLine, ...]
    administrators: tuple[AdministratorLine, ...]


class PartLine(Struct):
    """A key part: whose it is, and whether it has come for every open target, verified."""

    vp: VP
    person: PersonName
    me: bool
    given: bool


class SignerLine(Struct):
    """Somebody whose signature was verified on every open target.

    `at` is when this agent gave it; None for others': a signature holds no time, and what a
    coordinator says of one nobody can verify.
    """

    person: PersonName
    ski: SKI
    at: Instant | None


class RejectionLine(Struct):
    """A custodian's No, verified."""

    person: PersonName
    reason: str
    at: Instant


class FiledBy(Struct):
    """Who asks. Verified where a custodian signed the filing; an account has no key."""

    name: str
    operator: bool
    verified: bool
    at: Instant


class Checked(Struct):
    """What this agent has verified itself. `receipts` is the longest history's."""

    fresh: int
    units: int
    asked: Instant
    receipts: int
    importer_keys: int
    log: int


class Screen(Struct):
    """A request, reviewed."""

    request: int
    digest: Digest
    instance: str
    practice: bool
    alone: bool
    charter: int
    state: RequestState
    title: str
    sentence: str
    keys: tuple[HeldKey, ...]
    """The person's signature keys of which one is wanted now; none if no signature is."""
    part: HeldPart | None
    """The person's key part, if it is wanted now and its file is here."""
    part_wanted: VP | None
    have: int
    needed: int
    signed_by: tuple[SignerLine, ...]
    uncounted: tuple[str, ...]
    waiting_for: tuple[PersonName, ...]
    key: VP | None
    parts: tuple[PartLine, ...]
    groups: tuple[ChangeGroup, ...]
    targets: tuple[TargetLine, ...]
    receivers: tuple[UnitLine, ...]
    """The units that an export gives the key to."""
    left_out: tuple[UnitLine, ...]
    roster: tuple[RosterGroup, ...]
    purpose: str
    filed_by: FiledBy
    voids: int | None
    rejections: tuple[RejectionLine, ...]
    not_before: Instant
    not_after: Instant
    checked: Checked
    cautions: tuple[str, ...]
    if_given: tuple[str, ...]
    if_not: tuple[str, ...]

    @property
    def decided_on(self) -> Digest:
        """Names all that a person consents to."""
        return Digest(hashlib.sha256(to_bytes(_decisive(self))).digest())


def _decisive(screen: Screen) -> Screen:
    """The screen without what may go on while a password is typed."""
    targets = tuple(one.but(asked=Instant(0), fresh=False) for one in screen.targets)
    parts = tuple(one.but(given=False) for one in screen.parts)
    nothing = Checked(fresh=0, units=0, asked=Instant(0), receipts=0, importer_keys=0, log=0)
    return screen.but(
        state=RequestState.COLLECTING,
        keys=(),
        part=None,
        part_wanted=None,
        have=0,
        signed_by=(),
        uncounted=(),
        waiting_for=(),
        parts=parts,
        targets=targets,
        checked=nothing,
        if_given=(),
        if_not=(),
    )


def what_changed(seen: Screen, now: Screen) -> tuple[tuple[str, str, str], ...]:
    """What two screens of a request differ in that people decide on: what, as seen, as it is."""
    found = tuple(_differences(_decisive(seen), _decisive(now)))
    if not found and seen.decided_on != now.decided_on:
        return (("what is shown", seen.decided_on.hex()[:8], now.decided_on.hex()[:8]),)
    return found


def _differences(seen: Screen, now: Screen) -> Iterator[tuple[str, str, str]]:
    for what, before, after in (
        ("state version", _versions(seen), _versions(now)),
        ("targets", _targets(seen), _targets(now)),
        ("changes", _groups(seen), _groups(now)),
        ("administrators", _roster(seen), _roster(now)),
        ("parts", _parts(seen), _parts(now)),
        ("key", _key(seen), _key(now)),
        ("rejections", _rejections(seen), _rejections(now)),
        ("cautions", "; ".join(seen.cautions), "; ".join(now.cautions)),
        ("request", seen.digest.hex(), now.digest.hex()),
    ):
        if before != after:
            yield what, before or "none", after or "none"


def _versions(screen: Screen) -> str:
    return ", ".join(str(one.version) for one in screen.targets)


def _targets(screen: Screen) -> str:
    return ", ".join(f"{one.unit}: {one.outcome}" for one in screen.targets)


def _groups(screen: Screen) -> str:
    return "; ".join(
        f"{change.what} {change.before} → {change.after}"
        for group in screen.groups
        for change in group.changes
    )


def _roster(screen: Screen) -> str:
    return ", ".join(
        f"{one.name} {one.ski.hex()[:8]}" for group in screen.roster for one in group.administrators
    )


def _parts(screen: Screen) -> str:
    return ", ".join(f"{one.person} {one.vp.hex()[:8]}" for one in screen.parts)


def _key(screen: Screen) -> str:
    return "" if screen.key is None else grouped(screen.key)


def _rejections(screen: Screen) -> str:
    return ", ".join(one.person for one in screen.rejections)
