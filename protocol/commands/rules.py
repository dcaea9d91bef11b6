"""What a command must pass before it may run: one rule, one function, one code.

These are the rules that the public state decides. What needs secrets (does a key part open, is it
the one that was named) is the unit's own: `hsm_backend.unit.master_key`.
"""

from collections.abc import Callable

from protocol.commands import key_users
from protocol.commands.bodies import (
    AddAdministrator,
    AddKeyUser,
    Body,
    ClearCurrentRegister,
    ClearNewRegister,
    CommitNewRegister,
    ExportKey,
    GenerateRandom,
    Held,
    ImportKey,
    LoadNewRegister,
    RemoveAdministrator,
    RemoveKeyUser,
    SetAttribute,
    SetControlPoint,
    SetImmediate,
    SetThresholds,
)
from protocol.displayable import is_printable_string, shown
from protocol.identifiers import VP, short
from protocol.location import UnitType
from protocol.refusals import Refusal, Rule, refuse
from protocol.unit_state import (
    CONTROL_POINTS,
    MAX_ADMINISTRATORS,
    MAX_THRESHOLD,
    Attribute,
    Register,
    RegisterState,
    UnitState,
)
from protocol.violations import Violation


def refusal_of(body: Body, state: UnitState) -> Refusal | None:
    """The first rule that refuses `body` for a unit in `state`; None when all let it pass."""
    for rule in _rules(body):
        refusal = rule(state)
        if refusal is not None:
            return refusal
    return None


def _rules(body: Body) -> tuple[Callable[[UnitState], Refusal | None], ...]:
    match body:
        case AddAdministrator():
            return (
                lambda _: administrator_name(body),
                lambda _: administrator_key(body),
                lambda state: administrator_exists(body, state),
                too_many_administrators,
            )
        case RemoveAdministrator():
            return (
                lambda state: no_such_administrator(body, state),
                removal_leaves_threshold,
            )
        case SetThresholds():
            return (
                lambda _: signature_threshold_range(body),
                lambda _: revocation_threshold_range(body),
                lambda state: threshold_above_administrators(body, state),
                lambda state: revocation_above_administrators(body, state),
            )
        case LoadNewRegister():
            return (
                lambda _: part_count(body),
                lambda _: part_twice(body),
                new_register_not_empty,
            )
        case GenerateRandom():
            return (new_register_not_empty,)
        case ExportKey():
            return (
                lambda _: receivers_named(body),
                lambda state: vp_mismatch(held(body, state), body.vp),
            )
        case ImportKey():
            return (
                new_register_not_empty,
                lambda state: imported_again(body, state),
            )
        case CommitNewRegister():
            return (
                new_register_not_uncommitted,
                lambda state: vp_mismatch(state.new, body.vp),
            )
        case SetImmediate():
            return (
                new_register_not_committed,
                lambda state: vp_mismatch(state.new, body.vp),
            )
        case ClearNewRegister():
            return (
                lambda state: register_empty(state.new),
                lambda state: vp_mismatch(state.new, body.vp),
            )
        case ClearCurrentRegister():
            return (
                lambda state: register_empty(state.current),
                lambda state: vp_mismatch(state.current, body.vp),
            )
        case SetControlPoint():
            return (lambda _: control_point_unknown(body),)
        case SetAttribute():
            return (lambda _: attribute_unknown(body),)
        case AddKeyUser():
            return key_users.adding(body)
        case RemoveKeyUser():
            return (lambda state: key_users.no_such_key_user(body, state),)
        case _:
            return ()


def administrator_name(body: AddAdministrator) -> Refusal | None:
    """ADMINISTRATOR_NAME: 1 to 30 characters of ASN.1 PrintableString, no blanks at its ends."""
    name = body.key.claim.administrator
    if 1 <= len(name) <= 30 and is_printable_string(name) and name == name.strip():
        return None
    return refuse(
        Rule.ADMINISTRATOR_NAME,
        expected="1 to 30 characters of PrintableString, no blank at either end",
        found=f"{len(name)}: {shown(name)[:250]}",
    )


