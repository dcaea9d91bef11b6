"""What tokens are good for."""

from enum import StrEnum


class TokenKind(StrEnum):
    """What a token is good for."""

    SESSION = "session"
    """Uses the API until it expires; made by a login."""
    LASTING = "lasting"
    """The same for days: for scripts."""
    ONE_TIME = "one-time"
    """Logs in once."""
    SET_UP = "set-up"
    """Makes a manager once; made at the coordinator's host."""
