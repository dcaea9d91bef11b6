"""What can still run of a request that has ended, in words: the same for operator and custodian."""

from collections.abc import Iterator

from protocol.identifiers import Instant
from protocol.live import NotRecalled
from quorate import times
from quorate.exits import Json


def one_of(names: tuple[str, ...] | list[str]) -> str:
    """`alice, bob or carol`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1] if names else "")))


def lines_of(live: NotRecalled, now: Instant) -> Iterator[str]:
    """The signed copies that nobody can recall: whose they are, until when, on which units."""
    signers = ", ".join(live.signed_by)
    yield f"! Not recalled: {live.have} of {live.needed} signatures ({signers})."
    text = f"  Signed copies can still run until {times.moment(live.until, now=now)}"
    if live.could_add:
        owners = one_of([f"{name}'s" for name in live.could_add])
        yield f"{text} if {owners} is added,"
        text = " "
    yield f"{text} or until the unit runs something else."
    if len(live.units) < live.targets:
        yield f"  That is so on {len(live.units)} of {live.targets} units."


def as_json(live: NotRecalled | None) -> Json:
    """The same for scripts."""
    if live is None:
        return None
    return {
        "units": [unit.hex() for unit in live.units],
        "signed_by": list(live.signed_by),
        "have": live.have,
        "needed": live.needed,
        "could_add": list(live.could_add),
        "until": times.for_scripts(live.until),
    }
