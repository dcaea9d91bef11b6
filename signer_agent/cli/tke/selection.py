"""The selection of crypto units that later commands target: unit ids, kept for each person."""

from quorate.exits import Exit, Trouble
from signer_agent.client.party import Party
from signer_agent.local.messages import UnitNow, Units


async def numbered(client: Party) -> tuple[Units, list[tuple[int, UnitNow]]]:
    """All units as they are now, with the numbers by which this screen chooses."""
    units = await client.units()
    return units, list(enumerate(units.units, start=1))


async def targets(client: Party) -> list[tuple[int, UnitNow]]:
    """The selected units with their numbers; refused trouble when there are none."""
    chosen = client.selection
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
