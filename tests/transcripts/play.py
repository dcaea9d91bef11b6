"""Plays a session file in real terminals and compares every line.

A session file is what people see and type, with remarks after `#`:

    alice$ quorate tke sigkey-add           a command, typed in Alice's terminal
    ? Administrator name: {alice}           {what is typed}, and echoed
    ? New password: {*secret*}                {*what is typed*}, and never shown
    … 1 of 2: alice    waiting for <...>    progress: must be drawn at some time
    (alice)                                 back to Alice's terminal, where a command still runs
    ...                                     any lines
    ^C                                      Ctrl-C is typed

Placeholders: `<hex NAME>`, `<vp NAME>` (eight groups) and `<short NAME>` are digits, the same
wherever the name is the same; those of `_ANY` are any such; `<dir>` is the stack's directory. An
error line, `refused (3): ...`, says the exit code; else it is 0. Lines that begin with `…` may come
more often than the file says.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.rim.terminal import Terminal

PROGRAM = "from quorate.__main__ import main; main()"
_COMMAND = re.compile(r"(\w+)\$ quorate (.*)")
_BACK = re.compile(r"\((\w+)\)")
_TYPED = re.compile(r"\{\*(.*)\*\}|\{(.*)\}")
_TROUBLE = re.compile(r"(?:PRACTICE\. )?[a-z][a-z ]+ \((\d+)\): ")
_REDRAWN = "\r\x1b[K"
_PLACE = re.compile(r"<(\w+)(?: (\w+))?>")
_ANY = {
    "time": r"\w{3} \d{1,2} \w{3} \d\d:\d\d CET \((?:\w{3} )?\d\d:\d\d UTC\)",
    "when": r"\w{3} \d{1,2} \w{3} \d\d:\d\d [A-Z]{3,4}(?: \(.*?\))?",
    "date": r"\w{3} \d{1,2} \w{3} \d\d:\d\d",
    "day": r"\w{3} \d{1,2} \w{3}",
    "clock": r"\d\d:\d\d",
    "left": r"\d+ h(?: \d+ min)? left",
    "ago": r"(?:just now|\d+ seconds? ago)",
    "n": r"\d+",
    "word": r"[a-z]+ *",
    "address": r"127\.0\.0\.1:\d+",
    "serial": r"[0-9A-Z]{8}",
}


@dataclass
class _Running:
    """A command in somebody's terminal, and how far its lines were compared."""

    terminal: Terminal
    where: str
    seen: int = 0
    code: int = 0


