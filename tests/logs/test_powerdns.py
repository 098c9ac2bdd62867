"""Logs of the PowerDNS Recursor, before and since 5.0, and of dnsdist."""

import pytest
from support.resolver_logs import names, read, sample, short

from netwatch.core.errors import RecordError


def test_structured_lines() -> None:
    query, answer, cached, tcp = names("powerdns", sample("powerdns", "recursor-5.log"))
    assert short(query) == ("dns-query", "www.tiktok.com", "10.0.0.12:40843", "A", "")
    assert short(answer) == ("dns-answer", "www.tiktok.com", "10.0.0.12:40843", "A", "NOERROR")
    assert (query.raw, query.time, query.time_digits) == (
        "www.TikTok.com",
        1772442901_716 * 10**6,
        3,
    )
    assert short(cached)[:3] == ("dns-query", "www.tiktok.com", "2001:db8::12:34840")
    assert (tcp.name, tcp.transport, short(tcp)[3]) == (
        'a"b\\032c.example.org',
        "tcp",
        "TYPE999",
    )


def test_json() -> None:
    query, answer = names("powerdns", sample("powerdns", "recursor.json"))
    assert short(query) == ("dns-query", "www.tiktok.com", "10.0.0.12:52953", "A", "")
    assert short(answer)[4] == "NXDOMAIN"


def test_sentences_of_older_versions() -> None:
    """Answers belong to the questions of the same task."""
    found = names("powerdns", sample("powerdns", "recursor-4.log"))
    assert [short(entry) for entry in found] == [
        ("dns-query", "www.tiktok.com", "10.0.0.12:55002", "A", ""),
        ("dns-query", "www.example.org", "2001:db8::13:55003", "AAAA", ""),
        ("dns-answer", "www.tiktok.com", "10.0.0.12:55002", "A", "NOERROR"),
        ("dns-answer", "www.example.org", "2001:db8::13:55003", "AAAA", "NXDOMAIN"),
    ]


def test_dnsdist() -> None:
    found = names("powerdns", sample("powerdns", "dnsdist.log"))
    assert [short(entry) for entry in found] == [
        ("dns-query", "www.tiktok.com", "10.0.0.12:33790", "A", ""),
        ("dns-answer", "www.tiktok.com", "10.0.0.12:33790", "A", "NOERROR"),
        ("dns-query", "m.tiktok.com", "2001:db8::12:51807", "HTTPS", ""),
        ("dns-answer", "m.tiktok.com", "2001:db8::12:51807", "HTTPS", "NXDOMAIN"),
    ]
    assert (found[0].time, found[0].time_digits) == (1772442901_296264309, 9)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'msg="Question" qname="a.example" qtype="A"', "field-missing"),
        (b'msg="Question" qname="a." qtype="A" remote="10.0.0.1" ts="1"', "address-invalid"),
        (b'msg="Answer" qname="a." qtype="A" remote="10.0.0.1:5" ts="1"', "response-code-invalid"),
        (b'{"msg": "Question"', "json-invalid"),
        (b"Packet from 10.0.0.1:5 for a.example. A with id 1", "time-missing"),
        (b"[1772442901.5] Answer to 10.0.0.1:5 for a. A (Odd) with id 1", "response-code-invalid"),
    ],
)
def test_what_cannot_be_read(line: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("powerdns", [line])
