"""Asking for a command: checked against the units before it is queued, signed by the agent."""

from collections.abc import Iterable

from protocol.charter import Charter
from protocol.commands.bodies import Body
from protocol.displayable import Purpose
from protocol.identifiers import Digest, Duration, Instant, Nonce, UnitId, short
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import DEFAULT_VALIDITY, CeremonyStep, Filing
from protocol.schema import Struct
from protocol.session.messages import FileRequest, IdempotencyKey
from protocol.signing.labels import Label
from protocol.signing.statements import Sign, sign_statement
from protocol.standing import below_floor
from quorate.exits import Exit
from signer_agent.desk.filed import newcomer_in_charter
from signer_agent.desk.load import parts_in_charter
from signer_agent.desk.seat import Seat
from signer_agent.desk.units import (
    history_holds,
    line_of,
    people_stand_behind,
    unit_would_run,
)
from signer_agent.objections import Objection, object_to, refused
from signer_agent.trust.evidence import Evidence

NOTHING_FILED = "nothing was filed"


class Wish(Struct):
    """What somebody wants to file, before it is signed.

    `targets` are in any order; `ahead` says that requests before it in line may change the units
    until then, so that their present state isn't asked.
    """

    body: Body
    targets: tuple[UnitId, ...]
    purpose: Purpose
    step: CeremonyStep | None
    voids: Digest | None
    valid_for: Duration
    leave_out: bool
    ahead: bool
    idempotency_key: IdempotencyKey | None


def wish(body: Body, targets: Iterable[UnitId], purpose: str = "") -> Wish:
    """The usual wish: valid for 24 hours, on all targets or none."""
    return Wish(
        body=body,
        targets=tuple(targets),
        purpose=Purpose(purpose),
        step=None,
        voids=None,
        valid_for=DEFAULT_VALIDITY,
        leave_out=False,
        ahead=False,
        idempotency_key=None,
    )


def file(
    wanted: Wish, seat: Seat, evidence: Evidence, *, sign: Sign, at: Instant, nonce: Nonce
) -> FileRequest | Objection:
    """The signed filing, if the charter and the units would take it as they are now."""
    charter = seat.book.ruling
    if charter is None:
        return object_to(
            Exit.REFUSED,
            f"no version of the charter that you accepted is in force yet; {NOTHING_FILED}",
            next="have all accept it: quorate charter accept",
            rule=Rule.CHARTER_NOT_IN_FORCE.value,
        )
    objection = (
        targets_in_charter(wanted, charter)
        or _as_filed(newcomer_in_charter(wanted.body, charter))
        or _as_filed(parts_in_charter(wanted.body, charter))
        or refused_by_units(wanted, charter, evidence)
        or floor_kept(wanted, charter)
        or _unit_unsound(wanted, seat, charter, evidence)
    )
    if objection is not None:
        return objection
    filing = Filing(
        instance=charter.instance,
        body=wanted.body,
        targets=tuple(sorted(set(wanted.targets))),
        purpose=wanted.purpose,
        custodian=seat.agent,
        account=None,
        step=wanted.step,
        voids=wanted.voids,
        valid_for=wanted.valid_for,
        leave_out=wanted.leave_out,
        at=at,
        nonce=nonce,
    )
    return FileRequest(
        filing=sign_statement(Label.FILING, filing, sign), idempotency_key=wanted.idempotency_key
    )


def idempotency_key_used(wanted: Wish, filing: Filing, what: str) -> Objection | None:
    """IDEMPOTENCY_KEY_USED: one key stands for one filing; `what` it was used for."""
    if same_wish(wanted, filing):
        return None
    refusal = refuse(
        Rule.IDEMPOTENCY_KEY_USED,
        expected="the same command, units and purpose as before",
        found=f"others; it was used for {what}",
    )
    return refused(refusal, untouched=NOTHING_FILED)


def same_wish(wanted: Wish, filing: Filing) -> bool:
    """Whether the filing asks for what is wanted now."""
    return (
        wanted.body == filing.body
        and tuple(sorted(set(wanted.targets))) == filing.targets
        and wanted.purpose == filing.purpose
        and (wanted.step, wanted.voids) == (filing.step, filing.voids)
    )


def targets_in_charter(wanted: Wish, charter: Charter) -> Objection | None:
    """UNIT_NOT_IN_CHARTER: only units that belong to the instance."""
    strange = [unit for unit in wanted.targets if charter.unit(unit) is None]
    if not strange and wanted.targets:
        return None
    found = ", ".join(short(unit) for unit in strange) or "none"
    refusal = refuse(
        Rule.UNIT_NOT_IN_CHARTER,
        expected=f"units of charter version {charter.number}",
        found=found,
    )
    return refused(refusal, untouched=NOTHING_FILED)


def refused_by_units(wanted: Wish, charter: Charter, evidence: Evidence) -> Objection | None:
    """Whatever rule the units would refuse it by, as they are now."""
    if wanted.ahead:
        return None
    refusals: list[Refusal] = []
    for unit in wanted.targets:
        found = evidence.units.get(unit)
        if found is None or (found.answer is None and found.history is None):
            continue
        refusal = unit_would_run(wanted.body, found)
        if refusal is not None:
            refusals.append(refusal)
    if not refusals or (wanted.leave_out and len(refusals) < len(wanted.targets)):
        return None
    where = f", on {len(refusals)} of {len(wanted.targets)} units"
    return refused(refusals[0], untouched=NOTHING_FILED, where=where)


def floor_kept(wanted: Wish, charter: Charter) -> Objection | None:
    """BELOW_FLOOR: thresholds that no agent would sign aren't asked for."""
    refusal = below_floor(wanted.body, charter)
    return None if refusal is None else refused(refusal, untouched=NOTHING_FILED)


def _unit_unsound(
    wanted: Wish, seat: Seat, charter: Charter, evidence: Evidence
) -> Objection | None:
    """Nobody's agent would sign it for a unit that something is wrong with: so it isn't filed."""
    for unit in wanted.targets:
        found, named = evidence.units.get(unit), charter.unit(unit)
        if found is None or named is None:
            continue
        line = line_of(named)
        objection = history_holds(line, found, wanted.body) or people_stand_behind(
            line, found, seat.book, wanted.body
        )
        if objection is not None:
            return objection
    return None


def _as_filed(objection: Objection | None) -> Objection | None:
    if objection is None:
        return None
    return objection.but(
        what=objection.what.replace("signed or given", "filed").replace("signed", "filed")
    )
