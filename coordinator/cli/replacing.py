"""`quorate coordinator show` and `take-over`: a fresh coordinator in the place of one that is lost.

The way is in `docs/howto/replace-the-coordinator.md`; what is stored is decided in
`coordinator.engine.takeover`.
"""

import secrets
from pathlib import Path

import click

from protocol.identifiers import grouped
from quorate import clock, private_files
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble

_FILE = click.Path(path_type=Path, dir_okay=False)
_directory = click.argument(
    "directory", type=click.Path(path_type=Path, file_okay=False), metavar="DIR"
)


@click.command(cls=Command)
@_directory
@click.option("--url", metavar="URL", help="how agents reach it; otherwise as it listens now")
@click.option("--export", type=_FILE, metavar="FILE", help="write it to a file, for a charter")
@pass_console
def show(console: Console, directory: Path, url: str | None, export: Path | None) -> None:
    """Who this coordinator is: its address, identity key and log key.

    With --export a custodian can propose a charter version that names it, so that it takes the
    instance over from another: `quorate charter new-coordinator`.
    """
    from coordinator.directory import CoordinatorDirectory
    from protocol.charter import Coordinator
    from protocol.files.coordinator_file import OfferedCoordinator, write_coordinator_file
    from protocol.schema import from_plain
    from protocol.violations import Violation

    place = CoordinatorDirectory(directory)
    keys = place.keys()
    instance, practice = place.instance()
    url = url or place.url()
    try:
        named = from_plain(Coordinator, {"url": url, "identity": keys.identity, "log": keys.log})
    except Violation:
        raise Trouble(
            Exit.USAGE, "agents can't use that URL", found=url, next="--url https://HOST:PORT"
        ) from None
    console.say(f"Coordinator of {instance}, {url}")
    console.say(f"  Identity key  {grouped(keys.identity)}")
    console.say(f"  Log key       {grouped(keys.log)}")
    console.say(f"  Certificate   {place.tls_certificate}")
    if export is not None:
        data = write_coordinator_file(
            OfferedCoordinator(instance=instance, practice=practice, coordinator=named)
        )
        private_files.write(export, data, untouched="nothing was exported", mode=0o644)
        console.say(f"✓ {export} written")
        console.say("Next, a custodian: quorate charter new-coordinator FILE PROPOSAL")
    console.object(
        {
            "instance": instance,
            "practice": practice,
            "url": url,
            "identity": keys.identity.hex(),
            "log": keys.log.hex(),
        }
    )


@click.command("take-over", cls=Command)
@_directory
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@pass_console
async def take_over(console: Console, directory: Path, file: Path) -> None:
    """Takes an instance over from another coordinator, by FILE: what custodians propose.

    For when a coordinator is lost, or a backup of it was put back. The agents of the charter need
    no invitations. Nothing is filed here until the version that names this coordinator is in force.
    """
    from coordinator.directory import CoordinatorDirectory
    from coordinator.engine.change import Change
    from coordinator.engine.ledger import Ledger
    from coordinator.engine.takeover import take_over as take
    from coordinator.store.database import Database
    from protocol.files.takeover_file import read_takeover_file
    from protocol.refusals import Refusal
    from protocol.violations import Violation
    from quorate import exits, state_lock

    place = CoordinatorDirectory(directory)
    keys = place.keys()
    instance, practice = place.instance()
    try:
        takeover = read_takeover_file(file.read_bytes())
    except Violation as violation:
        raise Trouble(
            Exit.DAMAGED, f"{file} isn't a takeover file: {violation}", next="get it again"
        ) from None
    newest = takeover.newest
    if newest.practice != practice:
        raise Trouble(
            Exit.REFUSED,
            "one is practice and the other isn't; nothing was taken over",
            expected=f"practice: {'yes' if practice else 'no'}, as {place.settings} says",
            found=f"practice: {'yes' if newest.practice else 'no'}",
            next="make the coordinator anew, as what the instance is",
        )
    with state_lock.owned(place.path, owner="quorate coordinator take-over"):
        database = await Database.open(place.database)
        try:
            ledger = Ledger(database, instance, keys, now=clock.now, entropy=secrets.token_bytes)

            async def taken(change: Change) -> Refusal | None:
                return await take(change, takeover, keys)

            refusal = await ledger.change(taken)
        finally:
            await database.close()
    if refusal is not None:
        raise exits.refused(refusal, untouched="nothing was taken over")
    people = ", ".join(person.name for person in newest.people)
    console.say(f"✓ {instance} taken over, up to charter version {newest.number - 1}")
    console.say(f"  Agents of     {people}")
    console.say(f"  Version {newest.number} names this coordinator, and waits for its people:")
    console.say(f"Next, each of them: quorate charter accept {file.name}")
    console.object(
        {
            "instance": instance,
            "version": newest.number,
            "digest": newest.digest.hex(),
            "people": [person.name for person in newest.people],
        }
    )
