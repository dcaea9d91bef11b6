"""`quorate demo`: a whole key ceremony on this machine, for real, by public commands."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble

_MORE_UNITS = (
    "operational:[eu-de].[AZ3-CS1].[00].[03]",
    "recovery:[eu-gb].[AZ2-CS1].[00].[07]",
    "failover:[eu-gb].[AZ3-CS1].[01].[04]",
    "operational:[eu-de].[AZ1-CS2].[00].[05]",
)
_HEX = frozenset("0123456789abcdefABCDEF")


class _Steps:
    """The steps on stderr: each line is redrawn until it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""

    def going(self, step: int, what: str, note: str = "") -> None:
        line = f"{step:>2}  … {what:<26}  {note}".rstrip()
        if line != self._last:
            self._console.redraw(line)
            self._last = line

    def done(self, step: int, what: str, note: str = "") -> None:
        self._console.redone(f"{step:>2}  ✓ {what:<26}  {note}".rstrip())

    def remark(self, text: str) -> None:
        self._console.progress(f"    {text}")


@click.command(cls=Command)
@click.option(
    "--units", type=click.IntRange(2, 8), default=4, show_default=True, help="crypto units"
)
@click.option(
    "--agents", type=click.IntRange(1, 8), default=3, show_default=True, help="custodians"
)
@click.option("--threshold", type=click.IntRange(1, 8), help="signatures needed; from 2 and agents")
@click.option(
    "--part", "parts", multiple=True, metavar="HEX", help="a key part from a known test value"
)
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="where to work"
)
@click.option("--seed-faults", is_flag=True, help="kill and restart processes on the way")
@click.option("--interactive", is_flag=True, help="approve yourself, in terminals of your own")
@click.option("--stay", is_flag=True, help="leave everything running until Ctrl-C")
@pass_console
async def demo(
    console: Console,
    units: int,
    agents: int,
    threshold: int | None,
    parts: Sequence[str],
    keep: Path | None,
    seed_faults: bool,
    interactive: bool,
    stay: bool,
) -> None:
    """A whole key ceremony on this machine: units, coordinator, custodians; nothing to set up.

    Each custodian is a process and a directory of its own; all talk over TLS. Everything is
    practice: its keys can't be used for real.
    """
    from coordinator.rehearsal.ceremony import Ceremony, Plan, check_plan
    from coordinator.rehearsal.stack import NAMES, UNITS, Stack

    values: tuple[str | None, ...] = tuple(_checked(parts)) or (None, None)
    threshold = min(2, agents) if threshold is None else threshold
    check_plan(agents, threshold, values)
    plan = Plan(
        people=NAMES[:agents],
        threshold=threshold,
        parts=values,
        interactive=interactive,
        faults=seed_faults,
    )
    directory = keep or Path(tempfile.mkdtemp(prefix="quorate-demo-"))
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise Trouble(
            Exit.REFUSED,
            f"{keep} isn't empty; it was left as it is",
            next="name a directory that is empty or missing",
        )
    began = time.monotonic()
    console.progress(
        f"PRACTICE. A whole key ceremony on this machine: {units} crypto units, 1 coordinator, "
        f"{agents} custodian{'s' if agents > 1 else ''}.\nEach custodian is a process and a "
        f"directory of its own; all talk over TLS. Files: {directory}\n"
    )
    if parts:
        console.progress("! Key parts from the command line are known to others: for tests only.")
    if plan.alone:
        console.progress("! The charter says that one person may be alone; the report says it too.")
    stack = Stack(directory, people=plan.people, units=(*UNITS, *_MORE_UNITS)[:units])
    async with stack:
        outcome = await Ceremony(stack, plan, _Steps(console)).run()
        elapsed = round(time.monotonic() - began, 2)
        _say(console, outcome, plan, directory, elapsed)
        result: dict[str, Json] = {
            "instance": stack.instance,
            "units": outcome.summary.get("units", []),
            "requests": list(outcome.requests),
            "report": str(outcome.report),
            "charter": str(outcome.charter),
            "report_verified": outcome.verified,
            "elapsed_s": elapsed,
            "directory": str(directory),
        }
        if stay:
            await _stay(console, stack, result)
        else:
            console.object(result)
    if not outcome.verified:
        raise Trouble(Exit.ALARM, "the report doesn't verify", next=f"look at {outcome.report}")


