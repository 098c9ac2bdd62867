"""What stands before a hello, answers it or is its older kin: taken, and nothing else."""

import random
from itertools import pairwise
from pathlib import Path

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import handshake_samples as samples
from support import tshark
from support.captures import dissector, observed, pcap, rows, timed
from support.frames import CLIENT, SERVER, tcp, udp
from support.interpreted import interpreted

from netwatch.core.addresses import ip_text
from netwatch.core.message import Observation
from netwatch.dissect.loop.loop import Loop
from netwatch.dissect.loop.preface_masks import FIRST_BYTES
from netwatch.protocols import DTLS, GQUIC, HTTP2, QUIC, SOCKS, TLS, TLS_SERVER

RAW = 101
NAME = "www.example.org"
HELLO = handshakes.records(handshakes.client_hello(NAME, random.Random(1)))
LARGE = handshakes.records(handshakes.client_hello(NAME, random.Random(2), post_quantum=True))
REQUEST = messages.request("GET", "/", NAME)
SYN = tcp(flags="S", seq=1000)


def kinds(*packets: bytes) -> list[int]:
    return [row.kind for row in rows(Loop(64), timed(packets), RAW)]


def told(*packets: bytes) -> list[Observation]:
    by = dissector()
    found = observed(timed(packets), RAW, by=by)
    assert by.anomalies() == {}
    return found


def segments(*parts: bytes, start: int = 1001) -> list[bytes]:
    """Parts of a client's stream, a segment each."""
    out = []
    for part in parts:
        out.append(tcp(part, seq=start))
        start += len(part)
    return out


# SOCKS

TYPES = {
    "5": b"\5\1\0\3" + bytes([len(NAME)]) + NAME.encode() + b"\1\xbb",
    "5-bind": b"\5\2\0\3" + bytes([len(NAME)]) + NAME.encode() + b"\1\xbb",
    "5-udp": b"\5\3\0\3" + bytes([len(NAME)]) + NAME.encode() + b"\1\xbb",
    "5-behind-greeting": b"\5\2\0\2\5\1\0\3" + bytes([len(NAME)]) + NAME.encode() + b"\1\xbb",
    "4a": b"\4\1\1\xbb\0\0\0\1\0" + NAME.encode() + b"\0",
    "4a-user": b"\4\1\1\xbb\0\0\0\x09alice\0" + NAME.encode() + b"\0",
}


@pytest.mark.parametrize("request_", TYPES.values(), ids=TYPES.keys())
@pytest.mark.parametrize("started", [True, False])
def test_a_socks_request_and_the_hello_behind_it(request_: bytes, started: bool) -> None:
    packets = segments(request_, HELLO)
    found = told(*[SYN] * started, *packets)
    assert [(each.evidence, each.name) for each in found] == [
        ("socks-host", NAME),
        ("tls-sni", NAME),
    ]


@pytest.mark.parametrize("request_", TYPES.values(), ids=TYPES.keys())
def test_every_cut_of_a_socks_request_is_none(request_: bytes) -> None:
    for end in range(1, len(request_)):
        assert SOCKS not in kinds(tcp(request_[:end]))
        assert SOCKS not in kinds(tcp(request_ + b"x" * end))


@pytest.mark.parametrize(
    "data",
    [
        b"\5\1\0\3\x02ab\1\xbb" + b"xx",
        b"\5\4\0\3\x0fwww.example.org\1\xbb",
        b"\5\1\1\3\x0fwww.example.org\1\xbb",
        b"\5\1\0\3\x0fwww.exa/ple.org\1\xbb",
        b"\5\1\0\3\x0fwww.exa ple.org\1\xbb",
        b"\5\1\0\1\xcb\0\x71\x0a\1\xbb\0",
        b"\4\1\1\xbb\xcb\0\x71\x0aalice\0" + b"www.example.org\0",
        b"\4\1\1\xbb\0\0\0\0alice\0www.example.org\0",
        b"\4\3\1\xbb\0\0\0\1alice\0www.example.org\0",
        b"\4\1\1\xbb\0\0\0\1alice\0www.example.org",
        b"\4\1\1\xbb\0\0\0\1alice\0www example org\0",
    ],
)
def test_what_is_like_a_socks_request_and_names_no_host(data: bytes) -> None:
    assert SOCKS not in kinds(tcp(data))


