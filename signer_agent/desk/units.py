"""What a target must be before anything is signed for it: reached or seen, whole, as it was seen.

Each rule is asked for each open target. What may still be signed for a unit that something is wrong
with, `protocol.standing` says.
"""

from dataclasses import replace

from protocol.charter import CharterUnit
from protocol.commands.bodies import (
    AddAdministrator,
    Body,
    GenerateRandom,
    LoadNewRegister,
    SetThresholds,
    Zeroize,
)
from protocol.commands.command import Approval, Command
from protocol.commands.effects import after
from protocol.commands.quorum import signatures_needed
from protocol.commands.rules import not_a_recovery_unit, refusal_of
from protocol.displayable import shown
from protocol.history import History
from protocol.identifiers import (
    MINUTE,
    Digest,
    Incarnation,
    Instant,
    Signature,
    StateVersion,
    grouped,
    short,
)
from protocol.receipts import Receipt
from protocol.refusals import Refusal, Rule
from protocol.request import TargetProgress
from protocol.schema import to_bytes
from protocol.standing import Finding, Ground, first_objection, judge, lacks_what_was_seen, left
from protocol.unit_state import UnitState, state_digest
from quorate.exits import Exit
from signer_agent.desk.screen import UnitLine
from signer_agent.objections import Objection, alarm, object_to
from signer_agent.trust.charters import CharterBook
from signer_agent.trust.evidence import UnitEvidence

OLDEST = MINUTE
"""A signed state may be this old, by this machine's clock."""


def line_of(unit: CharterUnit) -> UnitLine:
    """A unit as people name it."""
    said = unit.certificate
    return UnitLine(unit=unit.id, type=said.type, location=str(said.location))


def was_seen(line: UnitLine, evidence: UnitEvidence) -> Objection | None:
    """UNIT_SEEN: of a unit out of reach, the last verified state is shown; if there is one."""
    if evidence.answer is not None or evidence.history is not None:
        return None
    return object_to(
        Exit.UNREACHABLE,
        f"{line} is out of reach, and your agent has never seen it; nothing was signed",
        expected="its signed state, fetched now or before",
        found="none",
        next="try again when it is back",
    )


def state_fresh(line: UnitLine, evidence: UnitEvidence, now: Instant) -> Objection | None:
    """STATE_FRESH: signed by a unit in reach at most a minute ago, by this machine's clock."""
    if evidence.asked is None or 0 <= now - evidence.asked <= OLDEST:
        return None
    return object_to(
        Exit.UNREACHABLE,
        f"the state of {line} came too slowly; nothing was signed",
        expected="at most 1 min old",
        found=f"{(now - evidence.asked) // 1000} s",
        next="try again",
        rule="STATE_FRESH",
    )


def state_as_targeted(
    line: UnitLine, progress: TargetProgress, evidence: UnitEvidence
) -> Objection | None:
    """STATE_CHANGED: the request's commands are for the very state that is shown."""
    target = progress.target
    found = now_of(evidence)
    if found == (target.incarnation, target.version, target.state):
        return None
    if found[1] < target.version:
        return alarm(
            f"the request is for a state of {line} that your agent can't see; nothing was signed",
            expected=f"state version {found[1]}, {short(found[2])}",
            found=f"state version {target.version}, {short(target.state)}",
            next="try again; if it stays so, call the others: what do they see?",
            rule=Rule.STATE_CHANGED.value,
        )
    return object_to(
        Exit.ENDED,
        f"superseded: {line} has moved on since the request was opened; nothing was signed",
        expected=f"state version {target.version}, {short(target.state)}",
        found=f"state version {found[1]}, {short(found[2])}",
        next="refile it if it is still wanted",
        rule=Rule.STATE_CHANGED.value,
    )


