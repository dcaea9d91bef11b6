"""What a ceremony would do from here, before anyone is troubled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from protocol.ceremony.goals import Exported, Next, Obstacle, Situation, Step, UnitView, next_step
from protocol.ceremony.plan import Plan
from protocol.charter import Charter
from protocol.commands.bodies import ExportKey, GenerateRandom, LoadNewRegister
from protocol.commands.effects import after
from protocol.commands.rules import not_a_recovery_unit, refusal_of
from protocol.commands.wording import cautions
from protocol.displayable import PersonName
from protocol.identifiers import VP, CommandId, UnitId
from protocol.refusals import Refusal
from protocol.standing import below_floor, could_still_sign, needed_by_people, people_of

MOST_STEPS = 200
_UNKNOWN_KEY = VP(bytes(32))


@dataclass(frozen=True)
class Foreseen:
    """A step, how many must sign it on the unit that needs most, and who could.

    `refusal` is there when a unit would refuse it.
    """

    step: Step
    needed: int
    signers: frozenset[PersonName]
    cautions: tuple[str, ...]
    refusal: Refusal | None


@dataclass(frozen=True)
class Forecast:
    """All steps in their order; what ends them early; and what people should think about."""

    steps: tuple[Foreseen, ...]
    obstacle: Obstacle | None
    warnings: tuple[str, ...]

    @property
    def possible(self) -> bool:
        """Whether nothing known keeps the ceremony from its end."""
        return self.obstacle is None and not any(one.refusal for one in self.steps)


def forecast(plan: Plan, situation: Situation) -> Forecast:
    """Plays the ceremony on the units as they are now, by the units' own rules."""
    return play(lambda then: next_step(plan, then), situation, plan.parts)


def play(
    find: Callable[[Situation], Next], situation: Situation, parts: Sequence[PersonName] = ()
) -> Forecast:
    """Plays what `find` finds, step after step. `parts` are who would give one each."""
    steps: list[Foreseen] = []
    while len(steps) < MOST_STEPS:
        step = find(situation)
        if step is None or isinstance(step, Obstacle):
            return Forecast(tuple(steps), step, _warnings(parts, situation))
        steps.append(_foreseen(step, situation))
        if steps[-1].refusal is not None:
            return Forecast(tuple(steps), None, _warnings(parts, situation))
        situation = _done(step, situation)
    raise AssertionError("a ceremony that doesn't end")


def _foreseen(step: Step, situation: Situation) -> Foreseen:
    charter, most = situation.charter, 0
    signers: set[PersonName] = set()
    said: dict[str, None] = {}
    refusal = below_floor(step.body, charter)
    for unit in _targets(step, situation):
        refusal = (
            refusal
            or not_a_recovery_unit(step.body, unit.type)
            or refusal_of(step.body, unit.state)
        )
        needed = needed_by_people(step.body, unit.state, charter)
        if isinstance(needed, Refusal):
            refusal = refusal or needed
            continue
        most = max(most, needed)
        signers |= {name for _, name in could_still_sign(unit.state, (), charter)}
        said |= dict.fromkeys(cautions(step.body, unit.state))
    return Foreseen(step, most, frozenset(signers), tuple(said), refusal)


def _targets(step: Step, situation: Situation) -> list[UnitView]:
    return [one for one in situation.units if one.id in step.targets]


def _done(step: Step, situation: Situation) -> Situation:
    """As it would be once every target has run it."""
    loads = isinstance(step.body, LoadNewRegister | GenerateRandom)

    def ran(unit: UnitView) -> UnitView:
        if unit.id not in step.targets:
            return unit
        state = after(unit.state, step.body, loaded=_UNKNOWN_KEY if loads else None)
        return replace(unit, state=state, version=unit.version + 1)

    exports = situation.exports
    if isinstance(step.body, ExportKey):
        exports = (*exports, _exported(step.body, step.targets[0], situation))
    return replace(situation, units=tuple(map(ran, situation.units)), exports=exports)


def _exported(body: ExportKey, source: UnitId, situation: Situation) -> Exported:
    named = situation.charter.unit(source)
    assert named is not None  # the source is a unit of the charter
    versions: Mapping[UnitId, int] = {one.id: one.version for one in situation.units}
    return Exported(
        command=CommandId(bytes(32)),
        source=named.certificate.identity,
        vp=body.vp,
        receivers={unit: versions[unit] for unit in body.receivers},
    )


def _warnings(parts: Sequence[PersonName], then: Situation) -> tuple[str, ...]:
    """What is so once the ceremony is over, as far as it gets."""
    found: dict[str, None] = {}
    for unit in then.units:
        state = unit.state
        installed = len(state.administrators)
        if state.imprint:
            continue
        if installed in (state.signature_threshold, state.revocation_threshold):
            found["as many signatures are needed as there are keys: one lost key locks all out"] = (
                None
            )
        if _one_is_enough(then.charter, unit):
            found["one person alone could sign what needs the signature threshold"] = None
    if len(set(parts)) < len(parts):
        found["one person would know more than one part of the master key"] = None
    return tuple(found)


def _one_is_enough(charter: Charter, unit: UnitView) -> bool:
    threshold = unit.state.signature_threshold
    if threshold == 1:
        return True
    keys: dict[PersonName, int] = {}
    for one in unit.state.administrators:
        for name in people_of(charter, (one.ski,)):
            keys[name] = keys.get(name, 0) + 1
    return max(keys.values(), default=0) >= threshold
