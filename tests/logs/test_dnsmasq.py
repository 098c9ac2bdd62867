"""Logs of dnsmasq (``log-queries`` in dnsmasq(8)) and of Pi-hole, and what DHCP servers log."""

import pytest
from support.resolver_logs import names, read, sample, short

from netwatch.core.addresses import ip_text
from netwatch.core.errors import RecordError
from netwatch.logs.dnsmasq import joins
from netwatch.logs.records import LogClaim, LogName

_CLIENT = "10.0.0.12:51000"
_PREFIX = b"Mar  2 09:15:01 dnsmasq[1201]: "


def lines(*texts: bytes) -> list[bytes]:
    return [_PREFIX + text for text in texts]


def test_lookups_with_serial_numbers() -> None:
    """Lines of several lookups are mixed; those of DNSSEC and further addresses are left out."""
    assert [short(entry) for entry in names("dnsmasq", sample("dnsmasq", "extra.log"))] == [
        ("dns-query", "www.tiktok.com", _CLIENT, "A", ""),
        ("dns-query", "www.tiktok.com", "2001:db8::12:51001", "HTTPS", ""),
        ("dns-answer", "www.tiktok.com", _CLIENT, "A", "NOERROR"),
        ("dns-cname", "www.tiktok.com.example.net", _CLIENT, "A", "NOERROR"),
        ("dns-cname", "edge.example.net", _CLIENT, "A", "NOERROR"),
        ("dns-answer", "www.tiktok.com", "2001:db8::12:51001", "HTTPS", "NOERROR"),
        ("dns-query", "shop.example.org", "10.0.0.13:40000", "A", ""),
        ("dns-answer", "shop.example.org", "10.0.0.13:40000", "A", "NOERROR"),
        ("dns-cname", "shops.tiktok.com", "10.0.0.13:40000", "A", "NOERROR"),
        ("dns-query", "7.113.0.203.in-addr.arpa", "10.0.0.13:40002", "PTR", ""),
        ("dns-answer", "7.113.0.203.in-addr.arpa", "10.0.0.13:40002", "PTR", "NXDOMAIN"),
    ]


def test_the_chain_of_an_answer() -> None:
    answer = names("dnsmasq", sample("dnsmasq", "extra.log"))[2]
    assert answer.dns is not None
    assert answer.dns.chain == ("www.tiktok.com.example.net", "edge.example.net")
    assert answer.dns.answers == (("203.0.113.7", 0),)
    assert (answer.time, answer.time_digits, answer.lacks) == (1772442901 * 10**9, 0, ())


def test_an_answer_whose_query_is_missing() -> None:
    """The log was rotated meanwhile, or the query was of no interest."""
    answer, alias = names(
        "dnsmasq",
        lines(
            b"7 10.0.0.12/51000 reply shop.example.org is <CNAME>",
            b"7 10.0.0.12/51000 reply shops.tiktok.com is 203.0.113.9",
            b"7 10.0.0.12/51000 reply shops.tiktok.com is 203.0.113.10",
        ),
    )
    assert short(answer) == ("dns-answer", "shop.example.org", _CLIENT, "", "NOERROR")
    assert answer.lacks == ("query-type",)
    assert (alias.name, alias.asked) == ("shops.tiktok.com", "shop.example.org")


def test_serial_numbers_that_begin_again() -> None:
    found = names(
        "dnsmasq",
        lines(
            b"1 10.0.0.12/51000 query[A] a.example.org from 10.0.0.12",
            b"1 10.0.0.13/51001 reply b.example.org is 203.0.113.9",
        ),
    )
    assert [short(entry)[1:3] for entry in found] == [
        ("a.example.org", _CLIENT),
        ("b.example.org", "10.0.0.13:51001"),
    ]


def test_pihole_without_serial_numbers() -> None:
    """Only what was answered at once has a client: the reply of another server may be anybody's."""
    found = names("dnsmasq", sample("dnsmasq", "pihole.log"))
    assert [
        (entry.evidence, entry.name, short(entry)[2], entry.outcome, entry.blocked_by)
        for entry in found
    ] == [
        ("dns-query", "www.tiktok.com", "10.0.0.12:0", None, ""),
        ("dns-answer", "www.tiktok.com", "10.0.0.12:0", "blocked", "gravity-blocked"),
        ("dns-query", "www.tiktok.com", "10.0.0.12:0", None, ""),
        ("dns-answer", "www.tiktok.com", "10.0.0.12:0", "blocked", "exactly-denied"),
        ("dns-query", "www.example.org", "10.0.0.13:0", None, ""),
        ("dns-query", "cached.example.org", "fe80::12:0", None, ""),
        ("dns-query", "mon.tiktokv.com", "10.0.0.14:0", None, ""),
        ("dns-answer", "mon.tiktokv.com", "10.0.0.14:0", None, ""),
    ]
    assert {entry.lacks for entry in found} == {("client-port",)}