def administrator_key(body: AddAdministrator) -> Refusal | None:
    """ADMINISTRATOR_KEY: the key itself signed the claim (proof of possession)."""
    try:
        body.key.check()
    except Violation as violation:
        return refuse(
            Rule.ADMINISTRATOR_KEY, expected="a claim signed by its own key", found=violation
        )
    return None


def administrator_exists(body: AddAdministrator, state: UnitState) -> Refusal | None:
    """ADMINISTRATOR_EXISTS: a key is installed once."""
    there = state.administrator(body.key.ski)
    if there is None:
        return None
    return refuse(
        Rule.ADMINISTRATOR_EXISTS,
        expected="a key that isn't installed",
        found=f"{short(there.ski)}, installed as {shown(there.name)}",
    )


def too_many_administrators(state: UnitState) -> Refusal | None:
    """TOO_MANY_ADMINISTRATORS: at most eight a unit."""
    if len(state.administrators) < MAX_ADMINISTRATORS:
        return None
    return refuse(
        Rule.TOO_MANY_ADMINISTRATORS,
        expected=f"at most {MAX_ADMINISTRATORS}",
        found=len(state.administrators) + 1,
    )


def no_such_administrator(body: RemoveAdministrator, state: UnitState) -> Refusal | None:
    """NO_SUCH_ADMINISTRATOR: only who is installed can be removed."""
    if state.administrator(body.ski) is not None:
        return None
    installed = ", ".join(shown(one.name) for one in state.administrators) or "nobody"
    return refuse(Rule.NO_SUCH_ADMINISTRATOR, expected=f"one of {installed}", found=short(body.ski))


def removal_leaves_threshold(state: UnitState) -> Refusal | None:
    """REMOVAL_LEAVES_THRESHOLD: those who stay must be able to meet both thresholds."""
    needed = max(state.signature_threshold, state.revocation_threshold)
    left = len(state.administrators) - 1
    if left >= needed:
        return None
    return refuse(Rule.REMOVAL_LEAVES_THRESHOLD, expected=f"at least {needed} who stay", found=left)


def signature_threshold_range(body: SetThresholds) -> Refusal | None:
    """SIGNATURE_THRESHOLD_RANGE: 1 to 8."""
    if 1 <= body.signatures <= MAX_THRESHOLD:
        return None
    return refuse(
        Rule.SIGNATURE_THRESHOLD_RANGE, expected=f"1 to {MAX_THRESHOLD}", found=body.signatures
    )


def revocation_threshold_range(body: SetThresholds) -> Refusal | None:
    """REVOCATION_THRESHOLD_RANGE: 1 to 8."""
    if 1 <= body.revocations <= MAX_THRESHOLD:
        return None
    return refuse(
        Rule.REVOCATION_THRESHOLD_RANGE, expected=f"1 to {MAX_THRESHOLD}", found=body.revocations
    )


def threshold_above_administrators(body: SetThresholds, state: UnitState) -> Refusal | None:
    """THRESHOLD_ABOVE_ADMINISTRATORS: the signature threshold can be met by those installed."""
    installed = len(state.administrators)
    if body.signatures <= installed:
        return None
    return refuse(
        Rule.THRESHOLD_ABOVE_ADMINISTRATORS,
        expected=f"at most {installed}, the number of administrators",
        found=body.signatures,
    )


def revocation_above_administrators(body: SetThresholds, state: UnitState) -> Refusal | None:
    """REVOCATION_ABOVE_ADMINISTRATORS: the revocation threshold can be met by those installed."""
    installed = len(state.administrators)
    if body.revocations <= installed:
        return None
    return refuse(
        Rule.REVOCATION_ABOVE_ADMINISTRATORS,
        expected=f"at most {installed}, the number of administrators",
        found=body.revocations,
    )


def part_count(body: LoadNewRegister) -> Refusal | None:
    """PART_COUNT: a master key is made of two or three parts."""
    if len(body.parts) in (2, 3):
        return None
    return refuse(Rule.PART_COUNT, expected="2 or 3 parts", found=len(body.parts))


