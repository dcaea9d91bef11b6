"""What must hold after every step of a ceremony, whatever goes wrong: DESIGN §2, by this ceremony.

Nothing here asks the code that it checks: units' entries are read as plain msgpack, hashed and
counted here, and compared with what people's keys really signed.
"""

import hashlib
from typing import Any

import msgpack

from protocol.commands.command import Contribution
from protocol.identifiers import Digest, UnitId
from protocol.request import Outcome, Request, RequestState
from protocol.session.messages import Approve, Contribute, UnitApproval
from tests.sim.ceremony import MASTER_KEY, PARTS, Ceremony
from tests.sim.store import Store
from tests.sim.unit import SimUnit, UnitDisk

COMMAND = b"quorate command v1\0"
HISTORY = b"quorate history v1\0"
SIGNATURES = {
    # imprint mode, afterwards
    "add-administrator": (0, 2),
    "set-thresholds": (2, 2),
    "load-new-register": (None, 1),
    "commit-new-register": (None, 2),
    "set-immediate": (None, 1),
}
"""How many people must have signed, in this ceremony; None: it must not run."""
RUNNING = (RequestState.EXECUTING, RequestState.PARTLY_EXECUTED, RequestState.EXECUTED)
VP_OF_KEY = hashlib.sha256(MASTER_KEY).digest()


class Broken(AssertionError):
    """A promise was broken; `which` is the invariant's name."""

    def __init__(self, which: str, what: str) -> None:
        super().__init__(f"{which}: {what}")
        self.which = which


QUORUM = "no unit runs what a quorum didn't sign"
ONCE = "nothing runs twice"
CHAIN = "receipts are one chain"
ONE_KEY = "the key parts make one master key, on every unit"
ALL_OR_STATED = "what ran on some units only is stated so"
PROVEN = "nothing is said to have run without its receipt"
DURABLE = "what was acknowledged is durable"
FINAL = "an end is an end"
SECRET = "no key part passes in the clear"
CALM = "nothing that honest parties do raises an alarm"

ALL = (QUORUM, ONCE, CHAIN, ONE_KEY, ALL_OR_STATED, PROVEN, DURABLE, FINAL, SECRET, CALM)


