"""The one place that reads clocks.

Everything else gets the time as an argument, so that tests choose it.
"""

import time

from protocol.identifiers import Duration, Instant

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where there is such a clock (clock_gettime(2))."""


def now() -> Instant:
    """This machine's time."""
    return Instant(time.time_ns() // 1_000_000)


def steady() -> Duration:
    """Since some moment: only differences mean anything. Nobody sets it."""
    return Duration(time.clock_gettime_ns(_STEADY) // 1_000_000)
