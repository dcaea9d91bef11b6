"""protocol.accession: when a version comes into force, and what keeps it out (DESIGN §2.1)."""

from collections.abc import Sequence

from protocol.accession import Accession, accession
from protocol.charter import Acceptance, Charter, Floor
from protocol.commands.bodies import Void
from protocol.history import verify_history
from protocol.schema import from_bytes
from tests.cast.charters import accepts, charter
from tests.cast.people import ALICE, BOB, CAROL, DAVE, MALLORY, Custodian
from tests.cast.units import CastUnit

THREE = (ALICE, BOB, CAROL)


class Case:
    def __init__(self) -> None:
        self.units = [CastUnit(1), CastUnit(2)]
        self.first = charter(THREE, self.units)
        for unit in self.units:
            unit.charter = self.first.digest

    def next(self, *people: Custodian, **fields) -> Charter:
        return charter(people, self.units, previous=self.first, **fields)

    def judge(
        self,
        candidate: Charter,
        accepted: Sequence[Custodian],
        *,
        known: Sequence[CastUnit] | None = None,
    ) -> Accession:
        units = self.units if known is None else known
        histories = {unit.id: verify_history(unit.entries, unit.key.identity) for unit in units}
        yes = [from_bytes(Acceptance, accepts(one, candidate).statement) for one in accepted]
        preceding = None if candidate.previous is None else self.first
        return accession(candidate, preceding, yes, histories)


def test_the_first_version_needs_everybody_that_it_names():
    case = Case()
    assert not case.judge(case.first, [ALICE, BOB]).in_force
    assert case.judge(case.first, [ALICE, BOB]).waiting_for == {"carol"}
    assert case.judge(case.first, THREE).in_force
    assert case.judge(case.first, THREE).waiting_for == frozenset()


def test_an_acceptance_of_another_version_doesnt_count():
    case = Case()
    other = case.next(*THREE, DAVE)
    yes = [from_bytes(Acceptance, accepts(one, other).statement) for one in THREE]
    histories = {one.id: verify_history(one.entries, one.key.identity) for one in case.units}
    assert not accession(case.first, None, yes, histories).in_force


def test_out_of_imprint_mode_as_many_of_the_version_before_as_the_highest_threshold():
    case = Case()
    case.units[0].leave_imprint(THREE)
    case.units[1].leave_imprint(THREE, signatures=3, revocations=2)
    second = case.next(*THREE, DAVE)
    assert case.judge(second, [ALICE, BOB]).needed == 3
    assert not case.judge(second, [ALICE, BOB, DAVE]).in_force
    assert case.judge(second, THREE).in_force


def test_newcomers_dont_vote_themselves_in():
    case = Case()
    for unit in case.units:
        unit.leave_imprint(THREE)
    coup = case.next(ALICE, MALLORY, DAVE)
    assert not case.judge(coup, [ALICE, MALLORY, DAVE]).in_force


def test_in_imprint_mode_people_of_the_version_before_are_needed_too():
    case = Case()
    alone = case.next(MALLORY, alone=True, floor=Floor(signatures=1, revocations=1, exit_people=1))
    found = case.judge(alone, [MALLORY])
    assert (found.before_needed, found.before_accepted) == (2, frozenset())
    assert not found.in_force
    joined = case.next(ALICE, MALLORY)
    assert not case.judge(joined, [ALICE, MALLORY]).in_force
    assert case.judge(joined, [ALICE, MALLORY, BOB]).in_force


def test_a_unit_whose_history_isnt_known_keeps_it_out():
    case = Case()
    found = case.judge(case.first, THREE, known=case.units[:1])
    assert found.unknown == {case.units[1].id}
    assert not found.in_force
    assert not case.judge(case.first, THREE, known=[]).in_force


def test_a_unit_that_left_imprint_mode_under_the_version_before_keeps_it_out():
    case = Case()
    second = case.next(*THREE, DAVE)
    case.units[0].leave_imprint(THREE)
    found = case.judge(second, [*THREE, DAVE])
    assert found.outdated == {case.units[0].id}
    assert not found.in_force
    case.units[0].charter = second.digest
    assert case.judge(case.next(*THREE, DAVE), [*THREE, DAVE]).in_force


def test_a_receipt_that_a_unit_lacks_keeps_it_out():
    case = Case()
    case.units[0].run(Void())
    second = case.next(*THREE, DAVE)
    case.units[0] = CastUnit(1)
    assert case.judge(second, [*THREE, DAVE]).outdated == {case.units[0].id}
