"""What goes wrong, and how often: each fault by its own chance, drawn from the world's seed."""

from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from random import Random

from protocol.identifiers import HOUR


class Fault(StrEnum):
    """Everything that the simulator does to its parties."""

    DELAYED = "a message takes seconds"
    DOUBLED = "a message comes twice"
    OVERTAKEN = "a later message overtakes an earlier one"
    QUESTION_LOST = "a question to a unit is lost"
    ANSWER_LOST = "a unit's answer is lost"
    SESSION_CUT = "an agent's connection breaks, with all that was under way"
    OUT_OF_REACH = "a unit can't be reached for a while"
    LONG_OUTAGE = "a unit can't be reached for hours"
    COORDINATOR_CRASH_BEFORE_COMMIT = "the coordinator crashes before it has written"
    COORDINATOR_CRASH_AFTER_COMMIT = "the coordinator crashes before anybody was told"
    UNIT_CRASH_BEFORE_COMMIT = "a unit crashes before it has written"
    UNIT_CRASH_AFTER_COMMIT = "a unit crashes before it has answered"
    AGENT_CRASH_BEFORE_COMMIT = "an agent crashes before it has written"
    AGENT_CRASH_AFTER_COMMIT = "an agent crashes before it has sent"
    POWER_CUT = "somebody crashes in the middle of nothing"
    CLOCK_OFF = "a party's clock is off, by less than a minute"
    SECOND_THOUGHTS = "somebody says No first, and Yes later"
    LATE_RISER = "somebody looks at a request only after hours"


CHANCES: Mapping[Fault, float] = {
    Fault.DELAYED: 0.01,
    Fault.DOUBLED: 0.03,
    Fault.OVERTAKEN: 0.05,
    Fault.QUESTION_LOST: 0.01,
    Fault.ANSWER_LOST: 0.01,
    Fault.SESSION_CUT: 0.01,
    Fault.OUT_OF_REACH: 0.003,
    Fault.LONG_OUTAGE: 0.001,
    Fault.COORDINATOR_CRASH_BEFORE_COMMIT: 0.005,
    Fault.COORDINATOR_CRASH_AFTER_COMMIT: 0.005,
    Fault.UNIT_CRASH_BEFORE_COMMIT: 0.02,
    Fault.UNIT_CRASH_AFTER_COMMIT: 0.02,
    Fault.AGENT_CRASH_BEFORE_COMMIT: 0.004,
    Fault.AGENT_CRASH_AFTER_COMMIT: 0.004,
    Fault.POWER_CUT: 0.002,
    Fault.CLOCK_OFF: 0.3,
    Fault.SECOND_THOUGHTS: 0.05,
    Fault.LATE_RISER: 0.03,
}

CALM_AFTER = 24 * HOUR
"""From then on nothing goes wrong any more, so that what can end ends."""


class Weather:
    """Draws whether a fault happens now, and counts how often each did."""

    def __init__(self, chances: Mapping[Fault, float] = CHANCES) -> None:
        self._chances = chances
        self.happened: Counter[Fault] = Counter()

    def begin(self, random: Random, age: Callable[[], int], note: Callable[[str], None]) -> None:
        """For a world whose dice, age in milliseconds and trace these are."""
        self._random, self._age, self._note = random, age, note

    def happens(self, fault: Fault, where: str) -> bool:
        """Whether it happens to `where` now."""
        if self._random.random() >= self._chances.get(fault, 0.0) or self._age() > CALM_AFTER:
            return False
        self.happened[fault] += 1
        self._note(f"{where}: {fault}")
        return True


CALM: Mapping[Fault, float] = {}
"""The chances of a world in which nothing goes wrong."""
