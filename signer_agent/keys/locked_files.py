"""Password-protected key files in a directory: what signature keys and key parts have in common.

Whatever is wrong with a file itself is a `KeyFileError`; whatever is wrong with the disk, the mode
or the owner is a `Trouble`. `troubles.as_trouble` turns the first into the second for people.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from protocol.files.keyfile import (
    MAX_BYTES,
    KeyFile,
    KeyFileError,
    OtherKey,
    check_practice,
    parse,
    unlock,
    with_new_password,
)
from protocol.files.keyfile_header import KeyPartHeader, L, LockedHeader, SignatureKeyHeader
from protocol.files.password_lock import NONCE_BYTES, SALT_BYTES, PasswordLock, usual_cost
from protocol.identifiers import Instant, grouped
from protocol.secrets import Secret
from quorate import private_files
from quorate.exits import Exit, Trouble
from signer_agent.keys.copies import Copy, copy_key_file

F = TypeVar("F")


@dataclass(frozen=True)
class LockedFile(Generic[L]):
    """A key file that was whole, and private to its owner, when it was looked at."""

    path: Path
    header: L

    @property
    def created(self) -> Instant:
        """When the key was made."""
        return self.header.created

    @property
    def practice(self) -> bool:
        """Whether the key is for practice only."""
        return self.header.practice

    def change_password(self, old: Secret, new: Secret) -> None:
        """Locks the file with another password, at today's usual cost.

        The file is the old one or the new one at any time. Copies made before still open with the
        old password. Errors as opening; ValueError for an empty new password.
        """
        lock = new_lock(practice=self.practice)
        data = with_new_password(self._reread(), old, new, lock=lock)
        private_files.write(self.path, data, untouched=f"{self.path.name} has its old password")

    def copy_to(self, destination: Path) -> Copy:
        """Copies the file as it is to a directory or a new file, and reads the copy again."""
        return copy_key_file(self.path, destination)

    def remove(self) -> None:
        """Deletes the file. What the disk still holds of it is locked by its password."""
        try:
            private_files.remove(self.path, untouched=f"{self.path.name} is still there")
        except FileNotFoundError:
            raise _gone(self.path) from None

    def _open(self, password: Secret, *, practice: bool) -> Secret:
        file = self._reread()
        check_practice(file.header, practice=practice)
        return unlock(file, password)

    def _reread(self) -> KeyFile[L]:
        """The file as it is now; OtherKey if another was put in its place."""
        file = read(type(self.header), self.path)
        meant, found = public_value(self.header), public_value(file.header)
        if found != meant:
            raise OtherKey(expected=grouped(meant), found=grouped(found))
        return file


@dataclass(frozen=True)
class Unusable:
    """A file that has the right suffix and can't be used, and why."""

    path: Path
    why: KeyFileError | Trouble


@dataclass(frozen=True)
class Listing(Generic[F]):
    """The key files of one kind in a directory, by file name."""

    usable: tuple[F, ...]
    unusable: tuple[Unusable, ...]


def public_value(header: LockedHeader) -> bytes:
    """What names the key to others: the SKI of a signature key, the VP of a part."""
    match header:
        case SignatureKeyHeader():
            return header.ski
        case KeyPartHeader():
            return header.vp


def read(kind: type[L], path: Path) -> KeyFile[L]:
    """Reads one key file, without its password, from a directory that others can't change."""
    try:
        private_files.only_owner_writes(path.parent)
        data = private_files.read(path, limit=MAX_BYTES)
    except FileNotFoundError:
        raise _gone(path) from None
    return parse(kind, data)


def list_in(directory: Path, suffix: str, look: Callable[[Path], F]) -> Listing[F]:
    """Looks at every file with this suffix. A directory that isn't there holds none."""
    try:
        paths = sorted(path for path in directory.iterdir() if _is_key_file(path, suffix))
    except FileNotFoundError:
        paths = []
    except OSError as error:
        raise Trouble(
            Exit.STORAGE,
            f"{directory} can't be read: {error.strerror}",
            next=f"look at it: ls -ld {directory}",
        ) from None
    usable: list[F] = []
    unusable: list[Unusable] = []
    for path in paths:
        try:
            usable.append(look(path))
        except (KeyFileError, Trouble) as why:
            unusable.append(Unusable(path, why))
    return Listing(tuple(usable), tuple(unusable))


def store(directory: Path, name: str, suffix: str, data: bytes, *, untouched: str) -> Path:
    """Writes a new key file under a name of its own, in a directory that is made if missing."""
    path = place(directory, name, suffix)
    private_files.create(path, data, untouched=untouched)
    return path


def place(directory: Path, name: str, suffix: str) -> Path:
    """Where a new key file goes: a free name, in a directory that is made if missing."""
    private_files.directory(directory)
    return directory / free_file_name(name, suffix, {path.name for path in directory.iterdir()})


def free_file_name(name: str, suffix: str, taken: set[str]) -> str:
    """A file name like `alice.sig` for a key called `alice`, unlike all that are taken.

    Letters, digits, `_` and `-` stay; all else becomes `-`, so that no name leads out of the
    directory, hides the file, or needs quoting. Two names that differ in case only count as one,
    as they would on a USB stick.
    """
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "key"
    folded = {other.casefold() for other in taken}
    candidate, number = stem + suffix, 1
    while candidate.casefold() in folded:
        number += 1
        candidate = f"{stem}-{number}{suffix}"
    return candidate


def new_lock(*, practice: bool) -> PasswordLock:
    """A lock at today's usual cost with fresh randomness."""
    return PasswordLock(
        cost=usual_cost(practice=practice),
        salt=secrets.token_bytes(SALT_BYTES),
        nonce=secrets.token_bytes(NONCE_BYTES),
    )


def _is_key_file(path: Path, suffix: str) -> bool:
    return path.name.endswith(suffix) and not path.name.startswith(".")


def _gone(path: Path) -> Trouble:
    return Trouble(
        Exit.DAMAGED,
        f"{path.name} isn't there any more",
        expected=str(path),
        found="no file",
        next=f"put your copy of {path.name} back",
    )
