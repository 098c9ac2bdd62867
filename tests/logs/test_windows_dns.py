"""The debug log of the DNS server of Windows, with the dates of several locales.

Analytical events of the DNS server of Windows, from several exporters.
"""

from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from support.resolver_logs import endpoint, names, read, sample, short

from netwatch.core.errors import RecordError
from netwatch.logs.windows_dns import labels

_REST = (
    b" 0E70 PACKET  00000000033397A0 UDP Rcv 10.0.0.12       5b47   Q [0001   D   NOERROR] A      "
    b"(3)www(6)tiktok(3)com(0)"
)


def nanoseconds(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 10**9  # type: ignore[misc,arg-type]


def test_queries_of_clients_and_responses_to_them() -> None:
    """What is between the server and others is none of a client, and details are left out."""
    zone = timezone(timedelta(hours=-5))
    found = names("windows-dns", sample("windows-dns", "us.log"), zone=zone)
    assert [short(entry) for entry in found] == [
        ("dns-query", "www.tiktok.com", "10.0.0.12:0", "A", ""),
        ("dns-answer", "www.tiktok.com", "10.0.0.12:0", "A", "NOERROR"),
        ("dns-query", "p1.tiktokcdn-us.com", "2001:db8::12:0", "HTTPS", ""),
        ("dns-answer", "host.example.net", "10.0.0.13:0", "AAAA", "NXDOMAIN"),
    ]
    assert (found[0].raw, found[2].transport) == ("www.TikTok.com", "tcp")
    assert (found[0].time, found[0].time_digits) == (nanoseconds(2026, 3, 2, 14, 15, 1), 0)
    assert found[2].time == nanoseconds(2026, 3, 2, 18, 15, 2)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (b"3/2/2026 9:15:01 AM", (2026, 3, 2, 9, 15, 1)),
        (b"3/2/2026 12:15:01 AM", (2026, 3, 2, 0, 15, 1)),
        (b"2/3/2026 09:15:01", (2026, 3, 2, 9, 15, 1)),
        (b"02.03.2026 09:15:01", (2026, 3, 2, 9, 15, 1)),
        (b"2.3.26 9:15:01", (2026, 3, 2, 9, 15, 1)),
        (b"02-03-2026 09.15.01", (2026, 3, 2, 9, 15, 1)),
        (b"2026-03-02 09:15:01", (2026, 3, 2, 9, 15, 1)),
        (b"2026. 03. 02. 9:15:01", (2026, 3, 2, 9, 15, 1)),
        (b"20260302 09:15:01", (2026, 3, 2, 9, 15, 1)),
        (b"2/3/2026 1:15:01 p.m.", (2026, 2, 3, 13, 15, 1)),
        (b"28/2/2026 1:15:01 PM", (2026, 2, 28, 13, 15, 1)),
        (b"2/28/2026 13:15:01", (2026, 2, 28, 13, 15, 1)),
    ],
)
def test_dates_of_locales(text: bytes, date: tuple[int, ...]) -> None:
    (entry,) = names("windows-dns", [text + _REST])
    assert entry.time == nanoseconds(*date)


def test_a_date_that_decides() -> None:
    """The order of day and month is that of a date in the same log, where one decides it."""
    _, second = names(
        "windows-dns", [b"28/2/2026 9:15:01 AM" + _REST, b"1/3/2026 9:15:01 AM" + _REST]
    )
    assert second.time == nanoseconds(2026, 3, 1, 9, 15, 1)


def test_a_date_is_not_later_than_the_file() -> None:
    """The file was written on 3 March 2026: its dates are not of April."""
    (entry,) = names("windows-dns", [b"4/2/2026 9:15:01 AM" + _REST])
    assert entry.time == nanoseconds(2026, 2, 4, 9, 15, 1)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"(3)www(6)TikTok(3)com(0)", b"www.TikTok.com"),
        (b"(5)a(3)b(3)com(0)", b"a(3)b.com"),
        (b"[C00C](4)home(7)example(0)", b"home.example"),
        (b".ns1.example.com.", b"ns1.example.com"),
        (b"(0)", b""),
    ],
)
def test_labels(text: bytes, name: bytes) -> None:
    assert labels(text) == name


def test_hostile_names() -> None:
    (entry,) = names(
        "windows-dns", [b"3/2/2026 9:15:01 AM" + _REST.replace(b"(3)www", b'(6)a"b\\\0\x07')]
    )
    assert entry.name == 'a"b\\\\\\000\\007.tiktok.com'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"30/30/2026 9:15:01" + _REST, "time-invalid"),
        (b"3/2/2026 25:15:01" + _REST, "time-invalid"),
        (b"gestern" + _REST, "line-invalid"),
        (b"3/2/2026 9:15:01" + _REST.replace(b"(3)com", b"(9)com"), "name-invalid"),
        (b"3/2/2026 9:15:01" + _REST.replace(b"10.0.0.12", b"10.0.0.a"), "address-invalid"),
    ],
)
def test_what_cannot_be_read(line: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("windows-dns", [line])


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


def test_hostile_names_of_events() -> None:
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
def test_events_that_cannot_be_read(line: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("windows-dns-events", [line])
