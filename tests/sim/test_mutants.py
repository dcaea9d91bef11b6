"""Each invariant can turn red: there is a broken party for it, and it is found out."""

import pytest

from tests.sim import invariants
from tests.sim.broken import MUTANTS
from tests.sim.ceremony import ceremony
from tests.sim.invariants import Broken, watched
from tests.sim.shortcuts import shortcuts
from tests.sim.weather import Weather

SEED = 3


def test_every_invariant_has_a_mutant():
    assert MUTANTS.keys() == set(invariants.ALL)


@pytest.mark.parametrize("invariant", invariants.ALL)
def test_a_broken_party_is_found_out(invariant: str):
    mutant = MUTANTS[invariant]
    broken = watched(
        ceremony(
            SEED,
            weather=Weather(mutant.weather),
            unit=mutant.unit,
            coordinator=mutant.coordinator,
            agent=mutant.agent,
        )
    )
    broken.begin()
    with shortcuts(), pytest.raises(Broken) as found:
        broken.run()
    assert found.value.which == invariant


@pytest.mark.parametrize("invariant", [name for name, one in MUTANTS.items() if one.weather])
def test_an_honest_party_in_the_same_weather_is_not(invariant: str):
    honest = watched(ceremony(SEED, weather=Weather(MUTANTS[invariant].weather)))
    honest.begin()
    with shortcuts():
        assert honest.run()
