"""What a fresh coordinator takes an instance over from, and custodians accept: one file for both.

It holds every version of the charter, of which the newest names the coordinator that is to take
over, with a log of its own, and isn't in force yet; the acceptances of the versions before, which
are; and the highest number of a request that its maker knows, so that no number will mean two.
JSON with a few words for people, and the canonical bytes for programs; it has one spelling.
"""

import base64
import binascii
import json
from typing import Annotated

import msgspec

from protocol.charter import Chain, Charter, open_acceptance
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.signing.statements import Signed
from protocol.violations import Violation

MAX_BYTES = 8 * 1024 * 1024
_FORMAT = "takeover file 1"


class TakeOver(Struct):
    """What is in the file. What is read from one is verified, but for `requests`."""

    versions: Annotated[tuple[Charter, ...], msgspec.Meta(min_length=2, max_length=1000)]
    acceptances: Annotated[tuple[Signed, ...], msgspec.Meta(max_length=64_000)]
    requests: Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]

    def invariant(self) -> str | None:
        before, newest = self.versions[-2].coordinator, self.newest.coordinator
        if newest.identity == before.identity or newest.log == before.log:
            return "the newest version doesn't name another coordinator with another log"
        return None

    @property
    def newest(self) -> Charter:
        """The version that names the new coordinator."""
        return self.versions[-1]

    @property
    def before(self) -> tuple[Charter, ...]:
        """The versions that were in force, the last of which is."""
        return self.versions[:-1]


def write_takeover_file(takeover: TakeOver) -> bytes:
    """The file."""
    newest = takeover.newest
    content = {
        "quorate": _FORMAT,
        "instance": newest.instance,
        "practice": newest.practice,
        "version": newest.number,
        "coordinator": newest.coordinator.url,
        "digest": newest.digest.hex(),
        "takeover": base64.b64encode(to_bytes(takeover)).decode(),
    }
    return (json.dumps(content, indent=2, ensure_ascii=True) + "\n").encode()


def is_takeover_file(data: bytes) -> bool:
    """Whether it says that it is one, rather than a charter file."""
    return f'"quorate": "{_FORMAT}"'.encode() in data[:80]


def read_takeover_file(data: bytes) -> TakeOver:
    """What is in such a file, every proof checked; Violation for anything else."""
    if len(data) > MAX_BYTES:
        raise Violation("longer than a takeover file can be")
    try:
        encoded = base64.b64decode(json.loads(data)["takeover"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        raise Violation("not a takeover file") from None
    takeover = from_bytes(TakeOver, encoded, limit=MAX_BYTES)
    chain, before = Chain(takeover.versions), Chain(takeover.before)
    for charter in chain.versions:
        charter.check()
    for signed in takeover.acceptances:
        open_acceptance(signed, before)
    if write_takeover_file(takeover) != data:
        raise Violation("a takeover file that was edited")
    return takeover
