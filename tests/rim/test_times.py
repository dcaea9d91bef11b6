"""How instants are written."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from protocol.identifiers import Duration, Instant
from quorate import clock, times

BERLIN = ZoneInfo("Europe/Berlin")


def instant(*parts: int) -> Instant:
    return Instant(int(datetime(*parts, tzinfo=UTC).timestamp() * 1000))  # type: ignore[misc,arg-type]


AT = instant(2026, 11, 25, 9, 2)


def test_local_time_with_utc_beside_it():
    assert times.moment(AT, now=AT, zone=BERLIN) == "Wed 25 Nov 10:02 CET (09:02 UTC)"
    assert times.moment(AT, now=AT, zone=UTC) == "Wed 25 Nov 09:02 UTC"


def test_the_day_is_said_where_utc_has_another():
    night = instant(2026, 12, 1, 23, 30)
    assert times.moment(night, now=night, zone=BERLIN) == "Wed 2 Dec 00:30 CET (Tue 23:30 UTC)"


def test_the_year_is_said_where_it_is_not_plain():
    text = times.moment(AT, now=instant(2028, 1, 1), zone=BERLIN)
    assert text == "Wed 25 Nov 2026 10:02 CET (09:02 UTC)"


def test_a_zone_without_a_name_is_its_offset():
    zone = timezone(timedelta(hours=5, minutes=30))
    assert times.moment(AT, now=AT, zone=zone) == "Wed 25 Nov 14:32 UTC+05:30 (09:02 UTC)"
    assert times.zone_header(AT, zone=zone) == "UTC+5:30"


def test_tables_name_the_zone_in_the_header():
    assert times.in_table(AT, zone=BERLIN) == "Wed 25 Nov 10:02"
    assert times.zone_header(AT, zone=BERLIN) == "CET, UTC+1"
    assert times.zone_header(AT, zone=UTC) == "UTC"
    assert times.zone_header(AT, zone=ZoneInfo("America/St_Johns")) == "NST, UTC-3:30"


@pytest.mark.parametrize(
    ("seconds", "coarse", "fine"),
    [
        (0, "less than 1 s left", "less than 1 s left"),
        (59.9, "59 s left", "59 s left"),
        (60, "1 min left", "1 min left"),
        (86_399, "23 h left", "23 h 59 min left"),
        (36 * 3600, "36 h left", "36 h left"),
        (7 * 86_400 - 1, "6 d left", "6 d 23 h left"),
    ],
)
def test_what_is_left_is_never_more_than_there_is(seconds: float, coarse: str, fine: str):
    duration = Duration(int(seconds * 1000))
    assert times.left(duration) == coarse
    assert times.left(duration, fine=True) == fine


def test_scripts_get_utc():
    assert times.for_scripts(AT) == "2026-11-25T09:02:00Z"
    assert times.for_scripts(Instant(AT + 7)) == "2026-11-25T09:02:00.007Z"


def test_the_clock_counts_milliseconds():
    assert abs(clock.now() - datetime.now(UTC).timestamp() * 1000) < 60_000
