"""`quorate verify`: checks a ceremony report against a charter of the reader's own, off line."""

from pathlib import Path
from typing import Any

import click

from quorate.commands import Command, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(cls=Command)
@click.argument("report", type=_FILE)
@click.option(
    "--charter",
    type=_FILE,
    metavar="FILE",
    help="a charter that you have from somebody you trust; without it the report is anchored to"
    " nothing, exit code 8",
)
@pass_console
def verify(console: Console, report: Path, charter: Path | None) -> None:
    """Checks every command, signer, signature, VP, receipt, unit, history and log checkpoint.

    Needs no network and trusts nobody but the charter: 0 when everything holds.
    """
    from protocol.files.charter_file import read_charter_file
    from protocol.report.file import read_report
    from protocol.report.proof import ReportFails
    from protocol.violations import Violation
    from quorate import clock, times

    anchor = None
    if charter is not None:
        try:
            anchor = read_charter_file(_read(charter)).newest
        except Violation as violation:
            raise Trouble(
                Exit.DAMAGED,
                f"{charter.name} isn't a charter file as it was written: {violation}",
                next="get it again from the person you have it from",
            ) from None
    try:
        verified = read_report(_read(report), anchor)
    except ReportFails as fails:
        raise Trouble(
            Exit.ALARM,
            "the report doesn't verify",
            also={"element": fails.element},
            expected=fails.expected,
            found=fails.found,
            next="don't file this report. Get it again, and that unit's history from its host",
        ) from None
    summary = verified.summary
    console.practice = summary["practice"] or None
    if anchor is None:
        raise Trouble(
            Exit.NOT_ANCHORED,
            "consistent, but anchored to nothing you gave; anybody could have made all of it",
            expected="a charter you have from someone you trust",
            found="none",
            next=f"quorate verify {report} --charter charter.json",
            data={"report": str(report), "summary": summary},
        )
    requests = summary["requests"]
    done = sum(request["result"] == "executed" for request in requests)
    in_force, as_of = summary["charter"]["version"], verified.proven.as_of
    console.say(
        f"✓ {report.name} verifies against {summary['instance']} charter version "
        f"{anchor.number}"
        + ("" if as_of is None else f", as of {times.moment(as_of, now=clock.now())}")
        + (f"; version {in_force} is in force there" if in_force != anchor.number else "")
    )
    log = summary["log"]
    others = log["of_other_instances"]
    console.say(
        f"  {len(summary['units'])} units, {len(requests)} requests, {done} executed on all "
        f"their units; {log['size']} log entries"
        + (f", {others} of them of other instances" if others else "")
    )
    earlier = summary.get("earlier_logs")
    if earlier is not None:
        console.say(f"! {_told_by_units(earlier)}")
    for line in summary["alone"]:
        console.say(f"! alone: {line}")
    for line in summary["two_roles"]:
        console.say(f"  two roles: {line}")
    if not summary["alone"]:
        console.say("  Nobody was ever alone.")
    console.object({"report": str(report), "charter_version": anchor.number, "summary": summary})


def _told_by_units(earlier: dict[str, Any]) -> str:
    """What a report says of the time before its log."""
    commands = len({one["request"] for one in earlier["commands"]})
    plural = "" if commands == 1 else "s"
    return (
        f"{commands} command{plural} ran under charter versions that name an earlier log, which "
        "isn't here: the units' receipts prove what ran and who signed; who asked, who said No and "
        "what never ran they don't"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Trouble(
            Exit.USAGE, f"{path} can't be read: {error.strerror}", next="name a file that is there"
        ) from None
