"""What a filing must pass before it is queued: one rule, one function, one code."""

from collections.abc import Collection, Iterable, Mapping

from coordinator.workflow.line import projected
from protocol.charter import Charter
from protocol.claims import ProvenKey
from protocol.commands.bodies import AddAdministrator, ExportKey, ImportKey, LoadNewRegister
from protocol.commands.quorum import signatures_needed
from protocol.commands.rules import not_a_recovery_unit, refusal_of
from protocol.displayable import shown
from protocol.identifiers import IdentityKey, Instant, Signature, UnitId, short
from protocol.location import UnitType
from protocol.refusals import Refusal, Rule, refuse
from protocol.request import Filing, Outcome, Request, RequestState
from protocol.standing import below_floor
from protocol.unit_identity import unit_id
from protocol.unit_state import UnitState

MAX_WAITING = 1000


def filing_refusal(
    filing: Filing,
    charter: Charter | None,
    states: Mapping[UnitId, UnitState],
    requests: Collection[Request],
    *,
    voided: Request | None,
) -> Refusal | None:
    """The first rule that refuses the filing; None when it may be queued.

    `charter` is the newest version in force, `states` the last verified state of each unit that
    was ever in reach, `requests` those of the instance that have not ended, `voided` the request
    that a void is for.
    """
    if charter is None:
        return refuse(
            Rule.CHARTER_NOT_IN_FORCE,
            expected="a charter in force",
            found="none",
        )
    return (
        queue_full(requests)
        or void_origin(filing, voided)
        or unit_not_in_charter(filing, charter)
        or not_for_these_units(filing, charter)
        or same_request_open(filing, requests)
        or refused_by_a_unit(filing, states, requests)
        or person_not_in_charter(filing, charter)
        or below_floor(filing.body, charter)
    )


def not_our_log(charter: Charter | None, log: IdentityKey) -> Refusal | None:
    """CHARTER_NOT_IN_FORCE: until its version is in force, a coordinator that takes over waits.

    Agents sign nothing there: the version in force names the log of the coordinator before.
    """
    if charter is None or charter.coordinator.log == log:
        return None
    return refuse(
        Rule.CHARTER_NOT_IN_FORCE,
        expected="a version in force that names this coordinator and its log",
        found=f"version {charter.number}, which names another",
    )


def queue_full(requests: Collection[Request]) -> Refusal | None:
    """QUEUE_FULL: what a peer can make grow has a bound."""
    if len(requests) < MAX_WAITING:
        return None
    return refuse(Rule.QUEUE_FULL, expected=f"fewer than {MAX_WAITING}", found=len(requests))


_LEAVES_COPIES = (
    RequestState.CANCELLED,
    RequestState.REJECTED,
    RequestState.SUPERSEDED,
    RequestState.FAILED,
    RequestState.PARTLY_EXECUTED,
)


def void_origin(filing: Filing, voided: Request | None) -> Refusal | None:
    """VOID_ORIGIN: a void exists only to make an ended request's signed copies harmless.

    And only on the units that they are for.
    """
    if filing.voids is None:
        return None
    expected = "a request that ended after being signed, and units that it is signed for"
    if voided is None:
        return refuse(Rule.VOID_ORIGIN, expected=expected, found="no such request")
    signed = {
        one.unit for one in voided.progress if one.approvals and one.outcome is not Outcome.EXECUTED
    }
    over = voided.ended and voided.state in _LEAVES_COPIES
    if over and signed >= set(filing.targets):
        return None
    found = f"request {voided.id}, {voided.state}, signed for {len(signed)} units"
    return refuse(Rule.VOID_ORIGIN, expected=expected, found=found)


def unit_not_in_charter(filing: Filing, charter: Charter) -> Refusal | None:
    """UNIT_NOT_IN_CHARTER: only units that belong to the instance."""
    strange = [unit for unit in filing.targets if charter.unit(unit) is None]
    if not strange:
        return None
    return refuse(
        Rule.UNIT_NOT_IN_CHARTER,
        expected=f"units of charter version {charter.number}",
        found=", ".join(short(unit) for unit in strange),
    )


