"""dig: lookups in clear over UDP and TCP, and encrypted ones, out of which no name comes."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dpkt
import pytest
from messages import Record, answer
from support.loopback import HOST, Certificate, Reported, Watch, run
from support.loopback_servers import Server, exactly, http, http2, serving, tls
from support.programs import needs

pytestmark = needs("tcpdump", "dig")

Dig = Callable[..., str]
NAME = "www.shop.example.com"
EDGE = "shop.edge.example.net"
LAST = "a1.cache.example.org"
CHAIN: list[Record] = [
    (NAME, "CNAME", 60, EDGE),
    (EDGE, "CNAME", 60, LAST),
    (LAST, "A", 60, "192.0.2.7"),
    (LAST, "A", 60, "192.0.2.8"),
]
ZONE: dict[str, list[Record]] = {
    "A": CHAIN,
    "AAAA": [(NAME, "AAAA", 60, "2001:db8::7")],
    "HTTPS": [(NAME, "HTTPS", 60, f"1 {EDGE}")],
    "TXT": [(NAME, "TXT", 60, f"host-{number:03}.example.com" * 3) for number in range(40)],
}
QUESTION_TYPES = {dpkt.dns.DNS_A: "A", dpkt.dns.DNS_AAAA: "AAAA", 65: "HTTPS", 16: "TXT"}

TRUNCATED = 0x0200


def resolve(query: bytes) -> bytes:
    """The answer to a query; NXDOMAIN for all but one name."""
    asked = dpkt.dns.DNS(query)
    name, kind = asked.qd[0].name, QUESTION_TYPES[asked.qd[0].type]
    known = name.lower() == NAME
    return answer(asked.id, name, kind, ZONE[kind] if known else [], 0 if known else 3)


@contextlib.contextmanager
def resolver() -> Iterator[int]:
    """A name server over UDP, and its port; what does not fit is cut (TC)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST, 0))

        def serve() -> None:
            while (received := server.recvfrom(65535))[0]:
                said = resolve(received[0])
                if len(said) > 1232:
                    said = answer(int.from_bytes(said[:2]), NAME, "TXT", [], TRUNCATED)
                server.sendto(said, received[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.sendto(b"", server.getsockname())
            thread.join()


def over_stream(connection: socket.socket) -> None:
    """A name server over TCP (RFC 1035 section 4.2.2), with as many queries as there are."""
    while True:
        said = resolve(exactly(connection, int.from_bytes(exactly(connection, 2))))
        connection.sendall(len(said).to_bytes(2) + said)


def over_http(body: bytes) -> tuple[str, bytes]:
    """A name server over HTTP (RFC 8484)."""
    return "application/dns-message", resolve(body)


@pytest.fixture
def dig(tmp_path: Path) -> Dig:
    """Runs dig once, without its own settings; what it prints."""

    def _dig(port: int, *arguments: str) -> str:
        options = [f"@{HOST}", "-p", str(port), "+tries=1", "+time=5", "+nostat"]
        return run("dig", "-r", *options, *arguments, home=tmp_path).stdout.decode()

    return _dig


def lookup(port: int) -> list[Reported]:
    """What a lookup of the alias chain shows."""
    aliases = [("dns-cname", name, port) for name in (EDGE, LAST)]
    return [("dns-query", NAME, port), ("dns-answer", NAME, port), *aliases]


def test_addresses_over_udp(watch: Watch, dig: Dig) -> None:
    with resolver() as port, watch(port) as seen:
        assert "192.0.2.8" in dig(port, NAME, "A")
    assert seen.reported == lookup(port)
    query, said = seen.records[:2]
    assert query["dns"] == {"type": "A"}
    assert said["dns"] == {
        "type": "A",
        "rcode": "NOERROR",
        "answers": ["192.0.2.7", "192.0.2.8"],
        "chain": [EDGE, LAST],
    }
    assert not seen.anomalies


def test_each_case_is_one_name(watch: Watch, dig: Dig) -> None:
    with resolver() as port, watch(port) as seen:
        dig(port, "WWW.Shop.Example.COM.", "AAAA")
    assert seen.reported == [("dns-query", NAME, port), ("dns-answer", NAME, port)]
    assert seen.records[1]["dns"]["answers"] == ["2001:db8::7"]


def test_an_unknown_name_was_asked_for(watch: Watch, dig: Dig) -> None:
    with resolver() as port, watch(port) as seen:
        assert "NXDOMAIN" in dig(port, "no.example.org", "A")
    assert [each["dns"].get("rcode") for each in seen.records] == [None, "NXDOMAIN"]
    assert {each["name"] for each in seen.records} == {"no.example.org"}


def test_https_record(watch: Watch, dig: Dig) -> None:
    with resolver() as port, watch(port) as seen:
        assert EDGE in dig(port, NAME, "TYPE65")
    assert seen.reported == [("dns-query", NAME, port), ("dns-answer", NAME, port)]
    assert {each["dns"]["type"] for each in seen.records} == {"HTTPS"}
    assert seen.records[1]["dns"]["service_targets"] == [EDGE]
    assert not seen.anomalies


@pytest.mark.parametrize("option", ["+nocookie", "+noedns", "+subnet=192.0.2.0/24", "+padding=468"])
def test_options_of_a_query(watch: Watch, dig: Dig, option: str) -> None:
    with resolver() as port, watch(port) as seen:
        assert "192.0.2.8" in dig(port, option, NAME, "A")
    assert seen.reported == lookup(port)
    assert not seen.anomalies


def test_over_tcp(watch: Watch, dig: Dig) -> None:
    with serving(over_stream) as port, watch(port) as seen:
        assert "192.0.2.8" in dig(port, "+tcp", NAME, "A")
    assert seen.reported == lookup(port)
    assert {each["transport"] for each in seen.records} == {"tcp"}
    assert not seen.anomalies


def test_several_queries_of_one_connection(watch: Watch, dig: Dig) -> None:
    with serving(over_stream) as port, watch(port) as seen:
        dig(port, "+tcp", "+keepopen", NAME, "A", "no.example.org", "A", NAME, "AAAA")
    again = [("dns-query", NAME, port), ("dns-answer", NAME, port)]
    other = [("dns-query", "no.example.org", port), ("dns-answer", "no.example.org", port)]
    assert seen.reported == [*lookup(port), *other, *again]
    assert len({each["client"]["port"] for each in seen.records}) == 1
    assert not seen.anomalies


def test_a_long_answer_over_tcp(watch: Watch, dig: Dig) -> None:
    with serving(over_stream) as port, watch(port) as seen:
        assert "host-039" in dig(port, "+tcp", NAME, "TXT")
    assert seen.reported == [("dns-query", NAME, port), ("dns-answer", NAME, port)]
    assert not seen.anomalies


def test_an_answer_truncated_over_udp(watch: Watch, dig: Dig) -> None:
    with resolver() as port, watch(port) as seen:
        dig(port, "+ignore", NAME, "TXT")
    assert seen.reported == [("dns-query", NAME, port), ("dns-answer", NAME, port)]
    assert seen.anomalies == {"dns-truncated": 1}


@pytest.mark.parametrize(
    ("option", "server", "alpn"),
    [("+tls", over_stream, "dot"), ("+https", http(over_http), "h2")],
    ids=["tls", "https"],
)
@pytest.mark.parametrize("named", [True, False])
def test_encrypted(
    watch: Watch,
    certificate: Certificate,
    dig: Dig,
    option: str,
    server: Server,
    alpn: str,
    named: bool,
) -> None:
    """The name asked for is nowhere; that of the resolver is, where dig sends it."""
    heard: list[str] = []
    context = certificate.context(ssl.TLSVersion.TLSv1_3, alpn)
    context.sni_callback = lambda _, name, __: heard.append(name) if name else None
    options = [option]
    if named:
        options += [f"+tls-ca={certificate.chain}", f"+tls-hostname={certificate.names[0]}"]
    with serving(tls(context, server)) as port, watch(port) as seen:
        assert "192.0.2.8" in dig(port, *options, NAME, "A")
    # BIND's dig sends a server name since 9.20 only.
    assert set(heard) <= ({certificate.names[0]} if named else set())
    assert seen.reported == [("tls-sni", name, port) for name in heard]
    assert not seen.anomalies


def test_over_http_unencrypted(watch: Watch, dig: Dig) -> None:
    """The host of the request is in clear; what is asked in its body stays unread."""
    with serving(http2(over_http)) as port, watch(port) as seen:
        assert "192.0.2.8" in dig(port, "+http-plain", NAME, "A")
    assert seen.reported == [("http-host", HOST, port)]
    assert not seen.anomalies
