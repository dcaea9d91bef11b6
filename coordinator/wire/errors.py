"""What every call answers that isn't done as asked: the object that scripts get from commands."""

from coordinator.wire.values import Json


class Error(Json):
    """Why not. `exit` and `code` are of the table of exit codes; `rule` names a rule's No."""

    exit: str
    code: int
    message: str
    expected: str | None
    found: str | None
    rule: str | None
    next: str | None


class Nothing(Json):
    """Done; there is nothing to say."""
