"""Analytical events of the DNS server of Windows, from several exporters."""

import orjson
import pytest
from support.resolver_logs import endpoint, names, read, sample, short

from netwatch.core.errors import RecordError

_LOOKUP = [
    ("dns-query", "www.tiktok.com", "10.0.0.12:57943", "A", ""),
    ("dns-answer", "www.tiktok.com", "10.0.0.12:57943", "A", "NOERROR"),
    ("dns-cname", "edge.example.net", "10.0.0.12:57943", "A", "NOERROR"),
]


@pytest.mark.parametrize("file", ["winlogbeat.json", "evtx-dump.json", "get-winevent.json"])
def test_the_same_lookup_from_each_exporter(file: str) -> None:
    """The query of this server to another one is not the client's."""
    query, answer, alias, *_ = found = names(
        "windows-dns-events", sample("windows-dns-events", file)
    )
    assert [short(entry) for entry in found[:3]] == _LOOKUP
    assert (query.raw, answer.raw) == ("www.TikTok.com", "www.TikTok.com")
    assert endpoint(query.server) == "10.0.0.53:0"
    assert answer.dns is not None
    assert answer.dns.answers == (("203.0.113.7", 300),)
    assert alias.asked == "www.tiktok.com"
    assert 1772439301 * 10**9 <= query.time < 1772442902 * 10**9


def test_events_without_the_message() -> None:
    query, answer = names("windows-dns-events", sample("windows-dns-events", "nxlog.json"))
    assert [short(query), short(answer)] == _LOOKUP[:2]
    assert (query.time, query.time_digits) == (1772439301_250 * 10**6, 6)
    assert answer.lacks == ("answer",)


def test_failures_and_ignored_queries() -> None:
    found = names("windows-dns-events", sample("windows-dns-events", "winlogbeat.json"))
    failed, ignored = found[3:]
    assert short(failed) == ("dns-answer", "m.tiktok.com", "2001:db8::12:50001", "HTTPS", "REFUSED")
    assert (failed.transport, endpoint(failed.server)) == ("tcp", "2001:db8::53:0")
    assert short(ignored)[:3] == ("dns-query", "m.tiktok.com", "10.0.0.13:0")
    assert (ignored.outcome, ignored.blocked_by) == ("blocked", "ignored-query:BlackholePolicy")


def test_a_message_in_text() -> None:
    """As forwarders send it, without anything but the text."""
    (entry,) = names(
        "windows-dns-events",
        [
            b"<14>Mar  2 09:15:01 dc1 dns: 256 QUERY_RECEIVED: TCP=0; InterfaceIP=10.0.0.53; "
            b"Source=10.0.0.12; RD=1; QNAME=www.TikTok.com.; QTYPE=1; XID=1; Port=5; Flags=256"
        ],
    )
    assert short(entry) == ("dns-query", "www.tiktok.com", "10.0.0.12:5", "A", "")
    assert entry.raw == "www.TikTok.com"


def changed(**data: object) -> bytes:
    """The first event of the sample, with other data; None leaves one out."""
    event = orjson.loads(sample("windows-dns-events", "nxlog.json")[0]) | data
    return orjson.dumps({key: value for key, value in event.items() if value is not None})


def test_a_client_that_is_missing_and_a_damaged_message() -> None:
    (entry,) = names("windows-dns-events", [changed(Source=None, PacketData="0x7653")])
    assert short(entry) == ("dns-query", "www.tiktok.com", "-:57943", "A", "") or (
        entry.client.ip is None
    )
    assert entry.lacks == ("client",)


def test_events_of_other_providers() -> None:
    assert not read("windows-dns-events", [changed(SourceName="Microsoft-Windows-Other")])
    assert not read("windows-dns-events", [changed(EventID=22)])


def test_hostile_names() -> None:
    (entry,) = names("windows-dns-events", [changed(PacketData=None, QNAME='a"b\0\n.tiktok.com.')])
    assert entry.name == 'a"b\\000\\010.tiktok.com'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (changed(PacketData="x", QNAME=None), "field-missing"),
        (changed(PacketData=None, QTYPE="A"), "number-invalid"),
        (changed(Source="dc1"), "address-invalid"),
        (changed(Port="99999"), "port-invalid"),
        (changed(EventTime="yesterday"), "time-invalid"),
        (b'{"EventID":256', "json-invalid"),
    ],
)
def test_what_cannot_be_read(line: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("windows-dns-events", [line])
