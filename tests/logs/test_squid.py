"""Access logs of Squid, in the formats of squid.conf.documented."""

from datetime import timedelta, timezone

import pytest
from hypothesis import given
from support.log_records import SAMPLES, damaged, read, read_any, sample_lines, sample_of, short

from netwatch.core.errors import RecordError
from netwatch.logs import squid
from netwatch.logs.records import LogFlow, LogName
from netwatch.logs.registry import LOG_FORMATS

FOLDER = SAMPLES / "squid"
ALL = [line for path in sorted(FOLDER.iterdir()) for line in sample_lines(path)]
NANO = 10**9


def native(request, *, code="TCP_MISS/200", size=100, time="1679303071.118", client="10.20.1.31"):
    return f"{time}    842 {client} {code} {size} {request} text/html".encode()


def test_the_native_format():
    found = read(LOG_FORMATS["squid"], sample_lines(FOLDER / "native.log"))
    assert [short(each) for each in found] == [
        ("http-host", "www.tiktok.com", "10.20.1.31:0", "203.0.113.10:443", "reached"),
        ("flow", "tcp", "10.20.1.31:0", "203.0.113.10:443", 0, 39412),
        ("http-host", "log.byteoversea.com", "10.20.1.31:0", "203.0.113.30:80", "reached"),
        ("http-host", "v16-webapp.tiktok.com", "10.20.1.32:0", "-:0", "blocked"),
        ("http-host", "www.example.org", "10.20.1.33:0", "-:0", "attempted"),
        ("http-host", "gone.example.org", "2001:db8:20::31:0", "-:0", "attempted"),
        ("http-host", "static.example.org", "10.20.1.31:0", "-:0", "reached"),
    ]
    tunnel, flow, *_, denied, _, _, _ = found
    # Squid writes a request when it has ended.
    assert (tunnel.time, tunnel.time_digits) == (1679303070276 * 10**6, 3)
    assert (flow.first, flow.last) == (1679303070276 * 10**6, 1679303071118 * 10**6)
    assert tunnel.flow == flow.flow != ""
    assert denied.blocked_by == "TCP_DENIED"
    assert tunnel.transport == "tcp"


def test_the_combined_format():
    found = read(LOG_FORMATS["squid"], sample_lines(FOLDER / "combined.log"))
    assert [short(each) for each in found if isinstance(each, LogName)] == [
        ("http-host", "www.tiktok.com", "10.20.1.31:0", "-:0", "reached"),
        ("http-host", "v16-webapp.tiktok.com", "10.20.1.32:0", "-:0", "blocked"),
        ("http-host", "static.example.org", "10.20.1.31:0", "-:0", "reached"),
    ]
    assert (found[0].time, found[0].time_digits) == (1679303071 * NANO, 0)


@pytest.mark.parametrize(
    ("time", "read_as"),
    [
        ("1679303071.118", 1679303071118),
        ("20/Mar/2023:10:04:31 +0100", 1679303071000),
        ("[20/Mar/2023:10:04:31 +0100]", 1679303071000),
        ("2023-03-20T10:04:31+0100", 1679303071000),
        ("2023-03-20 10:04:31", 1679303071000),  # in the zone of the user
    ],
)
def test_a_site_may_write_another_time(time, read_as):
    line = native("GET http://a.example.org/ - HIER_DIRECT/192.0.2.1", time=time)
    (found,) = read(LOG_FORMATS["squid"], [line], zone=timezone(timedelta(hours=1)))
    assert found.time == (read_as - 842) * 10**6


@pytest.mark.parametrize(
    ("code", "size", "method", "outcome"),
    [
        ("TCP_TUNNEL/200", 0, "CONNECT", "attempted"),
        ("TCP_TUNNEL/200", 99, "CONNECT", "reached"),
        ("TCP_MISS/503", 4000, "CONNECT", "attempted"),
        ("TCP_DENIED/403", 4000, "CONNECT", "blocked"),
        ("TCP_DENIED/407", 4000, "GET", "attempted"),
        ("TCP_DENIED_REPLY/403", 4000, "GET", "blocked"),
        ("TCP_DENIED_ABORTED/403", 4000, "GET", "blocked"),
        ("TCP_MISS_ABORTED/000", 0, "GET", "attempted"),
        ("TCP_MISS/404", 300, "GET", "reached"),
        ("TCP_MISS/504", 300, "GET", "attempted"),
        ("NONE_NONE/400", 300, "GET", "attempted"),
        ("TAG_NONE/500", 300, "GET", "attempted"),
        ("TCP_REFRESH_UNMODIFIED/304", 300, "GET", "reached"),
    ],
)
def test_what_came_of_a_request(code, size, method, outcome):
    url = "www.tiktok.com:443" if method == "CONNECT" else "http://www.tiktok.com/"
    line = native(f"{method} {url} - HIER_NONE/-", code=code, size=size)
    found = read(LOG_FORMATS["squid"], [line])
    assert found[0].outcome == outcome
    word = code.partition("/")[0].removesuffix("_ABORTED")
    assert found[0].blocked_by == (word if outcome == "blocked" else "")
    assert len([each for each in found if isinstance(each, LogFlow)]) == (
        method == "CONNECT" and outcome == "reached"
    )


