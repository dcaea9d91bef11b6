"""A stack that a script drives one step after the other, without an event loop of its own.

    with Rehearsal(directory, people=3) as stack:
        stack.initialise()
        alice, bob, carol = stack.people
        number = alice.file("cryptounit-thrhld-set", "--signature", "3", "--revocation", "2")
        bob.approve(number)
        assert carol.wait(number)["state"] == "executed"

Everything goes by public commands; what they print with `--json` comes back as plain values. The
processes live as long as the `with` block; `docs/howto/script-a-ceremony.md` shows more.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from coordinator.rehearsal.acting import Actor, Operator, Part
from coordinator.rehearsal.ceremony import Ceremony
from coordinator.rehearsal.plan import Plan, Silent
from coordinator.rehearsal.stack import NAMES, UNITS, Stack
from protocol.files.charter_file import read_charter_file
from protocol.receipts import Receipt
from protocol.record.entries import Entry
from protocol.report.evidence import OwnEntry, SealedEvidence
from protocol.report.file import MAX_BYTES, VerifiedReport, read_report
from protocol.schema import from_bytes

T = TypeVar("T")


class Rehearsal:
    """A stack in a directory: units, a coordinator, custodians with an agent each. All practice.

    `people` are names, or how many; `units` are plans as `quorate unit init --unit` takes them, or
    how many of the usual four; `kind` makes another stack than the usual one. `with` starts
    everything, with the units in imprint mode and no charter.
    """

    def __init__(
        self,
        directory: Path,
        *,
        people: int | Sequence[str] = 3,
        units: int | Sequence[str] = 2,
        kind: Callable[..., Stack] = Stack,
    ) -> None:
        names = NAMES[:people] if isinstance(people, int) else tuple(people)
        plans = UNITS[:units] if isinstance(units, int) else tuple(units)
        self.runner = asyncio.Runner()
        self.stack = kind(directory, people=names, units=plans)
        self.units = Part(self.runner, self.stack.units)
        self.coordinator = Part(self.runner, self.stack.coordinator)
        self.people = tuple(
            Actor(self.runner, self.stack, one) for one in self.stack.custodians.values()
        )
        self._reports = 0

    def __enter__(self) -> Self:
        try:
            self.do(self.stack.start())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def directory(self) -> Path:
        """Where everything is."""
        return self.stack.directory

    def as_(self, who: int | str) -> Actor:
        """A custodian by name, or by number from 1."""
        if isinstance(who, int):
            return self.people[who - 1]
        return next(one for one in self.people if one.name == who)

    def operator(self, name: str) -> Operator:
        """Somebody with an account who is logged in, at a machine without an agent."""
        return Operator(self.runner, name, self.do(self.stack.log_in(name)))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs what the stack underneath can do; everything else here goes through it."""
        return self.runner.run(work)

    def initialise(self, *, threshold: int = 2, administrators: int | None = None) -> None:
        """Keys and a charter of all; the first `administrators` added; both thresholds set.

        With `threshold` 0 the units stay in imprint mode. A threshold of 1, or one custodian, makes
        a charter that lets one person be alone.
        """
        names = tuple(one.name for one in self.people)
        plan = Plan(people=names, threshold=max(threshold, 1), parts=(None, None))
        ceremony = Ceremony(self.stack, plan, Silent())
        self.do(ceremony.make_keys())
        self.do(ceremony.accept_charter())
        chosen = names if administrators is None else names[:administrators]
        self.do(ceremony.add_administrators(chosen))
        if threshold:
            self.do(ceremony.set_thresholds())

    def load(self, *values: str | None) -> int:
        """Loads a new master key from one part of each of the first custodians; gives the request.

        As many as `values`: 64 hex digits, or None for a random part; two random ones if none.
        """
        givers = self.people[: len(values) or 2]
        vps = [
            giver.make_part(f"{giver.name} part", value)
            for giver, value in zip(givers, values or (None, None), strict=True)
        ]
        first = givers[0]
        first.until(
            ("charter", "show"), lambda data: set(vps) <= set(data["announced_parts"]) or None
        )
        number = first.file("cryptounit-mk-load", *(one for vp in vps for one in ("--part", vp)))
        for giver in givers[1:]:
            giver.approve(number)
        return number

    def report(self, maker: Actor | None = None) -> VerifiedReport:
        """A ceremony report made by a custodian's agent, read back and verified."""
        self._reports += 1
        place = self.directory / f"report-{self._reports}"
        made = (maker or self.people[0]).run("agent", "report", str(place)).data
        anchor = read_charter_file(Path(made["charter"]).read_bytes()).newest
        return read_report(Path(made["report"]).read_bytes(), anchor)

    def receipts(self) -> dict[str, tuple[Receipt, ...]]:
        """Every receipt of every unit's whole history, by location; verified."""
        proven = self.report().proven
        return {
            str(unit.certificate.location): tuple(
                entry for entry in proven.histories[unit.id].entries if isinstance(entry, Receipt)
            )
            for unit in proven.charter.units
        }

    def log(self) -> tuple[Entry, ...]:
        """The instance's entries in the coordinator's log, in order; verified."""
        content = json.loads(self.report().data)
        sealed = from_bytes(SealedEvidence, base64.b64decode(content["evidence"]), limit=MAX_BYTES)
        return tuple(one.salted.entry for one in sealed.evidence.log if isinstance(one, OwnEntry))

    def close(self) -> None:
        """Ends everything; the files stay."""
        try:
            self.runner.run(self.stack.stop())
        finally:
            self.runner.close()
