"""Who reads what, on which stream, in which letters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.console import Console
from quorate.exits import Exit, Trouble
from quorate.layout import WIDTH, columns, folded, room, width
from tests.cast.streams import Screen, Streams


def test_people_get_words_on_stdout_and_no_object():
    streams = Streams()
    streams.console.say("✓ done")
    streams.console.table(("A",), (("1",),))
    streams.console.object({"a": 1})
    streams.console.progress("… under way")
    assert streams.both == ("✓ done\nA\n1\n", "… under way\n")


def test_scripts_get_one_object_on_stdout():
    streams = Streams(json=True)
    streams.console.say("✓ done")
    streams.console.progress("… under way")
    streams.console.object({"a": "é\u202e"})
    out, err = streams.both
    assert json.loads(out) == {"a": "é\u202e", "exit": "done", "code": 0}
    assert out.isascii() and out.count("\n") == 1
    assert err == "… under way\n"
    with pytest.raises(AssertionError, match="one object"):
        streams.console.object({"b": 2})


def test_trouble_goes_to_stderr_or_is_the_object():
    trouble = Trouble(Exit.CLOCK, "4 min behind", next="set it")
    people, scripts = Streams(), Streams(json=True)
    people.console.trouble(trouble)
    scripts.console.trouble(trouble)
    assert people.both == ("", "clock (11): 4 min behind\n  next      set it\n")
    assert json.loads(scripts.both[0])["exit"] == "clock"
    assert scripts.both[1] == ""


def test_practice_is_the_first_word_and_a_field():
    people, scripts = Streams(), Streams(json=True)
    people.console.practice = scripts.console.practice = True
    people.console.say("one")
    people.console.say("two")
    scripts.console.object({})
    assert people.both[0] == "PRACTICE. one\ntwo\n"
    assert json.loads(scripts.both[0])["practice"] is True
    refused = Streams()
    refused.console.practice = True
    refused.console.trouble(Trouble(Exit.REFUSED, "no"))
    assert refused.both[1] == "PRACTICE. refused (3): no\n"


def test_practice_stands_alone_before_columns_and_questions():
    table, asked = Streams(), Streams(terminal=True)
    for streams in (table, asked):
        streams.console.practice = True
    table.console.table(("ID", "WHAT"), (("7", "commit"),))
    assert table.both[0] == "PRACTICE\nID  WHAT\n7   commit\n"
    asked.console.ask("Name:")
    asked.console.say("one")
    assert asked.both == ("one\n", "PRACTICE\n? Name: ")


def test_practice_stands_alone_before_what_would_be_too_long_beside_it():
    for letters, first in ((WIDTH - 10, "PRACTICE. "), (WIDTH - 9, "PRACTICE\n")):
        streams = Streams()
        streams.console.practice = True
        streams.console.say("a" * letters + "\n" + "b" * WIDTH)
        assert streams.both[0] == first + "a" * letters + "\n" + "b" * WIDTH + "\n"


def test_streams_that_lead_elsewhere_are_screens_of_their_own():
    streams = Streams()
    streams.console.practice = True
    streams.console.progress("… under way")
    streams.console.say("done")
    assert streams.both == ("PRACTICE. done\n", "PRACTICE. … under way\n")


def test_nobody_reaches_the_terminal_with_what_it_obeys():
    streams = Streams(terminal=True, colour=True)
    streams.console.say("✓ \x1b[2Jall\r\u202egood\x07")
    assert streams.both[0] == ("\x1b[32m✓\x1b[0m \\u{1b}[2Jall\\u{d}\\u{202e}good\\u{7}\n")
    streams.console.trouble(Trouble(Exit.REFUSED, "no", found="\x1b]0;x"))
    assert "\x1b]" not in streams.both[1]


def test_long_trouble_wraps_under_its_label():
    streams = Streams()
    streams.console.trouble(Trouble(Exit.REFUSED, "no", next="word " * 30))
    lines = streams.both[1].splitlines()
    assert all(width(line) <= WIDTH for line in lines)
    assert lines[2].startswith(" " * 12 + "word")


def test_plain_spells_glyphs_out_before_columns_are_measured():
    streams = Streams(plain=True, terminal=True, colour=True)
    streams.console.say("✓ 0 → 2 · f1a0… ✗")
    streams.console.table(("KEY", "OK"), (("f1a0…", "✓"), ("f1a0", "✗")))
    assert streams.both[0] == "ok 0 -> 2 - f1a0.. no\nKEY     OK\nf1a0..  ok\nf1a0    no\n"


def test_colour_is_on_glyphs_only():
    streams = Streams(terminal=True, colour=True)
    streams.console.say("  ! mind the … and ✓!")
    assert streams.both[0] == "  \x1b[33m!\x1b[0m mind the … and \x1b[32m✓\x1b[0m!\n"


@pytest.mark.parametrize("options", [{"terminal": True}, {"colour": True}])
def test_no_colour_without_a_terminal_or_a_wish(options: dict[str, bool]):
    streams = Streams(**options)
    streams.console.say("✓ done")
    assert streams.both[0] == "✓ done\n"


def test_a_redrawn_line_is_replaced_on_a_terminal_and_repeated_elsewhere():
    drawn, written = Streams(terminal=True), Streams()
    for streams in (drawn, written):
        streams.console.redraw("1 of 2")
        streams.console.redraw("2 of 2")
        streams.console.progress("done")
    assert drawn.both[1] == "\r\x1b[K1 of 2\r\x1b[K2 of 2\ndone\n"
    assert written.both[1] == "1 of 2\n2 of 2\ndone\n"


def narrow(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    """Every terminal has lines of so many cells."""
    monkeypatch.setattr("quorate.console.room", lambda stream: cells)


def test_a_redrawn_line_that_takes_two_rows_is_replaced_whole(monkeypatch: pytest.MonkeyPatch):
    narrow(monkeypatch, 12)
    streams = Streams(terminal=True)
    streams.console.redraw("1 of 2, waiting")
    streams.console.redraw("2 of 2")
    streams.console.redraw("done")
    assert streams.both[1] == ("\r\x1b[K1 of 2,\nwaiting\x1b[1A\r\x1b[J2 of 2\r\x1b[Kdone")


def test_on_a_narrow_terminal_words_stay_whole(monkeypatch: pytest.MonkeyPatch):
    narrow(monkeypatch, 24)
    streams = Streams(terminal=True)
    streams.console.say("  Key       c25c2e61 4c83400d 3483073f")
    streams.console.say("✓ logged in: you can't sign")
    streams.console.table(["ID", "WHAT"], [["7", "commit the new master key"]])
    streams.console.trouble(Trouble(Exit.USAGE, "no such option", next="quorate demo --help"))
    assert streams.both[0].split("\n") == [
        "  Key       c25c2e61",
        "            4c83400d",
        "            3483073f",
        "✓ logged in: you can't",
        "sign",
        "ID  WHAT",
        "7   commit the new",
        "    master key",
        "",
    ]
    assert "  next      quorate demo\n            --help\n" in streams.both[1]


def test_what_goes_elsewhere_is_not_folded(monkeypatch: pytest.MonkeyPatch):
    narrow(monkeypatch, 12)
    streams = Streams()
    streams.console.say("words for a file or another program")
    assert streams.both[0] == "words for a file or another program\n"


@given(st.text("ab  ", max_size=60), st.integers(1, 30))
def test_folding_loses_no_word(text: str, cells: int):
    lines = list(folded(text, cells))
    assert " ".join(lines).split() == text.split()
    if "  " not in text.strip(" "):  # there is no label, which stays with its first word
        assert all(width(line) <= cells or len(line.split()) == 1 for line in lines)


def test_a_stream_that_is_no_terminal_has_room_for_any_line():
    assert room(Screen()) > WIDTH


@pytest.mark.parametrize(
    ("arguments", "environment", "wanted"),
    [
        (["agent", "--json"], {}, (True, False)),
        (["--plain", "agent"], {}, (False, True)),
        (["agent"], {"TERM": "dumb"}, (False, True)),
        (["agent", "--", "--json"], {"TERM": "xterm"}, (False, False)),
    ],
)
def test_the_command_line_and_the_environment_say_how(
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    wanted: tuple[bool, bool],
):
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}", _Encoded("utf-8"))
    console = Console.for_this_process(arguments, environment)
    assert (console.json, console.plain) == wanted


def test_a_stream_that_cannot_show_glyphs_is_plain(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdout", _Encoded("utf-8"))
    monkeypatch.setattr("sys.stderr", _Encoded("iso8859-1"))
    assert Console.for_this_process([], {}).plain


class _Encoded:
    def __init__(self, encoding: str) -> None:
        self.encoding = encoding


def test_columns_are_two_blanks_apart():
    assert columns(("ID", "WHAT"), (("7", "commit"), ("12", "é"))) == [
        "ID  WHAT",
        "7   commit",
        "12  é",
    ]


def test_wide_characters_take_two_cells_and_accents_none():
    assert width("鍵") == 2
    assert width("e\u0301") == 1
    assert columns(("A", "B"), (("鍵", "x"), ("yy", "z"))) == ["A   B", "鍵  x", "yy  z"]


def test_a_table_too_wide_wraps_its_last_cells():
    lines = columns(("ID", "UNIT"), (("11", "FAILOVER [eu-gb]. [AZ1-CS1]"),), limit=16)
    assert lines == ["ID  UNIT", "11  FAILOVER", "    [eu-gb].", "    [AZ1-CS1]"]


words = st.lists(st.text("abc", min_size=1, max_size=40), min_size=1, max_size=8).map(" ".join)


@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=5))
def test_no_letter_is_lost_and_no_line_is_needlessly_long(rows: list[tuple[str, str, str]]):
    lines = columns(("a", "b", "c"), rows)
    assert sorted("".join(lines).replace(" ", "")) == sorted(
        "abc" + "".join("".join(row).replace(" ", "") for row in rows)
    )
    longest = sum(max(width(word) for row in rows for word in row[i].split()) for i in range(3))
    assert all(width(line) <= max(WIDTH, longest + 4) for line in lines)
