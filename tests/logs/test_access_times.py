import contextlib
from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs.access_times import access_time
from netwatch.logs.reading import RecordError
from netwatch.logs.times import LocalTimes

SECOND = 10**9


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
