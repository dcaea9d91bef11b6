"""Reaches the crypto units of an instance and follows their histories.

What is kept here is verified: for every unit that was ever met, the longest chain seen.
Units check everything themselves; the coordinator verifies so that its screens don't lie.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import structlog

from coordinator.steps import EXECUTED, Write
from coordinator.store import histories
from coordinator.store.connection import Connection
from coordinator.store.database import Database
from hsm_backend.client.driver import Outcome, Ran, Refused, UnitDriver
from protocol.commands.bodies import Zeroize
from protocol.commands.command import ReceiverProof, SignedCommand
from protocol.history import History, verify_history
from protocol.identifiers import CommandId, Digest, IdentityKey, Nonce, StateVersion, UnitId, short
from protocol.receipts import (
    Receipt,
    RefusalAnswer,
    StateAnswer,
    entry_hash,
    open_entry,
    open_refusal,
    open_state,
)
from protocol.schema import from_bytes
from protocol.sealing.importer import ImporterKey, open_importer_key
from protocol.signing.statements import Signed
from protocol.unit_identity import CertifiedUnit, UnitCertificate
from protocol.violations import Violation
from quorate.crash_points import crash_point
from quorate.exits import Trouble
from quorate.unavailable import Unavailable

T = TypeVar("T")
RETRY_SECONDS = 1.0
_log = structlog.get_logger("coordinator.units")


class Units:
    """The units behind the hosts that the coordinator was told.

    `on_change` is called after a unit came into or went out of reach, or its history grew.
    """

    def __init__(
        self,
        hosts: Sequence[UnitDriver],
        database: Database,
        *,
        nonce: Callable[[], Nonce],
        on_change: Callable[[UnitId], Awaitable[None]],
    ) -> None:
        self._hosts = hosts
        self._database = database
        self._nonce = nonce
        self._on_change = on_change
        self._drivers: dict[UnitId, UnitDriver] = {}
        self._identities: dict[UnitId, IdentityKey] = {}
        self._histories: dict[UnitId, History] = {}
        self._certificates: dict[UnitId, UnitCertificate] = {}
        self._certified: dict[UnitId, CertifiedUnit] = {}
        self._locks: dict[UnitId, asyncio.Lock] = {}
        self._reachable: dict[UnitId, bool] = {}
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def histories(self) -> Mapping[UnitId, History]:
        """The verified history of every unit that was ever met."""
        return self._histories

    @property
    def certificates(self) -> Mapping[UnitId, UnitCertificate]:
        """What each unit's vendor says of it, for all that were in reach since the start."""
        return self._certificates

    def reachable(self, unit: UnitId) -> bool:
        """Whether the last attempt to reach it went well."""
        return self._reachable.get(unit, False)

    async def start(self) -> None:
        """Reads what is known and begins to look for the units of each host."""
        for unit, identity in await self._database.read(histories.all_units):
            entries = await self._all_entries(unit)
            self._identities[unit] = identity
            if entries:
                self._histories[unit] = verify_history(entries, identity)
        for host in self._hosts:
            self._spawn(self._find_units(host))

    async def stop(self) -> None:
        """Stops looking."""
        for task in list(self._watching):
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    async def state(self, unit: UnitId, nonces: tuple[Nonce, ...]) -> tuple[Signed, StateAnswer]:
        """The unit's signed state over these nonces, verified; its history is followed to there."""
        signed = await self._ask(unit, lambda driver: driver.state(unit, nonces))
        answer = open_state(signed, self._identity(unit))
        await self._follow(unit, answer.last_receipt)
        return signed, answer

    async def importer_key(self, unit: UnitId, request: Digest) -> tuple[Signed, ImporterKey]:
        """The unit's importer key for a request, its signature verified."""
        signed = await self._ask(unit, lambda driver: driver.importer_key(unit, request))
        return signed, open_importer_key(signed, self._identity(unit))

    async def receiver_proof(self, unit: UnitId, request: Digest) -> ReceiverProof:
        """What proves the unit a receiver of an export with this request digest."""
        certified = self._certified.get(unit)
        if certified is None:
            raise Unavailable(f"crypto unit {short(unit)} was never in reach")
        importer, key = await self.importer_key(unit, request)
        state, answer = await self.state(unit, (self._nonce(),))
        if (key.version, key.state) != (answer.version, answer.state_digest):
            raise Unavailable(f"crypto unit {short(unit)} went on meanwhile")
        return ReceiverProof(certified=certified, state=state, importer=importer)

    async def receipt(self, unit: UnitId, command: CommandId) -> Signed | None:
        """The receipt of a command that the unit has run, by its verified history."""
        history = self._histories.get(unit)
        for place, entry in enumerate(() if history is None else history.entries):
            if isinstance(entry, Receipt) and entry.parsed().id == command:
                found = await self._database.read(
                    lambda connection, place=place: histories.page(  # type: ignore[misc]
                        connection, unit, place, 1
                    )
                )
                return found[0] if found else None
        return None

    async def prepare(
        self, unit: UnitId, command: SignedCommand
    ) -> tuple[Signed, RefusalAnswer] | None:
        """None where the unit would run it; else its verified refusal."""
        refusal = await self._ask(unit, lambda driver: driver.prepare(unit, command))
        return None if refusal is None else self._opened_refusal(unit, command, refusal)

    async def execute(
        self,
        unit: UnitId,
        command: SignedCommand,
        also: Callable[[Connection, Signed], Awaitable[None]],
    ) -> tuple[Signed, RefusalAnswer] | None:
        """The verified refusal; None where it ran, and the unit's history holds the receipt.

        `also` gets the receipt in the transaction that keeps it.
        """
        outcome: Outcome = await self._ask(unit, lambda driver: driver.execute(unit, command))
        match outcome:
            case Ran(receipt=receipt):
                crash_point(EXECUTED)
                entry = open_entry(receipt, self._identity(unit))
                if not isinstance(entry, Receipt) or entry.command != command.command:
                    raise Violation("a receipt for another command")
                await self._follow(unit, entry_hash(receipt), receipt, also)
                return None
            case Refused(refusal=refusal):
                return self._opened_refusal(unit, command, refusal)

    def _opened_refusal(
        self, unit: UnitId, command: SignedCommand, refusal: Signed
    ) -> tuple[Signed, RefusalAnswer]:
        answer = open_refusal(refusal, self._identity(unit))
        if answer.command != command.parsed().id:
            raise Violation("a refusal of another command")
        return refusal, answer

    def _identity(self, unit: UnitId) -> IdentityKey:
        identity = self._identities.get(unit)
        if identity is None:
            raise Unavailable(f"crypto unit {short(unit)} was never in reach")
        return identity

    async def _ask(self, unit: UnitId, question: Callable[[UnitDriver], Awaitable[T]]) -> T:
        driver = self._drivers.get(unit)
        try:
            if driver is None:
                raise Unavailable(f"crypto unit {short(unit)} is out of reach")
            answer = await question(driver)
        except Unavailable:
            if self._reachable.get(unit, True):
                self._reachable[unit] = False
                await self._changed(unit)
                if driver is not None:  # else its host is looked for already
                    self._spawn(self._watch(unit))
            raise
        if not self.reachable(unit):
            self._reachable[unit] = True
            await self._changed(unit)
        return answer

    async def _follow(
        self,
        unit: UnitId,
        head: Digest,
        at_hand: Signed | None = None,
        also: Callable[[Connection, Signed], Awaitable[None]] | None = None,
    ) -> None:
        """Fetches and verifies the history up to the entry with this hash.

        Where the entry `at_hand` is the next one, nothing has to be fetched, and `also` is done in
        the transaction that keeps it.
        """
        async with self._locks.setdefault(unit, asyncio.Lock()):
            known = self._histories.get(unit)
            if known is not None and known.position(head) is not None:
                return
            version = StateVersion(len(known.entries) if known else 0)
            entries: Sequence[Signed]
            next_one = None
            if known is not None and at_hand is not None and _is_next(at_hand, known):
                entries = (next_one,) = (at_hand,)
            else:
                entries = await self._ask(unit, lambda driver: driver.history(unit, version))
            history = verify_history(entries, self._identity(unit), known=known)

            async def keep(connection: Connection) -> None:
                await histories.add(connection, unit, version + 1, entries)
                if next_one is not None and also is not None:
                    await also(connection, next_one)
                crash_point(Write.HISTORY.before_commit)

            await self._database.write(keep)
            crash_point(Write.HISTORY.after_commit)
            self._histories[unit] = history
        await self._changed(unit)

    async def _find_units(self, host: UnitDriver) -> None:
        """Learns which units a host has, once it is in reach, and follows them."""
        while True:
            try:
                certified = await host.certificates()
                break
            except (Unavailable, Violation) as error:
                _log.warning("host out of reach", why=str(error))
                await asyncio.sleep(RETRY_SECONDS)
        for one in certified:
            try:
                certificate = one.opened()
            except Violation as violation:
                _log.error("a unit without a valid certificate", why=str(violation))
                continue
            unit, identity = certificate.unit, certificate.identity

            async def keep(
                connection: Connection,
                unit: UnitId = unit,
                identity: IdentityKey = identity,
            ) -> None:
                await histories.add_unit(connection, unit, identity)

            await self._until_stored(partial(self._database.write, keep))
            self._identities[unit] = identity
            self._certificates[unit] = certificate
            self._certified[unit] = one
            self._drivers[unit] = host
            self._spawn(self._watch(unit))

    async def _watch(self, unit: UnitId) -> None:
        """Tries a unit until it answers."""
        while True:
            try:
                await self.state(unit, (self._nonce(),))
                return
            except (Unavailable, Trouble):
                await asyncio.sleep(RETRY_SECONDS)
            except Violation as violation:
                _log.error(
                    "a unit whose history doesn't hold", unit=short(unit), why=str(violation)
                )
                return

    async def _all_entries(self, unit: UnitId) -> Sequence[Signed]:
        async def read(connection: Connection) -> Sequence[Signed]:
            return await histories.page(connection, unit, 0, 1 << 30)

        return await self._database.read(read)

    async def _changed(self, unit: UnitId) -> None:
        """Tells of a change; where that can't be stored now, until it can."""
        try:
            await self._on_change(unit)
        except Trouble:
            self._spawn(self._until_stored(lambda: self._on_change(unit)))

    async def _until_stored(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await work()
            except Trouble as trouble:
                _log.error("not stored, tried again", why=trouble.what)
                await asyncio.sleep(RETRY_SECONDS)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)


def _is_next(signed: Signed, known: History) -> bool:
    """Whether a receipt follows right after what is known, and no birth follows it."""
    receipt = from_bytes(Receipt, signed.statement)
    zeroizes = isinstance(receipt.parsed().body, Zeroize)
    return receipt.previous == known.hashes[-1] and not zeroizes
