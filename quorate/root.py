"""The command `quorate`: finds a group by name, runs it, and ends with a code of the table.

Groups live in the packages below this one's users, so they are named here as text and loaded only
when they are asked for: the rim imports none of them, and `quorate agent` loads no coordinator. A
group whose module isn't installed isn't listed.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import click

from protocol.violations import Violation
from quorate.commands import Group
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable

GROUPS: Mapping[str, str] = {
    "demo": "coordinator.rehearsal.cli:demo",
    "verify": "quorate.verify:verify",
    "agent": "signer_agent.cli.agent:agent",
    "charter": "signer_agent.cli.charter:charter",
    "login": "coordinator.cli.login:login",
    "logout": "coordinator.cli.login:logout",
    "whoami": "coordinator.cli.login:whoami",
    "requests": "coordinator.cli.requests:requests",
    "accounts": "coordinator.cli.accounts:accounts",
    "invite": "coordinator.cli.invite:invite",
    "ceremony": "signer_agent.cli.ceremony:ceremony",
    "repair": "signer_agent.cli.repair:repair",
    "tke": "signer_agent.cli.tke.group:tke",
    "keys": "hsm_backend.cli.keys:keys",
    "key-user": "signer_agent.cli.key_user:key_user",
    "unit": "hsm_backend.cli.unit:unit",
    "coordinator": "coordinator.cli.coordinator:coordinator",
    "help": "quorate.help:help_",
}
"""Where each command is."""


@dataclass(frozen=True)
class _Row:
    """Commands that share a line of the help, and what it says of them."""

    section: str
    names: tuple[str, ...]
    says: str = ""


_ROWS = (
    _Row("See it", ("demo",), "a whole practice ceremony on this machine"),
    _Row("", ("verify",), "check a ceremony report against a charter of your own"),
    _Row("Custodians", ("agent",), "pending, show, approve, reject, watch, status; cancel, ..."),
    _Row("", ("charter",), "who belongs together: show, accept, diff, new"),
    _Row("Operators", ("login",), "also logout, whoami"),
    _Row("", ("requests",), "list, show, watch, cancel, void, refile, proceed"),
    _Row("", ("accounts", "invite")),
    _Row("Everybody", ("ceremony",), "a whole ceremony as a file: check, run, resume, report"),
    _Row("", ("repair",), "units that differ: the fewest commands that make them equal"),
    _Row(
        "TKE users",
        ("tke",),
        "every command of the TKE plug-in by its own name: quorate tke help",
    ),
    _Row("Keys in use", ("keys",), "create, list, show, wrap, unwrap, delete, restore, stats"),
    _Row("", ("key-user",), "whom a quorum lets use them: add, rm, list"),
    _Row("Who runs it", ("unit", "coordinator", "agent"), "init, then serve (agent: run)"),
)
_EVERYWHERE = "--json      --plain      --help      quorate help words      quorate help exit-codes"


def is_there(name: str) -> bool:
    """Whether the command's module is installed."""
    module = GROUPS[name].partition(":")[0]
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


class Root(Group):
    """Finds commands in GROUPS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in GROUPS if is_there(name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS or not is_there(cmd_name):
            return None
        module, _, attribute = GROUPS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("Usage: quorate COMMAND ...\n")
        formatter.write(
            "Changes crypto units by quorum: nothing runs that too few have signed.\n\n"
        )
        formatter.write("\n".join(_help_lines()) + "\n")


def _help_lines() -> list[str]:
    lines: list[str] = []
    section = ""
    for row in _ROWS:
        section = row.section or section
        names = [name for name in row.names if is_there(name)]
        if not names:
            continue
        wide = f"{names[0]:<12}" if len(names) == 1 else ", ".join(names) + " " * 6
        lines.append(f"{section:<14}{wide}{row.says}".rstrip())
        section = ""
    return [*lines, f"{'Everywhere':<14}{_EVERYWHERE}"]


@click.group(cls=Root)
def root() -> None:
    """Changes crypto units by quorum: nothing runs that too few have signed."""


def run(arguments: Sequence[str]) -> int:
    """Runs one command line; gives the exit code. What went wrong has been shown by then."""
    console = Console.for_this_process(arguments, os.environ)
    try:
        trouble = _trouble_of(arguments, console)
        if trouble is not None:
            console.trouble(trouble)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has read enough (`quorate requests list | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        trouble = None
    return Exit.DONE if trouble is None else trouble.exit


def _trouble_of(arguments: Sequence[str], console: Console) -> Trouble | None:
    try:
        root.main(
            list(arguments),
            prog_name="quorate",
            standalone_mode=False,
            obj=console,
            auto_envvar_prefix="QUORATE",
        )
    except click.exceptions.NoArgsIsHelpError as error:
        console.say(error.ctx.get_help() + "\n")
        return Trouble(Exit.USAGE, "no command was given", next="choose one of those above")
    except click.UsageError as error:
        message = error.format_message().rstrip(".")
        path = error.ctx.command_path if error.ctx is not None else "quorate"
        return Trouble(Exit.USAGE, message[:1].lower() + message[1:], next=f"{path} --help")
    except click.Abort:
        return Trouble(Exit.REFUSED, "stopped at the keyboard")
    except Trouble as error:
        return error
    except Unavailable as error:
        return Trouble(Exit.UNREACHABLE, str(error), next="try again later; asking twice is safe")
    except Violation as error:
        return Trouble(
            Exit.ALARM,
            f"what came from the other side breaks the protocol: {error}",
            next="is it the same version of quorate? If so, tell the people who run it",
        )
    except BrokenPipeError:
        raise
    except Exception as error:
        return _bug(error)
    return None


def _bug(error: Exception) -> Trouble:
    """Keeps what we need to find our mistake, and says where."""
    import traceback
    from pathlib import Path

    from quorate import clock, private_files
    from quorate.settings import state_directory

    text = "".join(traceback.format_exception(error))
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = f"our mistake: {type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"
    place = state_directory() / "bugs"
    try:
        private_files.directory(place)
        kept = place / f"{clock.now()}.txt"
        private_files.create(kept, text.encode(), untouched="the log wasn't kept")
    except Trouble:
        sys.stderr.write(text)
        return Trouble(Exit.BUG, what, next="please report it with the lines above")
    return Trouble(Exit.BUG, what, next=f"please report it with {kept}")