def _checked(parts: Sequence[str]) -> list[str]:
    for part in parts:
        if len(part) != 64 or not set(part) <= _HEX:
            raise Trouble(
                Exit.REFUSED,
                "that is no key part; nothing was started",
                expected="64 hex digits",
                found=f"{len(part)} characters",
                next="look at what you copied from, then again",
            )
    if len({part.lower() for part in parts}) < len(parts):
        raise Trouble(
            Exit.REFUSED,
            "the same key part is given twice; nothing was started",
            expected="different parts",
            found="one of them again",
            next="give different parts",
            rule="PART_TWICE",
            returns=7,
        )
    return list(parts)


def _say(console: Console, outcome: Any, plan: Any, directory: Path, elapsed: float) -> None:
    units = outcome.summary["units"]
    rows = [
        (
            unit["type"].upper(),
            unit["location"],
            unit["new"]["state"],
            unit["current"]["state"],
            f"{unit['signature_threshold']} / {unit['revocation_threshold']}",
            ", ".join(one["name"] for one in unit["administrators"]),
        )
        for unit in sorted(units, key=_order)
    ]
    headers = ("TYPE", "LOCATION", "NEW", "CURRENT", "THRESHOLDS", "ADMINISTRATORS")
    console.say()
    console.table(headers, rows)
    vps = {unit["current"]["vp"] for unit in units}
    if len(vps) == 1:
        vp = vps.pop()
        groups = " ".join(vp[at : at + 8] for at in range(0, 64, 8))
        count = len(units)
        console.say(f"Current verification pattern, the same in {count} of {count} units:")
        console.say(f"  {groups}")
    console.say()
    console.say(
        f"✓ done in {elapsed:.0f} s: one master key in {len(units)} of {len(units)} units. No "
        "process but the units ever held two key parts."
        if not plan.alone
        else f"✓ done in {elapsed:.0f} s: one master key in {len(units)} of {len(units)} units."
    )
    givers = len(set(plan.givers))
    console.say(
        f"  People   parts by {givers}; thresholds and commit signed by {plan.threshold} of "
        f"{len(plan.people)}; load and set immediate need only 1"
    )
    for line in outcome.summary["alone"]:
        console.say(f"  ! alone  {line}")
    console.say(
        f"  Report   {outcome.report} (to print: {outcome.page.name}), verified against "
        f"{outcome.charter.name}"
    )
    console.say(
        "  Keep     the files stay until you delete them or /tmp is emptied; --keep DIR puts them "
        "elsewhere"
    )
    console.say(f"Next: cd {directory} && quorate verify report.json --charter charter.json")


def _order(unit: dict[str, Any]) -> tuple[int, str]:
    return ("operational", "recovery", "failover").index(unit["type"]), unit["location"]


async def _stay(console: Console, stack: Any, result: dict[str, Json]) -> None:
    """Leaves everything running until it is told to end."""
    from quorate.serving import ending

    url = f"https://{stack.coordinator.address}"
    agents: list[Json] = [
        {"person": name, "directory": str(one.directory), "password_file": str(one.password_file)}
        for name, one in stack.custodians.items()
    ]
    console.say(f"Everything stays up: coordinator {url}")
    for name, one in stack.custodians.items():
        console.say(f"  {name}: quorate agent pending --agent {one.directory}")
    console.say("Ctrl-C ends it.")
    told = ending()
    console.object({**result, "coordinator_url": url, "agents": agents})
    await told.wait()
