"""What people are asked, and what scripts give instead."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.prompts import Passwords, PasswordSource, answer, confirmed, password_options
from tests.cast.streams import Streams
from tests.rim.terminal import Terminal

PROGRAM = """
from quorate.console import Console
from quorate.prompts import PasswordSource, answer, confirmed
console = Console()
passwords = PasswordSource().passwords(console)
"""


def _given(text: str, tmp_path: Path) -> Passwords:
    file = tmp_path / "passwords"
    file.write_text(text)
    file.chmod(0o600)
    return PasswordSource(file=file).passwords(Streams().console)


def test_a_password_is_asked_for_and_never_shown():
    with Terminal(PROGRAM + "print(passwords.ask('Password for bob.sig:').reveal())") as bob:
        bob.expect("? Password for bob.sig: ")
        bob.type("hunter2\n")
        bob.expect("b'hunter2'")
        assert bob.ends() == 0
        assert bob.screen.count("hunter2") == 1


def test_a_new_password_is_typed_twice():
    with Terminal(PROGRAM + "print(passwords.choose().reveal())") as bob:
        for first, again in (("one", "two"), ("three", "three")):
            bob.expect("? New password: ")
            bob.type(first + "\n")
            bob.expect("? The same again: ")
            bob.type(again + "\n")
        bob.expect("b'three'")
        assert "! the two aren't the same. Again:" in bob.screen
        assert bob.ends() == 0


def test_a_question_is_answered_and_enter_is_no():
    program = PROGRAM + (
        "print([answer(console, 'Name:', instead='--name'),"
        "confirmed(console, 'Sure?', instead='--yes'), confirmed(console, 'Sure?', instead='-y')])"
    )
    with Terminal(program) as bob:
        bob.expect("? Name: ")
        bob.type(" alice \n")
        bob.expect("? Sure? [y/N] ")
        bob.type("perhaps\n")
        bob.expect("? Sure? [y/N] ")
        bob.type("Y\n")
        bob.expect("? Sure? [y/N] ")
        bob.type("\n")
        bob.expect("['alice', True, False]")
        assert bob.ends() == 0


def test_the_end_of_input_stops():
    program = PROGRAM + (
        "import click\n"
        "try: answer(console, 'Name:', instead='--name')\n"
        "except click.Abort: print('stopped')"
    )
    with Terminal(program) as bob:
        bob.expect("? Name: ")
        bob.type("\x04")
        bob.expect("stopped")


@pytest.mark.parametrize(
    "question", ["answer(console, 'Name:', instead='')", "passwords.ask('Name:')"]
)
def test_ctrl_c_stops_at_once_also_in_a_coroutine(question: str):
    program = PROGRAM + (
        "import asyncio, click\n"
        f"async def ask(): {question}\n"
        "try: asyncio.run(ask())\n"
        "except click.Abort: print('stopped')"
    )
    with Terminal(program) as bob:
        bob.expect("? Name: ")
        bob.type("\x03")
        bob.expect("stopped")
        assert bob.ends() == 0


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        yield


@pytest.mark.usefixtures("no_terminal")
@pytest.mark.parametrize(
    ("ask", "instead"),
    [
        (lambda console: answer(console, "Name:", instead="--name"), "--name"),
        (lambda console: confirmed(console, "Sure?", instead="--yes"), "--yes"),
        (
            lambda console: PasswordSource().passwords(console).ask("Password:"),
            "--password-file FILE or --password-fd N",
        ),
    ],
)
def test_without_a_terminal_the_option_to_give_is_named(ask, instead: str):
    streams = Streams()
    with pytest.raises(Trouble) as caught:
        ask(streams.console)
    assert caught.value.exit is Exit.USAGE
    assert caught.value.next == f"give {instead}"
    assert streams.both == ("", "")


def test_one_line_answers_all_and_several_answer_in_order(tmp_path: Path):
    one = _given("a b \n", tmp_path)
    assert [one.ask("?").reveal() for _ in range(3)] == [b"a b "] * 3
    two = _given("first\nsecond", tmp_path)
    assert [two.ask("?").reveal() for _ in range(2)] == [b"first", b"second"]
    assert (one.tries, two.tries) == (1, 1)
    with pytest.raises(Trouble, match="too few passwords"):
        two.ask("?")


def test_a_wiped_answer_does_not_spoil_the_next(tmp_path: Path):
    one = _given("secret\n", tmp_path)
    one.ask("?").wipe()
    assert one.ask("?").reveal() == b"secret"


def test_letters_typed_otherwise_are_the_same_password(tmp_path: Path):
    assert _given("e\u0301", tmp_path).ask("?").reveal() == "é".encode()


def test_a_password_file_must_be_private_and_there(tmp_path: Path):
    file = tmp_path / "passwords"
    file.touch(mode=0o644)
    file.chmod(0o644)
    with pytest.raises(Trouble) as caught:
        PasswordSource(file=file).passwords(Streams().console)
    assert caught.value.exit is Exit.EXPOSED
    with pytest.raises(Trouble, match=r"^--password-file: there is no "):
        PasswordSource(file=tmp_path / "none").passwords(Streams().console)


def test_a_descriptor_gives_passwords():
    reader, writer = os.pipe()
    os.write(writer, b"secret\n")
    os.close(writer)
    passwords = PasswordSource(descriptor=reader).passwords(Streams().console)
    assert passwords.ask("?").reveal() == b"secret"
    with pytest.raises(Trouble, match=f"descriptor {reader}"):
        PasswordSource(descriptor=reader).passwords(Streams().console)


def test_a_systemd_credential_gives_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "alice").write_bytes(b"secret")
    source = PasswordSource(credential="alice")
    with pytest.raises(Trouble, match=r"^--password-credential: there is no alice"):
        source.passwords(Streams().console)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert source.passwords(Streams().console).ask("?").reveal() == b"secret"
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "alice").write_bytes(b"other")
    for outside in ("../alice", ".", "bob", "below/alice"):
        with pytest.raises(Trouble, match=r"^--password-credential"):
            PasswordSource(credential=outside).passwords(Streams().console)


def test_what_is_not_text_is_no_password(tmp_path: Path):
    file = tmp_path / "passwords"
    file.write_bytes(b"\xff")
    file.chmod(0o600)
    with pytest.raises(Trouble, match="UTF-8"):
        PasswordSource(file=file).passwords(Streams().console)


def test_an_empty_new_password_is_refused(tmp_path: Path):
    with pytest.raises(Trouble) as caught:
        _given("\n", tmp_path).choose()
    assert caught.value.exit is Exit.REFUSED
    assert _given("good\n", tmp_path).choose().reveal() == b"good"


def test_a_command_gets_one_source_from_three_options():
    @click.command()
    @password_options
    def approve(password_source: PasswordSource) -> PasswordSource:
        return password_source

    def run(*arguments: str) -> PasswordSource:
        source: PasswordSource = approve.main(list(arguments), standalone_mode=False)
        return source

    assert run() == PasswordSource()
    assert run("--password-file", "pw") == PasswordSource(file=Path("pw"))
    assert run("--password-fd", "3") == PasswordSource(descriptor=3)
    assert run("--password-credential", "a") == PasswordSource(credential="a")
    both = run("--password-fd", "3", "--password-file", "pw")
    with pytest.raises(Trouble, match="one place"):
        both.passwords(Console())
