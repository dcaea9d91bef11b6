"""`quorate charter`: who belongs together. Made, shown, compared by voice, accepted."""

from collections.abc import Sequence
from pathlib import Path

import click

from protocol.charter import Chain, Charter
from protocol.displayable import PersonName
from protocol.signing.statements import Signed
from protocol.violations import Violation
from quorate import private_files
from quorate.commands import Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble
from signer_agent.cli import charter_proposal, charter_screens
from signer_agent.cli.place import agent_option
from signer_agent.client.agent_client import AgentClient
from signer_agent.local.messages import (
    CharterLine,
    Charters,
    GetCharters,
    GetRequests,
    GetStatus,
    Requests,
    Status,
)

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
@click.option(
    "--signatures",
    type=_COUNT,
    metavar="N",
    help="the least signature threshold; as before, 2 in a first version",
)
@click.option(
    "--revocations",
    type=_COUNT,
    metavar="N",
    help="the least revocation threshold; as before, 2 in a first version",
)
@click.option(
    "--exit-people",
    type=_COUNT,
    metavar="N",
    help="how many different people must sign the exit from imprint mode; as before, 2 in a first "
    "version",
)
@click.option(
    "--alone/--not-alone",
    default=None,
    help="whether one person may be alone, and every screen says so; as before, not in a first one",
)
@click.option("--without", multiple=True, metavar="PERSON", help="who isn't in it")
@click.option("--without-key", multiple=True, metavar="NAME", help="which key, or SKI, isn't")
@agent_option
@pass_console
async def new(
    console: Console,
    unit_files: Sequence[Path],
    signatures: int | None,
    revocations: int | None,
    exit_people: int | None,
    alone: bool | None,
    without: Sequence[str],
    without_key: Sequence[str],
    client: AgentClient,
) -> None:
    """Proposes the next version: all enrolled people, with the signature keys that they offered.

    Nobody is bound by it until they have compared its words with the others and accepted it. People
    and keys that a version in force has left out stay out.
    """
    from signer_agent.local.messages import Ok, ProposeCharter

    status = await client.ask(GetStatus(), Status)
    known = await client.ask(GetCharters(), Charters)
    made = charter_proposal.next_version(
        status,
        known,
        charter_proposal.units_of(unit_files)
        if unit_files
        else await charter_proposal.units_as_they_are(client, known),
        {"signatures": signatures, "revocations": revocations, "exit_people": exit_people},
        alone,
        charter_proposal.left_out(known, set(without), set(without_key)),
    )
    await client.ask(ProposeCharter(charter=made), Ok)
    console.say(f"✓ version {made.number} of the charter of {made.instance} proposed to all")
    console.say("Next, each of you: quorate charter accept")
    console.object({"instance": made.instance, "version": made.number, "digest": made.digest.hex()})


@charter.command("new-coordinator")
@click.argument("file", type=_FILE)
@click.argument("proposal", type=_NEW_FILE)
@click.option(
    "--units",
    "unit_files",
    type=_FILE,
    multiple=True,
    help="what `quorate unit show --export` wrote at a host just now; again for each",
)
@agent_option
@pass_console
async def new_coordinator(
    console: Console,
    file: Path,
    proposal: Path,
    unit_files: Sequence[Path],
    client: AgentClient,
) -> None:
    """Proposes the next version, which names the coordinator of FILE and changes nothing else.

    For when the coordinator is lost, or a backup of it was put back: a fresh one takes over. FILE
    is what `quorate coordinator show --export` wrote there. The version is written to PROPOSAL:
    nobody who is lost or can't be trusted has to carry it. Works off line; of units that your agent
    can't reach and last saw in imprint mode it takes what they have done since, with --units.
    """
    from protocol.files.coordinator_file import read_coordinator_file
    from protocol.files.takeover_file import write_takeover_file

    try:
        offered = read_coordinator_file(file.read_bytes())
    except Violation as violation:
        raise Trouble(
            Exit.DAMAGED, f"{file} isn't a coordinator file: {violation}", next="get it again"
        ) from None
    status = await client.ask(GetStatus(), Status)
    known = await client.ask(GetCharters(), Charters)
    requests = (await client.ask(GetRequests(), Requests)).requests
    takeover = charter_proposal.with_coordinator(
        status,
        known,
        offered,
        charter_proposal.units_of(unit_files),
        highest=max((one.id for one in requests), default=0),
    )
    made = takeover.newest
    data = write_takeover_file(takeover)
    private_files.write(proposal, data, untouched="nothing was proposed", mode=0o644)
    console.say(f"✓ {proposal} written: version {made.number} of the charter of {made.instance}")
    console.say(f"  Coordinator   {made.coordinator.url.removeprefix('https://')}")
    console.say(f"Next, at that coordinator: quorate coordinator take-over DIR {proposal.name}")
    console.say(f"and each of you: quorate charter accept {proposal.name}")
    console.object(
        {
            "instance": made.instance,
            "version": made.number,
            "digest": made.digest.hex(),
            "proposal": str(proposal),
        }
    )


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
    me = client.directory.read().person
    version = line.charter
    console.say(f"Charter of {version.instance}, version {version.number}: who belongs together.")
    console.say()
    for text in charter_screens.charter_lines(version, me, full=full):
        console.say(text)
    console.say()
    console.say(charter_screens.accepted(line, me))
    if export is not None:
        data = write_charter_file(_chain(known, version))
        private_files.write(export, data, untouched="nothing was exported", mode=0o644)
        console.say(f"✓ {export} written")
        if not line.accepted_here:
            console.say(
                "! You haven't accepted it: for others to accept, not to check reports with."
            )
    elif not line.accepted_here:
        console.say("Next: quorate charter accept")
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
    from signer_agent.local.messages import AcceptCharter, HearCharter, Ok

    if file is not None:
        versions, acceptances = _read(file)
        await client.ask(HearCharter(versions=versions, acceptances=acceptances), Ok)
    known = await client.ask(GetCharters(), Charters)
    line = _newest(known)
    me = client.directory.read().person
    if line.accepted_here:
        console.say(f"✓ accepted before. {charter_screens.accepted(line, me)}")
        console.object(_as_json(line))
        return
    _present(console, known, line.charter, me, ask=not same_words)
    digest = line.charter.digest
    await client.ask(AcceptCharter(charter=digest), Ok)
    known = await client.ask(GetCharters(), Charters)
    line = next(one for one in known.versions if one.charter.digest == digest)
    said = charter_screens.accepted(line, me)
    console.say(f"✓ accepted, kept on this machine. {said}")
    console.object(_as_json(line))


