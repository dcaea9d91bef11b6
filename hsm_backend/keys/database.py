"""The database of key storage: what is read of it, and the one way in which it changes.

All calls block. What is read proves nothing until the mirror has taken it in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from sqlalchemy import URL, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, ProgrammingError

from hsm_backend.durable.steps import Write
from hsm_backend.keys import tables
from hsm_backend.keys.engine import Taken, made_engine, troubles
from hsm_backend.keys.inventory import KeyEvent, Vouched
from protocol.identifiers import VP
from protocol.keys.operations import KeyId, KeyVersion
from protocol.schema import from_bytes, to_bytes
from protocol.violations import Violation
from quorate.crash_points import crash_point

T = TypeVar("T")
_ROWS = 1000
"""How many rows a statement is about at most."""


@dataclass(frozen=True)
class Wrap:
    """A root key under a master key."""

    key: KeyId
    version: KeyVersion
    master: VP
    wrap: bytes


@dataclass(frozen=True)
class Change:
    """What is written as one piece, over an inventory of version `over` (0: there is none yet).

    `gone` are keys whose wraps are removed.
    """

    over: int
    vouched: Vouched
    first: int
    events: Sequence[KeyEvent]
    wraps: Sequence[Wrap]
    gone: Sequence[KeyId]


class Altered(Exception):
    """A row isn't what a unit has written."""


class KeyDatabase:
    """One database, for all units of a host that are of its instance."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: URL) -> Self:
        """Opens it; makes the tables, or brings older ones up to date."""
        _migrate(url)
        return cls(made_engine(url))

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def since(self, size: int, version: int) -> tuple[Vouched | None, list[KeyEvent]]:
        """The inventory as it is now, and the events from number `size` on.

        No events are read where the inventory is still of this `version`. Altered where something
        can't be read, or an event is missing.
        """
        with troubles("nothing was changed"), self._engine.begin() as connection:
            row = connection.execute(select(tables.inventory.c.vouched)).first()
            if row is None:
                return None, []
            vouched = _read(Vouched, row[0], "the inventory")
            found = vouched.inventory
            if found.version == version or found.size <= size:
                return vouched, []
            # Events are only ever added, so those of this inventory stay as they are.
            rows = connection.execute(
                select(tables.events.c.number, tables.events.c.event)
                .where(tables.events.c.number >= size, tables.events.c.number < found.size)
                .order_by(tables.events.c.number)
            ).all()
        if [number for number, _ in rows] != [*range(size, found.size)]:
            raise Altered(f"{found.size - size} events from {size} on, and {len(rows)} are there")
        return vouched, [_read(KeyEvent, data, f"event {number}") for number, data in rows]

    def wraps(self, keys: Iterable[KeyId], master: VP) -> Mapping[tuple[KeyId, KeyVersion], bytes]:
        """The wraps of these keys under this master key; some may be missing."""
        wanted, found = list(keys), dict[tuple[KeyId, KeyVersion], bytes]()
        with troubles("nothing was changed"), self._engine.begin() as connection:
            for start in range(0, len(wanted), _ROWS):
                some = wanted[start : start + _ROWS]
                statement = select(
                    tables.wraps.c.key, tables.wraps.c.version, tables.wraps.c.wrap
                ).where(tables.wraps.c.master == master, tables.wraps.c.key.in_(some))
                for key, version, wrap in connection.execute(statement):
                    found[KeyId(key), KeyVersion(version)] = wrap
        return found

    def commit(self, change: Change) -> None:
        """Writes it down, durably, as one piece. Taken, and nothing written, where the inventory
        isn't of version `over` any more."""
        inventory = change.vouched.inventory
        row = {"version": inventory.version, "vouched": to_bytes(change.vouched)}
        events = [
            {"number": number, "event": to_bytes(event)}
            for number, event in enumerate(change.events, start=change.first)
        ]
        wraps = [vars(wrap) for wrap in change.wraps]
        with troubles("nothing was changed"):
            writing = self._engine.connect().execution_options(writes=True)
            with writing as connection, connection.begin():
                if change.over == 0:
                    connection.execute(insert(tables.inventory).values(one=1, **row))
                else:
                    changed = connection.execute(
                        update(tables.inventory)
                        .where(tables.inventory.c.version == change.over)
                        .values(**row)
                    ).rowcount
                    if changed != 1:
                        raise Taken
                if events:
                    connection.execute(insert(tables.events), events)
                if wraps:
                    connection.execute(insert(tables.wraps), wraps)
                for start in range(0, len(change.gone), _ROWS):
                    some = change.gone[start : start + _ROWS]
                    connection.execute(delete(tables.wraps).where(tables.wraps.c.key.in_(some)))
                crash_point(Write.KEYS.before_commit)
            crash_point(Write.KEYS.after_commit)


def _read(kind: type[T], data: bytes, what: str) -> T:
    try:
        return from_bytes(kind, bytes(data))
    except Violation as violation:
        raise Altered(f"{what} can't be read: {violation}") from None


def _migrate(url: URL) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "hsm_backend.keys:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    with troubles("nothing was changed"):
        try:
            command.upgrade(config, "head")
        except (ProgrammingError, IntegrityError):
            # Another host made the tables meanwhile, in the same database.
            command.upgrade(config, "head")
