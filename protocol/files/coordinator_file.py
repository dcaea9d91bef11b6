"""A coordinator as a file: what the next version of a charter names where it changes coordinators.

Plain JSON, nothing signed: whoever made it, the version that names it is compared and accepted by
all, and the coordinator takes no instance over by a version that doesn't name its own keys.
"""

import json
from typing import Any

from protocol.charter import Coordinator
from protocol.displayable import InstanceName
from protocol.schema import Struct, from_plain
from protocol.violations import Violation

MAX_BYTES = 4096
_FORMAT = "coordinator file 1"


class OfferedCoordinator(Struct):
    """A coordinator that was made for an instance."""

    instance: InstanceName
    practice: bool
    coordinator: Coordinator


def write_coordinator_file(offered: OfferedCoordinator) -> bytes:
    """The file."""
    content = {
        "quorate": _FORMAT,
        "instance": offered.instance,
        "practice": offered.practice,
        "url": offered.coordinator.url,
        "identity": offered.coordinator.identity.hex(),
        "log": offered.coordinator.log.hex(),
    }
    return (json.dumps(content, indent=2, ensure_ascii=True) + "\n").encode()


def read_coordinator_file(data: bytes) -> OfferedCoordinator:
    """What such a file says; Violation for anything else."""
    try:
        content: Any = json.loads(data if len(data) <= MAX_BYTES else b"")
        keys = {name: bytes.fromhex(content[name]) for name in ("identity", "log")}
        said = {name: content[name] for name in ("instance", "practice")}
        url = content["url"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Violation("not a coordinator file") from None
    offered = from_plain(OfferedCoordinator, {**said, "coordinator": {"url": url, **keys}})
    if write_coordinator_file(offered) != data:
        raise Violation("a coordinator file that was edited")
    return offered
