"""Reading a plan, for this instance."""

from pathlib import Path

from protocol.ceremony.plan import MAX_PLAN_BYTES, Plan, parse_plan
from protocol.violations import Violation
from quorate.exits import Exit, Trouble
from signer_agent.client.party import Party


def read_plan(path: Path, client: Party) -> tuple[Plan, str]:
    """The plan and its text; usage Trouble where it isn't one, or is for another instance."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PLAN_BYTES + 1)
        text = data.decode()
        plan = parse_plan(text)
    except OSError as error:
        raise Trouble(
            Exit.USAGE, f"{path} can't be read: {error.strerror}; nothing was filed"
        ) from None
    except (UnicodeDecodeError, Violation) as error:
        raise Trouble(
            Exit.USAGE,
            f"{path} isn't a plan: {error}; nothing was filed",
            next="see docs/howto/ceremonies.md",
        ) from None
    if plan.instance not in (None, client.instance):
        raise Trouble(
            Exit.REFUSED,
            "the plan is for another instance; nothing was filed",
            expected=str(plan.instance),
            found=client.instance,
            next="choose the agent or profile of that instance",
        )
    return plan, text
