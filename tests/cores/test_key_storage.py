"""Key storage as units keep it, over both databases: what each call answers, and every error."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from hsm_backend.keys import draft, tables
from hsm_backend.keys.database import KeyDatabase
from hsm_backend.keys.draft import RETENTION
from hsm_backend.keys.engine import parse_url, sqlite_url
from hsm_backend.keys.inventory import KeyEvent, Vouched
from protocol.identifiers import Instant
from protocol.keys.answers import KeyState, KeyView, Page, Stats, Unwrapped, Wrapped
from protocol.keys.blobs import OVERHEAD
from protocol.keys.operations import (
    MAX_ITEMS,
    Create,
    Delete,
    EventNumber,
    Following,
    GetStats,
    ListKeys,
    NewKey,
    Restore,
    Show,
    ToUnwrap,
    Unwrap,
)
from protocol.refusals import Rule
from protocol.schema import from_bytes, to_bytes
from protocol.secrets import Secret
from tests.cast import postgres
from tests.cast.key_users import (
    BACKUP,
    EVERY_OPERATION,
    StorageOfUnit,
    a_key,
    key_id,
    new_keys,
    unwraps,
    wraps,
)

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    with postgres.server() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], KeyDatabase]]:
    """Makes databases; the last of them is the one that `Rows` are about."""
    made: list[KeyDatabase] = []

    def fresh() -> KeyDatabase:
        if request.param == "sqlite":
            url = sqlite_url(tmp_path / f"keys {len(made)}.db")
        else:
            where = request.getfixturevalue("socket")
            url = parse_url(postgres.make_database(where, f"keys {uuid4().hex}"))
        made.append(KeyDatabase.open(url))
        return made[-1]

    yield fresh
    for one in made:
        one.close()


@pytest.fixture
def database(make: Callable[[], KeyDatabase]) -> KeyDatabase:
    return make()


@pytest.fixture
def unit(database: KeyDatabase) -> StorageOfUnit:
    return StorageOfUnit(database)


def rows(database: KeyDatabase) -> Rows:
    """All of it, as whoever owns the database copies it."""
    with database._engine.begin() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table))]
            for table in tables.metadata.sorted_tables
        }


def put_back(database: KeyDatabase, kept: Rows) -> None:
    """The database as it was."""
    writing = database._engine.connect().execution_options(writes=True)
    with writing as connection, connection.begin():
        for table in tables.metadata.sorted_tables:
            connection.execute(sa.delete(table))
            names = [column.name for column in table.columns]
            values = [dict(zip(names, row, strict=True)) for row in kept[table.name]]
            if values:
                connection.execute(sa.insert(table), values)


def tampered(database: KeyDatabase, statement: sa.Executable) -> None:
    """What its owner does to it."""
    writing = database._engine.connect().execution_options(writes=True)
    with writing as connection, connection.begin():
        connection.execute(statement)


# --- what it is for -------------------------------------------------------------------------------


def test_what_is_wrapped_on_one_unit_is_unwrapped_on_another(unit: StorageOfUnit):
    other = StorageOfUnit(unit.database, "two")
    made = unit.create("payroll")
    assert (made.name, made.state, made.version) == ("payroll", KeyState.ACTIVE, 1)
    blob = unit.wrap("payroll", b"a data key", b"row 7")
    assert other.unwrap(blob, b"row 7") == b"a data key"
    assert unit.unwrap(other.wrap("payroll", b"another", b"")) == b"another"


def test_in_bulk_and_each_item_for_itself(unit: StorageOfUnit):
    titles = [str(number) for number in range(300)]
    made = unit.items(new_keys(*titles))
    assert [a_key(one).name for one in made] == titles
    asked = [(title, f"data {title}".encode()) for title in [*titles, "nowhere"]]
    items = tuple(wraps(title, data).items[0] for title, data in asked)
    wrapped = unit.items(wraps("0").but(items=items))
    assert [type(one).__name__ for one in wrapped] == ["Wrapped"] * 300 + ["ItemRefused"]
    blobs = [one.blob for one in wrapped if isinstance(one, Wrapped)]
    assert len(set(blobs)) == 300 and len(blobs[0]) == OVERHEAD + len(b"data 0")
    asked_back = Unwrap(items=tuple(ToUnwrap(blob=one, associated=b"") for one in [*blobs, b"x"]))
    found = unit.items(asked_back)
    assert [one.data for one in found if isinstance(one, Unwrapped)] == [
        data for _, data in asked[:-1]
    ]
    assert len(found) == 301


def test_two_wraps_of_the_same_have_nothing_in_common(unit: StorageOfUnit):
    unit.create("k")
    first, second = (unit.wrap("k", b"the same") for _ in range(2))
    assert first[:40] == second[:40]
    assert first[40:52] != second[40:52] and first[52:] != second[52:]


def test_a_list_comes_in_pages_oldest_first(unit: StorageOfUnit):
    for start in range(0, 1500, 500):
        unit.items(new_keys(*range(start, start + 500)))
    unit.delete(7)
    first = unit.ask(ListKeys(after=None))
    assert isinstance(first, Page) and first.more and len(first.keys) == MAX_ITEMS
    second = unit.ask(ListKeys(after=first.keys[-1].made_by))
    assert isinstance(second, Page) and not second.more
    names = [one.name for one in (*first.keys, *second.keys)]
    assert names == [str(number) for number in range(1500)]
    assert [one.state for one in first.keys[6:9]] == [
        KeyState.ACTIVE,
        KeyState.DELETED,
        KeyState.ACTIVE,
    ]


def test_stats(unit: StorageOfUnit):
    empty = unit.ask(GetStats())
    assert isinstance(empty, Stats)
    assert (empty.storage, empty.version, empty.active, empty.deleted) == (None, 0, 0, 0)
    unit.items(new_keys("a", "b", "c"))
    unit.delete("b")
    found = unit.ask(GetStats())
    assert isinstance(found, Stats) and found.storage is not None
    assert (found.version, found.active, found.deleted, found.events) == (2, 2, 1, 4)


def test_an_empty_storage_answers_too(unit: StorageOfUnit):
    assert unit.ask(ListKeys(after=None)) == Page(keys=(), more=False)
    assert unit.item_refused(wraps("k")) is Rule.NO_SUCH_KEY
    assert unit.item_refused(Show(keys=(key_id("k"),))) is Rule.NO_SUCH_KEY


def test_it_goes_on_after_a_restart(unit: StorageOfUnit):
    unit.create("k")
    unit.delete("k")
    unit.restore("k")
    blob = unit.wrap("k")
    for remembers in (True, False):
        unit.restart(remembers=remembers)
        assert unit.unwrap(blob) == b"data key"
        assert unit.show("k").event == 2


# --- the life of a key ----------------------------------------------------------------------------


def test_a_deleted_key_does_nothing_and_comes_back(unit: StorageOfUnit):
    unit.create("k")
    blob = unit.wrap("k")
    deleted = unit.delete("k")
    assert (deleted.state, deleted.until) == (KeyState.DELETED, unit.now + RETENTION)
    assert unit.item_refused(wraps("k")) is Rule.KEY_DELETED
    assert unit.item_refused(unwraps(blob)) is Rule.KEY_DELETED
    assert unit.item_refused(new_keys("k")) is Rule.KEY_DELETED
    assert unit.restore("k").state is KeyState.ACTIVE
    assert unit.unwrap(blob) == b"data key"


def test_until_its_time_has_passed(unit: StorageOfUnit):
    unit.create("k")
    unit.create("stays")
    blob = unit.wrap("k")
    gone = unit.delete("k")
    assert gone.until is not None
    unit.now = Instant(gone.until - 1)
    assert unit.storage.destroy_what_is_due(unit.glance) is None
    assert unit.show("k").state is KeyState.DELETED
    unit.now = gone.until
    asked = Restore(items=(Following(key=key_id("k"), after=gone.event),))
    assert unit.item_refused(asked) is Rule.RETENTION_PASSED
    assert len(rows(unit.database)["wraps"]) == 2
    assert unit.storage.destroy_what_is_due(unit.glance) is None
    assert len(rows(unit.database)["wraps"]) == 1
    for operation in (asked, Delete(items=asked.items), Show(keys=(key_id("k"),)), unwraps(blob)):
        assert unit.item_refused(operation) is Rule.NO_SUCH_KEY
    assert unit.item_refused(new_keys("k")) is Rule.KEY_EXISTS
    assert unit.wrap("stays")
    page, stats = unit.ask(ListKeys(after=None)), unit.ask(GetStats())
    assert isinstance(page, Page) and [one.name for one in page.keys] == ["stays"]
    assert isinstance(stats, Stats) and (stats.active, stats.deleted) == (1, 0)
    version = stats.version
    assert unit.storage.destroy_what_is_due(unit.glance) is None
    stats = unit.ask(GetStats())
    assert isinstance(stats, Stats) and stats.version == version, "nothing was due"


def test_what_is_asked_again_is_done_once(unit: StorageOfUnit):
    first = unit.create("k")
    assert unit.create("k") == first
    delete = Delete(items=(unit.following("k"),))
    deleted = unit.only(delete)
    assert unit.only(delete) == deleted
    restore = Restore(items=(unit.following("k"),))
    restored = unit.only(restore)
    assert unit.only(restore) == restored
    assert len(rows(unit.database)["events"]) == 3
    # A deletion that comes again after the key has come back isn't one that anybody wants now.
    assert unit.item_refused(delete) is Rule.KEY_MOVED_ON
    unit.delete("k")
    assert unit.item_refused(restore) is Rule.KEY_MOVED_ON
    assert unit.show("k").state is KeyState.DELETED


def test_within_one_call_too(unit: StorageOfUnit):
    asked = new_keys("k").keys[0]
    one, other, third = unit.items(Create(keys=(asked, asked, asked.but(name="other"))))
    assert a_key(one) == a_key(other) and not isinstance(third, KeyView)
    twice = (Following(key=asked.key, after=EventNumber(0)),) * 2
    first, second = unit.items(Delete(items=twice))
    assert first == second
    assert len(rows(unit.database)["events"]) == 2


def test_an_id_is_used_once(unit: StorageOfUnit):
    unit.create("k")
    other_name = Create(keys=(NewKey(key=key_id("k"), name="other"),))
    assert unit.item_refused(other_name) is Rule.KEY_EXISTS
    assert unit.item_refused(new_keys("k"), BACKUP) is Rule.KEY_EXISTS


def test_there_is_room_for_so_many_keys(unit: StorageOfUnit, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(draft, "MAX_KEYS", 2)
    found = unit.items(new_keys("a", "b", "c"))
    assert [type(one).__name__ for one in found] == ["KeyView", "KeyView", "ItemRefused"]
    assert unit.item_refused(new_keys("c")) is Rule.TOO_MANY_KEYS
    assert unit.create("a") == found[0], "one that is there needs no room"
    until = unit.delete("a").until
    assert until is not None
    assert unit.item_refused(new_keys("c")) is Rule.TOO_MANY_KEYS
    unit.now = until
    assert unit.storage.destroy_what_is_due(unit.glance) is None
    assert unit.create("c").name == "c"


@pytest.mark.parametrize("name", ["x" * 65, " x", "x ", "a_b", "ä", "a\n"])
def test_names_that_are_none(unit: StorageOfUnit, name: str):
    asked = Create(keys=(NewKey(key=key_id("k"), name=name),))
    assert unit.item_refused(asked) is Rule.KEY_NAME
    assert rows(unit.database)["inventory"] == []


def test_what_follows_another_event_is_refused(unit: StorageOfUnit):
    unit.create("k")
    for kind in (Delete, Restore):
        asked = kind(items=(Following(key=key_id("k"), after=EventNumber(7)),))
        assert unit.item_refused(asked) is Rule.KEY_MOVED_ON
    assert unit.only(Restore(items=(unit.following("k"),))) == unit.show("k")
    deleted = unit.delete("k")
    again = Delete(items=(Following(key=key_id("k"), after=deleted.event),))
    assert unit.item_refused(again) is Rule.KEY_DELETED


# --- errors of blobs, each its own ----------------------------------------------------------------


def test_wrong_associated_data(unit: StorageOfUnit):
    unit.create("k")
    blob = unit.wrap("k", associated=b"row 7")
    for other in (b"", b"row 8", b"row 7 "):
        assert unit.item_refused(unwraps(blob, other)) is Rule.ASSOCIATED_DATA
    assert unit.unwrap(blob, b"row 7") == b"data key"


def test_a_damaged_blob(unit: StorageOfUnit):
    unit.create("k")
    blob = unit.wrap("k")
    for damaged in (b"", blob[:-1], blob + b"x", blob[:60] + bytes([blob[60] ^ 1]) + blob[61:]):
        assert unit.item_refused(unwraps(damaged)) is Rule.BLOB_DAMAGED


def test_a_blob_of_another_instance(unit: StorageOfUnit, make: Callable[[], KeyDatabase]):
    """Also one under the same master key, with a key of the same id."""
    other = StorageOfUnit(make())
    unit.create("k")
    other.create("k")
    assert unit.item_refused(unwraps(other.wrap("k"))) is Rule.BLOB_OF_ANOTHER_INSTANCE
    empty = StorageOfUnit(make())
    assert empty.item_refused(unwraps(unit.wrap("k"))) is Rule.BLOB_OF_ANOTHER_INSTANCE


def test_a_unit_with_an_older_master_key(unit: StorageOfUnit):
    unit.create("k")
    older = StorageOfUnit(unit.database, "two", master="older")
    for operation in EVERY_OPERATION:
        assert older.refused(operation) is Rule.OTHER_MASTER_KEY
    assert older.storage.destroy_what_is_due(older.glance) is not None
    older.master = "m"
    assert older.show("k") == unit.show("k")


def test_a_unit_without_a_master_key(unit: StorageOfUnit):
    unit.master = None
    for operation in EVERY_OPERATION:
        assert unit.refused(operation) is Rule.NO_MASTER_KEY
    assert rows(unit.database)["inventory"] == []


# --- whoever owns the database --------------------------------------------------------------------


def test_a_database_holds_no_key_in_the_clear(unit: StorageOfUnit):
    unit.create("k")
    blob = unit.wrap("k", b"a data key")
    master = unit.glance.current_key
    assert isinstance(master, Secret)
    values = [value for table in rows(unit.database).values() for row in table for value in row]
    held = b"".join(value for value in values if isinstance(value, bytes))
    assert held.count(key_id("k"))
    for secret in (master.reveal(), b"a data key", blob):
        assert secret not in held


def test_a_row_swapped_with_anothers(unit: StorageOfUnit):
    for title in ("mine", "yours"):
        unit.create(title)
    blob = unit.wrap("yours")
    wraps_table = tables.wraps
    tampered(
        unit.database,
        sa.update(wraps_table)
        .where(wraps_table.c.key == key_id("yours"))
        .values(
            wrap=sa.select(wraps_table.c.wrap)
            .where(wraps_table.c.key == key_id("mine"))
            .scalar_subquery()
        ),
    )
    assert unit.item_refused(unwraps(blob)) is Rule.STORAGE_ALTERED
    assert unit.item_refused(wraps("yours")) is Rule.STORAGE_ALTERED
    assert unit.wrap("mine")


def test_a_wrap_that_is_gone_or_of_nothing(unit: StorageOfUnit):
    unit.create("k")
    tampered(unit.database, sa.update(tables.wraps).values(wrap=b""))
    assert unit.item_refused(wraps("k")) is Rule.STORAGE_ALTERED
    tampered(unit.database, sa.delete(tables.wraps))
    assert unit.item_refused(wraps("k")) is Rule.STORAGE_ALTERED


def test_a_deleted_key_does_not_come_back_with_its_rows(unit: StorageOfUnit):
    """Destroyed, and its wrap put back from a copy."""
    unit.create("k")
    blob = unit.wrap("k")
    kept = rows(unit.database)["wraps"]
    until = unit.delete("k").until
    assert until is not None
    unit.now = until
    unit.storage.destroy_what_is_due(unit.glance)
    put_back(unit.database, rows(unit.database) | {"wraps": kept})
    unit.restart(remembers=False)
    assert unit.item_refused(unwraps(blob)) is Rule.NO_SUCH_KEY


@pytest.mark.parametrize("restarted", [False, True])
def test_an_inventory_rolled_back(unit: StorageOfUnit, restarted: bool):
    unit.create("k")
    before = rows(unit.database)
    unit.delete("k")
    after = rows(unit.database)
    if restarted:
        unit.restart()
    put_back(unit.database, before)
    for operation in EVERY_OPERATION:
        assert unit.refused(operation) is Rule.STORAGE_ROLLED_BACK
    put_back(unit.database, {name: [] for name in before})
    assert unit.refused(new_keys("other")) is Rule.STORAGE_ROLLED_BACK
    put_back(unit.database, after)
    assert unit.show("k").state is KeyState.DELETED


@pytest.mark.parametrize("restarted", [False, True])
def test_a_fork_that_has_outgrown_what_was_seen(unit: StorageOfUnit, restarted: bool):
    """Put back, and carried on by a unit that hadn't seen more."""
    other = StorageOfUnit(unit.database, "two")
    unit.create("k")
    before = rows(unit.database)
    unit.create("only one knows this")
    if restarted:
        unit.restart()
    put_back(unit.database, before)
    for title in ("x", "y", "z"):
        other.create(title)
    expected = Rule.STORAGE_ROLLED_BACK if restarted else Rule.STORAGE_ALTERED
    assert unit.refused(ListKeys(after=None)) is expected


