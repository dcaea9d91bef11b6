"""A reviewed request as a screen, in the order in which people decide."""

from collections.abc import Collection, Iterator, Sequence

from protocol.displayable import shown
from protocol.identifiers import SECOND, VP, Duration, Instant, grouped, short
from protocol.request import Outcome
from quorate import times
from quorate.layout import WIDTH, folded, wrapped
from signer_agent.desk.screen import (
    AdministratorLine,
    ChangeGroup,
    PartLine,
    RosterGroup,
    Screen,
    TargetLine,
    UnitLine,
)

_CAUTION = "! "
_NARROW = 20
_LABEL = 14
_WIDE = 20
_KIND = 13
_REGISTERS = ("new register ", "current register ")


def lines_of(
    screen: Screen,
    *,
    now: Instant,
    own: Collection[VP] = (),
    new: Sequence[str] = (),
    wide: int = WIDTH,
) -> list[str]:
    """The whole screen; `now` is this machine's clock, `own` the key parts whose files are here.

    `new` is what has changed since the person looked at it last, `wide` the longest line.
    """
    whole = _lines(screen, now, own, new, wide)
    return [line for one in whole for line in _fitted(one.rstrip(), wide)]


def _fitted(line: str, wide: int) -> Iterator[str]:
    if not line.startswith(_CAUTION):
        yield from folded(line, wide)
        return
    first, *rest = wrapped(line, wide - len(_CAUTION))
    yield first
    for part in rest:
        yield " " * len(_CAUTION) + part


def _lines(
    screen: Screen, now: Instant, own: Collection[VP], new: Sequence[str], limit: int
) -> Iterator[str]:
    yield (
        f"Request {screen.request} · {screen.instance} · {screen.title}, "
        f"on {counted(len(screen.targets), 'unit')}"
    )
    yield screen.sentence
    yield ""
    yield from _row("Wanted", _wanted(screen))
    if screen.alone:
        yield from _row("Alone", "! the charter says that one person may be alone")
    if screen.key is not None:
        yield from _row("Key", grouped(screen.key))
    yield from _parts(screen, own)
    for group in screen.groups:
        yield from _changes(group, limit, several=len(screen.groups) > 1)
    yield from _targets(screen, now)
    for roster in screen.roster:
        yield from _roster(roster, several=len(screen.roster) > 1)
    yield from _row("Purpose", shown(screen.purpose) if screen.purpose else "none given")
    yield from _row("Asked by", _asked(screen, now))
    for place, one in enumerate(screen.signed_by):
        label = "" if place else "Signed by"
        when = "" if one.at is None else f", {times.moment(one.at, now=now)}"
        yield from _row(label, f"{one.person} {short(one.ski)}{when}, verified")
    for text in screen.uncounted:
        yield from _row("Not counted", text)
    for no in screen.rejections:
        when = times.moment(no.at, now=now)
        yield from _row("Rejected by", f"{no.person}, {when}, verified: {shown(no.reason)}")
    if screen.voids is not None:
        yield from _row("Voids", f"signed copies of request {screen.voids}")
    left = times.left(Duration(max(0, screen.not_after - now)))
    yield from _row("Valid until", f"{times.moment(screen.not_after, now=now)}, {left}")
    yield from _row("Checked", _checked(screen, now))
    for text in new:
        yield f"{_CAUTION}new since you looked: {text}"
    for text in screen.cautions:
        yield f"{_CAUTION}{text}"
    yield ""
    yield from _several("If you sign" if screen.keys else "If you give", _if_given(screen, now))
    yield from _several("If you don't", screen.if_not)


def wanted(screen: Screen) -> str:
    """What is wanted of this person, in a word or two."""
    match screen.part_wanted is not None, bool(screen.keys):
        case True, True:
            return "part, signature"
        case True, False:
            return "part"
        case False, True:
            return "signature"
        case _:
            return "nothing"


def have(screen: Screen) -> str:
    """What is there already, of what is needed."""
    if any(not part.given for part in screen.parts):
        there = sum(part.given for part in screen.parts)
        parts = counted(len(screen.parts), "part")
        return f"{there} of {parts}, {screen.have} of {screen.needed} signed"
    return f"{screen.have} of {counted(screen.needed, 'signature')}"


