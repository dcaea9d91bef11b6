"""Virtual time: events in order, parties that crash and come back, the trace of all that happens.

A party's work is coroutines that wait for nothing but `Signal`s. The same seed gives the same
events in the same order, and so the same trace.
"""

import heapq
from collections.abc import Callable, Coroutine, Generator, Sequence
from random import Random
from typing import Any, Generic, TypeVar

from protocol.identifiers import Instant
from quorate.unavailable import Unavailable
from tests.cast.commands import NOON
from tests.sim.weather import Fault, Weather

T = TypeVar("T")
Work = Coroutine["Signal[Any]", None, None]


class Crashed(Exception):
    """A party stops here, at this very step; what it had written down stays."""

    def __init__(self, party: "Party") -> None:
        super().__init__(party.name)
        self.party = party


class Signal(Generic[T]):
    """A value, or an error, that comes later; it comes once."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._value: T | None = None
        self._error: Exception | None = None
        self._waiting: list[Callable[[], None]] = []
        self.done = False

    def give(self, value: T) -> None:
        """It has come. A second time nothing happens."""
        if not self.done:
            self._value, self.done = value, True
            self._wake()

    def fail(self, error: Exception) -> None:
        """It won't come."""
        if not self.done:
            self._error, self.done = error, True
            self._wake()

    def then(self, what: Callable[[], None]) -> None:
        """Calls `what` once it is there, at once if it is."""
        if self.done:
            self._world.after(0, what)
        else:
            self._waiting.append(what)

    def _wake(self) -> None:
        for what in self._waiting:
            self._world.after(0, what)
        self._waiting.clear()

    def __await__(self) -> Generator["Signal[Any]", None, T]:
        if not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


class World:
    """The clock, all events to come, and who looks after each of them."""

    def __init__(self, seed: int, weather: Weather | None = None) -> None:
        self.random = Random(seed)
        self.weather = weather or Weather()
        self.weather.begin(self.random, lambda: self.now - NOON, self.note)
        self.now: Instant = NOON
        self.parties: list[Party] = []
        self.trace: list[str] = []
        self.steps = 0
        self.look: Callable[[], None] = lambda: None
        """Called after every event: the invariants."""
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0

    def after(self, milliseconds: int, what: Callable[[], None]) -> None:
        """`what` happens so much later; of two things at one time the first said comes first."""
        self._number += 1
        heapq.heappush(self._events, (self.now + milliseconds, self._number, what))

    def note(self, what: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.now - NOON:>9} {what}")

    def run(self, until: Callable[[], bool], *, at_most: int) -> bool:
        """Goes on until `until` holds; False when that took longer than `at_most` ms."""
        end = self.now + at_most
        while not until():
            if not self._events or self._events[0][0] > end:
                return False
            at, _, what = heapq.heappop(self._events)
            self.now = Instant(at)
            self.steps += 1
            try:
                what()
            except Crashed as crash:
                crash.party.crash()
            self.look()
        return True

    def sleep(self, milliseconds: int) -> Signal[None]:
        """Comes after so long."""
        signal: Signal[None] = Signal(self)
        self.after(milliseconds, lambda: signal.give(None))
        return signal


class Party:
    """Somebody with a disk and a memory. A crash ends all that it was doing.

    `start` is called at the beginning and after every crash, and finds only what was committed.
    """

    crashes_before = Fault.AGENT_CRASH_BEFORE_COMMIT
    crashes_after = Fault.AGENT_CRASH_AFTER_COMMIT

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.up = False
        self.life = 0
        self.clock_off = 0
        self._tasks: list[Work] = []
        world.parties.append(self)

    def start(self) -> None:
        """Begins a life with an empty memory."""
        self.up = True

    def stopped(self) -> None:
        """What others notice when it crashes."""

    @property
    def now(self) -> Instant:
        """This party's own clock."""
        return Instant(self.world.now + self.clock_off)

    def crash(self) -> None:
        """Loses its memory and comes back a while later."""
        if not self.up:
            return
        self.world.note(f"{self.name} crashes")
        self.up = False
        self.life += 1
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.close()
        self.stopped()
        self.world.after(self.world.random.randrange(500, 30_000), self._restart)

    def _restart(self) -> None:
        self.world.note(f"{self.name} is back")
        self.start()

    def commit(self, write: Callable[[], None]) -> None:
        """Writes as one piece. Whoever crashes here has written all of it or nothing."""
        if self.world.weather.happens(self.crashes_before, self.name):
            raise Crashed(self)
        write()
        if self.world.weather.happens(self.crashes_after, self.name):
            raise Crashed(self)

    def later(self, milliseconds: int, what: Callable[[], None]) -> None:
        """Like `World.after`, unless it crashes before."""
        life = self.life

        def if_alive() -> None:
            if self.up and self.life == life:
                what()

        self.world.after(milliseconds, if_alive)

    def begin(self, work: Work) -> None:
        """Starts a piece of work; it goes on whenever what it waits for has come."""
        self._tasks.append(work)
        self._step(work, self.life)

    async def together(self, works: Sequence[Coroutine[Signal[Any], None, T]]) -> list[T]:
        """All of them at once; the first error is raised once all have ended."""
        results: dict[int, T] = {}
        errors: list[Unavailable] = []
        all_done: Signal[None] = Signal(self.world)

        async def one(number: int, work: Coroutine[Signal[Any], None, T]) -> None:
            try:
                results[number] = await work
            except Unavailable as error:
                errors.append(error)
            if len(results) + len(errors) == len(works):
                all_done.give(None)

        for number, work in enumerate(works):
            self.begin(one(number, work))
        await all_done
        if errors:
            raise errors[0]
        return [results[number] for number in range(len(works))]

    def _step(self, work: Work, life: int) -> None:
        if not self.up or self.life != life:
            return
        try:
            signal = work.send(None)
        except StopIteration:
            self._tasks.remove(work)
            return
        except Crashed:
            self._tasks.remove(work)
            raise
        signal.then(lambda: self._step(work, life))
