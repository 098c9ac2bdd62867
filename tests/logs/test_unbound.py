"""Logs of Unbound, in the forms that unbound.conf(5) describes."""

from datetime import timedelta, timezone

import pytest
from support.resolver_logs import endpoint, names, read, sample, short

from netwatch.logs.reading import RecordError


def test_queries_and_replies() -> None:
    found = names("unbound", sample("unbound", "epoch.log"))
    assert [short(entry) for entry in found] == [
        ("dns-query", "www.tiktok.com", "10.0.0.12:0", "A", ""),
        ("dns-answer", "www.tiktok.com", "10.0.0.12:0", "A", "NOERROR"),
        ("dns-query", "www.tiktok.com", "2001:db8::12:0", "HTTPS", ""),
        ("dns-answer", "www.tiktok.com", "2001:db8::12:0", "HTTPS", "NXDOMAIN"),
        ("dns-answer", "a.example.net", "10.0.0.13:0", "A", "NOERROR"),
        ("dns-answer", "www.example.org", "10.0.0.13:0", "TYPE65534", "SERVFAIL"),
    ]
    assert (found[0].raw, found[1].raw) == ("www.TikTok.com", "www.TikTok.com")
    assert (found[0].time, found[0].time_digits) == (1772442901 * 10**9, 0)
    assert [entry.blocked_by for entry in found] == ["", "", "", "always_nxdomain", "", ""]


def test_policy_zones_and_destinations() -> None:
    """Lines with the tags of ``log-tag-queryreply``, and the server of ``log-destaddr``."""
    query, denied, passed = names("unbound", sample("unbound", "policy.log"))
    assert (query.time, query.time_digits) == (1772439301_250 * 10**6, 3)
    assert (denied.outcome, denied.blocked_by) == ("blocked", "rpz-nxdomain")
    assert endpoint(denied.server) == "10.0.0.53:53"
    assert (passed.outcome, passed.transport) == (None, "tcp")


def test_carried_by_syslog_or_with_times_in_words() -> None:
    zone = timezone(timedelta(hours=1))
    query, reply, other = names("unbound", sample("unbound", "syslog.log"), zone=zone)
    assert (query.evidence, reply.evidence) == ("dns-query", "dns-answer")
    assert other.time == 1772439302 * 10**9
    assert short(other)[1:4] == ("www.example.org", "10.0.0.13:0", "AAAA")


@pytest.mark.parametrize("name", [b"a?b\"c'.tiktok.com.", b"a\\b.tiktok.com.", b"a\0b.tiktok.com."])
def test_hostile_names(name: bytes) -> None:
    (entry,) = names("unbound", [b"[1772442901] unbound[1:0] info: 10.0.0.1 " + name + b" A IN"])
    assert entry.name.endswith(".tiktok.com")
    assert entry.name.isprintable()


def test_other_messages_say_nothing() -> None:
    assert not read(
        "unbound",
        [
            b"[1772442901] unbound[1:0] info: server stats for thread 0: 10 queries",
            b"[1772442901] unbound[1:0] info: 10 RRset cache entries IN use",
            b"[1772442901] unbound[1:0] error: SERVFAIL <www.tiktok.com. A IN>: no address",
        ],
    )


def test_what_cannot_be_read() -> None:
    with pytest.raises(RecordError, match="address-invalid"):
        read("unbound", [b"[1772442901] unbound[1:0] info: 10.0.0 www.tiktok.com. A IN"])
    with pytest.raises(RecordError, match="time-invalid"):
        read("unbound", [b"2026-13-02T09:15:01 unbound[1:0] info: 10.0.0.1 a.example. A IN"])
