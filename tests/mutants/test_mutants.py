"""Each mistake in the list turns its test red; without it, all those tests are green.

The packages and tests are copied, the copy gets one mistake, and one test runs on it in a process
of its own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.mutants import MUTANTS, Mutant

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("protocol", "quorate", "hsm_backend", "signer_agent", "coordinator")
INI = "[pytest]\naddopts = --import-mode=importlib -p no:cacheprovider\nfilterwarnings = error\n"
"""Without plugins a run begins sooner; so the tests in the list must not need any."""
SLOW_ROOMS = shutil.ignore_patterns("mutants", "rim", "scenarios", "faults", "architecture")


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A copy of the code and its tests, byte code included: it is as old as its source."""
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package)
    shutil.copytree(REPOSITORY / "tests", tmp_path / "tests", ignore=SLOW_ROOMS)
    (tmp_path / "pytest.ini").write_text(INI)
    yield tmp_path
    shutil.rmtree(tmp_path)


def run(copy: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Runs tests on the copy, which pytest puts first on the path of imports."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--tb=short", *tests],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_without_a_mistake_all_these_tests_are_green(copy: Path) -> None:
    done = run(copy, *sorted({mutant.test for mutant in MUTANTS}))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_turns_its_test_red(mutant: Mutant, copy: Path) -> None:
    file = copy / mutant.file
    text = file.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.file} has changed: renew the mutant"
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()
    file.write_text(text.replace(mutant.old, mutant.new))
    done = run(copy, mutant.test)
    assert done.returncode == 1, f"exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr}"
    by_assertion = ("AssertionError", "E   assert ", "DID NOT RAISE")
    assert any(words in done.stdout for words in by_assertion), done.stdout[-4000:]


def test_the_list_names_every_mistake_once() -> None:
    assert len(MUTANTS) >= 16
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.old != mutant.new and mutant.test for mutant in MUTANTS)
