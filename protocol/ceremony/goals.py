"""What a ceremony does next.

A plan says what is to be reached. `next_step` looks at how the units are now and gives the one
command that leads on: so a run can be broken off anywhere and taken up again by anybody, a unit
that was away is brought along, and what was done already isn't done twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from protocol.ceremony.plan import STAGES, CeremonyKind, Plan, Stage
from protocol.charter import Charter
from protocol.claims import ProvenKey
from protocol.commands.bodies import (
    AddAdministrator,
    Body,
    CommitNewRegister,
    ExportKey,
    GenerateRandom,
    Held,
    ImportKey,
    LoadNewRegister,
    NamedPart,
    RemoveAdministrator,
    SetImmediate,
    SetThresholds,
)
from protocol.identifiers import VP, CommandId, IdentityKey, UnitId, short
from protocol.location import UnitType
from protocol.unit_state import Register, RegisterState, UnitState


@dataclass(frozen=True)
class UnitView:
    """A unit as it is now, or was when it was last in reach."""

    id: UnitId
    type: UnitType
    location: str
    state: UnitState
    version: int


@dataclass(frozen=True)
class Exported:
    """An export that was executed: to whom, in which state version each receiver was then."""

    command: CommandId
    source: IdentityKey
    vp: VP
    receivers: Mapping[UnitId, int]


@dataclass(frozen=True)
class Situation:
    """All that the next step depends on. `offered` are the announced key parts by custodian."""

    charter: Charter
    units: tuple[UnitView, ...]
    exports: tuple[Exported, ...]
    offered: Mapping[IdentityKey, tuple[VP, ...]]


@dataclass(frozen=True)
class Step:
    """The next command, on the units that need it."""

    stage: Stage
    body: Body
    targets: tuple[UnitId, ...]


@dataclass(frozen=True)
class Obstacle:
    """Why there is no next step although the goal isn't reached."""

    stage: Stage
    what: str
    expected: str
    found: str
    next: str


Next = Step | Obstacle | None
_Find = Callable[[Plan, Situation], Next]


def next_step(plan: Plan, situation: Situation) -> Next:
    """The first stage's command that isn't done on every unit; None once the goal is reached."""
    for stage in STAGES[plan.ceremony]:
        found = _FIND[stage](plan, situation)
        if found is not None:
            return found
    return None


def _on(
    situation: Situation, stage: Stage, body: Body, wanting: Callable[[UnitState], bool]
) -> Step | None:
    """The command on every unit that wants it, if there is one."""
    targets = tuple(sorted(one.id for one in situation.units if wanting(one.state)))
    return Step(stage, body, targets) if targets else None


# administrators and thresholds


def _administrators(plan: Plan, situation: Situation) -> Next:
    for name in plan.administrators:
        key = _key_of(name, situation.charter)
        if key is None:
            return _stranger(Stage.ADMINISTRATORS, name, situation.charter)
        step = _on(
            situation,
            Stage.ADMINISTRATORS,
            AddAdministrator(key=key),
            lambda state, ski=key.ski: state.administrator(ski) is None,  # type: ignore[misc]
        )
        if step is not None:
            return step
    return None


def _key_of(name: str, charter: Charter) -> ProvenKey | None:
    person = charter.person(name)
    return None if person is None or not person.keys else person.keys[0]


def _stranger(stage: Stage, name: str, charter: Charter) -> Obstacle:
    people = ", ".join(person.name for person in charter.people)
    return Obstacle(
        stage,
        "the charter in force names no such person, or no key of theirs",
        expected=people,
        found=name,
        next="correct the plan, or have all accept a charter that does: quorate charter new",
    )


def _thresholds(plan: Plan, situation: Situation) -> Next:
    wanted = plan.thresholds
    assert wanted is not None
    return _on(
        situation,
        Stage.THRESHOLDS,
        SetThresholds(signatures=wanted.signatures, revocations=wanted.revocations),
        lambda state: (
            (state.signature_threshold, state.revocation_threshold)
            != (wanted.signatures, wanted.revocations)
        ),
    )