def _present(console: Console, known: Charters, version: Charter, me: str, *, ask: bool) -> None:
    """Shows a version, what it changes, and what to compare; asks for each comparison."""
    from signer_agent.trust.difference import comparison

    before = next((one.charter for one in reversed(known.versions) if one.accepted_here), None)
    asked = comparison(_chain(known, version), before, PersonName(me))
    console.say(f"Charter of {version.instance}, version {version.number}: who belongs together.")
    console.say("From now on your agent will know nobody else.")
    console.say()
    for text in charter_screens.charter_lines(version, me, full=False):
        console.say(text)
    if before is not None:
        for text in charter_screens.difference_lines(asked.differences, before):
            console.say(text)
        for text in charter_screens.moving_lines(before, version):
            console.say(text)
    if asked.only_before:
        console.say(f"     ! named between the two, and in neither: {', '.join(asked.only_before)}")
    console.say()
    if ask:
        charter_screens.compare(console, asked)
    else:
        charter_screens.show_words(console, asked)


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
    console.say(
        f"Charter of {line.charter.instance}, version {before.number} → version "
        f"{line.charter.number}"
    )
    for one in found:
        for text in charter_screens.said(one):
            console.say(f"  {text}")
    if not found:
        console.say("  nothing differs but the number")
    found_objects: list[Json] = [
        {"what": one.what, "before": one.before, "after": one.after} for one in found
    ]
    console.object({"version": line.charter.number, "differences": found_objects})


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
    while (previous := versions[0].previous) is not None:
        if previous not in by_digest:
            raise Trouble(
                Exit.REFUSED,
                f"version {versions[0].number} follows one that isn't known here",
                expected=f"version {versions[0].number - 1}, {previous.hex()[:8]}…",
                found="none",
                next="have somebody export theirs: quorate charter show --export FILE; then "
                "quorate charter accept FILE",
            )
        versions.insert(0, by_digest[previous])
    try:
        return Chain(versions)
    except Violation as violation:
        raise Trouble(
            Exit.ALARM,
            f"somebody proposed a version that can't be: {violation}",
            next="call the others: who proposed it? Make it anew: quorate charter new",
        ) from None


def _read(file: Path) -> tuple[tuple[Charter, ...], tuple[Signed, ...]]:
    """The versions in a charter file or a takeover file, and the acceptances in the latter."""
    from protocol.files.charter_file import read_charter_file
    from protocol.files.takeover_file import is_takeover_file, read_takeover_file

    data = file.read_bytes()
    try:
        if is_takeover_file(data):
            takeover = read_takeover_file(data)
            return takeover.versions, takeover.acceptances
        return read_charter_file(data).versions, ()
    except Violation as violation:
        raise Trouble(
            Exit.DAMAGED, f"{file} isn't a charter file: {violation}", next="get it again"
        ) from None


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
        "people": [
            {
                "name": person.name,
                "agent": person.agent.hex(),
                "keys": [key.ski.hex() for key in person.keys],
            }
            for person in line.charter.people
        ],
        "floor": {
            "signatures": line.charter.floor.signatures,
            "revocations": line.charter.floor.revocations,
            "exit_people": line.charter.floor.exit_people,
        },
        "alone": line.charter.alone,
    }
