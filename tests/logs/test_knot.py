"""Logs of Knot Resolver: what its policies IPTRACE, REQTRACE and DEBUG_ALWAYS write."""

import pytest
from support.resolver_logs import endpoint, names, read, sample, short

from netwatch.logs.reading import RecordError


def test_requests_and_answers() -> None:
    query, answer, alias, other = names("knot", sample("knot", "syslog.log"))
    assert short(query) == ("dns-query", "www.tiktok.com", "10.0.0.12:39161", "A", "")
    assert endpoint(query.server) == "10.0.0.53:53"
    assert short(answer)[0::4] == ("dns-answer", "NOERROR")
    assert answer.dns is not None
    assert answer.dns.answers == (("203.0.113.7", 60),)
    assert (alias.name, alias.asked) == ("edge.example.net", "www.tiktok.com")
    assert short(other)[:4] == ("dns-query", "www.example.org", "-:0", "AAAA")
    assert other.lacks == ("client",)


def test_a_packet_in_one_record_of_the_journal() -> None:
    (query,) = names("knot", sample("knot", "journal.json"))
    assert short(query) == ("dns-query", "www.tiktok.com", "2001:db8::12:39161", "A", "")
    assert (query.transport, endpoint(query.server)) == ("tcp", "2001:db8::53:853")
    assert (query.time, query.time_digits) == (1772442901_250 * 10**6, 6)


def test_a_packet_that_never_ends_stays_small() -> None:
    prefix = b"Mar  2 09:15:01 h kresd[1]: "
    lines = [
        prefix + b"[reqdbg][policy][1.00] answer packet:",
        prefix + b";; ->>HEADER<<- opcode: QUERY; status: NOERROR; id: 1",
        prefix + b";; QUESTION SECTION",
        prefix + b'a"b\\010.tiktok.com.\t\tA',
        prefix + b";; ANSWER SECTION",
        *(prefix + b"a.tiktok.com. 60 A 203.0.%d.%d" % divmod(n, 256) for n in range(2000)),
    ]
    (answer,) = names("knot", lines)
    assert answer.name == 'a"b\\010.tiktok.com'
    assert answer.dns is not None
    assert len(answer.dns.answers) == 512


def test_what_cannot_be_read() -> None:
    with pytest.raises(RecordError, match="time-missing"):
        read("knot", [b"[reqdbg][policy][1.00] request packet:"])
    with pytest.raises(RecordError, match="address-invalid"):
        read(
            "knot",
            [b"[reqdbg][policy][1.00] request packet arrived from x#1 to 10.0.0.53#53 (UDP)"],
        )
