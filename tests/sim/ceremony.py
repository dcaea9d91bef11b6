"""The initialisation of a service instance, from nothing to one master key on all units.

Three custodians, four units. One of the custodians files every step, and files it again when it
ended without having run; what the others do they do because they are asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from coordinator.workflow.course import held_by
from protocol.charter import Charter
from protocol.commands.bodies import (
    Body,
    CommitNewRegister,
    LoadNewRegister,
    NamedPart,
    SetImmediate,
    SetThresholds,
)
from protocol.identifiers import DAY, MINUTE, SECOND, VP, UnitId
from protocol.request import Request
from protocol.session.messages import Done, FileRequest, Proceed, Publication
from quorate.unavailable import Unavailable
from signer_agent.desk.filing import file, wish
from signer_agent.desk.receipts import UnitResult, results
from signer_agent.objections import Objection
from tests.cast.charters import instance
from tests.cast.commands import adds, nonce
from tests.cast.people import ALICE, BOB, Custodian
from tests.sim.agent import SimAgent
from tests.sim.coordinator import SimCoordinator
from tests.sim.link import AgentDisk
from tests.sim.network import Network
from tests.sim.unit import SimUnit
from tests.sim.weather import Fault, Weather
from tests.sim.world import World

PARTS = {who.name: who.part() for who in (ALICE, BOB)}
MASTER_KEY = bytes(a ^ b for a, b in zip(*PARTS.values(), strict=True))
AT_MOST = 7 * DAY
PATIENCE = 30 * MINUTE
"""How long the filing custodian lets a unit hold a request."""
PAUSE = 15 * SECOND
"""How often the filing custodian looks how far it is."""


@dataclass(frozen=True)
class Step:
    """A step: its body, made from what is known by then; None while that is too little."""

    name: str
    body: Callable[["FilingAgent"], Body | None]


def initialise(people: Sequence[Custodian]) -> tuple[Step, ...]:
    """The steps of the initialisation, in order."""
    return (
        *(Step(f"add {who.name}", lambda _, who=who: adds(who)) for who in people),  # type: ignore[misc]
        Step("thresholds", lambda _: SetThresholds(signatures=2, revocations=2)),
        Step("load", lambda agent: agent.load_of_announced()),
        Step("commit", lambda agent: _of_loaded(agent, CommitNewRegister)),
        Step("set immediate", lambda agent: _of_loaded(agent, SetImmediate)),
    )


def _of_loaded(
    agent: "FilingAgent", kind: type[CommitNewRegister] | type[SetImmediate]
) -> Body | None:
    vp = agent.loaded()
    return None if vp is None else kind(vp=vp)


class FilingAgent(SimAgent):
    """The custodian who files the steps, and looks after them whenever there is news."""

    plan: tuple[Step, ...] = ()

    _known: tuple[AgentDisk, dict[str, tuple[UnitId, ...]]] | None = None

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._verified: dict[int, tuple[Request, tuple[UnitResult, ...]]] = {}

    def start(self) -> None:
        super().start()
        self.begin(self._file_steps())

    async def _file_steps(self) -> None:
        looked: AgentDisk | None = None
        while not self.finished:
            await self.world.sleep(PAUSE)
            self._proceed_with_what_is_held()
            if looked is self.disk:
                continue
            try:
                filed = await self._file_next()
            except Unavailable:
                continue
            looked = None if filed or self.disk.book.ruling is None else self.disk

    def _proceed_with_what_is_held(self) -> None:
        """Says proceed where a unit has been out of reach for too long; once."""
        for number, news in self.disk.requests.items():
            request = news.request
            waited = self.now - request.changed
            if held_by(request) and waited > PATIENCE and number not in self.disk.proceeded:
                self.world.note(f"{self.name} says proceed with request {number}")
                disk = self.disk.publishing(Proceed(filing=request.filing.digest))
                self.write(replace(disk, proceeded=disk.proceeded | {number}))
                return

    async def _file_next(self) -> bool:
        """Files the first step that has to be, once all before it are in the queue or have run."""
        for step in self.plan:
            if self._being_filed(step.name):
                return False
            if self._under_way(step.name):
                continue
            if self.disk.book.ruling is None:
                await self.gather(None)
            body = step.body(self)
            if body is not None and self.disk.book.ruling is not None:
                await self._file(step.name, body)
                return True
            return False
        return False

    async def _file(self, step: str, body: Body) -> None:
        attempt = self.disk.attempts.get(step, 0) + 1
        evidence = await self.gather(None)
        wanted = wish(body, self._not_run[step], f"{step}, attempt {attempt}")
        wanted = wanted.but(ahead=True, idempotency_key=f"{step} {attempt}")
        filed = file(
            wanted,
            self.seat,
            evidence,
            sign=self.who.identity.sign,
            at=self.now,
            nonce=nonce(f"filing {step} {attempt}"),
        )
        if isinstance(filed, Objection):
            self.world.note(f"{self.name}'s agent doesn't file {step}: {filed.what[:60]}")
            self.objections.append(filed)
            return
        self.world.note(f"{self.name} files {step}, attempt {attempt}")
        attempts = {**self.disk.attempts, step: attempt}
        self.write(replace(self.disk, attempts=attempts).publishing(filed))

    def acknowledged(self, publication: Publication, done: Done) -> AgentDisk:
        disk = super().acknowledged(publication, done)
        if isinstance(publication, FileRequest) and done.request is not None:
            assert publication.idempotency_key is not None
            step, _, _ = publication.idempotency_key.rpartition(" ")
            return replace(disk, filed={**disk.filed, step: done.request})
        return disk

    # --- what it knows --------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether every step has run everywhere, by receipts that this agent has verified."""
        return not any(self._not_run.values())

    def load_of_announced(self) -> Body | None:
        """The load of the parts that two custodians have announced."""
        if len(self.disk.parts) < 2:
            return None
        parts = sorted(self.disk.parts.items())
        return LoadNewRegister(parts=tuple(NamedPart(vp=vp, custodian=who) for vp, who in parts))

    def loaded(self) -> VP | None:
        """What the load made, as the receipts of all units say."""
        if self._not_run["load"]:
            return None
        vps = {one.new.vp for one in self._results("load") if one.new is not None}
        return vps.pop() if len(vps) == 1 else None

    @property
    def _not_run(self) -> dict[str, tuple[UnitId, ...]]:
        """By step, the units that haven't run it as far as this agent knows."""
        if self._known is None or self._known[0] is not self.disk:
            self._known = self.disk, {step.name: self._lacking(step.name) for step in self.plan}
        return self._known[1]

    def _lacking(self, step: str) -> tuple[UnitId, ...]:
        ran = {one.unit.unit for one in self._results(step) if one.executed}
        return tuple(unit for unit in self.units if unit not in ran)

    def _under_way(self, step: str) -> bool:
        """Whether it has run, or is still to be decided."""
        request = self._request(step)
        return not self._not_run[step] or (request is not None and not request.ended)

    def _being_filed(self, step: str) -> bool:
        key = f"{step} {self.disk.attempts.get(step, 0)}"
        sent = (one for one in self.disk.outbox.values() if isinstance(one, FileRequest))
        return any(one.idempotency_key == key for one in sent)

    def _request(self, step: str) -> Request | None:
        news = self.disk.requests.get(self.disk.filed.get(step, 0))
        return None if news is None else news.request

    def _results(self, step: str) -> tuple[UnitResult, ...]:
        request = self._request(step)
        if request is None or not any(one.receipt is not None for one in request.progress):
            return ()
        known = self._verified.get(request.id)
        if known is None or known[0] is not request:
            known = request, results(request, self.charter, self.who.agent, frozenset())
            self._verified[request.id] = known
        return known[1]


