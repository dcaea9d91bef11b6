"""Whose keys and parts they are, by the newest charter that the agent knows: who is waited for.

The coordinator's word, for lines that show how things move. Nothing here is said to be verified.
"""

from collections.abc import Sequence

from protocol.charter import Charter
from protocol.commands.bodies import LoadNewRegister
from protocol.displayable import PersonName
from protocol.identifiers import SKI, VP, IdentityKey
from protocol.request import Request, TargetProgress, open_rejection
from protocol.schema import from_bytes
from protocol.sealing.contribution import SealedPart
from protocol.standing import counted
from protocol.violations import Violation
from signer_agent.client.party import Party


class People:
    """The people of the newest version that the agent knows."""

    def __init__(self, versions: Sequence[Charter]) -> None:
        self._versions = tuple(reversed(versions))

    @classmethod
    async def known(cls, client: Party) -> "People":
        """Asks the agent, or the coordinator."""
        return cls((await client.charters()).versions)

    @property
    def charter(self) -> Charter | None:
        """The newest version."""
        return self._versions[0] if self._versions else None

    def name(self, ski: SKI) -> str:
        """The owner of a key, or how the key begins."""
        return self.owner(ski) or ski.hex()[:8]

    def owner(self, ski: SKI) -> PersonName | None:
        """The owner of a key in the newest version that names it."""
        found = (version.owner_of(ski) for version in self._versions)
        return next((owner.name for owner in found if owner is not None), None)

    def custodian(self, agent: IdentityKey) -> PersonName | None:
        """Whose agent it is, in the newest version that names it."""
        found = (version.custodian(agent) for version in self._versions)
        return next((person.name for person in found if person is not None), None)

    def signers(self, request: Request) -> list[str]:
        """Who has signed, where most are missing."""
        worst = _worst(request)
        return [] if worst is None else sorted({self.name(it.ski) for it in worst.approvals})

    def have(self, request: Request) -> tuple[int, int]:
        """How many have signed and how many must, where most are missing."""
        worst = _worst(request)
        if worst is None:
            return 0, 0
        return self._counted([approval.ski for approval in worst.approvals]), worst.needed

    def could_sign(self, request: Request) -> list[str]:
        """Whose signature would count where some are missing; not who has said No."""
        found: set[str] = set()
        for one in request.progress:
            signed = [approval.ski for approval in one.approvals]
            if not one.open or self._counted(signed) >= one.needed:
                continue
            for administrator in one.state.administrators:
                more = self._counted([*signed, administrator.ski]) > self._counted(signed)
                if administrator.ski not in signed and more:
                    found.add(self.name(administrator.ski))
        return sorted(found - {str(self.custodian(agent)) for agent in _said_no(request)})

    def parts(self, request: Request) -> tuple[int, int]:
        """How many of a load's parts have come for every open target, of how many."""
        body, given = request.filing.body, _given(request)
        if not isinstance(body, LoadNewRegister):
            return 0, 0
        return sum(part.vp in given for part in body.parts), len(body.parts)

    def gave(self, request: Request, vp: VP | None) -> bool:
        """Whether this part has come for every open target."""
        return vp in _given(request)

    def givers(self, request: Request) -> list[str]:
        """Who has given their part for every open target."""
        body, given = request.filing.body, _given(request)
        if not isinstance(body, LoadNewRegister):
            return []
        people = (self.custodian(part.custodian) for part in body.parts if part.vp in given)
        return sorted({person for person in people if person is not None})

    def missing_givers(self, request: Request) -> list[str]:
        """Whose part hasn't come for every open target."""
        body, given = request.filing.body, _given(request)
        if not isinstance(body, LoadNewRegister):
            return []
        people = (self.custodian(part.custodian) for part in body.parts if part.vp not in given)
        return sorted({person for person in people if person is not None})

    def waiting_for(self, request: Request) -> list[str]:
        """Everybody who could give what is missing."""
        return sorted({*self.could_sign(request), *self.missing_givers(request)})

    def _counted(self, skis: Sequence[SKI]) -> int:
        return len(skis) if self.charter is None else counted(self.charter, skis)


def _worst(request: Request) -> TargetProgress | None:
    there = [one for one in request.progress if one.open] or list(request.progress)
    return min(there, key=lambda one: len(one.approvals) - one.needed, default=None)


def _given(request: Request) -> set[VP]:
    """The parts that have come for every open target."""
    targets = [one for one in request.progress if one.open] or list(request.progress)
    there: list[set[VP]] = []
    for one in targets:
        found: set[VP] = set()
        for contribution in one.contributions:
            try:
                found.add(from_bytes(SealedPart, contribution.statement).vp)
            except Violation:
                continue
        there.append(found)
    return set.intersection(*there) if there else set()


def _said_no(request: Request) -> set[IdentityKey]:
    found: set[IdentityKey] = set()
    for signed in request.rejections:
        try:
            found.add(open_rejection(signed).custodian)
        except Violation:
            continue
    return found
