"""Master key part files: `alice-part.part`. A part leaves its file only sealed to one unit."""

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from protocol.files.keyfile import PART_BYTES, write_key_part
from protocol.files.keyfile_header import KeyPartHeader, PartName
from protocol.identifiers import VP, Instant
from protocol.secrets import Secret
from quorate.crash_points import crash_point
from quorate.exits import Exit, Trouble
from signer_agent.keys import locked_files
from signer_agent.keys.locked_files import Listing, LockedFile
from signer_agent.steps import PART_FILE_WRITTEN

SUFFIX = ".part"
_HEX_DIGITS = re.compile(rb"[0-9A-Fa-f]*")


@dataclass(frozen=True)
class PartFile(LockedFile[KeyPartHeader]):
    """A key part file that was whole, and private to its owner, when it was looked at."""

    @property
    def name(self) -> PartName:
        """What its custodian calls it."""
        return self.header.name

    @property
    def vp(self) -> VP:
        """The part's verification pattern."""
        return self.header.vp

    def unlock(self, password: Secret, *, practice: bool) -> Secret:
        """The 32 bytes, for a charter that is practice or isn't.

        WrongPractice if the part wasn't made for that; WrongPassword; Damaged, Unsupported or
        OtherKey if the file isn't what it was; OutOfMemory; Trouble if others can read it. Takes
        most of a second of one core and 256 MiB: not for an event loop's own thread.
        """
        return self._open(password, practice=practice)


def new_part() -> Secret:
    """A random key part."""
    return Secret(secrets.token_bytes(PART_BYTES))


def part_from_hex(digits: Secret) -> Secret:
    """The key part that 64 hex digits spell, blanks between them allowed; refused Trouble if not.

    The digits are a secret: they come from a hidden prompt or standard input, never from argv.
    """
    text = digits.reveal().replace(b" ", b"").strip()
    if not _HEX_DIGITS.fullmatch(text):
        raise _no_part("something else among them")
    if len(text) != 2 * PART_BYTES:
        raise _no_part(str(len(text)))
    return Secret(bytes.fromhex(text.decode()))


def keep(
    directory: Path,
    part: Secret,
    password: Secret,
    *,
    name: PartName,
    practice: bool,
    at: Instant,
) -> PartFile:
    """Stores a key part in a new file in `directory`. Trouble if it can't be stored."""
    data = write_key_part(
        part,
        password,
        name=name,
        created=at,
        practice=practice,
        lock=locked_files.new_lock(practice=practice),
    )
    untouched = "no key part was made or announced"
    path = locked_files.store(directory, name, SUFFIX, data, untouched=untouched)
    crash_point(PART_FILE_WRITTEN)
    return open_file(path)


def open_file(path: Path) -> PartFile:
    """Looks at one key part file, without its password. Errors as `unlock`."""
    return PartFile(path, locked_files.read(KeyPartHeader, path).header)


def list_in(directory: Path) -> Listing[PartFile]:
    """The key part files in `directory`, and those that can't be used."""
    return locked_files.list_in(directory, SUFFIX, open_file)


def _no_part(found: str) -> Trouble:
    return Trouble(
        Exit.REFUSED,
        "that is no key part; none was made",
        expected="64 hex digits",
        found=found,
        next="look at what you copied from, then again",
    )