def not_for_these_units(filing: Filing, charter: Charter) -> Refusal | None:
    """NOT_A_RECOVERY_UNIT, RECEIVERS, UNIT_NOT_IN_CHARTER: keys of recovery units, by the charter.

    One unit exports, to others of the instance; what is imported comes from a recovery unit.
    """
    kinds = {unit.id: unit.certificate.type for unit in charter.units}
    for unit in filing.targets:
        refusal = not_a_recovery_unit(filing.body, kinds[unit]) if unit in kinds else None
        if refusal is not None:
            return refusal
    match filing.body:
        case ExportKey(receivers=receivers):
            if len(filing.targets) != 1 or filing.targets[0] in receivers:
                return refuse(
                    Rule.RECEIVERS,
                    expected="one recovery unit, which gives the key to others",
                    found=f"{len(filing.targets)} units, {len(receivers)} receivers",
                )
            strange = [unit for unit in receivers if unit not in kinds]
        case ImportKey(source=source):
            if kinds.get(unit_id(source)) not in (None, UnitType.RECOVERY):
                return refuse(
                    Rule.NOT_A_RECOVERY_UNIT,
                    expected=UnitType.RECOVERY,
                    found=kinds[unit_id(source)],
                )
            strange = [unit_id(source)] if unit_id(source) not in kinds else []
        case _:
            strange = []
    if not strange:
        return None
    return refuse(
        Rule.UNIT_NOT_IN_CHARTER,
        expected=f"units of charter version {charter.number}",
        found=", ".join(short(unit) for unit in strange),
    )


def person_not_in_charter(filing: Filing, charter: Charter) -> Refusal | None:
    """NOT_IN_CHARTER: new administrators and the givers of key parts are people of the charter."""
    expected = f"people and keys of charter version {charter.number}"
    match filing.body:
        case AddAdministrator(key=key) if not _names(charter, key):
            found = f"key {short(key.ski)} of {shown(key.claim.administrator)[:250]}"
            return refuse(Rule.NOT_IN_CHARTER, expected=expected, found=found)
        case LoadNewRegister(parts=parts):
            for part in parts:
                if charter.custodian(part.custodian) is None:
                    found = f"custodian {short(part.custodian)} of part {short(part.vp)}"
                    return refuse(Rule.NOT_IN_CHARTER, expected=expected, found=found)
    return None


def _names(charter: Charter, key: ProvenKey) -> bool:
    """Whether the charter holds this very entry, and not only the key under another name."""
    owner = charter.owner_of(key.ski)
    return owner is not None and key in owner.keys


def same_request_open(filing: Filing, requests: Iterable[Request]) -> Refusal | None:
    """SAME_REQUEST_OPEN: the same command for the same units is asked for once at a time."""
    for request in requests:
        if (request.filing.body, request.filing.targets) == (filing.body, filing.targets):
            return refuse(
                Rule.SAME_REQUEST_OPEN, expected="a new command", found=f"request {request.id}"
            )
    return None


def refused_by_a_unit(
    filing: Filing, states: Mapping[UnitId, UnitState], requests: Collection[Request]
) -> Refusal | None:
    """Whatever rule a target would refuse it by, once those ahead in its line have run.

    Where the filer allows that targets are left out, one that would run it is enough.
    """
    first: Refusal | None = None
    for unit in filing.targets:
        state = states.get(unit)
        refusal = None if state is None else _would_refuse(filing, unit, state, requests)
        if refusal is None and filing.leave_out:
            return None
        first = first or refusal
    return first


def _would_refuse(
    filing: Filing, unit: UnitId, state: UnitState, requests: Collection[Request]
) -> Refusal | None:
    then = projected(unit, state, requests)
    refusal = refusal_of(filing.body, then)
    if refusal is not None:
        return refusal
    needed = signatures_needed(filing.body, then)
    return needed if isinstance(needed, Refusal) else None


def new_request(
    number: int, filing: Filing, signature: Signature | None, *, at: Instant
) -> Request:
    """A request at the end of the line."""
    return Request(
        id=number,
        filing=filing,
        signature=signature,
        state=RequestState.WAITING_IN_LINE,
        opening=None,
        progress=(),
        rejections=(),
        proceed=False,
        filed=at,
        changed=at,
        why="",
    )
