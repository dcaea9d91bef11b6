"""From a checked request to the screen: who and what, in names and words."""

from collections.abc import Mapping
from itertools import chain as joined

from protocol.charter import Charter, Person
from protocol.commands import wording
from protocol.commands.bodies import ExportKey, LoadNewRegister, NamedPart
from protocol.displayable import PersonName
from protocol.identifiers import SKI, VP, Digest, Instant, short
from protocol.request import Request, RequestState
from protocol.standing import could_still_sign, counted, strangers
from protocol.unit_state import Administrator
from signer_agent.desk import load, units
from signer_agent.desk.consequences import cautions_of, if_given, if_not
from signer_agent.desk.filed import filed_by
from signer_agent.desk.opening import name_of
from signer_agent.desk.reviewed import ReviewedTarget, own_keys
from signer_agent.desk.screen import (
    AdministratorLine,
    ChangeGroup,
    ChangeLine,
    Checked,
    PartLine,
    RosterGroup,
    Screen,
    SignerLine,
    TargetLine,
    UnitLine,
)
from signer_agent.desk.seat import HeldKey, Seat
from signer_agent.desk.signers import rejections_of
from signer_agent.trust.evidence import Evidence

TAKES_ANSWERS = (RequestState.COLLECTING, RequestState.READY)


def lay_out(
    request: Request,
    seat: Seat,
    charter: Charter,
    evidence: Evidence,
    targets: tuple[ReviewedTarget, ...],
    numbers: Mapping[Digest, int],
    now: Instant,
) -> Screen:
    """The screen of a request whose open targets were all checked."""
    opening, filing = request.opening, request.filing
    assert opening is not None
    have, needed = _count(charter, targets)
    owed = _owed(request, seat, targets)
    keys = _keys_wanted(request, seat, charter, targets)
    parts = _parts(seat, charter, targets, filing.body)
    waiting = _waiting_for(request, charter, targets)
    receivers = filing.body.receivers if isinstance(filing.body, ExportKey) else ()
    return Screen(
        request=request.id,
        digest=opening.digest,
        instance=charter.instance,
        practice=charter.practice,
        alone=charter.alone,
        charter=charter.number,
        state=request.state,
        title=wording.title(filing.body, name_of(seat.book)),
        sentence=_sentence(owed, request),
        keys=keys,
        part=next((part for part in seat.parts if part.vp == owed), None),
        part_wanted=owed,
        have=have,
        needed=needed,
        signed_by=_signed_by(seat, opening.digest, charter, targets),
        uncounted=tuple(
            dict.fromkeys(joined.from_iterable(one.signatures.uncounted for one in targets))
        ),
        waiting_for=waiting,
        key=wording.key_of(filing.body),
        parts=parts,
        groups=_groups(seat, targets),
        targets=_targets(request, charter, targets),
        receivers=tuple(_line(charter, unit) for unit in receivers),
        left_out=tuple(
            _line(charter, unit.id)
            for unit in charter.units
            if unit.id not in (*opening.targets, *receivers)
        ),
        roster=_roster(seat, charter, targets),
        purpose=filing.purpose,
        filed_by=filed_by(request, charter),
        voids=None if filing.voids is None else numbers.get(filing.voids),
        rejections=rejections_of(request, charter),
        not_before=opening.not_before,
        not_after=opening.not_after,
        checked=_checked(evidence, targets),
        cautions=cautions_of(seat, charter, evidence, targets, now),
        if_given=if_given(keys, owed, have, needed, parts),
        if_not=if_not(keys, owed, have, needed, waiting, seat.me),
    )


def _sentence(owed: VP | None, request: Request) -> str:
    if owed is not None:
        return (
            "You are asked for your key part. It is sealed here, once for each unit: only that "
            "unit can open it."
        )
    return wording.sentence(request.filing.body)


def _line(charter: Charter, unit: bytes) -> UnitLine:
    found = next(one for one in charter.units if one.id == unit)
    return units.line_of(found)


def _count(charter: Charter, targets: tuple[ReviewedTarget, ...]) -> tuple[int, int]:
    """Have and needed, where most are missing."""
    counts = [(counted(charter, one.signatures.skis), one.needed) for one in targets]
    return max(counts, key=lambda one: one[1] - one[0], default=(0, 0))


def _signed_by(
    seat: Seat, request: Digest, charter: Charter, targets: tuple[ReviewedTarget, ...]
) -> tuple[SignerLine, ...]:
    everywhere = [one.signatures.skis for one in targets]
    common = frozenset.intersection(*everywhere) if everywhere else frozenset()

    def given_here(ski: SKI) -> Instant | None:
        earlier = seat.memory.earlier(request, ski)
        return None if earlier is None else earlier.at

    lines = [
        SignerLine(person=owner.name, ski=ski, at=given_here(ski))
        for ski in common
        if (owner := charter.owner_of(ski)) is not None
    ]
    return tuple(sorted(lines, key=lambda one: (one.person, one.ski)))


def _keys_wanted(
    request: Request, seat: Seat, charter: Charter, targets: tuple[ReviewedTarget, ...]
) -> tuple[HeldKey, ...]:
    if request.state not in TAKES_ANSWERS:
        return ()
    wanted = {
        ski
        for one in targets
        if counted(charter, one.signatures.skis) < one.needed
        for ski in own_keys(seat, charter, one)
    }
    return tuple(key for key in seat.keys if key.ski in wanted)


