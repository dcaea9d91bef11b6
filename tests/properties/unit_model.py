"""A reference model of the crypto unit, from the design and the field's published rules alone.

It is slow, plain and complete: `objections` lists *every* rule that a command breaks, by the name
that the catalogue of refusals has for it; a command that breaks none runs. It holds text, numbers
and bytes, and imports nothing of ours, so that it can't share a mistake with the code it checks.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

MINUTE = 60_000
WEEK = 7 * 24 * 60 * MINUTE
PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")
VP: TypeAlias = bytes
CUSTODIAN: TypeAlias = bytes

NOT_IN_IMPRINT_MODE = {
    "load-new-register",
    "commit-new-register",
    "set-immediate",
    "clear-new-register",
    "clear-current-register",
    "set-control-point",
    "set-attribute",
    "generate-random",
    "export-key",
    "import-key",
    "add-key-user",
    "remove-key-user",
}
ONE_SIGNATURE = {
    "load-new-register",
    "generate-random",
    "import-key",
    "set-immediate",
    "clear-new-register",
    "clear-current-register",
    "void",
}
SIGNATURE_THRESHOLD = {
    "add-administrator",
    "commit-new-register",
    "set-clock",
    "set-control-point",
    "set-attribute",
    "export-key",
    "add-key-user",
    "remove-key-user",
}
RIGHTS = {"create", "delete", "unwrap", "wrap"}

RULES = frozenset(
    {
        "ADMINISTRATOR_EXISTS",
        "ADMINISTRATOR_KEY",
        "ADMINISTRATOR_NAME",
        "ATTRIBUTE_UNKNOWN",
        "CONTROL_POINT_UNKNOWN",
        "COPY_UNREADABLE",
        "EXPORT_UNPROVEN",
        "IMPORTER_KEY_UNKNOWN",
        "IMPRINT_MODE",
        "KEY_USER_EXISTS",
        "KEY_USER_KEY",
        "KEY_USER_NAME",
        "KEY_USER_RIGHTS",
        "NEW_REGISTER_NOT_COMMITTED",
        "NEW_REGISTER_NOT_EMPTY",
        "NEW_REGISTER_NOT_UNCOMMITTED",
        "NOT_YET_VALID",
        "NO_SUCH_ADMINISTRATOR",
        "NO_SUCH_KEY_USER",
        "PART_AUTHOR",
        "PART_COUNT",
        "PART_MISMATCH",
        "PART_MISSING",
        "PART_TWICE",
        "PART_UNREADABLE",
        "RECEIVERS",
        "RECEIVER_UNLIKE",
        "RECEIVER_UNPROVEN",
        "REGISTER_EMPTY",
        "REMOVAL_LEAVES_THRESHOLD",
        "REVOCATION_ABOVE_ADMINISTRATORS",
        "REVOCATION_THRESHOLD_RANGE",
        "SAME_KEY_AGAIN",
        "SIGNATURE_INVALID",
        "SIGNATURE_THRESHOLD_RANGE",
        "SIGNER_UNKNOWN",
        "STATE_CHANGED",
        "THRESHOLD_ABOVE_ADMINISTRATORS",
        "TOO_FEW_SIGNATURES",
        "TOO_MANY_ADMINISTRATORS",
        "TOO_MANY_KEY_USERS",
        "VALID_TOO_LONG",
        "VP_MISMATCH",
        "WRONG_INCARNATION",
        "WRONG_UNIT",
    }
)
"""Every rule that a unit can refuse by."""


@dataclass(frozen=True)
class Part:
    """A key part as it came: what it says of itself, and what is in it (None: it doesn't open)."""

    vp: VP
    custodian: CUSTODIAN
    for_this_load: bool
    signed_by_custodian: bool
    value: bytes | None


@dataclass(frozen=True)
class Receiver:
    """A receiver as its proof shows it: who, whether all of it holds, and how it is governed."""

    unit: bytes
    holds: bool
    key: bytes
    administrators: Mapping[bytes, str]
    thresholds: tuple[int, int]


@dataclass(frozen=True)
class Export:
    """A receipt that came with an import. `copies` are (receiver, the value that is in it)."""

    command: bytes
    source: bytes
    vp: VP
    request: bytes
    copies: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Ask:
    """A command that is sent to the unit, in plain words.

    `signatures` are (SKI, whether it verifies), as they were sent. `importer` is the request that
    the named importer key was really made for, None when there was never such a key. `signed_for`
    are the receivers that an export's signers saw.
    """

    id: bytes
    kind: str
    want: Mapping[str, Any]
    unit: bytes
    life: tuple[int, bytes]
    version: int
    state_as_seen: bool
    not_before: int
    not_after: int
    signatures: tuple[tuple[bytes, bool], ...]
    request: bytes = b""
    importer: tuple[int, bytes] | None = None
    parts: tuple[Part, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    signed_for: tuple[Receiver, ...] = ()
    export: Export | None = None


@dataclass
class UnitModel:
    """A recovery unit: it can do all that others can. `importers` are requests that have an
    importer key in this state, and when it was made."""

    unit: bytes
    life: tuple[int, bytes]
    clock: int
    version: int = 1
    administrators: dict[bytes, str] = field(default_factory=dict)
    signatures: int = 0
    revocations: int = 0
    new: tuple[str, VP | None] = ("Empty", None)
    current: tuple[str, VP | None] = ("Empty", None)
    points: set[int] = field(default_factory=set)
    attributes: set[str] = field(default_factory=lambda: {"zeroize-one"})
    key_users: dict[bytes, tuple[str, frozenset[str]]] = field(default_factory=dict)
    importers: list[tuple[bytes, int]] = field(default_factory=list)
    ran: set[bytes] = field(default_factory=set)

    @property
    def imprint(self) -> bool:
        return self.signatures == 0

    def time(self, now: int) -> int:
        """The unit's clock never runs backwards."""
        return max(now, self.clock)

    # --- what is asked of every command -----------------------------------------------------------

    def objections(self, ask: Ask, now: int) -> set[str]:
        """Every rule that the command breaks. None, and it runs."""
        broken = self._bound(ask) | self._in_time(ask, self.time(now)) | self._signed(ask)
        return broken | self._of_its_kind(ask, self.time(now))

    def _bound(self, ask: Ask) -> set[str]:
        broken = set()
        if ask.unit != self.unit:
            broken.add("WRONG_UNIT")
        if ask.life != self.life:
            broken.add("WRONG_INCARNATION")
        if ask.version != self.version or not ask.state_as_seen:
            broken.add("STATE_CHANGED")
        return broken

    def _in_time(self, ask: Ask, at: int) -> set[str]:
        broken = set()
        if ask.not_after - ask.not_before > WEEK:
            broken.add("VALID_TOO_LONG")
        if ask.kind != "set-clock":
            if at < ask.not_before:
                broken.add("NOT_YET_VALID")
            if at >= ask.not_after - MINUTE:
                broken.add("EXPIRED")
        return broken

    def _signed(self, ask: Ask) -> set[str]:
        broken, counted = set(), dict[bytes, bool]()
        for ski, verifies in ask.signatures:
            counted.setdefault(ski, verifies)
        for ski, verifies in counted.items():
            if ski not in self.administrators:
                broken.add("SIGNER_UNKNOWN")
            elif not verifies:
                broken.add("SIGNATURE_INVALID")
        if self.imprint and ask.kind in NOT_IN_IMPRINT_MODE:
            broken.add("IMPRINT_MODE")
        elif len(counted) < self.needed(ask.kind, ask.want):
            broken.add("TOO_FEW_SIGNATURES")
        return broken

    def needed(self, kind: str, want: Mapping[str, Any]) -> int:
        """How many signatures a command needs, by the table in the design."""
        if self.imprint:
            return int(want["signatures"]) if kind == "set-thresholds" else 0
        if kind in ONE_SIGNATURE:
            return 1
        if kind in SIGNATURE_THRESHOLD:
            return self.signatures
        if kind == "remove-administrator":
            return self.revocations
        if kind == "zeroize":
            return 1 if "zeroize-one" in self.attributes else self.signatures
        assert kind == "set-thresholds"
        if want["revocations"] < self.revocations:
            return max(self.signatures, self.revocations)
        return self.signatures

    # --- what each kind asks ----------------------------------------------------------------------

    def _of_its_kind(self, ask: Ask, at: int) -> set[str]:
        if ask.kind == "import-key":
            return self._import_key(ask, at)
        check: Callable[[Ask], set[str]] | None = getattr(
            self, "_" + ask.kind.replace("-", "_"), None
        )
        return check(ask) if check else set()

    def _add_administrator(self, ask: Ask) -> set[str]:
        broken, name = set(), ask.want["name"]
        if not 1 <= len(name) <= 30 or not set(name) <= PRINTABLE or name != name.strip(" "):
            broken.add("ADMINISTRATOR_NAME")
        if not ask.want["proven"]:
            broken.add("ADMINISTRATOR_KEY")
        if ask.want["ski"] in self.administrators:
            broken.add("ADMINISTRATOR_EXISTS")
        if len(self.administrators) >= 8:
            broken.add("TOO_MANY_ADMINISTRATORS")
        return broken

    def _remove_administrator(self, ask: Ask) -> set[str]:
        broken = set()
        if ask.want["ski"] not in self.administrators:
            broken.add("NO_SUCH_ADMINISTRATOR")
        if len(self.administrators) - 1 < max(self.signatures, self.revocations):
            broken.add("REMOVAL_LEAVES_THRESHOLD")
        return broken

    def _set_thresholds(self, ask: Ask) -> set[str]:
        broken = set()
        for what, rule in (("signatures", "SIGNATURE"), ("revocations", "REVOCATION")):
            if ask.want[what] not in range(1, 9):
                broken.add(f"{rule}_THRESHOLD_RANGE")
        if ask.want["signatures"] > len(self.administrators):
            broken.add("THRESHOLD_ABOVE_ADMINISTRATORS")
        if ask.want["revocations"] > len(self.administrators):
            broken.add("REVOCATION_ABOVE_ADMINISTRATORS")
        return broken

    def _load_new_register(self, ask: Ask) -> set[str]:
        broken, named = set(), ask.want["parts"]
        if len(named) not in (2, 3):
            broken.add("PART_COUNT")
        if len({vp for vp, _ in named}) < len(named):
            broken.add("PART_TWICE")
        if self.new[0] != "Empty":
            broken.add("NEW_REGISTER_NOT_EMPTY")
        made = {request for request, _ in self.importers}
        if ask.importer != (self.version, ask.request) or ask.request not in made:
            broken.add("IMPORTER_KEY_UNKNOWN")
        values = []
        for vp, custodian in named:
            wrong, value = self._part(ask, vp, custodian)
            broken |= wrong
            values.append(value)
        if not any(rule.startswith("PART_") for rule in broken):
            key = self._together(values)
            if self.current[1] == hashlib.sha256(key).digest():
                broken.add("SAME_KEY_AGAIN")
        return broken

    def _part(self, ask: Ask, vp: VP, custodian: CUSTODIAN) -> tuple[set[str], bytes]:
        """What is wrong with the part that was named so, and its value."""
        about = [one for one in ask.parts if one.signed_by_custodian and one.for_this_load]
        right = [one for one in about if (one.vp, one.custodian) == (vp, custodian)]
        if not right:
            others = any(one.vp == vp for one in about)
            forged = any(not one.signed_by_custodian for one in ask.parts)
            return {"PART_AUTHOR" if others or forged else "PART_MISSING"}, b""
        if right[0].value is None:
            return {"PART_UNREADABLE"}, b""
        if hashlib.sha256(right[0].value).digest() != vp:
            return {"PART_MISMATCH"}, b""
        return set(), right[0].value

    @staticmethod
    def _together(values: list[bytes]) -> bytes:
        """The XOR of all parts."""
        key = 0
        for value in values:
            key ^= int.from_bytes(value, "big")
        return key.to_bytes(32, "big")

    def _generate_random(self, _: Ask) -> set[str]:
        return set() if self.new[0] == "Empty" else {"NEW_REGISTER_NOT_EMPTY"}

    def _export_key(self, ask: Ask) -> set[str]:
        broken, named = set(), ask.want["receivers"]
        for some in (named, ask.want["vendor_roots"]):
            if not some or list(some) != sorted(set(some)):
                broken.add("RECEIVERS")
        register = self.new if ask.want["register"] == "new" else self.current
        if register[1] != ask.want["vp"]:
            broken.add("VP_MISMATCH")
        if not all(one.holds for one in ask.receivers) or ask.receivers != ask.signed_for:
            broken.add("RECEIVER_UNPROVEN")
        if [one.unit for one in ask.receivers] != list(named):
            broken.add("RECEIVER_UNPROVEN")
        for one in ask.receivers:
            governed = (dict(one.administrators), one.thresholds)
            if governed != (self.administrators, (self.signatures, self.revocations)):
                broken.add("RECEIVER_UNLIKE")
        return broken

    def _import_key(self, ask: Ask, at: int) -> set[str]:
        broken, export = set(), ask.export
        if self.new[0] != "Empty":
            broken.add("NEW_REGISTER_NOT_EMPTY")
        if self.current[1] == ask.want["vp"]:
            broken.add("SAME_KEY_AGAIN")
        wanted = (ask.want["export"], ask.want["source"], ask.want["vp"])
        if export is None or (export.command, export.source, export.vp) != wanted:
            return broken | {"EXPORT_UNPROVEN"}
        mine = [value for receiver, value in export.copies if receiver == self.unit]
        if not mine:
            return broken | {"EXPORT_UNPROVEN"}
        if not any(
            request == export.request and at - made <= WEEK for request, made in self.importers
        ):
            return broken | {"IMPORTER_KEY_UNKNOWN"}
        if hashlib.sha256(mine[0]).digest() != ask.want["vp"]:
            broken.add("COPY_UNREADABLE")
        return broken

    def _commit_new_register(self, ask: Ask) -> set[str]:
        return self._holds(ask, self.new, "Full uncommitted", "NEW_REGISTER_NOT_UNCOMMITTED")

    def _set_immediate(self, ask: Ask) -> set[str]:
        return self._holds(ask, self.new, "Full committed", "NEW_REGISTER_NOT_COMMITTED")

    def _clear_new_register(self, ask: Ask) -> set[str]:
        return self._holds(ask, self.new, self.new[0], "REGISTER_EMPTY")

    def _clear_current_register(self, ask: Ask) -> set[str]:
        return self._holds(ask, self.current, self.current[0], "REGISTER_EMPTY")

    @staticmethod
    def _holds(ask: Ask, register: tuple[str, VP | None], state: str, otherwise: str) -> set[str]:
        broken = set()
        if register[0] != state or register[0] == "Empty":
            broken.add(otherwise)
        if register[1] != ask.want["vp"]:
            broken.add("VP_MISMATCH")
        return broken

    @staticmethod
    def _set_control_point(ask: Ask) -> set[str]:
        return set() if ask.want["point"] in range(128) else {"CONTROL_POINT_UNKNOWN"}

    @staticmethod
    def _set_attribute(ask: Ask) -> set[str]:
        return set() if ask.want["attribute"] == "zeroize-one" else {"ATTRIBUTE_UNKNOWN"}

    def _add_key_user(self, ask: Ask) -> set[str]:
        broken, name, rights = set(), ask.want["name"], list(ask.want["rights"])
        if not 1 <= len(name) <= 64 or not set(name) <= PRINTABLE or name != name.strip(" "):
            broken.add("KEY_USER_NAME")
        if not ask.want["on_curve"]:
            broken.add("KEY_USER_KEY")
        if not rights or not set(rights) <= RIGHTS or sorted(set(rights)) != sorted(rights):
            broken.add("KEY_USER_RIGHTS")
        names = {there for there, _ in self.key_users.values()}
        if ask.want["public_key"] in self.key_users or name in names:
            broken.add("KEY_USER_EXISTS")
        if len(self.key_users) >= 64:
            broken.add("TOO_MANY_KEY_USERS")
        return broken

    def _remove_key_user(self, ask: Ask) -> set[str]:
        return set() if ask.want["public_key"] in self.key_users else {"NO_SUCH_KEY_USER"}

    # --- what changes -----------------------------------------------------------------------------

    def make_importer(self, request: bytes, now: int) -> None:
        """An importer key for a request; of more than sixteen the oldest goes."""
        if request not in {known for known, _ in self.importers}:
            self.importers = [*self.importers, (request, self.time(now))][-16:]

    def run(self, ask: Ask, now: int, fresh_life: bytes, drawn: VP | None) -> None:
        """A command that broke no rule: the state after it. `drawn` is a random key's pattern."""
        self.clock = self.time(now)
        self.version += 1
        self.importers = []
        self.ran.add(ask.id)
        want = ask.want
        match ask.kind:
            case "add-administrator":
                self.administrators[want["ski"]] = want["name"]
            case "remove-administrator":
                del self.administrators[want["ski"]]
            case "set-thresholds":
                self.signatures, self.revocations = want["signatures"], want["revocations"]
            case "load-new-register":
                values = [self._part(ask, *named)[1] for named in want["parts"]]
                vp = hashlib.sha256(self._together(values)).digest()
                self.new = ("Full uncommitted", vp)
            case "generate-random":
                assert drawn is not None
                self.new = ("Full uncommitted", drawn)
            case "import-key":
                self.new = ("Full uncommitted", want["vp"])
            case "commit-new-register":
                self.new = ("Full committed", self.new[1])
            case "set-immediate":
                self.current, self.new = ("Valid", self.new[1]), ("Empty", None)
            case "clear-new-register":
                self.new = ("Empty", None)
            case "clear-current-register":
                self.current = ("Empty", None)
            case "set-clock":
                self.clock = want["to"]
            case "set-control-point":
                (self.points.add if want["on"] else self.points.discard)(want["point"])
            case "set-attribute":
                change = self.attributes.add if want["on"] else self.attributes.discard
                change(want["attribute"])
            case "add-key-user":
                self.key_users[want["public_key"]] = (want["name"], frozenset(want["rights"]))
            case "remove-key-user":
                del self.key_users[want["public_key"]]
            case "zeroize":
                self.begin_life(fresh_life)

    def zeroize_by_hand(self, now: int, fresh_life: bytes) -> None:
        """Somebody at the host: no signature, no command."""
        self.clock = self.time(now)
        self.begin_life(fresh_life)

    def begin_life(self, fresh_life: bytes) -> None:
        """Everything is reset but the clock; a birth is an entry of the history like any other."""
        fresh = UnitModel(self.unit, (self.life[0] + 1, fresh_life), self.clock)
        fresh.version, fresh.ran = self.version + 1, self.ran
        self.__dict__.update(fresh.__dict__)
