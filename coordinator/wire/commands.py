"""Commands as an operator asks for them: people and keys by what the charter calls them."""

from typing import Annotated, Literal

import msgspec

from coordinator.wire.values import Hex32, Json, Kind, Time

_Small = Annotated[int, msgspec.Meta(ge=0, le=255)]


class AddAdministrator(Kind, tag="add-administrator"):
    """Installs a signature key of the charter."""

    ski: Hex32


class RemoveAdministrator(Kind, tag="remove-administrator"):
    """Removes the administrator with this key."""

    ski: Hex32


class SetThresholds(Kind, tag="set-thresholds"):
    """Sets both thresholds; in imprint mode this leaves it."""

    signatures: _Small
    revocations: _Small


class Part(Json):
    """A key part, and the person of the charter who gives it."""

    vp: Hex32
    custodian: Annotated[str, msgspec.Meta(max_length=64)]


class LoadNewRegister(Kind, tag="load-new-register"):
    """Loads the empty new master key register from key parts."""

    parts: Annotated[tuple[Part, ...], msgspec.Meta(max_length=8)]


class CommitNewRegister(Kind, tag="commit-new-register"):
    """Confirms the key in the new master key register."""

    vp: Hex32


class SetImmediate(Kind, tag="set-immediate"):
    """Makes the committed key current at once; re-enciphers nothing."""

    vp: Hex32


class ClearNewRegister(Kind, tag="clear-new-register"):
    """Empties the new master key register, which holds this key."""

    vp: Hex32


class ClearCurrentRegister(Kind, tag="clear-current-register"):
    """Empties the current master key register, which holds this key."""

    vp: Hex32


class SetClock(Kind, tag="set-clock"):
    """Sets the units' clocks."""

    to: Time


class SetControlPoint(Kind, tag="set-control-point"):
    """Sets or unsets one control point by number."""

    point: _Small
    on: bool


class SetAttribute(Kind, tag="set-attribute"):
    """Switches an attribute of the units on or off."""

    attribute: Annotated[str, msgspec.Meta(max_length=40)]
    on: bool


class GenerateRandom(Kind, tag="generate-random"):
    """Makes a random master key inside a recovery unit, in its empty new register."""


class ExportKey(Kind, tag="export-key"):
    """Seals a recovery unit's key for each receiver; the charter's vendors certify them."""

    register: Literal["new", "current"]
    vp: Hex32
    receivers: Annotated[tuple[Hex32, ...], msgspec.Meta(min_length=1, max_length=32)]


class ImportKey(Kind, tag="import-key"):
    """Opens what a recovery unit exported to these units, by the id of its command."""

    export: Hex32
    source: Hex32
    vp: Hex32


class AddKeyUser(Kind, tag="add-key-user"):
    """Lets an Ed25519 public key use the keys in key storage, with these rights, under a name."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    public_key: Hex32
    rights: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=40)], ...], msgspec.Meta(max_length=8)
    ]


class RemoveKeyUser(Kind, tag="remove-key-user"):
    """Removes the key user with this public key."""

    public_key: Hex32


class Zeroize(Kind, tag="zeroize"):
    """Clears administrators, registers, thresholds, all."""


class Void(Kind, tag="void"):
    """Raises the state version. It is filed by voiding a request, and only shown here."""


Command = (
    AddAdministrator
    | RemoveAdministrator
    | SetThresholds
    | LoadNewRegister
    | CommitNewRegister
    | SetImmediate
    | ClearNewRegister
    | ClearCurrentRegister
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
"""What can be asked for."""

ShownCommand = Command | Void
"""What can be shown."""
