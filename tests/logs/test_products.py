"""Products whose logs are only fields, in the words of their documentation."""

from datetime import timedelta, timezone

import pytest
from support.log_records import SAMPLES, read, sample_lines, sample_of, short

from netwatch.core.errors import RecordError
from netwatch.logs.records import PLAIN, Carried, LogEntry, LogFlow, LogName
from netwatch.logs.registry import LOG_FORMATS, PRODUCTS

AT = 1772442901 * 10**9
WWW, OTHER, SERVER = "www.tiktok.com", "www.tiktok.com.example.net", "198.51.100.7:443"
DNS = "198.51.100.53:53"
AN_HOUR_EAST = {"zone": timezone(timedelta(hours=1))}
Changes = tuple[tuple[bytes, bytes], ...]

ROUTE53 = b'{"query_name":"a.example.","query_timestamp":"2026-03-02T09:15:01Z"'
SYSLOG = b"org "  # what carries a line of PAN-OS ends with the domain of the firewall
UMBRELLA_OF_THE_DOCUMENTATION = (
    b'"2015-01-16 17:48:41","ActiveDirectoryUserName", "ActiveDirectoryUserName,ADSite", '
    b'"10.10.1.100","203.0.113.133","Allowed","1 (A)", "NOERROR","www.tiktok.com.", "Chat"'
)


def lines_of(sample: str) -> list[bytes]:
    """The lines of a sample, given as ``format/file``, without syslog."""
    lines = sample_lines(SAMPLES / sample)
    return [line.split(SYSLOG, 1)[-1] for line in lines] if "syslog" in sample else lines


def line_of(sample: str, at: int, *changes: tuple[bytes, bytes]) -> bytes:
    """A line of a sample in which some bytes are replaced by others."""
    line = lines_of(sample)[at]
    for old, new in changes:
        assert old in line
        line = line.replace(old, new)
    return line


def said(sample: str, *lines: bytes, **zone: timezone) -> list[LogEntry]:
    """What lines say as lines of the format of a sample."""
    return read(LOG_FORMATS[sample.partition("/")[0]], lines, PLAIN, **zone)


