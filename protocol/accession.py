"""When a version of the charter comes into force.

Once as many people of the version before have accepted it as the highest signature threshold in any
unit; with all units in imprint mode, or with no version before, every custodian that it names, and
of those whom the version before names as many as take a unit out of imprint mode: else a version
could name whomever its maker wants. Never while the history of a unit that it names isn't known, or
lacks the receipt that it names, or if a unit has left imprint mode, under another version, since.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from protocol.charter import Acceptance, Charter
from protocol.displayable import PersonName
from protocol.history import History
from protocol.identifiers import Digest, UnitId
from protocol.receipts import Receipt


@dataclass(frozen=True)
class Accession:
    """How far a version is on its way into force."""

    needed: int
    accepted: frozenset[PersonName]
    asked: frozenset[PersonName]
    before_needed: int
    """How many people of the version before must be among those who accepted."""
    before_accepted: frozenset[PersonName]
    before_asked: frozenset[PersonName]
    unknown: frozenset[UnitId]
    """Units that it names whose history isn't known yet."""
    outdated: frozenset[UnitId]
    """Units for whose sake it has to be made anew: their history lacks the receipt that it names,
    or they left imprint mode under another version after it."""

    @property
    def enough(self) -> bool:
        """Whether enough people have accepted it."""
        before = len(self.before_accepted) >= self.before_needed
        return len(self.accepted) >= self.needed and before

    @property
    def in_force(self) -> bool:
        """Whether nothing is missing."""
        return self.enough and not self.unknown and not self.outdated

    @property
    def waiting_for(self) -> frozenset[PersonName]:
        """Who could still accept, while too few have."""
        asked: frozenset[PersonName] = frozenset()
        if len(self.accepted) < self.needed:
            asked |= self.asked - self.accepted
        if len(self.before_accepted) < self.before_needed:
            asked |= self.before_asked - self.before_accepted
        return asked


def accession(
    candidate: Charter,
    preceding: Charter | None,
    acceptances: Collection[Acceptance],
    histories: Mapping[UnitId, History],
) -> Accession:
    """How far `candidate` is. `preceding` is in force; `acceptances` and `histories` are verified.

    `histories` holds every unit of both versions that was ever seen.
    """
    states = [history.state for history in histories.values()]
    named = frozenset(person.name for person in candidate.people)
    before: frozenset[PersonName] = frozenset()
    before_needed = 0
    if preceding is not None:
        before = frozenset(person.name for person in preceding.people)
        before_needed = 1 if preceding.alone else preceding.floor.exit_people
    if preceding is None or all(state.imprint for state in states):
        asked, needed = named, len(named)
    else:
        asked, needed = before, max(state.signature_threshold for state in states)
    accepted = frozenset(one.person for one in acceptances if one.charter == candidate.digest)
    return Accession(
        needed=needed,
        accepted=accepted & asked,
        asked=asked,
        before_needed=before_needed,
        before_accepted=accepted & before,
        before_asked=before,
        unknown=frozenset(unit.id for unit in candidate.units if unit.id not in histories),
        outdated=frozenset(
            unit for unit, history in histories.items() if _outdated(candidate, history)
        ),
    )


def as_it_was(history: History, versions: Collection[Digest]) -> History:
    """The history before its first receipt under one of these versions.

    By that an older version is judged: by the thresholds of then, and without what units went
    through under a later one.
    """
    for position, entry in enumerate(history.entries):
        if isinstance(entry, Receipt) and entry.parsed().charter in versions:
            return replace(
                history, entries=history.entries[:position], hashes=history.hashes[:position]
            )
    return history


def _outdated(candidate: Charter, history: History) -> bool:
    unit = candidate.unit(history.unit)
    if unit is None:
        return False
    return history.position(unit.last_receipt) is None or overtaken(candidate, history)


def overtaken(candidate: Charter, history: History) -> bool:
    """Whether the unit left imprint mode under another version after the receipt that this names.

    Then it can't come into force any more, whatever follows.
    """
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