@pytest.mark.parametrize(
    ("request_", "name", "server"),
    [
        (
            "CONNECT [2001:db8::10]:443 - HIER_DIRECT/2001:db8::10",
            "2001:db8::10",
            "2001:db8::10:443",
        ),
        (
            "GET https://www.tiktok.com:8443/a - ORIGINAL_DST/203.0.113.10",
            "www.tiktok.com",
            "203.0.113.10:8443",
        ),
        ("GET ftp://ftp.example.org/a - HIER_DIRECT/192.0.2.1", "ftp.example.org", "192.0.2.1:21"),
        (
            "GET http://user@www.TikTok.com./a alice FIRSTUP_PARENT/10.20.0.31",
            "www.tiktok.com",
            "-:0",
        ),
        ("GET http://www.tiktok.com/ - - -", "www.tiktok.com", "-:0"),
    ],
)
def test_hosts_and_servers(request_, name, server):
    (found,) = (
        each for each in read(LOG_FORMATS["squid"], [native(request_)]) if isinstance(each, LogName)
    )
    assert (short(found)[1], short(found)[3]) == (name, server)


def test_a_client_may_be_a_name_or_missing():
    lines = [
        native("GET http://a.example.org/ - HIER_NONE/-", client="desk-31.example.org"),
        native("GET http://a.example.org/ - HIER_NONE/-", client="-"),
        native("GET http://a.example.org/ - HIER_NONE/-", client="::ffff:10.20.1.31"),
    ]
    named, missing, mapped = read(LOG_FORMATS["squid"], lines)
    assert (named.client.ip, named.client_host) == (None, "desk-31.example.org")
    assert (missing.client.ip, missing.client_host) == (None, "")
    assert mapped.client.ip == b"\x0a\x14\x01\x1f"


@pytest.mark.parametrize(
    "extra", ["peek www.TikTok.com", '"www.TikTok.com"', "- splice www.TikTok.com 39"]
)
def test_the_server_name_of_an_intercepted_handshake(extra):
    """A site has put ``%ssl::>sni`` at the end."""
    line = native("CONNECT 203.0.113.10:443 - ORIGINAL_DST/203.0.113.10", code="TCP_TUNNEL/200")
    host, sni, flow = read(LOG_FORMATS["squid"], [line + b" " + extra.encode()])
    assert short(host)[1] == "203.0.113.10"
    assert short(sni)[:2] == ("tls-sni", "www.tiktok.com")
    assert sni.raw == "www.TikTok.com"
    assert sni.flow == host.flow == flow.flow


def test_what_is_no_request_of_a_client_says_nothing():
    lines = [
        b"",
        b"# comment",
        native("NONE error:invalid-request - HIER_NONE/-", code="NONE_NONE/400"),
        native("GET cache_object://localhost/info - HIER_NONE/-"),
        native("ICP_QUERY http://a.example.org/ - HIER_NONE/-", code="UDP_MISS/000"),
    ]
    assert read(LOG_FORMATS["squid"], lines) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"anything else", "squid-line-invalid"),
        (native("GET http://a.example.org/ - HIER_NONE/-", time="yesterday"), "time-invalid"),
        (native("GET / - HIER_NONE/-"), "host-missing"),
        (native("CONNECT :443 - HIER_NONE/-"), "host-missing"),
        (native(f"GET http://{'a' * 300}/ - HIER_NONE/-"), "host-missing"),
    ],
)
def test_what_cannot_be_read(line, reason):
    with pytest.raises(RecordError, match=reason):
        read(LOG_FORMATS["squid"], [line])


def test_hostile_hosts_cannot_break_a_line():
    (found,) = read(
        LOG_FORMATS["squid"], [native("GET http://a\x1b[31m\\.example.org/ - HIER_NONE/-")]
    )
    assert found.name == "a\\027[31m"
    (found,) = read(LOG_FORMATS["squid"], [native("GET http://b\u00fccher.example/ - HIER_NONE/-")])
    assert found.name == "xn--bcher-kva.example"


def test_the_samples_are_of_this_format():
    for path in FOLDER.iterdir():
        lines = sample_lines(path)
        assert squid.recognise(sample_of(lines)) == len(lines), path.name


@given(damaged(ALL))
def test_any_bytes(lines):
    read_any(LOG_FORMATS["squid"], lines)
