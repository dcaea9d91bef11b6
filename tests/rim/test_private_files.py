"""Private files: whole or not at all, and nobody else's."""

import errno
import os
import stat
from pathlib import Path

import pytest

from quorate import private_files
from quorate.exits import Exit, Trouble

KEPT = "nothing was made"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_written_is_read_and_private(tmp_path: Path):
    path = tmp_path / "bob.sig"
    private_files.write(path, b"old", untouched=KEPT)
    private_files.write(path, b"new", untouched=KEPT)
    assert private_files.read(path, limit=3) == b"new"
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_private_whatever_the_umask_is(tmp_path: Path):
    before = os.umask(0)
    try:
        private_files.create(tmp_path / "key", b"", untouched=KEPT)
        private_files.directory(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert _mode(tmp_path / "key") == 0o600
    assert _mode(tmp_path / "a") == _mode(tmp_path / "a" / "b") == 0o700


def test_a_file_for_others_is_theirs_whatever_the_umask_is(tmp_path: Path):
    before = os.umask(0o077)
    try:
        private_files.create(tmp_path / "certificate", b"", untouched=KEPT, mode=0o644)
    finally:
        os.umask(before)
    assert _mode(tmp_path / "certificate") == 0o644


def test_create_never_replaces(tmp_path: Path):
    path = tmp_path / "bob.sig"
    private_files.create(path, b"first", untouched=KEPT)
    with pytest.raises(Trouble) as caught:
        private_files.create(path, b"second", untouched=KEPT)
    assert caught.value.exit is Exit.REFUSED
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_can_touch_is_exposed(tmp_path: Path, mode: int):
    path = tmp_path / "bob.sig"
    path.write_bytes(b"secret")
    path.chmod(mode)
    with pytest.raises(Trouble) as caught:
        private_files.read(path, limit=10)
    assert caught.value.exit is Exit.EXPOSED
    assert caught.value.what == "others on this machine can read bob.sig; it wasn't used"
    assert caught.value.found == f"{mode:04o}"
    assert str(caught.value.next).startswith(f"chmod 600 {path}")


def test_another_users_file_is_exposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "bob.sig"
    private_files.write(path, b"", untouched=KEPT)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 4_000_000)
    with pytest.raises(Trouble) as caught:
        private_files.read(path, limit=10)
    assert caught.value.exit is Exit.EXPOSED


def test_only_a_file_of_a_plausible_length_is_read(tmp_path: Path):
    path = tmp_path / "bob.sig"
    private_files.write(path, b"12345", untouched=KEPT)
    with pytest.raises(Trouble) as caught:
        private_files.read(path, limit=4)
    assert (caught.value.exit, caught.value.found) == (Exit.DAMAGED, "5 bytes")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(Trouble, match="isn't a file"):
        private_files.read(pipe, limit=4)
    with pytest.raises(FileNotFoundError):
        private_files.read(tmp_path / "none", limit=4)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left in"),
        (errno.EDQUOT, "no quota left in"),
        (errno.EROFS, "isn't writable"),
        (errno.EACCES, "isn't writable"),
        (errno.EIO, "can't write in"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace", "open"])
def test_a_failed_write_is_storage_trouble_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str, step: str
):
    path = tmp_path / "bob.sig"
    private_files.write(path, b"old", untouched=KEPT)

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, step, fail)
        with pytest.raises(Trouble) as caught:
            private_files.write(path, b"new", untouched=KEPT)
    assert caught.value.exit is Exit.STORAGE
    assert said in caught.value.what and caught.value.what.endswith(KEPT)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_says_what_is_needed_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Trouble) as caught:
        private_files.write(tmp_path / "x", bytes(4096), untouched=KEPT)
    assert caught.value.expected == "4 KiB free"
    assert str(caught.value.found).endswith(" KiB")


def test_file_and_directory_are_made_durable_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("sync directory" if directory else "sync file")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        steps.append("move")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    private_files.write(tmp_path / "x", b"", untouched=KEPT)
    assert steps == ["sync file", "move", "sync directory"]


def test_a_directory_that_others_can_enter_is_exposed(tmp_path: Path):
    open_to_all = tmp_path / "state"
    open_to_all.mkdir(mode=0o755)
    open_to_all.chmod(0o755)
    with pytest.raises(Trouble) as caught:
        private_files.directory(open_to_all)
    assert caught.value.exit is Exit.EXPOSED
    assert caught.value.expected == f"mode 0700, owner {private_files._user(os.geteuid())}"
    open_to_all.chmod(0o700)
    assert private_files.directory(open_to_all) == open_to_all


def test_a_file_in_a_directorys_place_is_trouble(tmp_path: Path):
    (tmp_path / "state").touch()
    with pytest.raises(Trouble) as caught:
        private_files.directory(tmp_path / "state")
    assert caught.value.exit is Exit.STORAGE
    with pytest.raises(Trouble):
        private_files.directory(tmp_path / "state" / "below")


def test_what_is_removed_is_gone(tmp_path: Path):
    path = tmp_path / "x"
    private_files.write(path, b"", untouched=KEPT)
    private_files.remove(path, untouched="it is still there")
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        private_files.remove(path, untouched="it is still there")
