"""The checkout that the tests of its shape look at."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "quorate", "hsm_backend", "signer_agent", "coordinator")


def modules() -> list[Path]:
    """Every Python file of the product."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
