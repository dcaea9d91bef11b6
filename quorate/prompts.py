"""What people are asked: hidden passwords, answers, y/N. Scripts give files or descriptors.

Without a terminal a question is usage trouble that names the option to give instead.
"""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from protocol.secrets import Secret
from quorate import private_files
from quorate.console import Console
from quorate.exits import Exit, Trouble

_LIMIT = 64 * 1024
_TRIES = 3
_INSTEAD = "--password-file FILE or --password-fd N"
F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class PasswordSource:
    """Where a command's passwords come from: nowhere given means from a person.

    A file or descriptor holds one password a line, in the order in which they are asked for; a
    single line answers every question.
    """

    file: Path | None = None
    descriptor: int | None = None
    credential: str | None = None

    def passwords(self, console: Console) -> "Passwords":
        """Reads them, once."""
        given = [self.file, self.descriptor, self.credential]
        if sum(source is not None for source in given) > 1:
            raise Trouble(
                Exit.USAGE,
                "passwords come from one place",
                expected="one of --password-file, --password-fd, --password-credential",
                next="give one of them",
            )
        if self.file is not None:
            try:
                return Passwords(console, _lines(private_files.read(self.file, limit=_LIMIT)))
            except FileNotFoundError:
                raise _no_file("--password-file", str(self.file)) from None
        if self.descriptor is not None:
            return Passwords(console, _lines(drained(self.descriptor, "--password-fd")))
        if self.credential is not None:
            return Passwords(console, _lines(_credential(self.credential)))
        return Passwords(console, None)


class Passwords:
    """Answers to a command's password questions."""

    def __init__(self, console: Console, given: list[Secret] | None) -> None:
        self._console = console
        self._given = given
        self._asked = 0

    @property
    def tries(self) -> int:
        """How often a wrong password may be followed by another: scripts have one try."""
        return _TRIES if self._given is None else 1

    def ask(self, question: str) -> Secret:
        """One password, for a question like `Password for bob.sig (empty: don't sign):`."""
        if self._given is None:
            return hidden(self._console, question)
        self._asked += 1
        if len(self._given) == 1:
            return Secret(self._given[0].reveal())
        if self._asked > len(self._given):
            raise Trouble(
                Exit.USAGE,
                f"too few passwords were given: {question}",
                expected=f"at least {self._asked} lines, or one for all",
                found=f"{len(self._given)} lines",
                next="add a line, in the order of the questions",
            )
        return self._given[self._asked - 1]

    def choose(self) -> Secret:
        """A new password, typed twice; refused trouble when it is empty or never the same."""
        for _ in range(self.tries):
            first = self.ask("New password:")
            if first.is_empty():
                raise Trouble(
                    Exit.REFUSED, "an empty password protects nothing", next="choose another"
                )
            if self._given is not None or first.matches(hidden(self._console, "The same again:")):
                return first
            self._console.progress("! the two aren't the same. Again:")
        raise Trouble(Exit.REFUSED, "no password was chosen; nothing was made", next="begin again")


def password_options(command: F) -> F:
    """Gives a command `--password-file`, `--password-fd` and `--password-credential`.

    It gets one argument, `password_source`.
    """
    for option in (_credential_option, _descriptor_option, _file_option):
        command = option(command)
    return command


def _part(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def store(context: click.Context, _: click.Parameter, value: Any) -> None:
        before: PasswordSource = context.params.get("password_source", PasswordSource())
        context.params["password_source"] = replace(before, **{name: value})

    return store


_file_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    expose_value=False,
    callback=_part("file"),
    help="for scripts: one password a line, or one for all",
)
_descriptor_option = click.option(
    "--password-fd",
    type=click.IntRange(min=0),
    metavar="N",
    expose_value=False,
    callback=_part("descriptor"),
    help="the same, from an open descriptor",
)
_credential_option = click.option(
    "--password-credential",
    metavar="NAME",
    expose_value=False,
    callback=_part("credential"),
    help="the same, from a systemd credential of that name",
)


def answer(console: Console, question: str, *, instead: str) -> str:
    """A line that a person types after `question`; `instead` is the option for scripts."""
    _needs_terminal(question, instead)
    with _interruptible():
        console.ask(question)
        line = sys.stdin.readline()
    if not line:
        raise click.Abort
    return line.strip()


def confirmed(console: Console, question: str, *, instead: str) -> bool:
    """Whether a person says y; Enter is No."""
    while True:
        said = answer(console, f"{question} [y/N]", instead=instead).lower()
        if said in ("y", "yes"):
            return True
        if said in ("", "n", "no"):
            return False


def hidden(console: Console, question: str, *, instead: str = _INSTEAD) -> Secret:
    """What a person types without its being shown; `instead` is the option for scripts."""
    import getpass

    _needs_terminal(question, instead)
    try:
        with _interruptible():
            return _as_secret(getpass.getpass(console.question(question)))
    except EOFError:
        raise click.Abort from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the question at once: in a coroutine asyncio would only note it for later."""
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        click.echo(err=True)
        raise click.Abort from None
    finally:
        signal.signal(signal.SIGINT, before)


def _needs_terminal(question: str, instead: str) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise Trouble(
            Exit.USAGE,
            f"there is no terminal to ask on: {question}",
            next=f"give {instead}",
        )


def _as_secret(text: str) -> Secret:
    # The same letters may be typed in several ways (RFC 8265, 4.2.2: normal form C).
    return Secret(unicodedata.normalize("NFC", text).encode())


def _lines(data: bytes) -> list[Secret]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Trouble(
            Exit.USAGE, "the passwords given aren't UTF-8 text", next=f"give {_INSTEAD}"
        ) from None
    return [_as_secret(line) for line in text.removesuffix("\n").split("\n")]


def drained(descriptor: int, option: str) -> bytes:
    """What stands in an open descriptor, which is closed then; `option` named it."""
    try:
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(_LIMIT)
    except OSError as error:
        raise Trouble(
            Exit.USAGE,
            f"{option}: descriptor {descriptor} can't be read: {error.strerror}",
            next=f"open it before: quorate ... {option} 3 3< FILE",
        ) from None


def _credential(name: str) -> bytes:
    """A systemd credential (systemd.exec(5)). Its service manager guards it, whoever owns it."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory is None or "/" in name or name.startswith("."):
        raise _no_file("--password-credential", name)
    try:
        return (Path(directory) / name).read_bytes()
    except OSError:
        raise _no_file("--password-credential", name) from None


def _no_file(option: str, name: str) -> Trouble:
    return Trouble(
        Exit.USAGE, f"{option}: there is no {name}", next="give the name of one that is there"
    )
