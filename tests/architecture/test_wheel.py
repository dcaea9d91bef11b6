"""What is built and installed elsewhere is whole, and runs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from quorate.version import VERSION
from tests.architecture.checkout import PACKAGES, ROOT

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", place, ROOT],
        check=True,
        capture_output=True,
    )
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [*PIP, "install", "--no-deps", "--no-index", "--target", place, wheel],
        check=True,
        capture_output=True,
    )
    return place


def _run(installed: Path, *command: str | Path) -> str:
    """Runs it where there is no checkout; the dependencies are this environment's."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    result = subprocess.run(
        command, cwd=installed, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path):
    there = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == there


def test_the_installed_command_runs_from_there(installed: Path):
    command = installed / "bin" / "quorate"
    assert _run(installed, command, "--version") == f"quorate {VERSION}\n"
    assert _run(installed, command, "--help").startswith("Usage: quorate COMMAND ...\n")
    where = _run(installed, sys.executable, "-c", "import quorate; print(quorate.__file__)")
    assert Path(where.strip()).is_relative_to(installed)


def test_every_installed_module_can_be_loaded(installed: Path):
    program = (
        "import importlib, pkgutil\n"
        f"for name in {PACKAGES!r}:\n"
        "    package = importlib.import_module(name)\n"
        "    for found in pkgutil.walk_packages(package.__path__, name + '.'):\n"
        "        if not found.name.endswith(('__main__', 'pytest_plugin', 'migrations.env')):\n"
        "            importlib.import_module(found.name)\n"
    )
    _run(installed, sys.executable, "-c", program)