class Watch:
    """Looks at a ceremony after every step, at what is new since the last."""

    def __init__(self, ceremony: Ceremony) -> None:
        self.ceremony = ceremony
        self._disks: list[UnitDisk | None] = [None for _ in ceremony.units]
        self._store: Store | None = None
        self._read: dict[UnitId, list[dict[str, Any]]] = {unit.id: [] for unit in ceremony.units}
        self._ran: dict[bytes, set[UnitId]] = {}
        """By request digest, the units that have run it."""
        self._commands: set[bytes] = set()
        self.states: set[RequestState] = set()
        """All states that a request was seen in."""
        self._requests: dict[int, Request] = {}
        self._acknowledged = {agent.name: 0 for agent in ceremony.agents}
        self._people = {key.ski: agent for agent in ceremony.agents for key in agent.who.keys}

    def look(self) -> None:
        """Raises Broken where something doesn't hold."""
        for number, unit in enumerate(self.ceremony.units):
            if unit.disk is not self._disks[number]:
                self._disks[number] = unit.disk
                self._new_entries(unit)
        store = self.ceremony.coordinator.store
        if store is not self._store:
            self._store = store
            for number, request in store.requests.items():
                before = self._requests.get(number)
                if request is not before:
                    self._new_request(before, request)
                    self._requests[number] = request
        for agent in self.ceremony.agents:
            if agent.alarms:
                raise Broken(CALM, f"{agent.name}: {agent.alarms[0].what}")
            if len(agent.done) > self._acknowledged[agent.name]:
                for publication in agent.done[self._acknowledged[agent.name] :]:
                    if isinstance(publication, Approve | Contribute):
                        self._is_there(publication)
                self._acknowledged[agent.name] = len(agent.done)

    # --- units ----------------------------------------------------------------------------------

    def _new_entries(self, unit: SimUnit) -> None:
        read = self._read[unit.id]
        for signed in unit.disk.entries[len(read) :]:
            self._new_entry(unit, signed.statement, read)
        self._registers(unit)

    def _new_entry(self, unit: SimUnit, statement: bytes, read: list[dict[str, Any]]) -> None:
        entry: dict[str, Any] = msgpack.unpackb(statement)
        entry["hash"] = hashlib.sha256(HISTORY + statement).digest()
        last = read[-1] if read else None
        self._chained(unit, entry, last)
        read.append(entry)
        if entry["kind"] == "birth":
            return
        command = msgpack.unpackb(entry["command"])
        if entry["command"] in self._commands:
            raise Broken(ONCE, f"{unit.name} ran {command['body']['kind']} again")
        self._commands.add(entry["command"])
        ran = self._ran.setdefault(command["request"], set())
        if unit.id in ran:
            raise Broken(ONCE, f"{unit.name} ran another command of the same request")
        ran.add(unit.id)
        self._quorum(unit, entry, command["body"]["kind"])
        self._stated(Digest(command["request"]), unit)

    def _chained(self, unit: SimUnit, entry: dict[str, Any], last: dict[str, Any] | None) -> None:
        previous = None if last is None else last["hash"]
        version = 1 if last is None else last["version"] + 1
        if (entry["previous"], entry["version"]) != (previous, version):
            raise Broken(CHAIN, f"{unit.name}: entry {entry['version']} doesn't follow")
        if last is not None and entry.get("before") != last["after"]:
            raise Broken(CHAIN, f"{unit.name}: entry {entry['version']} begins in another state")

    def _quorum(self, unit: SimUnit, entry: dict[str, Any], kind: str) -> None:
        message = COMMAND + entry["command"]
        signers = {self._people.get(one["ski"]) for one in entry["approvals"]}
        meant = {agent.name for agent in signers if agent is not None and message in agent.signed}
        imprint = entry["before"]["signature_threshold"] == 0
        needed = SIGNATURES[kind][0 if imprint else 1]
        if needed is None or len(meant) < needed:
            raise Broken(QUORUM, f"{unit.name} ran {kind}, meant by {sorted(meant)}")
        if len(meant) != len(signers):
            raise Broken(QUORUM, f"{unit.name} counted a signature that nobody gave")

    def _registers(self, unit: SimUnit) -> None:
        state = self._read[unit.id][-1]["after"]
        for register in (state["new"], state["current"]):
            if register["vp"] not in (None, VP_OF_KEY):
                raise Broken(ONE_KEY, f"{unit.name} holds another key")

    def _stated(self, digest: Digest, unit: SimUnit) -> None:
        request = self.ceremony.coordinator.store.opened(digest)
        if request is None or request.state not in RUNNING:
            state = None if request is None else request.state
            raise Broken(ALL_OR_STATED, f"{unit.name} ran a request that is {state}")

    # --- requests -------------------------------------------------------------------------------

    def _new_request(self, before: Request | None, request: Request) -> None:
        self.states.add(request.state)
        if before is not None and before.ended and not request.ended:
            raise Broken(FINAL, f"request {request.id} was {before.state}, is {request.state}")
        digest = b"" if request.opening is None else request.opening.digest
        ran = self._ran.get(digest, set())
        for one in request.progress:
            if one.outcome is Outcome.EXECUTED and one.unit not in ran:
                raise Broken(PROVEN, f"request {request.id} is said to have run")
            for contribution in one.contributions:
                if any(part in contribution.statement for part in PARTS.values()):
                    raise Broken(SECRET, f"request {request.id} shows a key part")
        whole = request.state is RequestState.EXECUTED
        if whole and ran != {one.unit for one in request.progress}:
            raise Broken(ALL_OR_STATED, f"request {request.id} is said to have run everywhere")

    def _is_there(self, publication: Approve | Contribute) -> None:
        request = self.ceremony.coordinator.store.opened(publication.request)
        if request is None:
            raise Broken(DURABLE, "a request was lost")
        for given in (
            publication.approvals if isinstance(publication, Approve) else publication.contributions
        ):
            one = request.progress_on(given.unit)
            if one is None or not one.open:
                continue
            if isinstance(given, UnitApproval):
                there = given.approval in one.approvals
            else:  # the same part may have come sealed anew
                there = _vp(given.contribution) in map(_vp, one.contributions)
            if not there:
                raise Broken(DURABLE, f"request {request.id} lacks what was acknowledged")


def _vp(contribution: Contribution) -> bytes:
    return bytes(msgpack.unpackb(contribution.statement)["vp"])


def watched(ceremony: Ceremony) -> Ceremony:
    """The ceremony, looked at after every step."""
    watch(ceremony)
    return ceremony


def watch(ceremony: Ceremony) -> Watch:
    """Who looks at it."""
    eyes = Watch(ceremony)
    ceremony.world.look = eyes.look
    return eyes


def how_it_ended(ceremony: Ceremony) -> list[tuple[str, ...]]:
    """What each unit has run, in order, and what it holds: the same whatever the weather was."""
    ended: list[tuple[str, ...]] = []
    for unit in ceremony.units:
        entries = [msgpack.unpackb(signed.statement) for signed in unit.disk.entries]
        kinds = [
            msgpack.unpackb(entry["command"])["body"]["kind"]
            for entry in entries
            if entry["kind"] == "receipt"
        ]
        after = entries[-1]["after"]
        names = [one["name"] for one in after["administrators"]]
        registers = [f"{name} {after[name]['state']}" for name in ("new", "current")]
        thresholds = f"{after['signature_threshold']} and {after['revocation_threshold']}"
        ended.append((*kinds, *sorted(names), thresholds, *registers))
    return ended
