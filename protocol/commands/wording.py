"""Commands in words: a title, what changes, what stays, and what people should know before.

One wording for agents, coordinator and dashboard. Other people's texts come out quoted. Lines are
plain text without glyphs; who shows them lays them out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

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
from protocol.commands.effects import after
from protocol.displayable import shown
from protocol.identifiers import SKI, VP, Instant, StateVersion, grouped, short
from protocol.unit_state import (
    CONTROL_POINT_NAMES,
    Administrator,
    KeyUser,
    Register,
    RegisterState,
    UnitState,
)

NameOf = Callable[[SKI], str | None]
"""Whose signature key this is, as the charter says; None for a stranger's."""

_UNKNOWN_KEY = VP(bytes(32))
_LOADED = f"{RegisterState.FULL_UNCOMMITTED}; the key's own VP comes with the receipts"
_VP_LATER = LoadNewRegister | GenerateRandom


@dataclass(frozen=True)
class Change:
    """One thing that a command changes, before and after."""

    what: str
    before: str
    after: str


def title(body: Body, name_of: NameOf) -> str:
    """What is asked for, in a few words: `commit the new master key`."""
    match body:
        case AddAdministrator(key=key):
            return f"add administrator {shown(key.claim.administrator)}"
        case RemoveAdministrator(ski=ski):
            return f"remove administrator {name_of(ski) or short(ski)}"
        case SetThresholds(signatures=signatures, revocations=revocations):
            return f"set the thresholds to {signatures} and {revocations}"
        case LoadNewRegister():
            return "load the new master key register"
        case GenerateRandom():
            return "make a random master key"
        case ExportKey(register=register, receivers=receivers):
            units = f"{len(receivers)} unit{'' if len(receivers) == 1 else 's'}"
            return f"export the {register} master key to {units}"
        case ImportKey():
            return "import the master key of a recovery unit"
        case CommitNewRegister():
            return "commit the new master key"
        case SetImmediate():
            return "set the new master key immediate"
        case ClearNewRegister():
            return "clear the new master key register"
        case ClearCurrentRegister():
            return "clear the current master key register"
        case Void():
            return "void"
        case SetClock():
            return "set the clock"
        case SetControlPoint(point=point, on=on):
            return f"{'set' if on else 'unset'} control point {control_point(point)}"
        case SetAttribute(attribute=attribute, on=on):
            return f"switch attribute {shown(attribute)} {'on' if on else 'off'}"
        case AddKeyUser(name=name):
            return f"add key user {shown(name)}"
        case RemoveKeyUser(public_key=public_key):
            return f"remove key user {short(public_key)}"
        case Zeroize():
            return "zeroize"


def sentence(body: Body) -> str:
    """What a signature under it means, in a sentence or two."""
    match body:
        case AddAdministrator():
            return "You are asked to let somebody more sign commands for these units."
        case RemoveAdministrator():
            return "You are asked to end somebody's right to sign commands for these units."
        case SetThresholds():
            return "You are asked how many administrators must sign from now on."
        case LoadNewRegister():
            return (
                "You are asked to let these key parts, and no others, make the next master key. "
                "It isn't used yet."
            )
        case GenerateRandom():
            return (
                "You are asked to let a recovery unit make the next master key, at random and "
                "inside itself. It isn't used yet."
            )
        case ExportKey():
            return (
                "You are asked to let this recovery unit give its master key to the units named "
                "here, sealed to each of them, and to no others."
            )
        case ImportKey():
            return (
                "You are asked to let the key that a recovery unit gave be the next master key. "
                "It isn't used yet."
            )
        case CommitNewRegister():
            return (
                "You are asked to confirm that the key loaded is the one all of you meant. "
                "It isn't used yet."
            )
        case SetImmediate():
            return "You are asked to make the new master key current. Nothing is re-enciphered."
        case ClearNewRegister():
            return "You are asked to discard the new master key. The current one stays."
        case ClearCurrentRegister():
            return "You are asked to discard the current master key."
        case Void():
            return "You are asked to raise the state version, so that earlier signatures are dead."
        case SetClock():
            return "You are asked to mend the units' clocks."
        case SetControlPoint():
            return "You are asked to change what these units allow."
        case SetAttribute():
            return "You are asked to change how these units are administered."
        case AddKeyUser():
            return (
                "You are asked to let whoever has this key use the keys in key storage. Compare it "
                "with them."
            )
        case RemoveKeyUser():
            return "You are asked to end somebody's right to use the keys in key storage."
        case Zeroize():
            return "You are asked to clear these units: keys, administrators, thresholds, all."


def cautions(body: Body, before: UnitState) -> tuple[str, ...]:
    """What people should know before they sign; most commands need none."""
    match body:
        case SetThresholds() if before.imprint:
            return ("This leaves imprint mode: from then on commands must be signed.",)
        case SetThresholds(signatures=signatures, revocations=revocations) if len(
            before.administrators
        ) in (signatures, revocations):
            return ("One lost key or password then locks everyone out.",)
        case SetImmediate(vp=vp) if before.current.vp not in (None, vp):
            return (
                "Keys under the present master key can't be opened any more. To keep them: rotate.",
            )
        case ClearCurrentRegister():
            return ("Keys under this master key can't be opened until it is loaded again.",)
        case Zeroize() if before.current.vp is not None or before.new.vp is not None:
            return (
                "The master keys in these units are gone then. Without key parts or a recovery "
                "unit, keys under them are lost for ever.",
            )
        case _:
            return ()


