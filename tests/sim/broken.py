"""Parties that are broken on purpose, one for each invariant: what must turn red when it is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from coordinator.workflow.events import Ran
from hsm_backend.unit import admission, machine
from hsm_backend.unit.machine import Executed
from protocol.commands.command import SignedCommand
from protocol.identifiers import CommandId, UnitId
from protocol.record.checkpoints import Checkpoint, log_origin, sign_checkpoint
from protocol.record.tree import Hash
from protocol.refusals import Refusal
from protocol.request import Outcome, Request, RequestState, TargetProgress
from protocol.schema import Struct
from protocol.sealing.hpke import SEALED_BYTES
from protocol.secrets import Secret
from protocol.session.messages import (
    Approve,
    Consistency,
    Contribute,
    Done,
    Publish,
    WantConsistency,
)
from protocol.signing.statements import Signed
from tests.sim import invariants
from tests.sim.agent import SimAgent
from tests.sim.coordinator import SimCoordinator
from tests.sim.network import Session
from tests.sim.pursuit import Pursuit
from tests.sim.store import LOG
from tests.sim.unit import SimUnit, UnitDisk
from tests.sim.weather import Fault


@contextmanager
def instead(module: Any, name: str, broken: Callable[..., Any]) -> Iterator[None]:
    """A rule that is replaced for the time of one decision."""
    rule = getattr(module, name)
    setattr(module, name, broken)
    try:
        yield
    finally:
        setattr(module, name, rule)


# units


class GenerousUnit(SimUnit):
    """Doesn't count signatures."""

    def decide(self, sent: SignedCommand) -> Executed | Refusal:
        with instead(admission, "too_few_signatures", lambda *_: None):
            return super().decide(sent)


class ForgetfulUnit(SimUnit):
    """Forgets what it has run, and doesn't look whether its state is still the one signed for."""

    def find_receipt(self, command: CommandId) -> Signed | None:
        return None

    def decide(self, sent: SignedCommand) -> Executed | Refusal:
        with instead(admission, "state_changed", lambda *_: None):
            return super().decide(sent)


class AmnesiacUnit(SimUnit):
    """Writes its history and its memory one after the other; a crash may come between."""

    def _write(self, disk: UnitDisk) -> None:
        self.disk = replace(self.disk, entries=disk.entries)
        super()._write(disk)


class MiscountingUnit(SimUnit):
    """Adds key parts up wrongly."""

    def decide(self, sent: SignedCommand) -> Executed | Refusal:
        def another_key(*_: object) -> Secret:
            return Secret(bytes(range(32)))

        with instead(machine, "assemble", another_key):
            return super().decide(sent)


# coordinators


class HastyPursuit(Pursuit):
    """Has units run what one person has signed."""

    def _round(self) -> None:
        super()._round()
        for request in self._ledger.store.standing():
            signed = [one.unit for one in request.progress if one.approvals]
            if request.state is RequestState.COLLECTING and signed:
                self._start(request, partial(self._execute, units=tuple(signed)))


class CarelessPursuit(Pursuit):
    """Has units run what is ready, without asking all of them first and writing that down."""

    async def _prepare(self, request: Request, units: tuple[UnitId, ...]) -> bool:
        return await self._execute(request, units)


class LyingPursuit(Pursuit):
    """Says that units have run what it never sent them."""

    async def _execute(self, request: Request, units: tuple[UnitId, ...]) -> bool:
        for unit in units:
            one = request.progress_on(unit)
            assert one is not None
            signature = one.approvals[0].signature if one.approvals else request.signature
            assert signature is not None
            self._apply(request.id, Ran(unit, Signed(statement=b"it ran", signature=signature)))
        return True


class ResurrectingPursuit(Pursuit):
    """Begins ended requests again."""

    def _round(self) -> None:
        super()._round()
        over = (one for one in self._ledger.store.requests.values() if one.ended)
        ended = next(over, None)
        if ended is not None:
            again = ended.but(state=RequestState.EXECUTING, progress=_opened(ended))
            self._ledger.change(lambda change: change.save(again))


def _opened(request: Request) -> tuple[TargetProgress, ...]:
    return tuple(one.but(outcome=Outcome.OPEN) for one in request.progress)


def pursuing(kind: type[Pursuit]) -> type[SimCoordinator]:
    """A coordinator that does so."""

    class Broken(SimCoordinator):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.pursuit = kind(self, self.reach)

    return Broken


class LazyCoordinator(SimCoordinator):
    """Acknowledges what people give at once, and writes it down later."""

    def take(self, session: Session, message: Struct) -> None:
        if isinstance(message, Publish) and isinstance(message.publication, Approve | Contribute):
            session.to_agent(Done(ref=message.ref, request=None))
            self.later(5_000, lambda: super(LazyCoordinator, self).take(session, message))
        else:
            super().take(session, message)


class ForkingCoordinator(SimCoordinator):
    """Shows everybody the log that suits it."""

    def take(self, session: Session, message: Struct) -> None:
        if not isinstance(message, WantConsistency):
            super().take(session, message)
            return
        size = self.store.frontier.size
        other = Checkpoint(
            origin=log_origin(LOG.identity), size=size, root=Hash(bytes([size % 256]) * 32)
        )
        note = sign_checkpoint(other, public_key=LOG.identity, sign=LOG.sign)
        session.to_agent(Consistency(ref=message.ref, checkpoint=note, proof=()))


# agents


class CarelessAgent(SimAgent):
    """Gives key parts away as they are."""

    def seal(self, plaintext: bytes, key: bytes, info: bytes) -> bytes:
        return plaintext + bytes(SEALED_BYTES - len(plaintext))


@dataclass(frozen=True)
class Mutant:
    """Who is broken, and the weather in which it shows."""

    unit: type[SimUnit] = SimUnit
    coordinator: type[SimCoordinator] = SimCoordinator
    agent: type[SimAgent] = SimAgent
    weather: Mapping[Fault, float] = field(default_factory=dict)


MUTANTS: dict[str, Mutant] = {
    invariants.QUORUM: Mutant(unit=GenerousUnit, coordinator=pursuing(HastyPursuit)),
    invariants.ONCE: Mutant(unit=ForgetfulUnit, weather={Fault.DOUBLED: 0.5}),
    invariants.CHAIN: Mutant(unit=AmnesiacUnit, weather={Fault.UNIT_CRASH_BEFORE_COMMIT: 0.5}),
    invariants.ONE_KEY: Mutant(unit=MiscountingUnit),
    invariants.ALL_OR_STATED: Mutant(coordinator=pursuing(CarelessPursuit)),
    invariants.PROVEN: Mutant(coordinator=pursuing(LyingPursuit)),
    invariants.DURABLE: Mutant(coordinator=LazyCoordinator),
    invariants.FINAL: Mutant(coordinator=pursuing(ResurrectingPursuit)),
    invariants.SECRET: Mutant(agent=CarelessAgent),
    invariants.CALM: Mutant(coordinator=ForkingCoordinator),
}
