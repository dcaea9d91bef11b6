"""What is sent to crypto units: commands, signatures, sealed key parts."""

import hashlib
from collections.abc import Sequence
from typing import Any

from protocol.commands.bodies import AddAdministrator, Body, LoadNewRegister, NamedPart
from protocol.commands.command import Command, Contribution, SignedCommand, signed_command
from protocol.identifiers import Digest, Instant, Nonce
from protocol.receipts import StateAnswer
from protocol.request import DEFAULT_VALIDITY
from protocol.schema import to_bytes
from protocol.sealing import hpke
from protocol.sealing.contribution import give_part, vp_of
from protocol.sealing.importer import ImporterKey
from tests.cast.keys import SignatureKey, noise
from tests.cast.people import Custodian, approval

Signer = Custodian | SignatureKey
"""Who signs: a custodian with their first key, or a key by itself."""

Given = tuple[Custodian, bytes]
"""A key part and who gives it."""

NOON = Instant(1_795_608_000_000)
"""When the tests begin: 2026-11-25 12:00 UTC."""

SOME_CHARTER = Digest(hashlib.sha256(b"a charter that nobody looks into").digest())


def request_digest(title: object = "request") -> Digest:
    """The digest of some request; other titles are other requests."""
    return Digest(noise(f"request {title}"))


def nonce(title: object) -> Nonce:
    """A nonce; other titles are other nonces."""
    return Nonce(noise(f"nonce {title}"))


def command_for_state(body: Body, seen: StateAnswer, **changes: Any) -> Command:
    """A command for a unit in the state that it answered with; `changes` are other fields.

    It is valid from that state's time for a day.
    """
    fields: dict[str, Any] = {
        "charter": SOME_CHARTER,
        "practice": True,
        "request": request_digest(),
        "unit": seen.unit,
        "incarnation": seen.incarnation,
        "version": seen.version,
        "state": seen.state_digest,
        "not_before": seen.clock,
        "not_after": Instant(seen.clock + DEFAULT_VALIDITY),
        "importer": None,
    }
    return Command(**(fields | changes), body=body)


def signed(
    command: Command, signers: Sequence[Signer] = (), contributions: Sequence[Contribution] = ()
) -> SignedCommand:
    """The command with these signatures and parts, as a unit is sent it."""
    return signed_command(
        command=to_bytes(command),
        approvals=tuple(approval(key_of(signer), command) for signer in signers),
        contributions=tuple(contributions),
    )


def key_of(signer: Signer) -> SignatureKey:
    """The key that signs."""
    return signer.key if isinstance(signer, Custodian) else signer


def load_of(given: Sequence[Given]) -> LoadNewRegister:
    """The load that names these parts."""
    parts = [NamedPart(vp=vp_of(part), custodian=who.agent) for who, part in given]
    return LoadNewRegister(parts=tuple(parts))


def contribution(given: Given, load: Command, importer: ImporterKey) -> Contribution:
    """A key part, sealed to the importer key and signed by its custodian's agent."""
    who, part = given
    return give_part(
        part,
        load,
        importer,
        who.agent,
        seal=lambda plaintext, key, info: hpke.seal(plaintext, key, info=info),
        sign=who.identity.sign,
    )


def adds(who: Custodian) -> AddAdministrator:
    """The body that adds a custodian's first key."""
    return AddAdministrator(key=who.proven())
