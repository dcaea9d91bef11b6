"""TKE's initialisation with key part files, driven through a stack by public commands.

Each step says when it begins, how far it is and what came of it to a `Teller`; what people would
see on their own screens is in the commands' own output.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from coordinator.rehearsal.process import run
from coordinator.rehearsal.stack import Stack
from quorate.exits import Exit, Trouble

STEPS = (
    "units and coordinator up",
    "signature keys made",
    "charter accepted",
    "administrators added",
    "thresholds",
    "key parts made",
    "new register loaded",
    "commit",
    "set immediate",
)
_POLL_SECONDS = 0.1
_CONNECT_SECONDS = 60.0


class Teller(Protocol):
    """Who shows the steps."""

    def going(self, step: int, what: str, note: str = "") -> None:
        """A step goes on."""
        ...

    def done(self, step: int, what: str, note: str = "") -> None:
        """A step is done."""
        ...

    def remark(self, text: str) -> None:
        """Something beside the steps."""
        ...


@dataclass(frozen=True)
class Plan:
    """Who does what. `parts` are given values, in hex, or None for random ones."""

    people: tuple[str, ...]
    threshold: int
    parts: tuple[str | None, ...]
    interactive: bool = False
    faults: bool = False

    @property
    def alone(self) -> bool:
        """Whether one person may be alone, so that the charter has to say it."""
        return len(self.people) == 1 or self.threshold == 1 or len(self.parts) > len(self.people)

    @property
    def givers(self) -> tuple[str, ...]:
        """Whose each part is."""
        return tuple(self.people[number % len(self.people)] for number in range(len(self.parts)))


@dataclass
class Outcome:
    """What the ceremony came to."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    report: Path | None = None
    page: Path | None = None
    charter: Path | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    verified: bool = False


