"""What a ceremony report rests on: the log of the instance, units' histories and signed states."""

from typing import Annotated

import msgspec

from protocol.displayable import InstanceName
from protocol.identifiers import Digest, IdentityKey, Instant, Nonce, Signature, UnitId
from protocol.record.entries import SaltedEntry
from protocol.record.tree import Hash
from protocol.schema import Struct, Variant
from protocol.signing.labels import Label, digest, labelled
from protocol.signing.statements import Sign, Signed
from protocol.unit_identity import unit_id


class OwnEntry(Variant, tag="own"):
    """An entry of the instance, opened."""

    salted: SaltedEntry


class OtherEntry(Variant, tag="other"):
    """An entry that is not the instance's: its leaf hash, which tells nothing of it."""

    leaf: Hash


LogItem = OwnEntry | OtherEntry


class UnitEvidence(Struct):
    """A unit's whole history, and its state signed when the report was made."""

    identity: IdentityKey
    history: tuple[Signed, ...]
    state: Signed | None

    @property
    def unit(self) -> UnitId:
        """The unit's id."""
        return unit_id(self.identity)


class Witness(Struct):
    """A custodian's agent's word that it followed the log to this checkpoint.

    `checkpoint` is the SHA-256 of the signed note. The units sign their states over the witness's
    digest, so that neither the log nor a state in a report can be another than its maker saw.
    """

    instance: InstanceName
    checkpoint: Digest
    agent: IdentityKey
    at: Instant

    @property
    def nonce(self) -> Nonce:
        """What the units' states are signed over."""
        return Nonce(digest(Label.REPORT, self))


class Evidence(Struct):
    """Everything that a report proves from, in an order that leaves no choice.

    `log` holds every entry from the first up to the size of `checkpoint`, a signed note, to which
    `witness` is signed by the agent that made the report. `checkpoints` are the signed notes that
    openings name, by ascending size; `units` are in the order of their ids.
    """

    instance: InstanceName
    log: tuple[LogItem, ...]
    checkpoint: bytes
    witness: Signed
    checkpoints: tuple[bytes, ...]
    units: Annotated[tuple[UnitEvidence, ...], msgspec.Meta(min_length=1, max_length=64)]


class SealedEvidence(Struct):
    """Evidence, and the signature of its maker's agent over all of it.

    Hashes and receipts don't show that something was left out that nothing else rests on: an
    approval, a rejection, a request that nobody signed, the state of a unit. The seal does.
    """

    evidence: Evidence
    seal: Signature


def seal_evidence(evidence: Evidence, sign: Sign) -> SealedEvidence:
    """Seals with the identity key of the agent that is the evidence's witness."""
    signature = Signature(sign(labelled(Label.REPORT_SEAL, evidence)))
    return SealedEvidence(evidence=evidence, seal=signature)