# PROXY protocol


def version_2(size: int, command: int = 1) -> bytes:
    signature = bytes.fromhex("0d0a0d0a000d0a515549540a")
    return signature + bytes([0x20 | command, 0x11]) + size.to_bytes(2) + bytes(size)


PROXY = {
    "1": b"PROXY TCP4 192.0.2.7 192.0.2.8 40000 443\r\n",
    "1-unknown": b"PROXY UNKNOWN\r\n",
    "1-longest": b"PROXY TCP6 " + b"2001:db8:" * 9 + b" 1 2\r\n",
    "2": version_2(12),
    "2-local": version_2(0, 0),
    "2-tlv": version_2(36 + 60),
}


@pytest.mark.parametrize("header", PROXY.values(), ids=PROXY.keys())
@pytest.mark.parametrize("message", [HELLO, LARGE, REQUEST], ids=["hello", "large", "request"])
@pytest.mark.parametrize("started", [True, False])
def test_a_proxy_header_in_front_in_one_segment_or_its_own(
    header: bytes, message: bytes, started: bool
) -> None:
    evidence = "http-host" if message is REQUEST else "tls-sni"
    for parts in (
        (header, message),
        (header + message,),
        (header + message[:100], message[100:]),
        (header + message[:7], message[7:]),
    ):
        found = told(*[SYN] * started, *segments(*parts))
        assert [(each.evidence, each.name) for each in found] == [(evidence, NAME)]
        assert ip_text(found[0].client_ip) == CLIENT


@pytest.mark.parametrize(
    "header",
    [
        b"PROXIES TCP4 192.0.2.7 192.0.2.8 40000 443\r\n",
        b"PROXY TCP4 " + b"9" * 120 + b"\r\n",
        version_2(12)[:12] + b"\x10" + version_2(12)[13:],
        b"\r\n\r\n\0\r\nQUIT\r" + version_2(12)[12:],
    ],
)
def test_what_is_like_a_proxy_header_hides_the_hello_in_its_segment(header: bytes) -> None:
    assert [row for row in kinds(tcp(header + HELLO)) if row == TLS] == []


@given(st.integers(0, 65535), st.binary(max_size=60))
def test_a_proxy_length_may_be_anything(size: int, rest: bytes) -> None:
    kinds(tcp(version_2(0)[:14] + size.to_bytes(2) + rest))


# what stands before a hello and is none of it


def tds(data: bytes, kind: int = 18, status: int = 1, size: int | None = None) -> bytes:
    """A TDS packet (MS-TDS section 2.2.3.1)."""
    size = 8 + len(data) if size is None else size
    return bytes([kind, status]) + size.to_bytes(2) + b"\0\0\1\0" + data


OPTIONS = "00001a0006 0100200001 0200210001 0300220004 0400260001 ff"
PRELOGIN = tds(bytes.fromhex(OPTIONS) + bytes.fromhex("0c0007d00000 00 00 00001234 00"))
"""The options of a client, of which encryption is one (MS-TDS section 2.2.6.5)."""


@pytest.mark.parametrize("message", [HELLO, LARGE], ids=["hello", "large"])
@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize("port", [1433, 50123])
def test_a_hello_inside_of_tds(message: bytes, started: bool, port: int) -> None:
    """A client of SQL Server up to version TDS 7.4 wraps its handshake (MS-TDS section 2.2.6.5)."""
    wrapped = tds(message)
    for parts in (
        (PRELOGIN, wrapped),
        (wrapped,),
        (PRELOGIN, wrapped[:8], wrapped[8:]),
        (PRELOGIN, wrapped[:100], wrapped[100:]),
        (PRELOGIN, wrapped[:30], wrapped[30:300], wrapped[300:]),
    ):
        start, packets = 1001, [tcp(flags="S", seq=1000, dport=port)] if started else []
        for part in parts:
            packets.append(tcp(part, seq=start, dport=port))
            start += len(part)
        found = told(*packets)
        assert [(each.evidence, each.name) for each in found] == [("tls-sni", NAME)], parts


