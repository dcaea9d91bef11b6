"""Real unit hosts for tests: a directory, processes that serve it, and clients that may connect."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hsm_backend.client.host_client import HostClient
from quorate import clock, tls

TWO_UNITS = (
    "operational:[eu-de].[AZ1-CS1].[00].[03]:93A0021F",
    "failover:[eu-gb].[AZ1-CS1].[03].[04]:93A01D60",
)


def quorate(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "quorate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=_environment(),
    )


@dataclass(frozen=True)
class Client:
    """Somebody with a TLS certificate of their own."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, directory: Path, name: str) -> "Client":
        """Makes NAME.pem and NAME.key in `directory`."""
        made = cls(certificate=directory / f"{name}.pem", key=directory / f"{name}.key")
        tls.write_certificate(made.certificate, made.key, [name], at=clock.now())
        return made


@dataclass(frozen=True)
class Serving:
    """A process that serves a directory."""

    process: subprocess.Popen[str]
    directory: Path
    address: str

    def client(self, who: Client) -> HostClient:
        """Connects as `who`."""
        return HostClient(
            self.address,
            pinned=tls.fingerprint((self.directory / "tls.pem").read_text()),
            certificate=who.certificate,
            key=who.key,
        )

    def end(self) -> tuple[int, str]:
        """Tells the process to end; gives its exit code and what it wrote on stderr."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


def make_host(directory: Path, client: Client, units: Sequence[str] = TWO_UNITS) -> None:
    """`quorate unit init`."""
    plans = [argument for unit in units for argument in ("--unit", unit)]
    done = quorate("unit", "init", directory, *plans, "--client", client.certificate, "--port", 0)
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(
    directory: Path, *, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
) -> Iterator[Serving]:
    """`quorate unit serve`, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "quorate", "unit", "serve", str(directory), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment() | dict(environment or {}),
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline().split()
        if said[:1] != ["ready"]:
            raise AssertionError(process.communicate(timeout=30))
        yield Serving(process=process, directory=directory, address=said[1])
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("QUORATE_")}
