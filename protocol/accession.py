"""When a version of the charter comes into force.

Once as many people of the version before have accepted it as the highest signature threshold in any
unit; with all units in imprint mode, or with no version before, every custodian that it names. And
never if a unit has left imprint mode, under another version, after the receipt that this one names.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from protocol.charter import Acceptance, Charter
from protocol.displayable import PersonName
from protocol.history import History
from protocol.identifiers import UnitId
from protocol.receipts import Receipt


@dataclass(frozen=True)
class Accession:
    """How far a version is on its way into force."""

    needed: int
    accepted: frozenset[PersonName]
    asked: frozenset[PersonName]
    left_imprint: frozenset[UnitId]
    """Units that left imprint mode under another version since: this one has to be made anew."""

    @property
    def in_force(self) -> bool:
        """Whether nothing is missing."""
        return len(self.accepted) >= self.needed and not self.left_imprint

    @property
    def waiting_for(self) -> frozenset[PersonName]:
        """Who could still accept, while too few have."""
        return frozenset() if len(self.accepted) >= self.needed else self.asked - self.accepted


def accession(
    candidate: Charter,
    preceding: Charter | None,
    acceptances: Collection[Acceptance],
    histories: Mapping[UnitId, History],
) -> Accession:
    """How far `candidate` is. `preceding` is in force; `acceptances` and `histories` are verified.

    `histories` holds every unit of both versions that is in reach or was seen.
    """
    states = [history.state for history in histories.values()]
    if preceding is None or all(state.imprint for state in states):
        asked = frozenset(person.name for person in candidate.people)
        needed = len(asked)
    else:
        asked = frozenset(person.name for person in preceding.people)
        needed = max(state.signature_threshold for state in states)
    accepted = frozenset(one.person for one in acceptances if one.charter == candidate.digest)
    return Accession(
        needed=needed,
        accepted=accepted & asked,
        asked=asked,
        left_imprint=frozenset(
            unit for unit, history in histories.items() if _left_imprint(candidate, history)
        ),
    )


def _left_imprint(candidate: Charter, history: History) -> bool:
    unit = candidate.unit(history.unit)
    named = None if unit is None else history.position(unit.last_receipt)
    if named is None:
        return False
    return any(
        isinstance(entry, Receipt)
        and entry.before.imprint
        and not entry.after.imprint
        and entry.parsed().charter != candidate.digest
        for entry in history.entries[named + 1 :]
    )
