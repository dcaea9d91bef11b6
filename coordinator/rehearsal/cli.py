"""`quorate demo`: a whole key ceremony on this machine, for real, by public commands."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from protocol.identifiers import grouped
from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Json, Trouble

if TYPE_CHECKING:
    from coordinator.rehearsal.plan import Outcome, Plan
    from coordinator.rehearsal.stack import Stack

_MORE_UNITS = (
    "operational:[eu-de].[AZ3-CS1].[00].[03]",
    "recovery:[eu-gb].[AZ2-CS1].[00].[07]",
    "failover:[eu-gb].[AZ3-CS1].[01].[04]",
    "operational:[eu-de].[AZ1-CS2].[00].[05]",
)
_WHAT = 29
_BEFORE_APPROVALS = 4
"""The step after which people have to approve."""
_HEX = frozenset("0123456789abcdefABCDEF")


class _Steps:
    """The steps on stderr: each line is redrawn until it is done."""

    def __init__(self, console: Console, stack: "Stack", *, interactive: bool) -> None:
        self._console, self._stack = console, stack
        self._interactive = interactive
        self._last = ""

    def going(self, step: int, what: str, note: str = "") -> None:
        line = f"{step:>2}  … {what:<{_WHAT}}  {note}".rstrip()
        if line != self._last:
            self._console.redraw(line)
            self._last = line

    def done(self, step: int, what: str, note: str = "") -> None:
        self._console.redone(f"{step:>2}  ✓ {what:<{_WHAT}}  {note}".rstrip())
        if self._interactive and step == _BEFORE_APPROVALS:
            for line in _terminals(self._stack):
                self._console.progress(line)

    def remark(self, text: str) -> None:
        self._console.progress(f"    {text}")


def _terminals(stack: "Stack") -> Iterator[str]:
    """How each custodian gets a terminal of their own."""
    yield ""
    yield "Now you are the custodians. Open a terminal for each, and type there first:"
    if shutil.which("quorate") is None:
        yield f"          export PATH={Path(sys.executable).parent}:$PATH"
    for name, one in stack.custodians.items():
        yield f"  {name:<8}export QUORATE_AGENT_DIRECTORY={one.directory}"
    yield "What waits is shown by: quorate agent pending      The password of each is their name."
    yield ""


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
    from coordinator.rehearsal.ceremony import Ceremony
    from coordinator.rehearsal.plan import Plan, check_plan
    from coordinator.rehearsal.process import CommandFailed
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
    if console.json:
        console.practice = True
    people = f"{agents} custodian{'s' if agents > 1 else ''}"
    console.progress(
        f"PRACTICE. A whole key ceremony on this machine: {units} crypto units, 1 coordinator, "
        f"{people}. Each\ncustodian is a process and a directory of its own; all talk over TLS. "
        f"Files: {directory}\n"
    )
    if parts:
        console.progress("! Key parts from the command line are known to others: for tests only.")
    if plan.alone:
        console.progress("! The charter says that one person may be alone; the report says it too.")
    stack = Stack(
        directory,
        people=plan.people,
        units=(*UNITS, *_MORE_UNITS)[:units],
        password=(lambda name: name) if interactive else None,
    )
    try:
        async with stack:
            outcome = await Ceremony(
                stack, plan, _Steps(console, stack, interactive=interactive)
            ).run()
            elapsed = round(time.monotonic() - began, 2)
            if outcome.verified:
                _say(console, outcome, plan, directory, elapsed)
                _keep(console, directory, kept=keep is not None, stay=stay)
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
            if stay and outcome.verified:
                await _stay(console, stack, result)
            elif outcome.verified:
                console.object(result)
    except CommandFailed as failed:
        raise Trouble(
            Exit.FAILED,
            f"the ceremony stopped: {failed}",
            next=f"look at the logs: {directory}/logs",
        ) from None
    if not outcome.verified:
        raise Trouble(
            Exit.ALARM,
            "the report doesn't verify",
            next=f"look at {outcome.report}",
            data=result,
        )


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


def _say(
    console: Console, outcome: "Outcome", plan: "Plan", directory: Path, elapsed: float
) -> None:
    units = sorted(outcome.summary["units"], key=_order)
    count = f"{len(units)} of {len(units)} units"
    rows = [
        (
            unit["type"].upper(),
            unit["location"],
            unit["new"]["state"],
            unit["current"]["state"],
            f"{unit['signature_threshold']} / {unit['revocation_threshold']}",
            ", ".join(sorted(one["name"] for one in unit["administrators"])),
        )
        for unit in units
    ]
    headers = ("TYPE", "LOCATION", "NEW", "CURRENT", "THRESHOLDS", "ADMINISTRATORS")
    console.say()
    console.table(headers, rows)
    for vp in dict.fromkeys(unit["current"]["vp"] for unit in units):
        console.say(f"Current verification pattern, the same in {count}:")
        console.say(f"  {grouped(bytes.fromhex(vp))}")
    console.say()
    said = f"✓ done in {elapsed:.0f} s: one master key in {count}."
    if not plan.alone:
        said += " No process but the units ever held two key parts."
    console.say(said)
    people = len(plan.people)
    console.say(
        f"  People   parts by {len(set(plan.givers))}; thresholds and commit signed by "
        f"{plan.threshold} of {people}; load and set immediate need only 1"
    )
    for line in outcome.summary["alone"]:
        console.say(f"  ! Alone  {line}")
    console.say(
        f"  Report   {outcome.report} (to print: {_name(outcome.page)}), verified against "
        f"{_name(outcome.charter)}"
    )


def _keep(console: Console, directory: Path, *, kept: bool, stay: bool) -> None:
    if not kept:
        console.say(
            "  Keep     the files stay until you delete them or /tmp is emptied; --keep DIR puts "
            "them elsewhere"
        )
    if not stay:
        command = f"{_quorate()} verify report.json --charter charter.json"
        console.say(f"Next: cd {directory} && {command}")


def _quorate() -> str:
    """How this very program is called from a shell."""
    return "quorate" if shutil.which("quorate") else str(Path(sys.executable).parent / "quorate")


def _name(path: Path | None) -> str:
    return "" if path is None else path.name


def _order(unit: dict[str, Any]) -> tuple[int, str]:
    return ("operational", "recovery", "failover").index(unit["type"]), unit["location"]


async def _stay(console: Console, stack: "Stack", result: dict[str, Json]) -> None:
    """Leaves everything running until it is told to end, and says how to use it."""
    from quorate.serving import ending

    operator = await stack.operator_login("amy")
    agents: list[Json] = [
        {"person": name, "directory": str(one.directory), "password_file": str(one.password_file)}
        for name, one in stack.custodians.items()
    ]
    console.say()
    console.say(f"Everything stays up until Ctrl-C, or: kill {os.getpid()}")
    console.say(f"  Coordinator   {stack.url}")
    console.say(f"  Operator      {_quorate()} login --once --yes {stack.url}")
    console.say(f"                asks for this one-time login of {operator.account}'s:")
    console.say(f"                {operator.token}")
    for place, (name, one) in enumerate(stack.custodians.items()):
        label = "" if place else "Custodians"
        console.say(f"  {label:<14}{name:<8}export QUORATE_AGENT_DIRECTORY={one.directory}")
    console.say(f"                passwords of their files: {stack.directory}/NAME.password")
    console.say(f"Next, after such an export: {_quorate()} agent pending")
    told = ending()
    console.object(
        {
            **result,
            "coordinator_url": stack.url,
            "login": operator.token,
            "operator": operator.account,
            "agents": agents,
            "pid": os.getpid(),
        }
    )
    await told.wait()
