"""How instants and durations are written: local time with UTC beside it, UTC for scripts."""

from datetime import UTC, datetime, tzinfo

from protocol.identifiers import DAY, HOUR, MINUTE, SECOND, Duration, Instant

_A_YEAR_MAY_BE_MISSED = 180 * DAY


def moment(at: Instant, *, now: Instant, zone: tzinfo | None = None) -> str:
    """`Wed 25 Nov 10:02 CET (09:02 UTC)`; the year is said where it isn't plain.

    `zone` is this machine's where it isn't given.
    """
    local, utc = _local(at, zone), _local(at, UTC)
    day = _day(local)
    if abs(at - now) > _A_YEAR_MAY_BE_MISSED:
        day += f" {local.year}"
    text = f"{day} {local:%H:%M} {_zone(local)}"
    if local.utcoffset() == utc.utcoffset():
        return text
    elsewhere = f"{utc:%H:%M} UTC"
    return (
        f"{text} ({elsewhere})" if local.date() == utc.date() else f"{text} ({utc:%a} {elsewhere})"
    )


def in_table(at: Instant, *, zone: tzinfo | None = None) -> str:
    """`Wed 25 Nov 10:02`, under a header that names the zone."""
    local = _local(at, zone)
    return f"{_day(local)} {local:%H:%M}"


def zone_header(at: Instant, *, zone: tzinfo | None = None) -> str:
    """`CET, UTC+1`: what stands in brackets in a table's header."""
    local = _local(at, zone)
    offset = local.utcoffset()
    minutes = int(offset.total_seconds()) // 60 if offset is not None else 0
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    text = f"UTC{'+' if minutes > 0 else '-'}{hours}" + (f":{rest:02}" if rest else "")
    name = _zone(local)
    return text if name.startswith("UTC") else f"{name}, {text}"


def left(duration: Duration, *, fine: bool = False) -> str:
    """`23 h left`, or with `fine` `23 h 59 min left`; never more than there is."""
    if duration < SECOND:
        return "less than 1 s left"
    units = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))
    # Up to two days are told in hours.
    first = 1 if duration < 2 * DAY else 0
    parts: list[str] = []
    rest = int(duration)
    for size, name in units[first:]:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {name}")
    shown = [part for part in parts[: 2 if fine else 1] if not part.startswith("0 ")]
    return " ".join(shown) + " left"


def for_scripts(at: Instant) -> str:
    """`2026-11-25T09:02:00Z` (RFC 3339), with milliseconds where there are any."""
    utc = _local(at, UTC)
    milliseconds = f".{at % 1000:03}" if at % 1000 else ""
    return f"{utc:%Y-%m-%dT%H:%M:%S}{milliseconds}Z"


def _local(at: Instant, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)


def _day(at: datetime) -> str:
    return f"{at:%a} {at.day} {at:%b}"


def _zone(at: datetime) -> str:
    name = at.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name
