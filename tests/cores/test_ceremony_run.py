"""A run of a ceremony that dies anywhere: the next one ends the same, and files nothing twice."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from protocol.ceremony.goals import Step
from protocol.ceremony.plan import Confirmation, Stage, parse_plan
from protocol.commands.bodies import SetImmediate
from protocol.displayable import InstanceName
from protocol.identifiers import VP, Instant
from protocol.request import CeremonyStep, RequestState
from quorate.exits import Exit, Trouble
from signer_agent.ceremonies.journal import Journal
from signer_agent.ceremonies.run import Rows, Run
from signer_agent.client.party import KnownCharters, OfferedPart, Party
from signer_agent.desk.screen import UnitLine
from signer_agent.local.messages import UnitNow, Units
from tests.cast.ceremonies import FROM_PARTS, Instance
from tests.cast.people import INSTANCE

CONFIRMED = """
[[confirm]]
before = "commit"
who = "carol"
text = "compare the pattern with the sheet"
"""


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Asked:
    """A request, as far as a run looks at it."""

    id: int
    filing: Step
    """Of a filing a run looks at `body` and `targets`."""
    state: RequestState = RequestState.COLLECTING
    why: str = ""

    @property
    def ended(self) -> bool:
        return self.state is not RequestState.COLLECTING


@dataclass
class FakeParty:
    """A coordinator with an instance of real units; what is filed is remembered by its key."""

    instance_: Instance
    filed_: dict[str, int] = field(default_factory=dict)
    requests: dict[int, Asked] = field(default_factory=dict)

    @property
    def instance(self) -> InstanceName:
        return INSTANCE

    async def charters(self) -> KnownCharters:
        charter = self.instance_.charter
        return KnownCharters(versions=(charter,), in_force=charter)

    async def units(self) -> Units:
        units = tuple(
            UnitNow(
                unit=UnitLine(unit=one.id, type=one.type, location=one.location),
                state=one.state,
                version=one.version,
                last_receipt=None,
                in_reach=True,
                problem=None,
            )
            for one in self.instance_.situation.units
        )
        return Units(instance=INSTANCE, units=units)

    async def parts(self) -> tuple[OfferedPart, ...]:
        return tuple(
            OfferedPart(vp=vp, description="", custodian=agent, person=None)
            for agent, vps in self.instance_.offered.items()
            for vp in vps
        )

    async def request(self, number: int) -> Any:
        return self.requests.get(number)

    async def filed(self, key: str) -> int | None:
        return self.filed_.get(key)

    def file(self, key: str, step: Step) -> Asked:
        assert key not in self.filed_, "filed twice"
        made = Asked(len(self.requests) + 1, step)
        self.filed_[key], self.requests[made.id] = made.id, made
        return made


@dataclass
class Bench:
    """A party, a plan in a file, and runs that may die: at the so-many-th place, if at all."""

    party: FakeParty
    plan: Path
    text: str
    said: list[str] = field(default_factory=list)
    dies_at: int | None = None
    passed: int = 0

    def place(self) -> None:
        self.passed += 1
        if self.passed == self.dies_at:
            raise Killed

    def run(self, *, begun: bool) -> Run:
        at = Instant(0)
        journal = (
            Journal.load(self.plan, self.text)
            if begun
            else Journal.begin(self.plan, self.text, at=at)
        )
        return Run(
            plan=parse_plan(self.text),
            party=cast(Party, self.party),
            journal=journal,
            do=self.do,
            confirm=self.confirm,
            losing=lambda step, what: self.said.append(" ".join(what)),
            now=lambda: at,
        )

    async def do(self, step: Step, rows: Rows, label: CeremonyStep, key: str) -> None:
        assert {one.unit.unit for _, one in rows} == set(step.targets)
        self.place()
        number = self.party.filed_.get(key)
        asked = self.party.file(key, step) if number is None else self.party.requests[number]
        self.place()
        if not asked.ended:
            self.party.instance_.take(step)
            asked.state = RequestState.EXECUTED
        self.place()

    def confirm(self, wanted: Confirmation) -> None:
        self.place()
        self.said.append(wanted.who)


def bench(tmp_path: Path, text: str = FROM_PARTS, instance: Instance | None = None) -> Bench:
    plan = tmp_path / "plan.toml"
    plan.write_text(text)
    return Bench(FakeParty(instance or Instance(2)), plan, text)


async def places(tmp_path: Path, text: str) -> int:
    """At how many places a run can die."""
    whole = bench(tmp_path, text)
    await whole.run(begun=False).to_the_end()
    Journal.path_of(whole.plan).unlink()
    return whole.passed


async def test_killed_at_any_place_it_is_taken_up_and_ends_the_same(tmp_path: Path):
    text = FROM_PARTS + CONFIRMED
    for place in range(1, await places(tmp_path, text) + 1):
        one = bench(tmp_path, text)
        one.dies_at = place
        with pytest.raises(Killed):
            await one.run(begun=False).to_the_end()
        await one.run(begun=True).to_the_end()
        states = [unit.state for unit in one.party.instance_.units]
        assert len({state.current.vp for state in states}) == 1
        assert all(asked.state is RequestState.EXECUTED for asked in one.party.requests.values())
        assert len(one.party.requests) == 7, "each command was filed once"
        kept = Journal.load(one.plan, text).kept
        assert kept.ended is not None
        assert [entry.request for entry in kept.steps] == list(range(1, 8))
        assert [who.who for who in kept.confirmed] == ["carol"]
        Journal.path_of(one.plan).unlink()


async def test_what_ended_otherwise_is_said_once_and_then_filed_again(tmp_path: Path):
    one = bench(tmp_path)
    one.dies_at = 2  # filed, and nobody has signed yet
    with pytest.raises(Killed):
        await one.run(begun=False).to_the_end()
    one.party.requests[1].state = RequestState.REJECTED
    with pytest.raises(Trouble) as trouble:
        await one.run(begun=True).to_the_end()
    assert (trouble.value.exit, trouble.value.data["request"]) == (Exit.REFUSED, 1)
    await one.run(begun=True).to_the_end()
    assert one.party.requests[2].state is RequestState.EXECUTED


async def test_it_stays_where_a_step_is_troubled_and_goes_on_from_there(tmp_path: Path):
    one = bench(tmp_path)
    run = one.run(begun=False)

    async def waits(step: Step, rows: Rows, label: CeremonyStep, key: str) -> None:
        one.party.file(key, step)
        raise Trouble(Exit.WAITING, "nobody has signed yet")

    run.do = waits
    with pytest.raises(Trouble):
        await run.to_the_end()
    (step,) = Journal.load(one.plan, one.text).kept.steps
    assert (step.request, step.stopped) == (1, False)


async def test_where_a_unit_would_forget_its_key_somebody_is_asked(tmp_path: Path):
    one = bench(tmp_path)
    await one.run(begun=False).to_the_end()
    assert one.said == [], "a first key takes nothing away"
    run = one.run(begun=True)
    situation = one.party.instance_.situation
    targets = tuple(unit.id for unit in situation.units)
    run._say_what_is_lost(Step(Stage.ACTIVATE, SetImmediate(vp=VP(bytes(32))), targets), situation)
    (said,) = one.said
    assert "can't be opened any more" in said


def test_a_journal_belongs_to_its_plan(tmp_path: Path):
    one = bench(tmp_path)
    one.run(begun=False)
    with pytest.raises(Trouble) as again:
        one.run(begun=False)
    assert "begun before" in again.value.what
    one.text = FROM_PARTS.replace("carol", "dave")
    with pytest.raises(Trouble) as changed:
        one.run(begun=True)
    assert "was changed" in changed.value.what
    Journal.path_of(one.plan).write_bytes(b"{}")
    Journal.path_of(one.plan).chmod(0o600)
    with pytest.raises(Trouble) as damaged:
        one.run(begun=True)
    assert damaged.value.exit is Exit.DAMAGED
    Journal.path_of(one.plan).unlink()
    with pytest.raises(Trouble) as none:
        one.run(begun=True)
    assert "wasn't begun" in none.value.what
