"""The whole unattended ceremony: six units, eight administrators, three parts, by public commands.

It is the ceremony of `quorate demo`, every step of it, the report included. The limit is what as
many bare Python processes cost, one after the other: every command is a process of its own. What
Argon2id takes isn't counted: practice files are written with the cheapest lock, so it is little.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.rows import Row, middle
from bench.version import bare_start
from coordinator.rehearsal.ceremony import Ceremony
from coordinator.rehearsal.plan import Plan
from coordinator.rehearsal.stack import NAMES, UNITS, Stack
from protocol.files.password_lock import NONCE_BYTES, PRACTICE, SALT_BYTES, PasswordLock, derive
from protocol.secrets import Secret

_MORE_UNITS = ("operational:[eu-de].[AZ3-CS1].[00].[03]", "recovery:[eu-gb].[AZ2-CS1].[00].[07]")
_THRESHOLD = 2


class _Silent:
    """Tells nobody."""

    def going(self, step: int, what: str, note: str = "") -> None:
        """Says nothing."""

    def done(self, step: int, what: str, note: str = "") -> None:
        """Says nothing."""

    def remark(self, text: str) -> None:
        """Says nothing."""


async def measure(directory: Path, quick: bool) -> Row:
    """Once; with `quick` a smaller one."""
    people, units, parts = (3, 2, 2) if quick else (8, 6, 3)
    plan = Plan(people=NAMES[:people], threshold=_THRESHOLD, parts=(None,) * parts)
    stack = Stack(directory / "stack", people=plan.people, units=(*UNITS, *_MORE_UNITS)[:units])
    began = time.perf_counter()
    with _processes_counted() as started:
        async with stack:
            outcome = await Ceremony(stack, plan, _Silent()).run()
    took = time.perf_counter() - began
    if not outcome.verified:
        raise AssertionError("the report doesn't verify")
    hashed = (_passwords(plan)) * _argon2id()
    bare = bare_start() / 1000
    return Row(
        name=f"ceremony of {units} units, {people} administrators, {parts} parts",
        ours=took - hashed,
        limit=started[0] * bare,
        unit="s",
        aim="none; less is better",
        note=f"{started[0]} bare Python processes of {bare * 1000:.0f} ms; "
        f"{hashed * 1000:.1f} ms of Argon2id taken off ours",
    )


def _passwords(plan: Plan) -> int:
    """How often a file is locked or opened: made, then opened for each thing that is signed."""
    keys, parts = len(plan.people), len(plan.parts)
    thresholds, load, commit, immediate = plan.threshold, 1, plan.threshold, 1
    return keys + 2 * parts + thresholds + load + commit + immediate


def _argon2id() -> float:
    """What one opening of a practice file spends on its password, in seconds."""
    lock = PasswordLock(cost=PRACTICE, salt=bytes(SALT_BYTES), nonce=bytes(NONCE_BYTES))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        derive(Secret(b"a password"), lock)
        times.append(time.perf_counter() - began)
    return middle(times)


@contextmanager
def _processes_counted() -> Iterator[list[int]]:
    """Counts the processes that asyncio starts meanwhile."""
    count = [0]
    real = asyncio.create_subprocess_exec

    async def counting(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        count[0] += 1
        return await real(*arguments, **options)

    asyncio.create_subprocess_exec = counting
    try:
        yield count
    finally:
        asyncio.create_subprocess_exec = real
