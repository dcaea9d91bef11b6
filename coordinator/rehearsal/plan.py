"""What a ceremony is to be, who shows how it goes, and what it came to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from quorate.exits import Exit, Trouble


class Teller(Protocol):
    """Who shows the steps."""

    def going(self, step: int, what: str, note: str = "") -> None:
        """A step goes on."""
        ...

    def done(self, step: int, what: str, note: str = "") -> None:
        """A step is done."""
        ...

    def remark(self, text: str) -> None:
        """Something beside the steps."""
        ...


@dataclass(frozen=True)
class Plan:
    """Who does what. `parts` are given values, in hex, or None for random ones."""

    people: tuple[str, ...]
    threshold: int
    parts: tuple[str | None, ...]
    interactive: bool = False
    faults: bool = False

    @property
    def alone(self) -> bool:
        """Whether one person may be alone, so that the charter has to say it."""
        return len(self.people) == 1 or self.threshold == 1 or len(self.parts) > len(self.people)

    @property
    def givers(self) -> tuple[str, ...]:
        """Whose each part is."""
        return tuple(self.people[number % len(self.people)] for number in range(len(self.parts)))


@dataclass
class Outcome:
    """What the ceremony came to."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    report: Path | None = None
    page: Path | None = None
    charter: Path | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    verified: bool = False


class Silent:
    """Shows nothing."""

    def going(self, step: int, what: str, note: str = "") -> None:
        """Says nothing."""

    def done(self, step: int, what: str, note: str = "") -> None:
        """Says nothing."""

    def remark(self, text: str) -> None:
        """Says nothing."""


def check_plan(people: int, threshold: int, parts: Sequence[str | None]) -> None:
    """Refused trouble for a plan that no units would take."""
    if threshold > people:
        raise Trouble(
            Exit.REFUSED,
            "the signature threshold would be above the number of administrators",
            expected=f"1 to {people}",
            found=threshold,
            next="choose fewer, or more agents",
            rule="THRESHOLD_ABOVE_ADMINISTRATORS",
            returns=209,
            reason=57,
        )
    if len(parts) not in (2, 3):
        raise Trouble(
            Exit.REFUSED,
            "a master key has two or three parts",
            expected="--part two or three times, or not at all",
            found=len(parts),
            next="give two or three parts",
            rule="PART_COUNT",
        )
