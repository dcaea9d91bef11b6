"""The base of all types of the API, and how it writes bytes and times."""

from datetime import UTC, datetime
from typing import Annotated, dataclass_transform

import msgspec

from protocol.identifiers import Instant

_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Json(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object with these members and no others."""


class Kind(Json, tag_field="kind"):
    """A member of a union of objects; give its name as `tag=`."""


Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z", description="32 bytes")]
Time = Annotated[datetime, msgspec.Meta(tz=True)]


def time_of(at: Instant) -> datetime:
    """An instant as the API writes it; what no calendar holds, as the last one that it does."""
    try:
        return datetime.fromtimestamp(at / 1000, UTC)
    except (OverflowError, ValueError):
        return _LAST


def instant_of(moment: datetime) -> Instant:
    """The instant that a time of the API is."""
    return Instant(max(0, round(moment.timestamp() * 1000)))
