import ssl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from support.handshake_samples import certificate, certificates, message, private_key, server_hello
from support.protocol_samples import records, sound_outcome

from netwatch.core.errors import Incomplete, ParseError
from netwatch.protocols import tls_server

LEAF = certificate("www.example.com", "www.example.com", "*.example.com")
ISSUER = certificate("issuer.example")
FLIGHT = server_hello(alpn=b"h2") + certificates(LEAF, ISSUER) + message(14, b"")
CHANGE = b"\x14\3\3\0\1\1"


def names(found) -> list[str]:
    assert all(one.evidence == "tls-cert" and one.client_is_destination for one in found.names)
    return [one.name for one in found.names]


def test_the_names_of_the_first_certificate():
    raw = records(FLIGHT, version=0x0303)
    found = tls_server.parse(raw + CHANGE)
    assert names(found) == ["www.example.com", "*.example.com"]
    assert (found.size, found.anomalies, found.quic) == (len(raw), (), None)
    assert (found.tls.version, found.tls.alpn, found.tls.ja4) == ("1.2", ("h2",), None)


@pytest.mark.parametrize(
    ("version", "text"), [(0x0303, "1.2"), (0x0302, "1.1"), (0x0301, "1.0"), (0x0300, "ssl3")]
)
def test_versions_unencrypted(version, text):
    raw = records(server_hello(version) + certificates(LEAF))
    assert tls_server.parse(raw).tls.version == text
    assert names(tls_server.parse(raw))


@pytest.mark.parametrize(
    ("hello", "text"),
    [
        (server_hello(selected=0x0304), "1.3"),
        (server_hello(selected=0x7F1C), "0x7f1c"),
        (server_hello(0x7F12), "0x7f12"),
    ],
)
def test_tls_1_3_is_done_at_once(hello, text):
    raw = records(hello)
    found = tls_server.parse(raw + CHANGE)
    assert (found.names, found.size, found.anomalies) == ((), len(raw), ())
    assert found.tls.version == text


@pytest.mark.parametrize("size", [1, 3, 5, 100, 1000, 16384])
def test_a_flight_in_records_of_any_size_waits_for_the_leaf(size):
    raw = records(server_hello() + certificates(LEAF, bytes(2000)), size)
    whole = next(end for end in range(len(raw)) if not isinstance(outcome(raw[:end]), Incomplete))
    assert names(tls_server.parse(raw[:whole])) == ["www.example.com", "*.example.com"]
    for end in range(whole):
        waits = outcome(raw[:end])
        assert isinstance(waits, Incomplete)
        assert end < waits.bytes_needed <= whole
    handshake = len(server_hello()) + 4 + 3 + 3 + len(LEAF)
    assert whole == handshake + 5 * -(-handshake // size)


def outcome(data: bytes):
    try:
        return tls_server.parse(data)
    except Incomplete as more:
        return more


@pytest.mark.parametrize(
    "behind",
    [
        message(12, b"x" * 20),  # ServerKeyExchange: no certificate
        message(14, b""),
        certificates(),
        message(4, b"ticket") + message(14, b""),
    ],
)
def test_a_handshake_without_a_certificate_shows_nothing(behind):
    found = tls_server.parse(records(server_hello() + behind))
    assert (found.names, found.anomalies) == ((), ())


def test_a_handshake_that_resumes_ends_at_the_change_of_keys():
    raw = records(server_hello())
    assert tls_server.parse(raw + CHANGE).names == ()
    ticket = records(message(4, b"ticket"))
    assert tls_server.parse(raw + ticket + CHANGE).size == len(raw + ticket)


def test_a_certificate_status_before_the_certificate_is_skipped():
    raw = records(server_hello() + message(22, b"ocsp") + certificates(LEAF))
    assert names(tls_server.parse(raw))


def test_what_is_skipped_has_a_limit():
    between = message(4, b"") * tls_server.MAX_BETWEEN
    raw = records(server_hello() + between + certificates(LEAF))
    assert names(tls_server.parse(raw))
    raw = records(server_hello() + between + message(4, b"") + certificates(LEAF))
    assert names(tls_server.parse(raw)) == []


def test_the_last_bytes_are_taken_for_what_they_are():
    raw = records(server_hello() + certificates(LEAF))
    found = tls_server.parse(raw[:-100], last=True)
    assert (found.names, found.anomalies) == ((), ("tls-server-cut",))
    assert (found.tls.version, found.size) == ("1.2", len(raw) - 100)
    with pytest.raises(ParseError) as raised:
        tls_server.parse(raw[:40], last=True)
    assert raised.value.anomaly == "tls-server-cut"


def test_a_certificate_that_cannot_be_read_is_named():
    found = tls_server.parse(records(server_hello() + certificates(b"junk")))
    assert (found.names, found.anomalies) == ((), ("tls-certificate",))


@pytest.mark.parametrize(
    ("raw", "anomaly"),
    [
        (b"HTTP/1.1 400", "tls-not-a-server-hello"),
        (b"\x15\3\3\0\2\2\x28", "tls-not-a-server-hello"),
        (records(message(1, bytes(60))), "tls-not-a-server-hello"),
        (b"\x16\3\3\0\0", "tls-record-length"),
        (b"\x16\3\3\xff\xff", "tls-record-length"),
        (records(message(2, b"\3\3" + bytes(20))), "tls-server-hello"),
        (records(message(2, server_hello()[4:] + b"\0\5ab")), "tls-server-hello"),
        (records(server_hello()[:30]) + CHANGE, "tls-interleaved"),
        (records(b"\2\1\0\0"), "tls-server-flight"),
        (records(server_hello() + b"\x0b\1\0\0\1\0\0\0\xff\xf0"), "tls-server-flight"),
        (records(server_hello() + message(11, b"\0\0\5\0\0\x0aab")), "tls-certificate-list"),
        (records(server_hello() + message(11, b"\0\0")), "tls-certificate-list"),
    ],
)
def test_bytes_that_are_no_flight_are_rejected(raw, anomaly):
    with pytest.raises(ParseError) as raised:
        tls_server.parse(raw)
    assert raised.value.anomaly == anomaly


@given(st.binary(max_size=200), st.sampled_from(["", "record", "hello"]), st.booleans())
def test_any_bytes_are_a_message_or_a_named_error(data, framed, last):
    raw = {"": data, "record": b"\x16\3\3" + data, "hello": records(server_hello() + data)}[framed]
    assert sound_outcome(lambda given: tls_server.parse(given, last), raw, "tls-")


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    st.sampled_from([50, 16384]),
    st.booleans(),
)
def test_a_valid_flight_with_some_bytes_changed(changes, size, last):
    data = bytearray(records(FLIGHT, size))
    for at, value in changes:
        data[at % len(data)] = value
    assert sound_outcome(lambda given: tls_server.parse(given, last), bytes(data), "tls-")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_real_server(version, tmp_path):
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_text(ssl.DER_cert_to_PEM_cert(LEAF))
    secret = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.maximum_version = version
    asks = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asks.check_hostname, asks.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asks.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    found = tls_server.parse(to_client.read())
    clear = version == ssl.TLSVersion.TLSv1_2
    assert names(found) == (["www.example.com", "*.example.com"] if clear else [])
    assert found.tls.version == ("1.2" if clear else "1.3")