SAID: dict[str, list[tuple[object, ...]]] = {
    "blocky/2026-03-02_ALL.log": [
        ("dns-answer", WWW, "10.0.0.12:0", "-:0", "NOERROR"),
        ("dns-cname", OTHER, "10.0.0.12:0", "-:0", "NOERROR"),
        ("dns-answer", WWW, "2001:db8::12:0", "-:0", "NOERROR"),
        ("dns-answer", WWW, "10.0.0.13:0", "-:0", "NXDOMAIN"),
    ],
    "route53/resolver.json": [
        ("dns-answer", WWW, "10.0.0.12:56067", "-:0", "NOERROR"),
        ("dns-cname", OTHER, "10.0.0.12:56067", "-:0", "NOERROR"),
        ("dns-answer", WWW, "2001:db8::12:56068", "-:0", "NXDOMAIN"),
    ],
    "cloudflare-gateway/dns.json": [
        ("dns-answer", WWW, "203.0.113.133:42424", DNS, "NOERROR"),
        ("dns-cname", OTHER, "203.0.113.133:42424", DNS, "NOERROR"),
        ("dns-answer", WWW, "-:0", "198.51.100.53:443", "REFUSED"),
    ],
    "cloudflare-gateway/http.json": [
        ("http-host", WWW, "-:0", SERVER, "reached"),
        ("http-host", WWW, "10.10.1.100:49908", SERVER, "blocked"),
    ],
    "cloudflare-gateway/network.json": [("tls-sni", WWW, "10.10.1.100:54494", SERVER, None)],
    "umbrella/dns-v1.csv": [
        ("dns-answer", WWW, "10.10.1.100:0", "-:0", "NOERROR"),
        ("dns-answer", WWW, "203.0.113.133:0", "-:0", "NOERROR"),
    ],
    "umbrella/dns-v10.csv": [
        ("dns-answer", WWW, "-:0", "-:0", "NOERROR"),
        ("dns-answer", WWW, "10.20.0.4:0", "-:0", "NOERROR"),
    ],
    "umbrella/dns-header.csv": [
        ("dns-answer", "v16.tiktokcdn.com", "10.10.1.100:0", "-:0", "NXDOMAIN")
    ],
    "umbrella/proxy.csv": [
        ("http-host", WWW, "10.10.1.100:0", SERVER, "reached"),
        ("http-host", WWW, "10.10.1.101:0", "-:443", "blocked"),
    ],
    "zscaler/cloud-nss.json": [
        ("http-host", WWW, "10.10.1.100:0", SERVER, "reached"),
        ("dns-answer", WWW, "-:0", DNS, "NOERROR"),
        ("flow", "tcp", "10.10.1.100:52352", SERVER, 5894, 3367),
    ],
    "zscaler/splunk.tsv": [
        # The proxy answers CONNECT itself: that says nothing of the server.
        ("tls-sni", WWW, "10.10.1.100:0", SERVER, None),
        ("http-host", WWW, "10.10.1.100:0", "-:443", "blocked"),
    ],
    "zscaler/default.csv": [
        ("http-host", WWW, "10.10.1.100:0", SERVER, "reached"),
        ("dns-answer", WWW, "10.10.1.100:0", DNS, "NXDOMAIN"),
    ],
    "fortigate/v7.log": [
        ("dns-answer", WWW, "10.1.100.11:54621", DNS, "NOERROR"),
        ("tls-sni", WWW, "10.1.100.11:54622", SERVER, None),
        ("http-host", WWW, "10.1.100.12:54623", "198.51.100.7:80", "blocked"),
        ("flow", "tcp", "10.1.100.11:54622", SERVER, 18800, 79000),
    ],
    "fortigate/v5.log": [("tls-sni", WWW, "2001:db8:1::11:54624", "2001:db8::7:443", None)],
    "palo-alto/v10.csv": [
        ("tls-sni", WWW, "10.0.0.12:62074", SERVER, None),
        ("dns-query", WWW, "10.0.0.12:45476", DNS, None),
    ],
    "palo-alto/v8-syslog.log": [
        ("flow", "tcp", "10.0.0.12:62074", SERVER, 18800, 79000),
        ("http-host", WWW, "10.0.0.13:62075", "198.51.100.7:80", "blocked"),
    ],
}

DETAILS: list[tuple[str, int, dict[str, object]]] = [
    ("blocky/2026-03-02_ALL.log", 0, {"dns.answers": (("198.51.100.7", 0), ("2001:db8::7", 0))}),
    ("blocky/2026-03-02_ALL.log", 0, {"time": AT, "time_digits": 0, "transport": "udp"}),
    ("blocky/2026-03-02_ALL.log", 0, {"lacks": (), "outcome": None}),
    ("blocky/2026-03-02_ALL.log", 2, {"outcome": "blocked", "blocked_by": "BLOCKED (banned)"}),
    ("blocky/2026-03-02_ALL.log", 2, {"dns.type": "HTTPS"}),
    ("route53/resolver.json", 0, {"raw": "www.TikTok.com", "time": AT, "time_digits": 0}),
    ("route53/resolver.json", 0, {"dns.answers": (("198.51.100.7", 0),)}),
    ("route53/resolver.json", 2, {"transport": "tcp", "outcome": "blocked", "blocked_by": "BLOCK"}),
    ("cloudflare-gateway/dns.json", 0, {"lacks": ("device-behind-nat",), "raw": "www.TikTok.com"}),
    ("cloudflare-gateway/dns.json", 2, {"client_host": "PC-0104", "time": AT + 10**9}),
    ("cloudflare-gateway/dns.json", 2, {"outcome": "blocked", "blocked_by": "blockedByCategory"}),
    ("cloudflare-gateway/dns.json", 2, {"dns.type": "HTTPS"}),
    ("cloudflare-gateway/http.json", 0, {"client_host": "PC-0104"}),
    ("umbrella/dns-v1.csv", 0, {"raw": "www.TikTok.com", "lacks": ("server", "answer")}),
    ("umbrella/dns-v1.csv", 0, {"time": AT}),
    ("umbrella/dns-v1.csv", 1, {"outcome": "blocked", "blocked_by": "Blocked"}),
    ("umbrella/dns-v1.csv", 1, {"lacks": ("server", "answer", "device-behind-nat")}),
    ("umbrella/dns-v1.csv", 1, {"dns.type": "AAAA"}),
    ("umbrella/dns-v10.csv", 0, {"client_host": "PC-0104"}),
    ("zscaler/cloud-nss.json", 0, {"time": AT}),
    ("zscaler/cloud-nss.json", 1, {"client_host": "PC-0105"}),
    ("zscaler/cloud-nss.json", 2, {"lasted": 34 * 10**9}),
    ("zscaler/splunk.tsv", 1, {"outcome": "blocked", "blocked_by": "Blocked"}),
    ("fortigate/v7.log", 0, {"dns.answers": (("198.51.100.7", 0), ("198.51.100.8", 0))}),
    ("fortigate/v7.log", 0, {"raw": "www.TikTok.com", "client_mac": bytes.fromhex("020000000001")}),
    ("fortigate/v7.log", 0, {"time": AT + 383195535, "time_digits": 9}),
    ("fortigate/v7.log", 2, {"outcome": "blocked", "blocked_by": "blocked"}),
    ("fortigate/v7.log", 3, {"server_sent": "payload", "lasted": 38 * 10**9}),
    ("palo-alto/v10.csv", 0, {"raw": "www.TikTok.com", "time_digits": 3}),
    # The precise time has a zone of its own.
    ("palo-alto/v10.csv", 0, {"time": AT + 190 * 10**6}),
    ("palo-alto/v10.csv", 1, {"outcome": "blocked", "blocked_by": "sinkhole"}),
    ("palo-alto/v8-syslog.log", 0, {"lasted": 38 * 10**9}),
]


