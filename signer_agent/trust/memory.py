"""What the agent has seen and done: the newest state of each unit, the signatures that are out.

Never older than what was seen: a history that lacks it replaces nothing. Only after a zeroize, and
only when the person accepted a charter version that names a receipt of the new life, does the unit
begin anew here too (DESIGN §2.5).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from protocol.charter import Charter
from protocol.history import History
from protocol.identifiers import SKI, CommandId, Digest, Instant, UnitId
from protocol.receipts import Birth, BirthCause
from protocol.schema import Struct


@dataclass(frozen=True)
class Seen:
    """A unit's verified history, and when the unit last signed that it ends there.

    `at` is by this machine's clock; it is when the unit was asked.
    """

    history: History
    at: Instant


class GivenSignature(Struct):
    """A signature that this agent has given: it can run until `until`, or the unit moves on."""

    unit: UnitId
    state: Digest
    command: CommandId
    request: Digest
    number: int
    ski: SKI
    at: Instant
    until: Instant


@dataclass(frozen=True)
class Memory:
    """What was seen of the units, and the signatures given."""

    units: Mapping[UnitId, Seen] = field(default_factory=dict)
    given: tuple[GivenSignature, ...] = ()

    def seen(self, unit: UnitId) -> Seen | None:
        """The newest that was seen of a unit."""
        return self.units.get(unit)

    def learned(self, history: History, at: Instant, charter: Charter | None) -> "Memory":
        """With a verified history, where it may replace what was seen; the same memory otherwise.

        `charter` is the newest version that the person accepted.
        """
        seen = self.seen(history.unit)
        if seen is not None and not (_goes_on(history, seen) or _anew(history, seen, charter)):
            return self
        if seen is not None and history.last_receipt == seen.history.last_receipt:
            at = max(at, seen.at)
        return replace(self, units={**self.units, history.unit: Seen(history, at)})

    def signed(self, signatures: tuple[GivenSignature, ...]) -> "Memory":
        """With signatures that were given now."""
        return replace(self, given=(*self.given, *signatures))

    def forgetting(self, now: Instant) -> "Memory":
        """Without the signatures that have expired."""
        return replace(self, given=tuple(one for one in self.given if one.until > now))

    def live(
        self, unit: UnitId, state: Digest, now: Instant, *, but: CommandId
    ) -> tuple[GivenSignature, ...]:
        """Signatures given for the same state of a unit that can still run, other than `but`'s."""
        return tuple(
            one
            for one in self.given
            if one.unit == unit and one.state == state and one.until > now and one.command != but
        )

    def earlier(self, request: Digest, ski: SKI) -> GivenSignature | None:
        """The first signature of a key for a request."""
        found = [one for one in self.given if one.request == request and one.ski == ski]
        return min(found, key=lambda one: one.at, default=None)


def _goes_on(history: History, seen: Seen) -> bool:
    """Whether it holds all that was seen."""
    return history.position(seen.history.last_receipt) is not None


def _anew(history: History, seen: Seen, charter: Charter | None) -> bool:
    """Whether the person accepted a version that names a receipt of a life that is new to us."""
    unit = None if charter is None else charter.unit(history.unit)
    if unit is None:
        return False
    named = history.position(unit.last_receipt)
    start = history.this_life().start
    birth = history.entries[start]
    cleared = isinstance(birth, Birth) and birth.cause in (BirthCause.ZEROIZE, BirthCause.BY_HAND)
    unseen = seen.history.position(history.hashes[start]) is None
    return named is not None and named >= start and cleared and unseen
