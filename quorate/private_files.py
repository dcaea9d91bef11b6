"""Files that only their owner may see: written whole or not at all, refused when others can read.

A file is written beside its place, made durable, and moved there; so after any failure, power
loss included, the old file is there or the new one, never a part of either.
"""

import errno
import os
import secrets
import stat
from pathlib import Path

from quorate.exits import Exit, Trouble

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
_OTHERS, _OTHERS_WRITE = 0o077, 0o022
_FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "no quota left"}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def write(path: Path, data: bytes, *, untouched: str, mode: int = FILE_MODE) -> None:
    """Puts `data` at `path`, in place of what was there.

    `untouched` says what stayed as it was, should this fail ("no key part was made"); it is part
    of the storage trouble then raised.
    """
    _put(path, data, untouched=untouched, mode=mode, replace=True)


def create(path: Path, data: bytes, *, untouched: str, mode: int = FILE_MODE) -> None:
    """Puts `data` at `path` where nothing is yet; refused trouble otherwise."""
    _put(path, data, untouched=untouched, mode=mode, replace=False)


def read(path: Path, *, limit: int) -> bytes:
    """The whole file, of at most `limit` bytes, if nobody else can read it.

    Exposed trouble when others can, or when it is another user's; damaged trouble when it is
    longer than such a file can be; FileNotFoundError when there is none.
    """
    try:
        # O_NONBLOCK: a pipe in the file's place must not hold us up.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise Trouble(Exit.DAMAGED, f"{path.name} isn't a file", next=f"look at {path}")
    with os.fdopen(descriptor, "rb") as file:
        _check_owner(path, found, FILE_MODE, "it wasn't used")
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise _unreadable(path, error) from None
    if len(data) > limit:
        raise Trouble(
            Exit.DAMAGED,
            f"{path.name} is longer than such a file can be; it was left as it is",
            expected=f"at most {limit} bytes",
            found=f"{max(found.st_size, limit + 1)} bytes",
            next=f"put your copy of {path.name} back",
        )
    return data


def remove(path: Path, *, untouched: str) -> None:
    """Deletes the file, durably. FileNotFoundError when there is none."""
    try:
        path.unlink()
        _sync_directory(path.parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _not_stored(path.parent, error, untouched) from None


def directory(path: Path) -> Path:
    """Makes `path` a directory of this user's alone, with its parents, and gives it back.

    Exposed trouble when it is there and others can enter it, or it is another user's.
    """
    try:
        for missing in [p for p in (*reversed(path.parents), path) if not p.exists()]:
            missing.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            _sync_directory(missing.parent)
        found = path.stat()
    except OSError as error:
        raise _not_stored(path.parent, error, "nothing was made") from None
    if not stat.S_ISDIR(found.st_mode):
        raise Trouble(Exit.STORAGE, f"{path} isn't a directory", next="give another one")
    _check_owner(path, found, DIRECTORY_MODE, "it wasn't used")
    return path


def only_owner_writes(path: Path) -> None:
    """Exposed trouble when others could put another file in a file's place in this directory.

    Where everybody may make files and nobody may touch another's, as in /tmp, they can't.
    FileNotFoundError when there is none.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    if not found.st_mode & _OTHERS_WRITE or found.st_mode & stat.S_ISVTX:
        return
    raise Trouble(
        Exit.EXPOSED,
        f"others on this machine can change what is in {path}; nothing in it was used",
        expected=f"mode {DIRECTORY_MODE:04o}, owner {_user(os.geteuid())}",
        found=f"{stat.S_IMODE(found.st_mode):04o}",
        next=f"look what is in it, then chmod {DIRECTORY_MODE:o} {path}",
    )


def _put(path: Path, data: bytes, *, untouched: str, mode: int, replace: bool) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(beside, path)
            else:
                os.link(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError:
        raise Trouble(
            Exit.REFUSED,
            f"{path.name} is there already and was left as it is; {untouched}",
            next=f"choose another name, or move {path} away",
        ) from None
    except OSError as error:
        raise _not_stored(path.parent, error, untouched, needed=len(data)) from None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_owner(path: Path, found: os.stat_result, mode: int, untouched: str) -> None:
    here = os.geteuid()
    if found.st_uid != here:
        raise Trouble(
            Exit.EXPOSED,
            f"{path.name} is another user's; {untouched}",
            expected=f"owner {_user(here)}",
            found=f"owner {_user(found.st_uid)}",
            next=f"look why, then chown {_user(here)} {path}",
        )
    if found.st_mode & _OTHERS:
        raise Trouble(
            Exit.EXPOSED,
            f"others on this machine can read {path.name}; {untouched}",
            expected=f"mode {mode:04o}, owner {_user(here)}",
            found=f"{stat.S_IMODE(found.st_mode):04o}",
            next=f"chmod {mode:o} {path}    May it have been copied? Then replace it",
        )


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _unreadable(path: Path, error: OSError) -> Trouble:
    return Trouble(
        Exit.STORAGE,
        f"{path.name} can't be read: {os.strerror(error.errno or errno.EIO)}",
        next=f"look at it: ls -l {path}",
    )


def _not_stored(place: Path, error: OSError, untouched: str, *, needed: int = 0) -> Trouble:
    if error.errno in _FULL:
        return Trouble(
            Exit.STORAGE,
            f"{_FULL[error.errno]} in {place}; {untouched}",
            expected=f"{max(1, -(-needed // 1024))} KiB free",
            found=f"{_free(place) // 1024} KiB",
            next=f"make room (df -h {place}), then again",
        )
    if error.errno in _READ_ONLY:
        return Trouble(
            Exit.STORAGE,
            f"{place} isn't writable; {untouched}",
            next=f"look who may write there: ls -ld {place}",
        )
    return Trouble(
        Exit.STORAGE,
        f"can't write in {place}: {os.strerror(error.errno or errno.EIO)}; {untouched}",
        next=f"look at it: ls -ld {place}",
    )


def _free(place: Path) -> int:
    try:
        found = os.statvfs(place)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
