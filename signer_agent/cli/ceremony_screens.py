"""What a ceremony would do, for people and scripts."""

from collections.abc import Sequence

from protocol.ceremony.forecast import Forecast, Foreseen
from protocol.ceremony.plan import Plan
from protocol.commands.bodies import kind_of
from protocol.commands.wording import title
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble, refused
from quorate.layout import wrapped
from signer_agent.ceremonies.run import trouble_of
from signer_agent.cli.screens import counted, names
from signer_agent.local.messages import Units

_INDENT = " " * 4


def tell(console: Console, plan: Plan, found: Forecast, units: Units) -> None:
    """The steps, then what is in the way, then what to think about."""
    console.say(f"{plan.ceremony}, {units.instance}: {counted(len(found.steps), 'command')}")
    say_steps(console, found, units)
    left = {one.step.stage for one in found.steps}
    for wanted in (one for one in plan.confirm if one.before in left):
        console.say(f"    before {wanted.before}, {wanted.who} confirms: {wanted.text}")
    for warning in found.warnings:
        console.say(f"! {warning}")
    if found.possible and not found.steps:
        console.say("✓ reached already: nothing is to be done")
    elif found.possible:
        console.say("✓ nothing known is in the way")


def say_steps(console: Console, found: Forecast, units: Units) -> None:
    """The commands in their order, each with who must sign it."""
    for number, one in enumerate(found.steps, start=1):
        console.say(f"{number:>2}  {_step(one, units)}")
        for text in (*_signatures(one), *(f"! {caution}" for caution in one.cautions)):
            for line in wrapped(text, console.wide - len(_INDENT)):
                console.say(f"{_INDENT}{line}")


def _step(one: Foreseen, units: Units) -> str:
    targets = len(one.step.targets)
    where = "all units" if targets == len(units.units) else counted(targets, "unit")
    return f"{title(one.step.body, lambda _: None)}, on {where}"


def _signatures(one: Foreseen) -> Sequence[str]:
    if one.refusal is not None:
        return (f"✗ {one.refusal.rule}: {one.refusal.facts.says}",)
    if not one.needed:
        return ("no signature needed",)
    return (f"{counted(one.needed, 'signature')} of {names(sorted(one.signers)) or 'nobody'}",)


def foreseen(console: Console, plan: Plan, found: Forecast) -> None:
    """The object; refused Trouble, with it, where something is in the way."""
    data = as_json(plan, found)
    refusal = next((one.refusal for one in found.steps if one.refusal is not None), None)
    if refusal is not None:
        trouble = refused(refusal, untouched="nothing was filed")
    elif found.obstacle is not None:
        trouble = trouble_of(found.obstacle)
    else:
        console.object(data)
        return
    trouble.data = {**trouble.data, **data}
    raise trouble


def as_json(plan: Plan, found: Forecast) -> dict[str, Json]:
    """A forecast for scripts."""
    return {
        "ceremony": plan.ceremony.value,
        "possible": found.possible,
        "steps": steps_as_json(found),
        "warnings": list(found.warnings),
    }


def steps_as_json(found: Forecast) -> list[Json]:
    """The steps of a forecast for scripts."""
    return [
        {
            "stage": one.step.stage.value,
            "command": kind_of(one.step.body),
            "units": [unit.hex() for unit in one.step.targets],
            "needed": one.needed,
            "signers": [*map(str, sorted(one.signers))],
            "refusal": None if one.refusal is None else one.refusal.rule.value,
        }
        for one in found.steps
    ]


def losing(instance: str, given: str | None, what: Sequence[str]) -> Trouble | None:
    """Refused Trouble where keys would be lost and nobody said the instance's name."""
    if given == instance:
        return None
    return Trouble(
        Exit.REFUSED,
        f"{' '.join(what)} Nothing more was filed",
        expected=f"--yes-destroy {instance}",
        found=given or "nothing",
        next="see what the units hold: quorate tke cryptounit-compare",
    )
