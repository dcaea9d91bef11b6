"""Root keys from a program: `KeyClient` asks the units that hold the current key, any of them.

    async with KeyClient(units, user) as keys:
        made = await keys.create("payroll")
        blob = await keys.wrap(made.key, b"data key", associated=b"row 7")
        data = await keys.unwrap(blob, associated=b"row 7")

Calls go to the units in turn. One that is out of reach, has no master key or another one, doesn't
know the key user yet or has a wrong clock is left aside for a while, and the next is asked;
failover units come last. So a whole availability zone may be gone, and the caller sees no
difference but time. What can't be done by any raises `Unavailable`; a unit's No raises
`KeyRefused`, whose `refusal.rule` says which. The forms for many (`create_all`, ...) give each
item's own answer.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from hsm_backend.client.key_units import KeyUnit, KeyUserKey, Reached
from protocol.identifiers import Instant, Nonce, UnitId
from protocol.keys.answers import (
    CallRefused,
    Item,
    ItemRefused,
    Items,
    KeyView,
    Outcome,
    Page,
    Stats,
    Unwrapped,
    Wrapped,
)
from protocol.keys.operations import (
    MAX_CALL_BYTES,
    MAX_ITEMS,
    Create,
    Delete,
    Following,
    GetStats,
    KeyCall,
    KeyId,
    ListKeys,
    NewKey,
    Operation,
    Restore,
    Show,
    ToUnwrap,
    ToWrap,
    Unwrap,
    Wrap,
)
from protocol.refusals import Refusal, Rule
from protocol.schema import to_bytes
from protocol.signing.labels import Label
from protocol.signing.statements import Signed, sign_statement
from protocol.violations import Violation
from quorate.unavailable import Unavailable

I = TypeVar("I", KeyView, Wrapped, Unwrapped)  # noqa: E741 - an item
Asked = TypeVar("Asked", NewKey, ToWrap, ToUnwrap, Following, KeyId)
_AT_ONCE = 8
"""How many calls of one bulk form are on their way at once."""
_FULL = MAX_CALL_BYTES * 3 // 4
"""Bytes of items in a call: the rest is for what stands around them."""

ELSEWHERE = frozenset(
    {
        Rule.NO_MASTER_KEY,
        Rule.OTHER_MASTER_KEY,
        Rule.KEY_USER_UNKNOWN,
        Rule.KEY_REQUEST_TIME,
        Rule.KEY_REQUEST_AGAIN,
    }
)
"""Refusals that are about the unit: another may do it."""


class KeyRefused(Exception):
    """A unit's No, with the rule and the values compared."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.facts.says} ({refusal.rule})")
        self.refusal = refusal


