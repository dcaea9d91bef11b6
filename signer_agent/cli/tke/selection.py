"""The selection of crypto units that later commands target: unit ids in the agent's directory."""

import json

from protocol.identifiers import UnitId
from quorate import private_files
from quorate.exits import Exit, Trouble
from signer_agent.client.agent_client import AgentClient
from signer_agent.local.messages import GetUnits, UnitNow, Units

_FILE = "selection.json"
_LIMIT = 64 * 1024


async def numbered(client: AgentClient) -> tuple[Units, list[tuple[int, UnitNow]]]:
    """All units as they are now, with the numbers by which this screen chooses."""
    units = await client.ask(GetUnits(), Units)
    return units, list(enumerate(units.units, start=1))


def selected(client: AgentClient) -> set[UnitId]:
    """The ids of the selected units."""
    try:
        text = private_files.read(client.directory.path / _FILE, limit=_LIMIT)
    except FileNotFoundError:
        return set()
    return {UnitId(bytes.fromhex(one)) for one in json.loads(text)}


def select(client: AgentClient, units: set[UnitId]) -> None:
    """Keeps the selection."""
    text = json.dumps(sorted(unit.hex() for unit in units)).encode()
    private_files.write(client.directory.path / _FILE, text, untouched="the selection is as it was")


async def targets(client: AgentClient) -> list[tuple[int, UnitNow]]:
    """The selected units with their numbers; refused trouble when there are none."""
    chosen = selected(client)
    _, all_units = await numbered(client)
    found = [(number, one) for number, one in all_units if one.unit.unit in chosen]
    if not found:
        raise Trouble(
            Exit.REFUSED,
            "no crypto units are selected; nothing was done",
            expected="one or more",
            found="none",
            next="quorate tke cryptounit-add",
        )
    return found