@pytest.mark.parametrize("sample", SAID)
def test_what_the_samples_say(sample: str) -> None:
    assert [short(entry) for entry in said(sample, *lines_of(sample))] == SAID[sample]


@pytest.mark.parametrize(("sample", "at", "expected"), DETAILS)
def test_what_else_they_say(sample: str, at: int, expected: dict[str, object]) -> None:
    entry = said(sample, *lines_of(sample))[at]
    for name, value in expected.items():
        if name == "lasted":
            assert isinstance(entry, LogFlow)
            assert entry.last - entry.first == value
            continue
        found: object = entry
        for part in name.split("."):
            found = getattr(found, part)
        assert found == value


def test_the_samples_are_of_all_products_and_wholly_of_each() -> None:
    # The lines of CoreDNS come in carriers: test_coredns.py.
    assert {sample.partition("/")[0] for sample in SAID} == set(PRODUCTS) - {"coredns"}
    for sample in SAID:
        row = LOG_FORMATS[sample.partition("/")[0]]
        assert row.recognise(sample_of(lines_of(sample))) == len(lines_of(sample)), sample


def test_cef_says_the_same() -> None:
    plain, cef = (said(name, *lines_of(name)) for name in ("fortigate/v7.log", "fortigate/cef.log"))
    assert cef == plain
    assert LOG_FORMATS["fortigate"].recognise(sample_of(lines_of("fortigate/cef.log"))) == 5


SESSION = "cloudflare-gateway/network.json"
V7, V10, V8 = "fortigate/v7.log", "palo-alto/v10.csv", "palo-alto/v8-syslog.log"
TURNED: Changes = (
    (b"10.0.0.12,198.51.100.53", b"198.51.100.53,10.0.0.12"),
    (b",45476,53,", b",53,45476,"),
)


