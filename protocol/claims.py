"""Proof of possession: a signature key's owner says whose it is, and signs that with the key."""

from typing import Annotated

import msgspec

from protocol.displayable import InstanceName, PersonName
from protocol.identifiers import SKI, IdentityKey, Signature
from protocol.schema import Struct
from protocol.signing.algorithms import Algorithm, ski_of, verify
from protocol.signing.labels import Label, labelled


class KeyClaim(Struct):
    """A person's entry for one of their signature keys.

    The administrator's name is only bounded here: that it is 1 to 30 characters of PrintableString
    is a rule with a refusal of its own.
    """

    instance: InstanceName
    practice: bool
    person: PersonName
    agent: IdentityKey
    administrator: Annotated[str, msgspec.Meta(max_length=200)]
    algorithm: Algorithm
    public_key: Annotated[bytes, msgspec.Meta(max_length=4096)]


class ProvenKey(Struct):
    """A claim and the claimed key's signature over it. Not verified until `check` was called."""

    claim: KeyClaim
    proof: Signature

    @property
    def ski(self) -> SKI:
        """Violation when the public key is malformed."""
        return ski_of(self.claim.algorithm, self.claim.public_key)

    def check(self) -> None:
        """Raises Violation unless the key itself signed the claim."""
        verify(
            self.claim.algorithm,
            self.claim.public_key,
            labelled(Label.PERSON, self.claim),
            self.proof,
        )