def counted(number: int, what: str) -> str:
    """`4 units`, `1 unit`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def names(people: Sequence[str], *, last: str = "and") -> str:
    """`alice, bob and carol`."""
    if len(people) < 2:
        return "".join(people)
    return f"{', '.join(people[:-1])} {last} {people[-1]}"


def place(unit: UnitLine) -> str:
    """A unit in a column of units."""
    return f"{unit.type.upper():<{_KIND}}{unit.location}"


def order(unit: UnitLine) -> tuple[int, str]:
    """In which order people read units: operational ones first."""
    return ("operational", "recovery", "failover").index(unit.type.value), unit.location


def _wanted(screen: Screen) -> str:
    signed = names([one.person for one in screen.signed_by])
    there = f"{screen.have} of {screen.needed}"
    if screen.part_wanted is None and not screen.keys:
        return f"nothing of you now: it is {screen.state}. Have {there}."
    texts: list[str] = []
    if screen.part is not None:
        texts.append(f'your part "{screen.part.name}"')
    elif screen.part_wanted is not None:
        texts.append(f"your part {short(screen.part_wanted)}, of which no file is here")
    if screen.keys:
        texts.append(f"your signature, with {screen.keys[0].file}")
    text = " and ".join(texts)
    if screen.keys or screen.have < screen.needed:
        return f"{text}. Have {there}."
    by = f" ({signed}, verified)" if signed else ""
    return f"{text}; no signature: {there} is there{by}"


def _parts(screen: Screen, own: Collection[VP]) -> Iterator[str]:
    if not screen.parts:
        return
    loading = screen.key is None
    texts = [
        f"{number} {_giver(part, screen, own, loading=loading)}"
        for number, part in enumerate(screen.parts, start=1)
    ]
    label = "Parts" if loading else f"of {counted(len(screen.parts), 'part')}"
    yield from _row(label, "; ".join(texts))
    for number, part in enumerate(screen.parts, start=1):
        yield f"{number:>8}        {grouped(part.vp)}"


def _giver(part: PartLine, screen: Screen, own: Collection[VP], *, loading: bool) -> str:
    if loading:
        if part.vp == screen.part_wanted:
            return f"{part.person}, wanted of you"
        return f"{part.person}, {'given, verified' if part.given else 'not given yet'}"
    if not part.me:
        return part.person
    here = "and it is your part ✓" if part.vp in own else "and no such part is here"
    return f"{part.person} (you, {here})"


def _changes(group: ChangeGroup, limit: int, *, several: bool) -> Iterator[str]:
    if several:
        yield from _units("On", group.units)
    wide = max([_WIDE, *(len(change.what) + 2 for change in group.changes)])
    width = max((len(change.before) for change in group.changes), default=0) + 2
    yield f"  {'':{_LABEL + wide}}{'NOW':<{width}}  AFTER"
    for number, change in enumerate(group.changes):
        label = "" if number else "Changes"
        begin = f"  {label:<{_LABEL}}{change.what:<{wide}}{change.before:<{width}}→ "
        first, *rest = wrapped(change.after, max(_NARROW, limit - len(begin)))
        yield begin + first
        for part in rest:
            yield " " * len(begin) + part
    registers = [text for text in group.stays if text.startswith(_REGISTERS)]
    rest = [text for text in group.stays if not text.startswith(_REGISTERS)]
    lines: list[str] = []
    for text in registers:
        what = next(one for one in _REGISTERS if text.startswith(one))
        lines.append(f"{what.strip():<{wide}}{text.removeprefix(what)}")
    yield from _several("Stays", [*lines, ", ".join(rest)])


def _units(label: str, units: Sequence[UnitLine]) -> Iterator[str]:
    for number, unit in enumerate(sorted(units, key=order)):
        yield from _row("" if number else label, place(unit))


def _targets(screen: Screen, now: Instant) -> Iterator[str]:
    for number, one in enumerate(sorted(screen.targets, key=lambda one: order(one.unit))):
        yield from _row("" if number else "Targets", place(one.unit) + _condition(one, now))
    for number, unit in enumerate(sorted(screen.receivers, key=order)):
        yield from _row("" if number else "Receivers", place(unit))
    left_out = ", ".join(str(unit) for unit in sorted(screen.left_out, key=order))
    yield from _row("", f"left out: {left_out or 'none of the charter' + chr(39) + 's units'}")


def _condition(target: TargetLine, now: Instant) -> str:
    if target.outcome is not Outcome.OPEN:
        return f"  {target.outcome}"
    if target.fresh:
        return ""
    return f"  ! out of reach; as it was seen {times.moment(target.asked, now=now)}"


def _roster(group: RosterGroup, *, several: bool) -> Iterator[str]:
    said = "  ".join(_administrator(one) for one in group.administrators) or "nobody yet"
    if group.administrators and all(
        one.person is not None and not one.left for one in group.administrators
    ):
        said += "; all of the charter"
    if several:
        said += f"; on {counted(len(group.units), 'unit')}"
    yield from _row("Roster", said)


def _administrator(one: AdministratorLine) -> str:
    if one.person is None:
        return f"! {shown(one.name)} {grouped(one.ski)} (NOT in the charter)"
    mark = " (you)" if one.me else " (has left, remove)" if one.left else ""
    return f"{one.name} {short(one.ski)}{mark}"


def _asked(screen: Screen, now: Instant) -> str:
    filed = screen.filed_by
    name = f"operator {filed.name}" if filed.operator else filed.name
    proof = "verified" if filed.verified else "not verified (an account has no key)"
    return f"{name}, {times.moment(filed.at, now=now)}, {proof}"


def _checked(screen: Screen, now: Instant) -> str:
    done = screen.checked
    seconds = max(0, now - done.asked) // SECOND
    ago = "just now" if seconds < 1 else f"{counted(seconds, 'second')} ago"
    texts = [
        f"state signed by {done.fresh} of {counted(done.units, 'unit')}, {ago}",
        f"each history whole since imprint mode, {done.receipts} entries",
        f"the log goes on from what this agent saw last, to entry {done.log}",
    ]
    if done.importer_keys:
        texts.insert(0, f"{done.importer_keys} importer keys, each signed by its unit")
    return "; ".join(texts)


def _if_given(screen: Screen, now: Instant) -> list[str]:
    texts = list(screen.if_given)
    if screen.keys and texts:
        until = times.moment(screen.not_after, now=now)
        texts[0] += f" Signed copies can still run until {until}, or until the unit runs"
        texts[0] += " something else."
    return texts


def _several(label: str, texts: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(text for text in texts if text):
        yield from _row("" if number else label, text)


def _row(label: str, text: str) -> Iterator[str]:
    yield f"  {label:<{_LABEL}}{text}"
