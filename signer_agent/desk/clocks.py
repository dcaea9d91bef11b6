"""Whose clock is off: this machine's, the coordinator's, or a unit's."""

from collections.abc import Mapping

from protocol.identifiers import MINUTE, SECOND, Duration, Instant
from quorate.exits import Exit
from signer_agent.desk.screen import UnitLine
from signer_agent.objections import Objection, object_to
from signer_agent.trust.evidence import UnitEvidence

MOST = MINUTE
"""A skew of more than this is said, with its mend."""


def clock_off(
    coordinator_ahead: Duration, units: Mapping[UnitLine, UnitEvidence]
) -> Objection | None:
    """CLOCKS_TOGETHER: nothing is signed while this machine's clock is more than a minute off.

    It is this machine's clock that is off when all others are, and on the same side.
    """
    others = [int(coordinator_ahead), *(_ahead(one) for one in units.values() if one.answer)]
    least = min(abs(ahead) for ahead in others)
    if least <= MOST or len({ahead > 0 for ahead in others}) > 1:
        return None
    side = "behind" if others[0] > 0 else "ahead"
    reached = len(others) - 1
    return object_to(
        Exit.CLOCK,
        f"this machine's clock is {_for_people(least)} {side}; nothing was signed",
        expected="within 1 min",
        found=f"{_for_people(least)} {side} of the coordinator and {reached} of {len(units)} units",
        next="timedatectl set-ntp true      then approve again",
        rule="CLOCKS_TOGETHER",
    )


def cautions(
    coordinator_ahead: Duration, units: Mapping[UnitLine, UnitEvidence]
) -> tuple[str, ...]:
    """Clocks of others that are off, where this machine's isn't."""
    found = []
    if abs(coordinator_ahead) > MOST:
        found.append(
            f"the coordinator's clock is {_skew(coordinator_ahead)}; tell the people who run it"
        )
    for line, one in units.items():
        ahead = _ahead(one) if one.answer else 0
        if abs(ahead) > MOST:
            found.append(
                f"the clock of {line} is {_skew(ahead)}; a set clock command mends a mark that is "
                "ahead"
            )
    return tuple(found)


def coordinator_ahead(theirs: Instant, ours: Instant) -> Duration:
    """How far the coordinator's clock is ahead; negative when it is behind."""
    return Duration(theirs - ours)


def _ahead(one: UnitEvidence) -> int:
    assert one.answer is not None and one.asked is not None
    return one.answer.clock - one.asked


def _skew(ahead: int) -> str:
    return f"{_for_people(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}"


def _for_people(milliseconds: int) -> str:
    minutes, rest = divmod(milliseconds, MINUTE)
    return f"{minutes} min {rest // SECOND} s"
