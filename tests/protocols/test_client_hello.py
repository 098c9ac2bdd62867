import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import extension, hello, real_hello, server_name, vector

from netwatch.core.errors import Incomplete, ParseError
from netwatch.protocols.client_hello import MAX_SERVER_NAMES, client_hello

VERSIONS = extension(43, vector(1, bytes.fromhex("fafa03040303")))
ALPN = extension(16, vector(2, vector(1, b"h2") + vector(1, b"http/1.1")))
SIGNATURES = extension(13, vector(2, bytes.fromhex("04030804")))


def test_its_content_is_reported_in_its_order():
    parts = extension(0x0A0A, b"") + server_name(b"WWW.Example.com") + VERSIONS + ALPN + SIGNATURES
    found = client_hello(hello(parts, (0x1A1A, 0x1301), legacy=bytes(32)))
    assert found.legacy_version == 0x0303
    assert found.cipher_suites == (0x1A1A, 0x1301)
    assert found.extension_types == (0x0A0A, 0, 43, 16, 13)
    assert found.server_names == ("www.example.com",)
    assert found.alpn == (b"h2", b"http/1.1")
    assert found.supported_versions == (0xFAFA, 0x0304, 0x0303)
    assert found.signature_algorithms == (0x0403, 0x0804)
    assert (found.ech, found.truncated, found.anomalies) == (None, False, ())


def test_a_hello_without_extensions():
    found = client_hello(hello(None, version=0x0301))
    assert found.server_names == found.extension_types == found.anomalies == ()


def test_a_real_hello_waits_until_it_is_complete():
    handshake = real_hello()[5:]
    for size in range(len(handshake)):
        with pytest.raises(Incomplete) as raised:
            client_hello(handshake[:size])
        assert size < raised.value.bytes_needed <= len(handshake)
    assert client_hello(handshake + b"more").server_names == ("www.example.com",)


def test_a_truncated_hello_is_given_once_its_name_is_complete():
    handshake = hello(VERSIONS + server_name(b"www.example.com") + ALPN)
    whole = handshake.index(b"www.example.com") + len(b"www.example.com")
    for size in range(len(handshake)):
        if size < whole:
            with pytest.raises(ParseError) as raised:
                client_hello(handshake[:size], last=True)
            assert raised.value.anomaly == "tls-hello-cut"
        else:
            found = client_hello(handshake[:size], last=True)
            assert found.server_names == ("www.example.com",)
            assert found.truncated
            assert found.anomalies == ("tls-hello-cut",)


@pytest.mark.parametrize(
    ("extensions", "anomalies", "names"),
    [
        (server_name(b"a.example", b"b.example"), ("tls-many-server-names",), 2),
        (server_name(b"a.example", b"A.example."), (), 1),
        (server_name(b"a.example") + server_name(b"b.example"), None, 2),
        (extension(0, b""), ("tls-server-name",), 0),
        (extension(0, vector(2, b"")), ("tls-server-name",), 0),
        (extension(0, vector(2, b"\0" + vector(2, b"a.example")) + b"x"), ("tls-server-name",), 1),
        (extension(0, vector(2, b"\1" + vector(2, b"a.example"))), ("tls-server-name",), 0),
        (extension(0, vector(2, b"\0\0\x20a.example")), ("tls-server-name",), 0),
        (server_name(b"a" * 256), ("tls-server-name",), 0),
        (server_name(b"."), (), 0),
        (server_name(*[b"%d.example" % at for at in range(99)]), None, MAX_SERVER_NAMES),
        (extension(43, b"\x09\3\4"), ("tls-supported-versions",), 0),
        (extension(13, b"\0\x09\4\3"), ("tls-signature-algorithms",), 0),
        (extension(16, b"\0\x03\x09h2"), ("tls-alpn",), 0),
        (extension(0xFE0D, b""), ("tls-ech",), 0),
        (extension(0xFE0D, b"\1"), ("tls-ech-inner",), 0),
        (ALPN + ALPN, ("tls-repeated-extension",), 0),
        (server_name(b"a.example") + b"\0\x10\0\x09x", ("tls-extension-length",), 1),
    ],
)
def test_anomalies_do_not_prevent_parsing(extensions, anomalies, names):
    found = client_hello(hello(extensions))
    assert len(found.server_names) == names
    if anomalies is not None:
        assert found.anomalies == anomalies


def test_names_are_spelled_in_one_way():
    found = client_hello(hello(server_name("bücher.example".encode(), b"x\n.example")))
    assert found.server_names == ("xn--bcher-kva.example", "x\\010.example")


def test_an_outer_ech_extension_is_reported():
    body = b"\0\0\1\0\1\7" + vector(2, bytes(32)) + vector(2, bytes(144))
    public = server_name(b"cloudflare-ech.com")
    # The name may stand behind it: Chromium shuffles its extensions.
    assert client_hello(hello(extension(0xFE0D, body) + public)).ech == "outer"


def test_lengths_that_do_not_fit():
    raw = hello(server_name(b"a.example"))
    longer = raw[:1] + (len(raw) - 4 + 3).to_bytes(3) + raw[4:] + b"xyz"
    assert client_hello(longer).anomalies == ("tls-trailing-bytes",)
    at = raw.index(b"a.example") - 11
    wider = raw[:at] + b"\xff\xff" + raw[at + 2 :]
    assert client_hello(wider).anomalies == ("tls-extension-length",)
    assert client_hello(wider).server_names == ("a.example",)


@pytest.mark.parametrize(
    ("raw", "anomaly"),
    [
        (b"\2\0\0\x10" + bytes(16), "tls-not-a-client-hello"),
        (b"\1\1\0\0", "tls-hello-length"),
        (b"\1\0\0\4" + bytes(4), "tls-hello"),
        (b"\1\0\0\x28" + bytes(34) + b"\xff" + bytes(5), "tls-hello"),
    ],
)
def test_bytes_that_are_no_hello(raw, anomaly):
    with pytest.raises(ParseError) as raised:
        client_hello(raw)
    assert raised.value.anomaly == anomaly


@given(st.binary(max_size=200), st.booleans())
def test_any_extension_bytes_are_read_without_another_error(data, framed):
    found = client_hello(hello(extension(0, data) if framed else data))
    assert len(found.server_names) <= MAX_SERVER_NAMES
    assert len(found.extension_types) <= len(data) + 1