def _remove(plan: Plan, situation: Situation) -> Next:
    assert plan.remove is not None
    person = situation.charter.person(plan.remove)
    skis = {key.ski for key in person.keys} if person is not None else set()
    for unit in situation.units:
        for one in unit.state.administrators:
            # Somebody who has left the charter is known by the name in the unit.
            leaves = one.ski in skis or (person is None and one.name == plan.remove)
            if leaves:
                return _on(
                    situation,
                    Stage.REMOVE,
                    RemoveAdministrator(ski=one.ski),
                    lambda state, ski=one.ski: state.administrator(ski) is not None,  # type: ignore[misc]
                )
    return None


# the master key


def _keys(situation: Situation, stage: Stage) -> VP | Obstacle | None:
    """The one key that this ceremony is about; None where no unit has one yet."""
    found: dict[VP, str] = {}
    for unit in situation.units:
        held = unit.state.new.vp or unit.state.current.vp
        if held is not None:
            found.setdefault(held, unit.location)
    if len(found) < 2:
        return next(iter(found), None)
    return Obstacle(
        stage,
        "units hold different master keys",
        expected="one key in all units, or none",
        found=", ".join(f"{short(vp)} in {place}" for vp, place in found.items()),
        next="quorate tke cryptounit-compare; clear what shouldn't be there",
    )


def _lacks(vp: VP | None) -> Callable[[UnitState], bool]:
    """Whether a unit holds this key in neither register."""
    return lambda state: vp is None or vp not in (state.new.vp, state.current.vp)


def _load(plan: Plan, situation: Situation) -> Next:
    vp = _keys(situation, Stage.LOAD)
    if isinstance(vp, Obstacle):
        return vp
    wanting = _lacks(vp)
    if not any(wanting(unit.state) for unit in situation.units):
        return None
    named: list[NamedPart] = []
    for name in plan.parts:
        person = situation.charter.person(name)
        if person is None:
            return _stranger(Stage.LOAD, name, situation.charter)
        taken = {part.vp for part in named}
        free = [vp for vp in situation.offered.get(person.agent, ()) if vp not in taken]
        if len(free) != 1 and not (len(free) > 1 and plan.parts.count(name) > 1):
            return Obstacle(
                Stage.LOAD,
                f"it isn't plain which key part {name} gives",
                expected="one announced part of theirs that isn't named yet",
                found=f"{len(free)}",
                next=f"{name}: quorate tke mk-add --random, or withdraw what isn't meant: mk-rm",
            )
        named.append(NamedPart(vp=free[0], custodian=person.agent))
    return _on(situation, Stage.LOAD, LoadNewRegister(parts=tuple(named)), wanting)


def source_of(plan: Plan, situation: Situation) -> UnitView | None:
    """The recovery unit that gives the key: one that holds it, else the first by location."""
    recovery = [one for one in situation.units if one.type is UnitType.RECOVERY]
    held = Held.CURRENT if plan.ceremony is CeremonyKind.RECOVER else Held.NEW
    holding = [one for one in recovery if _register(one.state, held).vp is not None]
    either = [one for one in recovery if one.state.new.vp or one.state.current.vp]
    for some in (holding, either, recovery):
        if some:
            return min(some, key=lambda one: one.location)
    return None


def _register(state: UnitState, held: Held) -> Register:
    return state.new if held is Held.NEW else state.current


def _no_source(stage: Stage) -> Obstacle:
    return Obstacle(
        stage,
        "the instance has no recovery unit that could give the key",
        expected="a recovery unit in the charter",
        found="none",
        next="initialise from key parts, or have all accept a charter with one",
    )


