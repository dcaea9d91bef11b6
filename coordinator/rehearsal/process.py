"""One of our processes, started by its public command and ended with its owner."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorate.exits import Exit, Trouble

START_SECONDS = 30
END_SECONDS = 15
COMMAND_SECONDS = 120


def command_line(arguments: Sequence[str]) -> list[str]:
    """How `quorate ...` is started: by this very Python, so that it is this very version."""
    return [sys.executable, "-m", "quorate", *arguments]


@dataclass(frozen=True)
class Result:
    """How a command ended. `data` is the object that `--json` printed, None without it."""

    code: int
    out: str
    err: str
    data: Any


class CommandFailed(Exception):
    """A command ended with another code than was expected."""

    def __init__(self, arguments: Sequence[str], result: Result) -> None:
        said = _said(result.data) or result.err.strip() or result.out.strip()
        super().__init__(f"quorate {' '.join(arguments)} ended with {result.code}: {said}")
        self.result = result


def _said(data: Any) -> str:
    """Why it ended so, of what it printed for scripts; progress on stderr says less."""
    if not isinstance(data, dict):
        return ""
    if "message" in data:
        return str(data["message"])
    return f"request {data['request']} is {data['state']}" if "request" in data else ""


async def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
    expect: Sequence[int] = (0,),
    seconds: float = COMMAND_SECONDS,
) -> Result:
    """Runs one command with `--json` and reads its object; CommandFailed for an unexpected code.

    `given` is what it reads on stdin.
    """
    process = await asyncio.create_subprocess_exec(
        *command_line([*arguments, "--json"]),
        stdin=asyncio.subprocess.PIPE if given is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(None if given is None else given.encode())
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    code = process.returncode if process.returncode is not None else -1
    text = out.decode(errors="replace")
    result = Result(code=code, out=text, err=err.decode(errors="replace"), data=_object(text))
    if code not in expect:
        raise CommandFailed(arguments, result)
    return result


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


class Server:
    """A process that says `ready ADDRESS` once it serves. Its log goes to a file."""

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.arguments = list(arguments)
        self.log = log
        self.environment = dict(environment)
        self.address = ""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id of a running one."""
        if self._process is None:
            raise ValueError(f"{self.name} wasn't started")
        return self._process.pid

    async def start(self, environment: Mapping[str, str] | None = None) -> str:
        """Starts it and waits until it serves; gives its address."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command_line(self.arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self.environment, **(environment or {})},
            )
        if self._process.stdout is None:
            raise AssertionError("its stdout is a pipe")
        try:
            async with asyncio.timeout(START_SECONDS):
                line = (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            line = ""
        if not line.startswith("ready"):
            if not line:
                await self._ends_by_itself()
            await self.kill()
            raise Trouble(
                Exit.FAILED,
                f"{self.name} didn't start",
                found=line or self._last_words(),
                next=f"look at its log: {self.log}",
            )
        self.address = line.removeprefix("ready").strip()
        return self.address

    async def _ends_by_itself(self) -> None:
        """Gives one that has closed its stdout time to: a signal now would lose its exit code."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self.ended()

    async def stop(self) -> None:
        """Asks it to end, and waits."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Ends it as a power cut would."""
        await self._end(signal.SIGKILL)

    async def ended(self) -> int:
        """Waits for its end and gives the exit code."""
        if self._process is None:
            raise ValueError(f"{self.name} wasn't started")
        return await self._process.wait()

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _last_words(self) -> str:
        if not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
