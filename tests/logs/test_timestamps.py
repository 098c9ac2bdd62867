import contextlib
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs.reading import RecordError
from netwatch.logs.times import LocalTimes
from netwatch.logs.timestamps import MinuteTimes, access_time, rfc3339

SECOND = 10**9


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
def test_what_is_no_time(written):
    with pytest.raises(RecordError, match="time-invalid"):
        access_time(written, LocalTimes())


@given(st.binary(max_size=40))
def test_any_bytes(written):
    with contextlib.suppress(RecordError):
        access_time(written, LocalTimes())
