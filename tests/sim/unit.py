"""A crypto unit: the real state machine, with a disk that holds memory, history and receipts."""

from dataclasses import dataclass, field, replace

from hsm_backend.unit import machine
from hsm_backend.unit.machine import Executed, Fresh, Step
from hsm_backend.unit.memory import Memory, UnitIdentity
from hsm_backend.wire import Outcome, Ran, Refused
from protocol.commands.bodies import kind_of
from protocol.commands.command import SignedCommand
from protocol.identifiers import (
    HOUR,
    MINUTE,
    SECOND,
    CommandId,
    Digest,
    IncarnationId,
    Nonce,
    StateVersion,
    UnitId,
)
from protocol.refusals import Refusal
from protocol.sealing.hpke import PRIVATE_KEY_BYTES, seal
from protocol.secrets import Secret
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from tests.cast.keys import noise
from tests.cast.units import CastUnit
from tests.sim.weather import Fault
from tests.sim.world import Party, World

OUTAGES = (
    (Fault.OUT_OF_REACH, 10 * SECOND, 10 * MINUTE),
    (Fault.LONG_OUTAGE, HOUR, 3 * HOUR),
)


@dataclass(frozen=True)
class UnitDisk:
    """All that a unit has written down."""

    memory: Memory
    entries: tuple[Signed, ...]
    receipts: dict[CommandId, Signed] = field(default_factory=dict)

    def after(self, step: Step, command: CommandId, receipt: Signed) -> "UnitDisk":
        """With what a command changed, as one piece."""
        return UnitDisk(
            memory=step.memory,
            entries=(*self.entries, *step.entries),
            receipts={**self.receipts, command: receipt},
        )


class SimUnit(Party):
    """A unit and its host. It answers what it is asked; a crash keeps what it had committed."""

    crashes_before = Fault.UNIT_CRASH_BEFORE_COMMIT
    crashes_after = Fault.UNIT_CRASH_AFTER_COMMIT

    def __init__(self, world: World, cast: CastUnit, name: str) -> None:
        super().__init__(world, name)
        self.cast = cast
        self.disk = UnitDisk(memory=cast.memory, entries=tuple(cast.entries))
        self._away_until = 0
        self._drawn = 0

    @property
    def id(self) -> UnitId:
        """The unit's id."""
        return self.cast.id

    @property
    def identity(self) -> UnitIdentity:
        """Who it is, and how it signs."""
        return self.cast.identity

    @property
    def reachable(self) -> bool:
        """Whether the network gets there."""
        if self.world.now < self._away_until:
            return False
        for fault, least, most in OUTAGES:
            if self.world.weather.happens(fault, self.name):
                self._away_until = self.world.now + self.world.random.randrange(least, most)
                return False
        return True

    # --- what it is asked -----------------------------------------------------------------------

    def state(self, nonces: tuple[Nonce, ...]) -> Signed:
        """Its state, signed over the nonces."""
        return machine.answer_state(self.identity, self.disk.memory, nonces, self.now)

    def history(self, after: StateVersion) -> tuple[Signed, ...]:
        """Its entries with versions above `after`."""
        return self.disk.entries[after:]

    def importer_key(self, request: Digest) -> Signed:
        """An importer key for a request; its private half is written down first."""
        private = Secret(noise(f"{self.name} importer {self._draw()}", PRIVATE_KEY_BYTES))
        memory, public = machine.make_importer_key(
            self.identity, self.disk.memory, request, private=private, now=self.now
        )
        if memory is not self.disk.memory:
            self._write(replace(self.disk, memory=memory))
        return sign_statement(Label.IMPORTER_KEY, public, self.identity.sign)

    def prepare(self, sent: SignedCommand) -> Signed | None:
        """Its signed No, or None where it would run it, or has."""
        if self.find_receipt(sent.parsed().id) is not None:
            return None
        refusal = machine.prepare(self.identity, self.disk.memory, sent, self.now)
        return None if refusal is None else self._no(sent, refusal)

    def execute(self, sent: SignedCommand) -> Outcome:
        """The receipt, once it is written down; or its signed No."""
        command = sent.parsed()
        done = self.decide(sent)
        if isinstance(done, Refusal):
            return Refused(refusal=self._no(sent, done))
        if done.step is not None:
            # The kind only: ids depend on what HPKE drew, by the log that holds sealed parts.
            self.world.note(f"{self.name} runs {kind_of(command.body)}")
            self._write(self.disk.after(done.step, command.id, done.receipt))
        return Ran(receipt=done.receipt)

    # --- how it decides; what broken units do otherwise ----------------------------------------

    def decide(self, sent: SignedCommand) -> Executed | Refusal:
        """What the state machine makes of a command."""
        return machine.execute(
            self.identity,
            self.disk.memory,
            sent,
            find_receipt=self.find_receipt,
            fresh=Fresh(
                incarnation=IncarnationId(noise(f"{self.name} life {self._draw()}", 16)),
                key=Secret(noise(f"{self.name} key {self._draw()}")),
                seal=lambda plaintext, public_key, info: seal(plaintext, public_key, info=info),
            ),
            now=self.now,
        )

    def find_receipt(self, command: CommandId) -> Signed | None:
        """The receipt of a command that it has run."""
        return self.disk.receipts.get(command)

    def _no(self, sent: SignedCommand, refusal: Refusal) -> Signed:
        self.world.note(f"{self.name} says {refusal.rule}")
        return machine.answer_refusal(
            self.identity, self.disk.memory, sent.parsed(), refusal, self.now
        )

    def _write(self, disk: UnitDisk) -> None:
        def write() -> None:
            self.disk = disk

        self.commit(write)

    def _draw(self) -> int:
        self._drawn += 1
        return self._drawn