@dataclass
class Ceremony:
    """A world with an instance in it, and what is to be done there."""

    world: World
    charter: Charter
    units: Sequence[SimUnit]
    coordinator: SimCoordinator
    agents: Sequence[SimAgent]
    _seen: AgentDisk | None = None
    _finished: bool = False

    @property
    def filing(self) -> FilingAgent:
        """The custodian who files."""
        agent = self.agents[0]
        assert isinstance(agent, FilingAgent)
        return agent

    def begin(self) -> None:
        """Everybody is switched on."""
        for party in self.world.parties:
            self.world.after(0, party.start)

    def run(self) -> bool:
        """Until it is done, and everybody knows; False when it takes longer than a week."""
        return self.world.run(self.done, at_most=AT_MOST)

    def done(self) -> bool:
        """Whether everybody's agent has every receipt."""
        filing = self.filing.disk
        if filing is not self._seen:
            self._seen, self._finished = filing, self.filing.finished
        position = self.coordinator.store.position
        return self._finished and all(agent.disk.position == position for agent in self.agents)


def ceremony(
    seed: int,
    *,
    weather: Weather | None = None,
    unit: type[SimUnit] = SimUnit,
    coordinator: type[SimCoordinator] = SimCoordinator,
    agent: type[SimAgent] = SimAgent,
) -> Ceremony:
    """A whole initialisation, about to begin; parties may be of broken kinds."""
    world = World(seed, weather)
    network = Network(world)
    charter, people, cast = instance(3, 4)
    units = [unit(world, one, f"unit {number}") for number, one in enumerate(cast, start=1)]
    hub = coordinator(world, network, units, [who.agent for who in people])
    agents: list[SimAgent] = []
    for who in people:
        kind = FilingAgent if who is people[0] else agent
        parts = [PARTS[who.name]] if who.name in PARTS else []
        agents.append(kind(world, network, hub, who, charter, parts=parts))
    first = agents[0]
    assert isinstance(first, FilingAgent)
    first.plan = initialise(people)
    for party in world.parties:
        if world.weather.happens(Fault.CLOCK_OFF, party.name):
            party.clock_off = world.random.randrange(-12_000, 12_000)
    return Ceremony(world, charter, units, hub, agents)
