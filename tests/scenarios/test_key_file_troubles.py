"""What a custodian's own machine can get wrong: exit codes, and files as they were."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from coordinator.rehearsal.acting import Actor
from coordinator.rehearsal.kit import Rehearsal

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stack(quorate_module_stack) -> Rehearsal:
    made: Rehearsal = quorate_module_stack(people=2, units=1)
    made.initialise(threshold=2)
    return made


@pytest.fixture(scope="module")
def number(stack: Rehearsal) -> int:
    """A request that waits for Bob, who is asked in vain by all tests."""
    return stack.as_("alice").file("cryptounit-thrhld-set", "--signature", "2", "--revocation", "2")


@pytest.fixture
def bob(stack: Rehearsal, number: int) -> Actor:
    made = stack.as_("bob")
    made.knows(number)
    return made


@pytest.fixture
def bob_sig(bob: Actor, tmp_path: Path):
    """Bob's key file, put back afterwards."""
    file = bob.keys / "bob.sig"
    shutil.copy(file, tmp_path)
    yield file
    shutil.copy(tmp_path / "bob.sig", file)
    file.chmod(0o600)


def approve(bob: Actor, number: int, *, code: int, password: Path | None = None) -> Any:
    file = str(password or bob.password_file)
    return bob.refused("agent", "approve", str(number), "--password-file", file, code=code)


def test_a_wrong_password(bob: Actor, number: int, bob_sig: Path, tmp_path: Path):
    before = bob_sig.read_bytes()
    wrong = tmp_path / "wrong"
    wrong.write_text("not it\n")
    wrong.chmod(0o600)
    said = approve(bob, number, code=4, password=wrong)
    assert said["message"] == "bob.sig is undamaged; nothing was signed."
    assert bob_sig.read_bytes() == before
    assert bob.show(number)["have"] == 1


def test_a_damaged_key_file(bob: Actor, number: int, bob_sig: Path):
    data = bytearray(bob_sig.read_bytes())
    data[-1] ^= 1
    bob_sig.write_bytes(data)
    said = approve(bob, number, code=5)
    assert said["message"].startswith("bob.sig isn't as it was written")
    # What can't be used isn't offered, and `status` says why.
    files = bob.run("agent", "status").data["files"]
    assert [(one["file"], one["problem"] is None) for one in files] == [("bob.sig", False)]
    said = bob.refused("agent", "passwd", "bob.sig", password=True, code=5)
    assert said["message"].startswith("bob.sig isn't as it was written")
    assert said["expected"] != said["found"]
    assert bob_sig.read_bytes() == bytes(data)


def test_a_key_file_that_others_can_read(bob: Actor, number: int, bob_sig: Path):
    bob_sig.chmod(0o644)
    said = approve(bob, number, code=9)
    assert said["message"] == "others on this machine can read bob.sig; it wasn't used"
    said = bob.refused("agent", "passwd", "bob.sig", password=True, code=9)
    assert said["expected"].startswith("mode 0600")
    assert bob_sig.stat().st_mode & 0o777 == 0o644
    status = bob.run("agent", "status").data["files"][0]
    assert (status["mode"], status["problem"].split(":")[0]) == ("0644", "exposed")


def test_a_directory_in_a_key_files_place(bob: Actor, number: int, bob_sig: Path):
    bob_sig.unlink()
    bob_sig.mkdir()
    try:
        assert approve(bob, number, code=5)["message"] == "bob.sig isn't a file"
        assert (
            bob.run("agent", "status").data["files"][0]["problem"]
            == "damaged: bob.sig isn't a file"
        )
    finally:
        bob_sig.rmdir()


def test_another_password(bob: Actor, number: int, bob_sig: Path, tmp_path: Path):
    both = tmp_path / "both"
    both.write_text(f"{bob.password_file.read_text().strip()}\nanother\n")
    both.chmod(0o600)
    bob.run("agent", "passwd", "bob.sig", "--password-file", str(both))
    assert approve(bob, number, code=4)["exit"] == "wrong password"


