"""`./setup` on machines that have what it needs, or don't; with stand-ins for the machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.checkout import ROOT

# Notes what it was asked to do; with -m venv it makes an environment of more stand-ins.
PYTHON = """#!/bin/sh
echo "python $*" >> "$LOG"
case "$*" in
*ensurepip*) [ -e "$MACHINE/has-venv" ] ;;
*version_info*) [ ! -e "$MACHINE/old" ] ;;
-V) echo Python 3.11.2 ;;
"-m venv"*)
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
    echo "#!$PWD/.venv/bin/python" > .venv/bin/pip
    for tool in quorate ruff mypy lint-imports pytest; do
        printf '#!/bin/sh\\necho "%s $*" >> "$LOG"\\n[ ! -e "$MACHINE/%s-fails" ]\\n' $tool $tool \\
            > .venv/bin/$tool
        chmod +x .venv/bin/$tool
    done ;;
*" install "*) [ ! -e "$MACHINE/no-network" ] ;;
esac
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >> "$LOG"
case "$*" in *python3-venv*) touch "$MACHINE/has-venv" ;; esac
"""


class Machine:
    """A checkout with `./setup` on a machine of stand-ins."""

    def __init__(self, place: Path) -> None:
        self.checkout = place / "a checkout"
        self.checkout.mkdir()
        for name in ("setup", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.checkout)
        self.commands = place / "commands"
        self.commands.mkdir()
        self.log = place / "log"
        self.put("python3", PYTHON)
        self.put("id", "#!/bin/sh\necho 1000\n")

    def put(self, name: str, text: str) -> None:
        path = self.commands / name
        path.write_text(text)
        path.chmod(0o755)

    def has(self, fact: str) -> None:
        (self.commands / fact).touch()

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        return subprocess.run(
            ["./setup", *arguments],
            cwd=self.checkout,
            env={
                "PATH": f"{self.commands}:/usr/bin:/bin",
                "LOG": str(self.log),
                "MACHINE": str(self.commands),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def did(self, word: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if word in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_venv_and_without_root_it_names_the_one_command(machine: Machine):
    result = machine.setup("demo")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        "usage (2): this Python has no venv module, so .venv can't be made\n"
        "  next      sudo apt install python3-venv      then ./setup demo again\n"
    )


def test_root_gets_venv_installed(machine: Machine):
    machine.put("id", "#!/bin/sh\necho 0\n")
    machine.put("apt-get", APT_GET)
    result = machine.setup("demo", "--json")
    assert result.returncode == 0, result.stderr
    assert machine.did("apt-get") == [
        "apt-get -q update",
        "apt-get -q install -y --no-install-recommends python3 python3-venv",
    ]
    assert machine.did("quorate") == ["quorate demo --json"]
    assert result.stdout == ""  # stdout belongs to the demo


def test_an_old_python_is_named(machine: Machine):
    machine.has("has-venv")
    machine.has("old")
    result = machine.setup("test")
    assert result.returncode == 2
    assert "needs Python 3.11 or newer; python3 here is Python 3.11.2\n" in result.stderr
    assert "then ./setup test again" in result.stderr


def test_a_failed_installation_is_said_and_tried_again(machine: Machine):
    machine.has("has-venv")
    machine.has("no-network")
    result = machine.setup("demo")
    assert result.returncode == 7
    assert result.stderr.splitlines()[-2].startswith("unreachable (7): ")
    (machine.commands / "no-network").unlink()
    assert machine.setup("demo").returncode == 0


def test_a_second_run_installs_nothing(machine: Machine):
    machine.has("has-venv")
    machine.setup("demo")
    assert len(machine.did(" install ")) == 2
    machine.setup("demo")
    assert machine.did(" install ") == []
    assert machine.did("quorate") == ["quorate --version", "quorate demo"]


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine):
    machine.has("has-venv")
    machine.setup("demo")
    for name in ("quorate", "python"):
        (machine.checkout / ".venv" / "bin" / name).unlink()
    assert machine.setup("demo").returncode == 0
    assert machine.did("-m venv --clear .venv") != []


def test_a_changed_lock_is_installed_into_the_same_environment(machine: Machine):
    machine.has("has-venv")
    machine.setup("demo")
    with (machine.checkout / "requirements.lock").open("a") as lock:
        lock.write("more==1\n")
    machine.setup("demo")
    assert len(machine.did(" install ")) == 2
    assert machine.did("-m venv") == []


def test_tests_need_more_than_the_demo_and_serve_it(machine: Machine):
    machine.has("has-venv")
    machine.setup("demo")
    machine.setup("test")
    assert machine.did("-e .[test]") != []
    machine.setup("demo")
    assert machine.did(" install ") == []


def test_a_moved_checkout_is_set_up_anew(machine: Machine):
    machine.has("has-venv")
    machine.setup("demo")
    elsewhere = machine.checkout.with_name("moved")
    machine.checkout.rename(elsewhere)
    machine.checkout = elsewhere
    assert machine.setup("demo").returncode == 0
    assert machine.did("-m venv --clear .venv") != []


def test_every_check_runs_and_one_that_fails_fails_all(machine: Machine):
    machine.has("has-venv")
    machine.has("mypy-fails")
    result = machine.setup("test", "-k", "register")
    assert result.returncode == 1
    assert machine.log.read_text().splitlines()[-4:] == [
        "ruff check .",
        "mypy ",
        "lint-imports ",
        "pytest -n 2 --dist loadfile --no-loadscope-reorder -k register",
    ]
    assert result.stderr.splitlines()[-1] == "failed: mypy"


def test_without_arguments_it_explains_itself(machine: Machine):
    result = machine.setup()
    assert (result.returncode, result.stderr) == (0, "")
    assert "./setup demo" in result.stdout and "./setup test" in result.stdout
    assert machine.setup("frob").returncode == 2
    assert not os.path.exists(machine.checkout / ".venv")