@dataclass
class Stage:
    """The people, their environment, and what the placeholders stand for."""

    environments: Mapping[str, Mapping[str, str]]
    directory: Path
    digits: dict[str, str] = field(default_factory=dict)
    running: dict[str, _Running] = field(default_factory=dict)

    def play(self, file: Path) -> None:
        """Types what the file says, line by line; AssertionError at the first other line."""
        who = ""
        skipping = False
        for where, line in _lines(file):
            if command := _COMMAND.fullmatch(line):
                self._end(who, skipping=skipping)
                who = command[1]
                self._begin(who, command[2], where)
                skipping = False
            elif back := _BACK.fullmatch(line):
                self._end(who, skipping=skipping)
                who = back[1]
                skipping = False
            elif line == "^C":
                self.running[who].terminal.type("\x03")
            elif line == "...":
                skipping = True
            else:
                self._expect(self.running[who], line, where, skipping=skipping)
                skipping = False
        self._end(who, skipping=skipping)
        for name in list(self.running):
            self._end(name, still=False)

    def close(self) -> None:
        """Ends what still runs."""
        for running in self.running.values():
            running.terminal.__exit__(None, None, None)

    def _begin(self, who: str, arguments: str, where: str) -> None:
        self._end(who, still=False)
        words = shlex.split(arguments.replace("<dir>", str(self.directory)))
        terminal = Terminal(PROGRAM, words, self.environments[who])
        self.running[who] = _Running(terminal, where)

    def _end(self, who: str, *, skipping: bool = False, still: bool = True) -> None:
        """The command in this terminal ends; if it shows progress, it may `still` go on."""
        running = self.running.get(who)
        if running is None or (still and _waits(running)):
            return
        code = running.terminal.ends()
        lines = _drawn(running.terminal.screen)[running.seen :]
        rest = [line for line, _ in lines if not _is_progress(line)]
        if rest and not skipping:
            raise AssertionError(_report(running, running.where, "nothing more", rest[0]))
        if code != running.code:
            raise AssertionError(
                _report(running, running.where, f"exit code {running.code}", f"{code}")
            )
        running.terminal.__exit__(None, None, None)
        del self.running[who]

    def _expect(self, running: _Running, line: str, where: str, *, skipping: bool) -> None:
        typed = _TYPED.search(line)
        if typed is not None:
            # Up to what is typed; an echoed answer is on the line that is compared afterwards.
            begin, hidden, echoed = line[: typed.start()], typed[1], typed[2]
            self._next(running, begin.rstrip(), where, skipping=skipping, begun=True)
            running.terminal.type(f"{echoed if hidden is None else hidden}\n")
            line = begin + (echoed or "")
            skipping = False
        self._next(running, line.rstrip(), where, skipping=skipping)
        if trouble := _TROUBLE.match(line):
            running.code = int(trouble[1])

    def _next(
        self, running: _Running, line: str, where: str, *, skipping: bool, begun: bool = False
    ) -> None:
        """Waits for the line; with `begun` for its beginning, and it stays the next one."""
        going = True
        while True:
            lines = _drawn(running.terminal.screen, over=not going)
            for position in range(running.seen, len(lines)):
                found, complete = lines[position]
                if (complete or begun) and self._same(line, found, begun=begun):
                    running.seen = position + (not begun)
                    return
                if not complete:
                    break
                if not skipping and not _is_progress(found):
                    raise AssertionError(_report(running, where, line, found))
            if not going:
                raise AssertionError(_report(running, where, line, "the end"))
            going = running.terminal.more()

    def _same(self, line: str, found: str, *, begun: bool) -> bool:
        """Whether the screen's line is the file's; binds the digits that it names."""
        pattern, names = self._pattern(line)
        match = (re.match if begun else re.fullmatch)(pattern, found)
        if match is None:
            return False
        digits = {name: match[group].replace(" ", "") for group, name in names.items()}
        if any(not _agree(self.digits.get(name, of), of) for name, of in digits.items()):
            return False
        for name, of in digits.items():
            self.digits[name] = max(of, self.digits.get(name, ""), key=len)
        return True

    def _pattern(self, line: str) -> tuple[str, dict[str, str]]:
        names: dict[str, str] = {}

        def one(match: re.Match[str]) -> str:
            kind, name = match[1], match[2]
            if kind == "dir":
                return re.escape(str(self.directory))
            if kind in _ANY:
                return _ANY[kind]
            pattern = {
                "hex": "[0-9a-f]{64}",
                "vp": "[0-9a-f]{8}(?: [0-9a-f]{8}){7}",
                "short": "[0-9a-f]{8}",
            }[kind]
            group = f"g{len(names)}"
            names[group] = name
            return f"(?P<{group}>{pattern})" + ("…" if kind == "short" else "")

        out, last = "", 0
        for match in _PLACE.finditer(line):
            out += re.escape(line[last : match.start()]) + one(match)
            last = match.end()
        return out + re.escape(line[last:]), names


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
        if line and not line.startswith("#"):
            yield f"{file.name}:{number}", line


def _drawn(screen: str, *, over: bool = True) -> list[tuple[str, bool]]:
    """The lines as they were drawn, each that was drawn over on its own, and if they are complete.

    `over` says that no more comes. Empty lines don't matter.
    """
    lines = [part.rstrip() for line in screen.split("\n") for part in line.split(_REDRAWN)]
    last = len(lines) - 1
    return [
        (line, over or place < last or _is_progress(line))
        for place, line in enumerate(lines)
        if line
    ]


def _is_progress(line: str) -> bool:
    return line.startswith("…")


def _waits(running: _Running) -> bool:
    """Whether the last thing compared was progress: the command goes on."""
    lines = _drawn(running.terminal.screen)
    return running.seen > 0 and _is_progress(lines[running.seen - 1][0])


def _agree(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _report(running: _Running, where: str, expected: str, found: str) -> str:
    return f"{where}\nexpected  {expected}\nfound     {found}\n\n{running.terminal.screen}"
