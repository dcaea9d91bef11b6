"""Requests in words: a line in a table, a screen, what goes on, how it ended.

Pure: from what the coordinator shows, and what of it this machine has verified.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coordinator.client.proof import Checked
from coordinator.wire.instance import InstanceView
from coordinator.wire.requests import OnUnit, RequestView
from coordinator.wire.values import instant_of
from protocol.commands import wording
from protocol.commands.bodies import Void, tke_name_of
from protocol.commands.rules import refusal_of
from protocol.displayable import shown
from protocol.identifiers import Duration, Instant, grouped
from protocol.request import Outcome, RequestState
from quorate import not_recalled, times
from quorate.exits import Json
from quorate.not_recalled import one_of

_LABEL = 12
_REFILED = (
    RequestState.CANCELLED,
    RequestState.EXPIRED,
    RequestState.SUPERSEDED,
    RequestState.REJECTED,
    RequestState.FAILED,
    RequestState.PARTLY_EXECUTED,
)


@dataclass(frozen=True)
class Units:
    """The units' names as people say them, by id."""

    names: Mapping[str, str]

    @classmethod
    def of(cls, instance: InstanceView) -> "Units":
        """All units of the instance."""
        return cls({one.id: f"{one.type.upper()} {one.location}" for one in instance.units})

    def name(self, unit: str) -> str:
        """Type and location; of an unknown unit a short form of its id."""
        return self.names.get(unit, f"unit {unit[:8]}…")

    def all(self, units: Sequence[str]) -> str:
        """Several, with blanks and commas between."""
        return ", ".join(self.name(unit) for unit in units)


def on_units(view: RequestView) -> str:
    """`on 4 units`."""
    count = len(view.units)
    return f"on {count} unit{'' if count == 1 else 's'}"


def executed(view: RequestView) -> int:
    """On how many units it ran."""
    return sum(one.outcome is Outcome.EXECUTED for one in view.progress)


def row(view: RequestView, units: Units) -> tuple[str, ...]:
    """A line of `requests list`."""
    count = str(len(view.units))
    if view.state is RequestState.PARTLY_EXECUTED:
        count = f"{executed(view)} of {len(view.progress)}"
    until = "" if view.expires is None else times.in_table(instant_of(view.expires))
    return (str(view.id), view.state.value, view.title, count, waits_for(view, units), until)


def waits_for(view: RequestView, units: Units) -> str:
    """Who or what an open request waits for."""
    if view.ended:
        return ""
    if view.behind:
        return f"request {view.behind[-1]}"
    if view.state is RequestState.COLLECTING:
        names = one_of(view.waiting_for)
        return f"{names} ({view.have} of {view.needed})" if names else ""
    if view.state is RequestState.PARTLY_EXECUTED:
        return units.all([one.unit for one in view.progress if one.outcome is Outcome.OPEN])
    return units.all(view.held_by)


def going_on(view: RequestView, now: Instant) -> str:
    """What an open request does now, in one line."""
    left = "" if view.expires is None else f"    {_left(view, now)}"
    match view.state:
        case RequestState.WAITING_IN_LINE if view.behind:
            numbers = ", ".join(str(number) for number in view.behind)
            return f"in line behind request{'s' if len(view.behind) > 1 else ''} {numbers}"
        case RequestState.WAITING_IN_LINE:
            return "waiting in line: its units are asked for their states"
        case RequestState.COLLECTING:
            signed = ", ".join(sorted({one.person or one.ski[:8] for one in view.signed_by}))
            have = f"{view.have} of {view.needed}" + (f": {signed}" if signed else "")
            given = sum(part.given for part in view.parts)
            parts = f"{given} of {len(view.parts)} parts    " if view.parts else ""
            names = one_of(view.waiting_for)
            return f"{parts}{have}" + (f"    waiting for {names}" if names else "") + left
        case RequestState.READY if view.held_by:
            ready = len(view.progress) - len(view.held_by)
            return f"ready on {ready} of {len(view.progress)} units, held"
        case RequestState.PARTLY_EXECUTED:
            done, count = executed(view), len(view.progress)
            return f"partly executed: {done} of {count} units; the rest is tried{left}"
        case _:
            return view.state.value


def held(view: RequestView, units: Units, now: Instant) -> Iterator[str]:
    """Why a ready request doesn't run, and what one can do."""
    progress = {one.unit: one for one in view.progress}
    for unit in view.held_by:
        moved = progress[unit].outcome is Outcome.SUPERSEDED
        why = "has moved on since it was signed for it" if moved else "is out of reach"
        yield f"  {units.name(unit)} {why}"
    if any(progress[unit].outcome is Outcome.OPEN for unit in view.held_by):
        yield f"  Nothing has run. It goes on by itself if the unit returns by {_until(view, now)}."
    else:
        yield "  Nothing has run."
    yield f"Next, if you don't want to wait: quorate requests proceed {view.id}"


