"""A unit host and a coordinator as processes, with bare agents that a test plays itself."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.directory import CoordinatorDirectory
from coordinator.rehearsal.process import run
from coordinator.rehearsal.stack import UNITS, Stack
from protocol.charter import Charter, CharterUnit, Coordinator, Floor
from protocol.identifiers import IdentityKey, UnitId
from protocol.receipts import entry_hash
from protocol.schema import from_bytes
from protocol.session.invitation import read_invitation
from protocol.session.messages import Done, ProposeCharter
from protocol.unit_identity import OfferedUnits
from tests.cast.bare_agents import BareAgent
from tests.cast.people import INSTANCE, Custodian

FLOOR = Floor(signatures=2, revocations=2, exit_people=2)


@dataclass
class BareStack:
    """The processes, and what the agents know of them."""

    stack: Stack
    agents: dict[str, BareAgent]
    charter: Charter

    @property
    def units(self) -> list[UnitId]:
        """The ids of the units."""
        return [unit.id for unit in self.charter.units]

    async def close(self) -> None:
        """Ends everything."""
        for agent in self.agents.values():
            await agent.close()
        await self.stack.stop()

    def __getitem__(self, name: str) -> BareAgent:
        return self.agents[name]


async def bare_stack(
    directory: Path,
    people: Sequence[Custodian],
    *,
    units: int = 2,
    floor: Floor = FLOOR,
    alone: bool = False,
    stack: Stack | None = None,
) -> BareStack:
    """Starts everything, enrols the agents and has all accept a charter.

    `stack` is what is started, where it isn't the usual one.
    """
    stack = stack or Stack(directory, people=(), units=UNITS[:units])
    await stack.start_coordinator_and_units()
    certificate = _der(directory / "coordinator" / "tls.pem")
    agents: dict[str, BareAgent] = {}
    for who in people:
        made = await run(["coordinator", "invite", str(directory / "coordinator"), who.name])
        invitation = read_invitation(made.data["invitation"])
        agents[who.name] = BareAgent(who, invitation, certificate)
        await agents[who.name].connect(enrol=True)
    charter = first_charter(directory, stack, people, floor, alone)
    first = next(iter(agents.values()))
    done = await first.publish(ProposeCharter(charter=charter))
    assert isinstance(done, Done), done
    for agent in agents.values():
        done = await agent.accept(charter)
        assert isinstance(done, Done), done
    for agent in agents.values():
        await agent.when(
            lambda agent=agent: (  # type: ignore[misc]
                charter
                if charter.digest in agent.charters and agent.charters[charter.digest].in_force
                else None
            )
        )
    return BareStack(stack=stack, agents=agents, charter=charter)


def first_charter(
    directory: Path, stack: Stack, people: Sequence[Custodian], floor: Floor, alone: bool
) -> Charter:
    """A charter of these people and the stack's units."""
    offered = from_bytes(OfferedUnits, stack.units_file.read_bytes())
    units = [
        CharterUnit(
            certificate=one.certified.opened(),
            vendor_root=one.certified.vendor_root,
            vendor_signature=one.certified.certificate.signature,
            last_receipt=entry_hash(one.last_entry),
        )
        for one in offered.units
    ]
    keys = CoordinatorDirectory(directory / "coordinator").keys()
    return Charter(
        instance=INSTANCE,
        number=1,
        previous=None,
        practice=True,
        vendor_roots=tuple(sorted({unit.vendor_root for unit in units})),
        units=tuple(sorted(units, key=lambda unit: unit.id)),
        people=tuple(sorted((one.person() for one in people), key=lambda one: one.name)),
        coordinator=Coordinator(
            url=f"https://{stack.coordinator.address}",
            identity=IdentityKey(keys.identity),
            log=IdentityKey(keys.log),
        ),
        floor=floor,
        alone=alone,
    )


def _der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())
