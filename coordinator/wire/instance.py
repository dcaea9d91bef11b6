"""The service instance: its units as they are known, its charter, what people have announced."""

from typing import Annotated

import msgspec

from coordinator.wire.values import Hex32, Json, Time
from protocol.location import UnitType
from protocol.unit_state import RegisterState


class RegisterView(Json):
    """A master key register."""

    state: RegisterState
    vp: Hex32 | None


class AdministratorView(Json):
    """An installed administrator; `person` is null for a key that no version of the charter has."""

    name: str
    ski: Hex32
    person: str | None


class KeyUserView(Json):
    """Somebody who may use the keys in key storage, by their Ed25519 public key."""

    name: str
    public_key: Hex32
    rights: tuple[str, ...]


class StateView(Json):
    """A unit's state, as of the last receipt that the coordinator has seen."""

    version: int
    incarnation: int
    last_receipt: Hex32
    imprint: bool
    signature_threshold: int
    revocation_threshold: int
    administrators: tuple[AdministratorView, ...]
    new: RegisterView
    current: RegisterView
    control_points: tuple[int, ...]
    attributes: tuple[str, ...]
    key_users: tuple[KeyUserView, ...]


class UnitView(Json):
    """A crypto unit. `state` is null while it was never in reach; `line` are the requests in line.

    `in_charter` is whether the newest version in force names it.
    """

    id: Hex32
    type: UnitType
    location: str
    serial: str
    identity: Hex32
    in_charter: bool
    reachable: bool
    state: StateView | None
    line: tuple[int, ...]


class KeyView(Json):
    """A signature key. `in_charter` is whether the newest version in force names it."""

    ski: Hex32
    administrator: str
    algorithm: str
    person: str
    in_charter: bool


class PartView(Json):
    """A key part that somebody offers."""

    vp: Hex32
    description: str
    custodian: str


class AgentView(Json):
    """A custodian's enrolled agent."""

    person: str
    identity: Hex32
    enrolled: Time


class InstanceView(Json):
    """All that the coordinator knows of the instance. `charter` is the version in force.

    `rolled_back`: an agent has seen more of the log than it holds, so nothing runs.
    """

    instance: str
    practice: bool
    coordinator: Hex32
    log: Hex32
    charter: int | None
    rolled_back: bool
    units: tuple[UnitView, ...]
    agents: tuple[AgentView, ...]
    keys: tuple[KeyView, ...]
    parts: tuple[PartView, ...]


class CharterVersion(Json):
    """A version of the charter: `document` are its canonical bytes."""

    number: int
    digest: Hex32
    in_force: bool
    accepted_by: tuple[str, ...]
    people: tuple[str, ...]
    signatures: int
    revocations: int
    exit_people: int
    alone: bool
    document: bytes


class Charters(Json):
    """Every version that was proposed, by number; `in_force` is the newest one in force."""

    in_force: int | None
    versions: tuple[CharterVersion, ...]


class History(Json):
    """Signed entries of a unit's history (canonical bytes); fewer than 100 are the last ones."""

    entries: tuple[bytes, ...]


class HistoryFrom(Json):
    """Entries with state versions above `after`."""

    after: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)] = 0
