"""What carried a line is taken off it, whichever way the program wrote it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.errors import RecordError
from netwatch.logs.carriers import MAX_LINE, Carriers
from netwatch.logs.records import PLAIN, Carried
from netwatch.logs.times import LocalTimes

SECOND = 1_000_000_000
TIME = int(datetime(2026, 11, 20, 10, 4, 31, tzinfo=UTC).timestamp()) * SECOND


def take_off(line, times=None):
    return Carriers(times or LocalTimes(year=2026)).take_off(line)


@pytest.mark.parametrize(
    ("line", "message", "host", "program"),
    [
        (b"Nov 20 10:04:31 gw dnsmasq[29093]: query", b"query", "gw", "dnsmasq"),
        (b"Nov 20 10:04:31 dnsmasq[29093]: query", b"query", "", "dnsmasq"),
        (b"<30>Nov 20 10:04:31 gw dnsmasq[29093]: query", b"query", "gw", "dnsmasq"),
        (b"<30>Nov 20 10:04:31 gw 1,2026/11/20", b"1,2026/11/20", "gw", ""),
        (b"<189>Nov 20 2026 10:04:31 fw : text", b": text", "fw", ""),
        (b"Nov 20 10:04:31 10.0.0.1 (squid-1)[7]: text", b"text", "10.0.0.1", "(squid-1)"),
        (b"Nov 20 10:04:31 unbound[1:0] info: text", b"unbound[1:0] info: text", "", ""),
        (b"2026-11-20T11:04:31+01:00 gw named[7]: client", b"client", "gw", "named"),
        (b"<30>1 2026-11-20T10:04:31Z gw named 7 - - client", b"client", "gw", "named"),
        (
            b'<30>1 2026-11-20T10:04:31Z gw app 7 ID [a@1 b="c \\"] d"][e f="g"] \xef\xbb\xbftext',
            b"text",
            "gw",
            "app",
        ),
        (b"<30>1 2026-11-20T10:04:31Z - - - - - text", b"text", "", ""),
        (b"2026-11-20T10:04:31Z stdout F text", b"text", "", ""),
        (
            b'{"log":"text\\n","stream":"stderr","time":"2026-11-20T10:04:31Z"}',
            b"text",
            "",
            "",
        ),
        (
            b'{"__REALTIME_TIMESTAMP":"1795169071000000","MESSAGE":"text","_HOSTNAME":"gw",'
            b'"SYSLOG_IDENTIFIER":"app"}',
            b"text",
            "gw",
            "app",
        ),
        (
            b'{"__REALTIME_TIMESTAMP":"1795169071000000","MESSAGE":[116,255],"_COMM":"app"}',
            b"t\xff",
            "",
            "app",
        ),
        (
            b'Nov 20 10:04:31 gw docker[1]: {"log":"text\\n","stream":"stdout"}',
            b"text",
            "gw",
            "docker",
        ),
    ],
)
def test_the_line_and_what_carried_it(line, message, host, program):
    found = take_off(line)
    assert found is not None
    assert found[0] == message
    assert (found[1].time, found[1].host, found[1].program) == (TIME, host, program)


@pytest.mark.parametrize(
    "line",
    [
        b'{"event_type":"dns","MESSAGES":1}',
        b'{"MESSAGE":"text"}',
        b'{"log":1,"stream":"x"}',
        b'{"log":"x","stream":"y"',
        b"1795169071.5 10 10.0.0.7 TCP_MISS/200",
        b"2026-11-20T10:04:31.669Z queries: info: client",
        b"2026-11-20T10:04:31Z [INFO] 10.0.0.7:42 - 1",
        b"20-Nov-2026 10:04:31.000 client",
        b"Foo 20 10:04:31 gw app: text",
        b"<Event xmlns='x'>",
        b"",
    ],
)
def test_other_lines_stay_as_they_are(line):
    assert take_off(line) == (line, PLAIN)


def test_times_without_zone_or_year_are_those_of_the_user():
    times = LocalTimes(timezone(timedelta(hours=1)), 2026)
    _, carried = take_off(b"Nov 20 11:04:31.25 gw app: text", times)
    assert carried == Carried(TIME + SECOND // 4, 2, "gw", "app")
    assert not times.assumed_zone
    assert not times.assumed_year
    assert take_off(b"Feb 30 11:04:31 gw app: text", times)[1].time is None


def test_the_time_of_the_inner_carrier_counts():
    line = (
        b'<30>1 2026-11-21T00:00:00Z gw docker 7 - - {"log":"text\\n","stream":"stdout",'
        b'"time":"2026-11-20T10:04:31.123456789Z"}'
    )
    assert take_off(line) == (b"text", Carried(TIME + 123_456_789, 9, "gw", "docker"))


def test_lines_in_pieces_are_put_together():
    carriers = Carriers(LocalTimes())
    assert carriers.take_off(b"2026-11-20T10:04:31Z stdout P one ") is None
    assert carriers.take_off(b"2026-11-20T10:04:31Z stderr F other") == (
        b"other",
        Carried(TIME, 0),
    )
    found = carriers.take_off(b"2026-11-20T10:04:31Z stdout F two")
    assert found is not None
    assert found[0] == b"one two"
    assert carriers.has_pieces


def test_pieces_without_an_end_are_bounded():
    carriers = Carriers(LocalTimes())
    piece = b"2026-11-20T10:04:31Z stdout P " + b"x" * (MAX_LINE // 2)
    assert carriers.take_off(piece) is None
    assert carriers.take_off(piece) is None
    with pytest.raises(RecordError, match="line-too-long"):
        carriers.take_off(piece)


PIECES = st.sampled_from(
    (
        *(b"<30>", b"1 ", b"Nov 20 10:04:31 ", b"2026-11-20T10:04:31Z ", b"gw ", b"app[1]: "),
        *(
            b"stdout ",
            b"P ",
            b"F ",
            b"- ",
            b'[a b="',
            b'"]',
            b"\\",
            b'{"log":"',
            b'","stream":"x"}',
        ),
        *(b'{"MESSAGE":', b"[1,2]", b"null", b"}", b"\xff", b"\0", b"9" * 20, b"text"),
    )
)


@given(st.lists(st.lists(PIECES | st.binary(max_size=8), max_size=8).map(b"".join), max_size=4))
def test_any_line_is_taken_or_counted(lines):
    carriers = Carriers(LocalTimes())
    for line in lines:
        try:
            found = carriers.take_off(line)
        except RecordError:
            continue
        assert found is None or (
            isinstance(found[0], bytes) and len(found[0]) <= 2 * len(line) + 99
        )