def part_twice(body: LoadNewRegister) -> Refusal | None:
    """PART_TWICE: two equal parts would cancel each other."""
    seen: set[VP] = set()
    for part in body.parts:
        if part.vp in seen:
            return refuse(
                Rule.PART_TWICE, expected="different parts", found=f"{part.vp.hex()} again"
            )
        seen.add(part.vp)
    return None


def not_a_recovery_unit(body: Body, kind: UnitType) -> Refusal | None:
    """NOT_A_RECOVERY_UNIT: only those make a key or give one away, whoever signs."""
    if kind is UnitType.RECOVERY or not isinstance(body, GenerateRandom | ExportKey):
        return None
    return refuse(Rule.NOT_A_RECOVERY_UNIT, expected=UnitType.RECOVERY, found=kind)


def receivers_named(body: ExportKey) -> Refusal | None:
    """RECEIVERS: at least one, each once, in ascending order; with vendor roots likewise."""
    for named in (body.receivers, body.vendor_roots):
        if not named or list(named) != sorted(set(named)):
            return refuse(
                Rule.RECEIVERS,
                expected="receivers and vendor roots, each once, in ascending order",
                found=", ".join(short(one) for one in named) or "none",
            )
    return None


def held(body: ExportKey, state: UnitState) -> Register:
    """The register that an export is about."""
    return state.new if body.register is Held.NEW else state.current


def imported_again(body: ImportKey, state: UnitState) -> Refusal | None:
    """SAME_KEY_AGAIN: a key that the current register holds isn't loaded beside it."""
    if state.current.vp != body.vp:
        return None
    return refuse(
        Rule.SAME_KEY_AGAIN, expected="another key than the current one", found=body.vp.hex()
    )


def new_register_not_empty(state: UnitState) -> Refusal | None:
    """NEW_REGISTER_NOT_EMPTY: a load needs an empty new master key register."""
    if state.new.state is RegisterState.EMPTY:
        return None
    return refuse(Rule.NEW_REGISTER_NOT_EMPTY, expected=RegisterState.EMPTY, found=state.new.state)


def new_register_not_uncommitted(state: UnitState) -> Refusal | None:
    """NEW_REGISTER_NOT_UNCOMMITTED: only a loaded key can be committed, and only once."""
    if state.new.state is RegisterState.FULL_UNCOMMITTED:
        return None
    return refuse(
        Rule.NEW_REGISTER_NOT_UNCOMMITTED,
        expected=RegisterState.FULL_UNCOMMITTED,
        found=state.new.state,
    )


def new_register_not_committed(state: UnitState) -> Refusal | None:
    """NEW_REGISTER_NOT_COMMITTED: only a committed key becomes current."""
    if state.new.state is RegisterState.FULL_COMMITTED:
        return None
    return refuse(
        Rule.NEW_REGISTER_NOT_COMMITTED,
        expected=RegisterState.FULL_COMMITTED,
        found=state.new.state,
    )


def register_empty(register: Register) -> Refusal | None:
    """REGISTER_EMPTY: there is nothing to clear."""
    if register.vp is not None:
        return None
    return refuse(Rule.REGISTER_EMPTY, expected="a register that holds a key", found=register.state)


def vp_mismatch(register: Register, vp: VP) -> Refusal | None:
    """VP_MISMATCH: a custodian signs for this key, not for whatever the register holds."""
    if register.vp == vp:
        return None
    held = register.vp.hex() if register.vp is not None else register.state
    return refuse(Rule.VP_MISMATCH, expected=vp.hex(), found=held)


def control_point_unknown(body: SetControlPoint) -> Refusal | None:
    """CONTROL_POINT_UNKNOWN: control points have numbers from 0 to 127."""
    if body.point in CONTROL_POINTS:
        return None
    return refuse(Rule.CONTROL_POINT_UNKNOWN, expected="0 to 127", found=body.point)


def attribute_unknown(body: SetAttribute) -> Refusal | None:
    """ATTRIBUTE_UNKNOWN: only attributes that units have can be set."""
    known = [attribute.value for attribute in Attribute]
    if body.attribute in known:
        return None
    return refuse(Rule.ATTRIBUTE_UNKNOWN, expected=" or ".join(known), found=shown(body.attribute))
