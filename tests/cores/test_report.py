"""protocol.report: an honest report verifies; whoever changes it is found out, coordinator's keys
or not."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.store.record import checkpoint_digest
from protocol.charter import Chain
from protocol.commands.bodies import CommitNewRegister, SetImmediate, SetThresholds, Void
from protocol.files.charter_file import read_charter_file, write_charter_file
from protocol.identifiers import VP
from protocol.record.entries import EntryKind, entry_leaf
from protocol.report.evidence import (
    Evidence,
    OtherEntry,
    OwnEntry,
    SealedEvidence,
    UnitEvidence,
    Witness,
    seal_evidence,
)
from protocol.report.file import make_report, read_report
from protocol.report.proof import ReportFails
from protocol.schema import to_bytes
from protocol.signing.labels import Label
from protocol.signing.statements import sign_statement
from protocol.violations import Violation
from quorate import clock, times
from quorate.verify import verify
from tests.cast.charters import charter, instance
from tests.cast.commands import NOON, adds
from tests.cast.people import ALICE, BOB, CAROL, DAVE, MALLORY
from tests.cast.records import CastRecord, checkpoint_of
from tests.cast.streams import Streams


@pytest.fixture(scope="module")
def record() -> CastRecord:
    version, people, units = instance(3, 2)
    record = CastRecord(version, people, units)
    for one in people:
        record.request(ALICE, adds(one))
    record.request(ALICE, SetThresholds(signatures=2, revocations=2), [ALICE, BOB])
    vp = record.load(ALICE, [(ALICE, ALICE.part()), (BOB, BOB.part())])
    record.request(BOB, CommitNewRegister(vp=vp), [BOB, CAROL])
    record.request(CAROL, SetImmediate(vp=vp), [CAROL])
    record.keep(EntryKind.REJECTION, Void())  # what nothing else rests on; nobody parses its body
    return record


@pytest.fixture(scope="module")
def evidence(record: CastRecord) -> Evidence:
    return record.evidence()


def sealed(evidence: Evidence) -> SealedEvidence:
    """As the agent of alice seals it, who made the report."""
    return seal_evidence(evidence, ALICE.identity.sign)


def test_an_honest_report_verifies(record: CastRecord, evidence: Evidence):
    made = make_report(sealed(evidence), record.charter)
    read = read_report(made.data, record.charter)
    assert read.data == made.data
    summary = read.summary
    assert [one["result"] for one in summary["requests"]] == ["executed"] * 7
    assert [one["command"] for one in summary["requests"]][-3:] == [
        "cryptounit-mk-load",
        "cryptounit-mk-commit",
        "cryptounit-mk-setimm",
    ]
    assert summary["requests"][3]["signed_by"] == ["alice", "bob"]
    assert summary["requests"][4]["parts"][0]["custodian"] == "alice"
    assert {unit["current"]["state"] for unit in summary["units"]} == {"Valid"}
    assert summary["alone"] == []
    assert any("bob gave a part" in line for line in summary["two_roles"])


def test_people_read_times_as_people_write_them(
    record: CastRecord, evidence: Evidence, tmp_path: Path
):
    made = make_report(sealed(evidence), record.charter)
    report, anchor = tmp_path / "report.json", tmp_path / "charter.json"
    report.write_bytes(made.data)
    anchor.write_bytes(write_charter_file(Chain([record.charter])))
    streams = Streams()
    verify.main([str(report), "--charter", str(anchor)], obj=streams.console, standalone_mode=False)
    at = made.proven.as_of
    assert at is not None
    assert f", as of {times.moment(at, now=clock.now())}\n" in streams.both[0]


def test_without_a_charter_it_is_only_consistent(evidence: Evidence):
    data = make_report(sealed(evidence), None).data
    assert read_report(data, None).summary["instance"] == "ledger-eu"


def test_another_charter_is_not_its(record: CastRecord, evidence: Evidence):
    data = make_report(sealed(evidence), None).data
    other = charter([ALICE, BOB, DAVE], record.units)
    with pytest.raises(ReportFails, match="yours"):
        read_report(data, other)


def test_any_changed_byte_fails(record: CastRecord, evidence: Evidence):
    data = make_report(sealed(evidence), None).data
    step = max(1, len(data) // 150)
    for place in range(0, len(data), step):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(Violation):
            read_report(bytes(changed), record.charter)


def test_a_summary_that_says_more_fails(record: CastRecord, evidence: Evidence):
    content = json.loads(make_report(sealed(evidence), None).data)
    content["summary"]["alone"] = ["nobody, believe me"]
    data = (json.dumps(content, indent=2) + "\n").encode()
    with pytest.raises(ReportFails, match="exactly what its evidence proves"):
        read_report(data, record.charter)


def resealed(evidence: Evidence, **changes) -> bytes:
    """The evidence changed, with a new checkpoint by the coordinator's own key, as a file.

    The maker's agent is in league: its seal shows nothing, all else has to.
    """
    changed = evidence.but(**changes)
    if "checkpoint" not in changes:
        changed = changed.but(checkpoint=checkpoint_of(changed.log))
    return as_file(sealed(changed))


def as_file(evidence: SealedEvidence) -> bytes:
    """A report that says nothing in its summary."""
    content = {
        "quorate": "ceremony report 1",
        "summary": {},
        "evidence": base64.b64encode(to_bytes(evidence)).decode(),
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def fails(data: bytes, record: CastRecord) -> ReportFails:
    with pytest.raises(ReportFails) as caught:
        read_report(data, record.charter)
    assert caught.value.element != "the file", "only the summary was noticed, not the change"
    return caught.value


def test_dropping_any_log_entry_fails(record: CastRecord, evidence: Evidence):
    for place in range(len(evidence.log)):
        log = evidence.log[:place] + evidence.log[place + 1 :]
        fails(resealed(evidence, log=log), record)


def test_cutting_the_log_anywhere_fails(record: CastRecord, evidence: Evidence):
    for size in range(len(evidence.log)):
        fails(resealed(evidence, log=evidence.log[:size]), record)


def test_swapping_neighbouring_log_entries_fails(record: CastRecord, evidence: Evidence):
    for place in range(len(evidence.log) - 1):
        first, second = evidence.log[place : place + 2]
        log = (*evidence.log[:place], second, first, *evidence.log[place + 2 :])
        fails(resealed(evidence, log=log), record)


def test_a_witness_who_is_no_custodian_fails(record: CastRecord, evidence: Evidence):
    for maker, why in ((MALLORY, "the agent of a custodian"), (BOB, "signed for this report")):
        note = evidence.checkpoint
        witness = Witness(
            instance=evidence.instance,
            checkpoint=checkpoint_digest(note),
            agent=maker.agent,
            at=NOON,
        )
        signed = sign_statement(Label.REPORT, witness, maker.identity.sign)
        assert why in fails(resealed(evidence, witness=signed), record).expected


def test_states_of_another_occasion_fail(record: CastRecord, evidence: Evidence):
    unit = min(record.units, key=lambda one: one.id)
    old = sign_statement(Label.STATE_ANSWER, unit.seen(), unit.key.sign)
    units = (evidence.units[0].but(state=old), *evidence.units[1:])
    assert "another occasion" in fails(resealed(evidence, units=units), record).found


def test_hiding_an_entry_as_another_instances_fails(record: CastRecord, evidence: Evidence):
    """The hashes stay what they were: what nothing else rests on, only the seal holds."""
    honest = sealed(evidence)
    for place, item in enumerate(evidence.log):
        assert isinstance(item, OwnEntry)
        hidden = OtherEntry(leaf=entry_leaf(item.salted))
        log = (*evidence.log[:place], hidden, *evidence.log[place + 1 :])
        changed = honest.but(evidence=evidence.but(log=log))
        found = fails(as_file(changed), record)
        if item.salted.entry.kind is EntryKind.REJECTION:
            assert found.element == "the seal of alice's agent"


def test_hiding_a_request_that_never_ran_fails(evidence: Evidence, record: CastRecord):
    kept = len(record.log)
    try:
        filing = record.filing(BOB, SetImmediate(vp=VP(bytes(32))))
        record.keep(EntryKind.FILING, sign_statement(Label.FILING, filing, BOB.identity.sign))
        evidence = record.evidence()
    finally:
        del record.log[kept:]
    honest = sealed(evidence)
    assert make_report(honest, record.charter).summary["requests"][-1]["result"] == "never opened"
    item = evidence.log[-1]
    assert isinstance(item, OwnEntry)
    log = (*evidence.log[:-1], OtherEntry(leaf=entry_leaf(item.salted)))
    fails(as_file(honest.but(evidence=evidence.but(log=log))), record)


def test_leaving_out_the_state_of_a_unit_fails(record: CastRecord, evidence: Evidence):
    honest = sealed(evidence)
    for place, unit in enumerate(evidence.units):
        units = (*evidence.units[:place], unit.but(state=None), *evidence.units[place + 1 :])
        fails(as_file(honest.but(evidence=evidence.but(units=units))), record)


def test_a_seal_of_another_agent_fails(record: CastRecord, evidence: Evidence):
    for other in (BOB, MALLORY):
        changed = seal_evidence(evidence, other.identity.sign)
        assert "seal" in fails(as_file(changed), record).element


UNIT_CHANGES: dict[str, Callable[[Evidence], tuple[UnitEvidence, ...]]] = {
    "a unit is missing": lambda e: e.units[:-1],
    "the units are swapped": lambda e: e.units[::-1],
    "a unit is there twice": lambda e: (*e.units, e.units[-1]),
    "the last receipt is missing": lambda e: (
        e.units[0].but(history=e.units[0].history[:-1]),
        *e.units[1:],
    ),
    "the last receipt and the state are missing": lambda e: (
        e.units[0].but(history=e.units[0].history[:-1], state=None),
        *e.units[1:],
    ),
    "a receipt is missing": lambda e: (
        e.units[0].but(history=e.units[0].history[:3] + e.units[0].history[4:]),
        *e.units[1:],
    ),
    "two receipts are swapped": lambda e: (
        e.units[0].but(
            history=(
                *e.units[0].history[:3],
                e.units[0].history[4],
                e.units[0].history[3],
                *e.units[0].history[5:],
            )
        ),
        *e.units[1:],
    ),
    "a history of the other unit": lambda e: (
        e.units[0].but(history=e.units[1].history),
        *e.units[1:],
    ),
    "a state of the other unit": lambda e: (
        e.units[0].but(state=e.units[1].state),
        *e.units[1:],
    ),
}


@pytest.mark.parametrize("name", UNIT_CHANGES)
def test_changed_histories_fail(record: CastRecord, evidence: Evidence, name: str):
    fails(resealed(evidence, units=UNIT_CHANGES[name](evidence)), record)


def test_checkpoints_must_be_the_openings_own(record: CastRecord, evidence: Evidence):
    for place in range(len(evidence.checkpoints)):
        fewer = evidence.checkpoints[:place] + evidence.checkpoints[place + 1 :]
        fails(resealed(evidence, checkpoints=fewer), record)
    fails(resealed(evidence, checkpoints=evidence.checkpoints[::-1]), record)
    more = (*evidence.checkpoints, checkpoint_of(evidence.log))
    assert "others too" in fails(resealed(evidence, checkpoints=more), record).found


def test_a_checkpoint_of_another_key_fails(record: CastRecord, evidence: Evidence):
    note = evidence.checkpoint.replace(b"quorate-log/", b"quorate-l0g/")
    fails(resealed(evidence, checkpoint=note), record)


def test_whoever_was_alone_is_named():
    version, people, units = instance(1, 2)
    version = version.but(floor=version.floor.but(signatures=1, revocations=1, exit_people=1))
    for unit in units:
        unit.charter = version.digest
    record = CastRecord(version, people, units)
    record.request(ALICE, adds(ALICE))
    record.request(ALICE, SetThresholds(signatures=1, revocations=1), [ALICE])
    record.load(ALICE, [(ALICE, ALICE.part("one")), (ALICE, ALICE.part("two"))])
    alone = make_report(sealed(record.evidence()), version).summary["alone"]
    assert "the charter says that one person may be alone" in alone
    assert any("signed by alice alone" in line for line in alone)
    assert any("knows the whole key" in line for line in alone)


def test_a_request_that_ran_on_some_units_says_so():
    version, people, units = instance(2, 2)
    record = CastRecord(version, people, units)
    record.request(ALICE, adds(ALICE), skip=[units[1]])
    summary = make_report(sealed(record.evidence()), version).summary
    assert summary["requests"][0]["result"] == "executed on 1 of 2 units"


def test_a_charter_file_is_read_back_and_has_one_spelling(record: CastRecord):
    data = write_charter_file(Chain([record.charter]))
    assert read_charter_file(data).newest == record.charter
    for place in range(0, len(data), 97):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(Violation):
            read_charter_file(bytes(changed))
