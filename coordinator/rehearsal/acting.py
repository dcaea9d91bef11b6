"""Acting as custodians and operators of a stack, and handling its processes, step by step."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from coordinator.rehearsal.process import Result, Server, run
from coordinator.rehearsal.stack import Custodian, Stack

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

    def __init__(self, runner: asyncio.Runner, stack: Stack, custodian: Custodian) -> None:
        self._runner, self._stack, self._custodian = runner, stack, custodian
        self.agent = Part(runner, custodian.agent)
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
        return self._runner.run(
            self._stack.run(
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
        return self._runner.run(self._until(command, find))

    async def _until(self, command: tuple[str, ...], find: Callable[[Any], T | None]) -> T:
        async with asyncio.timeout(_NEWS_SECONDS):
            while True:
                asked = await self._stack.run(*command, person=self.name, expect=_EVERY_CODE)
                found = find(asked.data) if asked.code == 0 else None
                if found is not None:
                    return found
                await asyncio.sleep(_POLL_SECONDS)


class Operator:
    """Somebody with an account and no agent, acted by the script."""

    def __init__(self, runner: asyncio.Runner, name: str, environment: Mapping[str, str]) -> None:
        self._runner, self.name, self.environment = runner, name, dict(environment)
        self._chose = False

    def __repr__(self) -> str:
        return f"<operator {self.name}>"

    def run(
        self, *arguments: str, given: str | None = None, expect: Sequence[int] = (0,)
    ) -> Result:
        """Runs `quorate ARGUMENTS --json` as they would."""
        return self._runner.run(
            run(arguments, environment=self.environment, given=given, expect=expect)
        )

    def refused(self, *arguments: str, code: int = 3) -> dict[str, Any]:
        """Runs a command that has to end with this exit code; gives what it says."""
        found: dict[str, Any] = self.run(*arguments, expect=(code,)).data
        return found

    def file(self, command: str, *options: str) -> int:
        """Files `quorate tke COMMAND OPTIONS`; gives the request's id.

        For all units, if they haven't chosen any.
        """
        if not self._chose:
            self.run("tke", "cryptounit-add", "--all")
            self._chose = True
        return int(self.run("tke", command, *options).data["request"])

    def wait(self, number: int, *, seconds: float = 60.0) -> dict[str, Any]:
        """Follows a request to its end, whichever; gives what `quorate requests watch` prints."""
        watched = self.run(
            "requests", "watch", str(number), "--timeout", str(seconds), expect=_EVERY_CODE
        )
        found: dict[str, Any] = watched.data
        return found
