"""The mutual challenge with which a session begins.

Each side signs the digest of both hellos, in which stand both nonces, both identity keys and the
fingerprint of the TLS certificate that the agent sees: so neither can be played back to a third,
and a stranger in the middle of the TLS connection is found out.

    agent        → AgentHello
    coordinator  → CoordinatorHello, signed
    agent        → AgentProof, signed
    coordinator  → Welcome
"""

from typing import Annotated

import msgspec

from protocol.displayable import PersonName
from protocol.identifiers import Bytes32, IdentityKey, Instant, Nonce, Signature
from protocol.schema import Struct, Variant, to_bytes
from protocol.signing.algorithms import verify_identity
from protocol.signing.labels import Label, digest, labelled
from protocol.signing.statements import Sign
from protocol.violations import Violation

VERSION = 1
Epoch = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Cursor(Struct):
    """How far an agent has followed the feed of one store. `epoch` names the store's life."""

    epoch: Epoch
    position: int


class AgentHello(Variant, tag="agent-hello"):
    """The agent's first words. `checkpoint` is the last that it saw of this coordinator's log."""

    versions: Annotated[tuple[int, ...], msgspec.Meta(min_length=1, max_length=8)]
    agent: IdentityKey
    coordinator: IdentityKey
    certificate: Bytes32
    nonce: Nonce
    cursor: Cursor | None
    checkpoint: bytes | None


class CoordinatorHello(Variant, tag="coordinator-hello"):
    """The coordinator's answer; its signature travels beside it."""

    version: int
    nonce: Nonce
    time: Instant
    epoch: Epoch


class SignedCoordinatorHello(Variant, tag="signed-coordinator-hello"):
    """The coordinator's hello with its signature over both hellos."""

    hello: CoordinatorHello
    signature: Signature


class Enrolment(Struct):
    """With an invitation: its secret token, and the person whose agent this will be."""

    token: Bytes32
    person: PersonName


class AgentProof(Variant, tag="agent-proof"):
    """The agent's signature over both hellos; an enrolment where it comes for the first time."""

    signature: Signature
    enrolment: Enrolment | None


class Welcome(Variant, tag="welcome"):
    """The session stands."""

    person: PersonName


class _Transcript(Struct):
    side: str
    agent: bytes
    coordinator: bytes


def _transcript(side: str, agent: AgentHello, coordinator: CoordinatorHello) -> bytes:
    transcript = _Transcript(side=side, agent=to_bytes(agent), coordinator=to_bytes(coordinator))
    return labelled(Label.HELLO, digest(Label.HELLO, transcript))


def answer_hello(
    hello: AgentHello,
    own: IdentityKey,
    certificate: bytes,
    *,
    nonce: Nonce,
    now: Instant,
    epoch: bytes,
    sign: Sign,
) -> SignedCoordinatorHello:
    """The coordinator's hello, signed; Violation when the agent's isn't meant for it."""
    if VERSION not in hello.versions:
        raise Violation(f"no common version: {list(hello.versions)} there, {VERSION} here")
    if hello.coordinator != own:
        raise Violation("the agent wants to talk to another coordinator")
    if hello.certificate != certificate:
        raise Violation("the agent sees another TLS certificate than this coordinator's")
    answer = CoordinatorHello(version=VERSION, nonce=nonce, time=now, epoch=epoch)
    signature = Signature(sign(_transcript("coordinator", hello, answer)))
    return SignedCoordinatorHello(hello=answer, signature=signature)


def prove(
    hello: AgentHello,
    answer: SignedCoordinatorHello,
    *,
    enrolment: Enrolment | None,
    sign: Sign,
) -> AgentProof:
    """The agent's proof, once the coordinator has proven itself; Violation when it has not."""
    if answer.hello.version not in hello.versions:
        raise Violation(
            f"the coordinator chose version {answer.hello.version}, which wasn't offered"
        )
    transcript = _transcript("coordinator", hello, answer.hello)
    verify_identity(hello.coordinator, transcript, answer.signature)
    own = _transcript("agent", hello, answer.hello)
    return AgentProof(signature=Signature(sign(own)), enrolment=enrolment)


def check_proof(hello: AgentHello, answer: SignedCoordinatorHello, proof: AgentProof) -> None:
    """Violation unless the agent holds the identity key that it named."""
    verify_identity(hello.agent, _transcript("agent", hello, answer.hello), proof.signature)
