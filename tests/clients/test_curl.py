"""curl: TLS of both versions, HTTP/1.1 and HTTP/2 in clear, and through proxies."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from support.loopback import HOST, Certificate, Watch, run
from support.loopback_servers import SEVERAL, connect_proxy, http, http2, serving, socks, tls
from support.programs import needs

pytestmark = needs("tcpdump", "curl")

Curl = Callable[..., None]
NAME = "www.shop.example.com"
OTHER = "cdn.shop.example.com"


@pytest.fixture
def curl(tmp_path: Path) -> Curl:
    """Runs curl, which has to get its page."""

    def _curl(*arguments: str) -> None:
        options = ["-q", "-sS", "-k", "-f", "-m", "10", "-o", str(tmp_path / "page")]
        done = run("curl", *options, *arguments, home=tmp_path)
        assert done.returncode == 0, done.stderr.decode()

    return _curl


def at(name: str, port: int) -> list[str]:
    """The options that lead curl to this machine under a name."""
    return ["--resolve", f"{name}:{port}:{HOST}"]


@pytest.mark.parametrize("segment", [None, SEVERAL])
@pytest.mark.parametrize("alpn", ["h2", "http/1.1"])
def test_tls_1_3(
    watch: Watch, certificate: Certificate, curl: Curl, alpn: str, segment: int | None
) -> None:
    server = tls(certificate.context(ssl.TLSVersion.TLSv1_3, alpn), http())
    with serving(server, segment) as port, watch(port) as seen:
        curl(*at(NAME, port), f"https://{NAME}:{port}/")
    assert seen.reported == [("tls-sni", NAME, port)]
    assert seen.records[0]["tls"]["version"] == "1.3"
    assert seen.records[0]["tls"]["alpn"] == ["h2", "http/1.1"]
    assert (len(seen.flight(port)) > 1) == (segment is not None)
    assert not seen.anomalies


@pytest.mark.parametrize("segment", [None, SEVERAL])
def test_tls_1_2_shows_the_certificate_too(
    watch: Watch, certificate: Certificate, curl: Curl, segment: int | None
) -> None:
    server = tls(certificate.context(ssl.TLSVersion.TLSv1_2, "http/1.1"), http())
    with serving(server, segment) as port, watch(port) as seen:
        curl("--http1.1", "--tls-max", "1.2", *at(NAME, port), f"https://{NAME}:{port}/")
    shown = [("tls-cert", name, port) for name in certificate.names]
    assert seen.reported == [("tls-sni", NAME, port), *shown]
    assert seen.records[0]["tls"]["version"] == "1.2"
    assert seen.records[0]["tls"]["alpn"] == ["http/1.1"]
    assert not seen.anomalies


def test_tls_to_an_address_has_no_name(watch: Watch, certificate: Certificate, curl: Curl) -> None:
    with serving(tls(certificate.context(), http())) as port, watch(port) as seen:
        curl(f"https://{HOST}:{port}/")
    assert seen.reported == []
    assert not seen.anomalies


def test_each_connection_counts(watch: Watch, certificate: Certificate, curl: Curl) -> None:
    with serving(tls(certificate.context(), http())) as port, watch(port) as seen:
        for name in (NAME, OTHER, NAME):
            curl(*at(name, port), f"https://{name}:{port}/")
    assert seen.reported == [("tls-sni", name, port) for name in (NAME, OTHER, NAME)]
    assert len({each["client"]["port"] for each in seen.records}) == 3


@pytest.mark.parametrize("segment", [None, SEVERAL])
def test_http_unencrypted(watch: Watch, curl: Curl, segment: int | None) -> None:
    fields = ["-H", f"Cookie: {'c' * 2000}"]
    with serving(http(), segment) as port, watch(port) as seen:
        curl("--http1.1", *fields, *at(NAME, port), f"http://{NAME}:{port}/page?host={OTHER}")
    assert seen.reported == [("http-host", NAME, port)]
    assert (len(seen.flight(port)) > 1) == (segment is not None)
    assert not seen.anomalies


@pytest.mark.parametrize("segment", [None, SEVERAL])
def test_http_2_unencrypted(watch: Watch, curl: Curl, segment: int | None, tmp_path: Path) -> None:
    """Three requests of one connection; its second name comes out of HPACK's table too."""
    with serving(http2(), segment) as port, watch(port) as seen:
        first, second = f"http://{NAME}:{port}/", f"http://{OTHER}:{port}/"
        connect = ["--connect-to", f"::{HOST}:{port}", "-o", str(tmp_path / "second")]
        curl("--http2-prior-knowledge", *connect, first, second)
    assert sorted(seen.reported) == [("http-host", OTHER, port), ("http-host", NAME, port)]
    assert not seen.anomalies


def test_http_upgrade_to_2(watch: Watch, curl: Curl) -> None:
    """A server that does not know the upgrade answers as if it was not asked for."""
    with serving(http()) as port, watch(port) as seen:
        curl("--http2", *at(NAME, port), f"http://{NAME}:{port}/")
    assert seen.reported == [("http-host", NAME, port)]
    assert not seen.anomalies


def test_connect_through_a_proxy(watch: Watch, certificate: Certificate, curl: Curl) -> None:
    """The proxy is reported the name, and the hello behind its answer has it once more."""
    with (
        serving(tls(certificate.context(), http())) as port,
        serving(connect_proxy) as proxy,
        watch(proxy) as seen,
    ):
        curl("-x", f"http://{HOST}:{proxy}", f"https://{NAME}:{port}/")
    assert seen.reported == [("http-host", NAME, proxy), ("tls-sni", NAME, proxy)]
    assert not seen.anomalies


@pytest.mark.parametrize("option", ["--socks5-hostname", "--socks4a"])
@pytest.mark.parametrize("secure", [True, False])
def test_socks_with_host_names(
    watch: Watch, certificate: Certificate, curl: Curl, option: str, secure: bool
) -> None:
    server = tls(certificate.context(), http()) if secure else http()
    with serving(server) as port, serving(socks) as proxy, watch(proxy) as seen:
        curl(option, f"{HOST}:{proxy}", f"{'https' if secure else 'http'}://{NAME}:{port}/")
    behind = "tls-sni" if secure else "http-host"
    assert seen.reported == [("socks-host", NAME, proxy), (behind, NAME, proxy)]
    assert not seen.anomalies
