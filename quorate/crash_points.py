"""Crash points: where a test can end a process as a power cut would.

A process that was started with `QUORATE_CRASH_AT=name` ends at that point, the first time that it
gets there; with `name:3`, the third time. It ends at once: nothing is flushed, closed or cleaned
up. Ending is all that a crash point can do, so the worst that the variable does to a real process
is what `kill -9` does.

Each process has one list of its points: the crypto units' is `hsm_backend.durable.steps`.
"""

import os
from collections.abc import Mapping
from threading import Lock

VARIABLE = "QUORATE_CRASH_AT"
STATUS = 137
"""The exit code of a process that was ended by `kill -9`, as shells show it."""


class _Point:
    """The one armed point, and how often it is still to be passed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        text = environment.get(VARIABLE, "")
        name, _, nth = text.rpartition(":")
        counted = bool(name) and nth.isdecimal()
        self._name = name if counted else text
        self._left = int(nth) if counted else 1
        self._lock = Lock()

    def reached(self, name: str) -> bool:
        if name != self._name:
            return False
        with self._lock:
            self._left -= 1
            return self._left == 0


_armed = _Point(os.environ)


def crash_point(name: str) -> None:
    """Ends the process here, if it was started to end here; otherwise does nothing."""
    if _armed.reached(name):
        os._exit(STATUS)
