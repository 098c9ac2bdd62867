"""Logs of Unbound, in the forms that unbound.conf(5) describes."""

from datetime import timedelta, timezone

import pytest
from support.resolver_logs import endpoint, names, read, sample, short

from netwatch.core.errors import RecordError


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


def action(second: int, zone: str, name: str = "www.tiktok.com.") -> bytes:
    begin = f"[{1772442900 + second}] unbound[1:0] info: tiktok.com. {zone}"
    return f"{begin} 10.0.0.12@4494{second % 10} {name} A IN".encode()


def test_local_actions_without_replies() -> None:
    """``log-local-actions`` alone: each shows the query, and what blocked it."""
    lines = [action(1, "always_nxdomain"), action(2, "inform", "a.tiktok.com."),
             action(9, "always_null"), action(10, "always_null")]  # fmt: skip
    found = names("unbound", lines)
    assert [(each.evidence, each.name, each.outcome, each.blocked_by) for each in found] == [
        ("dns-query", "www.tiktok.com", "blocked", "always_nxdomain"),
        ("dns-query", "a.tiktok.com", None, ""),
        ("dns-query", "www.tiktok.com", "blocked", "always_null"),
        ("dns-query", "www.tiktok.com", "blocked", "always_null"),
    ]
    assert [each.time // 10**9 - 1772442900 for each in found] == [1, 2, 9, 10]
    assert len(names("unbound", lines[:1])) == 1


def test_a_reply_says_what_the_action_before_it_said() -> None:
    reply = b"[1772442902] unbound[1:0] info: 10.0.0.12 www.tiktok.com. A IN NXDOMAIN 0.0 1 40"
    denied = action(3, "deny", "b.tiktok.com.")
    later = b"[1772442909] unbound[1:0] info: 10.0.0.12 www.example.org. A IN"
    found = names("unbound", [action(1, "always_nxdomain"), reply, denied, later])
    assert [(each.evidence, each.name, each.blocked_by) for each in found] == [
        ("dns-answer", "www.tiktok.com", "always_nxdomain"),
        ("dns-query", "b.tiktok.com", "deny"),
        ("dns-query", "www.example.org", ""),
    ]


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
