"""Who sits at the desk: what a review knows beside the request and its evidence."""

from dataclasses import dataclass

from protocol.charter import Charter
from protocol.displayable import PersonName
from protocol.identifiers import SKI, VP, Duration, IdentityKey
from protocol.schema import Struct
from signer_agent.trust.charters import CharterBook
from signer_agent.trust.memory import Memory


class HeldKey(Struct):
    """A signature key file that is at hand and may sign."""

    ski: SKI
    file: str


class HeldPart(Struct):
    """A key part file that is at hand."""

    vp: VP
    name: str
    file: str


@dataclass(frozen=True)
class Seat:
    """The person, their agent's identity key, what it remembers, the key files at hand.

    `coordinator_ahead` is how far the coordinator's clock is ahead of this machine's.
    """

    me: PersonName
    agent: IdentityKey
    book: CharterBook
    memory: Memory
    keys: tuple[HeldKey, ...]
    parts: tuple[HeldPart, ...]
    coordinator_ahead: Duration

    def mine(self, ski: SKI, charter: Charter) -> bool:
        """Whether the charter says that this signature key is the person's."""
        owner = charter.owner_of(ski)
        return owner is not None and owner.name == self.me
