"""The policy file: TOML that a person writes, read whole or not at all.

    name = "nightly"
    filer = "<identity key of the filer's agent, 64 hex digits>"
    until = 2026-11-27T17:00:00Z

    [[allow]]
    command = "commit-new-register"
    key-of-parts = ["<VP>", "<VP>"]         # or: key = "<VP>"
    targets = ["<unit id>", "<unit id>"]
    purpose = "Yearly rotation, CER-31"
    times = 1
    valid-for-hours = 24
    sign-with = "<SKI>"                     # give-part = "<VP>" for a load

Nothing in it is optional but `valid-for-hours`, and one of `sign-with` and `give-part`.
"""

import re
import tomllib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from protocol.commands.bodies import (
    AddAdministrator,
    AddKeyUser,
    Body,
    ClearCurrentRegister,
    ClearNewRegister,
    CommitNewRegister,
    LoadNewRegister,
    RemoveAdministrator,
    RemoveKeyUser,
    SetAttribute,
    SetControlPoint,
    SetImmediate,
    SetThresholds,
    Zeroize,
)
from protocol.identifiers import HOUR, Instant
from protocol.request import DEFAULT_VALIDITY, LONGEST_VALIDITY
from protocol.schema import Variant, from_plain, to_plain
from protocol.violations import Violation
from signer_agent.desk.policy import (
    AboutKey,
    AboutKeyOfParts,
    Adding,
    Allowed,
    Exactly,
    Policy,
    What,
)

_HEX = re.compile("[0-9a-f]{64}")


class BadPolicy(ValueError):
    """The policy's text can't be used. Says where, and what was expected."""


def parse_policy(text: str) -> Policy:
    """The policy that `text` is; BadPolicy where anything is missing, unknown or not exact."""
    try:
        table = _Table(tomllib.loads(text), "the policy")
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(f"not TOML: {error}") from None
    name, filer = table.text("name"), table.hex("filer")
    until = _instant(table.take("until"))
    rules = table.tables("allow")
    table.done()
    allowed = tuple(_allowed(rule) for rule in rules)
    try:
        plain = {"name": name, "filer": filer, "until": until, "allowed": to_plain(allowed)}
        return from_plain(Policy, plain)
    except Violation as violation:
        raise BadPolicy(str(violation)) from None


