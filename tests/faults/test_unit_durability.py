"""DESIGN §5: state survives power loss at any instant. A unit host dies at every durable step.

Before the commit it is the state before, after it the state after, receipt included; and whoever
sends the same command again ends up where an undisturbed life ends.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.sealed import load_device_key
from hsm_backend.durable.steps import STEPS, Write
from hsm_backend.durable.store import SeenUnit, Store, look
from hsm_backend.host.vendor import UnitPlan, make_units
from protocol.history import History, verify_history
from protocol.identifiers import StateVersion
from protocol.location import UnitType, parse_location
from protocol.receipts import Birth, BirthCause, Receipt
from protocol.unit_state import IMPRINT
from quorate import crash_points, private_files, tls
from tests.cast.commands import NOON
from tests.faults.unit_life import LATER, LIFE, live

PLAN = "operational:[eu-de].[AZ1-CS1].[00].[03]"
LOCATION = "[eu-de].[AZ1-CS1].[00].[03]"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Crash:
    """A host that is killed at a step, the nth time that it comes there."""

    write: Write
    nth: int = 1

    @property
    def points(self) -> tuple[str, str]:
        """Where, before and after the commit."""
        return f"{self.write.before_commit}:{self.nth}", f"{self.write.after_commit}:{self.nth}"


COMMANDS = [Crash(Write.COMMAND, nth) for nth in (1, 3, 4, 6, 8)]
"""An administrator, the way out of imprint mode, a load, set immediate, zeroize."""


@pytest.fixture(scope="module")
def new_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host with one unit that was never served."""
    path = tmp_path_factory.mktemp("host")
    directory = StateDirectory(private_files.directory(path / "new"))
    plan = UnitPlan(UnitType.OPERATIONAL, parse_location(LOCATION), "93A0021F")
    make_units(directory, [plan], names=["127.0.0.1"], now=NOON)
    return directory.path


@pytest.fixture
def host(new_host: Path, tmp_path: Path) -> StateDirectory:
    """A copy of it."""
    (tmp_path / "outbox").mkdir()
    return StateDirectory(Path(shutil.copytree(new_host, tmp_path / "host")))