def key_of(body: Body) -> VP | None:
    """The master key that the command is about, where it names one."""
    match body:
        case (
            CommitNewRegister(vp=vp)
            | SetImmediate(vp=vp)
            | ClearNewRegister(vp=vp)
            | ClearCurrentRegister(vp=vp)
            | ExportKey(vp=vp)
            | ImportKey(vp=vp)
        ):
            return vp
        case _:
            return None


def changes(
    body: Body, before: UnitState, version: StateVersion, name_of: NameOf
) -> tuple[Change, ...]:
    """What `body` changes in a unit that is in state `before`; all rules must let it pass."""
    now, then = before, after(before, body, loaded=_UNKNOWN_KEY)
    key = key_of(body)
    found: list[Change] = []
    if isinstance(body, _VP_LATER):
        found.append(Change("new register", register(before.new, key), _LOADED))
    for what, old, new in (
        ("new register", now.new, then.new),
        ("current register", now.current, then.current),
    ):
        if old != new and not isinstance(body, _VP_LATER):
            found.append(Change(what, register(old, key), register(new, key)))
    for what, number, becomes in (
        ("signature threshold", now.signature_threshold, then.signature_threshold),
        ("revocation threshold", now.revocation_threshold, then.revocation_threshold),
    ):
        if number != becomes:
            found.append(Change(what, str(number), str(becomes)))
    if now.administrators != then.administrators:
        found.append(
            Change(
                "administrators",
                administrators(now.administrators, name_of),
                administrators(then.administrators, name_of),
            )
        )
    found += _switches(now, then)
    if isinstance(body, ExportKey):
        holders = f"{len(body.receivers)} more, once each has imported it"
        found.append(Change("units that can hold the key", "this one", holders))
    if isinstance(body, SetClock):
        found.append(Change("clock", "the unit's own", _utc(body.to)))
    if isinstance(body, Void):
        found.append(Change("state version", str(version), f"{version + 1}, nothing else"))
    return tuple(found)


def _switches(now: UnitState, then: UnitState) -> list[Change]:
    found: list[Change] = []
    for point in sorted({*now.control_points} ^ {*then.control_points}):
        on = point in then.control_points
        what = f"control point {control_point(point)}"
        found.append(Change(what, *(("Not Set", "Set") if on else ("Set", "Not Set"))))
    for attribute in sorted({*now.attributes} ^ {*then.attributes}):
        on = attribute in then.attributes
        found.append(Change(f"attribute {attribute}", *(("off", "on") if on else ("on", "off"))))
    for user in (*now.key_users, *then.key_users):
        if user not in now.key_users:
            found.append(Change(f"key user {shown(user.name)}", "isn't one", key_user(user)))
        elif user not in then.key_users:
            found.append(Change(f"key user {shown(user.name)}", key_user(user), "isn't one"))
    return found


def stays(body: Body, before: UnitState) -> tuple[str, ...]:
    """What `body` leaves as it is in a unit that is in state `before`."""
    then = after(before, body, loaded=_UNKNOWN_KEY)
    found: list[str] = []
    if before.new == then.new:
        found.append(f"new register {register(before.new, None)}")
    if before.current == then.current:
        found.append(f"current register {register(before.current, None)}")
    if before.administrators == then.administrators:
        found.append("administrators")
    thresholds = (before.signature_threshold, before.revocation_threshold)
    if thresholds == (then.signature_threshold, then.revocation_threshold):
        found.append(f"thresholds {thresholds[0]} and {thresholds[1]}")
    if before.control_points == then.control_points:
        found.append("control points")
    if before.attributes == then.attributes:
        found.append("attributes")
    if before.key_users == then.key_users:
        found.append("key users")
    return tuple(found)


def register(found: Register, key: VP | None) -> str:
    """A register in words; `key` is the one that everybody is talking about."""
    if found.vp is None:
        return found.state.value
    return f"{found.state}, {'with this key' if found.vp == key else short(found.vp)}"


def administrators(found: tuple[Administrator, ...], name_of: NameOf) -> str:
    """Who is installed: people of the charter by name, others by their quoted name and key."""
    named = sorted(name_of(one.ski) or f"{shown(one.name)} {short(one.ski)}" for one in found)
    return ", ".join(named) or "nobody"


def key_user(user: KeyUser) -> str:
    """What a key user may do, and the whole key: no charter vouches for it, so people compare."""
    return f"may {', '.join(user.rights)}; key {grouped(user.public_key)}"


def control_point(point: int) -> str:
    """A control point by TKE's name where it has one, else by number."""
    name = CONTROL_POINT_NAMES.get(point)
    return str(point) if name is None else f"{point} ({name})"


def _utc(at: Instant) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
