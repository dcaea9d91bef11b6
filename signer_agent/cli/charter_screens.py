"""A charter version as people read and compare it."""

from collections.abc import Iterator, Sequence

from protocol.charter import Charter, CharterUnit
from protocol.identifiers import grouped
from protocol.signing.words import words_of
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.layout import WIDTH
from quorate.prompts import confirmed
from signer_agent.cli.screens import counted, names, order
from signer_agent.desk.units import line_of
from signer_agent.local.messages import CharterLine
from signer_agent.trust.difference import Comparison, Difference

_LABEL = 14
_NAME = 11
_MARGIN = 5
_SHORT = 20
_SAME_WORDS = "--same-words"


def charter_lines(version: Charter, me: str, *, full: bool) -> Iterator[str]:
    """The whole version; `full` adds the keys that the words stand for too."""
    yield _row("Real", "no, PRACTICE" if version.practice else "yes, not practice")
    yield _row("People", "each signed their own entry with these keys; checked here")
    called = {
        one.name: f"{one.name} (you)" if one.name == me else one.name for one in version.people
    }
    wide = max(_NAME, *(len(name) + 2 for name in called.values()))
    for person in version.people:
        name: str = called[person.name]
        for key in person.keys:
            yield f"     {name:<{wide}}{key.claim.algorithm.value}  {grouped(key.ski)}"
            name = ""
        if not person.keys:
            yield f"     {name:<{wide}}no signature key; may give key parts"
        if full:
            yield f"     {'':<{wide}}agent    {grouped(person.agent)}"
    for place, unit in enumerate(sorted(version.units, key=_order)):
        said = unit.certificate
        text = f"{said.type.upper():<13}{said.location}  serial {said.serial}"
        yield _row("" if place else "Units", text)
        if full:
            yield _row("", f"  {grouped(said.identity)}")
    floor = version.floor
    leave = "1 person takes" if floor.exit_people == 1 else f"{floor.exit_people} people take"
    yield _row(
        "Least",
        f"thresholds {floor.signatures} and {floor.revocations}; "
        f"{leave} a unit out of imprint mode",
    )
    if version.alone:
        yield _row("Alone", "! one person may be alone")
    place_of = version.coordinator.url.removeprefix("https://")
    if not full:
        yield _row(
            "Coordinator",
            f"{place_of}      identity keys, log key, vendor root: charter show --full",
        )
        return
    yield _row("Coordinator", place_of)
    yield _row("", f"identity {grouped(version.coordinator.identity)}")
    yield _row("", f"log      {grouped(version.coordinator.log)}")
    for root in version.vendor_roots:
        yield _row("Vendor root", grouped(root))


def difference_lines(differences: Sequence[Difference], before: Charter) -> Iterator[str]:
    """What a version changes against one that the person knows."""
    what = f"against version {before.number}, which you accepted"
    yield _row("Changes", what if differences else f"nothing {what}")
    for one in differences:
        first, *more = said(one)
        yield f"     ! {first}"
        for text in more:
            yield f"       {text}"


def moving_lines(before: Charter, version: Charter) -> Iterator[str]:
    """What another coordinator means, where a version names one."""
    was, becomes = before.coordinator, version.coordinator
    if (was.identity, was.log) == (becomes.identity, becomes.log):
        return
    yield "     ! another coordinator, with another log: your agent will talk to that one, and sign"
    yield "       nothing until this version is in force. Requests that are open end here; what is"
    yield "       signed of them can still run until it expires. The other log isn't gone on with."


def said(difference: Difference) -> list[str]:
    """One difference in a line, or with both values on lines of their own."""
    line = f"{difference.what}: {difference.before} → {difference.after}"
    if len(line) <= WIDTH - 2 * _MARGIN or " → " in difference.what:
        return [line]
    if len(difference.before) < _SHORT:
        return [difference.what, f"  {difference.before} → {difference.after}"]
    return [difference.what, f"  was  {difference.before}", f"  now  {difference.after}"]


def compare(console: Console, asked: Comparison) -> None:
    """Asks for each comparison that the version demands; alarm trouble at the first No."""
    show_words(console, asked)
    for name in asked.by_voice:
        _ask(console, f"Did {name} read the same twelve words?")
    for number, host in enumerate(asked.at_hosts, start=1):
        units = counted(len(host.units), "unit")
        which = f" (host {number} of {len(asked.at_hosts)})" if len(asked.at_hosts) > 1 else ""
        console.say(f"{units} of one host{which} are new to you or come with new ones:")
        for unit in sorted(host.units, key=_order):
            console.say(f"  {unit.certificate.type.upper():<13}{unit.certificate.location}")
        console.say("At that host `quorate unit show` must print, as these units' fingerprint:")
        console.say(f"  {grouped(host.fingerprint)}")
        _ask(console, "Did someone at the host read the same to you?")


def show_words(console: Console, asked: Comparison) -> None:
    """The twelve words, and with whom to compare them."""
    if asked.by_voice:
        who = names(list(asked.by_voice))
        reads = "Each reads" if len(asked.by_voice) > 1 else f"{who.capitalize()} reads"
        console.say(
            f"Call {who}. {reads} these words from their own screen: the same twelve, in order."
        )
        console.say("Not by chat or mail: whoever holds the coordinator might hold those too.")
    else:
        console.say("You are the only person in it: nobody else has these words to compare.")
    console.say()
    words = words_of(asked.charter.digest)
    for row in range(0, len(words), 4):
        cells = (f"{place + 1:>6} {words[place]:<10}" for place in range(row, row + 4))
        console.say("".join(cells).rstrip())
    console.say()


def accepted(line: CharterLine, me: str) -> str:
    """Who has accepted a version, and whom it waits for."""
    people = len(line.charter.people)
    have = ", ".join(name if name == me else f"{name} (verified)" for name in line.accepted_by)
    text = f"{len(line.accepted_by)} of {people} have accepted: {have or 'nobody'}."
    if line.in_force:
        return f"{text} It is in force."
    return f"{text} Waiting for {names(list(line.missing), last='or')}." if line.missing else text


def _order(unit: CharterUnit) -> tuple[int, str]:
    return order(line_of(unit))


def _ask(console: Console, question: str) -> None:
    if not confirmed(console, question, instead=_SAME_WORDS):
        raise Trouble(
            Exit.ALARM,
            "not accepted: what the others read isn't what you see",
            next="all look for the line that differs: quorate charter show --full",
        )


def _row(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"
