"""What a unit host and its clients say to each other, beside what `protocol` defines.

Requests are POSTs to `/v1/units/{unit, 64 hex digits}/{verb}`, bodies are canonical msgpack:

    verb           request              answer
    state          StateRequest         Signed (protocol.receipts.StateAnswer)
    importer-key   ImporterKeyRequest   Signed (protocol.sealing.importer.ImporterKey)
    prepare        SignedCommand        Prepared
    execute        SignedCommand        Outcome
    history        HistoryRequest       HistoryPage

`GET /v1/units` answers `Units`. Anything else than 200 carries a reason as text: 400, 404 and 413
for what breaks the protocol (the connection is closed), 503 for what may work later. Everything may
be asked again: an executed command gets its first receipt, a request its first importer key.
"""

from typing import Annotated

import msgspec

from protocol.identifiers import Digest, Nonce
from protocol.receipts import MAX_NONCES
from protocol.schema import Struct, Variant
from protocol.signing.statements import Signed
from protocol.unit_identity import CertifiedUnit

CONTENT_TYPE = "application/vnd.quorate.msgpack"
MAX_REQUEST_BYTES = 256 * 1024
"""More than the longest command with all its signatures and parts."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
PAGE_ENTRIES = 64
PAGE_BYTES = 1024 * 1024
"""A page of history ends with the entry that passes either."""


class Units(Struct):
    """All units of the host."""

    units: tuple[CertifiedUnit, ...]


class StateRequest(Struct):
    """Asks for the state, signed over these nonces: one signature for all who ask."""

    nonces: Annotated[tuple[Nonce, ...], msgspec.Meta(min_length=1, max_length=MAX_NONCES)]


class ImporterKeyRequest(Struct):
    """Asks for the importer key of the request with this digest, in the present state."""

    request: Digest


class Prepared(Struct):
    """Prepare's answer: `refusal` is signed; None when the command could run now, or has run."""

    refusal: Signed | None


class Ran(Variant, tag="ran"):
    """The command was executed, now or before: its receipt."""

    receipt: Signed


class Refused(Variant, tag="refused"):
    """The command was not executed: the unit's signed No (protocol.receipts.RefusalAnswer)."""

    refusal: Signed


Outcome = Ran | Refused


class HistoryRequest(Struct):
    """Asks for the entries with a higher state version than `after`; 0 asks for all."""

    after: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class HistoryPage(Struct):
    """The next entries, oldest first, without a gap; `more` says that others follow."""

    entries: tuple[Signed, ...]
    more: bool
