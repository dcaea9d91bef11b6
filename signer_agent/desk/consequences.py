"""What a person should know before they give, and what follows if they do or don't."""

from protocol.charter import Charter
from protocol.commands import wording
from protocol.displayable import PersonName
from protocol.identifiers import VP, Instant
from signer_agent.desk import clocks, units
from signer_agent.desk.reviewed import ReviewedTarget
from signer_agent.desk.screen import PartLine
from signer_agent.desk.seat import HeldKey, Seat
from signer_agent.trust.evidence import Evidence

ALONE = "The charter says that one person may be alone."
"""The caution of every screen under such a charter."""


def cautions_of(
    seat: Seat,
    charter: Charter,
    evidence: Evidence,
    targets: tuple[ReviewedTarget, ...],
    now: Instant,
) -> tuple[str, ...]:
    found: list[str] = []
    if charter.alone:
        found.append(ALONE)
    for one in targets:
        found += wording.cautions(one.command.body, one.state)
        found += _still_wrong(seat, evidence, one)
        found += _live(seat, one, now)
    lines = {units.line_of(one.unit): evidence.units[one.target.unit] for one in targets}
    found += clocks.cautions(seat.coordinator_ahead, lines)
    return tuple(dict.fromkeys(found))


def _still_wrong(seat: Seat, evidence: Evidence, one: ReviewedTarget) -> list[str]:
    """What is wrong with the unit and doesn't forbid this command, or comes with it."""
    line = units.line_of(one.unit)
    found = evidence.units[one.target.unit]
    wrong = [*units.findings_of(found, seat.book)]
    wrong += units.would_be_found(found, seat.book, one.command)
    said = [units.said_of(line, finding) for finding in wrong]
    if found.broken is not None:
        said.append(f"The history of {line} doesn't hold: {found.broken}.")
    return said


def _live(seat: Seat, one: ReviewedTarget, now: Instant) -> list[str]:
    """LIVE_SIGNATURE: what is out for the same state is said before another is given."""
    target = one.target
    return [
        f"Your signature for request {given.number} is out for the same state of "
        f"{units.line_of(one.unit)}: whichever runs first, the other can't."
        for given in seat.memory.live(target.unit, target.state, now, but=one.command.id)
    ]


def if_given(
    keys: tuple[HeldKey, ...], owed: VP | None, have: int, needed: int, parts: tuple[PartLine, ...]
) -> tuple[str, ...]:
    lines = []
    missing = sum(not part.given for part in parts) - (owed is not None)
    if keys:
        more = needed - have - 1
        rest = "it may run at once" if more <= 0 and missing <= 0 else "others must follow"
        lines.append(f"{have + 1} of {needed}: {rest}. A signature can't be taken back.")
    if owed is not None:
        given = sum(part.given for part in parts) + 1
        lines.append(f"{given} of {len(parts)} parts. Your file stays here.")
    return tuple(lines)


def if_not(
    keys: tuple[HeldKey, ...],
    owed: VP | None,
    have: int,
    needed: int,
    waiting: tuple[PersonName, ...],
    me: PersonName,
) -> tuple[str, ...]:
    if owed is not None:
        return ("Nobody else can give this part: without it the request expires.",)
    if not keys:
        return ()
    others = [name for name in waiting if name != me]
    if len(others) < needed - have:
        return ("Without your signature it can't run: it expires and nothing changes.",)
    ending = "the last signature" if needed - have == 1 else f"the {needed - have} missing ones"
    all_of_them = len(others) == needed - have
    names = (" and " if all_of_them else " or ").join(others)
    return (f"{names} may give {ending}. Without them it expires and nothing changes.",)
