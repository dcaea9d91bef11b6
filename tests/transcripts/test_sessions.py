"""Three custodians at their terminals, from nothing to a key in use, a day after; an operator."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.rehearsal.kit import Rehearsal
from tests.transcripts.play import Stage

SESSIONS = sorted((Path(__file__).parent / "sessions").glob("*.txt"))


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Three agents and an operator, in a directory with a short name, and the clock in Berlin."""
    with (
        tempfile.TemporaryDirectory(prefix="quorate-") as place,
        Rehearsal(Path(place) / "s", people=3, units=4) as stack,
    ):
        usual = {"TZ": "CET-1", "NO_COLOR": "1"}
        environments = {one.name: usual | one.environment for one in stack.people}
        environments["host"] = usual
        environments["amy"] = usual | stack.operator("amy").environment
        for one in stack.people:
            one.until(("agent", "status"), lambda data: data["agents"] == 3 or None)
        made = Stage(environments, stack.directory)
        yield made
        made.close()


@pytest.mark.timeout(600)
def test_three_custodians_type_what_the_guide_says(stage: Stage):
    """One ceremony, in the order of the files: each goes on where the one before has ended."""
    assert os.environ.get("CLOUDTKEFILES") is None
    for session in SESSIONS:
        stage.play(session)