class KeyClient:
    """The root keys of an instance, for one key user. An asynchronous context manager.

    `clock` gives the time, milliseconds since 1970 UTC; units take calls within a minute of theirs.
    """

    def __init__(
        self, units: Sequence[KeyUnit], user: KeyUserKey, *, clock: Callable[[], Instant]
    ) -> None:
        if not units:
            raise ValueError("there is no key storage without a unit")
        self._units = [Reached(unit) for unit in units]
        self._user = user
        self._clock = clock
        self._turn = secrets.randbelow(len(units))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        for one in self._units:
            await one.close()

    # --- one key at a time ------------------------------------------------------------------------

    async def create(self, name: str = "") -> KeyView:
        """Makes a root key; its id is drawn here."""
        return _one(await self.create_all([name]))

    async def wrap(self, key: KeyId, data: bytes, *, associated: bytes = b"") -> bytes:
        """A blob that holds `data` (1 to 4,096 bytes), for the caller to keep."""
        return _one(await self.wrap_all([ToWrap(key=key, data=data, associated=associated)])).blob

    async def unwrap(self, blob: bytes, *, associated: bytes = b"") -> bytes:
        """What was wrapped, if `associated` is what was given then."""
        return _one(await self.unwrap_all([ToUnwrap(blob=blob, associated=associated)])).data

    async def show(self, key: KeyId) -> KeyView:
        """What is known of a key."""
        return _one(await self.show_all([key]))

    async def delete(self, key: KeyId) -> KeyView:
        """Deletes a key as it is now; it can be restored for 30 days."""
        return _one(await self.delete_all([await self.show(key)]))

    async def restore(self, key: KeyId) -> KeyView:
        """Brings a deleted key back."""
        return _one(await self.restore_all([await self.show(key)]))

    # --- many at once -----------------------------------------------------------------------------

    async def create_all(self, names: Iterable[str]) -> list[KeyView | Refusal]:
        """Makes root keys."""
        asked = [NewKey(key=KeyId(secrets.token_bytes(16)), name=name) for name in names]
        return await self._all(KeyView, asked, lambda some: Create(keys=some))

    async def wrap_all(self, items: Sequence[ToWrap]) -> list[Wrapped | Refusal]:
        """Blobs, in the order of the items."""
        return await self._all(Wrapped, items, lambda some: Wrap(items=some))

    async def unwrap_all(self, items: Sequence[ToUnwrap]) -> list[Unwrapped | Refusal]:
        """Data keys, in the order of the items."""
        return await self._all(Unwrapped, items, lambda some: Unwrap(items=some))

    async def show_all(self, keys: Sequence[KeyId]) -> list[KeyView | Refusal]:
        """What is known of these keys."""
        return await self._all(KeyView, keys, lambda some: Show(keys=some))

    async def delete_all(self, keys: Iterable[KeyView]) -> list[KeyView | Refusal]:
        """Deletes keys as they were seen; one that something has happened to since is refused."""
        return await self._all(KeyView, _following(keys), lambda some: Delete(items=some))

    async def restore_all(self, keys: Iterable[KeyView]) -> list[KeyView | Refusal]:
        """Brings deleted keys back as they were seen."""
        return await self._all(KeyView, _following(keys), lambda some: Restore(items=some))

    async def every(self) -> AsyncIterator[KeyView]:
        """All keys that can be used or restored, oldest first."""
        after = None
        while True:
            page = await self._ask(ListKeys(after=after))
            if not isinstance(page, Page):
                raise Violation("no page in answer to a list")
            for key in page.keys:
                yield key
            if not page.more:
                return
            if not page.keys or (after is not None and page.keys[-1].made_by <= after):
                raise Violation("a list without end")
            after = page.keys[-1].made_by

    async def stats(self) -> Stats:
        """How much there is, and under which master key."""
        found = await self._ask(GetStats())
        if not isinstance(found, Stats):
            raise Violation("no numbers in answer to stats")
        return found

    async def _all(
        self,
        kind: type[I],
        asked: Sequence[Asked],
        operation: Callable[[tuple[Asked, ...]], Operation],
    ) -> list[I | Refusal]:
        few = asyncio.Semaphore(_AT_ONCE)

        async def some(part: tuple[Asked, ...]) -> tuple[Item, ...]:
            async with few:
                found = await self._ask(operation(part))
            if not isinstance(found, Items):
                raise Violation("no items in answer to items")
            return found.items

        answers = await asyncio.gather(*(some(part) for part in _parts(asked)))
        return [_of_kind(kind, item) for part in answers for item in part]

    async def _ask(self, operation: Operation) -> Outcome:
        """Asks unit after unit until one does it, or says No for all."""
        refusal: Refusal | None = None
        why = ""
        for one in self._in_turn():
            try:
                answer = await one.ask(partial(self._signed, one.unit.id, operation))
            except Unavailable as error:
                one.leave_aside()
                why = str(error)
                continue
            outcome: Outcome = answer.outcome
            if not isinstance(outcome, CallRefused):
                one.is_well()
                return outcome
            refusal = outcome.refusal
            if refusal.rule not in ELSEWHERE:
                break
            one.leave_aside()
        if refusal is not None:
            raise KeyRefused(refusal)
        raise Unavailable(f"no unit with root keys is in reach; the last one: {why}")

    def _signed(self, unit: UnitId, operation: Operation) -> Signed:
        """A new call; no unit takes one twice."""
        call = KeyCall(
            unit=unit,
            user=self._user.public_key,
            at=self._clock(),
            nonce=Nonce(secrets.token_bytes(32)),
            operation=operation,
        )
        return sign_statement(Label.KEY_REQUEST, call, self._user.sign)

    def _in_turn(self) -> list[Reached]:
        """All units: those that are well first, failover units after others."""
        self._turn = (self._turn + 1) % len(self._units)
        turned = [*self._units[self._turn :], *self._units[: self._turn]]
        return sorted(turned, key=lambda one: (one.aside, one.unit.failover))


def _one(found: Sequence[I | Refusal]) -> I:
    (only,) = found
    if isinstance(only, Refusal):
        raise KeyRefused(only)
    return only


def _of_kind(kind: type[I], item: Item) -> I | Refusal:
    if isinstance(item, ItemRefused):
        return item.refusal
    if not isinstance(item, kind):
        raise Violation("an answer of another kind than the call")
    return item


def _following(keys: Iterable[KeyView]) -> list[Following]:
    return [Following(key=one.key, after=one.event) for one in keys]


def _parts(asked: Sequence[Asked]) -> list[tuple[Asked, ...]]:
    """As few calls as hold all of it."""
    parts: list[list[Asked]] = []
    size = 0
    for one in asked:
        length = len(to_bytes(one)) + 5
        if not parts or len(parts[-1]) == MAX_ITEMS or size + length > _FULL:
            parts.append([])
            size = 0
        parts[-1].append(one)
        size += length
    return [tuple(part) for part in parts]
