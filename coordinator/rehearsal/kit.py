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
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from coordinator.rehearsal.ceremony import Ceremony, Plan, Silent
from coordinator.rehearsal.process import Result, Server
from coordinator.rehearsal.stack import NAMES, UNITS, Custodian, Stack
from protocol.files.charter_file import read_charter_file
from protocol.receipts import Receipt
from protocol.record.entries import Entry
from protocol.report.evidence import Evidence, OwnEntry
from protocol.report.file import MAX_BYTES, VerifiedReport, read_report
from protocol.schema import from_bytes

T = TypeVar("T")
_NEWS_SECONDS = 30.0
_POLL_SECONDS = 0.1
_EVERY_CODE = range(16)


class Part:
    """One of the stack's processes."""

    def __init__(self, runner: asyncio.Runner, server: Server) -> None:
        self._runner, self._server = runner, server

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._server.running

    @property
    def log(self) -> str:
        """What it has logged so far: one JSON object a line."""
        return self._server.log.read_text(errors="replace") if self._server.log.exists() else ""

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Starts it again where it was, and waits until it serves."""
        self._runner.run(self._server.start(environment))

    def stop(self) -> None:
        """Asks it to end, and waits."""
        self._runner.run(self._server.stop())

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._runner.run(self._server.kill())

    def restart(self) -> None:
        """Kills it and starts it again."""
        self.kill()
        self.start()


class Actor:
    """A custodian of the stack, acted by the script. `agent` is their signer agent."""

    def __init__(self, stack: "Rehearsal", custodian: Custodian) -> None:
        self._stack, self._custodian = stack, custodian
        self.agent = Part(stack.runner, custodian.agent)
        self._chose = False

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def name(self) -> str:
        """As the charter names them."""
        return self._custodian.name

    @property
    def directory(self) -> Path:
        """Their agent's directory."""
        return self._custodian.directory

    @property
    def keys(self) -> Path:
        """Where their key files are."""
        return self.directory / "keys"

    @property
    def password_file(self) -> Path:
        """The password of all their files."""
        return self._custodian.password_file

    @property
    def environment(self) -> dict[str, str]:
        """What tells a command that is started otherwise whose agent it is to talk to."""
        return self._custodian.environment

    @property
    def ski(self) -> str:
        """The SKI of the signature key that they made first, in hex."""
        return self._custodian.ski

    def run(
        self,
        *arguments: str,
        password: bool = False,
        given: str | None = None,
        expect: Sequence[int] = (0,),
    ) -> Result:
        """Runs `quorate ARGUMENTS --json` as they would, with their password file if `password`.

        CommandFailed for an exit code that isn't expected; `given` is what it reads on stdin.
        """
        return self._stack.runner.run(
            self._stack.stack.run(
                *arguments, person=self.name, password=password, given=given, expect=expect
            )
        )

    def refused(self, *arguments: str, password: bool = False, code: int = 3) -> dict[str, Any]:
        """Runs a command that has to end with this exit code; gives what it says."""
        found: dict[str, Any] = self.run(*arguments, password=password, expect=(code,)).data
        return found

    def select(self, *numbers: int) -> None:
        """Chooses the targets of their commands: units by number, or all of them."""
        self.run("tke", "cryptounit-rm", "--all")
        self.run("tke", "cryptounit-add", *([str(one) for one in numbers] or ["--all"]))
        self._chose = True

    def file(self, command: str, *options: str, sign: bool = True) -> int:
        """Files `quorate tke COMMAND OPTIONS`, signs and gives what is wanted; gives its id.

        For all units, if they haven't chosen any.
        """
        self.choose()
        more = () if sign else ("--unsigned",)
        return int(self.run("tke", command, *options, *more, password=sign).data["request"])

    def choose(self) -> None:
        """Chooses all units, if they haven't chosen any."""
        if not self._chose:
            self.run("tke", "cryptounit-add", "--all")
            self._chose = True

    def make_part(self, description: str, value: str | None = None) -> str:
        """Makes a key part, random or from 64 hex digits; gives its VP."""
        how = ("--random",) if value is None else ("--value-fd", "0")
        made = self.run(
            "tke", "mk-add", *how, "--description", description, password=True, given=value
        )
        return str(made.data["vp"])

    def approve(self, number: int, *options: str) -> dict[str, Any]:
        """Gives what a request wants of them, once their agent knows it."""
        self.knows(number)
        found: dict[str, Any] = self.run(
            "agent", "approve", str(number), *options, password=True
        ).data
        return found

    def reject(self, number: int, reason: str) -> dict[str, Any]:
        """Says No, once their agent knows the request."""
        self.knows(number)
        found: dict[str, Any] = self.run("agent", "reject", str(number), "--reason", reason).data
        return found

    def show(self, number: int) -> dict[str, Any]:
        """What `quorate agent show` decides on, as data."""
        found: dict[str, Any] = self.run("agent", "show", str(number)).data["screen"]
        return found

    def requests(self) -> dict[int, dict[str, Any]]:
        """All requests that their agent knows, by id."""
        listed = self.run("agent", "pending", "--all").data["requests"]
        return {one["id"]: one for one in listed}

    def knows(self, number: int) -> dict[str, Any]:
        """Waits until their agent knows a request that has been opened or has ended."""
        return self.until(
            ("agent", "pending", "--all"),
            lambda data: next(
                (
                    one
                    for one in data["requests"]
                    if one["id"] == number and one["state"] != "waiting in line"
                ),
                None,
            ),
        )

    def wait(self, number: int, *, seconds: float = 60.0) -> dict[str, Any]:
        """Follows a request to its end, whichever; gives what `quorate agent watch` prints."""
        self.until(
            ("agent", "pending", "--all"),
            lambda data: number in {one["id"] for one in data["requests"]} or None,
        )
        watched = self.run(
            "agent", "watch", str(number), "--timeout", str(seconds), expect=_EVERY_CODE
        )
        found: dict[str, Any] = watched.data
        return found

    def until(self, command: tuple[str, ...], find: Callable[[Any], T | None]) -> T:
        """Runs a command until `find` finds something in what it prints; news take a moment."""
        return self._stack.runner.run(self._until(command, find))

    async def _until(self, command: tuple[str, ...], find: Callable[[Any], T | None]) -> T:
        async with asyncio.timeout(_NEWS_SECONDS):
            while True:
                asked = await self._stack.stack.run(*command, person=self.name, expect=_EVERY_CODE)
                found = find(asked.data) if asked.code == 0 else None
                if found is not None:
                    return found
                await asyncio.sleep(_POLL_SECONDS)


class Rehearsal:
    """A stack in a directory: units, a coordinator, custodians with an agent each. All practice.

    `people` are names, or how many; `units` are plans as `quorate unit init --unit` takes them, or
    how many of the usual four. `with` starts everything, with the units in imprint mode and
    no charter.
    """

    def __init__(
        self,
        directory: Path,
        *,
        people: int | Sequence[str] = 3,
        units: int | Sequence[str] = 2,
    ) -> None:
        names = NAMES[:people] if isinstance(people, int) else tuple(people)
        plans = UNITS[:units] if isinstance(units, int) else tuple(units)
        self.runner = asyncio.Runner()
        self.stack = Stack(directory, people=names, units=plans)
        self.units = Part(self.runner, self.stack.units)
        self.coordinator = Part(self.runner, self.stack.coordinator)
        self.people = tuple(Actor(self, one) for one in self.stack.custodians.values())
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
        evidence = from_bytes(Evidence, base64.b64decode(content["evidence"]), limit=MAX_BYTES)
        return tuple(one.salted.entry for one in evidence.log if isinstance(one, OwnEntry))

    def close(self) -> None:
        """Ends everything; the files stay."""
        try:
            self.runner.run(self.stack.stop())
        finally:
            self.runner.close()
