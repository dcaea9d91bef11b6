"""The durable unit: what is written is what is read; secrets only sealed; one process at a time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import DeviceKey, load_device_key, make_device_key
from hsm_backend.durable.steps import Write
from hsm_backend.durable.store import Store, check_free, look
from hsm_backend.host.instance import Host, HostedUnit
from hsm_backend.host.vendor import UnitPlan, make_units
from hsm_backend.unit import machine
from hsm_backend.unit.machine import Step
from hsm_backend.unit.memory import Memory, UnitIdentity
from hsm_backend.wire import PAGE_ENTRIES, Ran, Refused
from protocol.commands.bodies import (
    Body,
    ClearNewRegister,
    CommitNewRegister,
    SetClock,
    SetImmediate,
    SetThresholds,
    Void,
    Zeroize,
)
from protocol.commands.command import SignedCommand
from protocol.history import verify_history
from protocol.identifiers import HOUR, MINUTE, Instant, StateVersion, UnitId
from protocol.location import UnitType, parse_location
from protocol.receipts import StateAnswer, open_refusal, open_state
from protocol.refusals import Rule
from protocol.sealing.contribution import vp_of
from protocol.sealing.importer import open_importer_key
from protocol.secrets import Secret
from quorate import private_files
from quorate.exits import Exit, Trouble
from tests.cast.commands import (
    NOON,
    Signer,
    adds,
    command_for_state,
    load_of,
    nonce,
    request_digest,
    signed,
)
from tests.cast.people import ALICE, BOB
from tests.faults.unit_life import KEY, PARTS, made

LOCATION = "[eu-de].[AZ1-CS1].[00].[03]"


class Here:
    """A unit host in this process, with a clock that tests move."""

    def __init__(self, directory: StateDirectory) -> None:
        self.directory = directory
        self.now = NOON
        self.host: Host
        self.unit: HostedUnit
        self.open()

    def open(self) -> None:
        store = Store.open(self.directory, load_device_key(self.directory))
        self.host = Host(store, clock=lambda: self.now)
        unit = self.host.unit(self.host.certified[0].opened().unit)
        assert unit is not None
        self.unit = unit

    async def restart(self) -> None:
        await self.host.close()
        self.open()

    def seen(self) -> StateAnswer:
        identity = self.unit.certified.opened().identity
        return open_state(self.unit.state((nonce("store"),)), identity)

    async def run(self, body: Body, *signers: Signer) -> SignedCommand:
        """Runs a command that must run."""
        sent = await made(self.unit, body, signers)
        assert isinstance(await self.unit.execute(sent), Ran)
        return sent

    async def load(self) -> None:
        """Out of imprint mode, with a master key in the new register."""
        await self.run(adds(ALICE))
        await self.run(adds(BOB))
        await self.run(SetThresholds(signatures=1, revocations=1), ALICE)
        await self.run(load_of(PARTS), ALICE)

    def files(self) -> bytes:
        """All bytes of all files in the directory."""
        return b"".join(p.read_bytes() for p in self.directory.path.rglob("*") if p.is_file())


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    directory = StateDirectory(private_files.directory(tmp_path / "host"))
    plan = UnitPlan(UnitType.OPERATIONAL, parse_location(LOCATION), "93A0021F")
    make_units(directory, [plan], names=["127.0.0.1"], now=NOON)
    return directory


@pytest.fixture
async def here(directory: StateDirectory):
    here = Here(directory)
    yield here
    await here.host.close()


@pytest.fixture
def store(directory: StateDirectory) -> Iterator[Store]:
    with Store.open(directory, load_device_key(directory)) as store:
        yield store


# --- what is written is what is read ------------------------------------------------------------


def plain(memory: Memory) -> tuple[object, ...]:
    """A memory that can be compared."""
    secrets = (memory.new_key, memory.current_key, *(one.private for one in memory.importer_keys))
    return (
        memory.incarnation,
        memory.version,
        memory.state,
        memory.last_receipt,
        memory.clock,
        [one.public for one in memory.importer_keys],
        [secret.reveal() if secret is not None else None for secret in secrets],
    )


async def test_a_restart_changes_nothing(here: Here):
    await here.load()
    await here.unit.importer_key(request_digest("another"))
    before, state = plain(here.unit._memory), here.seen()
    await here.restart()
    assert plain(here.unit._memory) == before
    assert here.seen() == state


async def test_the_key_that_was_loaded_is_there_after_restarts(here: Here):
    await here.load()
    await here.restart()
    await here.run(CommitNewRegister(vp=vp_of(KEY)), ALICE)
    await here.run(SetImmediate(vp=vp_of(KEY)), ALICE)
    await here.restart()
    current = here.unit._memory.current_key
    assert current is not None
    assert current.reveal() == KEY


async def test_a_redelivered_command_gets_its_first_receipt_in_any_life(here: Here):
    sent = await here.run(adds(ALICE))
    first = await here.unit.execute(sent)
    zeroize = await here.run(Zeroize())
    ended = await here.unit.execute(zeroize)
    await here.restart()
    version = here.seen().version
    assert await here.unit.execute(sent) == first
    assert await here.unit.execute(zeroize) == ended
    assert (await here.unit.prepare(sent)).refusal is None
    assert here.seen().version == version


async def test_a_refusal_is_signed_and_changes_nothing(here: Here):
    sent = signed(command_for_state(Void(), here.seen(), version=StateVersion(7)))
    before = here.seen()
    outcome = await here.unit.execute(sent)
    assert isinstance(outcome, Refused)
    identity = here.unit.certified.opened().identity
    refusal = open_refusal(outcome.refusal, identity)
    assert refusal.refusal.rule is Rule.STATE_CHANGED
    prepared = (await here.unit.prepare(sent)).refusal
    assert prepared is not None
    assert open_refusal(prepared, identity) == refusal
    assert here.seen() == before


async def test_a_request_has_one_importer_key(here: Here):
    identity = here.unit.certified.opened().identity
    one = open_importer_key(await here.unit.importer_key(request_digest()), identity)
    await here.restart()
    again = open_importer_key(await here.unit.importer_key(request_digest()), identity)
    other = open_importer_key(await here.unit.importer_key(request_digest("other")), identity)
    assert one == again
    assert other.public_key != one.public_key


async def test_the_history_comes_in_pages_without_a_gap(here: Here):
    for _ in range(PAGE_ENTRIES + 5):
        await here.run(Void())
    first = await here.unit.history(StateVersion(0))
    second = await here.unit.history(StateVersion(len(first.entries)))
    assert (len(first.entries), first.more) == (PAGE_ENTRIES, True)
    assert (len(second.entries), second.more) == (6, False)
    identity = here.unit.certified.opened().identity
    history = verify_history(first.entries + second.entries, identity)
    assert history.last_receipt == here.seen().last_receipt
    assert (await here.unit.history(StateVersion(1000))).entries == ()


async def test_commands_at_the_same_time_run_one_after_the_other(here: Here):
    sent = [
        signed(command_for_state(Void(), here.seen(), request=request_digest(n))) for n in range(5)
    ]
    outcomes = await asyncio.gather(*map(here.unit.execute, sent))
    assert [isinstance(outcome, Ran) for outcome in outcomes] == [True, False, False, False, False]
    assert here.seen().version == 2


async def test_who_goes_away_leaves_a_whole_unit(here: Here, monkeypatch: pytest.MonkeyPatch):
    begun, go_on, commit = Event(), Event(), Store.commit

    def slow_commit(store: Store, write: Write, unit: UnitId, before: Memory, step: Step) -> None:
        begun.set()
        assert go_on.wait(30)
        commit(store, write, unit, before, step)

    monkeypatch.setattr(Store, "commit", slow_commit)
    sent = signed(command_for_state(Void(), here.seen()))
    asking = asyncio.create_task(here.unit.execute(sent))
    assert await asyncio.to_thread(begun.wait, 30)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    go_on.set()
    assert isinstance(await here.unit.execute(sent), Ran)
    assert here.seen().version == look(here.directory)[0].memory.version == 2


# --- the clock ----------------------------------------------------------------------------------


async def test_a_units_clock_never_runs_backwards(here: Here):
    here.now = Instant(NOON + HOUR)
    assert here.seen().clock == NOON + HOUR
    here.now = NOON
    assert here.seen().clock == NOON + HOUR
    await here.host.tick()
    await here.restart()
    assert here.seen().clock == NOON + HOUR


async def test_set_clock_mends_a_mark_that_was_pushed_ahead(here: Here):
    here.now = Instant(NOON + 1000 * HOUR)
    await here.host.tick()
    here.now = NOON
    await here.run(SetClock(to=Instant(NOON + MINUTE)))
    assert here.seen().clock == NOON + MINUTE
    await here.restart()
    assert here.seen().clock == NOON + MINUTE


# --- secrets at rest ----------------------------------------------------------------------------


async def test_no_secret_is_in_any_file(here: Here):
    await here.load()
    await here.unit.importer_key(request_digest("another"))
    memory = here.unit._memory
    with Store.open(here.directory, load_device_key(here.directory)) as store:
        identity = store.units()[0].private.reveal()
    assert memory.new_key is not None
    assert memory.new_key.reveal() == KEY
    files = here.files()
    assert bytes(here.unit.id) in files
    for secret in (KEY, identity, memory.importer_keys[0].private.reveal()):
        for length in (32, 16):
            assert secret[:length] not in files


async def test_keys_that_were_given_up_are_gone_even_sealed(here: Here):
    await here.load()
    sealed = look(here.directory)[0].memory.new_key
    assert sealed is not None
    assert sealed in here.files()
    await here.run(ClearNewRegister(vp=vp_of(KEY)), ALICE)
    assert sealed not in here.files()


def test_a_sealed_value_opens_only_where_it_was_put(tmp_path: Path):
    key = make_device_key(StateDirectory(tmp_path))
    sealed = key.seal(Secret(b"s" * 32), owner=b"u" * 32, column="new")
    assert key.open(sealed, owner=b"u" * 32, column="new").reveal() == b"s" * 32
    other = DeviceKey(Secret(bytes(32)))
    damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for device, value, owner, column in (
        (key, sealed, b"v" * 32, "new"),
        (key, sealed, b"u" * 32, "current"),
        (other, sealed, b"u" * 32, "new"),
        (key, damaged, b"u" * 32, "new"),
        (key, b"short", b"u" * 32, "new"),
    ):
        with pytest.raises(Trouble) as trouble:
            device.open(value, owner=owner, column=column)
        assert trouble.value.exit is Exit.DAMAGED


def test_a_sealed_value_never_looks_the_same_twice(tmp_path: Path):
    key = make_device_key(StateDirectory(tmp_path))
    secret = Secret(b"s" * 32)
    assert key.seal(secret, owner=b"", column="x") != key.seal(secret, owner=b"", column="x")


@pytest.mark.parametrize("content", [None, b"", b"k" * 31, b"k" * 33, b"k" * 32])
def test_another_device_key_opens_nothing(directory: StateDirectory, content: bytes | None):
    directory.device_key.unlink()
    if content is not None:
        private_files.create(directory.device_key, content, untouched="")
    with pytest.raises(Trouble) as trouble:
        Store.open(directory, load_device_key(directory)).units()
    assert trouble.value.exit is Exit.DAMAGED


# --- what a directory can be --------------------------------------------------------------------


def test_only_its_user_can_read_it(directory: StateDirectory):
    public = {directory.tls_certificate}
    for path in directory.path.rglob("*"):
        assert path.stat().st_mode & 0o077 == (0o044 if path in public else 0), path
    directory.path.chmod(0o755)
    with pytest.raises(Trouble) as trouble:
        look(directory)
    assert trouble.value.exit is Exit.EXPOSED


def test_finished_units_are_never_made_again(directory: StateDirectory):
    with pytest.raises(Trouble) as trouble:
        check_free(directory)
    assert trouble.value.exit is Exit.REFUSED


def test_a_directory_without_units(tmp_path: Path):
    with pytest.raises(Trouble) as trouble:
        look(StateDirectory(tmp_path))
    assert trouble.value.exit is Exit.USAGE


@pytest.mark.parametrize("name", ["device.key", "tls.pem", "tls.key"])
def test_a_directory_that_lacks_a_file(directory: StateDirectory, name: str):
    (directory.path / name).unlink()
    with pytest.raises(Trouble) as trouble:
        look(directory)
    assert (trouble.value.exit, name in trouble.value.what) == (Exit.DAMAGED, True)


def test_a_database_of_another_format(directory: StateDirectory, store: Store):
    store._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Trouble) as trouble:
        look(directory)
    assert (trouble.value.exit, trouble.value.found) == (Exit.USAGE, "format 99")


def test_a_damaged_database(directory: StateDirectory):
    directory.database.write_bytes(b"nothing of the kind" * 1000)
    with pytest.raises(Trouble) as trouble:
        look(directory)
    assert trouble.value.exit is Exit.DAMAGED


def test_a_full_disk_leaves_all_as_it_was(directory: StateDirectory, store: Store):
    unit = store.units()[0]
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    large = unit.memory
    with pytest.raises(Trouble) as trouble:
        for n in range(100):
            identity = unit.certified.opened()
            large, _ = machine.make_importer_key(
                UnitIdentity(unit=identity.unit, type=identity.type, sign=lambda _: bytes(64)),
                large,
                request_digest(n),
                private=Secret(bytes([n + 1]) * 96),
                now=NOON,
            )
            before = look(directory)
            store.commit(Write.IMPORTER_KEY, identity.unit, large, Step(large, ()))
    assert trouble.value.exit is Exit.STORAGE
    assert look(directory) == before
    store._connection.execute("PRAGMA max_page_count = 1000000")
    store.commit(Write.IMPORTER_KEY, identity.unit, large, Step(large, ()))
    assert len(store.units()[0].memory.importer_keys) == len(large.importer_keys)


def test_the_database_waits_for_the_disk(store: Store):
    """No kill shows whether what was written would outlive a power cut; SQLite's settings do."""
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("secure_delete", 1)):
        assert store._connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)


def test_nobody_goes_on_from_a_state_that_is_not_the_stored_one(store: Store):
    unit = store.units()[0]
    stale = unit.memory.but(version=StateVersion(7))
    with pytest.raises(AssertionError):
        store.commit(Write.CLOCK, unit.certified.opened().unit, stale, Step(stale, ()))
