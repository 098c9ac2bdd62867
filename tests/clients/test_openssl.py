"""openssl s_client and s_server: handshakes of each version, over TCP and UDP, and behind
the prefaces of STARTTLS."""

import contextlib
import select
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.loopback import HOST, TIMEOUT, Certificate, Watch, run
from support.loopback_servers import SEVERAL, http, script, serving, skip, tls
from support.programs import needs, problem_of

pytestmark = needs("tcpdump", "openssl")

Client = Callable[..., str]
Listening = Callable[..., contextlib.AbstractContextManager[int]]
NAME = "mail.shop.example.com"
POST_QUANTUM = "X25519MLKEM768"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Runs s_client, which ends after the handshake; what it says of it."""

    def _client(port: int, *arguments: str) -> str:
        command = ["openssl", "s_client", "-connect", f"{HOST}:{port}", *arguments]
        return run(*command, home=tmp_path).stdout.decode("utf-8", "replace")

    return _client


@pytest.fixture
def s_server(certificate: Certificate) -> Listening:
    """Runs s_server with these options, and gives its port."""

    @contextlib.contextmanager
    def _s_server(*arguments: str) -> Iterator[int]:
        options = ["-accept", f"{HOST}:0", "-cert", certificate.chain, "-key", certificate.key]
        command = ["openssl", "s_server", *options, *arguments]
        with subprocess.Popen(
            command,
            # A line in a buffer would not wake the select below.
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as server:
            try:
                assert server.stdout is not None
                line = said = b""
                while not line.startswith(b"ACCEPT "):
                    assert select.select([server.stdout], [], [], TIMEOUT)[0], said
                    line = server.stdout.readline()
                    said += line
                    assert line, f"s_server has ended: {said.decode()}"
                yield int(line.rsplit(b":", 1)[1])
            finally:
                server.kill()

    return _s_server


def has_groups(*groups: str) -> bool:
    """Whether this openssl knows these groups, of which it has the list since 3.5."""
    if problem_of("openssl"):
        return False
    listed = subprocess.run(["openssl", "list", "-tls-groups"], capture_output=True, check=False)
    return set(groups) <= set(listed.stdout.decode().replace(":", "\n").split())


def test_tls_1_2(
    watch: Watch, certificate: Certificate, client: Client, s_server: Listening
) -> None:
    with s_server("-tls1_2") as port, watch(port) as seen:
        assert "TLSv1.2" in client(port, "-servername", NAME)
    shown = [("tls-cert", name, port) for name in certificate.names]
    assert seen.reported == [("tls-sni", NAME, port), *shown]
    assert not seen.anomalies


def test_tls_1_2_without_a_name_shows_the_certificate(
    watch: Watch, certificate: Certificate, client: Client, s_server: Listening
) -> None:
    with s_server("-tls1_2") as port, watch(port) as seen:
        client(port, "-noservername")
    assert seen.reported == [("tls-cert", name, port) for name in certificate.names]
    assert not seen.anomalies


def test_a_resumed_handshake_has_no_certificate(
    watch: Watch, certificate: Certificate, client: Client, s_server: Listening
) -> None:
    with s_server("-tls1_2") as port, watch(port) as seen:
        assert client(port, "-servername", NAME, "-reconnect").count("Reused") == 5
    hello = [("tls-sni", NAME, port)]
    shown = [("tls-cert", name, port) for name in certificate.names]
    assert seen.reported == [*hello, *shown, *hello * 5]
    assert not seen.anomalies


@pytest.mark.parametrize("group", ["X25519", "P-256", "P-521"])
def test_tls_1_3(watch: Watch, client: Client, s_server: Listening, group: str) -> None:
    with s_server("-tls1_3") as port, watch(port) as seen:
        options = ["-groups", group, "-alpn", "h2,http/1.1"]
        assert "TLSv1.3" in client(port, "-servername", NAME, *options)
    assert seen.reported == [("tls-sni", NAME, port)]
    assert seen.records[0]["tls"]["alpn"] == ["h2", "http/1.1"]
    assert not seen.anomalies


@pytest.mark.parametrize("segment", [None, SEVERAL])
@pytest.mark.skipif(not has_groups(POST_QUANTUM), reason=f"openssl has no {POST_QUANTUM}")
def test_post_quantum_hello(
    watch: Watch, certificate: Certificate, client: Client, segment: int | None
) -> None:
    """The server may know the group or not: it is the hello that counts."""
    with serving(tls(certificate.context(), http()), segment) as port, watch(port) as seen:
        client(port, "-groups", POST_QUANTUM, "-servername", NAME)
    assert seen.reported == [("tls-sni", NAME, port)]
    flight = seen.flight(port)
    assert sum(flight) > 1200
    assert (len(flight) > 1) == (segment is not None)
    assert not seen.anomalies


def test_a_second_hello_counts_once(watch: Watch, client: Client, s_server: Listening) -> None:
    """The server has the client try once more with another group (RFC 8446 section 4.1.4)."""
    with s_server("-tls1_3", "-groups", "P-256") as port, watch(port) as seen:
        done = client(port, "-servername", NAME, "-groups", "X25519:P-256", "-msg")
    assert done.count("ClientHello") == 2
    assert seen.reported == [("tls-sni", NAME, port)]
    assert not seen.anomalies


def first_flight(name: str) -> bytes:
    """The hello of OpenSSL, in one record."""
    sent = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def test_records_that_the_server_reads_all_the_same(watch: Watch, s_server: Listening) -> None:
    """Empty records up to the limit, odd versions, and a record for each byte."""
    hello = first_flight(NAME)
    cut = b"".join(b"\x16\3\1\0\1" + hello[at : at + 1] for at in range(5, len(hello)))
    hidden = [
        b"\x16\3\1\0\0" * 32 + hello,
        b"\x14\3\1\0\0" + hello,
        hello[:1] + b"\3\x99" + hello[3:],
        cut,
    ]
    with s_server() as port, watch(port) as seen:
        for data in hidden:
            with socket.create_connection((HOST, port), TIMEOUT) as client:
                client.sendall(data)
                answer = client.recv(6)
                assert (answer[:2], answer[5:]) == (b"\x16\3", b"\2"), answer
        with socket.create_connection((HOST, port), TIMEOUT) as client:
            client.sendall(b"\x16\3\1\0\0" * 33 + hello)
            assert client.recv(6)[:1] == b"\x15"
    names = [name for evidence, name, _ in seen.reported if evidence == "tls-sni"]
    assert names == [NAME] * len(hidden)
    assert seen.anomalies == {"tls-empty-record": 2, "tls-empty-records": 1}


@pytest.mark.parametrize("mtu", [None, 300])
def test_dtls_1_2(watch: Watch, client: Client, s_server: Listening, mtu: int | None) -> None:
    """The server wants its cookie back, so the hello comes twice (RFC 6347 section 4.2.1);
    with a small MTU in fragments."""
    asked = ["-dtls1_2", "-servername", NAME, *(["-mtu", str(mtu)] if mtu else [])]
    padding = ["-alpn", ",".join(f"protocol-{number:03}" for number in range(40))]
    with s_server("-dtls1_2") as port, watch(port) as seen:
        assert "DTLSv1.2" in client(port, *asked, *padding)
    assert seen.reported == [("dtls-sni", NAME, port)]
    assert seen.records[0]["transport"] == "udp"
    first = [size for size in seen.flight(port) if size > 100]
    assert len(first) == (1 if mtu is None else 3), first
    assert not seen.anomalies


def ldap_extended_response() -> bytes:
    """Success of message 1 (RFC 4511 section 4.12)."""
    return bytes.fromhex("300c02010178070a010004000400")


def mysql_greeting() -> bytes:
    """The greeting of a server of protocol 10 that can do TLS."""
    body = b"\x0a8.0.0\0" + bytes(4) + b"saltsalt\0" + b"\xff\xff\x21\x02\0\x07\x80\x15"
    body += bytes(10) + b"saltsaltsalt\0"
    return len(body).to_bytes(3, "little") + b"\0" + body


STREAM = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' id='1'"
    b" xmlns:stream='http://etherx.jabber.org/streams' from='example.com'><stream:features>"
    b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    b"</stream:features>"
)
STARTTLS: dict[str, tuple[bytes, ...]] = {
    "smtp": (
        b"220 mail.example.com ESMTP\r\n",
        b"250-mail.example.com\r\n250 STARTTLS\r\n",
        b"220 go ahead\r\n",
    ),
    "imap": (
        b"* OK ready\r\n",
        b"* CAPABILITY IMAP4rev1 STARTTLS\r\n. OK\r\n",
        b". OK begin\r\n",
    ),
    "pop3": (b"+OK ready\r\n", b"+OK begin\r\n"),
    "ftp": (b"220 ready\r\n", b"234 begin\r\n"),
    "xmpp": (b"", STREAM, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    "ldap": (b"", ldap_extended_response()),
    "postgres": (b"", b"S"),
    "mysql": (mysql_greeting(),),
}
"""What servers say before TLS, by the name that s_client has for the protocol."""
SSL_REQUEST = 36
"""Bytes that a MySQL client sends before its hello, without waiting for an answer."""


@pytest.mark.parametrize("segment", [None, SEVERAL])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("protocol", STARTTLS)
def test_starttls(
    watch: Watch,
    certificate: Certificate,
    client: Client,
    protocol: str,
    version: ssl.TLSVersion,
    segment: int | None,
) -> None:
    server = tls(certificate.context(version), http())
    if protocol == "mysql":
        server = skip(SSL_REQUEST, server)
    server = script(*STARTTLS[protocol], then=server)
    with serving(server, segment) as port, watch(port) as seen:
        assert "Cipher" in client(port, "-starttls", protocol, "-servername", NAME)
    shown = [("tls-cert", name, port) for name in certificate.names]
    clear = version == ssl.TLSVersion.TLSv1_2
    assert seen.reported == [("tls-sni", NAME, port), *(shown if clear else [])]
    assert not seen.anomalies
