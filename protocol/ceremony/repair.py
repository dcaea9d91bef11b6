"""Drift: the fewest commands that make the units of an instance equal, in an order that runs.

Units are compared with one that is right: the state that most of them have, or a unit that people
name. Administrators come first (whoever is missing must be there before thresholds can need them),
then thresholds, then who is too many, then control points and attributes, then key users, then
master keys. One command for all units that lack the same.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from protocol.ceremony.goals import Next, Obstacle, Situation, Step, UnitView, next_step
from protocol.ceremony.plan import CeremonyKind, Plan, Stage
from protocol.charter import Charter
from protocol.claims import ProvenKey
from protocol.commands.bodies import (
    AddAdministrator,
    AddKeyUser,
    Body,
    ClearNewRegister,
    RemoveAdministrator,
    RemoveKeyUser,
    SetAttribute,
    SetControlPoint,
    SetThresholds,
)
from protocol.commands.wording import key_of
from protocol.displayable import Purpose, shown
from protocol.identifiers import SKI, UnitId, short
from protocol.unit_state import MAX_ADMINISTRATORS, Attribute, RegisterState, UnitState

_RECOVER = Plan(
    ceremony=CeremonyKind.RECOVER,
    instance=None,
    purpose=Purpose("repair"),
    administrators=(),
    remove=None,
    thresholds=None,
    parts=(),
    confirm=(),
)


def reference_of(situation: Situation) -> UnitView:
    """A unit that is as most of them are; of equally many the one first by location.

    Not one in imprint mode, where another isn't.
    """
    counts = Counter(one.state for one in situation.units)
    return min(
        situation.units,
        key=lambda one: (one.state.imprint, -counts[one.state], one.location),
    )


def next_repair(reference: UnitId, situation: Situation) -> Next:
    """The next command that makes units more like the one that is right; None when all are equal.

    An obstacle where no command can: a key that no recovery unit holds, somebody whom the charter
    doesn't name.
    """
    right = next(one for one in situation.units if one.id == reference).state
    others = [one for one in situation.units if one.id != reference]
    for find in (_missing, _thresholds, _too_many, _switches, _key_users, _registers):
        for found in find(right, others, situation):
            return found
    return None


_Find = Callable[[UnitState, list[UnitView], Situation], Iterator[Step | Obstacle]]


def _on(body: Body, stage: Stage, units: list[UnitView]) -> Step:
    return Step(stage, body, tuple(sorted(one.id for one in units)))


def _missing(
    right: UnitState, others: list[UnitView], situation: Situation
) -> Iterator[Step | Obstacle]:
    """Who is installed in the right unit and not in another that has room."""
    for one in right.administrators:
        lacking = [
            unit
            for unit in others
            if unit.state.administrator(one.ski) is None
            and len(unit.state.administrators) < MAX_ADMINISTRATORS
        ]
        if not lacking:
            continue
        key = _key(one.ski, situation.charter)
        if key is None:
            yield Obstacle(
                Stage.ADMINISTRATORS,
                f"the charter doesn't name {shown(one.name)}, who is installed in the unit that "
                "the others are compared with",
                expected="people of the charter",
                found=short(one.ski),
                next="remove that administrator first: quorate tke cryptounit-admin-rm",
            )
        else:
            yield _on(AddAdministrator(key=key), Stage.ADMINISTRATORS, lacking)


def _key(ski: SKI, charter: Charter) -> ProvenKey | None:
    owner = charter.owner_of(ski)
    return None if owner is None else next(key for key in owner.keys if key.ski == ski)


def _thresholds(
    right: UnitState, others: list[UnitView], _: Situation
) -> Iterator[Step | Obstacle]:
    wanted = (right.signature_threshold, right.revocation_threshold)
    if right.imprint:
        return
    differ = [
        unit
        for unit in others
        if (unit.state.signature_threshold, unit.state.revocation_threshold) != wanted
        and len(unit.state.administrators) >= max(wanted)
    ]
    if differ:
        body = SetThresholds(signatures=wanted[0], revocations=wanted[1])
        yield _on(body, Stage.THRESHOLDS, differ)


def _too_many(right: UnitState, others: list[UnitView], _: Situation) -> Iterator[Step | Obstacle]:
    """Who is installed in another unit and not in the right one."""
    extra = sorted(
        {
            one.ski
            for unit in others
            for one in unit.state.administrators
            if right.administrator(one.ski) is None
        }
    )
    for ski in extra:
        having = [unit for unit in others if unit.state.administrator(ski) is not None]
        yield _on(RemoveAdministrator(ski=ski), Stage.REMOVE, having)


def _switches(right: UnitState, others: list[UnitView], _: Situation) -> Iterator[Step | Obstacle]:
    """Control points and attributes."""
    if right.imprint:
        return
    points = {point for unit in others for point in unit.state.control_points}
    for point in sorted(points ^ set(right.control_points) | points):
        on = point in right.control_points
        differ = [unit for unit in others if (point in unit.state.control_points) != on]
        if differ:
            yield _on(SetControlPoint(point=point, on=on), Stage.SWITCHES, differ)
    for attribute in Attribute:
        on = attribute in right.attributes
        differ = [unit for unit in others if (attribute in unit.state.attributes) != on]
        if differ:
            body = SetAttribute(attribute=attribute.value, on=on)
            yield _on(body, Stage.SWITCHES, differ)


def _key_users(right: UnitState, others: list[UnitView], _: Situation) -> Iterator[Step | Obstacle]:
    """Who is too many or has other rights goes first: so names and room are free for the others."""
    if right.imprint:
        return
    installed = {user for unit in others for user in unit.state.key_users}
    for user in sorted(installed - set(right.key_users), key=lambda one: one.public_key):
        having = [unit for unit in others if user in unit.state.key_users]
        yield _on(RemoveKeyUser(public_key=user.public_key), Stage.KEY_USERS, having)
    for user in right.key_users:
        lacking = [unit for unit in others if user not in unit.state.key_users]
        if lacking:
            rights = tuple(one.value for one in user.rights)
            body = AddKeyUser(name=user.name, public_key=user.public_key, rights=rights)
            yield _on(body, Stage.KEY_USERS, lacking)


def _registers(
    right: UnitState, others: list[UnitView], situation: Situation
) -> Iterator[Step | Obstacle]:
    """A new register that should be empty is cleared; a current key that lacks is recovered."""
    if right.new.state is RegisterState.EMPTY:
        for unit in others:
            vp = unit.state.new.vp
            if vp is not None and vp != right.current.vp:
                same = [one for one in others if one.state.new.vp == vp]
                yield _on(ClearNewRegister(vp=vp), Stage.CLEAR, same)
    if right.current.vp is not None and right.new.state is RegisterState.EMPTY:
        step = next_step(_RECOVER, situation)
        if isinstance(step, Step) and key_of(step.body) == right.current.vp:
            yield step
    if any((unit.state.new, unit.state.current) != (right.new, right.current) for unit in others):
        yield Obstacle(
            Stage.IMPORT,
            "units hold other master keys, and no recovery unit can make them equal",
            expected=f"new {right.new.state}, current {right.current.state}",
            found="others",
            next="load the key from its parts: quorate tke cryptounit-mk-load; or clear it",
        )
