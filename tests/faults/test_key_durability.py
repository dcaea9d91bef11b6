"""A unit host dies at every durable step of key storage: a change is whole or isn't there.

And whoever asks the same again ends up where an undisturbed life ends.
"""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hsm_backend.durable.directory import StateDirectory
from hsm_backend.durable.steps import Write
from hsm_backend.host.vendor import UnitPlan, make_units
from protocol.keys.answers import CallRefused, KeyState, Page
from protocol.location import UnitType, parse_location
from protocol.refusals import Rule
from quorate import crash_points, private_files
from tests.cast.commands import NOON
from tests.faults.key_life import listed, live, ready

ROOT = Path(__file__).parents[2]
LOCATION = "[eu-de].[AZ1-CS1].[00].[03]"
ACTIVE, DELETED = KeyState.ACTIVE, KeyState.DELETED

AFTER_EACH: tuple[list[tuple[str, KeyState]], ...] = (
    [],
    [("a", ACTIVE), ("b", ACTIVE), ("c", ACTIVE)],
    [("a", DELETED), ("b", DELETED), ("c", ACTIVE)],
    [("a", ACTIVE), ("b", DELETED), ("c", ACTIVE)],
    [("a", ACTIVE), ("c", ACTIVE)],
)
"""The keys after so many changes."""


@pytest.fixture(scope="module")
def ready_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("host")
    directory = StateDirectory(private_files.directory(path / "ready"))
    plan = UnitPlan(UnitType.OPERATIONAL, parse_location(LOCATION), "93A0021F")
    make_units(directory, [plan], names=["127.0.0.1"], now=NOON)
    asyncio.run(ready(directory))
    return directory.path


@pytest.fixture
def host(ready_host: Path, tmp_path: Path) -> StateDirectory:
    return StateDirectory(Path(shutil.copytree(ready_host, tmp_path / "host")))


def dies(point: str, host: StateDirectory) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.key_life", host.path],
        env=os.environ | {crash_points.VARIABLE: point},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == crash_points.STATUS, (done.returncode, done.stderr)


def keys_of(host: StateDirectory) -> list[tuple[str, KeyState]]:
    page = asyncio.run(listed(host))
    assert isinstance(page, Page), page
    return [(one.name, one.state) for one in page.keys]


def wraps_of(host: StateDirectory) -> int:
    with sqlite3.connect(host.keys) as connection:
        count: int = connection.execute("SELECT count(*) FROM wraps").fetchone()[0]
    connection.close()
    return count


@pytest.mark.parametrize("after", [False, True], ids=["before commit", "after commit"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_change_is_whole_or_is_not_there(host: StateDirectory, nth: int, after: bool):
    point = Write.KEYS.after_commit if after else Write.KEYS.before_commit
    dies(f"{point}:{nth}", host)
    expected = AFTER_EACH[nth if after else nth - 1]
    assert keys_of(host) == expected
    assert wraps_of(host) == len(expected)
    lives_to_the_end(host)


@pytest.mark.parametrize("after", [False, True], ids=["before commit", "after commit"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_how_far_a_unit_has_seen(host: StateDirectory, nth: int, after: bool):
    """The change is there, and the mark may lag behind it: that is no alarm."""
    point = Write.KEY_MARK.after_commit if after else Write.KEY_MARK.before_commit
    dies(f"{point}:{nth}", host)
    assert keys_of(host) == AFTER_EACH[nth]
    lives_to_the_end(host)


@pytest.mark.parametrize("after", [False, True], ids=["before commit", "after commit"])
def test_the_tables(host: StateDirectory, after: bool):
    dies(Write.KEY_TABLES.after_commit if after else Write.KEY_TABLES.before_commit, host)
    assert keys_of(host) == []
    lives_to_the_end(host)


def test_what_was_answered_is_missed_when_it_is_put_back(host: StateDirectory):
    """The mark was on disk before anybody was told."""
    dies(f"{Write.KEY_MARK.after_commit}:1", host)
    for file in host.path.glob("keys.db*"):
        file.unlink()
    refused = asyncio.run(listed(host))
    assert isinstance(refused, CallRefused)
    assert refused.refusal.rule is Rule.STORAGE_ROLLED_BACK


def lives_to_the_end(host: StateDirectory) -> None:
    asyncio.run(live(host))
    assert keys_of(host) == AFTER_EACH[-1]
    assert wraps_of(host) == 2