def now_of(evidence: UnitEvidence) -> tuple[Incarnation, StateVersion, Digest]:
    """What a command for the unit as it is shown is bound to."""
    answer, history = evidence.answer, evidence.history
    if answer is not None:
        return answer.incarnation, answer.version, answer.state_digest
    assert history is not None  # was_seen
    return history.incarnation, StateVersion(len(history.entries)), history.state_digest


def state_of(evidence: UnitEvidence) -> UnitState:
    """The state that is shown."""
    if evidence.answer is not None:
        return evidence.answer.state
    assert evidence.history is not None  # was_seen
    return evidence.history.state


def history_holds(line: UnitLine, evidence: UnitEvidence, body: Body) -> Objection | None:
    """HISTORY_HOLDS: with a history that fails, only zeroize is signed."""
    if evidence.broken is None or isinstance(body, Zeroize):
        return None
    return alarm(
        f"the history of {line} doesn't hold",
        expected="an unbroken chain of receipts that follow the rules",
        found=evidence.broken,
        next="nothing was signed. Call the others; have that unit zeroized, begin again",
        rule="HISTORY_HOLDS",
    )


def people_stand_behind(
    line: UnitLine, evidence: UnitEvidence, book: CharterBook, body: Body
) -> Objection | None:
    """What `protocol.standing` finds in the history, and what the agent itself had seen before."""
    objection = first_objection(findings_of(evidence, book), body)
    return None if objection is None else _said(line, objection)


def findings_of(evidence: UnitEvidence, book: CharterBook) -> tuple[Finding, ...]:
    """All that is wrong with a unit whose history holds."""
    history, chain = evidence.history, book.trusted
    if history is None or chain is None:
        return ()
    rolled_back: tuple[Finding, ...] = ()
    if evidence.before is not None and not evidence.replaced:
        rolled_back = lacks_what_was_seen(history, evidence.before.last_receipt)
    return (*rolled_back, *judge(history, chain, book.in_force))


def would_be_found(
    evidence: UnitEvidence, book: CharterBook, command: Command
) -> tuple[Finding, ...]:
    """What would be wrong with the unit once it had run `command`, and isn't now.

    A receipt as it would be, signed by all who could, is judged as if it had happened.
    """
    history, chain = evidence.history, book.trusted
    if (
        history is None
        or chain is None
        or isinstance(command.body, LoadNewRegister | GenerateRandom | Zeroize)
    ):
        return ()
    state = history.state
    receipt = Receipt(
        unit=history.unit,
        incarnation=history.incarnation,
        version=StateVersion(command.version + 1),
        previous=history.last_receipt,
        command=to_bytes(command),
        approvals=tuple(
            Approval(ski=one.ski, signature=Signature(bytes(8))) for one in state.administrators
        ),
        before=state,
        after=after(state, command.body),
        copies=(),
        at=command.not_before,
    )
    then = _with(history, receipt)
    there = {finding.ground for finding in judge(history, chain, book.in_force)}
    return tuple(
        finding for finding in judge(then, chain, book.in_force) if finding.ground not in there
    )


def _with(history: History, receipt: Receipt) -> History:
    unsigned = state_digest(receipt.after, receipt.previous)  # any hash that is in no history
    return replace(history, entries=(*history.entries, receipt), hashes=(*history.hashes, unsigned))


def does_no_harm(
    line: UnitLine, evidence: UnitEvidence, book: CharterBook, command: Command
) -> Objection | None:
    """DOES_NO_HARM: nothing is signed after which nothing but a mend could be signed.

    A person's second key may be added: that is how a key is replaced. The screen says so.
    """
    objection = exit_roster_in_charter(line, evidence, book, command.body)
    if objection is not None:
        return objection
    for finding in would_be_found(evidence, book, command):
        if second_key_added(finding, command.body):
            continue
        if finding.ground is Ground.STRANGER_INSTALLED:
            return _said(line, finding)
        return object_to(
            Exit.REFUSED,
            f"with this, {line} would break the charter; nothing was signed",
            expected=finding.expected,
            found=finding.found,
            next="file what the charter allows, or have all accept a charter that allows it",
            rule=finding.ground.value,
        )
    return None


