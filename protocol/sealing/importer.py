"""Importer keys: what a unit makes so that key parts can be sealed to it and to nobody else."""

from typing import Annotated

import msgspec

from protocol.identifiers import Digest, IdentityKey, Incarnation, Instant, StateVersion, UnitId
from protocol.schema import Struct
from protocol.signing.labels import Label, digest
from protocol.signing.statements import Signed, open_statement
from protocol.unit_identity import unit_id
from protocol.violations import Violation

PUBLIC_KEY_BYTES = 1184 + 32


class ImporterKey(Struct):
    """A unit's word that it holds the private half of `public_key`.

    It is made for one life, one state and one request (of an import: the export's), and is good for
    nothing else. `public_key` is ML-KEM-768's encapsulation key (FIPS 203) followed by X25519's
    (RFC 7748).
    """

    unit: UnitId
    incarnation: Incarnation
    version: StateVersion
    state: Digest
    request: Digest
    public_key: Annotated[
        bytes, msgspec.Meta(min_length=PUBLIC_KEY_BYTES, max_length=PUBLIC_KEY_BYTES)
    ]
    made: Instant

    @property
    def digest(self) -> Digest:
        """What a load command names as its `importer`."""
        return digest(Label.IMPORTER_KEY, self)


def open_importer_key(signed: Signed, identity: IdentityKey) -> ImporterKey:
    """An importer key, if the unit with this identity key signed it as its own."""
    importer = open_statement(ImporterKey, Label.IMPORTER_KEY, signed, identity)
    if importer.unit != unit_id(identity):
        raise Violation("a crypto unit signed another's importer key")
    return importer
