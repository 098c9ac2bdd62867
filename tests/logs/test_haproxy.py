"""The HTTP log of HAProxy, as its Configuration Manual has it."""

import pytest
from hypothesis import given
from support.log_records import SAMPLES, damaged, read, read_any, sample_lines, sample_of, short

from netwatch.logs import haproxy
from netwatch.logs.reading import RecordError
from netwatch.logs.recognise import recognise_head

SAMPLE = SAMPLES / "haproxy" / "forward.log"
LINES = sample_lines(SAMPLE)
HEAD = b"10.20.1.31:33317 [20/Mar/2023:10:04:31.443] proxy "
NUMBERS = b" 0/0/12/21/842 200 39412 - - ---- 1/1/0/0/0 0/0 "


def test_requests_to_a_forward_proxy():
    found = read(haproxy, LINES)
    assert [short(each) for each in found] == [
        ("http-host", "www.tiktok.com", "10.20.1.31:33317", "-:0", "attempted"),
        ("http-host", "log.byteoversea.com", "10.20.1.31:33318", "-:0", "reached"),
        ("http-host", "v16-webapp.tiktok.com", "10.20.1.32:33319", "-:0", "blocked"),
        ("http-host", "sf16.tiktokcdn.com", "10.20.1.32:33320", "-:0", "reached"),
    ]
    assert (found[0].time, found[0].time_digits) == (1679306671443000000, 3)
    assert found[2].blocked_by == "PR-- 403"


def test_it_is_read_only_where_it_is_named():
    found = recognise_head(SAMPLE.read_bytes())
    assert found.format is None
    assert found.needs_name
    assert "--as haproxy" in found.doubt
    assert haproxy.recognise(sample_of(LINES)) == len(LINES)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (HEAD + b"origin/srv1" + NUMBERS + b'"GET / HTTP/1.1"', "host-missing"),
        (HEAD + b"origin/srv1" + NUMBERS + b'{curl/8.5.0} "GET / HTTP/1.1"', "host-missing"),
        (HEAD + b"origin/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0", "host-missing"),  # tcplog
        (LINES[0].replace(b"Mar", b"Foo"), "time-invalid"),
    ],
)
def test_what_cannot_be_read(line, reason):
    with pytest.raises(RecordError, match=reason):
        read(haproxy, [line])


def test_other_messages_say_nothing():
    lines = [b"Server origin/srv1 is DOWN.", HEAD + b"origin/<NOSRV>" + NUMBERS + b'"<BADREQ>"']
    assert read(haproxy, lines) == []


def test_a_client_of_both_families():
    mapped = LINES[1].replace(b"10.20.1.31", b"::ffff:10.20.1.31")
    six = LINES[1].replace(b"10.20.1.31", b"2001:db8:20::31")
    assert [short(each)[2] for each in read(haproxy, [mapped, six])] == [
        "10.20.1.31:33318",
        "2001:db8:20::31:33318",
    ]


@given(damaged(LINES))
def test_any_bytes(lines):
    read_any(haproxy, lines)
