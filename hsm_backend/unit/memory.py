"""All that a crypto unit knows: what is written down as one piece after every command."""

from dataclasses import dataclass, replace
from typing import Self

from protocol.identifiers import Digest, Incarnation, Instant, StateVersion, UnitId
from protocol.location import UnitType
from protocol.sealing.importer import ImporterKey
from protocol.secrets import Secret
from protocol.signing.statements import Sign
from protocol.unit_state import UnitState, state_digest


@dataclass(frozen=True)
class UnitIdentity:
    """Who the unit is. `sign` signs with its identity key; its vendor certified the type."""

    unit: UnitId
    type: UnitType
    sign: Sign


@dataclass(frozen=True)
class HeldImporterKey:
    """An importer key with its private half, which never leaves the unit."""

    public: ImporterKey
    private: Secret


@dataclass(frozen=True)
class Memory:
    """A unit between two commands.

    `clock` is the high-water mark of its clock. `new_key` and `current_key` are the registers'
    contents, 32 bytes each; None where the register is empty. Importer keys are kept only for the
    present state.
    """

    incarnation: Incarnation
    version: StateVersion
    state: UnitState
    last_receipt: Digest
    clock: Instant
    new_key: Secret | None
    current_key: Secret | None
    importer_keys: tuple[HeldImporterKey, ...]

    @property
    def state_digest(self) -> Digest:
        """What a command for this very state is bound to."""
        return state_digest(self.state, self.last_receipt)

    def but(self, **changes: object) -> Self:
        """A copy with these fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]