def dies(point: str, *arguments: object) -> None:
    """Runs a process that must die at the point."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        env=os.environ | {crash_points.VARIABLE: point},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == crash_points.STATUS, (done.returncode, done.stderr)


def history_of(directory: StateDirectory) -> History:
    """The verified history of the first unit, as another process reads it."""
    with Store.open(directory, load_device_key(directory)) as store:
        certificate = store.units()[0].certified.opened()
        page = store.history(certificate.unit, StateVersion(0))
    return verify_history(page.entries, certificate.identity)


def seen(directory: StateDirectory) -> SeenUnit:
    return look(directory)[0]


def test_every_durable_step_is_walked():
    walked = {crash.write for crash in COMMANDS} | {
        Write.MADE,
        Write.IMPORTER_KEY,
        Write.CLOCK,
        Write.BY_HAND,
    }
    # Those of key storage are walked in tests/faults/test_key_durability.py.
    walked |= {Write.KEY_TABLES, Write.KEYS, Write.KEY_MARK}
    assert walked == set(Write)
    assert len(STEPS) == 2 * len(Write)


@pytest.mark.parametrize("after", [False, True], ids=["before commit", "after commit"])
@pytest.mark.parametrize("crash", COMMANDS, ids=lambda crash: f"command {crash.nth}")
def test_a_command_ran_whole_or_not_at_all(
    host: StateDirectory, tmp_path: Path, crash: Crash, after: bool
):
    outbox = tmp_path / "outbox"
    dies(crash.points[after], "tests.faults.unit_life", host.path, outbox)

    ran = crash.nth if after else crash.nth - 1
    zeroized = ran == len(LIFE)
    history = history_of(host)
    receipts = [entry for entry in history.entries if isinstance(entry, Receipt)]
    assert [receipt.parsed().body for receipt in receipts] == [body for body, _ in LIFE[:ran]]
    assert len(history.entries) == 1 + ran + zeroized
    memory = seen(host).memory
    assert (memory.version, memory.state) == (len(history.entries), history.state)
    assert memory.last_receipt == history.last_receipt
    assert (memory.new_key is None) == (memory.state.new.vp is None)
    assert (memory.current_key is None) == (memory.state.current.vp is None)

    asyncio.run(live(host, outbox))
    assert_lived_to_the_end(host)


@pytest.mark.parametrize("after", [False, True], ids=["before commit", "after commit"])
def test_an_importer_key_is_kept_before_it_is_given_out(
    host: StateDirectory, tmp_path: Path, after: bool
):
    outbox = tmp_path / "outbox"
    point = Crash(Write.IMPORTER_KEY).points[after]
    dies(point, "tests.faults.unit_life", host.path, outbox)
    kept = seen(host).memory.importer_keys
    assert len(kept) == after
    asyncio.run(live(host, outbox))
    assert_lived_to_the_end(host)


@pytest.mark.parametrize("after", [False, True], ids=["before commit", "after commit"])
def test_the_clocks_mark(host: StateDirectory, tmp_path: Path, after: bool):
    point = Crash(Write.CLOCK).points[after]
    before = seen(host).memory
    dies(point, "tests.faults.unit_life", host.path, tmp_path / "outbox", "tick")
    assert seen(host).memory.clock == (LATER if after else NOON)
    assert seen(host).memory.but(clock=NOON) == before


@pytest.mark.parametrize("after", [False, True], ids=["before commit", "after commit"])
def test_zeroize_by_hand(host: StateDirectory, after: bool):
    point = Crash(Write.BY_HAND).points[after]
    zeroize = ("unit", "zeroize", host.path, LOCATION, "--yes-destroy", LOCATION)
    dies(point, "quorate", *zeroize)
    causes = [entry.cause for entry in history_of(host).entries if isinstance(entry, Birth)]
    assert causes == [BirthCause.MADE, BirthCause.BY_HAND][: 1 + after]
    assert seen(host).memory.incarnation.number == 1 + after


@pytest.mark.parametrize("after", [False, True], ids=["before commit", "after commit"])
def test_init_is_begun_again_until_it_is_done(tmp_path: Path, after: bool):
    point = Crash(Write.MADE).points[after]
    directory = StateDirectory(tmp_path / "new")
    init = ("unit", "init", directory.path, "--unit", PLAN)
    dies(point, "quorate", *init)
    key = directory.device_key.read_bytes()
    again = subprocess.run([sys.executable, "-m", "quorate", *init], cwd=ROOT, check=False)
    assert again.returncode == (3 if after else 0)
    assert directory.device_key.read_bytes() == key
    assert history_of(directory).state == IMPRINT


def test_a_tls_key_without_its_certificate_is_made_again(tmp_path: Path):
    directory = StateDirectory(private_files.directory(tmp_path / "new"))
    private_files.create(directory.tls_key, b"half of a pair", untouched="")
    private_files.create(directory.database, b"", untouched="")
    plan = UnitPlan(UnitType.OPERATIONAL, parse_location(LOCATION), "93A0021F")
    make_units(directory, [plan], names=["127.0.0.1"], now=NOON)
    tls.server_context(directory.tls_certificate, directory.tls_key)
    assert history_of(directory).state == IMPRINT


def assert_lived_to_the_end(directory: StateDirectory) -> None:
    history = history_of(directory)
    receipts = [entry for entry in history.entries if isinstance(entry, Receipt)]
    assert [receipt.parsed().body for receipt in receipts] == [body for body, _ in LIFE]
    assert isinstance(history.entries[-1], Birth)
    assert len(history.entries) == len(LIFE) + 2
    assert seen(directory).memory.state == IMPRINT
