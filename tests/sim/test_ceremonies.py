"""A whole initialisation ends the same under every seed, and no promise is broken on the way.

SIM_SEEDS=2000 looks at that many seeds; SIM_FIRST_SEED says where to begin.
"""

import os

import pytest

from tests.sim.ceremony import ceremony
from tests.sim.invariants import how_it_ended, watched
from tests.sim.shortcuts import shortcuts
from tests.sim.weather import CALM, Weather

FIRST = int(os.environ.get("SIM_FIRST_SEED", "0"))
SEEDS = int(os.environ.get("SIM_SEEDS", "100"))
AT_ONCE = 10

WHAT_RAN = (
    "add-administrator",
    "add-administrator",
    "add-administrator",
    "set-thresholds",
    "load-new-register",
    "commit-new-register",
    "set-immediate",
)
ENDS = [(*WHAT_RAN, "alice", "bob", "carol", "2 and 2", "new Empty", "current Valid")] * 4


def test_in_calm_weather_it_ends_as_it_should():
    with shortcuts():
        calm = watched(ceremony(0, weather=Weather(CALM)))
        calm.begin()
        assert calm.run()
    assert how_it_ended(calm) == ENDS
    assert not calm.world.weather.happened


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, AT_ONCE))
def test_it_ends_the_same_in_any_weather(first: int):
    with shortcuts():
        for seed in range(first, min(first + AT_ONCE, FIRST + SEEDS)):
            stormy = watched(ceremony(seed))
            stormy.begin()
            try:
                assert stormy.run(), "it didn't come to an end within a week"
                assert how_it_ended(stormy) == ENDS
            except Exception as error:
                last = "\n".join(stormy.world.trace[-40:])
                error.add_note(
                    f"seed {seed}, at {stormy.world.now}; the last that happened:\n{last}"
                )
                raise
