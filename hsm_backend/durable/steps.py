"""Every durable step of a unit host: where it may be killed, and be whole after the restart.

Each write is one transaction, so there are two places a write: when all is written but not yet
committed, and when it is committed but nobody was told.
"""

from enum import StrEnum


class Write(StrEnum):
    """What is written as one piece."""

    MADE = "made"
    """`quorate unit init`: all units of the host, in their first state."""
    COMMAND = "command"
    """An executed command: memory and history entries."""
    IMPORTER_KEY = "importer key"
    CLOCK = "clock"
    """The high-water mark, at most hourly."""
    BY_HAND = "zeroize by hand"
    KEY_TABLES = "key storage's tables"
    """A new database of root keys, or an older one brought up to date."""
    KEYS = "keys"
    """A change of key storage: events, wraps and inventory."""
    KEY_MARK = "key storage seen"
    """How far a unit has seen key storage."""

    @property
    def before_commit(self) -> str:
        """After a crash here: the state before."""
        return f"unit: {self.value}, before commit"

    @property
    def after_commit(self) -> str:
        """After a crash here: the state after, receipt included, and nobody was told."""
        return f"unit: {self.value}, after commit"


STEPS = tuple(step for write in Write for step in (write.before_commit, write.after_commit))
"""The names for `quorate.crash_points`."""
