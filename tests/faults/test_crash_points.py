"""A crash point ends the process exactly where and when it was told to, or does nothing."""

import os
import subprocess
import sys

import pytest

from quorate import crash_points

PASSES = """
from quorate.crash_points import crash_point
for number in range(3):
    crash_point("unit: here, before commit")
    print(number, flush=True)
    crash_point("elsewhere")
"""


def passed(point: str | None) -> tuple[int, str]:
    environment = {name: text for name, text in os.environ.items() if name != crash_points.VARIABLE}
    if point is not None:
        environment[crash_points.VARIABLE] = point
    done = subprocess.run(
        [sys.executable, "-c", PASSES], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("point", "code", "output"),
    [
        (None, 0, "0\n1\n2\n"),
        ("", 0, "0\n1\n2\n"),
        ("nowhere", 0, "0\n1\n2\n"),
        ("unit: here, before commit", 137, ""),
        ("unit: here, before commit:2", 137, "0\n"),
        ("unit: here, before commit:4", 0, "0\n1\n2\n"),
        ("elsewhere:3", 137, "0\n1\n2\n"),
    ],
)
def test_where_it_ends(point: str | None, code: int, output: str):
    assert passed(point) == (code, output)
