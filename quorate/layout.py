"""How text is laid out for people: tables, lines that aren't too long, a narrow terminal.

Nothing here writes anything.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TextIO

WIDTH = 100
"""No line is longer, where it can be helped."""
GAP = "  "
"""Between columns, and between a label and its text."""
_LABEL = re.compile(r" *\S+(?: \S+)* {2,}(?=\S)")


def room(stream: TextIO) -> int:
    """How many cells a line of the terminal at `stream` has; no limit where nobody knows."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or sys.maxsize
    except (OSError, ValueError):
        return sys.maxsize


def folded(text: str, room: int) -> Iterator[str]:
    """The lines of `text`; one that is too long goes on below its own beginning, or its text."""
    for line in text.split("\n"):
        if width(line) <= room:
            yield line
            continue
        label = _LABEL.match(line)
        start = 0 if label is None else label.end()
        if start == 0 or start > room // 2:
            start = len(line) - len(line.lstrip(" "))
        for number, part in enumerate(wrapped(line[start:], room - start)):
            yield (line[:start] if number == 0 else " " * start) + part.strip(" ")


def columns(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, limit: int = WIDTH
) -> list[str]:
    """The lines of a table: two blanks between columns, no frame, nothing cut.

    Where a table is wider than `limit`, the last columns that can be broken at blanks wrap.
    """
    table = [list(headers), *(list(row) for row in rows)]
    widths = [max(width(line[i]) for line in table) for i in range(len(headers))]
    over = sum(widths) + len(GAP) * (len(widths) - 1) - limit
    for i in reversed(range(len(widths))):
        if over <= 0:
            break
        narrowest = max(width(word) for line in table for word in line[i].split(" "))
        less = min(over, widths[i] - narrowest)
        widths[i] -= less
        over -= less
    lines: list[str] = []
    for row in table:
        cells = [wrapped(cell, wide) for cell, wide in zip(row, widths, strict=True)]
        for n in range(max(len(cell) for cell in cells)):
            parts = [
                _padded(cell[n] if n < len(cell) else "", wide)
                for cell, wide in zip(cells, widths, strict=True)
            ]
            lines.append(GAP.join(parts).rstrip())
    return lines


def width(text: str) -> int:
    """How many cells of a terminal `text` takes."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _padded(text: str, wide: int) -> str:
    return text + " " * (wide - width(text))


def wrapped(text: str, wide: int) -> list[str]:
    """The lines of `text`, broken at blanks so that none is wider, where that can be helped."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width(longer) <= wide or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
