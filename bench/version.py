"""`quorate --version` against the least that a Python process costs."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.rows import Row, middle

_BARE = (sys.executable, "-c", "pass")


async def measure(directory: Path, quick: bool) -> Row:
    """In turns, so that a disturbance hits both; medians."""
    del directory
    ours = (str(Path(sys.executable).with_name("quorate")), "--version")
    runs = 7 if quick else 41
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for found, command in zip(times, (ours, _BARE), strict=True):
            found.append(milliseconds(command))
    return Row(
        name="quorate --version",
        ours=middle(times[0]),
        limit=middle(times[1]),
        unit="ms",
        aim="below 5",
        note="python -c pass",
    )


def bare_start(runs: int = 7) -> float:
    """What one bare Python process costs, in milliseconds."""
    return middle([milliseconds(_BARE) for _ in range(runs)])


def milliseconds(command: Sequence[str]) -> float:
    """How long a command takes from start to end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000
