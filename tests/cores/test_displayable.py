"""Names, and other people's words: safe to show."""

import string
from typing import Any

import pytest

from protocol.displayable import (
    AccountName,
    AdministratorName,
    InstanceName,
    PersonName,
    Purpose,
    is_printable_string,
    shown,
)
from protocol.schema import from_plain
from protocol.violations import Violation


def accepts(kind: Any, text: str) -> bool:
    try:
        return bool(from_plain(kind, text) == text)
    except Violation:
        return False


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            AdministratorName,
            ["a", "x" * 30, "O'Hara (2)", "a+b,c-d./e:f=g?", "Alice 2"],
            ["", "x" * 31, "ä", "a_b", "a@b", "a\n", "a\tb", 'a"b', "a*b", "a&b", "\x1b[m"],
        ),
        (
            PersonName,
            ["a", "alice", "alice.b", "a-b", "0", "x" * 30],
            ["", "x" * 31, "Alice", "älice", "alice\n", "al ice", ".a", "-a", "a_b", "\u0430lice"],
        ),
        (
            InstanceName,
            ["ledger-eu", "x" * 64, "1.2"],
            ["", "x" * 65, "Ledger", "ledger-eu\n", "-x", "led ger", "l/e"],
        ),
        (
            AccountName,
            ["amy", "amy@example.org", "x" * 64],
            ["", "x" * 65, "Amy", "amy\n", "@amy", "amy bo"],
        ),
        (Purpose, ["", "x" * 500, "any words: ä \u202e"], ["x" * 501]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_names(kind: Any, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not accepts(kind, text)] == []
    assert [text for text in bad if accepts(kind, text)] == []


def test_printable_string_is_the_74_characters_of_x680() -> None:
    allowed = {chr(code) for code in range(0x250) if is_printable_string(chr(code))}
    assert allowed == set(string.ascii_letters + string.digits + " '()+,-./:=?")
    assert len(allowed) == 74
    assert is_printable_string("")
    assert not is_printable_string("abc\n")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", '""'),
        ("plain words, 1 + 2", '"plain words, 1 + 2"'),
        ("é Ж 中 🔑 €", '"é Ж 中 🔑 €"'),
        ('"quoted"', '"\\"quoted\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("\\u{1b}", '"\\\\u{1b}"'),
        ("\x1b[31mred", '"\\u{1b}[31mred"'),
        ("two\nlines\r\t", '"two\\u{a}lines\\u{d}\\u{9}"'),
        ("\x00\x7f\x9b", '"\\u{0}\\u{7f}\\u{9b}"'),
        ("\u202eevil", '"\\u{202e}evil"'),
        ("\u2066\u2069\u200b\ufeff", '"\\u{2066}\\u{2069}\\u{200b}\\u{feff}"'),
        ("no\xa0break\u2003space", '"no\\u{a0}break\\u{2003}space"'),
        ("\u2028\u2029", '"\\u{2028}\\u{2029}"'),
        ("e\u0301\u0332", '"e\\u{301}\\u{332}"'),
        ("\ue000\U0010fffd\U000e0041", '"\\u{e000}\\u{10fffd}\\u{e0041}"'),
    ],
)
def test_others_words_are_quoted_and_what_a_terminal_obeys_is_spelt_out(
    text: str, seen: str
) -> None:
    assert shown(text) == seen


def test_no_two_texts_are_shown_alike() -> None:
    texts = [chr(code) for code in range(0x3000)] + ["\\" + chr(code) for code in range(0x100)]
    texts += [f"\\u{{{code:x}}}" for code in range(0x100)]
    assert len({shown(text) for text in texts}) == len(set(texts))
