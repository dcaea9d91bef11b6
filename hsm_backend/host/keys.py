"""Key storage at work in a unit host: each unit answers key users, one call at a time each.

The administration of units doesn't wait for it: a database that can't be opened is tried again with
the next call.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import URL

from hsm_backend.host.instance import Host, HostedUnit
from hsm_backend.keys.admission import Heard, admit, open_call
from hsm_backend.keys.database import KeyDatabase
from hsm_backend.keys.inventory import Mark
from hsm_backend.keys.storage import Storage
from protocol.identifiers import UnitId
from protocol.keys.answers import CallRefused, KeyAnswer, Outcome
from protocol.keys.operations import KeyCall, call_digest, name_of
from protocol.location import UnitType
from protocol.refusals import Rule
from protocol.signing.labels import Label
from protocol.signing.statements import Signed
from quorate import logs
from quorate.exits import Trouble
from quorate.private_files import FILE_MODE
from quorate.unavailable import Unavailable

T = TypeVar("T")
_THREADS = 4
_ALARMS = (Rule.STORAGE_ALTERED, Rule.STORAGE_ROLLED_BACK)


class KeyHost:
    """Key storage of all units of a host. `close` when done."""

    def __init__(self, host: Host, url: URL) -> None:
        self._host = host
        self._url = url
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="keys")
        self._opening = asyncio.Lock()
        self._database: KeyDatabase | None = None
        self._units: dict[UnitId, _KeyUnit] = {}

    async def answer(self, unit: UnitId, signed: Signed) -> Signed | None:
        """The unit's answer to a call; None where there is no such unit, or it is a recovery unit.

        Violation where the call isn't signed by the key that it names. Unavailable, or storage
        trouble, where nothing was done and may be later.
        """
        hosted = self._host.unit(unit)
        if hosted is None or hosted.certified.opened().type is UnitType.RECOVERY:
            return None
        call = open_call(signed, unit)
        answering = await self._unit(hosted)
        return await asyncio.shield(asyncio.ensure_future(answering.answer(call, signed)))

    async def tick(self) -> None:
        """Once an hour: removes keys that are due, and writes down how far each unit has seen."""
        for hosted in self._host.units:
            if hosted.public_state.current.vp is not None:
                await (await self._unit(hosted)).tick()

    async def close(self) -> None:
        """Ends the work that was begun."""
        self._threads.shutdown()
        if self._database is not None:
            self._database.close()

    async def _unit(self, hosted: HostedUnit) -> "_KeyUnit":
        async with self._opening:
            if self._database is None:
                self._database = await self._in_thread(self._open)
            if hosted.id not in self._units:
                mark = await self._host.on_disk(lambda store: store.mark(hosted.id))
                storage = Storage(hosted.id, self._database, mark)
                self._units[hosted.id] = _KeyUnit(self._host, hosted, storage, mark, self._threads)
            return self._units[hosted.id]

    def _open(self) -> KeyDatabase:
        if self._url.get_backend_name() == "sqlite" and self._url.database is not None:
            os.close(
                os.open(self._url.database, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            )
        return KeyDatabase.open(self._url)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


class _KeyUnit:
    """One unit's part: calls in their order, marks written down, answers signed."""

    def __init__(
        self,
        host: Host,
        unit: HostedUnit,
        storage: Storage,
        mark: Mark | None,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._host = host
        self._unit = unit
        self._storage = storage
        self._kept = mark
        self._threads = threads
        self._heard = Heard()
        self._one_at_a_time = asyncio.Lock()
        self._log = logs.get("key storage").bind(unit=str(unit.certified.opened().location))

    async def answer(self, call: KeyCall, signed: Signed) -> Signed:
        async with self._one_at_a_time:
            glance = self._unit.glance()
            refusal = admit(call, self._unit.public_state, self._heard, glance.now)
            outcome: Outcome
            if refusal is not None:
                outcome = CallRefused(refusal=refusal)
            else:
                outcome = await self._in_thread(lambda: self._storage.answer(call, glance))
                await self._keep_mark()
        if isinstance(outcome, CallRefused):
            rule = outcome.refusal.rule
            log = self._log.error if rule in _ALARMS else self._log.info
            log("refused", rule=rule.value, operation=name_of(call.operation))
        answer = KeyAnswer(
            unit=self._unit.id,
            call=call_digest(signed.statement),
            at=glance.now,
            outcome=outcome,
        )
        return self._unit.sign(Label.KEY_ANSWER, answer)

    async def tick(self) -> None:
        async with self._one_at_a_time:
            glance = self._unit.glance()
            try:
                refusal = await self._in_thread(lambda: self._storage.destroy_what_is_due(glance))
                await self._keep_mark()
            except (Trouble, Unavailable) as error:
                self._log.error("key storage wasn't looked after", why=str(error))
                return
        if refusal is not None:
            self._log.error("key storage wasn't looked after", rule=refusal.rule.value)

    async def _keep_mark(self) -> None:
        """Durable before anybody is told: what was answered can't be put back unseen."""
        mark = await self._in_thread(self._storage.mark)
        if mark is not None and mark != self._kept:
            await self._host.on_disk(lambda store: store.keep_mark(self._unit.id, mark))
            self._kept = mark

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
