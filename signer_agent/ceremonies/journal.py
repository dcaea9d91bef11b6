"""What a ceremony's run remembers, beside its plan: requests filed, things confirmed.

Where a run is, the units say. The journal keeps what they can't: which requests are this run's, so
that nothing is filed twice, and who confirmed what. It is written before and after each filing.
"""

import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Self

import msgspec

from protocol.ceremony.plan import Confirmation, Stage
from protocol.identifiers import Instant
from quorate import private_files
from quorate.exits import Exit, Trouble

_LIMIT = 4 * 1024 * 1024
_UNTOUCHED = "the ceremony is where it was"


class Filed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step; `request` is None until it is known that it was filed.

    `stopped` says that somebody was told that it ended otherwise than executed.
    """

    step: int
    stage: Stage
    request: int | None
    stopped: bool = False


class Confirmed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody said they did, in milliseconds since 1970 UTC."""

    before: Stage
    who: str
    text: str
    at: int


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The journal's file."""

    ceremony: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]
    plan: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    began: int
    steps: tuple[Filed, ...] = ()
    confirmed: tuple[Confirmed, ...] = ()
    ended: int | None = None


@dataclass
class Journal:
    """A run's journal. Every change is on disk before it counts; storage Trouble otherwise."""

    path: Path
    kept: Kept

    @staticmethod
    def path_of(plan: Path) -> Path:
        """`first.toml` has `first.journal.json` beside it."""
        return plan.with_suffix(".journal.json")

    @classmethod
    def begin(cls, plan: Path, text: str, *, at: Instant) -> Self:
        """A new run's; refused trouble where one was begun before."""
        path = cls.path_of(plan)
        kept = Kept(ceremony=secrets.token_hex(8), plan=_digest(text), began=at)
        if path.exists():
            raise Trouble(
                Exit.REFUSED,
                f"this ceremony was begun before; nothing was filed: {path} is there",
                next=f"quorate ceremony resume {plan}; to begin another, move the journal away",
            )
        journal = cls(path, kept)
        journal._write(kept)
        return journal

    @classmethod
    def load(cls, plan: Path, text: str) -> Self:
        """A run that was begun; Trouble where there is none, or the plan is another one now."""
        path = cls.path_of(plan)
        try:
            data = private_files.read(path, limit=_LIMIT)
        except FileNotFoundError:
            raise Trouble(
                Exit.REFUSED,
                "this ceremony wasn't begun here",
                next=f"quorate ceremony run {plan}",
            ) from None
        try:
            kept = msgspec.json.decode(data, type=Kept)
        except msgspec.MsgspecError as error:
            raise Trouble(
                Exit.DAMAGED,
                f"{path} isn't as it was written: {error}",
                next="move it away and run the plan again: what was done isn't done twice",
            ) from None
        if kept.plan != _digest(text):
            raise Trouble(
                Exit.REFUSED,
                "the plan was changed since this ceremony was begun; nothing was filed",
                expected=kept.plan[:16],
                found=_digest(text)[:16],
                next="put the plan back; or move the journal away and begin anew",
            )
        return cls(path, kept)

    def key_of(self, step: int) -> str:
        """The idempotency key of a step's filing."""
        return f"ceremony {self.kept.ceremony} {step}"

    def will_file(self, stage: Stage) -> int:
        """Notes a step that is about to be filed; gives its number."""
        number = len(self.kept.steps) + 1
        steps = (*self.kept.steps, Filed(step=number, stage=stage, request=None))
        self._write(msgspec.structs.replace(self.kept, steps=steps))
        return number

    def filed(self, step: int, request: int) -> None:
        """The step was filed as this request."""
        self._change(step, request=request)

    def stopped(self, step: int) -> None:
        """Somebody was told that the step's request wasn't executed."""
        self._change(step, stopped=True)

    def _change(self, step: int, **changes: object) -> None:
        steps = list(self.kept.steps)
        steps[step - 1] = msgspec.structs.replace(steps[step - 1], **changes)
        self._write(msgspec.structs.replace(self.kept, steps=tuple(steps)))

    def forget(self, step: int) -> None:
        """The last step was never filed."""
        self._write(msgspec.structs.replace(self.kept, steps=self.kept.steps[: step - 1]))

    def is_confirmed(self, wanted: Confirmation) -> bool:
        """Whether somebody has said that this was done."""
        return any(
            (one.before, one.who, one.text) == (wanted.before, wanted.who, wanted.text)
            for one in self.kept.confirmed
        )

    def confirm(self, done: Confirmation, *, at: Instant) -> None:
        """Somebody says that this was done."""
        one = Confirmed(before=done.before, who=done.who, text=done.text, at=at)
        confirmed = (*self.kept.confirmed, one)
        self._write(msgspec.structs.replace(self.kept, confirmed=confirmed))

    def end(self, *, at: Instant) -> None:
        """The goal is reached."""
        self._write(msgspec.structs.replace(self.kept, ended=at))

    def _write(self, kept: Kept) -> None:
        data = msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n"
        private_files.write(self.path, data, untouched=_UNTOUCHED)
        self.kept = kept


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
