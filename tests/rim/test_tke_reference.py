"""Every command of the TKE plug-in has its own name here; those that come later are told apart."""

import json
import re
from pathlib import Path

import pytest

from quorate import root
from signer_agent.cli.tke.group import ALIASES, tke

COMMANDS = (Path(__file__).parent / "tke-commands.txt").read_text("utf-8").splitlines()
"""The reference's commands, a line each. `to come` goes when the command is here."""
TO_COME = [line.split()[0] for line in COMMANDS if line.endswith("  to come")]
REFERENCE = [line for line in COMMANDS if " " not in line]

A_ROW = re.compile(r".{20}([a-z]+(?:-[a-z]+)*)(?: |$)")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = root.run(["tke", *arguments, "--json"])
    said = json.loads(capsys.readouterr().out)
    return code, said["message"] if code else said["help"]


def test_help_has_every_command_of_the_reference(capsys: pytest.CaptureFixture[str]):
    code, text = run(capsys, "help")
    assert code == 0
    _, rows, last = text.split("\n\n")
    shown = [row[1] for line in rows.split("\n") if (row := A_ROW.match(line))]
    assert last.startswith("quorate tke help COMMAND")
    assert sorted([*shown, "help"]) == sorted(REFERENCE)


def test_nothing_is_there_that_help_hides():
    assert sorted(tke.list_commands(None)) == sorted(REFERENCE)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", REFERENCE)
def test_each_has_a_help_of_its_own(capsys: pytest.CaptureFixture[str], name: str):
    code, text = run(capsys, "help", name)
    assert code == 0
    assert text.startswith(f"Usage: quorate tke {name} ")


@pytest.mark.parametrize("name", TO_COME)
def test_what_comes_later_is_not_understood_yet(capsys: pytest.CaptureFixture[str], name: str):
    assert run(capsys, "help", name)[0] == 2
    assert run(capsys, name)[0] == 2


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_another_name_is_the_same_command(
    capsys: pytest.CaptureFixture[str], alias: str, name: str
):
    context = tke.make_context("tke", [], resilient_parsing=True)
    one, other = tke.get_command(context, alias), tke.get_command(context, name)
    assert one is not None and other is not None
    assert one.callback is other.callback
    assert one.params == other.params
    assert f"\nAnother name of {name}.\n" in run(capsys, "help", alias)[1]
    assert "Another name" not in run(capsys, "help", name)[1]
