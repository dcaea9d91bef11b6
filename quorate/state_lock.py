"""One process owns a state directory: two would each go on from a state that the other changed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorate.exits import Exit, Trouble
from quorate.private_files import FILE_MODE


@contextmanager
def owned(directory: Path, *, owner: str) -> Iterator[None]:
    """Owns the directory until the end of the block; refused trouble when another process does.

    `owner` is the command that usually does, to say what to stop. The lock is flock(2)'s: it goes
    with the process, however that ends, and is never stale.
    """
    lock = directory / "lock"
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise _unwritten(lock, error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise Trouble(
                Exit.REFUSED,
                f"another process owns {directory}; nothing was touched",
                expected="one process a directory",
                found=f"process {found or 'unknown'}",
                next=f"stop that process first ({owner}?), then again",
            ) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise _unwritten(lock, error) from None
        yield
    finally:
        os.close(descriptor)


def _unwritten(lock: Path, error: OSError) -> Trouble:
    place = lock.parent
    return Trouble(
        Exit.STORAGE,
        f"{lock} can't be written: {error.strerror}; nothing was touched",
        next=f"make room, or look who may write there: df -h {place}; ls -ld {place}",
    )
