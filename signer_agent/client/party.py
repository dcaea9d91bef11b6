"""Who a person is at the coordinator: a custodian, by their agent, or an operator, by their login.

Commands that show units and file requests are written once, for either. An agent has verified what
it tells, against a charter that its person accepted; a login has only what the coordinator gives.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from protocol.charter import Charter
from protocol.displayable import InstanceName, PersonName
from protocol.identifiers import VP, IdentityKey, UnitId
from protocol.request import Request
from signer_agent.desk.filing import Wish
from signer_agent.local.messages import Requests, Results, Units


@dataclass(frozen=True)
class KnownCharters:
    """The charter's versions, oldest first, and the newest one in force."""

    versions: tuple[Charter, ...]
    in_force: Charter | None


@dataclass(frozen=True)
class OfferedPart:
    """A key part that somebody announced. `person` is None for nobody in a charter."""

    vp: VP
    description: str
    custodian: IdentityKey
    person: PersonName | None


class Party(Protocol):
    """What commands want of either. Trouble or Unavailable where it can't be had."""

    @property
    def instance(self) -> InstanceName:
        """The service instance."""

    @property
    def person(self) -> PersonName | None:
        """The custodian; None for an operator, who has no keys and signs nothing."""

    @property
    def name(self) -> str:
        """Who files, as others read it: `alice`, `operator amy`."""

    @property
    def verified(self) -> bool:
        """Whether units are shown by what this person's own agent has verified."""

    @property
    def selection(self) -> set[UnitId]:
        """The units that commands are for."""

    def select(self, units: set[UnitId]) -> None:
        """Keeps the selection."""

    def command(self, verb: str, number: int) -> str:
        """The line with which this person does something about a request: watch, refile, ..."""

    @property
    def listing(self) -> str:
        """The line with which this person sees all requests."""

    async def units(self) -> Units:
        """The units as they are now, or were when they were last in reach."""

    async def charters(self) -> KnownCharters:
        """What is known of the charter."""

    async def parts(self) -> tuple[OfferedPart, ...]:
        """The key parts on offer, in the order in which they were announced."""

    async def request(self, number: int) -> Request | None:
        """One request; None where it isn't known."""

    async def open_requests(self) -> tuple[Request, ...]:
        """Those that haven't ended, by id."""

    def watch(self, number: int | None) -> AsyncIterator[Requests]:
        """A request, or all that are open, as they are now and after every change."""

    async def results(self, number: int) -> Results:
        """What verified receipts prove of a request."""

    async def filed(self, idempotency_key: str) -> int | None:
        """The request that was filed before under this key, if any."""

    async def file(self, wish: Wish) -> int:
        """Files a command; gives the request's id."""
