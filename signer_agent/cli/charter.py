"""`quorate charter`: who belongs together. Made, shown, compared by voice, accepted."""

from collections.abc import Sequence
from pathlib import Path

import click

from protocol.charter import Chain, Charter, CharterUnit, Coordinator, Floor, Person
from protocol.identifiers import grouped
from quorate.commands import Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from quorate.prompts import confirmed
from signer_agent.cli.place import agent_option
from signer_agent.client.agent_client import AgentClient
from signer_agent.local.messages import CharterLine, Charters, GetCharters, GetStatus, Status

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_NEW_FILE = click.Path(path_type=Path, dir_okay=False)
_COUNT = click.IntRange(1, 8)


@click.group(cls=Group)
def charter() -> None:
    """Who belongs together: the units, people and coordinator of a service instance."""


@charter.command()
@click.option(
    "--units",
    "unit_files",
    type=_FILE,
    multiple=True,
    help="what `quorate unit show --export` wrote at a host; again for each. None: as before",
)
@click.option("--signatures", type=_COUNT, default=2, show_default=True, help="least threshold")
@click.option("--revocations", type=_COUNT, default=2, show_default=True, help="least threshold")
@click.option(
    "--exit-people",
    type=_COUNT,
    default=2,
    show_default=True,
    help="how many different people must sign the exit from imprint mode",
)
@click.option("--alone", is_flag=True, help="one person may be alone; every screen says so")
@click.option("--without", multiple=True, metavar="PERSON", help="who isn't in it")
@agent_option
@pass_console
async def new(
    console: Console,
    unit_files: Sequence[Path],
    signatures: int,
    revocations: int,
    exit_people: int,
    alone: bool,
    without: Sequence[str],
    client: AgentClient,
) -> None:
    """Proposes the next version: all enrolled people, with the signature keys that they offered.

    Nobody is bound by it until they have compared its words with the others and accepted it.
    """
    from signer_agent.local.messages import Ok, ProposeCharter

    status = await client.ask(GetStatus(), Status)
    known = await client.ask(GetCharters(), Charters)
    made = _next_version(
        status,
        known,
        _units(unit_files, known),
        Floor(signatures=signatures, revocations=revocations, exit_people=exit_people),
        alone,
        set(without),
    )
    await client.ask(ProposeCharter(charter=made), Ok)
    console.practice = made.practice or None
    console.say(f"✓ version {made.number} of the charter of {made.instance} proposed to all")
    console.say("Next, each of you: quorate charter accept")
    console.object({"instance": made.instance, "version": made.number, "digest": made.digest.hex()})


def _units(files: Sequence[Path], known: Charters) -> tuple[CharterUnit, ...]:
    from protocol.receipts import entry_hash, open_entry
    from protocol.schema import from_bytes
    from protocol.unit_identity import OfferedUnits
    from protocol.violations import Violation

    if not files:
        if not known.versions:
            raise Trouble(
                Exit.USAGE,
                "a first charter needs the units",
                next="at each unit host: quorate unit show DIR --export FILE; then --units FILE",
            )
        return known.versions[-1].charter.units
    units: list[CharterUnit] = []
    for path in files:
        try:
            offered = from_bytes(OfferedUnits, path.read_bytes())
            for one in offered.units:
                certificate = one.certified.opened()
                open_entry(one.last_entry, certificate.identity)
                units.append(
                    CharterUnit(
                        certificate=certificate,
                        vendor_root=one.certified.vendor_root,
                        vendor_signature=one.certified.certificate.signature,
                        last_receipt=entry_hash(one.last_entry),
                    )
                )
        except Violation as violation:
            raise Trouble(
                Exit.DAMAGED,
                f"{path} isn't what a unit host exported: {violation}",
                next="get it again from the host",
            ) from None
    return tuple(sorted(units, key=lambda unit: unit.id))


