"""A client of the coordinator's API: an operator, by their login.

It checks what is signed, the units' histories and receipts, against the charter that the
coordinator gave. Nobody has compared that charter from here, and no unit was asked over a nonce of
ours: so it says of nothing that it is verified, and an honest coordinator's word is what is left.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Self

from coordinator.client import profile as profiles
from coordinator.client.asking import ask_for
from coordinator.client.calls import Calls
from coordinator.client.profile import Profile
from coordinator.client.proof import check
from protocol.charter import Charter, CharterUnit
from protocol.displayable import InstanceName, PersonName
from protocol.history import History, verify_history
from protocol.identifiers import VP, IdentityKey, UnitId
from protocol.request import Request
from protocol.schema import from_bytes
from protocol.signing.statements import Signed
from quorate.exits import Exit, Trouble
from signer_agent.client.party import KnownCharters, OfferedPart
from signer_agent.desk.filing import Wish
from signer_agent.desk.receipts import results
from signer_agent.desk.units import line_of
from signer_agent.local.messages import Requests, Results, UnitNow, Units

_PAGE = 100


class OperatorClient:
    """Asks the coordinator as the account of a profile. A `signer_agent.client.party.Party`.

    An asynchronous context manager.
    """

    def __init__(self, profile: Profile, calls: Calls) -> None:
        self._profile, self._calls = profile, calls

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *why: object) -> None:
        await self._calls.__aexit__(None, None, None)

    # --- who ------------------------------------------------------------------------------------

    @property
    def instance(self) -> InstanceName:
        """The service instance."""
        return InstanceName(self._profile.instance)

    @property
    def person(self) -> PersonName | None:
        """Nobody of the charter."""
        return None

    @property
    def name(self) -> str:
        """`operator amy`."""
        return f"operator {self._profile.account}"

    @property
    def verified(self) -> bool:
        """All of it is what the coordinator gave."""
        return False

    def command(self, verb: str, number: int) -> str:
        """`quorate requests watch 7`."""
        return f"quorate requests {verb} {number}"

    @property
    def listing(self) -> str:
        """All requests."""
        return "quorate requests list --all"

    # --- which units ----------------------------------------------------------------------------

    @property
    def selection(self) -> set[UnitId]:
        """Unit ids in the profile."""
        return set(self._profile.selected)

    def select(self, units: set[UnitId]) -> None:
        """Keeps the selection."""
        self._profile = replace(self._profile, selected=tuple(sorted(units)))
        profiles.save(self._profile)

    async def units(self) -> Units:
        """The charter's units, each after the last receipt that the coordinator shows."""
        view, known = await asyncio.gather(self._calls.instance(), self.charters())
        charter = known.in_force or (known.versions[-1] if known.versions else None)
        if charter is None:
            raise Trouble(
                Exit.REFUSED,
                "there is no charter yet, so no units to look at",
                next="custodians make one: quorate charter new",
            )
        seen = {one.id for one in view.units if one.state is not None}
        reachable = {one.id for one in view.units if one.reachable}

        async def now(unit: CharterUnit) -> UnitNow:
            history = await self._history(unit) if unit.id.hex() in seen else None
            return UnitNow(
                unit=line_of(unit),
                state=None if history is None else history.state,
                version=0 if history is None else len(history.entries),
                last_receipt=None if history is None else history.last_receipt,
                in_reach=unit.id.hex() in reachable,
                problem=None,
            )

        units = await asyncio.gather(*map(now, charter.units))
        order = ("operational", "recovery", "failover")
        ordered = sorted(
            units, key=lambda one: (order.index(one.unit.type.value), one.unit.location)
        )
        return Units(instance=self.instance, units=tuple(ordered))

    async def _history(self, unit: CharterUnit) -> History:
        """The whole chain of a unit's receipts; Violation where it doesn't hold."""
        entries: list[Signed] = []
        while True:
            page = (await self._calls.unit_history(unit.id, len(entries))).entries
            entries += [from_bytes(Signed, one) for one in page]
            if len(page) < _PAGE:
                return verify_history(entries, unit.certificate.identity)

    # --- what is known and asked for ------------------------------------------------------------

    async def charters(self) -> KnownCharters:
        """The versions that the coordinator gives, whole. The one in force names this very one.

        Older ones may name the coordinator from which this one has taken over.
        """
        given = await self._calls.charter()
        versions = tuple(from_bytes(Charter, one.document) for one in given.versions)
        in_force = next((one for one in versions if one.number == given.in_force), None)
        for version in versions:
            version.check()
        for version in versions if in_force is None else (in_force,):
            if version.coordinator.identity != self._profile.coordinator:
                raise Trouble(
                    Exit.ALARM,
                    "the charter that the coordinator gives names another coordinator",
                    expected=self._profile.coordinator.hex(),
                    found=version.coordinator.identity.hex(),
                    next="has it taken over from that one? Then have all custodians accept the "
                    "version that names it. If not, call them: whose key is in their charter? "
                    "quorate charter show",
                )
        return KnownCharters(versions=versions, in_force=in_force)

    async def parts(self) -> tuple[OfferedPart, ...]:
        """The parts on offer, as the coordinator tells."""
        view, known = await asyncio.gather(self._calls.instance(), self.charters())
        agents = {one.person: IdentityKey(bytes.fromhex(one.identity)) for one in view.agents}
        found = []
        for part in view.parts:
            people = (version.person(part.custodian) for version in reversed(known.versions))
            person = next((one for one in people if one is not None), None)
            custodian = agents.get(part.custodian) if person is None else person.agent
            if custodian is not None:
                found.append(
                    OfferedPart(
                        vp=VP(bytes.fromhex(part.vp)),
                        description=part.description,
                        custodian=custodian,
                        person=None if person is None else person.name,
                    )
                )
        return tuple(found)

    async def request(self, number: int) -> Request | None:
        """A request whose signatures hold; None where there is none."""
        try:
            evidence, charters = await asyncio.gather(
                self._calls.evidence(number), self._calls.charter()
            )
        except Trouble as trouble:
            if trouble.rule != "NO_SUCH_REQUEST":
                raise
            return None
        return check(evidence, charters, self._profile.coordinator).request

    async def open_requests(self) -> tuple[Request, ...]:
        """Those that haven't ended, by id."""
        page = await self._calls.requests(ended="false", limit=str(_PAGE))
        found = await asyncio.gather(*(self.request(one.id) for one in reversed(page.requests)))
        return tuple(one for one in found if one is not None)

    async def watch(self, number: int | None) -> AsyncIterator[Requests]:
        """A request, or all that are open, as they are now and after every change."""
        async with contextlib.aclosing(self._calls.events()) as events:
            await anext(events)  # connected: what happens from now on is told
            yield await self._now(number)
            async for event in events:
                changed = event.request()
                if event.name == "now" or (changed is not None and number in (None, changed.id)):
                    yield await self._now(number)

    async def _now(self, number: int | None) -> Requests:
        if number is None:
            return Requests(requests=await self.open_requests())
        request = await self.request(number)
        return Requests(requests=() if request is None else (request,))

    async def results(self, number: int) -> Results:
        """What receipts that hold prove, and what the coordinator says can still run."""
        view, request, known = await asyncio.gather(
            self._calls.request(number), self.request(number), self.charters()
        )
        if request is None:
            raise AssertionError("it was there")
        opening = request.opening
        charter = None
        if opening is not None:
            charter = next((one for one in known.versions if one.digest == opening.charter), None)
        units = () if charter is None else results(request, charter, None, frozenset())
        return Results(request=request, units=units, live=view.not_recalled())

    async def filed(self, idempotency_key: str) -> int | None:
        """What this account filed under this key."""
        page = await self._calls.requests(idempotency_key=idempotency_key)
        return page.requests[0].id if page.requests else None

    async def file(self, wish: Wish) -> int:
        """Files it in the account's name, which nobody signs."""
        known = await self.charters()
        return await ask_for(
            self._calls,
            wish.body,
            wish.targets,
            tuple(reversed(known.versions)),
            purpose=wish.purpose,
            valid_for=wish.valid_for,
            leave_out=wish.leave_out,
            idempotency_key=wish.idempotency_key,
        )
