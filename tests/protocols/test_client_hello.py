"""ClientHellos, read by the reader that the packet loop has, made into messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import (
    extension,
    hello,
    real_hello,
    server_name,
    sound_outcome,
    vector,
)

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message
from netwatch.protocols.tls import MAX_SERVER_NAMES, hello_message

VERSIONS = extension(43, vector(1, bytes.fromhex("fafa03040303")))
ALPN = extension(16, vector(2, vector(1, b"h2") + vector(1, b"http/1.1")))
SIGNATURES = extension(13, vector(2, bytes.fromhex("04030804")))


def read(handshake: bytes, last: bool = False) -> Message:
    return hello_message(handshake, len(handshake), "tls-sni", last)


def names(found: Message) -> list[str]:
    return [shown.name for shown in found.names]


def test_its_content_is_reported():
    parts = extension(0x0A0A, b"") + server_name(b"WWW.Example.com") + VERSIONS + ALPN + SIGNATURES
    found = read(hello(parts, (0x1A1A, 0x1301), legacy=bytes(32)))
    assert [(shown.name, shown.raw) for shown in found.names] == [
        ("www.example.com", "WWW.Example.com")
    ]
    assert (found.tls.version, found.tls.alpn) == ("1.3", ("h2", "http/1.1"))
    assert (found.tls.ech, found.tls.ech_config_id, found.anomalies) == (None, None, ())
    assert found.tls.ja4.startswith("t13d0104h2_")


def test_a_hello_without_extensions():
    found = read(hello(None, version=0x0301))
    assert found.names == found.anomalies == found.tls.alpn == ()
    assert found.tls.version == "1.0"


def test_protocols_are_text():
    protocols = vector(1, b"a\\b") + vector(1, b"\xab") + vector(1, b"")
    assert read(hello(extension(16, vector(2, protocols)))).tls.alpn == ("a\\\\b", "\\171", "")
    many = b"".join(vector(1, b"%d" % number) for number in range(300))
    found = read(hello(extension(16, vector(2, many))))
    assert found.tls.alpn == tuple(map(str, range(300)))


def test_a_real_hello_waits_until_it_is_complete():
    handshake = real_hello()[5:]
    for size in range(len(handshake)):
        with pytest.raises(Incomplete) as raised:
            read(handshake[:size])
        assert size < raised.value.bytes_needed <= len(handshake)
    assert names(read(handshake + b"more")) == ["www.example.com"]


def test_a_truncated_hello_is_given_once_its_name_is_complete():
    handshake = hello(VERSIONS + server_name(b"www.example.com") + ALPN)
    whole = handshake.index(b"www.example.com") + len(b"www.example.com")
    for size in range(len(handshake)):
        if size < whole:
            with pytest.raises(ParseError) as raised:
                read(handshake[:size], last=True)
            assert raised.value.anomaly == "tls-hello-cut"
        else:
            found = read(handshake[:size], last=True)
            assert names(found) == ["www.example.com"]
            assert found.anomalies == ("tls-hello-cut",)
            assert found.tls.ja4 is None


@pytest.mark.parametrize(
    ("extensions", "anomalies", "count"),
    [
        (server_name(b"a.example", b"b.example"), ("tls-many-server-names",), 2),
        (server_name(b"a.example", b"A.example."), (), 1),
        (server_name(*[b"a.example"] * 64), (), 1),
        (server_name(*[b"a.example"] * 65), ("tls-server-name",), 1),
        (
            server_name(b"a.example") + server_name(b"b.example"),
            ("tls-many-server-names", "tls-repeated-extension"),
            2,
        ),
        (extension(0, b""), ("tls-server-name",), 0),
        (extension(0, vector(2, b"")), ("tls-server-name",), 0),
        (extension(0, vector(2, b"\0" + vector(2, b"a.example")) + b"x"), ("tls-server-name",), 1),
        (extension(0, vector(2, b"\1" + vector(2, b"a.example"))), ("tls-server-name",), 0),
        (extension(0, vector(2, b"\0\0\x20a.example")), ("tls-server-name",), 0),
        (server_name(b"a" * 255), (), 1),
        (server_name(b"a" * 256), ("tls-server-name",), 0),
        (server_name(b"."), (), 0),
        (
            server_name(*[b"%d.example" % at for at in range(99)]),
            ("tls-server-name", "tls-many-server-names"),
            MAX_SERVER_NAMES,
        ),
        (extension(43, b"\x09\3\4"), ("tls-supported-versions",), 0),
        (extension(13, b"\0\x09\4\3"), ("tls-signature-algorithms",), 0),
        (extension(16, b"\0\x03\x09h2"), ("tls-alpn",), 0),
        (extension(16, b""), (), 0),
        (extension(0xFE0D, b""), ("tls-ech",), 0),
        (extension(0xFE0D, b"\1"), ("tls-ech-inner",), 0),
        (ALPN + ALPN, ("tls-repeated-extension",), 0),
        (server_name(b"a.example") + b"\0\x10\0\x09x", ("tls-extension-length",), 1),
    ],
)
def test_anomalies_do_not_prevent_parsing(extensions, anomalies, count):
    found = read(hello(extensions))
    assert (len(found.names), found.anomalies) == (count, anomalies)
    # What was odd about one hello is forgotten with the next.
    assert read(hello(server_name(b"a.example"))).anomalies == ()


def test_of_repeated_extensions_the_last_one_counts():
    other = extension(16, vector(2, vector(1, b"h3")))
    assert read(hello(ALPN + other)).tls.alpn == ("h3",)
    assert read(hello(ALPN + extension(16, b"\0\x03\x09h2"))).tls.alpn == ("h2", "http/1.1")


def test_names_are_spelled_in_one_way():
    found = read(hello(server_name("bücher.example".encode(), b"x\n.example")))
    assert names(found) == ["xn--bcher-kva.example", "x\\010.example"]


def test_an_outer_ech_extension_is_reported():
    body = b"\0\0\1\0\1\7" + vector(2, bytes(32)) + vector(2, bytes(144))
    public = server_name(b"cloudflare-ech.com")
    # The name may stand behind it: Chromium shuffles its extensions.
    found = read(hello(extension(0xFE0D, body) + public))
    assert (found.tls.ech, found.tls.ech_config_id) == ("outer", 7)


def test_lengths_that_do_not_fit():
    raw = hello(server_name(b"a.example"))
    longer = raw[:1] + (len(raw) - 4 + 3).to_bytes(3) + raw[4:] + b"xyz"
    assert read(longer).anomalies == ("tls-trailing-bytes",)
    at = raw.index(b"a.example") - 11
    wider = raw[:at] + b"\xff\xff" + raw[at + 2 :]
    assert read(wider).anomalies == ("tls-extension-length",)
    assert names(read(wider)) == ["a.example"]


@pytest.mark.parametrize(
    ("raw", "anomaly"),
    [
        (b"\2\0\0\x10" + bytes(16), "tls-not-a-client-hello"),
        (b"\1\1\0\0", "tls-hello-length"),
        (b"\1\0\0\4" + bytes(4), "tls-hello"),
        (b"\1\0\0\x28" + bytes(34) + b"\xff" + bytes(5), "tls-hello"),
        (b"\1\0\0\x2a" + hello(None)[4:] + b"\0", "tls-hello"),
    ],
)
def test_bytes_that_are_no_hello(raw, anomaly):
    with pytest.raises(ParseError) as raised:
        read(raw)
    assert raised.value.anomaly == anomaly


@given(st.binary(max_size=200), st.booleans())
def test_any_extension_bytes_are_read_without_another_error(data, framed):
    found = read(hello(extension(0, data) if framed else data))
    assert len(found.names) <= MAX_SERVER_NAMES
    assert len(found.tls.ja4) == 36


@given(st.binary(max_size=120), st.booleans(), st.booleans())
def test_any_bytes_are_a_hello_or_a_named_error(data, last, cookie):
    raw = b"\1" + vector(3, data)
    assert sound_outcome(
        lambda part: hello_message(part, len(part), "dtls-sni", last, cookie=cookie),
        raw,
        "tls-hello",
    )
