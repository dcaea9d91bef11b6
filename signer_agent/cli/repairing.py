"""What `quorate repair plan` shows and files."""

from itertools import takewhile

from protocol.ceremony.forecast import Forecast, Foreseen, play
from protocol.ceremony.goals import UnitView
from protocol.ceremony.repair import next_repair, reference_of
from protocol.commands.bodies import ExportKey, ImportKey
from protocol.displayable import Purpose
from protocol.request import DEFAULT_VALIDITY
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble, refused
from signer_agent.ceremonies.looking import situation_of
from signer_agent.ceremonies.run import trouble_of
from signer_agent.cli.ceremony_screens import say_steps, steps_as_json
from signer_agent.cli.screens import counted
from signer_agent.client.party import Party
from signer_agent.desk.filing import Wish
from signer_agent.local.messages import Units


async def propose(
    console: Console, client: Party, like: int | None, filing: bool, purpose: str
) -> None:
    """Shows the commands and, on request, files them; Trouble where units can't be made equal."""
    situation, units = await situation_of(client, ())
    right = reference_of(situation) if like is None else _numbered(situation.units, units, like)
    found = play(lambda then: next_repair(right.id, then), situation)
    console.say(f"As in {right.type} {right.location}: {counted(len(found.steps), 'command')}")
    say_steps(console, found, units)
    if not found.steps and found.possible:
        console.say("✓ all units are equal")
    numbers = await _file(client, found, purpose) if filing and found.possible else []
    if numbers:
        console.say(f"✓ filed as requests {', '.join(map(str, numbers))}")
    if len(numbers) < len(found.steps) and filing and found.possible:
        console.say("Next: quorate tke auto-mk-recover, once they have run: it brings the key")
    requests: list[Json] = list(numbers)
    data: dict[str, Json] = {
        "like": right.id.hex(),
        "possible": found.possible,
        "steps": steps_as_json(found),
        "requests": requests,
    }
    trouble = _trouble(found)
    if trouble is not None:
        trouble.data = {**trouble.data, **data}
        raise trouble
    console.object(data)


def _numbered(views: tuple[UnitView, ...], units: Units, number: int) -> UnitView:
    if number > len(units.units):
        raise Trouble(
            Exit.USAGE,
            "there is no crypto unit of that number",
            expected=f"1 to {len(units.units)}",
            found=str(number),
            next="quorate tke cryptounits",
        )
    chosen = units.units[number - 1].unit.unit
    return next(one for one in views if one.id == chosen)


def _trouble(found: Forecast) -> Trouble | None:
    for one in found.steps:
        if one.refusal is not None:
            return refused(one.refusal, untouched="nothing was filed")
    return None if found.obstacle is None else trouble_of(found.obstacle)


async def _file(client: Party, found: Forecast, purpose: str) -> list[int]:
    """Files all that is known already, in their order; gives the requests' ids."""

    def known(one: Foreseen) -> bool:
        return not isinstance(one.step.body, ExportKey | ImportKey)

    return [
        await client.file(
            Wish(
                body=one.step.body,
                targets=one.step.targets,
                purpose=Purpose(purpose),
                step=None,
                voids=None,
                valid_for=DEFAULT_VALIDITY,
                leave_out=False,
                ahead=place > 0,
                idempotency_key=None,
            )
        )
        for place, one in enumerate(takewhile(known, found.steps))
    ]
