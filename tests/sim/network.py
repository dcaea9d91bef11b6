"""How parties reach each other: questions to units, and sessions between agents and coordinator.

A question is asked once and answered once, as over HTTP; either may be lost, late or doubled, and
who asks learns only that no answer came. A session is a connection: what is sent on it arrives, but
for what was under way when it breaks, which both ends then notice. What an agent publishes on it
may be taken in twice, or in another order, as the coordinator works on several at a time.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from protocol.schema import Struct
from protocol.session.messages import Publish
from quorate.unavailable import Unavailable
from tests.sim.weather import Fault
from tests.sim.world import Crashed, Party, Signal, World

T = TypeVar("T")
PATIENCE = 10_000
"""How long somebody waits for a unit's answer, in milliseconds."""


class Network:
    """All ways between the parties of a world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def ask(self, asker: Party, asked: "Reachable", question: Callable[[], T]) -> Signal[T]:
        """Has `asked` answer a question; the signal fails with Unavailable where none comes."""
        world, weather = self.world, self.world.weather
        signal: Signal[T] = Signal(world)
        gone = Unavailable(f"{asked.name} doesn't answer")

        def arrive(answers: bool) -> None:
            if not asked.reachable:
                world.after(self.delay(asked.name), lambda: signal.fail(gone))
                return
            if weather.happens(Fault.POWER_CUT, asked.name):
                asked.crash()
            if not asked.up:
                world.after(self.delay(asked.name), lambda: signal.fail(gone))
                return
            try:
                answer = question()
            except Crashed:
                world.after(self.delay(asked.name), lambda: signal.fail(gone))
                raise
            if answers and not weather.happens(Fault.ANSWER_LOST, asked.name):
                world.after(self.delay(asked.name), lambda: signal.give(answer))

        if not weather.happens(Fault.QUESTION_LOST, asked.name):
            world.after(self.delay(asked.name), lambda: arrive(True))
        if weather.happens(Fault.DOUBLED, asked.name):
            world.after(self.delay(asked.name), lambda: arrive(False))
        world.after(PATIENCE, lambda: signal.fail(gone))
        return signal

    def delay(self, to: str) -> int:
        """How long a message takes, in milliseconds."""
        if self.world.weather.happens(Fault.DELAYED, to):
            return self.world.random.randrange(1_000, 20_000)
        return self.world.random.randrange(1, 40)


class Reachable(Protocol):
    """Who can be asked."""

    name: str
    up: bool

    @property
    def reachable(self) -> bool:
        """Whether what is sent arrives."""
        ...

    def crash(self) -> None:
        """Loses its memory."""
        ...


class AgentEnd(Protocol):
    """The agent's end of a session."""

    name: str
    up: bool

    def hear(self, session: "Session", message: Struct) -> None: ...
    def cut_off(self, session: "Session") -> None: ...
    def crash(self) -> None: ...


class CoordinatorEnd(Protocol):
    """The coordinator's end of a session."""

    name: str
    up: bool

    def take(self, session: "Session", message: Struct) -> None: ...
    def cut_off(self, session: "Session") -> None: ...
    def crash(self) -> None: ...


class Session:
    """A connection that stands, until it breaks."""

    def __init__(self, network: Network, agent: AgentEnd, coordinator: CoordinatorEnd) -> None:
        self._network, self._world = network, network.world
        self.agent, self.coordinator = agent, coordinator
        self.open = True
        self._there = {True: 0, False: 0}

    def to_coordinator(self, message: Struct) -> None:
        """An agent's message."""
        weather = self._world.weather
        name = self.coordinator.name
        overtaken = weather.happens(Fault.OVERTAKEN, name)
        self._send(message, up=True, ordered=not overtaken)
        if isinstance(message, Publish) and weather.happens(Fault.DOUBLED, name):
            self._send(message, up=True, ordered=False)

    def to_agent(self, message: Struct) -> None:
        """The coordinator's message."""
        self._send(message, up=False, ordered=True)

    def cut(self) -> None:
        """It breaks; each end notices when it does."""
        if self.open:
            self.open = False
            for end in (self.agent, self.coordinator):
                self._world.after(
                    self._network.delay(end.name),
                    lambda end=end: end.cut_off(self),  # type: ignore[misc]
                )

    def _send(self, message: Struct, *, up: bool, ordered: bool) -> None:
        end = self.coordinator if up else self.agent
        if self._world.weather.happens(Fault.SESSION_CUT, end.name):
            self.cut()
        if not self.open:
            return
        delay = self._network.delay(end.name)
        if ordered:
            at = max(self._world.now + delay, self._there[up])
            self._there[up], delay = at, at - self._world.now
        elif delay < 100:
            delay += self._world.random.randrange(100)
        self._world.after(delay, lambda: self._arrive(message, up))

    def _arrive(self, message: Struct, up: bool) -> None:
        end = self.coordinator if up else self.agent
        if self.open and self._world.weather.happens(Fault.POWER_CUT, end.name):
            end.crash()
        if not self.open or not end.up:
            self.cut()
            return
        if up:
            self.coordinator.take(self, message)
        else:
            self.agent.hear(self, message)