@pytest.mark.parametrize(
    "packet",
    [
        PRELOGIN,
        tds(HELLO, kind=16),
        tds(HELLO, status=0),
        tds(HELLO, size=20),
        tds(b"\x17" + HELLO[1:]),
        tds(HELLO[:5] + b"\2" + HELLO[6:]),
    ],
    ids=["options", "login", "more to come", "too short", "data", "another message"],
)
def test_what_is_like_a_hello_inside_of_tds(packet: bytes) -> None:
    assert [row for row in kinds(tcp(packet, dport=1433)) if row == TLS] == []


@tshark.needed
def test_tshark_reads_the_same_name_inside_of_tds(tmp_path: Path) -> None:
    path = tmp_path / "tds.pcap"
    server = {"src": SERVER, "sport": 1433, "dst": CLIENT, "dport": 50000}
    packets = [
        tcp(flags="S", seq=1000, dport=1433),
        tcp(flags="SA", seq=5000, **server),
        tcp(PRELOGIN, seq=1001, dport=1433),
        tcp(tds(PRELOGIN[8:], kind=4), seq=5001, **server),
        tcp(tds(HELLO), seq=1001 + len(PRELOGIN), dport=1433),
    ]
    path.write_bytes(pcap(timed(packets), RAW))
    read = tshark.fields(path, ["tls.handshake.extensions_server_name"])
    assert [name for (name,) in read if name] == [NAME]
    assert [each.name for each in told(*packets)] == [NAME]


SSL_REQUEST = b"\x20\0\0\1\x85\xae\xff\x19\0\0\0\1\xff" + bytes(23)


@pytest.mark.parametrize("message", [HELLO, LARGE], ids=["hello", "large"])
@pytest.mark.parametrize("started", [True, False])
def test_a_mysql_client_that_does_not_wait(message: bytes, started: bool) -> None:
    """What it asks for TLS with and its hello are often one segment."""
    for parts in (
        (SSL_REQUEST, message),
        (SSL_REQUEST + message,),
        (SSL_REQUEST + message[:100], message[100:]),
        (SSL_REQUEST + message[:1], message[1:]),
    ):
        found = told(*[SYN] * started, *segments(*parts))
        assert [(each.evidence, each.name) for each in found] == [("tls-sni", NAME)]
    plain = SSL_REQUEST[:5] + b"\xa6" + SSL_REQUEST[6:]
    assert TLS not in kinds(tcp(plain + message))


@pytest.mark.parametrize("size", [1, 3])
def test_a_byte_that_only_looks_like_a_hello_does_not_cost_the_one_behind_it(size: int) -> None:
    by = dissector()
    parts = segments(b"\x16\3\1"[:size], HELLO)
    assert [each.name for each in observed(timed(parts), RAW, by=by)] == [NAME]
    # Other bytes at the place of what was read before.
    parts = segments(b"\x16\3\1"[:size], LARGE[:700], LARGE[700:])
    assert [each.name for each in observed(timed(parts), RAW, by=by)] == [NAME]
    assert [each.name for each in observed(timed(parts), RAW)] == [NAME]
    assert [each.name for each in observed(timed([parts[0], parts[2], parts[1]]), RAW)] == [NAME]


# server hellos


def server_flight(selected: int = 0) -> bytes:
    flight = samples.server_hello(selected=selected)
    return handshakes.records(flight + samples.certificates(samples.certificate(NAME, NAME)))


def back(data: bytes, seq: int = 5001) -> bytes:
    return tcp(data, src=SERVER, sport=443, dst=CLIENT, dport=50000, seq=seq)


def test_a_certificate_in_clear_is_told_of_the_client_that_got_it() -> None:
    (found,) = told(back(server_flight()))
    assert (found.evidence, found.name) == ("tls-cert", NAME)
    assert (ip_text(found.client_ip), found.client_port) == (CLIENT, 50000)


def test_a_certificate_over_segments_in_any_order() -> None:
    flight = server_flight()
    parts = [back(flight[:200]), back(flight[400:], 5401), back(flight[200:400], 5201)]
    assert [each.evidence for each in told(*parts)] == ["tls-cert"]


