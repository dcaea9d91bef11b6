"""Gathers the evidence of a ceremony report: the log, histories, states signed for it."""

from functools import partial

from protocol.charter import Charter
from protocol.identifiers import Digest, UnitId
from protocol.receipts import open_state
from protocol.record.checkpoints import checkpoint_digest
from protocol.report.evidence import (
    Evidence,
    LogItem,
    SealedEvidence,
    UnitEvidence,
    Witness,
    seal_evidence,
)
from protocol.session.messages import (
    LogPage,
    States,
    WantLog,
    WantStates,
)
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.violations import Violation
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable
from signer_agent.daemon.agent import Agent
from signer_agent.daemon.recorded import hidden, known_to_have_happened
from signer_agent.desk.opening import log_goes_on
from signer_agent.objections import Objection
from signer_agent.trust.witness import opened

_TRIES = 5
MAX_ENTRIES = 1_000_000
"""A log that a report can hold; more could as well be a log without end."""


async def gather_report(agent: Agent) -> tuple[SealedEvidence, tuple[Charter, ...]]:
    """Evidence that ends in one moment, and the accepted charter versions.

    Unavailable when the units went on every time while it was gathered.
    """
    trusted = agent.kept.book.trusted
    if trusted is None:
        raise Trouble(
            Exit.REFUSED,
            "there is nothing to report before a charter was accepted",
            next="quorate charter accept",
        )
    ruling = agent.kept.book.ruling
    if ruling is not None and ruling.coordinator.log != trusted.newest.coordinator.log:
        raise Trouble(
            Exit.REFUSED,
            "the version of the charter that names this coordinator's log isn't in force yet",
            expected=f"version {trusted.newest.number} in force",
            found=f"version {ruling.number}",
            next="who hasn't accepted it? quorate charter show",
        )
    for _ in range(_TRIES):
        evidence = await _gather(agent, trusted.newest)
        if evidence is not None:
            return seal_evidence(evidence, agent.identity.sign), trusted.versions
    raise Unavailable("the units went on while the report was gathered")


async def _gather(agent: Agent, charter: Charter) -> Evidence | None:
    # Twice, so that the log is followed after the receipts that the first look found.
    looked = await agent.look()
    # What is known before the second look is in the log whose checkpoint that brings.
    known = known_to_have_happened(agent.kept)
    if not isinstance(looked, Objection):
        looked = await agent.look()
    if isinstance(looked, Objection):
        raise looked.trouble()
    objection = log_goes_on(looked, agent.kept.book)
    if objection is not None:
        raise objection.trouble()
    note = looked.witness.note
    assert note is not None  # it was followed just now
    size = looked.witness.size
    log = await _log_up_to(agent, size)
    objection = hidden(known, log)
    if objection is not None:
        raise objection.trouble()
    witness = Witness(
        instance=charter.instance,
        checkpoint=checkpoint_digest(note),
        agent=agent.identity.key,
        at=agent.now(),
    )
    ids = tuple(sorted(unit.id for unit in charter.units))
    answered: States = await agent.link.ask(
        lambda ref: WantStates(ref=ref, units=ids, nonce=witness.nonce), States
    )
    states = _states(charter, answered.answers)
    units: list[UnitEvidence] = []
    for unit in charter.units:
        kept, seen = agent.kept.entries.get(unit.id), agent.kept.memory.seen(unit.id)
        if kept is None or seen is None:
            raise Unavailable(f"{unit.certificate.location} was never in reach")
        state = states.get(unit.id)
        if state is not None:
            answer = open_state(state, unit.certificate.identity)
            if answer.last_receipt != seen.history.last_receipt:
                return None
        units.append(UnitEvidence(identity=kept.identity, history=kept.entries, state=state))
    return Evidence(
        instance=charter.instance,
        log=log,
        checkpoint=note,
        witness=sign_statement(Label.REPORT, witness, agent.identity.sign),
        checkpoints=_notes(agent, charter, size),
        units=tuple(sorted(units, key=lambda one: one.unit)),
    )


async def _log_up_to(agent: Agent, size: int) -> tuple[LogItem, ...]:
    if size > MAX_ENTRIES:
        raise Violation(f"a log of more than {MAX_ENTRIES} entries")
    items: list[LogItem] = []
    while len(items) < size:
        page: LogPage = await agent.link.ask(partial(_want_log, len(items)), LogPage)
        items += page.items
        if not page.items:
            raise Violation("the log is shorter than its checkpoint")
    return tuple(items[:size])


def _want_log(start: int, ref: int) -> WantLog:
    return WantLog(ref=ref, start=start)


def _states(charter: Charter, answers: tuple[Signed, ...]) -> dict[UnitId, Signed]:
    states: dict[UnitId, Signed] = {}
    for signed in answers:
        for unit in charter.units:
            try:
                open_state(signed, unit.certificate.identity)
            except Violation:
                continue
            states[unit.id] = signed
    return states


def _notes(agent: Agent, charter: Charter, size: int) -> tuple[bytes, ...]:
    """The checkpoints that openings within the log's first `size` entries name, by size."""
    notes: dict[Digest, tuple[int, bytes]] = {}
    for news in agent.kept.requests.values():
        if news.checkpoint is None:
            continue
        try:
            grown = opened(charter.coordinator.log, news.checkpoint).size
        except Violation:
            continue  # of a request to the coordinator before, whose log was another
        if grown < size:
            notes[checkpoint_digest(news.checkpoint)] = (grown, news.checkpoint)
    return tuple(note for _, note in sorted(notes.values()))
