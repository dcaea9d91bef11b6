"""Copies of key files, as custodians keep them on a USB stick, and back.

A copy is locked like the file itself, so it may come from and go to where files have no private
mode. It is read again from where it went before anybody relies on it.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from protocol.files.keyfile import MAX_BYTES, Damaged, Unsupported, parse_any
from protocol.files.keyfile_header import IdentityHeader, kind_of
from quorate import private_files
from quorate.exits import Exit, Trouble

_OTHERS = 0o077


@dataclass(frozen=True)
class Copy:
    """A copy that was read again and has the right checksum."""

    path: Path
    exposed: bool
    """Whether others on this machine can read it, as on sticks that know no modes."""


def copy_key_file(source: Path, destination: Path) -> Copy:
    """Copies a signature key or key part file; `destination` is a directory or a new file.

    Damaged if the source isn't whole, or the copy doesn't read back as it was written (it is then
    removed). Unsupported for an agent's identity, which has no password and stays where it is.
    Trouble if the destination exists or can't be written. Nothing that was there is ever replaced.
    """
    data = _read(source)
    header = parse_any(data).header
    if isinstance(header, IdentityHeader):
        raise Unsupported(expected="signature-key or key-part", found=kind_of(type(header)))
    target = destination / source.name if destination.is_dir() else destination
    _write(target, data)
    try:
        if _read(target) != data:
            raise Damaged(expected=f"the bytes of {source.name}", found="others")
    except (Damaged, Trouble):
        target.unlink(missing_ok=True)
        raise
    return Copy(target, exposed=bool(stat.S_IMODE(target.stat().st_mode) & _OTHERS))


def _read(path: Path) -> bytes:
    """The bytes of a copy, whatever its mode."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Trouble(
            Exit.STORAGE,
            f"{path} can't be read: {error.strerror}; nothing was copied",
            next=f"look at it: ls -l {path}",
        ) from None


def _write(target: Path, data: bytes) -> None:
    """Writes a new file in place.

    Not through `quorate.private_files`: its way needs links and modes, which FAT doesn't have. A
    file cut short by a power loss shows by its checksum.
    """
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(target, flags, private_files.FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                # So that the next read asks the medium, where the system allows.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            target.unlink(missing_ok=True)
            raise
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except FileExistsError:
        raise Trouble(
            Exit.REFUSED,
            f"{target} is there already and was left as it is; nothing was copied",
            next="choose another name, or move it away",
        ) from None
    except OSError as error:
        raise Trouble(
            Exit.STORAGE,
            f"{target} can't be written: {error.strerror}; nothing was copied",
            next=f"look at it: ls -ld {target.parent}; df -h {target.parent}",
        ) from None
