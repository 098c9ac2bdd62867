"""Squid: its access log gives the verdicts of the packets, but for what is inside of CONNECT."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.log_verdicts import alerts, differences, names_of_logs
from support.loopback import HOST, Certificate, Watch, run
from support.loopback_servers import http, serving, tls
from support.programs import needs
from support.squid import Squid, squid

from netwatch.core.statistics import RunStatistics

pytestmark = needs("tcpdump", "curl", "squid")

WEB, API, PLAIN, OTHER = (
    "www.tiktok.com",
    "api16-normal-c-useast1a.tiktokv.com",
    "log.byteoversea.com",
    "www.example.org",
)
CLIENT = "127.0.0.20"  # the proxy is another host
SITE = """
version: 1
networks: [{name: loopback, cidrs: [127.0.0.0/8], class: service}]
bans: [{id: here, authority: City of Example, apps: [tiktok], forbids: [service], from: 2020-01-01,
        min_confidence: possible}]
"""

DIFFERENCES = {
    "confidence": ("confirmed", "probable", "a request that was denied is no contact"),
    "handshakes": ("3", "2", "nothing inside of CONNECT is in the log"),
}
"""What packets and the log say differently, and why."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[Squid]:
    with squid([WEB, API, PLAIN, OTHER], denied=[API]) as running:
        yield running


def curl(home: Path, proxy: Squid, url: str) -> int:
    options = ["-q", "-s", "-k", "-m", "10", "-o", "/dev/null", "--interface", CLIENT]
    proxy_url = f"http://{HOST}:{proxy.port}"
    return run("curl", *options, "-x", proxy_url, url, home=home).returncode


def test_the_log_and_the_packets(
    watch: Watch, certificate: Certificate, proxy: Squid, tmp_path: Path
) -> None:
    site = tmp_path / "netwatch.yaml"
    site.write_text(SITE)
    server = tls(certificate.context(ssl.TLSVersion.TLSv1_3, "http/1.1"), http())
    with (
        serving(server) as secure,
        serving(http()) as plain,
        watch(proxy.port) as seen,
    ):
        assert curl(tmp_path, proxy, f"https://{WEB}:{secure}/") == 0
        assert curl(tmp_path, proxy, f"http://{PLAIN}:{plain}/") == 0
        assert curl(tmp_path, proxy, f"http://{OTHER}:{plain}/") == 0
        assert curl(tmp_path, proxy, f"https://{API}:{secure}/") != 0  # denied
        proxy.wait_for_lines(4)

    everywhere = [("http-host", name) for name in (API, PLAIN, WEB, OTHER)]
    shown = [(key[0], key[1]) for key in names_of_logs([proxy.access]).elements()]
    assert sorted(shown) == sorted(everywhere)
    packets = [(each["evidence"], each["name"]) for each in seen.records]
    assert sorted(packets) == sorted([*everywhere, ("tls-sni", WEB)])

    counts = RunStatistics()
    (wire,) = alerts(site, captures=[seen.path])
    (log,) = alerts(site, logs=[proxy.access], statistics=counts)
    assert counts.logs == {"squid": 1}
    assert not counts.unread_records
    found = {each[-3]: each[-2:] for each in differences([wire], [log])}
    assert found == {field: each[:2] for field, each in DIFFERENCES.items()}
    assert (log.verdict, log.outcome, log.blocked_by) == ("violation", "reached", ("TCP_DENIED",))
    assert (log.counts.reached, log.counts.blocked) == (1, 1)
    assert log.counts.bytes_in > 500
    assert log.counts.bytes_out == 0  # not in the log
    assert {(each.log.format, each.log.lacks) for each in log.evidence} == {
        ("squid", ("client-port",))
    }


def test_a_denied_request_alone_is_an_attempt(proxy: Squid, tmp_path: Path) -> None:
    before = proxy.access.read_bytes().count(b"\n") if proxy.access.exists() else 0
    assert curl(tmp_path, proxy, f"https://{API}/") != 0
    proxy.wait_for_lines(before + 1)
    lines = [line for line in proxy.access.read_bytes().splitlines() if API.encode() in line]
    alone = tmp_path / "access.log"
    alone.write_bytes(b"\n".join(lines))
    site = tmp_path / "netwatch.yaml"
    site.write_text(SITE)
    (alert,) = alerts(site, logs=[alone])
    assert (alert.verdict, alert.outcome, alert.confidence) == ("violation", "blocked", "probable")
    assert alert.blocked_by == ("TCP_DENIED",)


def test_the_combined_log_says_the_same(proxy: Squid, tmp_path: Path) -> None:
    before = proxy.access.read_bytes().count(b"\n") if proxy.access.exists() else 0
    assert curl(tmp_path, proxy, f"http://{OTHER}:1/") == 0  # the error page of Squid
    proxy.wait_for_lines(before + 1)
    named = [key[:2] for key in names_of_logs([proxy.access]).elements()]
    assert sorted(key[:2] for key in names_of_logs([proxy.combined]).elements()) == sorted(named)
