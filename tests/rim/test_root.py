"""The root command: what it finds, loads, answers, and how it ends."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from protocol.violations import Violation
from quorate import root
from quorate.commands import Command, Group, pass_console
from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.unavailable import Unavailable
from quorate.version import VERSION
from tests.architecture.checkout import ROOT


@click.group(cls=Group)
def group() -> None:
    """A group for tests."""


@group.command()
@click.argument("id", type=int)
@click.option("--only", type=click.Choice(["part", "signature"]), help="give just one now")
@click.option("--wait", is_flag=True, help="stay until the request ends")
@pass_console
async def approve(console: Console, id: int, only: str | None, wait: bool) -> None:
    """Gives what request ID wants of you.

    A signature can't be taken back.
    """
    console.say(f"✓ given {id} {only} {wait}")
    console.object({"request": id})


@group.command()
@click.argument("how")
def fail(how: str) -> None:
    """Ends badly."""
    match how:
        case "trouble":
            raise Trouble(Exit.EXPOSED, "others can read it")
        case "unavailable":
            raise Unavailable("quorate.example:7443 refuses connections")
        case "violation":
            raise Violation("3 bytes where 2 are allowed")
        case "keyboard":
            raise KeyboardInterrupt
        case "pipe":
            raise BrokenPipeError
        case _:
            raise KeyError("bug")


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setattr(root, "GROUPS", {**root.GROUPS, "group": f"{__name__}:group"})
    monkeypatch.setattr(root, "is_there", lambda name: name in ("group", "help"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")

    def run_(*arguments: str) -> tuple[int, str, str]:
        code = root.run(arguments)
        return (code, *capsys.readouterr())

    return run_


Run = Callable[..., tuple[int, str, str]]


def test_a_command_is_found_and_its_coroutine_run(run: Run):
    assert run("group", "approve", "7", "--wait") == (0, "✓ given 7 None True\n", "")


def test_json_and_plain_stand_anywhere(run: Run):
    wanted = {"request": 7, "exit": "done", "code": 0}
    assert json.loads(run("--json", "group", "approve", "7")[1]) == wanted
    assert json.loads(run("group", "approve", "7", "--json")[1]) == wanted
    assert run("group", "--plain", "approve", "7")[1] == "ok given 7 None False\n"


def test_the_environment_gives_options(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QUORATE_GROUP_APPROVE_ONLY", "part")
    assert run("group", "approve", "7")[1] == "✓ given 7 part False\n"


def test_trouble_ends_with_its_code(run: Run):
    assert run("group", "fail", "trouble") == (9, "", "exposed (9): others can read it\n")


def test_what_is_not_understood_is_usage(run: Run):
    code, out, err = run("group", "approve")
    assert (code, out) == (2, "")
    assert err.startswith("usage (2): missing argument 'ID'\n  next      quorate group approve ")
    assert run("frob")[0] == run("group", "frob")[0] == run("group", "approve", "7", "-x")[0] == 2
    code, out, err = run("group", "approve", "x", "--json")
    assert (code, json.loads(out)["exit"], err) == (2, "usage", "")


def test_nothing_asked_is_answered_with_help(run: Run):
    code, out, err = run("group")
    assert code == 2
    assert out.startswith("Usage: quorate group COMMAND ...\n")
    assert err.startswith("usage (2): no command was given\n")


def test_who_is_out_of_reach_may_be_asked_again(run: Run):
    code, _, err = run("group", "fail", "unavailable")
    assert code == 7
    assert err.startswith("unreachable (7): quorate.example:7443 refuses connections\n")


def test_a_violation_is_no_mistake_of_ours(run: Run):
    code, _, err = run("group", "fail", "violation")
    assert code == 12
    assert "3 bytes where 2 are allowed" in err


def test_the_keyboard_stops(run: Run):
    code, _, err = run("group", "fail", "keyboard")
    assert (code, err.strip()) == (3, "refused (3): stopped at the keyboard")


def test_a_bug_names_the_log_that_was_kept(run: Run, tmp_path: Path):
    code, _, err = run("group", "fail", "bug")
    assert code == 1
    assert err.startswith("bug (1): our mistake: KeyError in test_root.py:")
    (kept,) = (tmp_path / "quorate" / "bugs").iterdir()
    assert str(kept) in err
    assert "Traceback" in kept.read_text()
    assert "Traceback" not in err


def test_a_bug_that_cannot_be_kept_is_shown(run: Run, tmp_path: Path):
    (tmp_path / "quorate").touch()
    code, _, err = run("group", "fail", "bug")
    assert code == 1
    assert err.startswith("Traceback")


def test_a_commands_help(run: Run):
    code, out, _ = run("group", "approve", "--help")
    assert code == 0
    assert out == (
        "Usage: quorate group approve ID [--only [part|signature]] [--wait] [--json] ...\n"
        "\n"
        "Gives what request ID wants of you.\n"
        "\n"
        "A signature can't be taken back.\n"
        "\n"
        "  --only [part|signature]  give just one now\n"
        "  --wait                   stay until the request ends\n"
    )
    assert run("help", "group", "approve")[1] == out


def test_a_groups_help_lists_its_commands_in_order(run: Run):
    assert run("group", "--help")[1] == (
        "Usage: quorate group COMMAND ...\n"
        "\n"
        "A group for tests.\n"
        "\n"
        "  approve  Gives what request ID wants of you.\n"
        "  fail     Ends badly.\n"
    )


def test_the_roots_help_shows_only_what_is_there(run: Run, monkeypatch: pytest.MonkeyPatch):
    assert run("--help")[1].splitlines()[3:] == [
        "Everywhere    --json      --plain      --help      quorate help words"
        "      quorate help exit-codes"
    ]
    there = {"demo", "verify", "requests", "unit", "agent"}
    monkeypatch.setattr(root, "is_there", lambda name: name in there)
    assert run("--help")[1].splitlines()[:-1] == [
        "Usage: quorate COMMAND ...",
        "Changes crypto units by quorum: nothing runs that too few have signed.",
        "",
        "See it        demo        a whole practice ceremony on this machine",
        "              verify      check a ceremony report against a charter of your own",
        "Custodians    agent       pending, show, approve, reject, watch, status; cancel, ...",
        "Operators     requests    list, show, watch, cancel, void, refile, proceed",
        "Who runs it   unit, agent      init, then serve (agent: run)",
    ]


def test_every_row_of_the_help_is_a_command():
    assert {name for row in root._ROWS for name in row.names} <= set(root.GROUPS)


def test_help_has_topics(run: Run):
    assert run("help", "exit-codes")[1].splitlines()[0] == " 0  done             as asked"
    assert run("help", "words")[1].splitlines()[0].split() == ["WORD", "MEANS"]
    assert run("help")[1] == run("--help")[1]
    assert run("help", "frob")[0] == 2


@pytest.mark.parametrize("name", [name for name in root.GROUPS if root.is_there(name)])
def test_every_command_that_is_there_loads_and_is_ours(name: str):
    command = root.root.get_command(click.Context(root.root), name)
    assert isinstance(command, Command | Group)


def _loaded_by(*arguments: str) -> set[str]:
    program = (
        "import sys; sys.argv[1:] = sys.argv[2:]\n"
        "from quorate.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "quorate", *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(result.stderr.split())


def test_the_version_is_answered_before_anything_is_loaded():
    loaded = _loaded_by("--version")
    assert "quorate.version" in loaded
    assert not loaded & {"click", "protocol", "json", "typing", "quorate.root"}


def test_help_loads_no_cryptography_and_no_other_package():
    loaded = _loaded_by("help", "exit-codes")
    assert "click" in loaded
    assert not loaded & {"msgspec", "aiohttp", "asyncio", "cryptography", "nacl", "sqlalchemy"}


def test_a_reader_that_has_read_enough_is_no_error():
    result = subprocess.run(
        f"{sys.executable} -m quorate help words | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.stderr == ""


def test_the_version_is_said():
    command = [sys.executable, "-m", "quorate", "--version"]
    assert subprocess.check_output(command, text=True, cwd=ROOT) == f"quorate {VERSION}\n"
