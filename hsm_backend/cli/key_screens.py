"""Root keys as key users read them: tables, objects for scripts, and what a unit's No becomes."""

from collections.abc import Sequence

from protocol.keys.answers import KeyState, KeyView
from protocol.refusals import Refusal, Rule
from quorate import times
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble, refused

_ALARMS = (Rule.STORAGE_ALTERED, Rule.STORAGE_ROLLED_BACK)


def show_all(console: Console, found: Sequence[KeyView | Refusal]) -> None:
    """The keys; then trouble for the first that was refused, which says how many were."""
    there = [one for one in found if isinstance(one, KeyView)]
    rows = [
        (
            one.key.hex(),
            one.name,
            one.state.value if one.until is None else f"deleted, until {times.in_table(one.until)}",
            times.in_table(one.made),
        )
        for one in there
    ]
    if there or not found:
        console.table(("ID", "NAME", "STATE", "MADE"), rows)
    data: dict[str, Json] = {"keys": [_as_json(one) for one in there]}
    refusals = [one for one in found if isinstance(one, Refusal)]
    if refusals:
        refused_: list[Json] = [
            {"rule": one.rule.value, "expected": one.expected, "found": one.found}
            for one in refusals
        ]
        trouble = trouble_of(refusals[0])
        trouble.data = {**data, "refused": refused_}
        trouble.also = {"refused": f"{len(refusals)} of {len(found)}"}
        raise trouble
    console.object(data)


def all_there(seen: Sequence[KeyView | Refusal]) -> list[KeyView]:
    """The keys as they are; trouble before anything is done where one isn't there."""
    for one in seen:
        if isinstance(one, Refusal):
            raise trouble_of(one)
    return [one for one in seen if isinstance(one, KeyView)]


def _as_json(key: KeyView) -> dict[str, Json]:
    return {
        "id": key.key.hex(),
        "name": key.name,
        "version": key.version,
        "state": key.state.value,
        "made": times.for_scripts(key.made),
        "changed": times.for_scripts(key.changed),
        "until": None if key.state is KeyState.ACTIVE else times.for_scripts(key.until or 0),  # type: ignore[arg-type]
    }


def trouble_of(refusal: Refusal) -> Trouble:
    """A unit's No, with the exit code of its kind."""
    trouble = refused(refusal, untouched="Nothing was done")
    if refusal.rule in _ALARMS:
        trouble.exit = Exit.ALARM
    elif refusal.rule is Rule.BLOB_DAMAGED:
        trouble.exit = Exit.DAMAGED
    elif refusal.rule is Rule.KEY_REQUEST_TIME:
        trouble.exit = Exit.CLOCK
    return trouble
