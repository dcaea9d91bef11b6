"""A whole stack on loopback: a unit host, a coordinator, and a signer agent for each custodian.

    async with Stack(directory, people=("alice", "bob")) as stack:
        await stack.start()
        await stack.run("agent", "pending", person="alice")
        await stack.coordinator.kill()
        await stack.coordinator.start()

Everything goes by public commands, as any script could do it. All of it is practice.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from coordinator.rehearsal.process import Result, Server, run
from quorate import private_files

UNITS = (
    "operational:[eu-de].[AZ1-CS1].[00].[03]",
    "operational:[eu-de].[AZ2-CS3].[02].[03]",
    "recovery:[eu-de].[AZ3-CS2].[01].[07]",
    "failover:[eu-gb].[AZ1-CS1].[03].[04]",
)
NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")


@dataclass(frozen=True)
class OperatorLogin:
    """An operator's account and the token with which its person logs in, once."""

    account: str
    token: str


@dataclass
class Custodian:
    """A person of the stack: a directory, a password file, a signer agent, the SKI of their key."""

    name: str
    directory: Path
    agent: Server
    ski: str = ""

    @property
    def password_file(self) -> Path:
        """The password of all their files."""
        return self.directory.parent / f"{self.name}.password"

    @property
    def environment(self) -> dict[str, str]:
        """What tells a command whose agent it is to talk to."""
        return {"QUORATE_AGENT_DIRECTORY": str(self.directory)}


class Stack:
    """The processes of one instance. Ends them all at the end of the block.

    `password` gives each person the password of their files; without it, they are random.
    """

    def __init__(
        self,
        directory: Path,
        *,
        people: Sequence[str] = NAMES[:3],
        units: Sequence[str] = UNITS,
        instance: str = "ledger-eu",
        password: Callable[[str], str] | None = None,
    ) -> None:
        self.directory = private_files.directory(directory)
        self.instance = instance
        self._password = password or (lambda _: secrets.token_urlsafe(24))
        self._made_by: dict[str, Any] = {}
        self.unit_plans = tuple(units)
        logs = directory / "logs"
        self.units = Server("unit host", [], logs / "units.log", {})
        self.coordinator = Server("coordinator", [], logs / "coordinator.log", {})
        self.custodians = {
            name: Custodian(
                name=name,
                directory=directory / name,
                agent=Server(
                    f"agent of {name}",
                    ["agent", "run", str(directory / name)],
                    logs / f"{name}.log",
                    {},
                ),
            )
            for name in people
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Makes everything and starts it: units in imprint mode, agents enrolled, no charter."""
        await self.start_coordinator_and_units()
        await asyncio.gather(*(self.enrol(name) for name in self.custodians))

    async def start_coordinator_and_units(self) -> None:
        """Makes and starts the unit host and the coordinator."""
        coordinator, units = self.directory / "coordinator", self.directory / "units"
        made = await run(
            ["coordinator", "init", str(coordinator), "--instance", self.instance, "--practice"]
        )
        self._made_by = made.data
        plans = [part for plan in self.unit_plans for part in ("--unit", plan)]
        certificate = str(coordinator / "tls.pem")
        await run(["unit", "init", str(units), *plans, "--client", certificate])
        self.units.arguments = ["unit", "serve", str(units), "--port", "0"]
        address = await self.units.start()
        self.units.arguments[-1] = address.rpartition(":")[2]
        shown = (await run(["unit", "show", str(units), "--export", str(self.units_file)])).data
        host = f"{address}={shown['tls_certificate']}"
        self.coordinator.arguments = [
            "coordinator", "serve", str(coordinator), "--unit-host", host, "--port", "0",
        ]  # fmt: skip
        address = await self.coordinator.start()
        self.coordinator.arguments[-1] = address.rpartition(":")[2]

    @property
    def units_file(self) -> Path:
        """What the unit host gives out for a charter."""
        return self.directory / "units.quorate"

    @property
    def url(self) -> str:
        """Where the coordinator is."""
        return f"https://{self.coordinator.address}"

    async def operator_login(self, name: str) -> OperatorLogin:
        """Makes an operator's account, by a manager made for that with the set-up token."""
        home = private_files.directory(self.directory / "manager")
        password = home / "password"
        environment = {"XDG_CONFIG_HOME": str(home)}
        if not password.exists():
            private_files.write(
                password, secrets.token_urlsafe(24).encode(), untouched="no account was made"
            )
            await run(
                [
                    "login", self.url, "--as", "manager", "--set-up", "--token-file", "-",
                    "--fingerprint", self._made_by["identity"], "--password-file", str(password),
                ],
                environment=environment,
                given=self._made_by["setup_token"],
            )  # fmt: skip
        made = await run(["accounts", "add", name, "--role", "operator"], environment=environment)
        return OperatorLogin(account=name, token=made.data["token"])

    async def log_in(self, name: str) -> dict[str, str]:
        """Makes an operator who is logged in; gives the environment that makes commands theirs."""
        login = await self.operator_login(name)
        home = private_files.directory(self.directory / f"operator-{name}")
        environment = {"XDG_CONFIG_HOME": str(home), "XDG_STATE_HOME": str(home)}
        fingerprint = ("--fingerprint", self._made_by["identity"])
        await run(
            ["login", self.url, "--once", "--token-file", "-", *fingerprint],
            environment=environment,
            given=login.token,
        )
        return environment

    async def enrol(self, name: str) -> None:
        """Invites a custodian, makes their agent and starts it."""
        custodian = self.custodians[name]
        password = f"{self._password(name)}\n"
        private_files.write(
            custodian.password_file, password.encode(), untouched="no agent was made"
        )
        invited = await run(["coordinator", "invite", str(self.directory / "coordinator"), name])
        await run(
            ["agent", "init", str(custodian.directory), "--invitation-file", "-"],
            given=invited.data["invitation"] + "\n",
        )
        await custodian.agent.start()

    async def run(
        self,
        *arguments: str,
        person: str,
        password: bool = False,
        given: str | None = None,
        expect: Sequence[int] = (0,),
    ) -> Result:
        """Runs a command as a custodian; with `password` it gets their password file."""
        custodian = self.custodians[person]
        more = ["--password-file", str(custodian.password_file)] if password else []
        return await run(
            [*arguments, *more], environment=custodian.environment, given=given, expect=expect
        )

    async def stop(self) -> None:
        """Ends everything, agents first."""
        await asyncio.gather(*(one.agent.stop() for one in self.custodians.values()))
        await self.coordinator.stop()
        await self.units.stop()
