"""The invitation: one line of text with which a person's agent comes to its coordinator.

`quorate-invitation-v1:` and the canonical bytes of an `Invitation` in base64url without padding
(RFC 4648, section 5). It holds a secret, the token, which works once: it goes to the person and to
nobody else. The coordinator's key in it is what the agent trusts until it has a charter.
"""

import base64
from typing import Annotated

import msgspec

from protocol.displayable import InstanceName, PersonName
from protocol.identifiers import Bytes32, IdentityKey
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.violations import Violation

PREFIX = "quorate-invitation-v1:"
_LONGEST = 4096


class Invitation(Struct):
    """Where the coordinator is, its identity key and its log's, for whom this is, and the token."""

    url: Annotated[str, msgspec.Meta(min_length=8, max_length=200, pattern=r"\Ahttps://\S+\Z")]
    coordinator: IdentityKey
    log: IdentityKey
    instance: InstanceName
    practice: bool
    person: PersonName
    token: Bytes32

    def __repr__(self) -> str:
        return f"<invitation of {self.person} to {self.instance}>"


def write_invitation(invitation: Invitation) -> str:
    """The line to give to the person."""
    return PREFIX + base64.urlsafe_b64encode(to_bytes(invitation)).rstrip(b"=").decode()


def read_invitation(text: str) -> Invitation:
    """Reads what `write_invitation` wrote; blanks around it don't matter. Violation otherwise."""
    line = text.strip()
    if not line.startswith(PREFIX):
        raise Violation(f"an invitation begins with {PREFIX}")
    encoded = line.removeprefix(PREFIX)
    if len(encoded) > _LONGEST:
        raise Violation("an invitation isn't that long")
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
    except ValueError:
        raise Violation("the invitation was cut or changed on its way") from None
    return from_bytes(Invitation, data)
