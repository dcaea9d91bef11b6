"""Custodians: an agent's identity key, signature keys with proofs, and key parts."""

from dataclasses import dataclass

from protocol.charter import Person
from protocol.claims import KeyClaim, ProvenKey
from protocol.commands.command import Approval, Command
from protocol.displayable import InstanceName, PersonName
from protocol.identifiers import IdentityKey, Signature
from protocol.signing.algorithms import Algorithm
from protocol.signing.labels import Label, labelled
from tests.cast.keys import SignatureKey, noise, signature_key

INSTANCE = InstanceName("ledger-eu")


@dataclass(frozen=True)
class Custodian:
    """A person with an agent and with signature keys; most tests need only the first key."""

    name: PersonName
    identity: SignatureKey
    keys: tuple[SignatureKey, ...]
    instance: InstanceName = INSTANCE
    practice: bool = True

    @property
    def agent(self) -> IdentityKey:
        """The agent's identity key."""
        return self.identity.identity

    @property
    def key(self) -> SignatureKey:
        """The first signature key."""
        return self.keys[0]

    def proven(self, key: SignatureKey | None = None, *, title: str | None = None) -> ProvenKey:
        """The claim of a key, signed by it: what adds it to charters and units.

        `title` is the administrator's name; otherwise it is made from the person's.
        """
        key = key or self.key
        claim = KeyClaim(
            instance=self.instance,
            practice=self.practice,
            person=self.name,
            agent=self.agent,
            administrator=title if title is not None else self._title(key),
            algorithm=key.algorithm,
            public_key=key.public_key,
        )
        proof = key.sign(labelled(Label.PERSON, claim))
        return ProvenKey(claim=claim, proof=Signature(proof))

    def person(self) -> Person:
        """The entry in the charter."""
        proven = sorted((self.proven(key) for key in self.keys), key=lambda one: one.ski)
        return Person(name=self.name, agent=self.agent, keys=tuple(proven))

    def part(self, title: str = "part") -> bytes:
        """A key part of theirs: 32 bytes."""
        return noise(f"key part {title} of {self.name}")

    def approve(self, command: Command) -> Approval:
        """The signature of their first key over a command."""
        return approval(self.key, command)

    def _title(self, key: SignatureKey) -> str:
        number = self.keys.index(key) + 1 if key in self.keys else 0
        return self.name if number == 1 else f"{self.name} {number}"


def custodian(name: str, *, keys: int = 1, algorithm: Algorithm = Algorithm.ED25519) -> Custodian:
    """The custodian of this name, with so many signature keys."""
    return Custodian(
        name=PersonName(name),
        identity=signature_key(f"agent of {name}"),
        keys=tuple(signature_key(f"{name} {number}", algorithm) for number in range(keys)),
    )


def approval(key: SignatureKey, command: Command) -> Approval:
    """The key's signature over a command."""
    return Approval(ski=key.ski, signature=Signature(key.sign(command.signing_bytes())))


ALICE, BOB, CAROL, DAVE, ERIN, FRANK, GRACE, HEIDI, IVAN = EVERYBODY = tuple(
    custodian(name)
    for name in ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan")
)
MALLORY = custodian("mallory")
"""Not one of them."""
