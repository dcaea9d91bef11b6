"""Walks the real `coordinator.workflow.course.decide` through every situation that it can meet.

A few requests stand for all: a command, a load and a void, each for two units. From each, every
event is tried in every situation until no new situation turns up. Events come as
`coordinator.engine` sends them: a unit answers only what it was asked (`wanted`), and may answer
late.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from coordinator.workflow import counting, course, events
from coordinator.workflow.filing import new_request
from protocol.charter import Charter
from protocol.commands.bodies import Body, LoadNewRegister, SetControlPoint, Void
from protocol.displayable import Purpose, Reason
from protocol.identifiers import (
    CommandId,
    Incarnation,
    IncarnationId,
    Instant,
    Nonce,
    Signature,
    StateVersion,
    UnitId,
)
from protocol.receipts import RefusalAnswer
from protocol.refusals import FACTS, Refusal, Rule, refuse
from protocol.request import (
    DEFAULT_VALIDITY,
    Filing,
    Opening,
    Outcome,
    Rejection,
    Request,
    RequestState,
    Target,
    TargetProgress,
)
from protocol.schema import to_bytes
from protocol.session.messages import UnitApproval, UnitContribution
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from tests.cast.charters import instance
from tests.cast.commands import NOON, Given, contribution, load_of
from tests.cast.keys import noise
from tests.cast.people import MALLORY, Custodian
from tests.cast.units import CastUnit

STAYS = "stays"
"""Something changed, but not the state."""

Follows = dict[RequestState, dict[str, set[str]]]
"""What can follow, by state and name of the event: a state, `stays`, `refused: RULE`."""

_VERIFIED = Signed(statement=b"", signature=Signature(b"verified"))
"""Receipts and refusals are verified before they become events; `decide` checks no signature."""

_UNIT_SAYS = (Rule.STATE_CHANGED, Rule.EXPIRED, Rule.SIGNATURE_INVALID, Rule.IMPRINT_MODE)
"""A unit's No of each sort: moved on, too late, may still run, never."""


_COLLECTS = (RequestState.COLLECTING, RequestState.READY)


@dataclass(frozen=True)
class _Scene:
    """A request as it was filed, and what people may do about it."""

    request: Request
    charter: Charter
    opened: events.Opened
    by_people: tuple[events.Event, ...]


@dataclass(frozen=True)
class _Situation:
    """A request, and which units were asked to prepare and to execute it so far."""

    request: Request
    preparing: tuple[UnitId, ...] = ()
    executing: frozenset[UnitId] = field(default_factory=frozenset)

    def asked(self) -> "_Situation":
        """After the engine has asked what the request wants."""
        match course.wanted(self.request):
            case course.Prepare(units=units):
                return replace(self, preparing=units)
            case course.Execute(units=units):
                return replace(self, executing=self.executing | {*units})
            case _:
                return self

    def key(self) -> object:
        """What decides how it goes on."""
        request = self.request
        progress = tuple(
            (one.outcome, one.reachable, one.approvals, one.contributions)
            for one in request.progress
        )
        no = counting.custodians_rejecting(request)
        preparing = self.preparing if request.state in _COLLECTS else ()
        return (request.state, request.proceed, no, progress, preparing, self.executing)


def walk() -> Follows:
    """Every step of every scene that changes something or is refused."""
    follows: Follows = {state: {} for state in RequestState}
    for scene in (_command(), _load(), _void()):
        start = _Situation(scene.request)
        seen = {start.key()}
        waiting = [start]
        while waiting:
            here = waiting.pop()
            for event, at in _happenings(scene, here):
                after = course.decide(here.request, event, scene.charter, at=at)
                if after == here.request:
                    continue
                by_event = follows[here.request.state]
                by_event.setdefault(type(event).__name__, set()).add(_result(here.request, after))
                if isinstance(after, Refusal):
                    continue
                there = replace(here, request=after).asked()
                if there.key() not in seen:
                    seen.add(there.key())
                    waiting.append(there)
    return follows


def _result(before: Request, after: Request | Refusal) -> str:
    if isinstance(after, Refusal):
        return f"refused: {after.rule}"
    return STAYS if after.state is before.state else after.state.value


# what may happen


def _happenings(scene: _Scene, here: _Situation) -> Iterator[tuple[events.Event, Instant]]:
    """Each event that may come in this situation, and when."""
    limit = course.deadline(here.request)
    yield events.TimePassed(), NOON if limit is None else limit
    for event in (*_by_engine(scene, here), *_by_units(here)):
        yield event, NOON


def _by_engine(scene: _Scene, here: _Situation) -> Iterator[events.Event]:
    yield from scene.by_people
    yield events.Cancelled("alice", "not wanted any more")
    yield events.Proceeded()
    yield events.Outdated()
    units = [one.unit for one in scene.opened.progress]
    if here.request.state is RequestState.WAITING_IN_LINE:
        yield scene.opened
        yield events.Unfit(
            units[0], refuse(Rule.TOO_MANY_ADMINISTRATORS, expected="at most 8", found=9)
        )
        if isinstance(here.request.filing.body, Void):
            yield events.Needless()
    for unit in units:
        yield events.Reached(unit, True)
        yield events.Reached(unit, False)
        if here.request.state in _COLLECTS:
            yield events.Moved(unit, "state version 9")


def _by_units(here: _Situation) -> Iterator[events.Event]:
    if here.preparing and here.request.state in _COLLECTS:
        yield events.Prepared(dict.fromkeys(here.preparing))
        for unit in here.preparing:
            for rule in _UNIT_SAYS:
                no = _no(unit, rule)
                answers = {one: no if one == unit else None for one in here.preparing}
                yield events.Prepared(answers)
    for unit in sorted(here.executing):
        yield events.Ran(unit, _VERIFIED)
        for rule in _UNIT_SAYS:
            yield events.SaidNoUnit(unit, *_no(unit, rule))


