"""What views are made from: read once for each answer, in one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coordinator.engine.ledger import Ledger
from coordinator.engine.operations import state_digests
from coordinator.engine.units import Units
from coordinator.store import people, requests
from coordinator.store.connection import Connection
from coordinator.store.people import KnownCharter
from protocol.charter import Charter
from protocol.displayable import InstanceName
from protocol.identifiers import Digest, Instant, UnitId
from protocol.request import Request


@dataclass(frozen=True)
class Facts:
    """The instance at a moment. `standing` are the requests that have not ended."""

    instance: InstanceName
    practice: bool
    known: tuple[KnownCharter, ...]
    standing: tuple[Request, ...]
    states: Mapping[UnitId, Digest]
    at: Instant

    @property
    def charters(self) -> Sequence[Charter]:
        """Every version that was proposed: those in force first, the newest of them first."""
        newest_first = sorted(
            self.known, key=lambda one: (one.in_force, one.charter.number), reverse=True
        )
        return [one.charter for one in newest_first]

    @property
    def in_force(self) -> Charter | None:
        """The newest version in force."""
        return next((one.charter for one in reversed(self.known) if one.in_force), None)

    def opened_under(self, request: Request) -> Charter | None:
        """The version that a request was opened under; before that, the newest in force."""
        if request.opening is None:
            return self.in_force
        wanted = request.opening.charter
        return next((one.charter for one in self.known if one.digest == wanted), None)


async def facts(connection: Connection, ledger: Ledger, units: Units, *, practice: bool) -> Facts:
    """Reads them."""
    return Facts(
        instance=ledger.instance,
        practice=practice,
        known=tuple(await people.all_charters(connection, ledger.instance)),
        standing=tuple(await requests.not_ended(connection, ledger.instance)),
        states=state_digests(units),
        at=ledger.now(),
    )
