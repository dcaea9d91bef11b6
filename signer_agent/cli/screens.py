"""A reviewed request as a screen, in the order in which people decide."""

from collections.abc import Iterator, Sequence

from protocol.displayable import shown
from protocol.identifiers import Instant, grouped, short
from quorate import times
from signer_agent.desk.screen import PartLine, Screen

_LABEL = 14
_WIDE = 20


def lines_of(screen: Screen, *, now: Instant) -> list[str]:
    """The whole screen; `now` is this machine's clock."""
    return list(_lines(screen, now))


def _lines(screen: Screen, now: Instant) -> Iterator[str]:
    units = len(screen.targets)
    yield f"Request {screen.request} · {screen.instance} · {screen.title}, on {units} units"
    yield screen.sentence
    yield ""
    yield _row("Wanted", _wanted(screen))
    if screen.alone:
        yield _row("Alone", "the charter says that one person may be alone")
    if screen.key is not None:
        yield _row("Key", grouped(screen.key))
    yield from _parts(screen.parts, screen)
    yield from _changes(screen)
    yield from _targets(screen)
    yield from _roster(screen)
    yield _row("Purpose", shown(screen.purpose) if screen.purpose else "none given")
    yield _row("Asked by", _asked(screen, now))
    for one in screen.signed_by:
        yield _row("Signed by", f"{one.person} {short(one.ski)}, verified")
    for text in screen.uncounted:
        yield _row("Not counted", text)
    for no in screen.rejections:
        yield _row("Rejected by", f"{no.person}: {shown(no.reason)}, verified")
    if screen.voids is not None:
        yield _row("Voids", f"signed copies of request {screen.voids}")
    left = times.left(max(0, screen.not_after - now))  # type: ignore[arg-type]
    yield _row("Valid until", f"{times.moment(screen.not_after, now=now)}, {left}")
    yield _row("Checked", _checked(screen))
    for text in screen.cautions:
        yield f"! {text}"
    yield ""
    if screen.if_given:
        yield from _several("If you sign" if screen.keys else "If you give", screen.if_given)
    if screen.if_not:
        yield from _several("If you don't", screen.if_not)


def wanted(screen: Screen) -> str:
    """What is wanted of this person, in a word or two."""
    part, key = screen.part_wanted is not None, bool(screen.keys)
    match part, key:
        case True, True:
            return "part, signature"
        case True, False:
            return "part"
        case False, True:
            return "signature"
        case _:
            return "nothing"


def _wanted(screen: Screen) -> str:
    have = f"Have {screen.have} of {screen.needed}."
    texts: list[str] = []
    if screen.part_wanted is not None:
        name = "none of your files" if screen.part is None else f'"{screen.part.name}"'
        texts.append(f"your part {name}")
    if screen.keys:
        texts.append(f"your signature, with {screen.keys[0].file}")
    if not texts:
        return f"nothing of you now. {have}"
    return f"{' and '.join(texts)}. {have}"


def _parts(parts: Sequence[PartLine], screen: Screen) -> Iterator[str]:
    if not parts:
        return
    loading = screen.part_wanted is not None or any(not one.given for one in parts)
    texts = []
    for number, part in enumerate(parts, start=1):
        mine = " (you)" if part.me else ""
        given = "" if not loading else ", given" if part.given else ", not given yet"
        texts.append(f"{number} {part.person}{mine}{given}")
    yield _row(f"of {len(parts)} parts", "; ".join(texts))
    for number, part in enumerate(parts, start=1):
        yield f"{number:>8}        {grouped(part.vp)}"


def _changes(screen: Screen) -> Iterator[str]:
    for group in screen.groups:
        if len(screen.groups) > 1:
            yield _row("On", ", ".join(str(unit) for unit in group.units))
        width = max((len(change.before) for change in group.changes), default=0)
        wide = max([_WIDE, *(len(change.what) + 2 for change in group.changes)])
        yield f"  {'':{_LABEL + wide}}{'NOW':<{width}}    AFTER"
        for place, change in enumerate(group.changes):
            label = "Changes" if place == 0 else ""
            yield _row(label, f"{change.what:<{wide}}{change.before:<{width}}  → {change.after}")
        for place, text in enumerate(group.stays):
            yield _row("Stays" if place == 0 else "", text)


def _targets(screen: Screen) -> Iterator[str]:
    for place, one in enumerate(screen.targets):
        seen = "" if one.fresh or one.outcome.value != "open" else "   last seen state"
        ended = "" if one.outcome.value == "open" else f"   {one.outcome.value}"
        yield _row("Targets" if place == 0 else "", f"{one.unit}{seen}{ended}")
    left_out = ", ".join(str(unit) for unit in screen.left_out)
    yield _row("", f"left out: {left_out or 'none of the charter' + chr(39) + 's units'}")


def _roster(screen: Screen) -> Iterator[str]:
    for group in screen.roster:
        names = []
        for one in group.administrators:
            who = one.name if one.person is not None else shown(one.name)
            mark = " (you)" if one.me else " (has left, remove)" if one.left else ""
            if one.person is None:
                mark = " (NOT in the charter)"
            names.append(f"{who} {short(one.ski)}{mark}")
        where = "" if len(screen.roster) == 1 else f"; on {len(group.units)} units"
        yield _row("Roster", ("  ".join(names) or "nobody yet") + where)


def _asked(screen: Screen, now: Instant) -> str:
    filed = screen.filed_by
    name = f"operator {filed.name}" if filed.operator else filed.name
    proof = "verified" if filed.verified else "not verified"
    return f"{name}, {times.moment(filed.at, now=now)}, {proof}"


def _checked(screen: Screen) -> str:
    done = screen.checked
    text = f"state signed by {done.fresh} of {done.units} units; each history whole, "
    text += f"{done.receipts} entries"
    if done.importer_keys:
        text += f"; {done.importer_keys} importer keys"
    return f"{text}; the log followed to entry {done.log}"


def _several(label: str, texts: Sequence[str]) -> Iterator[str]:
    for place, text in enumerate(texts):
        yield _row(label if place == 0 else "", text)


def _row(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}".rstrip()