def _named_parts(targets: tuple[ReviewedTarget, ...], body: object) -> tuple[NamedPart, ...]:
    """The parts that a load names, or those of the key that the command is about."""
    if isinstance(body, LoadNewRegister):
        return body.parts
    for one in targets:
        found = load.origin(one.history, wording.key_of(one.command.body))
        if found is not None and isinstance(found[0], LoadNewRegister):
            return found[0].parts
    return ()


def _parts(
    seat: Seat, charter: Charter, targets: tuple[ReviewedTarget, ...], body: object
) -> tuple[PartLine, ...]:
    trusted = seat.book.trusted
    versions = () if trusted is None else tuple(reversed(trusted.versions))
    loading = isinstance(body, LoadNewRegister)

    def whose(part: NamedPart) -> PersonName:
        people = (version.custodian(part.custodian) for version in (charter, *versions))
        found: Person | None = next((person for person in people if person is not None), None)
        return PersonName(short(part.custodian)) if found is None else found.name

    return tuple(
        PartLine(
            vp=part.vp,
            person=whose(part),
            me=part.custodian == seat.agent,
            given=not loading or all(part.vp in one.given for one in targets),
        )
        for part in _named_parts(targets, body)
    )


def _owed(request: Request, seat: Seat, targets: tuple[ReviewedTarget, ...]) -> VP | None:
    """The person's own part that hasn't come for every open target."""
    body = request.filing.body
    if not isinstance(body, LoadNewRegister) or request.state not in TAKES_ANSWERS:
        return None
    for part in body.parts:
        if part.custodian == seat.agent and any(part.vp not in one.given for one in targets):
            return part.vp
    return None


def _waiting_for(
    request: Request, charter: Charter, targets: tuple[ReviewedTarget, ...]
) -> tuple[PersonName, ...]:
    names: set[PersonName] = set()
    for one in targets:
        if counted(charter, one.signatures.skis) < one.needed:
            names |= {name for _, name in could_still_sign(one.state, one.signatures.skis, charter)}
        if isinstance(one.command.body, LoadNewRegister):
            names |= {
                person.name
                for part in one.command.body.parts
                if part.vp not in one.given
                and (person := charter.custodian(part.custodian)) is not None
            }
    return tuple(sorted(names - {one.person for one in rejections_of(request, charter)}))


def _groups(seat: Seat, targets: tuple[ReviewedTarget, ...]) -> tuple[ChangeGroup, ...]:
    groups: dict[tuple[tuple[ChangeLine, ...], tuple[str, ...]], list[UnitLine]] = {}
    for one in targets:
        body, version = one.command.body, one.target.version
        changes = tuple(
            ChangeLine(what=change.what, before=change.before, after=change.after)
            for change in wording.changes(body, one.state, version, name_of(seat.book))
        )
        stays = wording.stays(body, one.state)
        groups.setdefault((changes, stays), []).append(units.line_of(one.unit))
    return tuple(
        ChangeGroup(units=tuple(lines), changes=changes, stays=stays)
        for (changes, stays), lines in groups.items()
    )


def _targets(
    request: Request, charter: Charter, targets: tuple[ReviewedTarget, ...]
) -> tuple[TargetLine, ...]:
    reviewed = {one.target.unit: one for one in targets}
    lines = []
    for progress in request.progress:
        one = reviewed.get(progress.unit)
        lines.append(
            TargetLine(
                unit=_line(charter, progress.unit),
                version=progress.target.version,
                outcome=progress.outcome,
                asked=Instant(0) if one is None else one.asked,
                fresh=one is not None and one.fresh,
                needed=0 if one is None else one.needed,
            )
        )
    return tuple(lines)


def _roster(
    seat: Seat, charter: Charter, targets: tuple[ReviewedTarget, ...]
) -> tuple[RosterGroup, ...]:
    groups: dict[tuple[AdministratorLine, ...], list[UnitLine]] = {}
    for one in targets:
        unknown = strangers(one.state, seat.book.standing)
        people = tuple(
            _administrator(who, who in unknown, seat, charter)
            for who in sorted(one.state.administrators, key=lambda who: (who.name, who.ski))
        )
        groups.setdefault(people, []).append(units.line_of(one.unit))
    return tuple(
        RosterGroup(units=tuple(lines), administrators=people) for people, lines in groups.items()
    )


def _administrator(
    who: Administrator, stranger: bool, seat: Seat, charter: Charter
) -> AdministratorLine:
    named = None if stranger else name_of(seat.book)(who.ski)
    return AdministratorLine(
        name=who.name,
        ski=who.ski,
        person=None if named is None else PersonName(named),
        me=seat.mine(who.ski, charter),
        left=not stranger and charter.owner_of(who.ski) is None,
    )


def _checked(evidence: Evidence, targets: tuple[ReviewedTarget, ...]) -> Checked:
    return Checked(
        fresh=sum(one.fresh for one in targets),
        units=len(targets),
        asked=min((one.asked for one in targets), default=evidence.at),
        receipts=max(
            (len(one.history.entries) for one in targets if one.history is not None), default=0
        ),
        importer_keys=sum(one.importer is not None for one in targets),
        log=evidence.witness.size,
    )
