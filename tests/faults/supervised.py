"""A process that dies at one of its durable steps after the other, and whoever starts it again.

Each life is armed with the next step of its list; the life after the last step isn't armed. A
death anywhere else, or by anything else, is remembered as `broken`.
"""

import asyncio
import signal
from collections.abc import Mapping, Sequence

from coordinator.rehearsal.process import Server
from quorate.crash_points import STATUS, VARIABLE
from quorate.exits import Trouble


class Supervised(Server):
    """In place of `server`, which wasn't started yet. `died` are the steps where it has died."""

    def __init__(self, server: Server, steps: Sequence[str] = ()) -> None:
        super().__init__(server.name, server.arguments, server.log, server.environment)
        self.died: list[str] = []
        self.broken: str | None = None
        self.up = asyncio.Event()
        self._left = list(steps)
        self._kills = 0
        self._watching: asyncio.Task[None] | None = None

    @property
    def left(self) -> tuple[str, ...]:
        """The steps where it has still to die."""
        return tuple(self._left)

    async def start(self, environment: Mapping[str, str] | None = None) -> str:
        """Starts it and keeps it going."""
        address = await self._live(environment or {})
        self._watching = asyncio.create_task(self._watch(environment or {}))
        return address

    async def stop(self) -> None:
        """Lets it end."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        self.up.clear()
        await super().stop()

    async def strike(self) -> None:
        """Ends it as a power cut would, wherever it is; its supervisor starts it again."""
        await self.up.wait()
        self._kills += 1
        self.up.clear()
        await super().kill()

    async def _live(self, environment: Mapping[str, str]) -> str:
        """One life up to where it serves, or several, when the first end before that."""
        while True:
            armed = {VARIABLE: self._left[0]} if self._left else {}
            try:
                address = await super().start({**environment, **armed})
            except Trouble as trouble:
                if not self._has_died(await self.ended()):
                    raise AssertionError(f"{self.name} didn't start: {trouble.found}") from None
            else:
                self.up.set()
                return address

    async def _watch(self, environment: Mapping[str, str]) -> None:
        try:
            while True:
                code = await self.ended()
                self.up.clear()
                if not self._has_died(code):
                    self.broken = f"{self.name} ended with {code}, armed with {self._left[:1]}"
                    return
                await self._live(environment)
        except AssertionError as error:
            self.broken = str(error)

    def _has_died(self, code: int) -> bool:
        """Whether it died as it was to; then the next life goes on with the next step."""
        if self._left and code == STATUS:
            self.died.append(self._left.pop(0))
            return True
        if self._kills and code == -signal.SIGKILL:
            self._kills -= 1
            return True
        return False
