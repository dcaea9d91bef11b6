"""Runs a ceremony: looks, files what leads on, waits, looks again.

Stops at the first request that ends otherwise than executed. Whatever it had begun is taken up by
the next run, by what the units say and what the journal keeps.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from protocol.ceremony.goals import Obstacle, Situation, Step, next_step
from protocol.ceremony.plan import Confirmation, Plan, Stage
from protocol.commands.bodies import SetImmediate
from protocol.commands.wording import cautions, title
from protocol.displayable import shown
from protocol.identifiers import Instant
from protocol.request import CeremonyStep, RequestState
from quorate.exits import Exit, Trouble
from signer_agent.ceremonies.journal import Journal
from signer_agent.ceremonies.looking import situation_of
from signer_agent.client.party import Party
from signer_agent.local.messages import UnitNow, Units

MAX_STEPS = 500

Rows = list[tuple[int, UnitNow]]
Do = Callable[[Step, Rows, CeremonyStep, str], Awaitable[None]]
"""Files a step under an idempotency key, follows it to its end; Trouble unless it was executed."""


@dataclass
class Run:
    """One run of a plan. `confirm` is asked for what people do; `losing` before keys are lost."""

    plan: Plan
    party: Party
    journal: Journal
    do: Do
    confirm: Callable[[Confirmation], None]
    losing: Callable[[Step, Sequence[str]], None]
    now: Callable[[], Instant]

    async def to_the_end(self) -> int:
        """How many steps this run took; Trouble where it can't go on."""
        await self._take_up()
        taken = 0
        while taken < MAX_STEPS:
            step, rows, situation = await self._next()
            if step is None:
                self.journal.end(at=self.now())
                return taken
            self._people_first(step.stage)
            self._say_what_is_lost(step, situation)
            await self._file(step, rows)
            taken += 1
        raise AssertionError("a ceremony that doesn't end")

    async def _take_up(self) -> None:
        """A step that was about to be filed when the last run ended: was it? What became of it?

        Refused Trouble, once, where it wasn't executed.
        """
        if not self.journal.kept.steps:
            return
        last = self.journal.kept.steps[-1]
        number = last.request or await self.party.filed(self.journal.key_of(last.step))
        if number is None:
            self.journal.forget(last.step)
            return
        self.journal.filed(last.step, number)
        request = await self.party.request(number)
        if request is None or not request.ended or last.stopped:
            return
        if request.state is not RequestState.EXECUTED:
            self.journal.stopped(last.step)
            raise Trouble(
                Exit.REFUSED,
                f"request {number} of this ceremony ended meanwhile, {request.state}: "
                f"{shown(request.why)}; nothing more was filed",
                next="look at it, then resume once more: what is still wanted is filed again",
                data={"request": number, "state": request.state.value},
            )

    async def _next(self) -> tuple[Step | None, Rows, Situation]:
        requests = [one.request for one in self.journal.kept.steps if one.request is not None]
        situation, units = await situation_of(self.party, requests)
        found = next_step(self.plan, situation)
        if isinstance(found, Obstacle):
            raise trouble_of(found)
        return found, [] if found is None else rows_of(found, units), situation

    def _people_first(self, stage: Stage) -> None:
        for one in self.plan.confirm:
            if one.before is stage and not self.journal.is_confirmed(one):
                self.confirm(one)
                self.journal.confirm(one, at=self.now())

    def _say_what_is_lost(self, step: Step, situation: Situation) -> None:
        if not isinstance(step.body, SetImmediate):
            return  # nothing else in a ceremony forgets a key
        lost: dict[str, None] = {}
        for unit in situation.units:
            forgets = unit.state.current.vp not in (None, step.body.vp)
            if unit.id in step.targets and forgets:
                lost |= dict.fromkeys(cautions(step.body, unit.state))
        if lost:
            self.losing(step, list(lost))

    async def _file(self, step: Step, rows: Rows) -> None:
        standing = await self._standing(step)
        number = standing or self.journal.will_file(step.stage)
        label = CeremonyStep(ceremony=self.journal.kept.ceremony, step=number)
        key = self.journal.key_of(number)
        try:
            await self.do(step, rows, label, key)
        except Trouble as trouble:
            await self._note(number, key)
            if trouble.exit is not Exit.WAITING and self.journal.kept.steps[number - 1].request:
                self.journal.stopped(number)
            raise
        await self._note(number, key)

    async def _note(self, step: int, key: str) -> None:
        request = await self.party.filed(key)
        if request is not None:
            self.journal.filed(step, request)

    async def _standing(self, step: Step) -> int | None:
        """The number of this run's step that asks for the same and hasn't ended."""
        for one in reversed(self.journal.kept.steps):
            if one.request is None:
                continue
            request = await self.party.request(one.request)
            if request is None or request.ended:
                continue
            if (request.filing.body, request.filing.targets) == (step.body, step.targets):
                return one.step
            raise Trouble(
                Exit.WAITING,
                f"request {request.id} of this ceremony is still open, and asks for something "
                "else than the units want now",
                expected=title(step.body, lambda _: None),
                found=title(request.filing.body, lambda _: None),
                next=self.party.command("cancel", request.id),
            )
        return None


def rows_of(step: Step, units: Units) -> Rows:
    """The step's targets with the numbers by which this screen names them."""
    return [
        (number, one)
        for number, one in enumerate(units.units, start=1)
        if one.unit.unit in step.targets
    ]


def trouble_of(obstacle: Obstacle) -> Trouble:
    """Refused: why the ceremony can't go on."""
    return Trouble(
        Exit.REFUSED,
        f"{obstacle.what}; the ceremony stays before its stage {obstacle.stage}",
        expected=obstacle.expected,
        found=obstacle.found,
        next=obstacle.next,
    )
