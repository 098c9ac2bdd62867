"""QUIC clients: aioquic, curl and openssl, each with its own way to send a hello."""

import subprocess
from pathlib import Path

import pytest
from support.loopback import HOST, Capture, Certificate, Watch, run
from support.loopback_quic import V1, V2, quic_handshake, quic_serving
from support.programs import needs, problem_of

pytestmark = needs("tcpdump")

NAME = "www.shop.example.com"


def says(*command: str) -> str:
    """What a program says of itself; nothing where it is missing or does not work."""
    if problem_of(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


def versions(seen: Capture, port: int) -> list[int]:
    """The versions of the client's long headers (RFC 8999 section 5.1), as they came."""
    headers = [data for to_server, data in seen.payloads(port) if to_server and data[0] & 0x80]
    return list(dict.fromkeys(int.from_bytes(data[1:5]) for data in headers))


@pytest.mark.parametrize(("version", "text"), [(V1, "1"), (V2, "2")])
def test_each_version(watch: Watch, certificate: Certificate, version: int, text: str) -> None:
    with quic_serving(certificate, version) as port, watch(port) as seen:
        quic_handshake(port, NAME, version)
    assert seen.reported == [("quic-sni", NAME, port)]
    assert seen.records[0]["transport"] == "udp"
    assert seen.records[0]["quic"] == {"version": text}
    assert seen.records[0]["tls"]["version"] == "1.3"
    assert seen.records[0]["tls"]["alpn"] == ["h3"]
    assert not seen.anomalies


def test_upgrade_in_flight(watch: Watch, certificate: Certificate) -> None:
    """The server goes on in version 2 what was begun in version 1 (RFC 9368)."""
    with quic_serving(certificate, V2, V1) as port, watch(port) as seen:
        quic_handshake(port, NAME, V2, V1, original_version=V1)
    assert versions(seen, port) == [V1, V2]
    assert seen.reported == [("quic-sni", NAME, port)]
    assert seen.records[0]["quic"] == {"version": "1"}
    assert not seen.anomalies


def test_version_negotiation(watch: Watch, certificate: Certificate) -> None:
    """The version that the client tries first is nobody's, the second one is read."""
    with quic_serving(certificate, V1) as port, watch(port) as seen:
        quic_handshake(port, NAME, V2, V1)
    assert versions(seen, port) == [V2, V1]
    assert seen.reported == [("quic-sni", NAME, port)]
    assert not seen.anomalies


def test_retry(watch: Watch, certificate: Certificate) -> None:
    """The hello that comes back with the server's token counts once."""
    with quic_serving(certificate, V1, retry=True) as port, watch(port) as seen:
        quic_handshake(port, NAME, V1)
    assert seen.reported == [("quic-sni", NAME, port)]
    assert not seen.anomalies


def test_hello_over_several_datagrams(watch: Watch, certificate: Certificate) -> None:
    protocols = [f"protocol-{number:04}" for number in range(300)]
    with quic_serving(certificate, V1) as port, watch(port) as seen:
        quic_handshake(port, NAME, V1, alpn_protocols=[*protocols, "h3"])
    assert seen.reported == [("quic-sni", NAME, port)]
    assert sum(to_server for to_server, data in seen.payloads(port) if data[0] >> 4 == 0xC) > 3
    assert seen.records[0]["tls"]["alpn"] == [*protocols, "h3"]
    assert not seen.anomalies


def test_no_name(watch: Watch, certificate: Certificate) -> None:
    with quic_serving(certificate) as port, watch(port) as seen:
        quic_handshake(port, None, V1)
    assert seen.reported == []
    assert not seen.anomalies


def test_each_connection_counts(watch: Watch, certificate: Certificate) -> None:
    with quic_serving(certificate) as port, watch(port) as seen:
        for name in (NAME, "other.example.com", NAME):
            quic_handshake(port, name, V1)
    assert [name for _, name, _ in seen.reported] == [NAME, "other.example.com", NAME]


CURL_ATTEMPTS = 6
"""On a busy machine a transfer between curl and aioquic stands still now and then."""
CURL_TIMEOUT = 28


@pytest.mark.skipif("HTTP3" not in says("curl", "--version"), reason="curl has no HTTP/3")
def test_curl(watch: Watch, certificate: Certificate, tmp_path: Path) -> None:
    for _ in range(CURL_ATTEMPTS):
        with quic_serving(certificate) as port, watch(port) as seen:
            place = ["--resolve", f"{NAME}:{port}:{HOST}", f"https://{NAME}:{port}/"]
            done = run("curl", "-q", "-sS", "-k", "-m", "10", "--http3-only", *place, home=tmp_path)
        if done.returncode != CURL_TIMEOUT:
            break
    assert b"it works" in done.stdout, done.stderr.decode()
    assert seen.reported == [("quic-sni", NAME, port)]
    assert seen.records[0]["tls"]["alpn"] == ["h3"]
    assert not seen.anomalies


@pytest.mark.skipif("-quic" not in says("openssl", "s_client", "-help"), reason="no QUIC there")
def test_openssl(watch: Watch, certificate: Certificate, tmp_path: Path) -> None:
    with quic_serving(certificate) as port, watch(port) as seen:
        options = ["-quic", "-alpn", "h3", "-servername", NAME, "-connect", f"{HOST}:{port}"]
        done = run("openssl", "s_client", *options, home=tmp_path)
    assert b"QUICv1" in done.stdout, done.stdout.decode()
    assert seen.reported == [("quic-sni", NAME, port)]
    assert not seen.anomalies