@pytest.mark.parametrize(
    ("sample", "at", "changes", "begin"),
    [
        ("cloudflare-gateway/network.json", 0, ((b'"tcp"', b'"udp"'),), ("quic-sni", WWW)),
        (V7, 0, ((b"dns-response", b"dns-query"),), ("dns-query", WWW)),
        # A quote in a value.
        (V7, 1, ((b"URL belongs", b'a \\"b\\" hostname=other.example'),), ("tls-sni", WWW)),
        # A threat in the answer is of the client.
        (V10, 1, TURNED, ("dns-query", WWW, "10.0.0.12:45476", DNS)),
        (V10, 0, ((b",tcp,alert", b",udp,alert"),), ("quic-sni", WWW)),
        (
            *(V10, 1, ((b'"",Suspicious', b'"v16.tiktokcdn.com",Other'),)),
            ("dns-query", "v16.tiktokcdn.com"),
        ),
    ],
)
def test_other_records(sample: str, at: int, changes: Changes, begin: tuple[object, ...]) -> None:
    (entry,) = said(sample, line_of(sample, at, *changes))
    assert short(entry)[: len(begin)] == begin


@pytest.mark.parametrize(
    ("sample", "lines"),
    [
        # A session of another protocol, and another data set.
        (
            "cloudflare-gateway",
            [line_of("cloudflare-gateway/network.json", 0, (b"www.tiktok.com", b""))],
        ),
        ("cloudflare-gateway", [b'{"Action":"login","Email":"jo@example.org"}']),
        ("umbrella", [b"", b'"","2026-03-02 09:15:01","jo@example.org","","settings","","1","2"']),
        (
            "umbrella",
            [b'"2026-03-02 09:15:01","PC","10.0.0.1","5412","198.51.100.7","443","","Networks"'],
        ),
        ("fortigate", [line_of(V7, 0, (b'qname="www.TikTok.com"', b""))]),
    ],
)
def test_records_that_say_nothing(sample: str, lines: list[bytes]) -> None:
    assert said(sample, *lines) == []


@pytest.mark.parametrize(
    ("sample", "at", "change", "sent"),
    [
        (V7, 3, (b'action="close"', b'action="deny"'), None),
        (V7, 3, (b'logid="0000000013"', b'logid="0000000020"'), None),
        (V7, 3, (b"proto=6", b"proto=1"), None),
        (V7, 3, (b"rcvdbyte=79000 sentpkt=30 rcvdpkt=69", b"rcvdbyte=52 rcvdpkt=1"), "headers"),
        (V7, 3, (b"rcvdbyte=79000 sentpkt=30 rcvdpkt=69", b"rcvdbyte=0 rcvdpkt=0"), "nothing"),
        # A session without payload has not reached its server.
        (V8, 0, (b"tiktok-base", b"incomplete"), "headers"),
    ],
)
def test_flows(sample: str, at: int, change: tuple[bytes, bytes], sent: str | None) -> None:
    found = said(sample, line_of(sample, at, change))
    sides = [each.server_sent for each in found if isinstance(each, LogFlow)]
    assert sides == ([sent] if sent else [])


@pytest.mark.parametrize(
    ("name", "flow"), [((V7, 1), (V7, 3)), ((V10, 0), (V8, 0))], ids=["fortigate", "palo-alto"]
)
def test_a_name_and_its_flow_have_the_same_identifier(
    name: tuple[str, int], flow: tuple[str, int]
) -> None:
    (named,), (ended,) = (said(sample, lines_of(sample)[at]) for sample, at in (name, flow))
    assert isinstance(named, LogName)
    assert isinstance(ended, LogFlow)
    assert named.flow == ended.flow != ""


@pytest.mark.parametrize(
    ("sample", "at", "time"),
    [
        ("zscaler/default.csv", 0, AT - 3600 * 10**9),
        ("fortigate/v5.log", 0, AT),
        (V10, 0, AT + 190 * 10**6),
        (V10, 1, AT + 2 * 10**9),
    ],
)
def test_times_without_a_zone_are_in_that_of_the_user(sample: str, at: int, time: int) -> None:
    (entry,) = said(sample, lines_of(sample)[at], **AN_HOUR_EAST)
    assert isinstance(entry, LogName)
    assert entry.time == time


@pytest.mark.parametrize("time", [b"1772442901", b'"2026-03-02T09:15:01Z"', b"1772442901000"])
def test_times_of_the_forms_that_a_job_may_choose(time: bytes) -> None:
    line = line_of("cloudflare-gateway/network.json", 0, (b'"2026-03-02T09:15:03Z"', time))
    (entry,) = said("cloudflare-gateway", line)
    assert isinstance(entry, LogName)
    assert entry.time == AT


