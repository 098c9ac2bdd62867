"""Logs of BIND, with what a channel may print before a message, and those of Infoblox."""

from datetime import timedelta, timezone

import pytest
from support.resolver_logs import endpoint, names, read, sample, short

from netwatch.core.errors import RecordError

_QUERY = (
    b"client @0x7f1c 10.0.0.12#40001 (www.tiktok.com): query: www.tiktok.com IN A + (10.0.0.53)"
)


def test_the_query_log() -> None:
    first, second, third = names("bind", sample("bind", "query.log"))
    assert short(first) == ("dns-query", "www.tiktok.com", "10.0.0.12:40001", "A", "")
    assert (first.raw, endpoint(first.server), first.transport) == (
        "www.TikTok.com",
        "10.0.0.53:0",
        "udp",
    )
    assert (first.time, first.time_digits) == (1772442901_123 * 10**6, 3)
    assert short(second) == ("dns-query", "www.tiktok.com", "2001:db8::12:40002", "HTTPS", "")
    assert (endpoint(second.server), second.transport) == ("2001:db8::53:0", "tcp")
    assert third.name == 'a"b\\032c.example.org'
    assert short(third)[3] == "TYPE999"


@pytest.mark.parametrize(
    ("before", "time", "digits"),
    [
        (b"02-Mar-2026 09:15:01.123 ", 1772439301_123, 3),
        (b"02-Mar-2026 09:15:01.123 queries: ", 1772439301_123, 3),
        (b"02-Mar-2026 09:15:01.123 queries: info: ", 1772439301_123, 3),
        (b"02-Mar-2026 09:15:01.123 info: ", 1772439301_123, 3),
        (b"2026-03-02T09:15:01.123 queries: info: ", 1772439301_123, 3),
        (b"2026-03-02T09:15:01.123Z queries: info: ", 1772442901_123, 3),
        (b"2026-03-02T09:15:01.123+02:00 ", 1772435701_123, 3),
        (b"Mar  2 09:15:01 ns1 named[2001]: queries: info: ", 1772439301_000, 0),
        (b"<30>1 2026-03-02T09:15:01.5Z ns1 named 2001 - - ", 1772442901_500, 1),
    ],
)
def test_times_of_channels(before: bytes, time: int, digits: int) -> None:
    """``print-time`` is ``local``, ``iso8601`` or ``iso8601-utc``; times without a zone are of
    that of the server."""
    (entry,) = names("bind", [before + _QUERY], zone=timezone(timedelta(hours=1)))
    assert (entry.time, entry.time_digits) == (time * 10**6, digits)


def test_responses_and_policy_zones() -> None:
    """A rewritten answer is shown once, though its response is logged as well."""
    found = names("bind", sample("bind", "categories.log"))
    assert [(*short(entry)[:2], short(entry)[4], entry.outcome) for entry in found] == [
        ("dns-query", "www.tiktok.com", "", None),
        ("dns-answer", "www.tiktok.com", "NXDOMAIN", "blocked"),
        ("dns-query", "www.example.org", "", None),
        ("dns-answer", "www.example.org", "NOERROR", None),
        ("dns-answer", "a.example.org", "SERVFAIL", None),
    ]
    assert found[1].blocked_by == "rpz-nxdomain"
    assert (found[3].lacks, found[3].transport) == (("answer",), "tcp")
    assert found[4].lacks == ()


def test_older_versions() -> None:
    first, second, rewritten = names("bind", sample("bind", "old.log"))
    assert short(first)[1:3] == ("www.tiktok.com", "10.0.0.12:40001")
    assert short(second)[1:3] == ("m.tiktok.com", "10.0.0.12:40002")
    assert (rewritten.outcome, short(rewritten)[4]) == ("blocked", "NOERROR")


def test_infoblox_has_the_answer() -> None:
    answer, alias, other, rewritten, relayed = names("bind", sample("bind", "infoblox.log"))
    assert answer.dns is not None
    assert answer.dns.answers == (("203.0.113.7", 60),)
    assert (alias.name, alias.asked) == ("edge.example.net", "www.tiktok.com")
    assert (short(other)[3:], other.transport) == (("AAAA", "NXDOMAIN"), "tcp")
    assert short(rewritten)[1:] == ("m.tiktok.com", "10.0.0.14:51424", "A", "NXDOMAIN")
    assert rewritten.outcome == "blocked"
    assert relayed.dns is not None
    assert relayed.dns.answers == (("203.0.113.8", 60),)


_AT = b"02-Mar-2026 09:15:01.123 client @0x7f1c 10.0.0.12#40001 (www.tiktok.com): "


def test_an_answer_behind_an_arrow() -> None:
    line = (
        b"answer: www.tiktok.com IN A +EDCT (10.0.0.53) -> NOERROR"
        b" www.tiktok.com. 5 CNAME edge.example.net. edge.example.net. 60 A 203.0.113.7"
    )
    answer, alias = names("bind", [_AT + line])
    assert short(answer) == ("dns-answer", "www.tiktok.com", "10.0.0.12:40001", "A", "NOERROR")
    assert answer.dns is not None
    assert answer.dns.answers == (("203.0.113.7", 60),)
    assert (answer.transport, endpoint(answer.server)) == ("tcp", "10.0.0.53:0")
    assert (alias.name, alias.asked) == ("edge.example.net", "www.tiktok.com")
    (empty,) = names("bind", [_AT + b"answer: a.example IN MX +E -> NXDOMAIN"])
    assert short(empty)[3:] == ("MX", "NXDOMAIN")


@pytest.mark.parametrize("cache", [b"", b" (cache)"])
def test_a_query_that_named_denies(cache: bytes) -> None:
    (denied,) = names("bind", [_AT + b"query" + cache + b" 'www.tiktok.com/A/IN' denied"])
    assert short(denied) == ("dns-answer", "www.tiktok.com", "10.0.0.12:40001", "A", "REFUSED")
    assert (denied.outcome, denied.blocked_by) == ("blocked", "denied")


def test_a_rewrite_that_failed_says_nothing() -> None:
    for policy in (b"QNAME", b"NSIP/NSDNAME NS"):
        line = b"rpz " + policy + b" rewrite www.tiktok.com via a.rpz.example.net failed: SERVFAIL"
        assert not read("bind", [_AT + line])


def test_a_policy_that_is_only_logged() -> None:
    assert not read(
        "bind",
        [
            b"02-Mar-2026 09:15:01.123 client 10.0.0.12#1 (a.example): disabled rpz QNAME NXDOMAIN"
            b" rewrite a.example/A/IN via a.example.rpz.example.net"
        ],
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"32-Mar-2026 09:15:01.123 " + _QUERY, "time-invalid"),
        (b"02-Mrz-2026 09:15:01.123 " + _QUERY, "time-invalid"),
        (b"02-Mar-2026 09:15:01.123 " + _QUERY.replace(b"#40001", b"#70001"), "port-invalid"),
        (b"02-Mar-2026 09:15:01.123 " + _QUERY.replace(b" IN A", b" IN"), "query-type-invalid"),
        (b"02-Mar-2026 09:15:01.123 " + _QUERY.replace(b"10.0.0.12", b"10.0.0.999"), "address"),
        (b"02/03/2026 09:15:01.123 " + _QUERY, "time-missing"),
        (_QUERY, "time-missing"),
        (_AT + b"answer: a.example IN A", "answer-invalid"),
    ],
)
def test_what_cannot_be_read(line: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("bind", [line])
