"""Units of an instance are kept the same: where the selected ones differ, and what one lacks."""

from collections.abc import Callable, Iterator, Sequence

import click

from protocol.displayable import shown
from protocol.identifiers import Instant, UnitId, short
from protocol.request import Request, RequestState
from protocol.unit_state import CONTROL_POINT_NAMES, Register, UnitState
from quorate import clock, times
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from signer_agent.cli.tke.identity import party_option, say_whose_word
from signer_agent.cli.tke.selection import targets
from signer_agent.client.party import Party
from signer_agent.local.messages import UnitNow

Numbered = Sequence[tuple[int, UnitState]]
_WIDE = 23


@click.command(cls=Command)
@party_option
@pass_console
async def cryptounit_compare(console: Console, client: Party) -> None:
    """Compares the selected units: administrators, thresholds, registers, control points."""
    rows = await targets(client)
    states = [(number, one.state) for number, one in rows if one.state is not None]
    differ: list[Json] = []
    for name, lines in _sections(states):
        if lines[0].startswith("differ"):
            differ.append(name.lower())
        for place, line in enumerate(lines):
            console.say(f"{'' if place else name:<{_WIDE}}{line}")
    stale = [str(one.unit) for _, one in rows if not one.in_reach and one.state is not None]
    for text in stale:
        console.say(f"! {text} is out of reach; compared as it was seen last")
    never = [str(one.unit) for _, one in rows if one.state is None]
    out_of_reach: list[Json] = [*stale, *never]
    lacking = _lacking(rows, await client.open_requests())
    say_whose_word(console, client)
    data: dict[str, Json] = {
        "verified": client.verified,
        "differ": differ,
        "out_of_reach": out_of_reach,
        "lacks": {unit: request.id for unit, request in lacking.items()},
    }
    if differ or never or lacking:
        raise _trouble(client, differ, never, lacking, data)
    console.object(data)


def _sections(states: Numbered) -> Iterator[tuple[str, list[str]]]:
    yield "ADMINISTRATORS", _compared(states, _names, _named_keys)
    yield (
        "THRESHOLDS",
        _compared(states, lambda s: f"{s.signature_threshold} / {s.revocation_threshold}"),
    )
    yield "MASTER KEY REGISTERS", _compared(states, _registers)
    yield "CONTROL POINTS", _control_points(states)
    yield (
        "ATTRIBUTES, KEY USERS",
        _compared(states, lambda _: "", lambda s: f"{_attributes(s)}; {_key_users(s)}"),
    )


def _compared(
    states: Numbered,
    said: Callable[[UnitState], str],
    told_apart: Callable[[UnitState], str] | None = None,
) -> list[str]:
    """`the same: ...`, or who has what; `told_apart` says more where `said` doesn't tell apart."""
    groups: dict[str, list[int]] = {}
    for number, state in states:
        groups.setdefault((told_apart or said)(state), []).append(number)
    if len(groups) <= 1:
        text = said(states[0][1]) if states else ""
        return [f"the same: {text}" if text else "the same"]
    return _differ([f"{_numbers(numbers)} {text}" for text, numbers in groups.items()])


def _control_points(states: Numbered) -> list[str]:
    everything = {point for _, state in states for point in state.control_points}
    lines = []
    for point in sorted(everything):
        having = [number for number, state in states if point in state.control_points]
        lacking = [number for number, state in states if point not in state.control_points]
        if lacking:
            name = CONTROL_POINT_NAMES.get(point, str(point))
            lines.append(f"{name}   {_numbers(having)} Set   {_numbers(lacking)} Not Set")
    if lines:
        return _differ(lines)
    names = ", ".join(CONTROL_POINT_NAMES.get(point, str(point)) for point in sorted(everything))
    return [f"the same: {names or 'none set'}"]


def _differ(lines: list[str]) -> list[str]:
    return [f"{'differ: ' if place == 0 else '        '}{line}" for place, line in enumerate(lines)]


def _numbers(numbers: Sequence[int]) -> str:
    return " ".join(map(str, numbers))


def _names(state: UnitState) -> str:
    return ", ".join(sorted(one.name for one in state.administrators)) or "none"


def _named_keys(state: UnitState) -> str:
    keys = sorted(f"{one.name} {short(one.ski)}" for one in state.administrators)
    return ", ".join(keys) or "none"


def _registers(state: UnitState) -> str:
    return f"new {_register(state.new)}, current {_register(state.current)}"


def _register(register: Register) -> str:
    return register.state.value if register.vp is None else f"{register.state} {short(register.vp)}"


def _attributes(state: UnitState) -> str:
    return ", ".join(state.attributes) or "no attribute"


def _key_users(state: UnitState) -> str:
    users = [
        f"{shown(one.name)} {short(one.public_key)} ({', '.join(one.rights)})"
        for one in state.key_users
    ]
    return f"key users {', '.join(users)}" if users else "no key users"


def _lacking(
    rows: Sequence[tuple[int, UnitNow]], requests: Sequence[Request]
) -> dict[str, Request]:
    """Units that lack a request which the others have run, and that is still tried."""
    chosen: dict[UnitId, str] = {one.unit.unit: str(one.unit) for _, one in rows}
    found: dict[str, Request] = {}
    for request in requests:
        if request.state is not RequestState.PARTLY_EXECUTED:
            continue
        for progress in request.progress:
            if progress.open and progress.unit in chosen:
                found.setdefault(chosen[progress.unit], request)
    return found


def _trouble(
    client: Party,
    differ: list[Json],
    never: list[str],
    lacking: dict[str, Request],
    data: dict[str, Json],
) -> Trouble:
    if lacking:
        unit, request = next(iter(lacking.items()))
        until = "" if request.opening is None else f" by {_moment(request.opening.not_after)}"
        return Trouble(
            Exit.DIFFER,
            f"{unit} lacks request {request.id}; it can't take over until mended",
            next=f"nothing yet: it is brought along if it returns{until}",
            data=data,
        )
    if never and not differ:
        return Trouble(
            Exit.DIFFER,
            f"{', '.join(never)} was never seen from here; the others are the same",
            next="look again when it is back",
            data=data,
        )
    return Trouble(
        Exit.DIFFER,
        "units of the instance aren't the same",
        expected="all the same",
        found=", ".join(map(str, differ)),
        next=f"what was done to some only? {client.listing}. Then do it to the others:"
        " quorate tke cryptounit-rm, cryptounit-add choose them",
        data=data,
    )


def _moment(at: Instant) -> str:
    return times.moment(at, now=clock.now())