def test_the_time_of_the_carrier_where_the_line_has_none() -> None:
    line = line_of("fortigate/v5.log", 0, (b"date=2026-03-02,time=10:15:01,", b""))
    (entry,) = read(LOG_FORMATS["fortigate"], [line], Carried(5 * 10**9, 3))
    assert isinstance(entry, LogName)
    assert (entry.time, entry.time_digits) == (5 * 10**9, 3)
    with pytest.raises(RecordError, match="time-missing"):
        read(LOG_FORMATS["fortigate"], [line], PLAIN)


def test_blanks_after_commas_as_in_the_examples_of_the_documentation() -> None:
    (entry,) = said("umbrella", UMBRELLA_OF_THE_DOCUMENTATION)
    assert short(entry)[1:3] == (WWW, "10.10.1.100:0")
    assert LOG_FORMATS["umbrella"].recognise(sample_of([UMBRELLA_OF_THE_DOCUMENTATION])) == 1


def test_a_client_without_address_is_lacking() -> None:
    (entry,) = said("route53", ROUTE53 + b',"srcaddr":"?"}')
    assert isinstance(entry, LogName)
    assert (entry.evidence, entry.lacks) == ("dns-query", ("client",))


def test_a_field_without_a_name_stands_for_none_that_a_product_lacks() -> None:
    (entry,) = said("route53", ROUTE53 + b',"":"192.0.2.1","srcaddr":"10.0.0.1"}')
    assert short(entry)[2:4] == ("10.0.0.1:0", "-:0")


def test_hostile_names() -> None:
    (entry,) = said(
        "route53",
        ROUTE53.replace(b"a.example", b'a\\u0000\\n\\"b\\u00fc.example')
        + b',"srcaddr":"10.0.0.1"}',
    )
    assert isinstance(entry, LogName)
    assert entry.name == 'a\\000\\010"b\\195\\188.example'


def _session_at(time: bytes) -> bytes:
    return line_of("cloudflare-gateway/network.json", 0, (b'"2026-03-02T09:15:03Z"', time))


@pytest.mark.parametrize(
    ("sample", "record", "reason"),
    [
        ("route53", b'{"query_name":"a.example.","query_timestamp":"yesterday"}', "time-invalid"),
        ("route53", ROUTE53.replace(b"a.example", b"") + b"}", "name-missing"),
        ("route53", ROUTE53 + b',"answers":"x"}', "answers-invalid"),
        ("route53", b"not JSON", "json-invalid"),
        ("cloudflare-gateway", _session_at(b"7"), "time-invalid"),
        ("cloudflare-gateway", _session_at(b'"soon"'), "time-invalid"),
        ("cloudflare-gateway", _session_at(b"null"), "time-invalid"),
        ("umbrella", b'"yesterday","a","b","10.0.0.1"', "time-invalid"),
        (
            "umbrella",
            line_of("umbrella/proxy.csv", 0, (b"https://www.tiktok.com/foryou", b"nonsense")),
            "url-invalid",
        ),
        ("zscaler", b'{"sourcetype":"zscalernss-web","event":7}', "event-missing"),
        ("zscaler", b'{"sourcetype":"zscalernss-web","event":{"url":"None"}}', "name-missing"),
        (
            "zscaler",
            b'{"event":{"url":"www.tiktok.com","datetime":"Mon Foo 12 09:15:01 2026"}}',
            "time-invalid",
        ),
        ("zscaler", b'"a","b","c"', "columns-unknown"),
        (
            "palo-alto",
            b"1,2026/03/02 10:15:02,1,THREAT,url,1,2026/03/02 10:15:01,10.0.0.1",
            "fields-missing",
        ),
        (
            "palo-alto",
            b"1,2026/03/02 10:15:02,1,TRAFFIC,end,1,x,,,,,,,,,,,,,,,,,,,,,,,tcp",
            "fields-missing",
        ),
        ("palo-alto", line_of(V10, 1, (b"2026/03/02", b"soon")), "time-invalid"),
    ],
)
def test_what_cannot_be_read(sample: str, record: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        said(sample, record)
