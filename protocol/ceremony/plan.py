"""A ceremony as a file: TOML that says what is to be reached, not how.

ceremony = "initialise from parts"
purpose = "First initialisation, ticket CER-12"
administrators = ["alice", "bob", "carol"]

[thresholds]
signatures = 2
revocations = 2

[key]
parts = ["alice", "bob"]

[[confirm]]
before = "load"
who = "carol"
text = "bring the sealed envelope from safe 3"
"""

import tomllib
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from protocol.displayable import InstanceName, PersonName, Purpose
from protocol.schema import Struct, from_plain
from protocol.violations import Violation

MAX_PLAN_BYTES = 64 * 1024


class CeremonyKind(StrEnum):
    """What a ceremony is for."""

    INITIALISE_FROM_PARTS = "initialise from parts"
    INITIALISE_FROM_RECOVERY = "initialise from recovery units"
    RECOVER = "recover"
    REPLACE_ADMINISTRATOR = "replace an administrator"
    CHANGE_THRESHOLDS = "change thresholds"


class Stage(StrEnum):
    """A stretch of a ceremony: one kind of command, on all units that need it."""

    ADMINISTRATORS = "administrators"
    THRESHOLDS = "thresholds"
    LOAD = "load"
    GENERATE = "generate"
    EXPORT = "export"
    IMPORT = "import"
    COMMIT = "commit"
    ACTIVATE = "activate"
    REMOVE = "remove"
    SWITCHES = "control points and attributes"
    KEY_USERS = "key users"
    CLEAR = "clear"


STAGES: dict[CeremonyKind, tuple[Stage, ...]] = {
    CeremonyKind.INITIALISE_FROM_PARTS: (
        Stage.ADMINISTRATORS,
        Stage.THRESHOLDS,
        Stage.LOAD,
        Stage.COMMIT,
        Stage.ACTIVATE,
    ),
    CeremonyKind.INITIALISE_FROM_RECOVERY: (
        Stage.ADMINISTRATORS,
        Stage.THRESHOLDS,
        Stage.GENERATE,
        Stage.EXPORT,
        Stage.IMPORT,
        Stage.COMMIT,
        Stage.ACTIVATE,
    ),
    CeremonyKind.RECOVER: (Stage.EXPORT, Stage.IMPORT, Stage.COMMIT, Stage.ACTIVATE),
    CeremonyKind.REPLACE_ADMINISTRATOR: (Stage.ADMINISTRATORS, Stage.REMOVE),
    CeremonyKind.CHANGE_THRESHOLDS: (Stage.THRESHOLDS,),
}
"""The stages of each kind, in their order."""


class Thresholds(Struct):
    """Both thresholds, 1 to 8."""

    signatures: Annotated[int, msgspec.Meta(ge=1, le=8)]
    revocations: Annotated[int, msgspec.Meta(ge=1, le=8)]


class Confirmation(Struct):
    """Something that a person does before a stage, and confirms by name."""

    before: Stage
    who: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]


class Plan(Struct):
    """A ceremony. People are named as the charter names them; `parts` are who gives one each.

    `instance` guards against the wrong coordinator, where it is given. `remove` is who leaves.
    """

    ceremony: CeremonyKind
    instance: InstanceName | None
    purpose: Purpose
    administrators: tuple[PersonName, ...]
    remove: PersonName | None
    thresholds: Thresholds | None
    parts: tuple[PersonName, ...]
    confirm: Annotated[tuple[Confirmation, ...], msgspec.Meta(max_length=64)]

    def invariant(self) -> str | None:
        stages = STAGES[self.ceremony]
        if (Stage.THRESHOLDS in stages) != (self.thresholds is not None):
            return _wants(self.ceremony, "[thresholds]", there=self.thresholds is not None)
        if (Stage.ADMINISTRATORS in stages) != bool(self.administrators):
            return _wants(self.ceremony, "administrators", there=bool(self.administrators))
        if (Stage.REMOVE in stages) != (self.remove is not None):
            return _wants(self.ceremony, "remove", there=self.remove is not None)
        if (Stage.LOAD in stages) != bool(self.parts):
            return _wants(self.ceremony, "[key] parts", there=bool(self.parts))
        if self.parts and len(self.parts) not in (2, 3):
            return "a master key has two or three parts"
        if len(set(self.administrators)) != len(self.administrators):
            return "an administrator is named twice"
        if self.remove in self.administrators:
            return f"{self.remove} can't be added and removed in one ceremony"
        strange = [one.before.value for one in self.confirm if one.before not in stages]
        if strange:
            return f"{self.ceremony} has no stage {strange[0]}"
        return None


def _wants(kind: CeremonyKind, what: str, *, there: bool) -> str:
    return f"{what} doesn't belong in: {kind}" if there else f"{what} is missing in: {kind}"


_KNOWN = set(Plan.__struct_fields__) - {"parts"}


def parse_plan(text: str) -> Plan:
    """Reads a plan; Violation that says what is wrong with it."""
    if len(text.encode()) > MAX_PLAN_BYTES:
        raise Violation(f"a plan has at most {MAX_PLAN_BYTES // 1024} KiB")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Violation(f"not TOML: {error}") from None
    key = table.pop("key", {})
    if not isinstance(key, dict) or set(key) - {"parts"}:
        raise Violation("[key] has parts, and nothing else")
    unknown = sorted(set(table) - _KNOWN)
    if unknown:
        raise Violation(f"a plan has no {unknown[0]!r}; it has {', '.join(sorted(_KNOWN))}, key")
    absent: dict[str, Any] = {
        "instance": None,
        "purpose": "",
        "administrators": [],
        "remove": None,
        "thresholds": None,
        "confirm": [],
    }
    return from_plain(Plan, {**absent, **table, "parts": key.get("parts", [])})
