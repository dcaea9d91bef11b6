"""`quorate demo` in its variants, as a script runs it: one object, and what it claims holds."""

import hashlib
import json
import os
import re
import subprocess
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from coordinator.rehearsal.process import command_line
from quorate.exits import Exit

pytestmark = pytest.mark.timeout(300)

PARTS = ("11" * 32, "2a" * 32, "c4" * 32)


def quorate(*arguments: str, code: int = 0) -> Any:
    """Runs one command with --json; gives its object."""
    done = subprocess.run(
        command_line([*arguments, "--json"]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == code, done.stderr + done.stdout
    said = json.loads(done.stdout)
    assert said["code"] == code
    return said


def demo(keep: Path, *arguments: str) -> Any:
    """A whole ceremony in `keep`, with what must hold of any."""
    made = quorate("demo", "--keep", str(keep), *arguments)
    assert made["practice"] is True
    assert made["report_verified"] is True
    assert {one["state"] for one in made["requests"]} == {"executed"}
    assert sum(unit["type"] == "operational" for unit in made["units"]) >= 2
    for unit in made["units"]:
        assert (unit["new"]["state"], unit["current"]["state"]) == ("Empty", "Valid")
    assert Path(made["report"]).is_file()
    assert Path(made["report"]).with_suffix(".html").is_file()
    return made


def vp_of(*parts: str) -> str:
    """SHA-256 of the XOR of the parts."""
    values = [int(part, 16) for part in parts]
    key = reduce(lambda a, b: a ^ b, values).to_bytes(32)
    return hashlib.sha256(key).hexdigest()


def test_one_agent_alone_with_three_known_parts(tmp_path: Path):
    options = [one for part in PARTS for one in ("--part", part)]
    made = demo(tmp_path / "keep", "--agents", "1", "--units", "2", *options)
    assert {unit["current"]["vp"] for unit in made["units"]} == {vp_of(*PARTS)}
    assert {unit["signature_threshold"] for unit in made["units"]} == {1}
    verified = quorate("verify", made["report"], "--charter", made["charter"])
    assert verified["summary"]["charter"]["one_person_may_be_alone"] is True
    assert any("alice" in line for line in verified["summary"]["alone"])


def test_eight_units_a_threshold_of_one_and_two_known_parts(tmp_path: Path):
    options = [one for part in PARTS[:2] for one in ("--part", part)]
    arguments = ("--agents", "2", "--threshold", "1", "--units", "8")
    made = demo(tmp_path / "keep", *arguments, *options)
    assert len({unit["id"] for unit in made["units"]}) == 8
    assert {unit["current"]["vp"] for unit in made["units"]} == {vp_of(*PARTS[:2])}
    assert {unit["revocation_threshold"] for unit in made["units"]} == {1}
    verified = quorate("verify", made["report"], "--charter", made["charter"])
    assert verified["summary"]["alone"]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Five agents with a threshold of three, and processes killed on the way."""
    keep = tmp_path_factory.mktemp("demo") / "keep"
    arguments = ("--agents", "5", "--threshold", "3", "--units", "2", "--seed-faults")
    return demo(keep, *arguments)


def test_five_agents_a_threshold_of_three_and_faults(five: Any):
    keys = {one["ski"] for unit in five["units"] for one in unit["administrators"]}
    assert len(keys) == 5
    thresholds = {
        (unit["signature_threshold"], unit["revocation_threshold"]) for unit in five["units"]
    }
    assert thresholds == {(3, 3)}
    signed = {one["command"]: one["approvals"] for one in five["requests"]}
    assert len(signed["cryptounit-thrhld-set"]) == len(signed["cryptounit-mk-commit"]) == 3
    assert set(signed["cryptounit-mk-commit"]) <= keys
    assert len(signed["cryptounit-mk-load"]) == len(signed["cryptounit-mk-setimm"]) == 1


def test_a_report_without_a_charter_is_not_anchored(five: Any):
    said = quorate("verify", five["report"], code=8)
    assert said["exit"] == "not anchored"


def test_any_changed_byte_of_a_report_is_an_alarm(five: Any, tmp_path: Path):
    data = Path(five["report"]).read_bytes()
    for place in (0, len(data) // 3, len(data) // 2, len(data) - 2):
        changed = bytearray(data)
        changed[place] ^= 1
        bad = tmp_path / "report.json"
        bad.write_bytes(changed)
        assert quorate("verify", str(bad), "--charter", five["charter"], code=12)["exit"] == "alarm"


def test_a_charter_of_somebody_else_is_an_alarm(five: Any, tmp_path: Path):
    other = bytearray(Path(five["charter"]).read_bytes())
    other[len(other) // 2] ^= 1
    bad = tmp_path / "charter.json"
    bad.write_bytes(other)
    quorate("verify", five["report"], "--charter", str(bad), code=5)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--agents", "2", "--threshold", "3"], "THRESHOLD_ABOVE_ADMINISTRATORS"),
        (["--part", PARTS[0]], "PART_COUNT"),
        (["--part", PARTS[0], "--part", PARTS[1]] * 2, "PART_TWICE"),
        (["--part", PARTS[0], "--part", PARTS[0].upper()], "PART_TWICE"),
        (["--part", PARTS[0], "--part", PARTS[1][:63]], None),
        (["--part", PARTS[0], "--part", "zz" * 32], None),
    ],
)
def test_what_no_units_would_take_is_refused_before_anything_starts(
    arguments: list[str], rule: str | None, tmp_path: Path
):
    keep = tmp_path / "keep"
    said = quorate("demo", "--keep", str(keep), *arguments, code=3)
    assert said["rule"] == rule
    assert not keep.exists()
    shown = [part for part in arguments if len(part) > 60]
    assert not any(part in json.dumps(said) for part in shown)


def test_a_directory_in_use_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "mine").touch()
    quorate("demo", "--keep", str(tmp_path), code=3)
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("arguments", [["--units", "1"], ["--units", "9"], ["--agents", "9"]])
def test_out_of_range_is_usage(arguments: list[str]):
    quorate("demo", *arguments, code=2)


def test_interactive_says_what_to_type_and_that_works(tmp_path: Path):
    """People approve in terminals of their own, by the very lines that they are told."""
    keep = tmp_path / "keep"
    arguments = ("demo", "--interactive", "--agents", "2", "--units", "2", "--keep", str(keep))
    with subprocess.Popen(
        command_line(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    ) as running:
        assert running.stdout is not None
        said, environment = [], {}
        for line in running.stdout:
            said.append(line)
            export = re.fullmatch(r" +(\w+) +export (\w+)=(\S+)\n", line)
            if export:
                environment[export[1]] = {export[2]: export[3]}
            typed = re.fullmatch(r" +quorate (agent approve \d+)\n", line)
            if typed:
                for person, own in environment.items():
                    approve_as(person, own, typed[1].split())
    assert running.returncode == 0, "".join(said)
    assert len(environment) == 2
    assert any("one master key in 2 of 2 units" in line for line in said)


def approve_as(person: str, environment: dict[str, str], typed: list[str]) -> None:
    """As this person types it, with their password; whoever is late is told that it has ended."""
    done = subprocess.run(
        [*command_line(typed), "--password-fd", "0"],
        input=f"{person}\n",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )
    late = done.returncode == Exit.REFUSED and "has ended" in done.stderr
    assert done.returncode in (Exit.DONE, Exit.WAITING) or late, done.stderr + done.stdout
