"""Crypto units in one process: each runs one command at a time, all of them side by side.

The order is the same for everything that changes a unit: decide, write it down, go on from it,
answer. Reads need neither lock nor disk space, so they are answered while a command runs and while
the disk is full.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from hsm_backend.durable.steps import Write
from hsm_backend.durable.store import KeptUnit, Store
from hsm_backend.host.vendor import fresh, identity_of
from hsm_backend.keys.storage import Glance
from hsm_backend.unit import machine
from hsm_backend.unit.machine import Step
from hsm_backend.wire import HistoryPage, Outcome, Prepared, Ran, Refused
from protocol.commands.bodies import SetClock, kind_of
from protocol.commands.command import SignedCommand
from protocol.identifiers import (
    CommandId,
    Digest,
    Instant,
    Nonce,
    StateVersion,
    UnitId,
)
from protocol.refusals import Refusal
from protocol.schema import Struct
from protocol.sealing.hpke import PRIVATE_KEY_BYTES
from protocol.secrets import Secret
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.unit_identity import CertifiedUnit
from protocol.unit_state import UnitState
from quorate import logs

T = TypeVar("T")
Clock = Callable[[], Instant]


class OnDisk(Protocol):
    """Runs a call of the store in the one thread that may make them."""

    def __call__(self, call: Callable[[Store], T], /) -> Awaitable[T]: ...


class HostedUnit:
    """One crypto unit at work."""

    def __init__(self, kept: KeptUnit, on_disk: OnDisk, clock: Clock) -> None:
        certificate = kept.certified.opened()
        self.id: UnitId = certificate.unit
        self.certified = kept.certified
        self._identity = identity_of(certificate, kept.private)
        self._memory = kept.memory
        self._on_disk = on_disk
        self._clock = clock
        self._latest = kept.memory.clock
        self._one_at_a_time = asyncio.Lock()
        self._log = logs.get("crypto unit").bind(unit=str(certificate.location))

    def glance(self) -> Glance:
        """What key storage needs to know of the unit at the moment of a call."""
        memory = self._memory
        return Glance(
            incarnation=memory.incarnation, current_key=memory.current_key, now=self._now()
        )

    @property
    def public_state(self) -> UnitState:
        """The state document as it is now."""
        return self._memory.state

    def sign(self, label: Label, statement: Struct) -> Signed:
        """A statement of the unit's own."""
        return sign_statement(label, statement, self._identity.sign)

    def state(self, nonces: tuple[Nonce, ...]) -> Signed:
        """The unit's state, signed over `nonces`."""
        return machine.answer_state(self._identity, self._memory, nonces, self._now())

    async def importer_key(self, request: Digest) -> Signed:
        """The importer key for a request in the present state, signed."""
        return await _to_its_end(self._importer_key(request))

    async def prepare(self, signed: SignedCommand) -> Prepared:
        """Whether the command could run now; one that has run would get its receipt again."""
        command = signed.parsed()
        if await self._receipt(command.id) is not None:
            return Prepared(refusal=None)
        now = self._now()
        refusal = machine.prepare(self._identity, self._memory, signed, now)
        if refusal is None:
            return Prepared(refusal=None)
        answer = machine.answer_refusal(self._identity, self._memory, command, refusal, now)
        return Prepared(refusal=answer)

    async def execute(self, signed: SignedCommand) -> Outcome:
        """Runs the command and gives its receipt, its first one if it has run before."""
        return await _to_its_end(self._execute(signed))

    async def history(self, after: StateVersion) -> HistoryPage:
        """A page of the history."""
        return await self._on_disk(lambda store: store.history(self.id, after))

    async def tick(self) -> None:
        """Writes the clock's high-water mark down."""
        async with self._one_at_a_time:
            memory = machine.tick(self._memory, self._now())
            await self._go_on(Write.CLOCK, Step(memory, ()))

    async def _importer_key(self, request: Digest) -> Signed:
        async with self._one_at_a_time:
            private = Secret(secrets.token_bytes(PRIVATE_KEY_BYTES))
            memory, public = machine.make_importer_key(
                self._identity, self._memory, request, private=private, now=self._now()
            )
            if memory is not self._memory:
                await self._go_on(Write.IMPORTER_KEY, Step(memory, ()))
        return sign_statement(Label.IMPORTER_KEY, public, self._identity.sign)

    async def _execute(self, signed: SignedCommand) -> Outcome:
        command = signed.parsed()
        async with self._one_at_a_time:
            before = await self._receipt(command.id)
            now = self._now()
            outcome = machine.execute(
                self._identity,
                self._memory,
                signed,
                find_receipt=lambda _: before,
                fresh=fresh(),
                now=now,
            )
            log = self._log.bind(command=kind_of(command.body), id=command.id)
            if isinstance(outcome, Refusal):
                log.info("refused", rule=outcome.rule.value)
                return Refused(
                    refusal=machine.answer_refusal(
                        self._identity, self._memory, command, outcome, now
                    )
                )
            if outcome.step is not None:
                await self._go_on(Write.COMMAND, outcome.step)
                if isinstance(command.body, SetClock):
                    self._latest = self._memory.clock
                log.info("executed", version=self._memory.version)
            return Ran(receipt=outcome.receipt)

    async def _go_on(self, write: Write, step: Step) -> None:
        """Durable first; only then is it what the unit knows."""
        before = self._memory
        await self._on_disk(lambda store: store.commit(write, self.id, before, step))
        self._memory = step.memory

    async def _receipt(self, command: CommandId) -> Signed | None:
        return await self._on_disk(lambda store: store.receipt(self.id, command))

    def _now(self) -> Instant:
        """The host's time, never earlier than the unit has said before."""
        self._latest = max(self._latest, self._clock())
        return self._latest


class Host:
    """All units of one state directory."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._units = {
            unit.id: unit
            for unit in (HostedUnit(kept, self.on_disk, clock) for kept in store.units())
        }

    @property
    def units(self) -> tuple[HostedUnit, ...]:
        """All units."""
        return tuple(self._units.values())

    def unit(self, unit: UnitId) -> HostedUnit | None:
        """The unit with this id."""
        return self._units.get(unit)

    @property
    def certified(self) -> tuple[CertifiedUnit, ...]:
        """The certificates of all units."""
        return tuple(unit.certified for unit in self._units.values())

    async def tick(self) -> None:
        """Writes all clocks' high-water marks down."""
        for unit in self._units.values():
            await unit.tick()

    async def close(self) -> None:
        """Ends the work on disk and closes the store."""
        await self.on_disk(Store.close)
        self._thread.shutdown()

    async def on_disk(self, call: Callable[[Store], T]) -> T:
        """Runs a call of the store in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, self._store)


async def _to_its_end(work: Awaitable[T]) -> T:
    """Whoever asked may go away; what was begun is finished, so memory and disk stay the same."""
    return await asyncio.shield(asyncio.ensure_future(work))