def _next_version(
    status: Status,
    known: Charters,
    units: tuple[CharterUnit, ...],
    floor: Floor,
    alone: bool,
    without: set[str],
) -> Charter:
    before = [one.charter for one in known.versions if one.in_force]
    previous = before[-1] if before else None
    people = []
    for one in sorted(known.agents, key=lambda it: it.person):
        if one.person in without:
            continue
        keys = sorted(
            (key for key in known.keys if key.claim.agent == one.agent), key=lambda key: key.ski
        )
        people.append(Person(name=one.person, agent=one.agent, keys=tuple(keys)))
    if previous is not None:
        coordinator = previous.coordinator
    else:
        coordinator = Coordinator(url=status.url, identity=known.coordinator, log=known.log)
    try:
        return Charter(
            instance=status.instance,
            number=1 if previous is None else previous.number + 1,
            previous=None if previous is None else previous.digest,
            practice=status.practice,
            vendor_roots=tuple(sorted({unit.vendor_root for unit in units})),
            units=units,
            people=tuple(people),
            coordinator=coordinator,
            floor=floor,
            alone=alone,
        )
    except ValueError as error:
        raise Trouble(
            Exit.REFUSED, f"that charter isn't possible: {error}", next="change what it says"
        ) from None


@charter.command()
@click.option("--full", is_flag=True, help="identity keys, log key, vendor roots too")
@click.option(
    "--export", type=click.Path(path_type=Path, dir_okay=False), help="write it to a file"
)
@agent_option
@pass_console
async def show(console: Console, full: bool, export: Path | None, client: AgentClient) -> None:
    """The newest version, in force or not, and who has accepted it."""
    from protocol.files.charter_file import write_charter_file

    known = await client.ask(GetCharters(), Charters)
    line = _newest(known)
    status = await client.ask(GetStatus(), Status)
    console.practice = line.charter.practice or None
    _show(console, line.charter, status, full=full)
    console.say(_accepted(line))
    if export is not None:
        chain = _chain(known, line.charter)
        export.write_bytes(write_charter_file(chain))
        console.say(f"✓ {export} written")
    parts: list[Json] = [part.vp.hex() for part in known.parts]
    console.object({**_as_json(line), "announced_parts": parts})


@charter.command()
@click.argument("file", type=_FILE, required=False)
@click.option(
    "--same-words",
    is_flag=True,
    help="for scripts: somebody has compared the words, and at the hosts the units",
)
@agent_option
@pass_console
async def accept(
    console: Console, file: Path | None, same_words: bool, client: AgentClient
) -> None:
    """Accepts the newest version, once you have compared its words with the others by voice.

    Works off line from a FILE. From then on your agent knows nobody else.
    """
    from protocol.signing.words import words_of
    from signer_agent.local.messages import AcceptCharter, HearCharter, Ok

    if file is not None:
        await client.ask(HearCharter(versions=_read(file).versions), Ok)
    known = await client.ask(GetCharters(), Charters)
    line = _newest(known)
    status = await client.ask(GetStatus(), Status)
    version = line.charter
    console.practice = version.practice or None
    if not line.accepted_here:
        _show(console, version, status, full=False)
        _words(console, words_of(version.digest))
        if not same_words:
            _compare(console, version, status, known)
        await client.ask(AcceptCharter(charter=version.digest), Ok)
        known = await client.ask(GetCharters(), Charters)
        line = next(one for one in known.versions if one.charter.digest == version.digest)
        console.say(f"✓ accepted, kept on this machine. {_accepted(line)}")
    else:
        console.say(f"✓ accepted before. {_accepted(line)}")
    console.object(_as_json(line))


@charter.command()
@agent_option
@pass_console
async def diff(console: Console, client: AgentClient) -> None:
    """What the newest version changes against the one before."""
    from signer_agent.trust.difference import differences

    known = await client.ask(GetCharters(), Charters)
    line = _newest(known)
    before = next(
        (one.charter for one in known.versions if one.charter.digest == line.charter.previous), None
    )
    if before is None:
        raise Trouble(
            Exit.REFUSED, "this is the first version: there is none before", next="charter show"
        )
    found = differences(before, line.charter)
    for one in found:
        console.say(str(one))
    console.object({"version": line.charter.number, "differences": [str(one) for one in found]})


def _newest(known: Charters) -> CharterLine:
    if not known.versions:
        raise Trouble(
            Exit.REFUSED,
            "no charter is known here yet",
            next="quorate charter new, or wait for the others' proposal",
        )
    return known.versions[-1]


def _chain(known: Charters, newest: Charter) -> Chain:
    by_digest = {one.charter.digest: one.charter for one in known.versions}
    versions = [newest]
    while versions[0].previous is not None:
        versions.insert(0, by_digest[versions[0].previous])
    return Chain(versions)