def test_another_storage_under_the_same_master_key(
    unit: StorageOfUnit, make: Callable[[], KeyDatabase]
):
    unit.create("k")
    other = StorageOfUnit(make())
    for title in ("k", "l", "m"):
        other.create(title)
    put_back(unit.database, rows(other.database))
    assert unit.refused(GetStats()) is Rule.STORAGE_ROLLED_BACK


def test_what_a_life_before_had_seen_is_forgotten(unit: StorageOfUnit):
    """Whoever may zeroize a unit may give it another storage; the key has to be loaded anew."""
    unit.create("k")
    put_back(unit.database, {name: [] for name in rows(unit.database)})
    unit.life = unit.life.but(number=2)
    assert unit.create("k").event == 0


def test_rows_that_no_unit_wrote(unit: StorageOfUnit):
    unit.items(new_keys("a", "b"))
    good = rows(unit.database)
    vouched: Vouched = from_bytes(Vouched, good["inventory"][0][2])
    event: KeyEvent = from_bytes(KeyEvent, good["events"][0][1])
    inventory = vouched.inventory
    for bad in (
        {"inventory": [(1, 9, to_bytes(vouched.but(inventory=inventory.but(version=9))))]},
        {"inventory": [(1, 9, to_bytes(vouched.but(authenticators=())))]},
        {"inventory": [(1, 9, b"\xc1")]},
        {"events": [(0, to_bytes(event.but(name="c"))), good["events"][1]]},
        {"events": good["events"][:1]},
        {"events": [(0, good["events"][1][1]), (1, good["events"][0][1])]},
        {"events": [(0, b"\xc1"), good["events"][1]]},
    ):
        put_back(unit.database, good | bad)
        unit.restart(remembers=False)
        assert unit.refused(new_keys("c")) is Rule.STORAGE_ALTERED
    put_back(unit.database, good)
    assert unit.create("c").event == 2