def _allowed(table: "_Table") -> Allowed:
    what = _what(table)
    hours = table.number("valid-for-hours", DEFAULT_VALIDITY // HOUR)
    if not 1 <= hours <= LONGEST_VALIDITY // HOUR:
        raise BadPolicy(f"{table.place}: valid-for-hours is 1 to {LONGEST_VALIDITY // HOUR}")
    plain = {
        "what": to_plain(what),
        "targets": sorted(table.hexes("targets")),
        "purpose": table.text("purpose"),
        "valid_for": hours * HOUR,
        "times": table.number("times"),
        "signature": table.hex("sign-with") if "sign-with" in table else None,
        "part": table.hex("give-part") if "give-part" in table else None,
    }
    table.done()
    try:
        return from_plain(Allowed, plain)
    except Violation as violation:
        raise BadPolicy(f"{table.place}: {violation}") from None


def _what(table: "_Table") -> What:
    command = table.text("command")
    if command not in _READ:
        raise BadPolicy(
            f"{table.place}: no policy answers {command!r}; it can: {', '.join(sorted(_READ))}"
        )
    try:
        return _READ[command](table)
    except Violation as violation:
        raise BadPolicy(f"{table.place}: {violation}") from None


def _tag(kind: type[Variant]) -> str:
    return str(kind.__struct_config__.tag)


def _exactly(kind: type[Body], **parameters: Any) -> What:
    return Exactly(body=from_plain(kind, {"kind": _tag(kind), **parameters}))


def _adding(table: "_Table") -> What:
    return from_plain(Adding, {"kind": "adding", "ski": table.hex("administrator")})


def _removing(table: "_Table") -> What:
    return _exactly(RemoveAdministrator, ski=table.hex("administrator"))


def _thresholds(table: "_Table") -> What:
    signatures, revocations = table.number("signatures"), table.number("revocations")
    return _exactly(SetThresholds, signatures=signatures, revocations=revocations)


def _load(table: "_Table") -> What:
    parts = []
    for part in table.tables("parts"):
        parts.append({"vp": part.hex("vp"), "custodian": part.hex("custodian")})
        part.done()
    return _exactly(LoadNewRegister, parts=parts)


def _control_point(table: "_Table") -> What:
    return _exactly(SetControlPoint, point=table.number("point"), on=table.switch("on"))


def _attribute(table: "_Table") -> What:
    return _exactly(SetAttribute, attribute=table.text("attribute"), on=table.switch("on"))


def _key_user_in(table: "_Table") -> What:
    rights = table.texts("rights")
    public_key = table.hex("key-user")
    return _exactly(AddKeyUser, name=table.text("name"), public_key=public_key, rights=rights)


def _key_user_out(table: "_Table") -> What:
    return _exactly(RemoveKeyUser, public_key=table.hex("key-user"))


def _about_key(kind: type[Body]) -> Callable[["_Table"], What]:
    def read(table: "_Table") -> What:
        if "key" in table:
            plain = {"kind": "about-key", "command": _tag(kind), "vp": table.hex("key")}
            return from_plain(AboutKey, plain)
        parts = table.hexes("key-of-parts")
        plain = {"kind": "about-key-of-parts", "command": _tag(kind), "parts": parts}
        return from_plain(AboutKeyOfParts, plain)

    return read


_READ: dict[str, Callable[["_Table"], What]] = {
    _tag(AddAdministrator): _adding,
    _tag(RemoveAdministrator): _removing,
    _tag(SetThresholds): _thresholds,
    _tag(LoadNewRegister): _load,
    _tag(CommitNewRegister): _about_key(CommitNewRegister),
    _tag(SetImmediate): _about_key(SetImmediate),
    _tag(ClearNewRegister): _about_key(ClearNewRegister),
    _tag(ClearCurrentRegister): _about_key(ClearCurrentRegister),
    _tag(SetControlPoint): _control_point,
    _tag(SetAttribute): _attribute,
    _tag(AddKeyUser): _key_user_in,
    _tag(RemoveKeyUser): _key_user_out,
    _tag(Zeroize): lambda table: _exactly(Zeroize),
}
"""The commands that a policy can name. A void and a clock can't be written down beforehand."""


class _Table:
    """A TOML table that is read key by key; what is left over at the end is unknown."""

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self._left = dict(values)
        self.place = place

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str) -> Any:
        if key not in self._left:
            raise BadPolicy(f"{self.place} has no {key}")
        return self._left.pop(key)

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str):
            raise BadPolicy(f"{self.place}: {key} is text")
        return value

    def texts(self, key: str) -> list[str]:
        value = self.take(key)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise BadPolicy(f"{self.place}: {key} is a list of texts")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        if key not in self._left and default is not None:
            return default
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadPolicy(f"{self.place}: {key} is a whole number")
        return value

    def switch(self, key: str) -> bool:
        value = self.take(key)
        if not isinstance(value, bool):
            raise BadPolicy(f"{self.place}: {key} is true or false")
        return value

    def hex(self, key: str) -> bytes:
        return self._hex(key, self.take(key))

    def hexes(self, key: str) -> list[bytes]:
        value = self.take(key)
        if not isinstance(value, list):
            raise BadPolicy(f"{self.place}: {key} is a list")
        return [self._hex(key, one) for one in value]

    def tables(self, key: str) -> list["_Table"]:
        value = self.take(key)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise BadPolicy(f"{self.place}: {key} is a list of tables")
        return [_Table(one, f"{key} {number}") for number, one in enumerate(value, start=1)]

    def done(self) -> None:
        if self._left:
            raise BadPolicy(f"{self.place} has what it can't have: {', '.join(sorted(self._left))}")

    def _hex(self, key: str, value: object) -> bytes:
        if not isinstance(value, str) or not _HEX.fullmatch(value):
            raise BadPolicy(f"{self.place}: {key} is 64 hex digits, lower case")
        return bytes.fromhex(value)


def _instant(value: object) -> Instant:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BadPolicy("until is a time with its zone, as in 2026-11-27T17:00:00Z")
    return Instant(int(value.timestamp() * 1000))
