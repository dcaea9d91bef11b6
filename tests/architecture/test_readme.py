"""The README's two commands are what CI runs and what `./setup` knows."""

import os
import re

from tests.architecture.checkout import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_readme_fences_two_commands_and_no_more():
    text = (ROOT / "README.md").read_text()
    assert FENCE.findall(text) == [("shell", "./setup demo\n"), ("shell", "./setup test\n")]
    assert text.count("```") == 4


def test_ci_runs_the_second_command_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["./setup test"]


def test_the_scripts_can_be_run():
    assert all(os.access(ROOT / name, os.X_OK) for name in ("setup", ".ci/run"))
