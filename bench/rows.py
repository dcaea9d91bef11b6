"""A row: what we measured, beside the limit or peer that was measured with it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One row. `ratio` is ours over limit: of rates more is better, of times less.

    `aim` and `note` are for people: what is aimed at, and what exactly was compared.
    """

    name: str
    ours: float
    limit: float
    unit: str
    aim: str
    note: str

    @property
    def ratio(self) -> float:
        """Ours over limit."""
        return self.ours / self.limit

    def as_json(self) -> dict[str, object]:
        """What scripts get: rounded to what such measurements are worth."""
        kept = {name: value for name, value in asdict(self).items() if name not in ("aim", "note")}
        rounded = {
            name: _rounded(value) if isinstance(value, float) else value
            for name, value in kept.items()
        }
        return {**rounded, "ratio": _rounded(self.ratio)}

    def in_words(self) -> str:
        """The same for people."""
        return (
            f"{self.name}\n"
            f"  ours   {_rounded(self.ours):>10} {self.unit}\n"
            f"  limit  {_rounded(self.limit):>10} {self.unit}   {self.note}\n"
            f"  ratio  {_rounded(self.ratio):>10}   aim: {self.aim}"
        )


def middle(values: Sequence[float]) -> float:
    """The median: on a machine that others use too, neither luck nor disturbance."""
    return float(statistics.median(values))


def _rounded(value: float) -> float:
    """Four digits that count."""
    return float(f"{value:.4g}")
