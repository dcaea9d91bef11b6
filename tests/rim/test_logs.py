"""Logs: JSON lines, and no secret in any."""

import json
import logging
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from protocol.secrets import Secret
from quorate import logs
from quorate.exits import Exit, Trouble
from tests.architecture.checkout import ROOT


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def _lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_says_when_who_and_what(capsys: pytest.CaptureFixture[str]):
    logs.set_up("agent alice")
    logs.get("link").info("connected", peer="quorate.example:7443", tries=3, key=b"\xab")
    out, err = capsys.readouterr()
    (line,) = _lines(err)
    assert out == ""
    assert str(line.pop("at")).endswith("Z")
    assert line == {
        "process": "agent alice",
        "part": "link",
        "level": "info",
        "event": "connected",
        "peer": "quorate.example:7443",
        "tries": 3,
        "key": "ab",
    }


@dataclass
class _Holder:
    password: str


def test_no_object_brings_its_insides_along(capsys: pytest.CaptureFixture[str]):
    logs.set_up("agent")
    logs.get("keys").error(
        "opened", a=Secret(b"hunter2"), b=[_Holder("hunter2")], c={"d": Secret(b"hunter2")}
    )
    text = capsys.readouterr().err
    assert "hunter2" not in text and b"hunter2".hex() not in text
    (line,) = _lines(text)
    assert (line["a"], line["b"], line["c"]) == ("<Secret>", ["<_Holder>"], {"d": "<Secret>"})


def test_levels_below_the_chosen_one_are_dropped(capsys: pytest.CaptureFixture[str]):
    logs.set_up("unit", level="warning")
    logs.get("host").info("quiet")
    logs.get("host").warning("loud")
    assert [line["event"] for line in _lines(capsys.readouterr().err)] == ["loud"]


def test_an_exception_is_told_with_where_it_was_raised(capsys: pytest.CaptureFixture[str]):
    logs.set_up("unit")
    try:
        raise ValueError("odd")
    except ValueError:
        logs.get("host").exception("failed")
    (line,) = _lines(capsys.readouterr().err)
    assert "ValueError: odd" in str(line["exception"]) and "test_logs.py" in str(line["exception"])


def test_libraries_end_up_in_the_same_form(capsys: pytest.CaptureFixture[str]):
    logs.set_up("coordinator")
    logging.getLogger("aiohttp.server").warning("slow %s", "client")
    logging.getLogger("aiohttp.access").info("not this")
    (line,) = _lines(capsys.readouterr().err)
    assert (line["event"], line["part"], line["level"]) == (
        "slow client",
        "aiohttp.server",
        "warning",
    )


def test_a_log_file_is_private_and_goes_on(tmp_path: Path):
    file = tmp_path / "agent.log"
    program = (
        "import sys, pathlib; from quorate import logs\n"
        "logs.set_up('agent', file=pathlib.Path(sys.argv[1]))\n"
        "logs.get('run').info(sys.argv[2])"
    )
    for event in ("first", "second"):
        subprocess.run([sys.executable, "-c", program, file, event], check=True, cwd=ROOT)
    assert [line["event"] for line in _lines(file.read_text())] == ["first", "second"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(Trouble) as caught:
        logs.set_up("agent", file=tmp_path / "none" / "agent.log")
    assert caught.value.exit is Exit.STORAGE


def test_a_line_that_the_disk_doesnt_take_stops_nobody():
    """`/dev/full` answers every write with ENOSPC (full(4))."""
    program = (
        "import pathlib; from quorate import logs\n"
        "logs.set_up('agent', file=pathlib.Path('/dev/full'))\n"
        "[logs.get('run').info('x' * 5000) for _ in range(10)]\n"
        "print('done', flush=True); import os; os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