def test_a_copy_is_read_again_and_replaces_nothing(bob: Actor, bob_sig: Path, tmp_path: Path):
    stick = tmp_path / "stick"
    stick.mkdir()
    made = bob.run("agent", "copy", "bob.sig", str(stick)).data
    assert Path(made["copy"]).read_bytes() == bob_sig.read_bytes()
    again = bob.refused("agent", "copy", "bob.sig", str(stick))
    assert "there already" in again["message"]


def test_an_agent_that_isnt_running(stack: Rehearsal, bob: Actor, number: int):
    bob.agent.stop()
    try:
        said = bob.refused("agent", "approve", str(number), code=7)
        assert said["next"] == f"start it: quorate agent run {bob.directory}"
        made = bob.refused("tke", "mk-add", "--random", "--description", "x", code=7)
        assert made["exit"] == "unreachable"
        assert not list(bob.keys.glob("*.part"))
    finally:
        bob.agent.start()
        bob.until(("agent", "status"), lambda data: data["connected"] or None)


def test_a_coordinator_that_isnt_running(stack: Rehearsal, bob: Actor, number: int):
    stack.coordinator.kill()
    try:
        refused = "Connection refused"
        bob.until(("agent", "status"), lambda data: data["why_not_connected"] == refused or None)
        said = bob.refused("agent", "show", str(number), code=7)
        assert said["message"].endswith(f"is out of reach: {refused}")
    finally:
        stack.coordinator.start()
        bob.until(("agent", "status"), lambda data: data["connected"] or None)


def test_settings_of_an_agent(bob: Actor, tmp_path: Path):
    """A flag goes over the file, and what nobody knows in the file is said."""
    shutil.copy(bob.directory / "agent.toml", tmp_path)
    file, run = tmp_path / "agent.toml", ("agent", "run", str(tmp_path))
    facts = file.read_text()
    file.write_text(f'log-level = "loud"\n{facts}')
    assert "loud" in bob.refused(*run, code=2)["message"]
    said = bob.refused(*run, "--log-level", "debug", code=2)
    assert said["message"] == "this agent has no identity key yet"
    file.write_text(f'log-levle = "debug"\n{facts}')
    said = bob.refused(*run, code=2)
    assert said["found"] == "log-levle" and "log-level" in said["expected"]


def test_a_directory_without_an_agent(tmp_path: Path, bob: Actor):
    said = bob.refused("agent", "status", "--agent", str(tmp_path), code=2)
    assert said["message"] == f"{tmp_path} holds no signer agent"


def test_without_a_terminal_a_prompt_is_usage_and_nothing_is_filed(bob: Actor, number: int):
    before = bob.requests()
    asked = [
        ["agent", "approve", str(number)],
        ["tke", "sigkey-add"],
        ["tke", "cryptounit-thrhld-set", "--signature", "1", "--revocation", "1"],
        ["tke", "cryptounit-zeroize"],
    ]
    bob.choose()
    for arguments in asked:
        said = bob.refused(*arguments, code=2)
        assert said["exit"] == "usage"
        assert said["next"].startswith("give --"), said
    assert bob.requests() == before


def test_a_key_part_is_made_in_one_way(bob: Actor):
    add = ("tke", "mk-add", "--description", "x")
    asked = bob.refused(*add, "--value", code=2)
    assert asked["next"] == "give --value-fd N"
    for ways in ((), ("--random", "--value"), ("--random", "--value-fd", "0")):
        said = bob.refused(*add, *ways, code=2)
        assert said["expected"] == "one of --random, --value, --value-fd N"
    closed = bob.refused(*add, "--value-fd", "99", code=2)
    assert closed["message"].startswith("--value-fd: descriptor 99 can't be read")
    assert not list(bob.keys.glob("*.part"))


def test_zeroize_wants_the_instances_name(bob: Actor, stack: Rehearsal):
    bob.choose()
    before = bob.requests()
    zeroize = ("tke", "cryptounit-zeroize", "--yes-destroy", "ledger")
    said = bob.refused(*zeroize, password=True, code=2)
    assert (said["expected"], said["found"]) == ("ledger-eu", "ledger")
    assert bob.requests() == before
