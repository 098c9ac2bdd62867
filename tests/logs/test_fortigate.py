"""Logs of FortiGate, in the words of the FortiOS Log Message Reference."""

from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs import fortigate
from netwatch.logs.reading import PLAIN, Carried, RecordError
from netwatch.logs.records import LogFlow, LogName
from tests.support.log_records import SAMPLES, read, read_any, sample_lines, sample_of, short

_ALL = [line for path in (SAMPLES / "fortigate").iterdir() for line in sample_lines(path)]


def lines_of(name: str) -> list[bytes]:
    return sample_lines(SAMPLES / "fortigate" / name)


def test_cef_says_the_same() -> None:
    plain, cef = (read(fortigate, lines_of(name)) for name in ("v7.log", "cef.log"))
    assert cef == plain
    assert fortigate.recognise(sample_of(lines_of("cef.log"))) == 5


def test_the_logs_that_name_a_host() -> None:
    answer, allowed, denied, flow = read(fortigate, lines_of("v7.log"))
    assert short(answer) == (
        "dns-answer",
        "www.tiktok.com",
        "10.1.100.11:54621",
        "198.51.100.53:53",
        "NOERROR",
    )
    assert isinstance(answer, LogName)
    assert answer.dns is not None
    assert answer.dns.answers == (("198.51.100.7", 0), ("198.51.100.8", 0))
    assert (answer.raw, answer.client_mac) == ("www.TikTok.com", bytes.fromhex("020000000001"))
    assert answer.time == 1772442901383195535
    assert answer.time_digits == 9
    assert short(allowed)[0] == "tls-sni"
    assert short(denied)[0] == "http-host"
    assert isinstance(denied, LogName)
    assert isinstance(allowed, LogName)
    assert (denied.outcome, denied.blocked_by) == ("blocked", "blocked")
    assert short(flow) == ("flow", "tcp", "10.1.100.11:54622", "198.51.100.7:443", 18800, 79000)
    assert isinstance(flow, LogFlow)
    assert flow.server_sent == "payload"
    assert allowed.flow == flow.flow
    assert flow.last - flow.first == 38 * 10**9


def test_values_between_commas_and_ipv6() -> None:
    zone = timezone(timedelta(hours=1))
    (entry,) = read(fortigate, lines_of("v5.log"), zone=zone)
    assert short(entry)[:3] == ("tls-sni", "www.tiktok.com", "2001:db8:1::11:54624")
    assert isinstance(entry, LogName)
    assert entry.time == 1772442901 * 10**9


def test_a_query_has_no_answer() -> None:
    line = lines_of("v7.log")[0].replace(b"dns-response", b"dns-query")
    (entry,) = read(fortigate, [line])
    assert short(entry)[0] == "dns-query"
    assert read(fortigate, [line.replace(b'qname="www.TikTok.com"', b"")]) == []


@pytest.mark.parametrize(
    ("replaced", "by", "sent"),
    [
        (b'action="close"', b'action="deny"', None),
        (b'logid="0000000013"', b'logid="0000000020"', None),
        (b"proto=6", b"proto=1", None),
        (b"rcvdbyte=79000 sentpkt=30 rcvdpkt=69", b"rcvdbyte=52 rcvdpkt=1", "headers"),
        (b"rcvdbyte=79000 sentpkt=30 rcvdpkt=69", b"rcvdbyte=0 rcvdpkt=0", "nothing"),
    ],
)
def test_flows(replaced: bytes, by: bytes, sent: str | None) -> None:
    found = read(fortigate, [lines_of("v7.log")[3].replace(replaced, by)])
    assert [each.server_sent for each in found if isinstance(each, LogFlow)] == (
        [sent] if sent else []
    )


def test_the_time_of_the_carrier_where_the_line_has_none() -> None:
    line = lines_of("v5.log")[0].replace(b"date=2026-03-02,time=10:15:01,", b"")
    (entry,) = read(fortigate, [line], Carried(5 * 10**9, 3))
    assert isinstance(entry, LogName)
    assert (entry.time, entry.time_digits) == (5 * 10**9, 3)
    with pytest.raises(RecordError, match="time-missing"):
        read(fortigate, [line], PLAIN)


def test_a_quote_in_a_value() -> None:
    line = lines_of("v7.log")[1].replace(b"URL belongs", b'a \\"b\\" hostname=other.example')
    assert short(read(fortigate, [line])[0])[1] == "www.tiktok.com"


def test_the_samples_are_of_this_format() -> None:
    for path in (SAMPLES / "fortigate").iterdir():
        assert fortigate.recognise(sample_of(sample_lines(path))) > 0, path.name


@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(_ALL)), max_size=6), st.data())
def test_any_bytes(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever a log has, its records are read or counted; a real line may be damaged anywhere."""
    line = bytearray(data.draw(st.sampled_from(_ALL)))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    read_any(fortigate, [*lines, bytes(line)])
