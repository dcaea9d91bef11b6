"""protocol.report, once the charter has named another log: what ran before it is told, all of it,
and nothing else may lack a log."""

import json
from collections.abc import Sequence

import pytest

from protocol.charter import Charter
from protocol.commands.bodies import ClearNewRegister, CommitNewRegister, SetThresholds
from protocol.identifiers import VP
from protocol.record.checkpoints import log_origin
from protocol.report.evidence import Evidence, seal_evidence
from protocol.report.file import VerifiedReport, make_report, read_report
from protocol.report.proof import ReportFails
from tests.cast.charters import COORDINATOR, charter, instance
from tests.cast.commands import adds, load_of
from tests.cast.keys import signature_key
from tests.cast.people import ALICE, BOB, CAROL, Custodian
from tests.cast.records import LOG_KEY, CastRecord

NEW_LOG = signature_key("new log")
NEW = COORDINATOR.but(identity=signature_key("new coordinator").identity, log=NEW_LOG.identity)
PEOPLE = (ALICE, BOB, CAROL)
PARTS = [(ALICE, ALICE.part()), (BOB, BOB.part())]


class Moved:
    """Units that lived under version 1, whose log is lost; version 2 names a new one."""

    def __init__(self) -> None:
        self.first, _, self.units = instance(3, 2)
        self.old = CastRecord(self.first, PEOPLE, self.units)
        for one in PEOPLE:
            self.old.request(ALICE, adds(one))
        self.old.request(ALICE, SetThresholds(signatures=2, revocations=2), [ALICE, BOB])
        self.vp: VP = self.old.load(ALICE, PARTS)
        self.second = charter(PEOPLE, self.units, previous=self.first, coordinator=NEW)
        for unit in self.units:
            unit.charter = self.second.digest

    def record(self, accepted: Sequence[Custodian] = PEOPLE) -> CastRecord:
        """The new coordinator's log, in which these people have accepted version 2."""
        return CastRecord(
            self.second, PEOPLE, self.units, before=[self.first], key=NEW_LOG, accepted=accepted
        )


@pytest.fixture
def moved() -> Moved:
    return Moved()


def report(evidence: Evidence, anchor: Charter) -> VerifiedReport:
    made = make_report(seal_evidence(evidence, ALICE.identity.sign), anchor)
    return read_report(made.data, anchor)


def fails(evidence: Evidence, anchor: Charter) -> ReportFails:
    with pytest.raises(ReportFails) as caught:
        make_report(seal_evidence(evidence, ALICE.identity.sign), anchor)
    return caught.value


def test_what_ran_before_is_told_and_the_rest_is_proven_as_ever(moved: Moved):
    record = moved.record()
    record.request(BOB, CommitNewRegister(vp=moved.vp), [BOB, CAROL])
    for anchor in (moved.first, moved.second):
        summary = report(record.evidence(), anchor).summary
        assert [one["result"] for one in summary["requests"]] == ["executed"]
        earlier = summary["earlier_logs"]
        assert earlier["logs"] == [
            {"origin": log_origin(LOG_KEY.identity), "charter_versions": [1]}
        ]
        there = [(one["unit"], one["state_version"]) for one in earlier["commands"]]
        assert len(there) == len(set(there)) == 10
        (load, _) = (one for one in earlier["commands"] if one["command"] == "cryptounit-mk-load")
        assert (load["signed_by"], load["charter_version"]) == (["alice"], 1)
        assert [part["custodian"] for part in load["parts"]] == ["alice", "bob"]
        assert summary["alone"] == []
        assert any("bob gave a part (request" in line for line in summary["two_roles"])


def test_a_report_without_an_earlier_log_says_nothing_of_one(moved: Moved):
    assert "earlier_logs" not in report(moved.old.evidence(), moved.first).summary


def test_versions_are_judged_by_the_units_as_they_were(moved: Moved):
    """Two accepted it, and two were enough, until a command under it raised the threshold."""
    record = moved.record((ALICE, BOB))
    record.request(BOB, SetThresholds(signatures=3, revocations=2), [ALICE, BOB])
    summary = report(record.evidence(), moved.second).summary
    assert (summary["charter"]["version"], summary["alone"]) == (2, [])


def test_two_are_not_enough_where_a_version_came_after_the_raise(moved: Moved):
    for unit in moved.units:
        unit.charter = moved.first.digest
    moved.old.request(BOB, SetThresholds(signatures=3, revocations=2), [ALICE, BOB])
    assert fails(moved.record((ALICE, BOB)).evidence(), moved.first).element == "the log"
    report(moved.record().evidence(), moved.first)


def test_a_unit_that_only_older_versions_name():
    first, _, units = instance(3, 3)
    second = charter(PEOPLE, units[:2], previous=first)
    third = charter(PEOPLE, units[:2], previous=second, coordinator=NEW)
    record = CastRecord(third, PEOPLE, units[:2], before=[first, second], key=NEW_LOG)
    assert report(record.evidence(), first).summary["charter"]["version"] == 3


def test_who_was_alone_before_is_named(moved: Moved):
    parts = [(ALICE, ALICE.part("one")), (ALICE, ALICE.part("two"))]
    for unit in moved.units:
        unit.charter = moved.first.digest
    moved.old.request(BOB, ClearNewRegister(vp=moved.vp), [BOB])
    moved.old.request(ALICE, load_of(parts), [ALICE], given=parts)
    summary = report(moved.record().evidence(), moved.second).summary
    assert any("of an earlier log" in one and "whole key" in one for one in summary["alone"])


def test_a_summary_that_hides_the_earlier_log_fails(moved: Moved):
    data = report(moved.record().evidence(), moved.second).data
    for hide in (lambda s: s.pop("earlier_logs"), lambda s: s["earlier_logs"]["commands"].pop()):
        content = json.loads(data)
        hide(content["summary"])
        with pytest.raises(ReportFails, match="exactly what its evidence proves"):
            read_report((json.dumps(content, indent=2) + "\n").encode(), moved.second)


def test_a_command_under_the_new_version_must_be_in_the_new_log(moved: Moved):
    """Nothing passes for older than it is: each command names its version, and signers saw it."""
    record = moved.record()
    kept = len(record.log)
    record.request(BOB, CommitNewRegister(vp=moved.vp), [BOB, CAROL])
    del record.log[kept:]
    record.notes.clear()
    assert fails(record.evidence(), moved.second).expected == "a request in the log"


def test_a_receipt_from_before_that_is_left_out_fails(moved: Moved):
    evidence = moved.record().evidence()
    for place in range(1, len(evidence.units[0].history)):
        history = evidence.units[0].history
        cut = evidence.units[0].but(history=history[:place] + history[place + 1 :])
        fails(evidence.but(units=(cut, *evidence.units[1:])), moved.second)


def test_a_version_that_is_not_in_force_leaves_no_log_behind(moved: Moved):
    """Else the coordinator and one custodian could leave the log of the version in force out."""
    for accepted in ((ALICE,), ()):
        found = fails(moved.record(accepted).evidence(), moved.first)
        assert found.element in ("the log", "the log's checkpoint")


def test_a_request_of_the_new_log_is_of_a_version_that_names_it(moved: Moved):
    record = moved.record()
    record.charter = moved.first
    record.request(BOB, CommitNewRegister(vp=moved.vp), [BOB, CAROL])
    assert "a version that names this log" in fails(record.evidence(), moved.second).expected
