"""Logs: one JSON object a line, on stderr or in a private file, never with a secret.

Only text, numbers and bytes (as hex) are written out. Anything else appears as the name of its
type, so that no object can bring a secret along.
"""

import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from quorate import clock, times
from quorate.exits import Exit, Trouble

if TYPE_CHECKING:
    # Loaded only where something is logged: most commands only want to know the levels.
    import structlog

LEVELS = ("debug", "info", "warning", "error")


def set_up(process: str, *, level: str = "info", file: Path | None = None) -> None:
    """Sends this process's logs to stderr, or to the end of `file`.

    `process` names it in every line: `unit`, `coordinator`, `agent alice`.
    """
    import structlog

    out = cast(TextIO, _Lines(sys.stderr if file is None else _append_to(file)))
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamp(process),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    # Libraries that log the usual way end up in the same place and form.
    handler = _Forward()
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def get(name: str) -> "structlog.typing.FilteringBoundLogger":
    """The logger of one part of the process: `get("gateway").info("connected", agent=name)`."""
    import structlog

    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return logger


def _stamp(process: str) -> "structlog.typing.Processor":
    def add(_: Any, __: str, event: "structlog.typing.EventDict") -> "structlog.typing.EventDict":
        return {"at": times.for_scripts(clock.now()), "process": process, **event}

    return add


def _line(event: dict[str, Any], **_: Any) -> str:
    return json.dumps({name: _writable(value) for name, value in event.items()})


def _writable(value: object) -> object:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.hex()
        case list() | tuple() | set() | frozenset():
            return [_writable(item) for item in value]
        case dict():
            return {str(_writable(name)): _writable(item) for name, item in value.items()}
        case BaseException():
            return f"{type(value).__name__}: {value}"
        case _:
            return f"<{type(value).__name__}>"


class _Lines:
    """A log's file. A line that the disk doesn't take is lost: what it tells of goes on."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


class _Forward(logging.Handler):
    """Hands a library's log line to ours."""

    def emit(self, record: logging.LogRecord) -> None:
        get(record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def _append_to(file: Path) -> TextIO:
    try:
        descriptor = os.open(
            file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise Trouble(
            Exit.STORAGE,
            f"the log {file} can't be written: {error.strerror}",
            next="give another one, or none: then logs go to stderr",
        ) from None
    return os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