@pytest.mark.parametrize(
    ("selected", "taken"), [(0, True), (0x0303, True), (0x0302, True), (0x0304, False)]
)
def test_a_server_hello_that_chose_tls_1_3_shows_no_certificate(selected: int, taken: bool) -> None:
    assert (TLS_SERVER in kinds(back(server_flight(selected)))) == taken


def test_every_cut_and_every_session_id_of_a_server_hello() -> None:
    flight = server_flight(0x0304)
    for end in range(1, len(flight)):
        kinds(back(flight[:end]))
    for size in (33, 200, 255):
        kinds(back(flight[:43] + bytes([size]) + flight[44:]))


# datagrams

BODY = samples.dtls_hello(handshakes.client_hello(NAME, random.Random(3), quic=1))
DTLS_HELLO = samples.dtls_record(samples.fragment(BODY, 0, len(BODY)))


@pytest.mark.parametrize("version", [0xFEFF, 0xFEFD, 0xFEFC])
def test_dtls_whole_and_in_fragments(version: int) -> None:
    parts = [samples.fragment(BODY, 0, 150), samples.fragment(BODY, 150, len(BODY))]
    whole = [samples.fragment(BODY, 0, len(BODY))]
    for given_ in (whole, parts, parts[::-1]):
        packets = [udp(samples.dtls_record(each, version=version), dport=4433) for each in given_]
        assert [(each.evidence, each.name) for each in told(*packets)] == [("dtls-sni", NAME)]


@pytest.mark.parametrize(
    "data",
    [
        DTLS_HELLO[:24],
        samples.dtls_record(samples.fragment(BODY, 0, len(BODY)), epoch=1),
        samples.dtls_record(samples.fragment(BODY, 0, len(BODY)), content=23),
        samples.dtls_record(samples.fragment(BODY, 0, len(BODY)), version=0x0303),
        samples.dtls_record(samples.fragment(BODY, 0, len(BODY), kind=2)),
    ],
)
def test_other_dtls_records_are_let_go(data: bytes) -> None:
    assert DTLS not in kinds(udp(data, dport=4433))


@pytest.mark.parametrize("version", [24, 25, 30, 33, 35, 39, 43, 44, 46])
@pytest.mark.parametrize("sport", [50000, 443])
def test_google_quic_of_every_layout(version: int, sport: int) -> None:
    frames = samples.stream_frame(version, samples.padded_chlo(NAME.encode()))
    packet = udp(samples.clear_packet_of(version, frames), sport=sport, dport=443)
    assert kinds(packet) == [GQUIC]
    assert [(each.evidence, each.name) for each in told(packet)] == [("quic-sni", NAME)]


def test_what_names_no_version_of_google_quic_is_let_go() -> None:
    packet = samples.clear_packet_of(43, bytes(40))
    for bad in (
        packet[:23],
        b"\x08" + packet[1:],
        packet[:9] + b"R043" + packet[13:],
    ):
        assert kinds(udp(bad, dport=443)) == []
    assert kinds(udp(bytes([0xC3]) + b"\0\0\0\1" + bytes(30), dport=443)) == [QUIC]


# HTTP/2


@pytest.mark.parametrize("started", [True, False])
def test_http2_in_clear_whole_and_in_segments(started: bool) -> None:
    data = samples.http2_requests(NAME)
    for parts in ((data,), (data[:24], data[24:]), (data[:30], data[30:])):
        packets = segments(*parts)
        assert kinds(packets[0]) == [HTTP2]
        found = told(*[SYN] * started, *packets)
        assert [(each.evidence, each.name) for each in found] == [("http-host", NAME)]


def http2_at(*authorities: str) -> list[bytes]:
    """A preface with SETTINGS, then each request, as separate parts."""
    whole = samples.http2_requests(*authorities)
    ends = [len(samples.http2_requests(*authorities[:count])) for count in range(len(authorities))]
    return [whole[at:end] for at, end in pairwise([0, *ends, len(whole)])]


@pytest.mark.parametrize("started", [True, False])
def test_http2_requests_of_later_segments(started: bool) -> None:
    names = [f"h{number % 7}.example" for number in range(40)]
    parts = http2_at(*names)
    upload = samples.http2_frame(0, b"GET / HTTP/1.1\r\nHost: inside.example\r\n\r\n", 0, 1)
    parts[20:20] = [samples.http2_frame(0, bytes(900), 0, 1)[:9], bytes(900), upload]
    packets = segments(*parts)
    found = told(*[SYN] * started, *packets[:3], *packets[4:9], packets[3], *packets[9:])
    assert [each.name for each in found] == names[:7]
    assert found[-1].packet == 9 + started


