"""Pushes news to those who listen, each at their own pace.

A slow listener holds at most the newest news of each subject, so what it can make us keep is
bounded; what it missed for longer than that it reads from the feed.
"""

import asyncio
from collections.abc import Iterable

from coordinator.store.feed import Item


class Listener:
    """The news that one session has not been sent yet."""

    def __init__(self) -> None:
        self._pending: dict[str, Item] = {}
        self._some = asyncio.Event()

    def put(self, item: Item) -> None:
        """News, in place of older ones of its subject."""
        self._pending[item.subject] = item
        self._some.set()

    async def take(self) -> list[Item]:
        """Waits for news, and gives all there are, in order."""
        await self._some.wait()
        self._some.clear()
        items = sorted(self._pending.values(), key=lambda item: item.position)
        self._pending.clear()
        return items


class Hub:
    """All listeners of an instance."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def join(self) -> Listener:
        """A new listener; it gets what is told from now on."""
        listener = Listener()
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """The listener has gone."""
        self._listeners.discard(listener)

    def tell(self, items: Iterable[Item]) -> None:
        """Durable news, to everybody."""
        for item in items:
            for listener in self._listeners:
                listener.put(item)