@pytest.mark.parametrize(
    ("source", "value", "rcode", "answers", "blocked_by"),
    [
        (b"config", b"NXDOMAIN", "NXDOMAIN", (), ""),
        (b"config", b"NODATA-IPv6", "NOERROR", (), ""),
        (b"/etc/hosts", b"10.0.0.9", "NOERROR", (("10.0.0.9", 0),), ""),
        (b"cached-stale", b"203.0.113.7", "NOERROR", (("203.0.113.7", 0),), ""),
        (b"cached", b"<HTTPS>", "NOERROR", (), ""),
        (b"regex denied", b"0.0.0.0", "NOERROR", (("0.0.0.0", 0),), "regex-denied"),
        (b"gravity blocked (CNAME)", b"0.0.0.0", "NOERROR", (("0.0.0.0", 0),),
         "gravity-blocked-(CNAME)"),
        (b"special domain", b"NXDOMAIN", "NXDOMAIN", (), "special-domain"),
        (b"Rate-limiting", b"REFUSED (EDE: blocked)", "REFUSED", (), "Rate-limiting"),
        (b"reply", b"blocked during CNAME inspection", "NOERROR", (), "reply"),
    ],
)  # fmt: skip
def test_kinds_of_answers(
    source: bytes, value: bytes, rcode: str, answers: tuple[object, ...], blocked_by: str
) -> None:
    _, answer = names(
        "dnsmasq",
        lines(
            b"5 10.0.0.12/51000 query[A] www.tiktok.com from 10.0.0.12",
            b"5 10.0.0.12/51000 " + source + b" www.tiktok.com is " + value,
        ),
    )
    assert answer.dns is not None
    assert (answer.dns.rcode, answer.dns.answers) == (rcode, answers)
    assert (answer.outcome, answer.blocked_by) == ("blocked" if blocked_by else None, blocked_by)


def test_errors_have_no_name() -> None:
    _, answer = names(
        "dnsmasq",
        lines(
            b"5 10.0.0.12/51000 query[A] www.tiktok.com from 10.0.0.12",
            b"5 10.0.0.12/51000 reply error is SERVFAIL",
        ),
    )
    assert short(answer)[1:] == ("www.tiktok.com", _CLIENT, "A", "SERVFAIL")


def test_names_that_are_not_printed_or_hostile() -> None:
    (entry,) = names(
        "dnsmasq",
        lines(
            b"1 10.0.0.12/51000 query[A] <name unprintable> from 10.0.0.12",
            b"2 10.0.0.12/51000 query[NS] <root> from 10.0.0.12",
            b'3 10.0.0.12/51000 query[A] a"b\\c.tiktok.com from 10.0.0.12',
        ),
    )
    assert entry.name == 'a"b\\\\c.tiktok.com'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"query[A] www.tiktok.com", "query-invalid"),
        (b"query[A] www.tiktok.com from nobody", "address-invalid"),
        (b"1 10.0.0.12/99999 query[A] www.tiktok.com from 10.0.0.12", "port-invalid"),
    ],
)
def test_what_cannot_be_read(text: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("dnsmasq", lines(text))


def test_a_time_is_needed() -> None:
    with pytest.raises(RecordError, match="time-missing"):
        read("dnsmasq", [b"dnsmasq: query[A] www.tiktok.com from 10.0.0.12"])


def test_claims_of_addresses() -> None:
    found = read("dnsmasq", sample("dnsmasq", "router.log"))
    claims = [entry for entry in found if isinstance(entry, LogClaim)]
    assert [
        (each.claim.kind, ip_text(each.claim.addresses[0]), each.claim.hostname) for each in claims
    ] == [
        ("lease", "10.0.0.12", "phone-of-reception"),
        ("lease", "10.0.0.13", ""),
        ("release", "10.0.0.12", ""),
    ]
    assert claims[0].claim.mac == bytes.fromhex("020000000012")
    assert claims[0].claim.client_id == claims[2].claim.client_id


def test_other_programs_in_the_same_file() -> None:
    found = names(
        "dnsmasq",
        [
            b"Mar  2 09:15:01 gw dnsmasq[1]: query[A] www.tiktok.com from 10.0.0.12",
            b"Mar  2 09:15:01 gw monitor[2]: config www.tiktok.com is 203.0.113.66",
            b"Mar  2 09:15:01 gw monitor[2]: query[A] nothing",
            b"Mar  2 09:15:01 gw dnsmasq[1]: config www.tiktok.com is 203.0.113.7",
        ],
    )
    assert [entry.dns.answers for entry in found if entry.dns is not None] == [
        (),
        (("203.0.113.7", 0),),
    ]


def test_the_log_of_openwrt() -> None:
    """As its ``logread`` has it: with the day of the week, the year, and the facility."""
    claim, query, answer, *_ = read("dnsmasq", sample("dnsmasq", "openwrt.log"))
    assert isinstance(claim, LogClaim)
    assert claim.claim.hostname == "tablet"
    assert isinstance(query, LogName)
    assert short(query)[:3] == ("dns-query", "www.tiktok.com", "10.0.0.12:50002")
    assert query.time == 1772442901 * 10**9
    assert isinstance(answer, LogName)
    assert answer.dns is not None
    assert answer.dns.answers == (("::", 0),)


def test_what_lines_of_a_lookup_have_in_common() -> None:
    for line in sample("dnsmasq", "extra.log"):
        if b"tiktok" in line and b" 1 " in line:
            assert joins(line) == b"10.0.0.12/51000"
    assert joins(sample("dnsmasq", "pihole.log")[0]) is None
