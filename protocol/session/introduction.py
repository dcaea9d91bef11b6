"""How people's programs come to know a coordinator: its identity key vouches for its certificate.

People compare one key, the identity key on their invitation. Over a connection that nobody has
vouched for yet, a program asks for a statement, signed with that key, about the certificate that it
sees; from then on it accepts this certificate alone.
"""

from protocol.displayable import InstanceName
from protocol.identifiers import Bytes32, IdentityKey, Nonce
from protocol.schema import Struct, from_bytes
from protocol.signing.labels import Label
from protocol.signing.statements import Sign, Signed, open_statement, sign_statement
from protocol.violations import Violation


class Introduction(Struct):
    """The coordinator's word on its TLS certificate: the SHA-256 of the DER bytes.

    `nonce` is the asker's, so that an old word isn't taken for a new one.
    """

    coordinator: IdentityKey
    instance: InstanceName
    practice: bool
    certificate: Bytes32
    nonce: Nonce


def introduce(introduction: Introduction, sign: Sign) -> Signed:
    """Signs it with the coordinator's identity key."""
    return sign_statement(Label.INTRODUCTION, introduction, sign)


def open_introduction(signed: Signed, *, certificate: bytes, nonce: Nonce) -> Introduction:
    """The introduction, if the key in it signed it for this certificate and nonce.

    Whether that key is the right one, people say. Violation otherwise.
    """
    claimed = from_bytes(Introduction, signed.statement)
    introduction = open_statement(Introduction, Label.INTRODUCTION, signed, claimed.coordinator)
    if (introduction.certificate, introduction.nonce) != (certificate, nonce):
        raise Violation(
            "the coordinator's key vouches for another certificate: somebody sits in between"
        )
    return introduction
