"""Times as logs write them, with and without a year and a zone."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.errors import RecordError
from netwatch.logs.times import LAST, LocalTimes, MinuteTimes, access_time, epoch, rfc3339

SECOND = 1_000_000_000


def at(*moment):
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T10:04:31Z", (at(2026, 11, 20, 10, 4, 31), 0)),
        ("2026-11-20 10:04:31.25+0100", (at(2026, 11, 20, 9, 4, 31) + SECOND // 4, 2)),
        ("2026-11-20T10:04:31,123456789012-00:30", (at(2026, 11, 20, 10, 34, 31) + 123456789, 9)),
        ("2016-12-31T23:59:60Z", (at(2016, 12, 31, 23, 59, 59), 0)),
    ],
)
def test_rfc3339(text, expected):
    assert rfc3339(text) == expected


@pytest.mark.parametrize("text", ["2026-13-20T10:04:31Z", "9999-01-01T00:00:00Z", "now", ""])
def test_what_is_no_time(text):
    with pytest.raises(RecordError, match="time-invalid"):
        rfc3339(text)
    with pytest.raises(RecordError, match="time-invalid"):
        epoch(text)


def test_seconds_since_the_epoch():
    assert epoch("1795169071.000001") == (1795169071 * SECOND + 1000, 6)
    with pytest.raises(RecordError, match="time-invalid"):
        epoch("99999999999")


def test_the_year_is_that_of_the_file_or_of_the_user():
    written = at(2027, 1, 2, 0, 0, 0)
    times = LocalTimes(modified=written)
    assert times.without_year(12, 31, 23, 59, 59) == at(2026, 12, 31, 23, 59, 59)
    assert times.without_year(1, 1, 0, 0, 0) == at(2027, 1, 1, 0, 0, 0)
    assert times.assumed_year
    times = LocalTimes(year=2025, modified=written)
    assert times.without_year(1, 1, 0, 0, 0) == at(2025, 1, 1, 0, 0, 0)
    assert not times.assumed_year
    assert times.assumed_zone


def test_the_zone_is_that_of_the_user():
    times = LocalTimes(ZoneInfo("Europe/Brussels"))
    assert times.local(datetime(2026, 7, 1, 12, 0, 0)) == at(2026, 7, 1, 10, 0, 0)
    assert times.local(datetime(2026, 12, 1, 12, 0, 0)) == at(2026, 12, 1, 11, 0, 0)
    assert not times.assumed_zone
    times = LocalTimes(timezone(timedelta(hours=1)))
    assert times.local(datetime(1970, 1, 1, 1, 0, 0)) == 0


@given(st.text(max_size=40))
def test_any_text_is_a_time_in_range_or_none(text):
    for read in (rfc3339, epoch):
        try:
            time, digits = read(text)
        except RecordError:
            continue
        assert 0 <= time < LAST
        assert 0 <= digits <= 9


def time(read, written):
    try:
        return read(written)
    except RecordError as error:
        return str(error)


_SECONDS = st.integers(0, 61).map("{:02d}".format)
_FRACTIONS = st.sampled_from(
    [".118342", ".1", "", ".118342999", ",118342", ".11834\u0663", ".12345 "]
)
_ZONES = st.sampled_from(["Z", "+0100", "-05:30", "", " ", "+01"])
_TIMES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["2023-03-20T10:04:", "2023-03-20T10:05:", "2023-02-30T10:04:", ""]),
    _SECONDS,
    _FRACTIONS,
    _ZONES,
)


@given(st.lists(_TIMES | st.text(max_size=32), max_size=8))
def test_what_is_remembered_changes_nothing(written):
    times = MinuteTimes(LocalTimes())
    for each in written:
        assert time(times.read, each) == time(lambda one: rfc3339(one, LocalTimes()), each)


@pytest.mark.parametrize(
    ("written", "time", "digits"),
    [
        (b"1679303071.118", 1679303071118 * 10**6, 3),
        (b"20/Mar/2023:10:04:31 +0100", 1679303071 * SECOND, 0),
        (b"[20/Mar/2023:02:34:31 -0630]", 1679303071 * SECOND, 0),
        (b"20/Mar/2023:10:04:31.443", 1679303071443 * 10**6, 3),
        (b"2023-03-20T10:04:31+01:00", 1679303071 * SECOND, 0),
        (b"31/Dec/2016:23:59:60 +0000", 1483228799 * SECOND, 0),  # a leap second
    ],
)
def test_times_of_access_logs(written, time, digits):
    local = LocalTimes(timezone(timedelta(hours=1)))
    assert access_time(written, local) == (time, digits)


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"20/Foo/2023:10:04:31 +0100",
        b"32/Mar/2023:10:04:31 +0100",
        b"9" * 20,
        b"99999999999",
        b"20/Mar/9999:10:04:31 +0100",
        b"20/Mar/9999:10:04:31",
    ],
)
def test_what_is_no_time_of_an_access_log(written):
    with pytest.raises(RecordError, match="time-invalid"):
        access_time(written, LocalTimes())


@given(st.binary(max_size=40))
def test_any_bytes(written):
    with contextlib.suppress(RecordError):
        access_time(written, LocalTimes())