def _generate(plan: Plan, situation: Situation) -> Next:
    source = source_of(plan, situation)
    if source is None:
        return _no_source(Stage.GENERATE)
    if source.state.new.vp is not None or source.state.current.vp is not None:
        return None
    return Step(Stage.GENERATE, GenerateRandom(), (source.id,))


def _given(plan: Plan, situation: Situation, stage: Stage) -> tuple[UnitView, Held, VP] | Obstacle:
    """The source, with the register that holds the key, and the key."""
    source = source_of(plan, situation)
    if source is None:
        return _no_source(stage)
    new_first = (Held.NEW, Held.CURRENT)
    order = new_first[::-1] if plan.ceremony is CeremonyKind.RECOVER else new_first
    for held in order:
        vp = _register(source.state, held).vp
        if vp is not None:
            return source, held, vp
    return Obstacle(
        stage,
        "no recovery unit holds a master key",
        expected="a key in a recovery unit",
        found="empty registers",
        next="initialise the instance, from key parts or from recovery units",
    )


def _export(plan: Plan, situation: Situation) -> Next:
    given = _given(plan, situation, Stage.EXPORT)
    if isinstance(given, Obstacle):
        return given
    source, held, vp = given
    receivers = _receivers(situation, source, vp)
    if not receivers or _usable(situation, source, vp, receivers) is not None:
        return None
    body = ExportKey(
        register=held,
        vp=vp,
        receivers=tuple(sorted(one.id for one in receivers)),
        vendor_roots=situation.charter.vendor_roots,
    )
    return Step(Stage.EXPORT, body, (source.id,))


def _receivers(situation: Situation, source: UnitView, vp: VP) -> list[UnitView]:
    lacks = _lacks(vp)
    return [one for one in situation.units if one.id != source.id and lacks(one.state)]


def _usable(
    situation: Situation, source: UnitView, vp: VP, receivers: list[UnitView]
) -> Exported | None:
    """An export that all of these can import: none has run a command since."""
    identity = _identity(situation.charter, source.id)
    for export in reversed(situation.exports):
        if (export.vp, export.source) == (vp, identity) and all(
            export.receivers.get(one.id) == one.version for one in receivers
        ):
            return export
    return None


def _identity(charter: Charter, unit: UnitId) -> IdentityKey | None:
    named = charter.unit(unit)
    return None if named is None else named.certificate.identity


def _import(plan: Plan, situation: Situation) -> Next:
    given = _given(plan, situation, Stage.IMPORT)
    if isinstance(given, Obstacle):
        return given
    source, _, vp = given
    receivers = _receivers(situation, source, vp)
    export = _usable(situation, source, vp, receivers)
    if not receivers or export is None:
        return None
    body = ImportKey(export=export.command, source=export.source, vp=vp)
    return Step(Stage.IMPORT, body, tuple(sorted(one.id for one in receivers)))


def _commit(_: Plan, situation: Situation) -> Next:
    vp = _keys(situation, Stage.COMMIT)
    if isinstance(vp, Obstacle) or vp is None:
        return vp
    return _on(
        situation,
        Stage.COMMIT,
        CommitNewRegister(vp=vp),
        lambda state: state.new.state is RegisterState.FULL_UNCOMMITTED,
    )


def _activate(_: Plan, situation: Situation) -> Next:
    vp = _keys(situation, Stage.ACTIVATE)
    if isinstance(vp, Obstacle) or vp is None:
        return vp
    return _on(
        situation,
        Stage.ACTIVATE,
        SetImmediate(vp=vp),
        lambda state: state.new.state is RegisterState.FULL_COMMITTED,
    )


_FIND: dict[Stage, _Find] = {
    Stage.ADMINISTRATORS: _administrators,
    Stage.THRESHOLDS: _thresholds,
    Stage.LOAD: _load,
    Stage.GENERATE: _generate,
    Stage.EXPORT: _export,
    Stage.IMPORT: _import,
    Stage.COMMIT: _commit,
    Stage.ACTIVATE: _activate,
    Stage.REMOVE: _remove,
}
