from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs.minute_times import MinuteTimes
from netwatch.logs.reading import RecordError
from netwatch.logs.times import LocalTimes
from netwatch.logs.timestamps import rfc3339


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
