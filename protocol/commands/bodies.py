"""The kinds of commands with their parameters.

Fields are bounded only so far that they can be carried: that a threshold is 1 to 8 or that a load
has two or three parts is for `protocol.commands.rules` to say, by name.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from protocol.claims import ProvenKey
from protocol.identifiers import SKI, VP, Bytes32, CommandId, IdentityKey, Instant, UnitId
from protocol.schema import Struct, Variant

_Small = Annotated[int, msgspec.Meta(ge=0, le=255)]


class AddAdministrator(Variant, tag="add-administrator"):
    """Installs a signature key's public half under the name in its claim."""

    key: ProvenKey


class RemoveAdministrator(Variant, tag="remove-administrator"):
    """Removes the administrator with this key."""

    ski: SKI


class SetThresholds(Variant, tag="set-thresholds"):
    """Sets both thresholds; in imprint mode this leaves it."""

    signatures: _Small
    revocations: _Small


class NamedPart(Struct):
    """A key part and the identity key of the custodian whose agent gives it."""

    vp: VP
    custodian: IdentityKey


class LoadNewRegister(Variant, tag="load-new-register"):
    """XORs the named key parts into the empty new master key register."""

    parts: Annotated[tuple[NamedPart, ...], msgspec.Meta(max_length=8)]


class CommitNewRegister(Variant, tag="commit-new-register"):
    """Confirms the key in the new master key register."""

    vp: VP


class SetImmediate(Variant, tag="set-immediate"):
    """Makes the committed key current at once; re-enciphers nothing."""

    vp: VP


class ClearNewRegister(Variant, tag="clear-new-register"):
    """Empties the new master key register, which holds this key."""

    vp: VP


class ClearCurrentRegister(Variant, tag="clear-current-register"):
    """Empties the current master key register, which holds this key."""

    vp: VP


class Void(Variant, tag="void"):
    """Changes nothing but the state version: every signature given for the state before is dead."""


class SetClock(Variant, tag="set-clock"):
    """Sets the unit's clock, whose high-water mark a wrong clock had pushed ahead."""

    to: Instant


class SetControlPoint(Variant, tag="set-control-point"):
    """Sets or unsets one control point by number."""

    point: _Small
    on: bool


class SetAttribute(Variant, tag="set-attribute"):
    """Switches an attribute of the unit on or off."""

    attribute: Annotated[str, msgspec.Meta(max_length=40)]
    on: bool


class GenerateRandom(Variant, tag="generate-random"):
    """Recovery units: a random key, made inside the unit, into the empty new register."""


class Held(StrEnum):
    """Which master key register holds a key."""

    NEW = "new"
    CURRENT = "current"


class ExportKey(Variant, tag="export-key"):
    """Recovery units: seals the register's key for each receiver.

    `docs/decisions/0010-recovery-units.md`. Receivers in ascending order; only certificates by
    these vendor roots, ascending too, count.
    """

    register: Held
    vp: VP
    receivers: Annotated[tuple[UnitId, ...], msgspec.Meta(max_length=32)]
    vendor_roots: Annotated[tuple[IdentityKey, ...], msgspec.Meta(max_length=32)]


class ImportKey(Variant, tag="import-key"):
    """Opens the copy that an export sealed for this unit into the empty new register."""

    export: CommandId
    source: IdentityKey
    vp: VP


class AddKeyUser(Variant, tag="add-key-user"):
    """Lets an Ed25519 public key use the keys in key storage, with these rights, under a name."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    public_key: Bytes32
    rights: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=40)], ...], msgspec.Meta(max_length=8)
    ]


class RemoveKeyUser(Variant, tag="remove-key-user"):
    """Removes the key user with this public key."""

    public_key: Bytes32


class Zeroize(Variant, tag="zeroize"):
    """Clears administrators, registers, thresholds, attributes, control points, key users; imprint
    mode."""


Body = (
    AddAdministrator
    | RemoveAdministrator
    | SetThresholds
    | LoadNewRegister
    | CommitNewRegister
    | SetImmediate
    | ClearNewRegister
    | ClearCurrentRegister
    | Void
    | SetClock
    | SetControlPoint
    | SetAttribute
    | GenerateRandom
    | ExportKey
    | ImportKey
    | AddKeyUser
    | RemoveKeyUser
    | Zeroize
)

KINDS: tuple[type[Body], ...] = (
    AddAdministrator,
    RemoveAdministrator,
    SetThresholds,
    LoadNewRegister,
    CommitNewRegister,
    SetImmediate,
    ClearNewRegister,
    ClearCurrentRegister,
    Void,
    SetClock,
    SetControlPoint,
    SetAttribute,
    GenerateRandom,
    ExportKey,
    ImportKey,
    AddKeyUser,
    RemoveKeyUser,
    Zeroize,
)


def kind_of(body: Body) -> str:
    """The kind's name in the bytes."""
    return str(type(body).__struct_config__.tag)


TKE_NAMES: dict[type[Body], str] = {
    AddAdministrator: "cryptounit-admin-add",
    RemoveAdministrator: "cryptounit-admin-rm",
    SetThresholds: "cryptounit-thrhld-set",
    LoadNewRegister: "cryptounit-mk-load",
    CommitNewRegister: "cryptounit-mk-commit",
    SetImmediate: "cryptounit-mk-setimm",
    ClearNewRegister: "cryptounit-mk-clrnew",
    ClearCurrentRegister: "cryptounit-mk-clrcur",
    SetControlPoint: "cryptounit-cp",
    Zeroize: "cryptounit-zeroize",
}


def tke_name_of(body: Body) -> str:
    """The command of the TKE plug-in that asks for it; ours where TKE has none."""
    return TKE_NAMES.get(type(body), kind_of(body))