def test_http2_over_hours_and_the_wrap() -> None:
    parts = http2_at("a.example", "b.example", "c.example")
    frames = timed([SYN, *segments(*parts, start=2**32 - 80)], gap=3600 * 10**9)
    frames[0] = (frames[0][0], tcp(flags="S", seq=2**32 - 81))
    by = dissector()
    other = tcp(HELLO, sport=50001)
    frames[3:3] = [(frames[2][0] + 100 * 10**9, other)]
    found = observed(frames, RAW, by=by)
    assert [each.name for each in found] == ["a.example", NAME, "b.example", "c.example"]
    assert by.anomalies() == {}


def test_http2_is_read_up_to_a_limit() -> None:
    filler = samples.http2_frame(0, bytes(16384), 0, 1)
    for count, expected in ((62, ["a.example", "b.example"]), (66, ["a.example"])):
        first, *rest = http2_at("a.example", "b.example")
        data = b"".join([first, rest[0], filler * count, rest[1]])
        parts = [data[at : at + 1400] for at in range(0, len(data), 1400)]
        by = dissector()
        packets = [SYN, *segments(*parts)]
        found = observed(timed([*packets, *packets[-3:]]), RAW, by=by)
        assert [each.name for each in found] == expected
        assert by.anomalies() == ({} if len(expected) == 2 else {"http2-long": 1})


@pytest.mark.parametrize("cut", range(1, 24))
def test_http2_whose_preface_is_cut(cut: int) -> None:
    """It may look like a request of HTTP/1 at first."""
    data = samples.http2_requests(NAME)
    by = dissector()
    found = observed(timed([SYN, *segments(data[:cut], data[cut:])]), RAW, by=by)
    assert [(each.evidence, each.name) for each in found] == [("http-host", NAME)]


def test_the_start_of_its_preface_alone_is_none() -> None:
    assert kinds(tcp(samples.PREFACE[:8])) == [HTTP2]
    assert HTTP2 not in kinds(tcp(samples.PREFACE[:7]))
    assert HTTP2 not in kinds(tcp(b"PRI * FTP/2.0" + bytes(30)))


# anything

STARTS = (
    *TYPES.values(),
    *PROXY.values(),
    server_flight(0x0304),
    DTLS_HELLO,
    samples.clear_packet_of(43, bytes(40)),
    samples.clear_packet_of(46, bytes(40)),
    samples.http2_requests(NAME),
)


@given(st.sampled_from(STARTS), st.integers(0, 80), st.binary(max_size=80))
def test_any_bytes_behind_any_start(start: bytes, keep: int, rest: bytes) -> None:
    data = start[:keep] + rest
    packets = [tcp(data), back(data), udp(data, dport=443), udp(data, sport=443, dport=50000)]
    found = rows(Loop(64), timed(packets), RAW)
    size = {6: len(data), 17: len(data)}
    assert all(0 < row.size <= size[row.proto] for row in found)


BEGINNINGS = {
    HELLO: "tls",
    HELLO[:1]: "tls",
    REQUEST: "http",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": "http2",
    handshakes.records(samples.server_hello()): "server_hello",
    TYPES["5"]: "socks",
    TYPES["4a"]: "socks",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n": "proxy",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12): "proxy",
    b"\x20\0\0\1\x85\xae\x7f\0" + bytes(28) + HELLO: "proxy",
}


def test_each_beginning_has_a_first_byte_that_is_looked_at() -> None:
    by = interpreted().Loop(8).prefilter
    masks = {*BEGINNINGS.values(), "http_beginning"}
    found = set()
    for payload in BEGINNINGS:
        for byte in range(256):
            by.set_data(bytes([byte]) + payload[1:])
            for name in masks:
                mask = getattr(by.masks, name, None) or getattr(by.prefaces, name)
                if mask(0, len(payload)):
                    assert FIRST_BYTES[byte], (name, byte)
                    found.add(name)
    assert found == masks
