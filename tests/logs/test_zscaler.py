"""Feeds of Zscaler, in the default formats of its documentation."""

from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs import zscaler
from netwatch.logs.reading import RecordError
from netwatch.logs.records import LogFlow, LogName
from tests.support.log_records import SAMPLES, read, read_any, sample_lines, sample_of, short

_ALL = [line for path in (SAMPLES / "zscaler").iterdir() for line in sample_lines(path)]


def lines_of(name: str) -> list[bytes]:
    return sample_lines(SAMPLES / "zscaler" / name)


def test_cloud_nss() -> None:
    request, answer, flow = read(zscaler, lines_of("cloud-nss.json"))
    assert short(request) == (
        "http-host",
        "www.tiktok.com",
        "10.10.1.100:0",
        "198.51.100.7:443",
        "reached",
    )
    assert isinstance(request, LogName)
    assert request.time == 1772442901 * 10**9
    assert short(answer) == ("dns-answer", "www.tiktok.com", "-:0", "198.51.100.53:53", "NOERROR")
    assert isinstance(answer, LogName)
    assert answer.client_host == "PC-0105"
    assert short(flow) == ("flow", "tcp", "10.10.1.100:52352", "198.51.100.7:443", 5894, 3367)
    assert isinstance(flow, LogFlow)
    assert flow.last - flow.first == 34 * 10**9


def test_names_and_values_between_tabs() -> None:
    tunnel, denied = read(zscaler, lines_of("splunk.tsv"))
    # The proxy answers CONNECT itself: that says nothing of the server.
    assert short(tunnel)[0] == "tls-sni"
    assert short(tunnel)[4] is None
    assert isinstance(denied, LogName)
    assert (denied.outcome, denied.blocked_by) == ("blocked", "Blocked")


def test_csv_of_the_default_format() -> None:
    request, answer = read(zscaler, lines_of("default.csv"))
    assert short(request)[:3] == ("http-host", "www.tiktok.com", "10.10.1.100:0")
    assert short(answer) == (
        "dns-answer",
        "www.tiktok.com",
        "10.10.1.100:0",
        "198.51.100.53:53",
        "NXDOMAIN",
    )


def test_times_are_in_the_zone_of_the_feed() -> None:
    entry = read(zscaler, lines_of("default.csv"), zone=timezone(timedelta(hours=1)))[0]
    assert isinstance(entry, LogName)
    assert entry.time == (1772442901 - 3600) * 10**9


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b'{"sourcetype":"zscalernss-web","event":7}', "event-missing"),
        (b'{"sourcetype":"zscalernss-web","event":{"url":"None"}}', "name-missing"),
        (b'{"event":{"url":"www.tiktok.com","datetime":"Mon Foo 12 09:15:01 2026"}}', "time-inv"),
        (b'"a","b","c"', "columns-unknown"),
    ],
)
def test_what_cannot_be_read(record: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read(zscaler, [record])


def test_the_samples_are_of_this_format() -> None:
    for path in (SAMPLES / "zscaler").iterdir():
        assert zscaler.recognise(sample_of(sample_lines(path))) > 0, path.name


@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(_ALL)), max_size=6), st.data())
def test_any_bytes(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever a log has, its records are read or counted; a real line may be damaged anywhere."""
    line = bytearray(data.draw(st.sampled_from(_ALL)))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    read_any(zscaler, [*lines, bytes(line)])