def second_key_added(finding: Finding, body: Body) -> bool:
    """Whether this is about somebody's new key beside their old one."""
    return finding.ground is Ground.SECOND_KEY_INSTALLED and isinstance(body, AddAdministrator)


def exit_roster_in_charter(
    line: UnitLine, evidence: UnitEvidence, book: CharterBook, body: Body
) -> Objection | None:
    """ROSTER_IN_CHARTER: imprint mode is left only by a roster that the charter in force names."""
    history, ruling = evidence.history, book.ruling
    if history is None or ruling is None:
        return None
    if not (history.state.imprint and isinstance(body, SetThresholds)):
        return None
    gone = left(history.state, book.standing, ruling)
    if not gone:
        return None
    return object_to(
        Exit.REFUSED,
        f"{line} has an administrator who has left; nothing was signed",
        expected=f"only people of charter version {ruling.number}",
        found=", ".join(f"{shown(one.name)} {grouped(one.ski)}" for one in gone),
        next="remove them first: quorate tke cryptounit-admin-rm",
        rule="ROSTER_IN_CHARTER",
    )


def unit_would_run(body: Body, evidence: UnitEvidence) -> Refusal | None:
    """The rule of the unit's own that refuses it in the state that is shown."""
    state = state_of(evidence)
    refusal = not_a_recovery_unit(body, evidence.unit.certificate.type) or refusal_of(body, state)
    if refusal is not None:
        return refusal
    needed = signatures_needed(body, state)
    return needed if isinstance(needed, Refusal) else None


_SAID = {
    Ground.CHARTER_UNKNOWN: "{} was administered under a charter that was never in force",
    Ground.EXIT_BEFORE_CHARTER: "{} was set up by somebody outside your charter",
    Ground.EXIT_AFTER_NEWER_CHARTER: "{} was set up under a charter that was replaced before",
    Ground.EXIT_BY_TOO_FEW_PEOPLE: "{} was set up by somebody outside your charter",
    Ground.SIGNED_BY_TOO_FEW_PEOPLE: "too few people stood behind a command that {} ran",
    Ground.FLOOR_BROKEN: "the thresholds of {} once fell below the charter's least",
    Ground.ONE_PERSON_MEETS_THRESHOLD: "one person alone could once command {}",
    Ground.RESTORED: "{} was restored from a backup",
    Ground.LACKS_WHAT_WAS_SEEN: "{} was rolled back: it lacks what was seen of it",
    Ground.UNIT_NOT_IN_CHARTER: "{} isn't a unit of your charter",
    Ground.STRANGER_INSTALLED: "{} has an administrator whom your charter doesn't know",
    Ground.SECOND_KEY_INSTALLED: "one person alone could command {}",
    Ground.BELOW_FLOOR: "the thresholds of {} are below the charter's least",
}
_ONLY_ZEROIZE = (
    "nothing was signed. Call the others; have that unit zeroized at its host, begin again"
)


def said_of(line: UnitLine, finding: Finding) -> str:
    """What was found, in a sentence."""
    text = _SAID[finding.ground].format(line)
    return f"{text[0].upper()}{text[1:]}: {finding.found}."


def _said(line: UnitLine, finding: Finding) -> Objection:
    match finding.ground:
        case Ground.STRANGER_INSTALLED:
            follow = (
                "nothing was signed. Call the others. Nobody's? Remove it, or zeroize that unit."
            )
        case Ground.SECOND_KEY_INSTALLED:
            follow = "nothing was signed. Remove one of that person's keys first"
        case Ground.BELOW_FLOOR:
            follow = "nothing was signed. Raise them first: quorate tke cryptounit-thrhld-set"
        case _:
            follow = _ONLY_ZEROIZE
    return alarm(
        _SAID[finding.ground].format(line),
        expected=finding.expected,
        found=finding.found,
        next=follow,
        rule=finding.ground.value,
    )
