import pytest
from support.protocol_samples import real_hello

from netwatch.protocols import HTTP, HTTP2, PROTOCOLS, TLS, TLS_SERVER, detect_stream_kind

MODULES = {"dns-tcp": "dns", "tls-server": "tls_server", "nd": "neighbor", "arp": "neighbor"}


def test_kinds_are_those_of_the_packet_loop():
    assert {kind: row.name for kind, row in PROTOCOLS.items()} == {
        1: "dns",
        2: "tls",
        3: "quic",
        4: "http",
        5: "dns-tcp",
        8: "dtls",
        9: "socks",
        10: "tls-server",
        11: "http2",
        12: "gquic",
        13: "dhcp",
        14: "dhcpv6",
        15: "mdns",
        16: "arp",
        17: "nd",
    }


@pytest.mark.parametrize("row", PROTOCOLS.values(), ids=lambda row: row.name)
def test_each_row_has_one_shape(row):
    parsers = row.parse_datagram, row.parse_stream, row.new_conversation, row.new_handshake
    assert parsers.count(None) == 3
    shapes = ("datagram", "stream", "conversation", "handshake")
    assert row.shape == dict(zip(parsers, shapes, strict=True))[next(filter(None, parsers))]
    assert row.module == f"netwatch.protocols.{MODULES.get(row.name, row.name)}"
    assert row.parse_stream or not row.persistent


def test_a_row_reads_its_protocol():
    parse_stream = PROTOCOLS[TLS].parse_stream
    assert parse_stream is not None
    assert parse_stream(real_hello("a.example"), False).names[0].name == "a.example"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (real_hello("a.example"), TLS),
        (b"\x16\3\1\2\0\1", TLS),
        (b"\x16\3\1\2\0\2", TLS_SERVER),
        (b"\x16\3\1\2\0\x0b", 0),
        (b"PRI * HTTP/2.0\r\n\r\nSM", HTTP2),
        (b"PRI / HTTP/1.1\r\n", HTTP),
        (b"\x16\3\1\2\0", 0),
        (b"GET / HTTP/1.1", HTTP),
        (b"VERSION-CONTROL /a HTTP/1.1", HTTP),
        (b"GET", 0),
        (b"get / HTTP/1.1", 0),
        (b"SSH-2.0-x", 0),
        (b"", 0),
    ],
)
def test_a_stream_is_recognised_by_its_first_bytes(data, kind):
    assert detect_stream_kind(data) == kind
