"""What the coordinator needs of crypto units, whatever wire they are reached by."""

from typing import Protocol

from hsm_backend.wire import Outcome, Ran, Refused
from protocol.commands.command import SignedCommand
from protocol.identifiers import Digest, Nonce, StateVersion, UnitId
from protocol.signing.statements import Signed
from protocol.unit_identity import CertifiedUnit

__all__ = ["Outcome", "Ran", "Refused", "UnitDriver"]


class UnitDriver(Protocol):
    """Crypto units that are reached together.

    Everything may be asked again. Raises Unavailable where a later attempt may do, and Violation
    where the other side breaks the protocol or isn't the one that was pinned. Nothing that is
    `Signed` was verified here: that is for those who know the charter.
    """

    async def certificates(self) -> tuple[CertifiedUnit, ...]:
        """All units there with their certificates."""
        ...

    async def state(self, unit: UnitId, nonces: tuple[Nonce, ...]) -> Signed:
        """The unit's state, signed over 1 to 64 nonces (`protocol.receipts.open_state`)."""
        ...

    async def importer_key(self, unit: UnitId, request: Digest) -> Signed:
        """The importer key for the request with this digest, made for the present state."""
        ...

    async def prepare(self, unit: UnitId, command: SignedCommand) -> Signed | None:
        """The unit's signed refusal; None when the command could run now, or has run."""
        ...

    async def execute(self, unit: UnitId, command: SignedCommand) -> Outcome:
        """The receipt (the first one, when it has run before), or the unit's signed refusal."""
        ...

    async def history(self, unit: UnitId, after: StateVersion) -> tuple[Signed, ...]:
        """All history entries with a higher state version than `after`, oldest first."""
        ...