# --- several units --------------------------------------------------------------------------------


def test_units_that_make_keys_at_the_same_time(unit: StorageOfUnit):
    """None is lost, none is there twice, and all see the same."""
    units = [unit, *(StorageOfUnit(unit.database, title) for title in ("two", "three"))]
    failed: list[BaseException] = []

    def make_twenty(one: StorageOfUnit, name: str) -> None:
        try:
            for number in range(20):
                one.create(f"{name} {number}")
        except BaseException as error:
            failed.append(error)

    threads = [
        Thread(target=make_twenty, args=(one, name)) for name, one in zip("abc", units, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    pages = [one.ask(ListKeys(after=None)) for one in units]
    assert isinstance(pages[0], Page) and pages[0] == pages[1] == pages[2]
    assert {one.name for one in pages[0].keys} == {
        f"{name} {number}" for name in "abc" for number in range(20)
    }


def test_the_first_keys_of_two_units_come_into_one_storage(unit: StorageOfUnit):
    """Both have looked, and there was none."""
    other = StorageOfUnit(unit.database, "two")
    assert unit.ask(ListKeys(after=None)) == other.ask(ListKeys(after=None))
    unit.create("a")
    found, known = other.storage, unit.database.since
    calls: Iterator[tuple[None, list[KeyEvent]]] = iter([(None, [])])

    def looks_too_early(size: int, version: int) -> Any:
        return next(calls, None) or known(size, version)

    other.database = unit.database
    other.database.since = looks_too_early  # type: ignore[method-assign]
    try:
        assert found is other.storage and other.create("b").event == 1
    finally:
        del other.database.since
    one, two = unit.ask(GetStats()), other.ask(GetStats())
    assert isinstance(one, Stats) and isinstance(two, Stats)
    assert one.storage == two.storage


def test_the_tables_are_those_of_the_migrations(database: KeyDatabase):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database._engine.begin() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, tables.metadata) == []


def test_opening_it_again_changes_nothing(unit: StorageOfUnit):
    unit.create("k")
    url = unit.database._engine.url
    again = StorageOfUnit(KeyDatabase.open(url))
    assert again.show("k") == unit.show("k")
    again.database.close()
