"""Follows a request by what the coordinator pushes, and ends with the exit code of its end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from coordinator.cli.request_words import (
    Units,
    as_json,
    ending,
    executed,
    going_on,
    held,
    screen,
)
from coordinator.client.calls import Calls
from coordinator.client.profile import Profile
from coordinator.client.proof import Checked, check
from coordinator.wire.requests import RequestView
from protocol.displayable import shown
from protocol.request import RequestState
from quorate import clock
from quorate.console import Console
from quorate.exits import Exit, Trouble

_ENDS = {
    RequestState.CANCELLED: Exit.ENDED,
    RequestState.EXPIRED: Exit.ENDED,
    RequestState.SUPERSEDED: Exit.ENDED,
    RequestState.REJECTED: Exit.REFUSED,
    RequestState.FAILED: Exit.FAILED,
    RequestState.PARTLY_EXECUTED: Exit.FAILED,
}
OPENING_SECONDS = 5.0
"""How long a command that files waits for people to be asked, before it says what it filed."""


@dataclass(frozen=True)
class Watcher:
    """One command's look at requests."""

    calls: Calls
    console: Console
    profile: Profile

    async def until(
        self,
        number: int,
        reached: Callable[[RequestView], bool],
        *,
        told: Callable[[RequestView], None] = lambda _: None,
    ) -> RequestView:
        """Follows a request until it is as wanted; `told` is called with every news of it."""
        events = self.calls.events()
        try:
            await anext(events)  # connected: what happens from now on is told
            view = await self.calls.request(number)
            told(view)
            while not reached(view):
                event = await anext(events)
                found = event.request()
                if event.name == "now":
                    found = await self.calls.request(number)
                if found is not None and found.id == number:
                    view = found
                    told(view)
            return view
        finally:
            await events.aclose()

    async def opened(self, view: RequestView) -> RequestView:
        """A request that was just filed, once people are asked, or it stands in line behind others.

        Where that takes long, as it is.
        """

        def asked(now: RequestView) -> bool:
            return now.state is not RequestState.WAITING_IN_LINE or bool(now.behind)

        if asked(view):
            return view
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                return await self.until(view.id, asked)
        except TimeoutError:
            return await self.calls.request(view.id)

    async def checked(self, number: int) -> Checked:
        """The request with what of it this machine verifies."""
        evidence, charters = await asyncio.gather(self.calls.evidence(number), self.calls.charter())
        return check(evidence, charters, self.profile.coordinator)

    async def units(self) -> Units:
        """The units' names."""
        instance = await self.calls.instance()
        if instance.rolled_back:
            self.console.progress(
                "! a backup of this coordinator was put back: nothing runs here any more. A fresh "
                "one takes over: quorate charter new-coordinator, by a custodian"
            )
        return Units.of(instance)

    async def watch(self, number: int, seconds: float | None) -> None:
        """Shows a request until it ends; waiting trouble after so many seconds."""
        units = await self.units()
        line = ""

        def told(view: RequestView) -> None:
            nonlocal line
            now = clock.now()
            news = f"… {going_on(view, now)}"
            if view.ended or news == line:
                return
            line = news
            if view.held_by:
                self.console.progress(news)
                for text in held(view, units, now):
                    self.console.progress(text)
            else:
                self.console.redraw(f"{news}    Ctrl-C stops watching only")

        try:
            async with asyncio.timeout(seconds):
                view = await self.until(number, lambda it: it.ended, told=told)
        except TimeoutError:
            view = await self.calls.request(number)
            if not view.ended:
                raise await self._waiting(view) from None
        await self.conclude(view)

    async def conclude(self, view: RequestView) -> None:
        """Says how a request ended; trouble with its exit code where it wasn't executed."""
        checked = await self.checked(view.id)
        data = as_json(view, checked)
        now = clock.now()
        verified, count = len(checked.receipts), len(view.progress)
        if view.state is RequestState.EXECUTED and verified == count:
            self.console.say(f"✓ executed on {verified} of {count} units, receipts verified")
            self.console.object(data)
            return
        if view.state is RequestState.NEEDLESS:
            self.console.say("✓ needless: the units have moved on, and the copies can't run there")
            self.console.object(data)
            return
        if view.state is RequestState.EXECUTED:
            raise Trouble(
                Exit.ALARM,
                f"request {view.id} is said to be executed, and not every receipt verifies",
                expected=f"{count} receipts",
                found=f"{verified}",
                next="call the people who run the coordinator",
                data=data,
            )
        lines = list(ending(view, now))
        for text in lines:
            if not text.startswith("Next"):
                self.console.progress(text)
        ran = f"; it ran on {executed(view)} of {count} units" if executed(view) else ""
        following = next((text.partition(": ")[2] for text in lines if text.startswith("Next")), "")
        raise Trouble(
            _ENDS[view.state],
            f"request {view.id} is {view.state}{ran}: {shown(view.why)}",
            next=following or None,
            data=data,
        )

    async def show(self, number: int) -> None:
        """All that people want to know of a request."""
        view, units, checked = await asyncio.gather(
            self.calls.request(number), self.units(), self.checked(number)
        )
        for line in screen(view, checked, units, clock.now()):
            self.console.say(line)
        self.console.object(as_json(view, checked))

    async def _waiting(self, view: RequestView) -> Trouble:
        return Trouble(
            Exit.WAITING,
            f"request {view.id} is {view.state}: {going_on(view, clock.now())}",
            next=f"quorate requests watch {view.id}",
            data=as_json(view, await self.checked(view.id)),
        )
