"""What people and scripts read: results on stdout; progress, prompts and errors on stderr.

A command says everything twice: in words (`say`, `table`), which `--json` silences, and once as
an object (`object`), which only `--json` prints. So neither needs an `if`.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from quorate.exits import Exit, Json, Trouble
from quorate.layout import GAP, WIDTH, columns, folded, room, width, wrapped

# Glyphs always stand beside a word that says the same, so they may vanish.
_PLAIN = str.maketrans({"✓": "ok", "…": "..", "✗": "no", "→": "->", "·": "-"})
_COLOURS = {"✓": "32", "✗": "31", "!": "33", "…": "36"}
_COLOURED = re.compile(r"[✓✗]|^ *[!…](?= )", re.MULTILINE)


class Console:
    """One command's way out.

    `json` is whether scripts read; `plain` whether glyphs are spelt out in ASCII; `practice`, once
    it is known, whether what is shown belongs to a practice instance.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        plain: bool = False,
        colour: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        self.json = json
        self.plain = plain
        self.practice: bool | None = None
        self._colour = colour and not plain
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._marked: set[str] = set()
        self._answered = False
        self._drawn = 0  # how many rows of the screen the next drawing replaces

    @classmethod
    def for_this_process(
        cls, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> "Console":
        """What `--json`, `--plain`, NO_COLOR, TERM and the streams' encoding ask for.

        The arguments are looked at before they are parsed, so that a command line that nobody
        understands is answered in the right form too.
        """
        known = arguments[: arguments.index("--")] if "--" in arguments else arguments
        dumb = environment.get("TERM") == "dumb"
        ascii_only = not _carries_glyphs(sys.stdout) or not _carries_glyphs(sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return cls(
            json="--json" in known,
            plain="--plain" in known or dumb or ascii_only,
            colour=not environment.get("NO_COLOR"),
        )

    @property
    def wide(self) -> int:
        """How long a line of the result may be: as ever, or as the terminal has room."""
        return min(WIDTH, room(self._out))

    # --- results --------------------------------------------------------------------------------

    def say(self, text: str = "") -> None:
        """Lines of the result, for people."""
        if not self.json:
            self._write(self._out, text)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A result in columns, for people."""
        cells = [[self._cell(cell) for cell in row] for row in rows]
        self.say("\n".join(columns(headers, cells, limit=self.wide)))

    def object(self, value: Mapping[str, Json], *, exit: Exit = Exit.DONE) -> None:
        """The whole result, for scripts; once a command."""
        self._answer({**value, "exit": exit.label, "code": int(exit)})

    # --- what goes on ---------------------------------------------------------------------------

    def progress(self, text: str) -> None:
        """A line on what happens now."""
        self._write(self._err, text)

    def redraw(self, text: str) -> None:
        """A line that the next one replaces; without a terminal a line like any other."""
        if not self._err.isatty() or self.plain:
            self.progress(text)
            return
        self._mark(self._err, "")
        above = self._drawn - 1
        clear = f"\x1b[{above}A\r\x1b[J" if above > 0 else "\r\x1b[K"
        painted = self._painted(self._err, text)
        self._err.write(clear + painted)
        self._err.flush()
        self._drawn = painted.count("\n") + 1

    def redone(self, text: str) -> None:
        """The last of the lines that replace each other: it stays."""
        self.redraw(text)
        self._end_drawing()

    def ask(self, question: str) -> None:
        """The beginning of a line that a person completes."""
        self._err.write(self.question(question))
        self._err.flush()

    def question(self, question: str) -> str:
        """How a prompt looks, for whoever writes it next, on a line of its own."""
        self._end_drawing()
        self._mark(self._err, "")
        self._err.flush()
        return f"? {self._spelt(_safe(question))} "

    # --- trouble --------------------------------------------------------------------------------

    def trouble(self, trouble: Trouble) -> None:
        """Why it ended otherwise: words on stderr, or the one object on stdout."""
        if self.json:
            self._answer(trouble.as_json())
        else:
            lines = trouble_lines(trouble, limit=min(WIDTH, room(self._err)))
            self._write(self._err, "\n".join(lines))

    def _answer(self, value: dict[str, Json]) -> None:
        if not self.json:
            return
        import json

        if self._answered:
            raise AssertionError("a command answers with one object, and it has answered")
        self._answered = True
        if self.practice is not None:
            value = {"practice": self.practice, **value}
        self._write(self._out, json.dumps(value, separators=(",", ":")))

    def _write(self, stream: TextIO, text: str) -> None:
        self._end_drawing()
        if self.json and stream is self._out:
            stream.write(text)
        else:
            stream.write(self._painted(stream, self._mark(stream, text) + text))
        stream.write("\n")
        stream.flush()

    def _mark(self, stream: TextIO, text: str) -> str:
        """What says PRACTICE before the first text of a screen.

        Columns begin on the next line, and so does what would be too long beside it.
        Before "" it is written at once. A terminal is one screen, whichever stream leads there.
        """
        screen = "terminal" if stream.isatty() else "out" if stream is self._out else "err"
        if not self.practice or self.json or screen in self._marked:
            return ""
        self._marked.add(screen)
        if not text:
            stream.write("PRACTICE\n")
            return ""
        first = self._spelt(_safe(text.partition("\n")[0]))
        if GAP in first.strip() or width(f"PRACTICE. {first}") > min(WIDTH, room(stream)):
            return "PRACTICE\n"
        return "PRACTICE. "

    def _end_drawing(self) -> None:
        if self._drawn:
            self._err.write("\n")
            self._drawn = 0

    def _spelt(self, text: str) -> str:
        return text.translate(_PLAIN) if self.plain else text

    def _cell(self, text: str) -> str:
        """On one line, so that nobody's words look like a row of their own."""
        return self._spelt(text.replace("\n", "\\u{a}"))

    def _painted(self, stream: TextIO, text: str) -> str:
        text = self._spelt(_safe(text))
        if not stream.isatty():
            return text
        text = "\n".join(folded(text, room(stream)))
        if not self._colour:
            return text
        return _COLOURED.sub(_paint, text)


def trouble_lines(trouble: Trouble, *, limit: int = WIDTH) -> list[str]:
    """`name (exit): what happened`, then what was compared, what to do, and the rule."""
    what = f"{trouble.exit.label} ({int(trouble.exit)}): {trouble.what}"
    lines = ["\n  ".join(wrapped(what, limit - 2))]
    lines += [_labelled(label, text, limit) for label, text in trouble.also.items()]
    compared = [
        _labelled(label, _as_text(value), limit)
        for label, value in (("expected", trouble.expected), ("found", trouble.found))
        if value is not None
    ]
    if len(compared) == 2:
        one = compared[0] + " " * 6 + "found  " + _as_text(trouble.found)
        if width(one) <= limit and "\n" not in one:
            compared = [one]
    lines += compared
    lines += [
        _labelled(label, text, limit)
        for label, text in (("next", trouble.next), ("rule", trouble.rule_line))
        if text is not None
    ]
    return lines


def _labelled(label: str, text: str, limit: int) -> str:
    lines = [line for one in text.split("\n") for line in wrapped(one, limit - 12)]
    return f"  {label:<8}  " + ("\n" + " " * 12).join(lines)


def _as_text(value: Json) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_as_text(item) for item in value)
        case _:
            return str(value)


def _safe(text: str) -> str:
    """`text` without what a terminal might obey, whoever wrote it: control and format characters.

    Others' words stand in quotes besides (`protocol.displayable.shown`).
    """
    return "".join(
        f"\\u{{{ord(one):x}}}" if one != "\n" and unicodedata.category(one)[0] == "C" else one
        for one in text
    )


def _paint(match: re.Match[str]) -> str:
    glyph = match[0].lstrip()
    return f"{match[0][: -len(glyph)]}\x1b[{_COLOURS[glyph]}m{glyph}\x1b[0m"


def _carries_glyphs(stream: TextIO) -> bool:
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        "✓…✗→·".encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True