def _no(unit: UnitId, rule: Rule) -> tuple[Signed, RefusalAnswer]:
    answer = RefusalAnswer(
        unit=unit,
        command=CommandId(noise("command")),
        incarnation=Incarnation(number=1, id=IncarnationId(noise("life", 16))),
        version=StateVersion(1),
        refusal=refuse(rule, expected="one thing", found="another"),
        can_still_run=FACTS[rule].can_still_run,
        at=NOON,
    )
    return _VERIFIED.but(statement=to_bytes(answer)), answer


# the scenes


def _command() -> _Scene:
    """Two signatures of three people."""
    charter, people, units = _out_of_imprint(3)
    alice, bob, carol = people
    request, opened = _opened(charter, units, SetControlPoint(point=66, on=True), needed=2)
    signatures = [_approved(request, opened, who) for who in (alice, bob, MALLORY)]
    noes = [_said_no(opened, who) for who in (bob, carol)]
    return _Scene(request, charter, opened, (*signatures, *noes, _stray_part(units)))


def _load() -> _Scene:
    """One signature, and a part of each of two people."""
    charter, people, units = _out_of_imprint(2)
    alice, bob = people
    given = [(who, who.part()) for who in people]
    request, opened = _opened(charter, units, load_of(given), needed=1)
    parts = [_contributed(request, opened, units, one) for one in given]
    noes = [_said_no(opened, who) for who in (alice, bob)]
    signature = _approved(request, opened, alice)
    return _Scene(request, charter, opened, (*parts, signature, *noes))


def _void() -> _Scene:
    """One signature of two people."""
    charter, people, units = _out_of_imprint(2)
    alice, bob = people
    request, opened = _opened(charter, units, Void(), needed=1)
    by_people = (_approved(request, opened, alice), _said_no(opened, bob), _stray_part(units))
    return _Scene(request, charter, opened, by_people)


def _out_of_imprint(
    people: int,
) -> tuple[Charter, tuple[Custodian, ...], tuple[CastUnit, ...]]:
    charter, custodians, units = instance(people, 2)
    for unit in units:
        unit.leave_imprint(custodians)
    return charter, custodians, units


def _opened(
    charter: Charter, units: tuple[CastUnit, ...], body: Body, *, needed: int
) -> tuple[Request, events.Opened]:
    by_id = {unit.id: unit for unit in units}
    targets = tuple(sorted(by_id))
    filing = Filing(
        instance=charter.instance,
        body=body,
        targets=targets,
        purpose=Purpose("to be walked"),
        custodian=charter.people[0].agent,
        account=None,
        step=None,
        voids=charter.digest if isinstance(body, Void) else None,
        valid_for=DEFAULT_VALIDITY,
        leave_out=False,
        at=NOON,
        nonce=Nonce(noise("filing")),
    )
    opening = Opening(
        filing=filing.digest,
        charter=charter.digest,
        practice=charter.practice,
        targets=targets,
        left_out=(),
        checkpoint=charter.digest,
        not_before=NOON,
        not_after=Instant(NOON + DEFAULT_VALIDITY),
        nonce=Nonce(noise("opening")),
    )
    progress = tuple(_progress(by_id[unit], opening, body, needed) for unit in targets)
    return new_request(1, filing, None, at=NOON), events.Opened(opening, progress)


def _progress(unit: CastUnit, opening: Opening, body: Body, needed: int) -> TargetProgress:
    seen = unit.seen()
    loads = isinstance(body, LoadNewRegister)
    target = Target(
        unit=unit.id,
        incarnation=seen.incarnation,
        version=seen.version,
        state=seen.state_digest,
        importer=unit.importer_key(opening.digest).digest if loads else None,
    )
    return TargetProgress(
        target=target,
        state=seen.state,
        needed=needed,
        importer=None,
        receivers=(),
        approvals=(),
        contributions=(),
        outcome=Outcome.OPEN,
        receipt=None,
        refusal=None,
        reachable=True,
    )


def _approved(request: Request, opened: events.Opened, who: Custodian) -> events.Approved:
    standing = request.but(opening=opened.opening)
    approvals = tuple(
        UnitApproval(unit=one.unit, approval=who.approve(standing.command(one.target)))
        for one in opened.progress
    )
    return events.Approved(who.key.ski, approvals)


def _contributed(
    request: Request, opened: events.Opened, units: tuple[CastUnit, ...], given: Given
) -> events.Contributed:
    standing = request.but(opening=opened.opening)
    by_id = {unit.id: unit for unit in units}
    parts: list[UnitContribution] = []
    for one in opened.progress:
        importer = by_id[one.unit].importer_key(opened.opening.digest)
        sealed = contribution(given, standing.command(one.target), importer)
        parts.append(UnitContribution(unit=one.unit, contribution=sealed))
    return events.Contributed(tuple(parts))


def _stray_part(units: tuple[CastUnit, ...]) -> events.Contributed:
    """A part for another request than the one that is walked."""
    given = (MALLORY, MALLORY.part())
    load, importer = units[0].load_command([given])
    sealed = contribution(given, load, importer)
    return events.Contributed((UnitContribution(unit=units[0].id, contribution=sealed),))


def _said_no(opened: events.Opened, who: Custodian) -> events.SaidNo:
    rejection = Rejection(
        request=opened.opening.digest,
        custodian=who.agent,
        reason=Reason("not on the agenda"),
        at=NOON,
    )
    return events.SaidNo(sign_statement(Label.REJECTION, rejection, who.identity.sign))
