"""protocol.standing: what people make of a history that holds, finding by finding (DESIGN §2.5)."""

import pytest

from protocol.charter import Chain, Charter, Floor
from protocol.commands.bodies import (
    AddAdministrator,
    RemoveAdministrator,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.history import verify_history
from protocol.identifiers import Digest, StateVersion
from protocol.receipts import Birth, BirthCause
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from protocol.standing import (
    Finding,
    Ground,
    first_objection,
    judge,
    lacks_what_was_seen,
    left,
    strangers,
)
from tests.cast.charters import charter
from tests.cast.people import ALICE, BOB, CAROL, DAVE, MALLORY, Custodian, custodian
from tests.cast.units import CastUnit

TWICE = custodian("alice", keys=2)


class Case:
    """A unit and the charters of its instance."""

    def __init__(self, *people: Custodian, **fields) -> None:
        self.unit = CastUnit()
        self.people = people
        self.versions = [charter(people, [self.unit], **fields)]
        self.unit.charter = self.versions[0].digest

    def next_version(self, *people: Custodian, **fields) -> Charter:
        self.versions.append(charter(people, [self.unit], previous=self.versions[-1], **fields))
        self.unit.charter = self.versions[-1].digest
        return self.versions[-1]

    def findings(self, in_force: set[Digest] | None = None) -> tuple[Finding, ...]:
        history = verify_history(self.unit.entries, self.unit.key.identity)
        standing = in_force or {one.digest for one in self.versions}
        return judge(history, Chain(self.versions), standing)

    def grounds(self) -> set[Ground]:
        return {finding.ground for finding in self.findings()}

    def objection(self, body) -> Ground | None:
        finding = first_objection(self.findings(), body)
        return None if finding is None else finding.ground


@pytest.fixture
def case() -> Case:
    return Case(ALICE, BOB, CAROL)


def test_a_unit_in_imprint_mode_has_nothing_against_it(case: Case):
    case.unit.install([ALICE, BOB])
    assert case.findings() == ()


def test_a_unit_that_people_of_the_charter_took_out(case: Case):
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    case.unit.run(Void(), [BOB])
    assert case.findings() == ()
    assert case.objection(Void()) is None


def test_a_unit_captured_by_strangers_in_imprint_mode(case: Case):
    eve = custodian("eve")
    case.unit.leave_imprint([MALLORY, eve])
    assert Ground.EXIT_BY_TOO_FEW_PEOPLE in case.grounds()
    assert case.objection(Void()) is Ground.EXIT_BY_TOO_FEW_PEOPLE
    assert case.objection(Zeroize()) is None


def test_a_captured_unit_that_was_laundered_since(case: Case):
    eve = custodian("eve")
    case.unit.leave_imprint([MALLORY, eve])
    case.unit.install([ALICE, BOB], [MALLORY, eve])
    case.unit.run(RemoveAdministrator(ski=MALLORY.key.ski), [ALICE, BOB])
    case.unit.run(RemoveAdministrator(ski=eve.key.ski), [ALICE, BOB])
    assert strangers(case.unit.state, case.versions) == ()
    assert Ground.EXIT_BY_TOO_FEW_PEOPLE in case.grounds()
    assert case.objection(Void()) is not None


def test_a_stranger_beside_the_people_who_took_it_out(case: Case):
    case.unit.install([MALLORY])
    case.unit.leave_imprint([ALICE, BOB])
    assert case.grounds() == {Ground.STRANGER_INSTALLED}
    assert case.objection(Void()) is Ground.STRANGER_INSTALLED
    assert case.objection(RemoveAdministrator(ski=MALLORY.key.ski)) is None
    assert case.objection(RemoveAdministrator(ski=ALICE.key.ski)) is Ground.STRANGER_INSTALLED
    assert case.objection(Zeroize()) is None


def test_a_strangers_signature_counts_for_nothing(case: Case):
    case.unit.install([MALLORY])
    case.unit.leave_imprint([ALICE, BOB])
    case.unit.run(SetThresholds(signatures=2, revocations=2), [ALICE, MALLORY])
    case.unit.run(RemoveAdministrator(ski=MALLORY.key.ski), [ALICE, BOB])
    assert case.grounds() == {Ground.SIGNED_BY_TOO_FEW_PEOPLE}


def test_an_exit_by_one_person_with_two_keys():
    case = Case(TWICE, BOB)
    case.unit.install([TWICE, BOB])
    case.unit.run(AddAdministrator(key=TWICE.proven(TWICE.keys[1])))
    case.unit.run(SetThresholds(signatures=2, revocations=2), TWICE.keys)
    assert Ground.EXIT_BY_TOO_FEW_PEOPLE in case.grounds()


def test_a_command_by_one_person_with_two_keys():
    case = Case(TWICE, BOB)
    case.unit.leave_imprint([TWICE, BOB])
    case.unit.run(AddAdministrator(key=TWICE.proven(TWICE.keys[1])), [TWICE, BOB])
    assert case.grounds() == {Ground.SECOND_KEY_INSTALLED}
    case.unit.run(SetThresholds(signatures=2, revocations=2), TWICE.keys)
    assert Ground.SIGNED_BY_TOO_FEW_PEOPLE in case.grounds()
    assert Ground.ONE_PERSON_MEETS_THRESHOLD in case.grounds()


def test_a_second_key_is_tolerated_when_the_next_receipt_removes_the_first():
    case = Case(TWICE, BOB)
    case.unit.leave_imprint([TWICE, BOB])
    case.unit.run(AddAdministrator(key=TWICE.proven(TWICE.keys[1])), [TWICE, BOB])
    removal = RemoveAdministrator(ski=TWICE.keys[0].ski)
    assert case.objection(removal) is None
    assert case.objection(Void()) is Ground.SECOND_KEY_INSTALLED
    case.unit.run(removal, [TWICE, BOB])
    assert case.findings() == ()


def test_a_second_key_below_the_threshold_is_no_matter():
    case = Case(TWICE, BOB, CAROL)
    case.unit.leave_imprint([TWICE, BOB, CAROL], signatures=3, revocations=3)
    case.unit.run(AddAdministrator(key=TWICE.proven(TWICE.keys[1])), [TWICE, BOB, CAROL])
    assert case.findings() == ()


def test_one_person_may_be_alone_where_the_charter_says_so():
    case = Case(TWICE, alone=True, floor=Floor(signatures=1, revocations=1, exit_people=1))
    case.unit.install([TWICE])
    case.unit.run(AddAdministrator(key=TWICE.proven(TWICE.keys[1])))
    case.unit.run(SetThresholds(signatures=2, revocations=2), TWICE.keys)
    assert case.findings() == ()


def test_thresholds_that_fell_below_the_floor(case: Case):
    case.unit.leave_imprint([ALICE, BOB, CAROL], signatures=2, revocations=2)
    case.unit.run(SetThresholds(signatures=1, revocations=2), [ALICE, BOB])
    case.unit.run(SetThresholds(signatures=2, revocations=2), [ALICE, BOB])
    assert Ground.FLOOR_BROKEN in case.grounds()
    assert case.objection(Void()) is Ground.FLOOR_BROKEN


def test_an_exit_below_the_floor(case: Case):
    case.unit.install([ALICE, BOB])
    case.unit.run(SetThresholds(signatures=1, revocations=1), [ALICE, BOB])
    assert Ground.FLOOR_BROKEN in case.grounds()


def test_below_a_floor_raised_since_only_the_raise_is_signed(case: Case):
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    case.next_version(ALICE, BOB, CAROL, floor=Floor(signatures=3, revocations=2, exit_people=2))
    assert case.grounds() == {Ground.BELOW_FLOOR}
    assert case.objection(Void()) is Ground.BELOW_FLOOR
    assert case.objection(SetThresholds(signatures=2, revocations=3)) is Ground.BELOW_FLOOR
    assert case.objection(SetThresholds(signatures=3, revocations=2)) is None
    case.unit.run(SetThresholds(signatures=3, revocations=2), [ALICE, BOB])
    assert case.findings() == ()


def test_somebody_who_has_left_is_no_stranger(case: Case):
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    newest = case.next_version(ALICE, BOB)
    assert case.findings() == ()
    assert [one.name for one in left(case.unit.state, case.versions, newest)] == ["carol"]
    assert strangers(case.unit.state, case.versions) == ()


def test_who_has_left_counts_no_more(case: Case):
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    case.next_version(ALICE, BOB)
    case.unit.run(SetThresholds(signatures=2, revocations=2), [ALICE, CAROL])
    assert case.grounds() == {Ground.SIGNED_BY_TOO_FEW_PEOPLE}


def test_an_unknown_charter(case: Case):
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    other = charter([ALICE, BOB], [case.unit])
    case.unit.run(Void(), [ALICE], charter=other.digest)
    assert case.grounds() == {Ground.CHARTER_UNKNOWN}


def test_a_version_that_never_came_into_force_names_nobody(case: Case):
    first = case.versions[0].digest
    case.unit.install([MALLORY])
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    case.next_version(ALICE, BOB, CAROL, MALLORY)
    assert [one.ground for one in case.findings({first})] == [Ground.STRANGER_INSTALLED]
    assert case.findings() == ()


def test_an_exit_under_an_older_version_after_a_newer_ones_receipt(case: Case):
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    case.unit.run(Zeroize(), [ALICE])
    old = case.versions[0].digest
    case.next_version(ALICE, BOB, DAVE)
    case.unit.charter = old
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    assert Ground.EXIT_AFTER_NEWER_CHARTER in case.grounds()
    assert case.findings({old}) == ()


def test_a_restored_unit(case: Case):
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    last = case.unit.history()[-1]
    birth = Birth(
        unit=case.unit.id,
        incarnation=last.incarnation.but(number=2),
        version=StateVersion(last.version + 1),
        previous=case.unit.last_receipt,
        cause=BirthCause.RESTORE,
        after=case.unit.state,
        at=case.unit.now,
    )
    case.unit.entries.append(sign_statement(Label.HISTORY, birth, case.unit.key.sign))
    assert Ground.RESTORED in case.grounds()
    assert case.objection(Void()) is Ground.RESTORED
    assert case.objection(Zeroize()) is None


def test_a_unit_of_no_charter_in_force(case: Case):
    stranger = CastUnit(2)
    history = verify_history(stranger.entries, stranger.key.identity)
    chain = Chain(case.versions)
    found = judge(history, chain, {case.versions[0].digest})
    assert [one.ground for one in found] == [Ground.UNIT_NOT_IN_CHARTER]
    assert judge(history, chain, set())[0].ground is Ground.UNIT_NOT_IN_CHARTER


def test_a_unit_that_lacks_what_the_charter_names(case: Case):
    behind = CastUnit()
    case.unit.run(Void())
    case.versions = [charter([ALICE, BOB], [case.unit])]
    case.unit = behind
    assert Ground.LACKS_WHAT_WAS_SEEN in case.grounds()


def test_a_unit_that_lacks_what_was_seen(case: Case):
    case.unit.run(Void())
    seen = case.unit.last_receipt
    history = verify_history(case.unit.entries, case.unit.key.identity)
    rolled_back = verify_history(case.unit.entries[:-1], case.unit.key.identity)
    assert lacks_what_was_seen(history, seen) == ()
    assert lacks_what_was_seen(rolled_back, seen)[0].ground is Ground.LACKS_WHAT_WAS_SEEN


def test_strangers_are_mended_before_a_low_floor(case: Case):
    case.unit.install([MALLORY])
    case.unit.leave_imprint([ALICE, BOB, CAROL])
    case.next_version(ALICE, BOB, CAROL, floor=Floor(signatures=3, revocations=3, exit_people=2))
    assert case.grounds() == {Ground.STRANGER_INSTALLED, Ground.BELOW_FLOOR}
    raise_it = SetThresholds(signatures=3, revocations=3)
    assert case.objection(raise_it) is Ground.STRANGER_INSTALLED
    assert case.objection(RemoveAdministrator(ski=MALLORY.key.ski)) is None
    case.unit.run(RemoveAdministrator(ski=MALLORY.key.ski), [ALICE, BOB])
    assert case.objection(raise_it) is None
