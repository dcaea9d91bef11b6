"""Was our own store rolled back? Agents remember what they saw of the log (DESIGN §2.9).

An agent names its last checkpoint at hello. Where the log doesn't hold it, the store is older than
what it has told: nothing runs from then on, over restarts too. A fresh coordinator takes the
instance over, with a log of its own and none of the requests (`coordinator.engine.takeover`,
`docs/howto/replace-the-coordinator.md`).
"""

import structlog

from coordinator.engine.change import Change
from coordinator.engine.ledger import Ledger
from coordinator.store import record, singles
from protocol.record.checkpoints import log_origin, open_checkpoint
from protocol.record.entries import EntryKind
from protocol.violations import Violation

_NAME = "log rolled back"
_log = structlog.get_logger("coordinator.rollback")


async def load(ledger: Ledger) -> None:
    """What was found before the last restart."""
    ledger.rolled_back = (
        await ledger.database.read(lambda connection: singles.get(connection, _NAME)) is not None
    )
    if ledger.rolled_back:
        _say()


async def check_seen(ledger: Ledger, change: Change, note: bytes) -> None:
    """Compares the log with a checkpoint that an agent has seen of it.

    A note that our log key didn't sign says nothing about our log.
    """
    log = ledger.keys.log
    try:
        seen = open_checkpoint(note, name=log_origin(log), public_key=log)
    except Violation:
        return
    grown = await record.frontier(change.connection)
    held = seen.size <= grown.size
    if held and await record.root_at(change.connection, seen.size) == seen.root:
        return
    if await singles.get(change.connection, _NAME) is None:  # a transaction before may have failed
        await singles.put(change.connection, _NAME, note)
        change.log(EntryKind.ALARM, note)
    if not ledger.rolled_back:
        ledger.rolled_back = True
        _say()


def _say() -> None:
    _log.error(
        "this log lacks entries that agents have seen: a backup was put back. Nothing runs here "
        "any more",
        next="a fresh coordinator takes the instance over: quorate coordinator init NEWDIR, "
        "quorate charter new-coordinator, quorate coordinator take-over",
    )
