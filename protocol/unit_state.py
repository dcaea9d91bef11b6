"""The state document of a crypto unit: what its commands change and its signers see.

The document holds no secret. Its digest, together with the last receipt's hash, is what a command
is bound to (`docs/decisions/0001-signed-bytes.md`).
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any

import msgspec

from protocol.identifiers import SKI, VP, Bytes32, Digest
from protocol.schema import Struct
from protocol.signing.algorithms import Algorithm
from protocol.signing.labels import Label, digest


def _ascending(values: Iterable[Any]) -> bool:
    return all(a < b for a, b in pairwise(values))


MAX_ADMINISTRATORS = 8
MAX_THRESHOLD = 8
MAX_KEY_USERS = 64
CONTROL_POINTS = range(128)
CONTROL_POINT_NAMES = {55: "XCP_CPB_ALG_EC_25519", 66: "XCP_CPB_BTC", 67: "XCP_CPB_ECDSA_OTHER"}
"""The control points that TKE names; the numbers are Enterprise PKCS#11's."""


class RegisterState(StrEnum):
    """A master key register, in TKE's words."""

    EMPTY = "Empty"
    FULL_UNCOMMITTED = "Full uncommitted"
    FULL_COMMITTED = "Full committed"
    VALID = "Valid"


class Register(Struct):
    """A master key register as others see it. `vp` is None exactly when it is empty."""

    state: RegisterState
    vp: VP | None

    def invariant(self) -> str | None:
        if (self.state is RegisterState.EMPTY) != (self.vp is None):
            return "a register has a verification pattern unless it is empty"
        return None


EMPTY = Register(state=RegisterState.EMPTY, vp=None)


class Attribute(StrEnum):
    """What a unit permits; set by command."""

    ZEROIZE_ONE = "zeroize-one"
    """One signature is enough for zeroize."""


class KeyRight(StrEnum):
    """What a key user may do in key storage."""

    CREATE = "create"
    DELETE = "delete"
    UNWRAP = "unwrap"
    WRAP = "wrap"


class KeyUser(Struct):
    """Somebody who may use keys: an Ed25519 public key with rights."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    public_key: Bytes32
    rights: tuple[KeyRight, ...]


class Administrator(Struct):
    """A signature key's public half, installed under a name."""

    ski: SKI
    algorithm: Algorithm
    public_key: bytes
    name: str

    def invariant(self) -> str | None:
        if hashlib.sha256(self.public_key).digest() != self.ski:
            return "an SKI is the SHA-256 of the public key"
        return None


_Threshold = Annotated[int, msgspec.Meta(ge=0, le=MAX_THRESHOLD)]


class UnitState(Struct):
    """All that a unit's commands can change, but for secrets, importer keys and clocks."""

    administrators: tuple[Administrator, ...]
    signature_threshold: _Threshold
    revocation_threshold: _Threshold
    new: Register
    current: Register
    control_points: tuple[Annotated[int, msgspec.Meta(ge=0, lt=128)], ...]
    attributes: tuple[Attribute, ...]
    key_users: tuple[KeyUser, ...]

    def invariant(self) -> str | None:
        skis = [administrator.ski for administrator in self.administrators]
        if len(skis) > MAX_ADMINISTRATORS:
            return "more than 8 administrators"
        if len(self.key_users) > MAX_KEY_USERS:
            return "more than 64 key users"
        for what, values in (
            ("administrators", skis),
            ("control points", self.control_points),
            ("attributes", self.attributes),
            ("key users", [user.public_key for user in self.key_users]),
        ):
            if not _ascending(values):
                return f"{what} are not in ascending order"
        if (self.signature_threshold == 0) != (self.revocation_threshold == 0):
            return "either both thresholds are 0 or neither is"
        if self.new.state is RegisterState.VALID:
            return "the new master key register is never Valid"
        if self.current.state not in (RegisterState.EMPTY, RegisterState.VALID):
            return "the current master key register is Empty or Valid"
        return None

    @property
    def imprint(self) -> bool:
        """Whether the unit is in imprint mode: thresholds 0, not secure."""
        return self.signature_threshold == 0

    def administrator(self, ski: SKI) -> Administrator | None:
        """The installed administrator with this key, if there is one."""
        return next((one for one in self.administrators if one.ski == ski), None)

    def key_user(self, public_key: Bytes32) -> KeyUser | None:
        """The installed key user with this public key, if there is one."""
        return next((one for one in self.key_users if one.public_key == public_key), None)


IMPRINT = UnitState(
    administrators=(),
    signature_threshold=0,
    revocation_threshold=0,
    new=EMPTY,
    current=EMPTY,
    control_points=(),
    attributes=(Attribute.ZEROIZE_ONE,),
    key_users=(),
)
"""The cleared state in which a unit starts and to which zeroize returns it."""


class _BoundState(Struct):
    state: UnitState
    last_receipt: Digest


def state_digest(state: UnitState, last_receipt: Digest) -> Digest:
    """What a command is bound to: the state document, then the last receipt's hash."""
    return digest(Label.STATE, _BoundState(state=state, last_receipt=last_receipt))
