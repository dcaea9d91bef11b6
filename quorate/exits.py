"""How every command ends: the table of exit codes, and the trouble that carries one."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocol.refusals import Refusal

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Exit(IntEnum):
    """An exit code with its name and what it means. There are no others."""

    label: str
    meaning: str

    def __new__(cls, code: int, label: str, meaning: str) -> "Exit":
        member = int.__new__(cls, code)
        member._value_ = code
        member.label = label
        member.meaning = meaning
        return member

    DONE = 0, "done", "as asked"
    BUG = 1, "bug", "ours; the message names the log file"
    USAGE = 2, "usage", "command line not understood, or a prompt without a terminal"
    REFUSED = 3, "refused", "a rule or a person said no (rejected; a No at a prompt)"
    WRONG_PASSWORD = 4, "wrong password", "the file is undamaged"
    DAMAGED = 5, "damaged", "a file isn't as it was written"
    WAITING = (
        6,
        "waiting",
        "filed and safe; people or units must act. Run the same again, or watch",
    )
    UNREACHABLE = 7, "unreachable", "coordinator or unit host; safe to try again"
    NOT_ANCHORED = 8, "not anchored", "consistent, but no charter was given"
    EXPOSED = 9, "exposed", "others can read a private file"
    STORAGE = 10, "storage", "full or not writable; files as they were"
    CLOCK = 11, "clock", "more than a minute apart"
    ALARM = (
        12,
        "alarm",
        "charter, history, log or report doesn't match: call people, don't retry",
    )
    ENDED = 13, "ended", "cancelled, expired or superseded before it ran; refile"
    FAILED = 14, "failed", "failed, or partly executed and over; each unit's answer is shown"
    DIFFER = 15, "differ", "units of an instance aren't the same"


class Trouble(Exception):
    """Why a command ends with another code than 0, in the words that people read.

    `what` says what happened and what stayed untouched. `expected` and `found` are the values
    compared, as text or as any JSON value. `next` is what to do now. `also` are further labelled
    lines, shown first. `data` is what scripts get beside all this under `--json`.

    Raise it from anything that a command calls; the root command shows it and exits with its code.
    Never put a secret into it.
    """

    def __init__(
        self,
        exit_code: Exit,
        what: str,
        *,
        expected: Json = None,
        found: Json = None,
        next: str | None = None,
        rule: str | None = None,
        returns: int | None = None,
        reason: int | None = None,
        also: Mapping[str, str] | None = None,
        data: Mapping[str, Json] | None = None,
    ) -> None:
        super().__init__(what)
        self.exit = exit_code
        self.what = what
        self.expected = expected
        self.found = found
        self.next = next
        self.rule = rule
        self.returns = returns
        self.reason = reason
        self.also = dict(also or {})
        self.data = dict(data or {})

    @property
    def rule_line(self) -> str | None:
        """The rule that refused, with the field's return and reason codes where they exist."""
        if self.rule is None:
            return None
        line = self.rule
        if self.returns is not None:
            line += f", return {self.returns}"
            if self.reason is not None:
                line += f" reason {self.reason}"
        return line

    def as_json(self) -> dict[str, Json]:
        """The one object that scripts get."""
        return {
            **self.data,
            "exit": self.exit.label,
            "code": int(self.exit),
            "message": self.what,
            "expected": self.expected,
            "found": self.found,
            "rule": self.rule,
            "next": self.next,
            **self.also,
        }


def refused(refusal: "Refusal", *, untouched: str, next: str | None = None) -> Trouble:
    """A rule's No as people and scripts see it; `untouched` says what didn't happen."""
    facts = refusal.facts
    return Trouble(
        Exit.REFUSED,
        facts.says,
        expected=refusal.expected,
        found=refusal.found,
        next=f"{next or facts.next_step}. {untouched}.",
        rule=refusal.rule.value,
        returns=facts.returns,
        reason=facts.reason,
    )


def table() -> list[str]:
    """The lines of `quorate help exit-codes`."""
    return [f"{member.value:>2}  {member.label:<15}  {member.meaning}" for member in Exit]
