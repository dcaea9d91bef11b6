"""The one place that reads the wall clock.

Everything else gets the time as an argument, so that tests choose it.
"""

import time

from protocol.identifiers import Instant


def now() -> Instant:
    """This machine's time."""
    return Instant(time.time_ns() // 1_000_000)
