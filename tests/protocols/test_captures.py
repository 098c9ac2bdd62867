"""tshark reads the same names from real captures of rare protocols, where the captures exist."""

from collections import defaultdict
from pathlib import Path

from support import tshark
from support.tshark import words
from support.tshark_captures import captured, read, sni_and_ja4

from netwatch.core.errors import ParseError
from netwatch.protocols import dtls, gquic, socks, tls, tls_server
from netwatch.protocols.gquic import version_of

pytestmark = tshark.needed


def streams(path: Path) -> list[bytes]:
    """The bytes of each side of each TCP stream, up to the first gap."""
    sides: dict[tuple[str, str], dict[int, bytes]] = defaultdict(dict)
    fields = ("tcp.stream", "tcp.srcport", "tcp.seq_raw", "tcp.payload")
    for stream, port, sequence, payload in read(path, "tcp.len > 0 && !icmp", *fields):
        # What tshark dissects as nested in other streams has more than one payload.
        own = bytes.fromhex(payload.partition(";")[0])
        sides[stream, port].setdefault(int(sequence), own)
    found = []
    for segments in sides.values():
        data, base = b"", min(segments)
        for sequence in sorted(segments):
            if sequence - base <= len(data):
                data += segments[sequence][len(data) - (sequence - base) :]
        found.append(data)
    return found


@captured(
    "arkime__quic43.pcap",
    "ndpi__gquic.pcap",
    "ndpi__quic.pcap",
    "ndpi__quic_q46_b.pcap",
    "ndpi__youtube_quic.pcap",
    "ndpi__youtubeupload.pcap",
)
def test_captured_hellos_over_google_quic(path):
    connections: dict[tuple[str, str], gquic.ClientHandshake] = defaultdict(gquic.ClientHandshake)
    ours = set()
    for stream, port, payload in read(path, "udp", "udp.stream", "udp.srcport", "udp.payload"):
        datagram = bytes.fromhex(payload)
        if version_of(datagram)[:2] == b"Q0":
            try:
                found = connections[stream, port].feed(datagram)
            except ParseError as error:
                assert error.anomaly in ("gquic-header", "gquic-no-handshake")  # noqa: PT017
                continue
            if found:
                assert found.anomalies == ()
                ours |= {one.name for one in found.names}
    theirs = words(read(path, "gquic", "gquic.tag.sni"), 0)
    # tshark does not read the CHLO of Q050.
    assert ours == (theirs or {"www.gstatic.com"})


@captured("ndpi__anyconnect-vpn.pcap")
def test_captured_hellos_over_dtls(path):
    connections: dict[str, dtls.ClientHandshake] = defaultdict(dtls.ClientHandshake)
    ours = []
    fields = ("udp.stream", "udp.payload")
    for stream, payload in read(path, "dtls.handshake.type == 1", *fields):
        found = connections[stream].feed(bytes.fromhex(payload))
        if found is not None:
            ours.append((stream, sni_and_ja4(found)[1][3:]))
    # tshark calls the version before the RFC s1, FoxIO knows no name for it, and what a
    # server has the client say again with a cookie is another hello to it.
    theirs = read(path, "dtls.handshake.type == 1", "udp.stream", "dtls.handshake.ja4")
    assert len(theirs) > len(ours)
    assert ours == list(dict.fromkeys((stream, ja4[3:]) for stream, ja4 in theirs))


@captured(
    "ja4__ipv6.pcapng",
    "ndpi__dns_dot.pcap",
    "ndpi__simple-dnscrypt.pcap",
    "ndpi__whatsapp_login_call.pcap",
    "ndpi__youtubeupload.pcap",
    "ndpi__zoom.pcap",
    "zeek__pppoe-over-qinq.pcap",
)
def test_captured_certificates(path):
    ours = set()
    for data in streams(path):
        if data[:2] == b"\x16\x03" and data[5:6] == b"\x02":
            found = tls_server.parse(data, last=True)
            assert found.anomalies == ()
            ours |= {one.name for one in found.names}
    theirs = words(read(path, "tls.handshake.type == 11", "x509ce.dNSName"), 0)
    names = {word for text in theirs for word in text.split(",")}
    assert names
    assert ours == names


@captured("ndpi__tls_heur__vmess-tcp-tls.pcapng", "ndpi__tls_heur__vmess-websocket.pcapng")
def test_captured_requests_of_a_socks_client(path):
    ours = set()
    for data in streams(path):
        if data[:4] == b"\x05\x02\x00\x01":
            found = socks.parse(data)
            ours |= {one.name for one in found.names}
            assert tls.parse(data[found.size :], last=True).tls
    theirs = read(path, "socks.command == 1 && tcp.dstport == 1080", "socks.dst")
    assert ours
    assert ours >= words(theirs, 0)


@captured("arkime__tls-split-client-hello.pcap", "ndpi__google_meet.pcapng")
def test_captured_grease_of_chromium(path):
    kinds = set()
    for data in streams(path):
        if data[:2] == b"\x16\x03" and data[5:6] == b"\x01":
            kinds.add(tls.parse(data, last=True).tls.ech)
    assert kinds == {"grease"}


@captured("ndpi__google_chat.pcapng")
def test_captured_grease_of_firefox(path):
    (first,) = [data for data in streams(path) if data[5:6] == b"\x01"]
    assert tls.parse(first).tls.ech == "present"
