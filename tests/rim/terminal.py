"""A person at a terminal: types lines, reads the screen."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

_PATIENCE_S = 30
# The terminal becomes the process's own, so that a prompt can ask there. A shell's job in the
# background ignores SIGINT, and its children would too: at a terminal it is never ignored.
_BEGIN = (
    "import fcntl, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
)


class Terminal:
    """A Python program on a terminal of its own; stdout, stderr and prompts on one screen.

    `program` is what runs, as for `python -c`; `arguments` are its `sys.argv[1:]`.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN + program, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "PYTHONUTF8": "1", **(environment or {})},
        )
        os.close(theirs)
        self.screen = ""
        self._read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def expect(self, text: str) -> None:
        """Reads until the screen shows `text` below all that was expected before."""
        while (found := self.screen.find(text, self._read)) < 0:
            if not self.more():
                raise AssertionError(f"{text!r} didn't come; the screen is:\n{self.screen}")
        self._read = found + len(text)

    def type(self, keys: str) -> None:
        """Types; end a line with a newline."""
        os.write(self._ours, keys.encode())

    def ends(self) -> int:
        """Reads to the end, and gives the exit code."""
        while self.more():
            pass
        return self._process.wait(_PATIENCE_S)

    def more(self) -> bool:
        """Waits for what comes next and adds it to the screen; False at the end."""
        ready, _, _ = select.select([self._ours], [], [], _PATIENCE_S)
        if not ready:
            raise AssertionError(f"nothing came; the screen is:\n{self.screen}")
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # what Linux says when the other end is closed
            return False
        self.screen += data.decode().replace("\r\n", "\n")
        return bool(data)
