"""A charter as a file: JSON with a few words for people, and the canonical bytes for programs.

The file holds all versions, the newest last. It has exactly one spelling: whoever reads it writes
it again and refuses any other.
"""

import base64
import binascii
import json
from typing import Annotated

import msgspec

from protocol.charter import Chain, Charter
from protocol.schema import Struct, from_bytes, to_bytes
from protocol.violations import Violation

MAX_BYTES = 4 * 1024 * 1024


class _Versions(Struct):
    versions: Annotated[tuple[Charter, ...], msgspec.Meta(min_length=1, max_length=1000)]


def write_charter_file(chain: Chain) -> bytes:
    """The file for a chain of versions."""
    newest = chain.newest
    content = {
        "quorate": "charter file 1",
        "instance": newest.instance,
        "practice": newest.practice,
        "version": newest.number,
        "people": [person.name for person in newest.people],
        "digest": newest.digest.hex(),
        "charter": base64.b64encode(to_bytes(_Versions(versions=chain.versions))).decode(),
    }
    return (json.dumps(content, indent=2, ensure_ascii=True) + "\n").encode()


def read_charter_file(data: bytes) -> Chain:
    """The chain in a file, every proof in it checked; Violation for anything else."""
    if len(data) > MAX_BYTES:
        raise Violation("longer than a charter file can be")
    try:
        content = json.loads(data)
        versions = base64.b64decode(content["charter"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        raise Violation("not a charter file") from None
    chain = Chain(from_bytes(_Versions, versions).versions)
    for charter in chain.versions:
        charter.check()
    if write_charter_file(chain) != data:
        raise Violation("a charter file that was edited")
    return chain
