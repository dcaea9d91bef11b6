"""TKE's initialisation with key part files, driven through a stack by public commands.

Each step says when it begins, how far it is and what came of it to a `Teller`; what people would
see on their own screens is in the commands' own output.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from coordinator.rehearsal.plan import Outcome, Plan, Teller
from coordinator.rehearsal.process import CommandFailed, run
from coordinator.rehearsal.stack import Stack
from quorate.exits import Exit

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
_NEWS_SECONDS = 60.0
_NOT_YET = (Exit.DONE, Exit.REFUSED, Exit.UNREACHABLE, Exit.WAITING)
"""How a command ends as long as news, or the connection, haven't come."""


class Ceremony:
    """One run of the plan on a stack: all of it, or step by step in the order of `STEPS`."""

    def __init__(self, stack: Stack, plan: Plan, teller: Teller) -> None:
        self._stack, self._plan, self._teller = stack, plan, teller
        self._outcome = Outcome()
        self._killed = 0
        self._selected: set[str] = set()

    async def run(self) -> Outcome:
        """All steps, in order; CommandFailed or Trouble at the first that doesn't go through."""
        await self.start()
        await self.make_keys()
        await self.accept_charter()
        await self._fault()
        await self.add_administrators()
        await self._fault()
        await self.set_thresholds()
        await self._fault()
        vps = await self.make_parts()
        await self.load(vps)
        await self._fault()
        await self.commit()
        await self.set_immediate()
        return await self.report()

    # --- the steps ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Step 1: unit host, coordinator, and an agent for each."""
        self._teller.going(1, STEPS[0])
        await self._stack.start()
        units = len(self._stack.unit_plans)
        self._teller.done(1, STEPS[0], f"{units} units, all in imprint mode")

    async def make_keys(self) -> None:
        """Step 2: a signature key each."""
        people = self._plan.people
        self._teller.going(2, STEPS[1])
        await asyncio.gather(*(self._make_key(name) for name in people))
        self._teller.done(2, STEPS[1], f"{', '.join(people)}: each by their own agent")

    async def _make_key(self, name: str) -> None:
        made = await self._stack.run(
            "tke", "sigkey-add", "--name", name, person=name, password=True
        )
        self._stack.custodians[name].ski = made.data["ski"]

    async def accept_charter(self) -> None:
        """Step 3: a charter proposed by the first, accepted by each."""
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
        accepted: list[str] = []

        async def accept(name: str) -> None:
            await self._until(
                name,
                ("charter", "accept", "--same-words"),
                lambda data: data["digest"] == made.data["digest"],
            )
            accepted.append(name)
            self._teller.going(3, STEPS[2], f"{len(accepted)} of {len(plan.people)}")

        await asyncio.gather(*(accept(name) for name in plan.people))
        await self._until(first, ("charter", "show"), lambda data: data["in_force"])
        count = f"{len(plan.people)} of {len(plan.people)}"
        self._teller.done(3, STEPS[2], f"{count}    (people would compare twelve words by voice)")

    async def _until_known(self, person: str) -> None:
        """Waits until a person's agent knows everybody's keys."""
        wanted = len(self._plan.people)

        def all_there(data: Any) -> bool:
            return bool(data["offered_keys"] >= wanted and data["agents"] >= wanted)

        await self._until(person, ("agent", "status"), all_there)

    async def add_administrators(self, people: Sequence[str] = ()) -> None:
        """Step 4: everybody, or `people`, unsigned: the units are in imprint mode."""
        people, first = people or self._plan.people, self._plan.people[0]
        self._teller.going(4, STEPS[3])
        await self._select(first)
        keys = [part for name in people for part in ("--key", name)]
        done = await self._stack.run("tke", "cryptounit-admin-add", *keys, "--wait", person=first)
        numbers = [str(one) for one in done.data["requests"]]
        plural = "s" if len(numbers) > 1 else ""
        note = f"request{plural} {' '.join(numbers)}    no signature needed in imprint mode"
        self._teller.done(4, STEPS[3], note)

    async def set_thresholds(self) -> None:
        """Step 5: which leaves imprint mode."""
        plan, wanted = self._plan, str(self._plan.threshold)
        what = f"thresholds 0 → {wanted} and 0 → {wanted}"
        signers = plan.people[: max(plan.threshold, 1 if plan.alone else 2)]
        options = ["--signature", wanted, "--revocation", wanted]
        command = ["cryptounit-thrhld-set", *options]
        await self._command(5, what, what, command, signers, after="imprint mode is left")

    async def make_parts(self) -> list[str]:
        """Step 6: the key parts; gives their VPs."""
        plan = self._plan
        self._teller.going(6, STEPS[5])
        vps: list[str] = []
        for number, (name, value) in enumerate(zip(plan.givers, plan.parts, strict=True), start=1):
            several = plan.givers.count(name) > 1
            description = f"{name} part {number}" if several else f"{name} part"
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

    async def load(self, vps: Sequence[str]) -> None:
        """Step 7: the new register of each unit, from the parts."""
        first, givers = self._plan.people[0], dict.fromkeys(self._plan.givers)
        await self._until(
            first, ("charter", "show"), lambda data: set(vps) <= set(data["announced_parts"])
        )
        command = ["cryptounit-mk-load", *(part for vp in vps for part in ("--part", vp))]
        signers = list(dict.fromkeys([first, *givers]))
        before = f"parts: {', '.join(givers)}    "
        await self._command(7, STEPS[6], STEPS[6], command, signers, before=before)

    async def commit(self) -> None:
        """Step 8: by the last ones of the list, so that others than before have a say."""
        signers = self._plan.people[-self._plan.threshold :]
        await self._command(8, STEPS[7], "committed", ["cryptounit-mk-commit"], signers)

    async def set_immediate(self) -> None:
        """Step 9."""
        signers = self._plan.people[-1:]
        await self._command(9, STEPS[8], STEPS[8], ["cryptounit-mk-setimm", "--yes"], signers)

    async def report(self) -> Outcome:
        """The report, made by the first's agent and verified by a process of its own."""
        made = await self._stack.run(
            "agent", "report", str(self._stack.directory), person=self._plan.people[0]
        )
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
        return outcome

    # --- how ------------------------------------------------------------------------------------

    async def _command(
        self,
        step: int,
        what: str,
        then: str,
        command: Sequence[str],
        signers: Sequence[str],
        *,
        before: str = "",
        after: str = "",
    ) -> None:
        """The first signer files and gives what is wanted; each other approves; all wait."""
        filer, others = signers[0], signers[1:]
        self._teller.going(step, what)
        await self._select(filer)
        interactive = self._plan.interactive
        unsigned = ["--unsigned"] if interactive else []
        filed = await self._stack.run(
            "tke", *command, *unsigned, "--purpose", "quorate demo", person=filer,
            password=not interactive,
        )  # fmt: skip
        data = filed.data
        number = data["request"]
        if interactive:
            for name in self._plan.people:
                await self._until(
                    name,
                    ("agent", "pending", "--all"),
                    lambda known: number in {one["id"] for one in known["requests"]},
                )
            self._tell_what_to_type(number, data)
        else:
            for name in others:
                self._teller.going(step, what, self._progress(data))
                data = await self._approve(name, number, last=name == others[-1])
        if data["state"] != "executed":
            data = await self._watch(filer, step, what, number)
        count = f"{len(data['approvals'])} of {data['needed']}: {self._names(data['approvals'])}"
        note = f"request {number}    {before}{count}"
        self._teller.done(step, then, f"{note}    {after}".rstrip())

    async def _select(self, person: str) -> None:
        """Chooses all units as the targets of a person's commands, once."""
        if person not in self._selected:
            await self._stack.run("tke", "cryptounit-add", "--all", person=person)
            self._selected.add(person)

    async def _approve(self, name: str, number: int, *, last: bool) -> Any:
        """Approves once the request has come to this person's agent; gives what it says then."""
        if self._plan.faults and last and self._killed == 0:
            self._teller.remark(f"fault: agent of {name} killed before it approves, started again")
            await self._stack.custodians[name].agent.kill()
            await self._stack.custodians[name].agent.start()
        return await self._until(
            name, ("agent", "approve", str(number)), lambda data: True, password=True
        )

    async def _watch(self, person: str, step: int, what: str, number: int) -> dict[str, Any]:
        """Waits for the end, and says who is waited for meanwhile."""
        while True:
            watched = await self._stack.run(
                "agent", "watch", str(number), "--timeout", "2", person=person, expect=(0, 6)
            )
            data: dict[str, Any] = watched.data
            if watched.code == 0:
                return data
            self._teller.going(step, what, self._progress(data))

    def _progress(self, data: dict[str, Any]) -> str:
        """`request 6    1 of 2: bob    waiting for alice or carol`."""
        signed = self._names(data["signed_by"])
        note = f"request {data['request']}    {len(data['signed_by'])} of {data['needed']}"
        note += f": {signed}" if signed else ""
        waiting = one_of(data["waiting_for"])
        return f"{note}    waiting for {waiting}" if waiting else note

    def _names(self, skis: Sequence[str]) -> str:
        owners = {one.ski: name for name, one in self._stack.custodians.items()}
        return ", ".join(sorted(owners.get(ski, ski[:8]) for ski in skis))

    def _tell_what_to_type(self, number: int, data: dict[str, Any]) -> None:
        signers = f"{data['needed']} of {one_of(data['waiting_for'])}"
        parts = " and ".join(data["parts_from"])
        wanted = f"the parts of {parts}, and {signers} to sign" if parts else f"{signers} to sign"
        self._teller.remark(f"request {number} waits for {wanted}. In their terminals:")
        self._teller.remark(f"  quorate agent show {number}")
        self._teller.remark(f"  quorate agent approve {number}")

    async def _until(
        self,
        person: str,
        command: tuple[str, ...],
        holds: Callable[[Any], bool],
        *,
        password: bool = False,
    ) -> Any:
        """Runs a command until what it prints holds: news take a moment to come round."""
        tried = None
        try:
            async with asyncio.timeout(_NEWS_SECONDS):
                while True:
                    tried = await self._stack.run(
                        *command, person=person, password=password, expect=range(16)
                    )
                    if tried.code == 0 and holds(tried.data):
                        return tried.data
                    if tried.code not in _NOT_YET:
                        break
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            pass
        if tried is None:
            raise AssertionError("a command ends or is ended within its own time")
        raise CommandFailed(command, tried)

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
        for name in self._plan.people:
            await self._until(name, ("agent", "status"), lambda data: data["connected"])


def one_of(names: Sequence[str]) -> str:
    """`alice, bob or carol`."""
    return " or ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
