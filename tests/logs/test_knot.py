"""Logs of Knot Resolver: what its policies IPTRACE, REQTRACE and DEBUG_ALWAYS write."""

import pytest
from support.resolver_logs import endpoint, names, read, sample, short

from netwatch.core.errors import RecordError


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


def knot(*lines: str) -> list[tuple[str, str, str]]:
    """Evidence, name and client of what lines show."""
    prefix = b"Mar  2 09:15:01 h kresd[1]: "
    found = names("knot", [prefix + line.encode() for line in lines])
    return [short(each)[:3] for each in found]


def packet(number: str, kind: str, name: str) -> list[str]:
    return [f"[reqdbg][policy][{number}.00] {kind} packet:",
            ";; ->>HEADER<<- opcode: QUERY; status: NOERROR; id: 0",
            ";; QUESTION SECTION", f"{name}.\t\tA", "", ";; ADDITIONAL SECTION"]  # fmt: skip


def arrived(number: str, client: str) -> str:
    where = f"from {client}#40001 to 192.0.2.53#00053 (UDP)"
    return f"[reqdbg][policy][{number}.00] request packet arrived {where}"


def test_requests_of_several_clients_with_one_id() -> None:
    """The id is that of the message, which clients choose. With DEBUG_ALWAYS before IPTRACE the
    packet comes before the line that says who sent it, as Knot Resolver 5.7 writes it."""
    one, two = "10.0.0.1:40001", "10.0.0.2:40001"
    a, b = ("a.example.org", "b.example.org")
    assert knot(
        *packet("7", "request", a), arrived("7", "10.0.0.1"), *packet("7", "answer", a),
        *packet("7", "request", b), arrived("7", "10.0.0.2"), *packet("7", "answer", b),
    ) == [("dns-query", a, one), ("dns-answer", a, one),
          ("dns-query", b, two), ("dns-answer", b, two)]  # fmt: skip
    assert knot(
        arrived("7", "10.0.0.1"), *packet("7", "request", a),
        arrived("7", "10.0.0.2"), *packet("7", "request", b), *packet("7", "answer", a),
    ) == [("dns-query", a, one), ("dns-query", b, two), ("dns-answer", a, "-:0")]  # fmt: skip
    assert knot(
        arrived("7", "10.0.0.1"), *packet("7", "request", a), *packet("7", "answer", a),
        *packet("7", "request", b), *packet("7", "answer", b),
    ) == [("dns-query", a, one), ("dns-answer", a, one),
          ("dns-query", b, "-:0"), ("dns-answer", b, "-:0")]  # fmt: skip


def test_requests_of_the_resolver_itself_show_nothing() -> None:
    internal = "[reqdbg][policy][65536.00] request packet arrived internally"
    lines = [*packet("65536", "request", "a.example.org"), internal,
             *packet("65536", "answer", "a.example.org")]  # fmt: skip
    assert knot(*lines) == []
