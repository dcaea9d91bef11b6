"""Operators with profiles of their own, at a stack whose last unit has a host to itself."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.rehearsal import acting
from coordinator.rehearsal.acting import Actor
from coordinator.rehearsal.process import Result, Server, command_line, run
from coordinator.rehearsal.stack import UNITS, Stack
from protocol.schema import from_bytes, to_bytes
from protocol.unit_identity import OfferedUnits
from quorate import private_files


class TwoHosts(Stack):
    """Two units at one host, and a failover unit at another, `far`."""

    def __init__(self, directory: Path, *, people: Sequence[str] = (), units: object = ()) -> None:
        super().__init__(directory, people=people, units=UNITS[:2])
        self.far = Server("far host", [], directory / "logs" / "far.log", {})

    async def start_coordinator_and_units(self) -> None:
        await super().start_coordinator_and_units()
        far, export = self.directory / "far", self.directory / "far.quorate"
        certificate = self.directory / "coordinator" / "tls.pem"
        await run(["unit", "init", str(far), "--unit", UNITS[3], "--client", str(certificate)])
        self.far.arguments = ["unit", "serve", str(far), "--port", "0"]
        address = await self.far.start()
        self.far.arguments[-1] = address.rpartition(":")[2]
        shown = (await run(["unit", "show", str(far), "--export", str(export)])).data
        near = from_bytes(OfferedUnits, self.units_file.read_bytes())
        both = OfferedUnits(
            units=(*near.units, *from_bytes(OfferedUnits, export.read_bytes()).units)
        )
        self.units_file.write_bytes(to_bytes(both))
        await self.coordinator.stop()
        self.coordinator.arguments += ["--unit-host", f"{address}={shown['tls_certificate']}"]
        await self.coordinator.start()

    async def stop(self) -> None:
        await super().stop()
        await self.far.stop()


@dataclass
class Operator:
    """Somebody at a machine of their own: their settings lie in `home`."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes commands theirs."""
        return {
            "XDG_CONFIG_HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home),
            "TZ": "Europe/Berlin",
        }

    async def run(self, *arguments: str, expect: int = 0, given: str | None = None) -> Result:
        """A command with --json."""
        return await run(
            list(arguments), environment=self.environment, given=given, expect=(expect,)
        )

    async def says(self, *arguments: str, expect: int = 0) -> str:
        """What a command writes for people, on both streams."""
        process = await asyncio.create_subprocess_exec(
            *command_line(arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **self.environment, "PYTHONUTF8": "1"},
        )
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        assert process.returncode == expect, out.decode()
        return out.decode()

    def password_file(self, password: str) -> str:
        """A private file with this password, for --password-file."""
        private_files.directory(self.home)
        path = self.home / "password"
        private_files.write(path, f"{password}\n".encode(), untouched="nothing")
        return str(path)


def says(who: Actor | acting.Operator, *arguments: str, expect: int = 0) -> str:
    """What a command writes for people, on both streams."""
    done = subprocess.run(
        command_line(arguments),
        env={**os.environ, **who.environment, "PYTHONUTF8": "1", "TZ": "CET-1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


PROGRAM = (
    f"import sys; sys.executable = {sys.executable!r}; from quorate.__main__ import main; main()"
)
"""What a terminal runs: `quorate` with the arguments that it is given."""
