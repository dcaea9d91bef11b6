"""Imports run downwards only, and the contracts that say so can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.checkout import PACKAGES, ROOT


def _lint(where: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-cache"], cwd=where, capture_output=True, text=True, check=False
    )


def test_the_contracts_hold():
    result = _lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("package", "line", "broken"),
    [
        ("protocol", "import time", "The protocol is pure"),
        ("protocol", "import quorate.clock", "Imports run downwards only"),
        ("quorate", "import signer_agent", "Imports run downwards only"),
        ("signer_agent", "import hsm_backend", "don't know each other"),
        ("hsm_backend", "import coordinator", "Imports run downwards only"),
        ("coordinator", "import hsm_backend.unit", "only by their client"),
        ("coordinator", "import signer_agent.keys", "only by their client"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    tmp_path: Path, package: str, line: str, broken: str
):
    # Packages without insides: only the contracts are tried here.
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in (*PACKAGES, "hsm_backend/unit", "hsm_backend/client", "signer_agent/keys"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "quorate" / "clock.py").touch()
    assert _lint(tmp_path).returncode == 0
    (tmp_path / package / "culprit.py").write_text(line + "\n")
    result = _lint(tmp_path)
    assert result.returncode == 1
    broken_contracts = [row for row in result.stdout.splitlines() if row.endswith("BROKEN")]
    assert any(broken in row for row in broken_contracts), result.stdout


def test_the_units_may_be_entered_by_their_client(tmp_path: Path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in (*PACKAGES, "hsm_backend/client", "coordinator/client"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "hsm_backend" / "client" / "wire.py").touch()
    (tmp_path / "coordinator" / "gateway.py").write_text("import hsm_backend.client.wire\n")
    (tmp_path / "signer_agent" / "tke.py").write_text("import coordinator.client\n")
    assert _lint(tmp_path).returncode == 0
