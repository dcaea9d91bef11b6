"""The simulator itself: equal seeds give equal traces, and every kind of fault fires."""

import hashlib
import os
import subprocess
import sys

from protocol.identifiers import HOUR
from protocol.request import RequestState
from tests.sim.ceremony import ceremony
from tests.sim.invariants import watch
from tests.sim.shortcuts import shortcuts
from tests.sim.weather import CHANCES, Fault, Weather
from tests.sim.world import Crashed, Party, Signal, World

SEED = 7
ENOUGH = 60
"""So many seeds see every fault, and every state that they can bring a request into."""
REACHED = {
    RequestState.WAITING_IN_LINE,
    RequestState.COLLECTING,
    RequestState.READY,
    RequestState.EXECUTING,
    RequestState.PARTLY_EXECUTED,
    RequestState.EXECUTED,
    RequestState.REJECTED,
}

DIGEST = """
import sys
from tests.sim.test_simulator import digest_of_trace
sys.stdout.write(digest_of_trace(int(sys.argv[1])))
"""


def trace_of(seed: int) -> list[str]:
    whole = ceremony(seed)
    whole.begin()
    assert whole.run()
    return whole.world.trace


def digest_of_trace(seed: int) -> str:
    with shortcuts():
        return hashlib.sha256("\n".join(trace_of(seed)).encode()).hexdigest()


def test_equal_seeds_give_equal_traces():
    with shortcuts():
        once, again, other = trace_of(SEED), trace_of(SEED), trace_of(SEED + 1)
    assert once == again
    assert once != other
    assert len(once) > 100


def test_equal_seeds_give_equal_traces_in_another_process():
    """Nothing depends on the order of sets, which is another in every process."""
    command = [sys.executable, "-c", DIGEST, str(SEED)]
    found = {
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {digest_of_trace(SEED)}


def test_the_shortcuts_change_nothing():
    plain = trace_of(SEED)
    with shortcuts():
        assert trace_of(SEED) == plain


def test_every_kind_of_fault_fires():
    assert CHANCES.keys() == set(Fault)
    faults: set[Fault] = set()
    states: set[RequestState] = set()
    with shortcuts():
        for seed in range(ENOUGH):
            whole = ceremony(seed)
            eyes = watch(whole)
            whole.begin()
            whole.run()
            faults |= whole.world.weather.happened.keys()
            states |= eyes.states
            if faults == set(Fault) and states >= REACHED:
                return
    raise AssertionError(f"never seen: {sorted(set(Fault) - faults)}, {sorted(REACHED - states)}")


# the parts of it


class Clerk(Party):
    """Writes what it is given, and remembers what it was about to do."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "clerk")
        self.disk: list[str] = []
        self.done: list[str] = []

    def write(self, what: str) -> None:
        self.commit(lambda: self.disk.append(what))
        self.done.append(what)

    async def wait(self, signal: Signal[str]) -> None:
        self.done.append(await signal)


def world(**chances: float) -> World:
    return World(1, Weather({Fault[name]: chance for name, chance in chances.items()}))


def test_events_happen_in_the_order_of_their_time():
    here = world()
    seen: list[str] = []
    for milliseconds, name in ((5, "c"), (1, "a"), (1, "b")):
        here.after(milliseconds, lambda name=name: seen.append(name))  # type: ignore[misc]
    start = here.now
    assert here.run(lambda: len(seen) == 3, at_most=10)
    assert seen == ["a", "b", "c"]
    assert here.now - start == 5


def test_a_world_with_nothing_to_do_or_out_of_time_ends():
    here = world()
    assert not here.run(lambda: False, at_most=10)
    here.after(11, lambda: None)
    assert not here.run(lambda: False, at_most=10)


def test_a_crash_before_the_commit_leaves_nothing_and_after_it_all():
    for name, kept in (("AGENT_CRASH_BEFORE_COMMIT", []), ("AGENT_CRASH_AFTER_COMMIT", ["it"])):
        here = world(**{name: 1.0})
        clerk = Clerk(here)
        clerk.start()
        here.after(1, lambda clerk=clerk: clerk.write("it"))  # type: ignore[misc]
        here.run(lambda clerk=clerk: not clerk.up, at_most=10)  # type: ignore[misc]
        assert clerk.disk == kept
        assert clerk.done == [], "nobody was told"
        assert here.run(lambda clerk=clerk: clerk.up, at_most=60_000), "it comes back"  # type: ignore[misc]


def test_who_crashes_forgets_what_it_waited_for():
    here = world()
    clerk = Clerk(here)
    clerk.start()
    signal: Signal[str] = Signal(here)
    clerk.begin(clerk.wait(signal))
    here.after(1, clerk.crash)
    here.after(60_000, lambda: signal.give("too late"))
    here.run(lambda: False, at_most=120_000)
    assert clerk.up
    assert clerk.done == []


def test_a_crash_says_whose_it_is():
    clerk = Clerk(world())
    assert Crashed(clerk).party is clerk


def test_the_weather_calms_down_at_last():
    here = world(DOUBLED=1.0)
    assert here.weather.happens(Fault.DOUBLED, "here")
    here.after(25 * HOUR, lambda: None)
    here.run(lambda: False, at_most=26 * HOUR)
    assert not here.weather.happens(Fault.DOUBLED, "here")
    assert here.weather.happened[Fault.DOUBLED] == 1