class Ceremony:
    """One run of the plan on a stack."""

    def __init__(self, stack: Stack, plan: Plan, teller: Teller) -> None:
        self._stack, self._plan, self._teller = stack, plan, teller
        self._outcome = Outcome()
        self._killed = 0

    async def run(self) -> Outcome:
        """All steps, in order; CommandFailed or Trouble at the first that doesn't go through."""
        people, teller = self._plan.people, self._teller
        teller.going(1, STEPS[0])
        await self._stack.start_coordinator_and_units()
        await asyncio.gather(*(self._stack.enrol(name) for name in people))
        await self._connected()
        units = len(self._stack.unit_plans)
        teller.done(1, STEPS[0], f"{units} units, all in imprint mode")

        teller.going(2, STEPS[1])
        await asyncio.gather(*(self._make_key(name) for name in people))
        teller.done(2, STEPS[1], f"{', '.join(people)}: each by their own agent")

        await self._charter()
        await self._fault()
        await self._administrators()
        await self._fault()
        await self._thresholds()
        await self._fault()
        vps = await self._key_parts()
        await self._load(vps)
        await self._fault()
        await self._commit()
        await self._set_immediate()
        await self._report()
        return self._outcome

    # --- the steps ------------------------------------------------------------------------------

    async def _make_key(self, name: str) -> None:
        made = await self._stack.run(
            "tke", "sigkey-add", "--name", name, person=name, password=True
        )
        self._stack.custodians[name].ski = made.data["ski"]

    async def _charter(self) -> None:
        plan, first = self._plan, self._plan.people[0]
        self._teller.going(3, STEPS[2])
        floor = str(plan.threshold)
        people = str(1 if plan.alone else max(2, min(plan.threshold, len(plan.people))))
        options = ["--signatures", floor, "--revocations", floor, "--exit-people", people]
        if plan.alone:
            options.append("--alone")
        await self._until_known(first)
        made = await self._stack.run(
            "charter", "new", "--units", str(self._stack.units_file), *options, person=first
        )
        digest = made.data["digest"]
        for place, name in enumerate(plan.people, start=1):
            await self._until(name, ("charter", "show"), lambda data: data["digest"] == digest)
            await self._stack.run("charter", "accept", "--same-words", person=name)
            self._teller.going(3, STEPS[2], f"{place} of {len(plan.people)}")
        for name in plan.people:
            await self._until(name, ("charter", "show"), lambda data: data["in_force"])
        note = f"{len(plan.people)} of {len(plan.people)}    (people would compare twelve words)"
        self._teller.done(3, STEPS[2], note)

    async def _until_known(self, person: str) -> None:
        """Waits until a person's agent knows everybody's keys."""
        wanted = len(self._plan.people)

        def all_there(data: Any) -> bool:
            return bool(data["offered_keys"] >= wanted and data["agents"] >= wanted)

        await self._until(person, ("agent", "status"), all_there)

    async def _administrators(self) -> None:
        people, first = self._plan.people, self._plan.people[0]
        self._teller.going(4, STEPS[3])
        await self._stack.run("tke", "cryptounit-add", "--all", person=first)
        keys = [part for name in people for part in ("--key", name)]
        done = await self._stack.run(
            "tke", "cryptounit-admin-add", *keys, "--wait", person=first, password=True
        )
        numbers = [str(one) for one in done.data["requests"]]
        note = f"requests {' '.join(numbers)}    no signature needed in imprint mode"
        self._teller.done(4, STEPS[3], note)

    async def _thresholds(self) -> None:
        wanted = str(self._plan.threshold)
        options = ["--signature", wanted, "--revocation", wanted]
        what = f"thresholds 0 → {wanted} and 0 → {wanted}"
        signers = self._plan.people[: max(self._plan.threshold, 1 if self._plan.alone else 2)]
        note = "imprint mode is left"
        await self._command(5, what, ["cryptounit-thrhld-set", *options], signers, note=note)

    async def _key_parts(self) -> list[str]:
        plan = self._plan
        self._teller.going(6, STEPS[5])
        vps: list[str] = []
        for number, (name, value) in enumerate(zip(plan.givers, plan.parts, strict=True), start=1):
            description = f"{name} part" if len(set(plan.givers)) > 1 else f"{name} part {number}"
            how = ["--random"] if value is None else ["--value-fd", "0"]
            made = await self._stack.run(
                "tke", "mk-add", *how, "--description", description, person=name, password=True,
                given=None if value is None else value + "\n",
            )  # fmt: skip
            vps.append(made.data["vp"])
        without = [name for name in plan.people if name not in plan.givers]
        note = ", ".join(dict.fromkeys(plan.givers))
        if without:
            verb = "has" if len(without) == 1 else "have"
            note += f"; {', '.join(without)} {verb} none"
        self._teller.done(6, STEPS[5], note)
        return vps

    async def _load(self, vps: Sequence[str]) -> None:
        first = self._plan.people[0]
        await self._until(
            first,
            ("charter", "show"),
            lambda data: set(vps) <= set(data["announced_parts"]),
        )
        parts = [part for vp in vps for part in ("--part", vp)]
        signers = dict.fromkeys([first, *self._plan.givers])
        note = f"parts: {', '.join(dict.fromkeys(self._plan.givers))}"
        await self._command(7, STEPS[6], ["cryptounit-mk-load", *parts], list(signers), note=note)

    async def _commit(self) -> None:
        signers = self._plan.people[-self._plan.threshold :]
        await self._command(8, STEPS[7], ["cryptounit-mk-commit"], signers)

    async def _set_immediate(self) -> None:
        signers = self._plan.people[-1:]
        await self._command(9, STEPS[8], ["cryptounit-mk-setimm", "--yes"], signers)

    async def _report(self) -> None:
        maker = self._plan.people[0]
        made = await self._stack.run("agent", "report", str(self._stack.directory), person=maker)
        outcome = self._outcome
        outcome.report, outcome.charter = Path(made.data["report"]), Path(made.data["charter"])
        outcome.page = Path(made.data["page"])
        verified = await run(
            ["verify", str(outcome.report), "--charter", str(outcome.charter)], expect=(0, 12)
        )
        outcome.verified = verified.code == 0
        outcome.summary = verified.data.get("summary", {})
        for request in outcome.summary.get("requests", []):
            approvals = {ski for one in request["receipts"] for ski in one["approvals"]}
            outcome.requests.append(
                {
                    "id": request["number"],
                    "command": request["command"],
                    "state": request["result"],
                    "approvals": sorted(approvals),
                }
            )

    # --- how ------------------------------------------------------------------------------------

    async def _command(
        self,
        step: int,
        what: str,
        command: Sequence[str],
        signers: Sequence[str],
        *,
        note: str = "",
    ) -> None:
        """The first signer files and gives what is wanted; each other approves; all wait."""
        filer, others = signers[0], signers[1:]
        self._teller.going(step, what)
        await self._stack.run("tke", "cryptounit-add", "--all", person=filer)
        unsigned = ["--unsigned"] if self._plan.interactive else []
        filed = await self._stack.run(
            "tke", *command, *unsigned, "--purpose", "quorate demo", person=filer,
            password=not unsigned,
        )  # fmt: skip
        number = filed.data["request"]
        if self._plan.interactive:
            self._tell_what_to_type(number, signers)
        else:
            for name in others:
                self._teller.going(step, what, f"request {number}    waiting for {name}")
                await self._approve(name, number, last=name == others[-1])
        watched = await self._watch(filer, step, what, number)
        signed = ", ".join(self._names(watched["approvals"]))
        count = f"{len(watched['approvals'])} of {watched['needed']}: {signed}"
        self._teller.done(step, what, f"request {number}    {count}    {note}".rstrip())

    async def _approve(self, name: str, number: int, *, last: bool) -> None:
        await self._until(
            name,
            ("agent", "pending"),
            lambda data: number in [one["id"] for one in data["pending"]],
        )
        units_down = self._plan.faults and last and self._killed == 0
        if units_down:
            self._teller.remark(f"fault: agent of {name} killed before it approves, started again")
            await self._stack.custodians[name].agent.kill()
            await self._stack.custodians[name].agent.start()
            await self._connected()
        await self._stack.run("agent", "approve", str(number), person=name, password=True)

    async def _watch(self, person: str, step: int, what: str, number: int) -> dict[str, Any]:
        """Waits for the end, and says who is waited for meanwhile."""
        while True:
            watched = await self._stack.run(
                "agent", "watch", str(number), "--timeout", "2", person=person, expect=(0, 6)
            )
            data: dict[str, Any] = watched.data
            if watched.code == 0:
                return data
            signed = ", ".join(self._names(data["signed_by"]))
            count = f"{len(data['signed_by'])} of {data['needed']}"
            waiting = " or ".join(data["waiting_for"])
            note = f"request {number}    {count}{': ' + signed if signed else ''}"
            self._teller.going(step, what, f"{note}    waiting for {waiting}" if waiting else note)

    def _names(self, skis: Sequence[str]) -> list[str]:
        owners = {one.ski: name for name, one in self._stack.custodians.items()}
        return [owners.get(ski, ski[:8]) for ski in skis]

    def _tell_what_to_type(self, number: int, signers: Sequence[str]) -> None:
        self._teller.remark(f"request {number} waits. In a terminal of your own, type:")
        for name in signers:
            custodian = self._stack.custodians[name]
            self._teller.remark(
                f"  quorate agent approve {number} --agent {custodian.directory} "
                f"--password-file {custodian.password_file}"
            )

    async def _until(
        self, person: str, command: tuple[str, ...], holds: Callable[[Any], bool]
    ) -> None:
        """Runs a command until what it prints holds: news take a moment to come round."""
        async with asyncio.timeout(_CONNECT_SECONDS):
            while True:
                asked = await self._stack.run(*command, person=person, expect=range(16))
                if asked.code == 0 and holds(asked.data):
                    return
                await asyncio.sleep(_POLL_SECONDS)

    async def _connected(self) -> None:
        """Waits until every agent has its coordinator."""
        for name in self._plan.people:
            await self._until(name, ("agent", "status"), lambda data: data["connected"])

    async def _fault(self) -> None:
        """With `--seed-faults`: ends one process as a power cut would, and starts it again."""
        if not self._plan.faults:
            return
        victims = [
            self._stack.coordinator,
            self._stack.units,
            *(custodian.agent for custodian in self._stack.custodians.values()),
        ]
        victim = victims[self._killed % len(victims)]
        self._killed += 1
        self._teller.remark(f"fault: {victim.name} killed, started again")
        await victim.kill()
        await victim.start()
        await self._connected()


def check_plan(people: int, threshold: int, parts: Sequence[str | None]) -> None:
    """Refused trouble for a plan that no units would take."""
    if threshold > people:
        raise Trouble(
            Exit.REFUSED,
            "the signature threshold would be above the number of administrators",
            expected=f"1 to {people}",
            found=threshold,
            next="choose fewer, or more agents",
            rule="THRESHOLD_ABOVE_ADMINISTRATORS",
            returns=209,
            reason=57,
        )
    if len(parts) not in (2, 3):
        raise Trouble(
            Exit.REFUSED,
            "a master key has two or three parts",
            expected="--part two or three times, or not at all",
            found=len(parts),
            next="give two or three parts",
            rule="PART_COUNT",
        )
