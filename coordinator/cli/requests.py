"""`quorate requests`: what an operator asks for, sees and steers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from coordinator.cli.session import Session, profile_option
from quorate.commands import Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import confirmed

if TYPE_CHECKING:
    from coordinator.cli.watching import Watcher
    from coordinator.wire.requests import FiledRequest

_id = click.argument("number", type=click.IntRange(min=1), metavar="ID")
_STATES = (
    "waiting in line",
    "collecting",
    "ready",
    "executing",
    "partly executed",
    "executed",
    "rejected",
    "cancelled",
    "expired",
    "superseded",
    "failed",
    "needless",
)


@click.group(cls=Group)
def requests() -> None:
    """Commands that wait for signatures, and those that have ended: shown and steered.

    Nothing here signs: people do, with `quorate agent`.
    """


@requests.command("list")
@click.option("--all", "everything", is_flag=True, help="those that have ended, too")
@click.option("--state", type=click.Choice(_STATES), help="only in this state")
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--before", type=click.IntRange(min=1), metavar="ID", help="older than this one")
@profile_option
@pass_console
async def list_(
    console: Console,
    everything: bool,
    state: str | None,
    limit: int,
    before: int | None,
    session: Session,
) -> None:
    """The requests that wait, with whom they wait for, oldest first."""
    from coordinator.cli.request_words import as_json, row
    from quorate import clock, times

    wanted = {"limit": str(limit)}
    if state is not None:
        wanted["state"] = state
    elif not everything:
        wanted["ended"] = "false"
    if before is not None:
        wanted["before"] = str(before)
    async with _watcher(session, console) as watcher:
        page = await watcher.calls.requests(**wanted)
        units = await watcher.units()
    zone = times.zone_header(clock.now())
    rows = [row(view, units) for view in reversed(page.requests)]
    if rows:
        headers = ("ID", "STATE", "COMMAND", "UNITS", "WAITING FOR", f"UNTIL ({zone})")
        console.table(headers, rows)
    else:
        console.say("Nothing waits." if state is None and not everything else "There is none.")
    if page.next is not None:
        console.say(f"Next, for older ones: quorate requests list --before {page.next}")
    console.object(
        {
            "requests": [dict(as_json(view, None)) for view in reversed(page.requests)],
            "next": page.next,
        }
    )


@requests.command()
@_id
@profile_option
@pass_console
async def show(console: Console, number: int, session: Session) -> None:
    """What request ID changes, who asked, who signed, what became of it.

    "Verified" is what this machine has checked itself, against the charter that the coordinator
    gave it.
    """
    async with _watcher(session, console) as watcher:
        await watcher.show(number)


@requests.command()
@_id
@click.option("--timeout", "seconds", type=click.FloatRange(min=0), metavar="S", help="then exit 6")
@profile_option
@pass_console
async def watch(console: Console, number: int, seconds: float | None, session: Session) -> None:
    """Shows request ID until it ends. Ctrl-C stops watching, never the request."""
    async with _watcher(session, console) as watcher:
        await watcher.watch(number, seconds)


@requests.command()
@_id
@click.option("--reason", default="", help="in your own words; everybody reads it")
@profile_option
@pass_console
async def cancel(console: Console, number: int, reason: str, session: Session) -> None:
    """Stops asking for request ID. What was signed isn't recalled; it says what can still run."""
    from coordinator.cli.request_words import as_json, ending
    from quorate import clock

    async with _watcher(session, console) as watcher:
        view = await watcher.calls.cancel(number, reason)
        checked = await watcher.checked(number)
    console.say(f"✓ cancelled: nobody is asked for request {number} any more")
    for line in ending(view, clock.now()):
        console.say(line)
    console.object(as_json(view, checked))


@requests.command()
@_id
@profile_option
@pass_console
async def void(console: Console, number: int, session: Session) -> None:
    """Asks for what makes the signed copies of request ID harmless; one signature is enough."""
    async with _watcher(session, console) as watcher:
        filed = await watcher.calls.void(number)
        await _say_filed(watcher, filed, "raises the state version only")


@requests.command()
@_id
@profile_option
@pass_console
async def refile(console: Console, number: int, session: Session) -> None:
    """Asks again for the command of request ID, on the units that haven't run it."""
    async with _watcher(session, console) as watcher:
        filed = await watcher.calls.refile(number)
        await _say_filed(watcher, filed, "the same command, units and purpose")


@requests.command()
@_id
@click.option("--yes", is_flag=True, help="for scripts: doesn't ask")
@click.option("--timeout", "seconds", type=click.FloatRange(min=0), default=30.0, metavar="S")
@profile_option
@pass_console
async def proceed(
    console: Console, number: int, yes: bool, seconds: float, session: Session
) -> None:
    """Runs request ID without the units that hold it, and shows what becomes of it."""
    from coordinator.cli.request_words import as_json

    async with _watcher(session, console) as watcher:
        view = await watcher.calls.request(number)
        count = len(view.progress) - len(view.held_by)
        if view.held_by and not yes:
            console.progress(
                f"! {count} units will differ from the other {len(view.held_by)} until they are "
                "mended. Those can't take over meanwhile."
            )
            question = f"Run on the {count} units in reach?"
            if not confirmed(console, question, instead="--yes"):
                raise Trouble(
                    Exit.REFUSED,
                    "you said No; nothing has run",
                    next=f"quorate requests watch {number}",
                )
        await watcher.calls.proceed(number)
        await _until_run(watcher, number, seconds)
        view = await watcher.calls.request(number)
        if view.ended:
            await watcher.conclude(view)
            return
        checked = await watcher.checked(number)
    ran = len(checked.receipts)
    if ran:
        console.say(f"✓ executed on {ran} of {len(view.progress)} units, receipts verified")
    raise Trouble(
        Exit.WAITING,
        f"request {number} is {view.state}",
        next=f"quorate requests watch {number}",
        data=as_json(view, checked),
    )


async def _until_run(watcher: "Watcher", number: int, seconds: float) -> None:
    """Until it has run wherever it can now, or so many seconds."""
    import asyncio

    from protocol.request import Outcome, RequestState

    try:
        async with asyncio.timeout(seconds):
            await watcher.until(
                number,
                lambda view: (
                    view.ended
                    or (
                        view.state is RequestState.PARTLY_EXECUTED
                        and not any(
                            one.reachable and one.outcome is Outcome.OPEN for one in view.progress
                        )
                    )
                ),
            )
    except TimeoutError:
        return


async def _say_filed(watcher: "Watcher", filed: "FiledRequest", what: str) -> None:
    from coordinator.cli.request_words import as_json, going_on
    from quorate import clock

    view = await watcher.opened(filed.request)
    checked = await watcher.checked(view.id)
    now_on = going_on(view, clock.now())
    if filed.filed == "now":
        watcher.console.say(f"✓ filed as request {view.id}: {what}. {now_on}")
    else:
        watcher.console.say(f"✓ it was filed before, as request {view.id}: {now_on}")
    watcher.console.say(f"Next: quorate requests watch {view.id}")
    watcher.console.object(as_json(view, checked, filed=filed.filed.value))


@asynccontextmanager
async def _watcher(session: Session, console: Console) -> "AsyncIterator[Watcher]":
    from coordinator.cli.watching import Watcher

    async with session.calls(console) as calls:
        yield Watcher(calls, console, session.profile())