def _read(file: Path) -> Chain:
    from protocol.files.charter_file import read_charter_file
    from protocol.violations import Violation

    try:
        return read_charter_file(file.read_bytes())
    except Violation as violation:
        raise Trouble(
            Exit.DAMAGED, f"{file} isn't a charter file: {violation}", next="get it again"
        ) from None


def _show(console: Console, version: Charter, status: Status, *, full: bool) -> None:
    console.say(
        f"Charter of {version.instance}, version {version.number}: who belongs together. From then "
        "on your agent will know nobody else."
    )
    console.say(f"  Real          {'no, PRACTICE' if version.practice else 'yes, not practice'}")
    console.say("  People        each signed their own entry with these keys; checked here")
    for person in version.people:
        name = person.name + (" (you)" if person.name == status.person else "")
        for key in person.keys:
            console.say(f"     {name:<12}{key.claim.algorithm.value:<9}{grouped(key.ski)}")
        if not person.keys:
            console.say(f"     {name:<12}no signature key; may give key parts")
    for place, unit in enumerate(version.units):
        label = "Units" if place == 0 else ""
        said = unit.certificate
        console.say(
            f"  {label:<14}{said.type.value.upper():<12}{said.location}  serial {said.serial}"
        )
    floor = version.floor
    console.say(
        f"  {'Least':<14}thresholds {floor.signatures} / {floor.revocations}; "
        f"{floor.exit_people} people take a unit out of imprint mode"
    )
    if version.alone:
        console.say(f"  {'Alone':<14}! one person may be alone")
    console.say(f"  {'Coordinator':<14}{version.coordinator.url}")
    if full:
        console.say(f"  {'':<14}identity {grouped(version.coordinator.identity)}")
        console.say(f"  {'':<14}log      {grouped(version.coordinator.log)}")
        for root in version.vendor_roots:
            console.say(f"  {'Vendor root':<14}{grouped(root)}")
    console.say()


def _words(console: Console, words: Sequence[str]) -> None:
    console.say(
        "Call the others. Each reads these words from their own screen: the same twelve, in"
    )
    console.say("order. Not by chat or mail: whoever holds the coordinator might hold those too.")
    console.say()
    for row in range(0, len(words), 4):
        cells = (f"{place + 1:>6} {words[place]:<10}" for place in range(row, row + 4))
        console.say("".join(cells).rstrip())
    console.say()


def _compare(console: Console, version: Charter, status: Status, known: Charters) -> None:
    from protocol.unit_identity import fingerprint_of_units

    for person in version.people:
        if person.name == status.person:
            continue
        question = f"Did {person.name} read the same twelve words?"
        if not confirmed(console, question, instead="--same-words"):
            raise _differ()
    before = {unit.id for one in known.versions if one.accepted_here for unit in one.charter.units}
    if any(unit.id not in before for unit in version.units):
        fingerprint = fingerprint_of_units(
            list(version.vendor_roots), [unit.certificate.identity for unit in version.units]
        )
        console.say("The units are new to you. At the unit host `quorate unit show` must print")
        console.say(f"  {grouped(fingerprint)}")
        question = "Did someone at the host read the same to you?"
        if not confirmed(console, question, instead="--same-words"):
            raise _differ()


def _differ() -> Trouble:
    return Trouble(
        Exit.ALARM,
        "not accepted: what the others read isn't what you see",
        next="all look for the line that differs: quorate charter show --full",
    )


def _accepted(line: CharterLine) -> str:
    people = len(line.charter.people)
    have = ", ".join(line.accepted_by) or "nobody"
    text = f"{len(line.accepted_by)} of {people} have accepted: {have}."
    if line.in_force:
        return f"{text} It is in force."
    waiting = ", ".join(line.missing)
    return f"{text} Waiting for {waiting}." if waiting else text


def _as_json(line: CharterLine) -> dict[str, Json]:
    return {
        "instance": line.charter.instance,
        "version": line.charter.number,
        "digest": line.charter.digest.hex(),
        "in_force": line.in_force,
        "accepted_here": line.accepted_here,
        "accepted_by": list(line.accepted_by),
        "waiting_for": list(line.missing),
        "units": [unit.id.hex() for unit in line.charter.units],
    }
