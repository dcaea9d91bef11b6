"""The review: everything that must hold before anything may be signed or given for a request.

`review` is the only way to a `Review`, and `approve` and `contribute` take nothing else. The rules
are those of DESIGN §2.1 to §2.7 and §2.11, in `opening`, `clocks`, `units`, `load` and `signers`;
the first that objects ends it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from protocol.charter import Charter
from protocol.commands.bodies import ExportKey, LoadNewRegister
from protocol.identifiers import Digest, Instant, UnitId
from protocol.refusals import Refusal
from protocol.request import Request
from protocol.session.messages import RequestNews
from protocol.standing import needed_by_people
from signer_agent.desk import clocks, load, opening, transfer, units
from signer_agent.desk.layout import lay_out
from signer_agent.desk.reviewed import ReviewedTarget
from signer_agent.desk.screen import Screen, UnitLine
from signer_agent.desk.seat import Seat
from signer_agent.desk.signers import signatures_on
from signer_agent.objections import Objection, alarm, refused
from signer_agent.trust.evidence import Evidence, UnitEvidence


@dataclass(frozen=True)
class Review:
    """A request that this agent has checked whole: what was found, and what is shown of it.

    Only `review` makes one.
    """

    request: Request
    charter: Charter
    targets: tuple[ReviewedTarget, ...]
    at: Instant
    screen: Screen


def review(
    news: RequestNews,
    seat: Seat,
    evidence: Evidence,
    now: Instant,
    *,
    numbers: Mapping[Digest, int] | None = None,
) -> Review | Objection:
    """Checks a request against evidence gathered for it; the screen, or what is wrong.

    `numbers` are the ids of other requests by their digest, for what a void is for.
    """
    objection = opening.objection_to_opening(
        news, seat.book, evidence, now, ahead=seat.coordinator_ahead
    )
    if objection is not None:
        return objection
    request, charter = news.request, seat.book.ruling
    assert charter is not None  # the opening was checked
    objection = _progress_is_of_opening(request)
    if objection is not None:
        return objection
    lines = {
        one.unit: (units.line_of(named), evidence.units[one.unit])
        for one in request.progress
        if one.open and (named := charter.unit(one.unit)) is not None
    }
    objection = (
        clocks.clock_off(seat.coordinator_ahead, dict(lines.values()))
        or load.parts_in_charter(request.filing.body, charter)
        or _first(_of_unit(request, seat, charter, unit, *one, now) for unit, one in lines.items())
        or _refused_by_rules(request, lines)
    )
    if objection is not None:
        return objection
    targets: list[ReviewedTarget] = []
    for unit, (line, _) in lines.items():
        reviewed = _target(request, seat, charter, unit, line, evidence)
        if isinstance(reviewed, Objection):
            return reviewed
        targets.append(reviewed)
    screen = lay_out(request, seat, charter, evidence, tuple(targets), numbers or {}, now)
    return Review(request=request, charter=charter, targets=tuple(targets), at=now, screen=screen)


def _first(objections: Iterator[Objection | None]) -> Objection | None:
    return next((one for one in objections if one is not None), None)


def _progress_is_of_opening(request: Request) -> Objection | None:
    """The coordinator tells of each target that was opened, once, and of no other.

    And names importer keys for a load or an export, and for nothing else.
    """
    assert request.opening is not None
    seals = isinstance(request.filing.body, LoadNewRegister | ExportKey)
    importers = all((one.target.importer is not None) == seals for one in request.progress)
    if tuple(one.unit for one in request.progress) == request.opening.targets and importers:
        return None
    return alarm(
        "what the coordinator tells of the request isn't about its targets; nothing was signed",
        expected=f"{len(request.opening.targets)} targets in the opening's order, importer keys "
        "for a load or an export only",
        found=f"{len(request.progress)} targets otherwise",
        next="call the people who run the coordinator",
        rule="TARGETS_OF_FILING",
    )


def _of_unit(
    request: Request,
    seat: Seat,
    charter: Charter,
    unit: UnitId,
    line: UnitLine,
    found: UnitEvidence,
    now: Instant,
) -> Objection | None:
    """What is wrong with one target, its history first: that is worse than all else."""
    progress = request.progress_on(unit)
    assert progress is not None
    body = request.filing.body
    return (
        units.was_seen(line, found)
        or units.history_holds(line, found, body)
        or units.people_stand_behind(line, found, seat.book, body)
        or units.state_fresh(line, found, now)
        or units.state_as_targeted(line, progress, found)
    )


def _refused_by_rules(
    request: Request, lines: Mapping[UnitId, tuple[UnitLine, UnitEvidence]]
) -> Objection | None:
    """What the units' own rules refuse, with how many of them would."""
    body = request.filing.body
    refusals = [
        refusal
        for _, found in lines.values()
        if (refusal := units.unit_would_run(body, found)) is not None
    ]
    if not refusals:
        return None
    return refused(
        refusals[0],
        untouched="nothing was signed",
        where=f", on {len(refusals)} of {len(lines)} units",
    )


def _target(
    request: Request,
    seat: Seat,
    charter: Charter,
    unit: UnitId,
    line: UnitLine,
    evidence: Evidence,
) -> ReviewedTarget | Objection:
    found = evidence.units[unit]
    progress, named, chain = request.progress_on(unit), charter.unit(unit), seat.book.trusted
    assert progress is not None and named is not None and chain is not None
    command = request.command(progress.target)
    state = units.state_of(found)
    importer = load.importer_key(line, progress, command, named.certificate.identity)
    if isinstance(importer, Objection):
        return importer
    needed = needed_by_people(command.body, state, charter)
    assert not isinstance(needed, Refusal)  # the rules were asked before
    origin = transfer.origin(command.body, found.history)
    objection = (
        transfer.receivers_hold(progress, command, state, charter, seat.book, evidence)
        or (
            None
            if origin is None
            else transfer.source_holds(origin, unit, charter, seat.book, evidence)
        )
        or load.committed_key_of_people(line, command.body, found.history, chain)
        or units.does_no_harm(line, found, seat.book, command)
    )
    if objection is not None:
        return objection
    asked = found.asked if found.asked is not None else found.before_at
    assert asked is not None  # was_seen
    return ReviewedTarget(
        unit=named,
        target=progress.target,
        command=command,
        state=state,
        history=found.history,
        asked=asked,
        fresh=found.answer is not None,
        needed=needed,
        signatures=signatures_on(progress, command, state),
        importer=importer,
        given=load.given(progress, command),
    )
