"""tshark reads the same names from generated packets, and from real captures where they exist."""

import struct
from collections import defaultdict
from pathlib import Path

from support import tshark
from support.protocol_samples import (
    SALTS,
    crypto,
    extension,
    hello,
    real_hello,
    records,
    sealed,
    server_name,
    vector,
)
from support.tshark import words
from support.tshark_captures import captured, read, sni_and_ja4

from netwatch.core.errors import ParseError
from netwatch.dissect.quic.initial_packets import InitialPackets
from netwatch.protocols import dns, quic, tls

INITIAL = 1

pytestmark = tshark.needed


def write_capture(path: Path, payloads: list[tuple[int, int, bytes]]) -> None:
    """A pcap of raw IPv4 packets, one for each (IP protocol, server port, payload); each
    has a client port of its own."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101)
    for at, (protocol, port, payload) in enumerate(payloads):
        if protocol == 6:
            transport = struct.pack(">HHIIHHHH", 20000 + at, port, 1, 1, 0x5018, 8192, 0, 0)
        else:
            transport = struct.pack(">HHHH", 20000 + at, port, 8 + len(payload), 0)
        total = 20 + len(transport) + len(payload)
        head = struct.pack(">BBHHHBBH", 0x45, 0, total, at, 0, 64, protocol, 0)
        packet = head + bytes([10, 0, 0, 1, 192, 0, 2, 1]) + transport + payload
        out += struct.pack("<IIII", at, 0, len(packet), len(packet)) + packet
    path.write_bytes(out)


def made_hellos() -> list[bytes]:
    grease = extension(0x3A3A, b"")
    versions = extension(43, vector(1, bytes.fromhex("8a8a03040303")))
    schemes = extension(13, vector(2, bytes.fromhex("040308040401")))
    hellos = [real_hello()[5:], real_hello(None)[5:], real_hello("a.example", ())[5:]]
    for protocol in (b"h2", b"http/1.1", b"x", b"\xab\xcd", b"0\xab"):
        alpn = extension(16, vector(2, vector(1, protocol)))
        hellos.append(hello(grease + alpn + server_name(b"b.example") + versions + schemes))
    hellos.append(hello(server_name(b"c.example"), (0x2A2A, 0x002F, 0x00FF), 0x0301))
    hellos.append(hello(b"".join(extension(0x4000 + at, b"") for at in range(120))))
    return hellos


def test_hellos_over_tcp(tmp_path):
    raws = [records(one) for one in made_hellos()]
    write_capture(tmp_path / "tls.pcap", [(6, 443, raw) for raw in raws])
    fields = ("tls.handshake.extensions_server_name", "tls.handshake.ja4")
    theirs = read(tmp_path / "tls.pcap", "tls.handshake.type == 1", *fields)
    assert [sni_and_ja4(tls.parse(raw)) for raw in raws] == theirs


def test_hellos_over_quic(tmp_path):
    raws = [
        sealed(crypto(0, one), b"%08x%02d" % (version, at), at, version=version, pad_to=1200)
        # tshark knows no draft of version 2
        for version in SALTS.keys() - {0xFF020000}
        for at, one in enumerate(made_hellos())
    ]
    write_capture(tmp_path / "quic.pcap", [(17, 443, raw) for raw in raws])
    fields = ("tls.handshake.extensions_server_name", "tls.handshake.ja4")
    theirs = read(tmp_path / "quic.pcap", "tls.handshake.type == 1", *fields)
    ours = [quic.ClientHandshake().feed(raw) for raw in raws]
    assert [sni_and_ja4(one) for one in ours if one] == theirs


@captured("ja4__tls3.pcapng", "zeek__tls__openjdk-25.0.2-zeek.org.pcap", "ndpi__reddit.pcap")
def test_captured_hellos_over_tcp(path):
    streams = defaultdict(dict)
    fields = ("tcp.stream", "tcp.srcport", "tcp.seq_raw", "tcp.payload")
    for stream, port, sequence, payload in read(path, "tcp.len > 0", *fields):
        streams[stream, port].setdefault(int(sequence), bytes.fromhex(payload))
    ours = []
    for segments in streams.values():
        data, base = b"", min(segments)
        for sequence in sorted(segments):
            if sequence - base == len(data):
                data += segments[sequence]
        if data[:2] == b"\x16\x03" and data[5:6] == b"\x01":
            ours.append(sni_and_ja4(tls.parse(data, last=True)))
    fields = ("tls.handshake.extensions_server_name", "tls.handshake.ja4")
    theirs = read(path, "tls.handshake.type == 1 && tcp", *fields)
    assert ours
    assert words(ours, 0, 1) == words(theirs, 0, 1)


@captured(
    "ja4__chrome-cloudflare-quic-with-secrets.pcapng",
    "ndpi__quic_frags_ch_out_of_order_same_packet_craziness.pcapng",
    "ndpi__quic_frags_different_dcid.pcapng",
    "ndpi__quic-mvfst-exp.pcap",
    "ndpi__quic_t50.pcap",
    "ndpi__quic_t51.pcap",
    "suricata-verify__quic-retry-multiple.pcap",
    "suricata-verify__quic-v2-ja3.pcap",
    "zeek__ppp__quic-interop-retry.pcap",
)
def test_captured_hellos_over_quic(path):
    connections: dict[tuple[str, str], quic.ClientHandshake] = defaultdict(quic.ClientHandshake)
    ours = []
    for stream, port, payload in read(path, "udp", "udp.stream", "udp.srcport", "udp.payload"):
        datagram = bytes.fromhex(payload)
        if InitialPackets().packet(datagram, 0, len(datagram)) == INITIAL:
            try:
                found = connections[stream, port].feed(datagram)
            except ParseError as error:
                assert error.anomaly == "quic-not-decrypted"  # noqa: PT017 - one of many
                continue
            if found:
                ours.append(sni_and_ja4(found))
    fields = ("tls.handshake.extensions_server_name", "tls.handshake.ja4")
    theirs = read(path, "tls.handshake.type == 1 && quic", *fields)
    assert ours
    assert words(ours, 0, 1) == words(theirs, 0, 1)


@captured("ndpi__weibo.pcap", "ndpi__zoom.pcap", "zeek__wikipedia.pcap", "ndpi__alexa-app.pcapng")
def test_captured_dns(path):
    ours = set()
    for (payload,) in read(path, "dns && udp.port == 53", "udp.payload"):
        ours |= {one.name for one in dns.parse(bytes.fromhex(payload)).names}
    theirs = read(path, "dns && udp.port == 53", "dns.qry.name", "dns.cname")
    assert ours
    assert ours == words(theirs, 0, 1)
