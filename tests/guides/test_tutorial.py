"""The tutorial's own commands, typed in its order; directories take the place of machines."""

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.architecture.checkout import ROOT
from tests.rim.terminal import Terminal

TUTORIAL = ROOT / "docs" / "tutorial" / "README.md"
BLOCK = re.compile(
    r"\*\*On ([^*]+):\*\*\n\n```shell\n(.*?)```\n((?:\n(?:    [^\n]*\n)+)?)", re.DOTALL
)
FENCE = re.compile(r"^```", re.MULTILINE)
PEOPLE = ("alice", "bob", "carol")
MACHINES = {
    "the coordinator's machine": ("quorate.example",),
    "the unit host": ("units.example",),
    "Alice's machine": ("alice",),
    "Bob's machine": ("bob",),
    "Carol's machine": ("carol",),
    "Alice's machine, and likewise on Bob's and Carol's": PEOPLE,
}
STAYS = re.compile(r"quorate (unit serve|coordinator serve|agent run)\b")
ANSWERS = (
    ("[y/N]", "y"),
    ("Key numbers to add:", "1 2 3"),
    ("Key parts to load, two or three numbers:", "1 2"),
    ("assword", "a good password"),
    ("The same again:", "a good password"),
)
"""What the tutorial says to answer, by what is asked."""
# What differs from run to run, in what comes back.
VARIES = re.compile(r"[0-9a-f]{8}…?|\d+")
HOST = re.compile(r"127\.0\.0\.1|\w+\.example")
RUN = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"


@dataclass(frozen=True)
class Block:
    """Commands for some machines, and what the tutorial says comes back."""

    machines: tuple[str, ...]
    commands: str
    says: tuple[str, ...]


def blocks() -> list[Block]:
    """All of the tutorial, in order."""
    found = []
    for match in BLOCK.finditer(TUTORIAL.read_text("utf-8")):
        says = tuple(line.strip() for line in match[3].splitlines() if line.strip())
        found.append(Block(MACHINES[match[1]], match[2], says))
    return found


@dataclass
class World:
    """A directory for each machine, with the names that the tutorial uses leading there."""

    place: Path
    names: dict[str, str]
    serving: list[subprocess.Popen[str]] = field(default_factory=list)

    def home(self, machine: str) -> Path:
        """Where a machine's user is."""
        home = self.place / machine
        home.mkdir(exist_ok=True)
        return home

    def text(self, commands: str, machine: str) -> str:
        """The commands with this person's name, and addresses that are there."""
        if machine in PEOPLE:
            commands = re.sub(r"\balice(?=\.invitation)|(?<=--name )alice", machine, commands)
        for name, stands_for in self.names.items():
            commands = commands.replace(name, stands_for)
        return commands

    def environment(self, machine: str) -> dict[str, str]:
        """What a shell there has."""
        home = str(self.home(machine))
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
        return kept | {
            "PATH": f"{self.place / 'bin'}:/usr/bin:/bin",
            "HOME": home,
            "MACHINES": str(self.place),
            "NO_COLOR": "1",
            "PYTHONUTF8": "1",
        }

    def type(self, block: Block, machine: str) -> str:
        """Types a block there and answers what is asked; gives the screen."""
        script = f"cd; set -e\n{self.text(block.commands, machine)}"
        if STAYS.search(block.commands):
            return self._serve(script, machine)
        with Terminal(RUN, ["sh", "-c", script], self.environment(machine)) as terminal:
            answered = 0
            while terminal.more():
                if terminal.screen.endswith(": ") or terminal.screen.endswith("[y/N] "):
                    asked = terminal.screen[answered:].rsplit("? ", 1)[-1]
                    terminal.type(_answer(asked) + "\n")
                    answered = len(terminal.screen)
            assert terminal.ends() == 0, terminal.screen
            return terminal.screen

    def _serve(self, script: str, machine: str) -> str:
        process = subprocess.Popen(
            ["sh", "-c", script.replace("quorate", "exec quorate", 1)],
            env=self.environment(machine),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.serving.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready "), line
        return line

    def close(self) -> None:
        """Ends what serves."""
        for process in reversed(self.serving):
            process.terminate()
        for process in self.serving:
            process.communicate(timeout=30)


def _answer(asked: str) -> str:
    return next(answer for question, answer in ANSWERS if question in asked)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    _script(bin_ / "quorate", f'exec {shlex.quote(sys.executable)} -m quorate "$@"')
    # HOST:PATH is below the machine's directory.
    _script(bin_ / "scp", 'exec cp "$MACHINES/${1%%:*}/${1#*:}" "$2"')
    unit_host, coordinator = _free_port(), _free_port()
    made = World(
        tmp_path,
        {
            "scp quorate.example": "scp QUORATE",
            "scp units.example": "scp UNITS",
            "scp alice.example": "scp alice",
            "units.example:7444": f"127.0.0.1:{unit_host}",
            "--host units.example": f"--host 127.0.0.1 --port {unit_host}",
            "--host quorate.example": f"--host 127.0.0.1 --port {coordinator}",
            "scp QUORATE": "scp quorate.example",
            "scp UNITS": "scp units.example",
        },
    )
    yield made
    made.close()


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_every_fenced_block_says_on_which_machine_it_is_typed():
    assert len(FENCE.findall(TUTORIAL.read_text("utf-8"))) == 2 * len(blocks())


@pytest.mark.timeout(600)
def test_the_tutorial_leads_from_nothing_to_a_key_in_use(world: World):
    for block in blocks():
        screens = []
        for machine in block.machines:
            screens.append(world.type(block, machine))
            if "unit show" in block.commands:
                world.names["FINGERPRINT"] = _certificate(screens[-1])
        last = _lines("\n".join(screens))
        missing = [line for line in block.says if line != "..." and _same(line) not in last]
        assert not missing, "\n".join(screens)
    assert "Valid" in world.type(Block(("carol",), "quorate tke cryptounit-mk\n", ()), "carol")


def _certificate(screen: str) -> str:
    found = re.search(r"TLS certificate +([0-9a-f ]+)", screen)
    assert found is not None
    return found[1].replace(" ", "").strip()


def _lines(screen: str) -> set[str]:
    """Every line, and every line without what follows four blanks: a time, a count."""
    lines = {_same(line) for line in screen.splitlines()}
    return lines | {re.split(r" {4,}", line)[0] for line in lines}


def _same(line: str) -> str:
    line = line.strip().removeprefix("PRACTICE. ").removeprefix("PRACTICE  ")
    return VARIES.sub("#", HOST.sub("HOST", line))
