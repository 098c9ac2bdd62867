"""Chromium without a screen: post-quantum hellos, GREASE in the place of ECH, and QUIC."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from support.loopback import HOST, Certificate, Watch, run
from support.loopback_quic import quic_serving
from support.loopback_servers import SEVERAL, http, serving, tls
from support.programs import needs

pytestmark = [pytest.mark.alone, needs("tcpdump", "chromium")]

Browse = Callable[..., str]
NAME = "www.shop.example.com"
OTHER = "static.shop.example.com"
CALM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Nobody is to be called who is not asked for."""
POST_QUANTUM_SHARE = 1216
"""Bytes of a key share of X25519MLKEM768, without which no hello is so large."""


@pytest.fixture
def browse(tmp_path: Path, certificate: Certificate) -> Browse:
    """Opens a page in a new profile, with all names of this test on one local port and no
    others anywhere; the page as it became."""

    def _browse(url: str, port: int, *options: str) -> str:
        rules = [f"MAP {name} {HOST}:{port}" for name in (NAME, OTHER)]
        arguments = [
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--host-resolver-rules={', '.join(rules)}, MAP * ~NOTFOUND",
            f"--ignore-certificate-errors-spki-list={certificate.pin}",
            "--dump-dom",
        ]
        done = run("chromium", *CALM, *arguments, *options, url, home=tmp_path)
        return done.stdout.decode()

    return _browse


@pytest.mark.parametrize("segment", [None, SEVERAL])
@pytest.mark.parametrize("alpn", ["h2", "http/1.1"])
def test_tls(
    watch: Watch, certificate: Certificate, browse: Browse, alpn: str, segment: int | None
) -> None:
    """It may open more than one connection, all of them to the same host."""
    server = tls(certificate.context(ssl.TLSVersion.TLSv1_3, alpn), http())
    with serving(server, segment) as port, watch(port) as seen:
        assert "it works" in browse(f"https://{NAME}/", port, "--disable-quic")
    assert set(seen.reported) == {("tls-sni", NAME, port)}
    assert {each["tls"]["ech"] for each in seen.records} == {"grease"}
    assert {each["tls"]["version"] for each in seen.records} == {"1.3"}
    assert seen.records[0]["tls"]["alpn"] == ["h2", "http/1.1"]
    assert seen.records[0]["tls"]["ja4"].startswith("t13d")
    longest = max(seen.flight(port))
    assert longest < 1000 if segment else longest > POST_QUANTUM_SHARE
    assert not seen.anomalies


def test_tls_1_2_shows_the_certificate_too(
    watch: Watch, certificate: Certificate, browse: Browse
) -> None:
    server = tls(certificate.context(ssl.TLSVersion.TLSv1_2, "h2"), http())
    with serving(server) as port, watch(port) as seen:
        assert "it works" in browse(f"https://{NAME}/", port, "--disable-quic")
    shown = {("tls-cert", name, port) for name in certificate.names}
    assert set(seen.reported) == {("tls-sni", NAME, port), *shown}
    assert not seen.anomalies


def test_http_unencrypted(watch: Watch, browse: Browse) -> None:
    off = "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable"
    with serving(http()) as port, watch(port) as seen:
        assert "it works" in browse(f"http://{NAME}/", port, off)
    assert set(seen.reported) == {("http-host", NAME, port)}
    assert not seen.anomalies


def test_a_page_of_two_hosts(watch: Watch, certificate: Certificate, browse: Browse) -> None:
    page = f"<p>it works<script src=https://{OTHER}/></script>".encode()
    server = tls(
        certificate.context(ssl.TLSVersion.TLSv1_3, "h2"), http(lambda _: ("text/html", page))
    )
    with serving(server) as port, watch(port) as seen:
        assert "it works" in browse(f"https://{NAME}/", port, "--disable-quic")
    assert set(seen.reported) == {("tls-sni", NAME, port), ("tls-sni", OTHER, port)}
    assert not seen.anomalies


def test_quic(watch: Watch, certificate: Certificate, browse: Browse) -> None:
    """The hello comes in pieces that are shuffled over its packets."""
    forced = ["--enable-quic", f"--origin-to-force-quic-on={NAME}:443"]
    with quic_serving(certificate) as port, watch(port) as seen:
        assert "it works" in browse(f"https://{NAME}/", port, *forced)
    assert set(seen.reported) == {("quic-sni", NAME, port)}
    assert seen.records[0]["quic"] == {"version": "1"}
    assert seen.records[0]["tls"]["alpn"] == ["h3"]
    assert seen.records[0]["tls"]["ech"] == "grease"
    assert seen.records[0]["tls"]["ja4"].startswith("q13d")
    assert not seen.anomalies
