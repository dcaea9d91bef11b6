"""Streams that tests read back."""

import io

from quorate.console import Console


class Screen(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Streams:
    """A console and what it wrote."""

    def __init__(self, *, terminal: bool = False, **options: bool) -> None:
        self.out, self.err = Screen(terminal=terminal), Screen(terminal=terminal)
        self.console = Console(out=self.out, err=self.err, **options)

    @property
    def both(self) -> tuple[str, str]:
        return self.out.getvalue(), self.err.getvalue()
