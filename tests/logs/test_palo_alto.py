"""Logs of PAN-OS, in the order of its syslog field descriptions."""

from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs import palo_alto
from netwatch.logs.reading import RecordError
from netwatch.logs.records import LogFlow, LogName
from tests.support.log_records import SAMPLES, read, read_any, sample_lines, sample_of, short

_ALL = [line for path in (SAMPLES / "palo-alto").iterdir() for line in sample_lines(path)]


def lines_of(name: str) -> list[bytes]:
    return sample_lines(SAMPLES / "palo-alto" / name)


def _without_syslog(name: str) -> list[bytes]:
    return [line.split(b"org ", 1)[1] for line in lines_of(name)]


def test_urls_and_threats_in_lookups() -> None:
    url, lookup = read(palo_alto, lines_of("v10.csv"), zone=timezone(timedelta(hours=1)))
    assert short(url)[:4] == ("tls-sni", "www.tiktok.com", "10.0.0.12:62074", "198.51.100.7:443")
    assert isinstance(url, LogName)
    assert isinstance(lookup, LogName)
    # The precise time has a zone of its own.
    assert url.time == 1772442901190 * 10**6
    assert url.time_digits == 3
    assert url.raw == "www.TikTok.com"
    assert short(lookup)[:3] == ("dns-query", "www.tiktok.com", "10.0.0.12:45476")
    assert (lookup.outcome, lookup.blocked_by) == ("blocked", "sinkhole")
    assert lookup.time == 1772442903 * 10**9


def test_traffic_of_an_older_version() -> None:
    flow, denied = read(palo_alto, _without_syslog("v8-syslog.log"))
    assert short(flow) == ("flow", "tcp", "10.0.0.12:62074", "198.51.100.7:443", 18800, 79000)
    assert isinstance(flow, LogFlow)
    assert flow.last - flow.first == 38 * 10**9
    assert short(denied) == (
        "http-host",
        "www.tiktok.com",
        "10.0.0.13:62075",
        "198.51.100.7:80",
        "blocked",
    )


def test_a_url_and_its_flow_have_the_same_identifier() -> None:
    url = read(palo_alto, lines_of("v10.csv"))[0]
    flow = read(palo_alto, _without_syslog("v8-syslog.log"))[0]
    assert isinstance(url, LogName)
    assert isinstance(flow, LogFlow)
    assert url.flow == flow.flow


def test_a_threat_in_the_answer_is_of_the_client() -> None:
    line = lines_of("v10.csv")[1]
    line = line.replace(b"10.0.0.12,198.51.100.53", b"198.51.100.53,10.0.0.12")
    line = line.replace(b",45476,53,", b",53,45476,")
    assert short(read(palo_alto, [line])[0])[2:4] == ("10.0.0.12:45476", "198.51.100.53:53")


def test_quic_and_domain_in_the_url_field() -> None:
    line = lines_of("v10.csv")[0].replace(b",tcp,alert", b",udp,alert")
    assert short(read(palo_alto, [line])[0])[0] == "quic-sni"
    line = lines_of("v10.csv")[1].replace(b'"",Suspicious', b'"v16.tiktokcdn.com",Other')
    assert short(read(palo_alto, [line])[0])[1] == "v16.tiktokcdn.com"


def test_a_session_without_payload_has_not_reached_its_server() -> None:
    line = _without_syslog("v8-syslog.log")[0].replace(b"tiktok-base", b"incomplete")
    (flow,) = read(palo_alto, [line])
    assert isinstance(flow, LogFlow)
    assert flow.server_sent == "headers"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"1,2026/03/02 10:15:02,1,THREAT,url,1,2026/03/02 10:15:01,10.0.0.1", "fields-missing"),
        (b"1,2026/03/02 10:15:02,1,TRAFFIC,end,1,x,,,,,,,,,,,,,,,,,,,,,,,tcp", "fields-missing"),
        (lines_of("v10.csv")[1].replace(b"2026/03/02", b"soon"), "time-invalid"),
    ],
)
def test_what_cannot_be_read(record: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read(palo_alto, [record])


def test_the_samples_are_of_this_format() -> None:
    for lines in (lines_of("v10.csv"), _without_syslog("v8-syslog.log")):
        assert palo_alto.recognise(sample_of(lines)) == len(lines)


@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(_ALL)), max_size=6), st.data())
def test_any_bytes(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever a log has, its records are read or counted; a real line may be damaged anywhere."""
    line = bytearray(data.draw(st.sampled_from(_ALL)))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    read_any(palo_alto, [*lines, bytes(line)])