def screen(view: RequestView, checked: Checked, units: Units, now: Instant) -> Iterator[str]:
    """All that people want to know of a request."""
    title = f"{view.title}, {on_units(view)}"
    yield f"Request {view.id} · {view.instance} · {title} · {view.state}"
    key = wording.key_of(checked.request.filing.body)
    if key is not None:
        yield _row("Key", grouped(key))
    for change in _changes(checked):
        yield _row("Changes", change)
    if view.purpose:
        yield _row("Purpose", shown(view.purpose))
    yield _row("Filed by", _filed_by(view, checked))
    for signer in view.signed_by:
        name = signer.person or signer.ski
        said = "verified" if signer.person in checked.signed_by else "not verified"
        yield _row("Signed by", f"{name} {signer.ski[:8]}…, {said}")
    for part in view.parts:
        yield _row("Part", f"{part.vp} {part.custodian}, {'given' if part.given else 'wanted'}")
    for no in view.rejections:
        yield _row("Rejected by", f"{no.person}: {shown(no.reason)}")
    if view.left_out:
        yield _row("Left out", units.all(view.left_out))
    if not view.ended:
        yield _row("Now", going_on(view, now))
        if view.expires is not None:
            yield _row("Valid until", f"{_until(view, now)}, {_left(view, now)}")
        if view.held_by:
            yield from held(view, units, now)
    elif view.why:
        yield _row("Why", shown(view.why))
    for one in view.progress:
        yield from _unit(one, view, units)
    if checked.receipts or view.state is RequestState.EXECUTED:
        yield _row("Receipts", _receipts(view, checked))
    if view.ended:
        yield from ending(view, now)


def ending(view: RequestView, now: Instant) -> Iterator[str]:
    """What an ended request leaves, and what one may do."""
    if view.state is not RequestState.EXECUTED and not executed(view):
        yield f"  Nothing of request {view.id} has run."
    live = view.not_recalled()
    if live is not None:
        yield from not_recalled.lines_of(live, now)
    if view.void is not None:
        yield f"  Request {view.void} is to make them harmless."
    elif view.live is not None:
        yield f"Next: quorate requests void {view.id}"
    elif view.state in _REFILED and view.voids is None:
        yield f"Next, if it is still wanted: quorate requests refile {view.id}"


def as_json(view: RequestView, checked: Checked | None, **more: Json) -> dict[str, Json]:
    """A request for scripts."""
    command = None if checked is None else tke_name_of(checked.request.filing.body)
    data: dict[str, Json] = {
        "instance": view.instance,
        "practice": view.practice,
        "request": view.id,
        "command": command or view.title,
        "title": view.title,
        "state": view.state.value,
        "ended": view.ended,
        "have": view.have,
        "needed": view.needed,
        "waiting_for": list(view.waiting_for),
        "behind": list(view.behind),
        "held_by": list(view.held_by),
        "signed_by": [one.ski for one in view.signed_by],
        "approvals": list(view.approvals),
        "executed_on": [one.unit for one in view.progress if one.outcome is Outcome.EXECUTED],
        "units": list(view.units),
        "purpose": view.purpose,
        "filed_by": view.filed_by.name,
        "expires": None if view.expires is None else _script(instant_of(view.expires)),
        "why": view.why,
        "voids": view.voids,
        "void": view.void,
        "live": not_recalled.as_json(view.not_recalled()),
    }
    if checked is not None:
        data["receipts_verified"] = len(checked.receipts)
    return {**data, **more}


def _script(at: Instant) -> str:
    return times.for_scripts(at)


def _row(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"


def _changes(checked: Checked) -> list[str]:
    """What it changes, said once for units where that reads the same."""
    body = checked.request.filing.body
    found = [
        f"{change.what} {change.before} → {change.after}"
        for one in checked.request.progress
        if refusal_of(body, one.state) is None
        for change in wording.changes(body, one.state, one.target.version, checked.name_of)
    ]
    return list(dict.fromkeys(found))


def _filed_by(view: RequestView, checked: Checked) -> str:
    if view.filed_by.account:
        return f"{view.filed_by.name}, not verified (this account has no key)"
    said = "verified" if checked.filed_by == view.filed_by.name else "not verified"
    return f"{view.filed_by.name}, {said}"


def _unit(one: OnUnit, view: RequestView, units: Units) -> Iterator[str]:
    """A unit that went another way than the rest."""
    if one.refusal is not None:
        refusal = one.refusal
        yield _row("Unit", f"{units.name(one.unit)} refused: {refusal.says} ({refusal.rule})")
        yield f"    expected  {refusal.expected}      found  {refusal.found}"
    elif one.outcome is Outcome.SUPERSEDED:
        yield _row("Unit", f"{units.name(one.unit)} has moved on: the signatures for it are dead")
    elif one.outcome is Outcome.GIVEN_UP:
        yield _row("Unit", f"{units.name(one.unit)} was given up")
    elif one.outcome is Outcome.OPEN and view.state is RequestState.PARTLY_EXECUTED:
        yield _row("Unit", f"{units.name(one.unit)} hasn't answered yet")


def _receipts(view: RequestView, checked: Checked) -> str:
    text = f"{len(checked.receipts)} of {len(view.progress)} verified."
    if isinstance(checked.request.filing.body, Void) and view.voids is not None:
        text += f" The signatures for request {view.voids} can't run on these units any more."
    return text


def _until(view: RequestView, now: Instant) -> str:
    return "" if view.expires is None else times.moment(instant_of(view.expires), now=now)


def _left(view: RequestView, now: Instant) -> str:
    if view.expires is None:
        return ""
    return times.left(Duration(max(0, instant_of(view.expires) - now)), fine=True)
