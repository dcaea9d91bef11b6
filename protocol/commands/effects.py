"""What an executed command changes in the state document: the same function for units, for the
"after" that custodians read, and for whoever checks a receipt."""

from typing import TypeVar

from protocol.commands.bodies import (
    AddAdministrator,
    AddKeyUser,
    Body,
    ClearCurrentRegister,
    ClearNewRegister,
    CommitNewRegister,
    ExportKey,
    GenerateRandom,
    ImportKey,
    LoadNewRegister,
    RemoveAdministrator,
    RemoveKeyUser,
    SetAttribute,
    SetClock,
    SetControlPoint,
    SetImmediate,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.identifiers import VP
from protocol.unit_state import (
    EMPTY,
    IMPRINT,
    Administrator,
    Attribute,
    KeyRight,
    KeyUser,
    Register,
    RegisterState,
    UnitState,
)

T = TypeVar("T", int, Attribute)


def after(state: UnitState, body: Body, *, loaded: VP | None = None) -> UnitState:
    """The state once `body` ran in `state`; all rules must have let it pass.

    `loaded` is the verification pattern of the key that a load's parts make, or that a recovery
    unit draws; only the unit knows it beforehand.
    """
    match body:
        case AddAdministrator(key=key):
            newcomer = Administrator(
                ski=key.ski,
                algorithm=key.claim.algorithm,
                public_key=key.claim.public_key,
                name=key.claim.administrator,
            )
            together = sorted((*state.administrators, newcomer), key=lambda one: one.ski)
            return state.but(administrators=tuple(together))
        case RemoveAdministrator(ski=ski):
            staying = tuple(one for one in state.administrators if one.ski != ski)
            return state.but(administrators=staying)
        case SetThresholds(signatures=signatures, revocations=revocations):
            return state.but(signature_threshold=signatures, revocation_threshold=revocations)
        case LoadNewRegister() | GenerateRandom():
            if loaded is None:
                raise ValueError("only the unit knows which key it gets")
            return state.but(new=Register(state=RegisterState.FULL_UNCOMMITTED, vp=loaded))
        case ImportKey(vp=vp):
            return state.but(new=Register(state=RegisterState.FULL_UNCOMMITTED, vp=vp))
        case CommitNewRegister():
            return state.but(new=state.new.but(state=RegisterState.FULL_COMMITTED))
        case SetImmediate():
            return state.but(new=EMPTY, current=state.new.but(state=RegisterState.VALID))
        case ClearNewRegister():
            return state.but(new=EMPTY)
        case ClearCurrentRegister():
            return state.but(current=EMPTY)
        case SetControlPoint(point=point, on=on):
            return state.but(control_points=_switched(state.control_points, point, on))
        case SetAttribute(attribute=attribute, on=on):
            switched = _switched(state.attributes, Attribute(attribute), on)
            return state.but(attributes=switched)
        case AddKeyUser(name=name, public_key=public_key, rights=rights):
            may = tuple(sorted(KeyRight(right) for right in rights))
            user = KeyUser(name=name, public_key=public_key, rights=may)
            users = sorted((*state.key_users, user), key=lambda one: one.public_key)
            return state.but(key_users=tuple(users))
        case RemoveKeyUser(public_key=public_key):
            others = tuple(one for one in state.key_users if one.public_key != public_key)
            return state.but(key_users=others)
        case Void() | SetClock() | ExportKey():
            return state
        case Zeroize():
            return IMPRINT


def _switched(values: tuple[T, ...], value: T, on: bool) -> tuple[T, ...]:
    changed = set(values)
    if on:
        changed.add(value)
    else:
        changed.discard(value)
    return tuple(sorted(changed))
