"""What the fuzzer calls, one target a parser, and the inputs that it starts from.

A target takes any bytes and returns nothing; whatever it raises is a finding: another
exception than the parsers' own, a message that reaches out of its bytes, a wish for
bytes that are there. What a stream is cut into and what comes in datagrams is part of
the input. The seeds are made by code; beside them lies a small corpus (`corpus`), that came
of them.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol

from support import fuzz_flows, fuzz_logs
from support import handshake_samples as handshakes
from support import protocol_samples as samples
from support.fuzz_corpus import load

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, QuicInfo
from netwatch.dissect.quic.initial_packets import InitialPackets
from netwatch.protocols import (
    detect_stream_kind,
    dhcp,
    dhcpv6,
    dns,
    dtls,
    gquic,
    http,
    http2,
    mdns,
    neighbor,
    quic,
    socks,
    tls,
    tls_server,
)
from netwatch.protocols.certificate import MAX_NAMES, host_names
from netwatch.protocols.chlo import chlo
from netwatch.protocols.crypto_stream import CryptoStream

Target = Callable[[bytes], None]


class Handshake(Protocol):
    @property
    def done(self) -> bool: ...

    def feed(self, datagram: bytes) -> Message | None: ...

    def finish(self) -> Message | None: ...


class BrokenPromiseError(Exception):
    """A parser did what its contract rules out."""


def hold(promise: bool, what: str) -> None:
    if not promise:
        raise BrokenPromiseError(what)


def _sound(message: Message, data: bytes) -> None:
    hold(0 <= message.size <= len(data), f"size {message.size} of {len(data)}")
    for shown in message.names:
        hold(bool(shown.name), "an empty name")
        hold(shown.name.isascii() and shown.name.isprintable(), f"name {shown.name!r}")
        hold(" " not in shown.name, f"name {shown.name!r}")
        hold(len(shown.name) <= 4 * 300, f"a name of {len(shown.name)}")
    for claim in message.claims:
        hold(all(len(ip) in (4, 16) for ip in claim.addresses), f"addresses {claim.addresses}")
        hold(claim.mac is None or len(claim.mac) == 6, f"MAC {claim.mac!r}")
        hold(claim.hostname.isascii() and claim.hostname.isprintable(), f"name {claim.hostname!r}")
        hold(
            " " not in claim.hostname and len(claim.hostname) <= 4 * 256, f"name {claim.hostname!r}"
        )
        hold(claim.lifetime is None or 0 <= claim.lifetime < 1 << 32, "a lifetime that cannot be")
    if message.tls is not None and message.tls.ja4 is not None:
        hold(len(message.tls.ja4) == 36, f"JA4 {message.tls.ja4}")


def _datagram(parse: Callable[[bytes], Message]) -> Target:
    def target(data: bytes) -> None:
        with suppress(ParseError):
            _sound(parse(data), data)

    return target


def _stream(parse: Callable[[bytes, bool], Message]) -> Target:
    """The first byte says where the stream is cut first and whether it ends there."""

    def target(data: bytes) -> None:
        detect_stream_kind(data[1:])
        cut = data[0] >> 1 if data else 0
        for given, last in ((data[1 : 1 + cut], False), (data[1:], bool(data[:1] > b"\x7f"))):
            try:
                _sound(parse(given, last), given)
            except Incomplete as more:
                hold(more.bytes_needed > len(given), f"needs {more.bytes_needed} of {len(given)}")
                hold(not last, "wants more than there will be")
            except ParseError:
                pass

    return target


def _connection(connect: Callable[[], Handshake]) -> Target:
    """The input is datagrams, each behind its length in two bytes."""

    def target(data: bytes) -> None:
        connection = connect()
        at = 0
        while at + 2 <= len(data):
            size = int.from_bytes(data[at : at + 2])
            datagram = data[at + 2 : at + 2 + size]
            at += 2 + size
            try:
                found = connection.feed(datagram)
            except ParseError:
                continue
            if found:
                _sound(found, datagram)
                hold(connection.done, "told and not done")
        found = connection.finish()
        if found:
            _sound(found, b"")
        hold(connection.done, "finished and not done")

    return target


def _conversation(new_conversation: Callable[[], Callable[[bytes, bool], Message]]) -> Target:
    """The first byte says how many bytes come at a time, the second whether it ends there."""

    def target(data: bytes) -> None:
        read, stream = new_conversation(), data[2:]
        step, done = 1 + (data[0] if data else 0), 0
        for end in range(step, len(stream) + step, step):
            given = stream[:end]
            last = end >= len(stream) and data[1:2] > b"\x7f"
            while done < len(given):
                try:
                    message = read(given[done:], last)
                except Incomplete as more:
                    hold(more.bytes_needed > len(given) - done, f"needs {more.bytes_needed}")
                    hold(not last, "wants more than there will be")
                    break
                except ParseError:
                    return
                _sound(message, given[done:])
                hold(message.size > 0, "a message of nothing")
                done += message.size

    return target


def _handshake(parse: Callable[[bytes, bool], object]) -> Target:
    def target(data: bytes) -> None:
        for last in (False, True):
            try:
                parse(data, last)
            except Incomplete as more:
                hold(
                    not last and more.bytes_needed > len(data),
                    f"needs {more.bytes_needed} of {len(data)}",
                )
            except ParseError:
                pass

    return target


def _client_hello(data: bytes, last: bool, cookie: bool = False) -> None:
    _sound(tls.hello_message(data, len(data), "tls-sni", last, cookie=cookie), data)


def _chlo(data: bytes, last: bool) -> None:
    _sound(chlo(data, last, len(data), QuicInfo("Q043")), data)


def _certificate(data: bytes) -> None:
    names, anomalies, _ = host_names(data)
    hold(len(names) <= MAX_NAMES and len(anomalies) <= 2, "too much of one certificate")


def _frames(data: bytes) -> None:
    """Frames of an opened packet, which the fuzzer could never seal itself."""
    stream, packets, size = CryptoStream(), InitialPackets(), min(len(data), 65535)
    packets.plain[:size] = memoryview(bytearray(data[:size]))
    pieces, anomaly = quic.read_frames(packets, size)
    hold(anomaly in ("", "quic-frame", "quic-frame-type"), anomaly)
    for offset, piece in pieces:
        stream.add(offset, piece)
    hold(len(stream.contiguous) <= len(data), "more handshake than bytes")
    _handshake(_client_hello)(bytes(stream.contiguous))


TARGETS: Mapping[str, Target] = {
    "arp": _datagram(neighbor.parse_arp),
    "certificate": _certificate,
    "chlo": _handshake(_chlo),
    "client-hello": _handshake(_client_hello),
    "client-hello-dtls": _handshake(partial(_client_hello, cookie=True)),
    "dhcp": _datagram(dhcp.parse),
    "dhcpv6": _datagram(dhcpv6.parse),
    "dns": _datagram(dns.parse),
    "dns-tcp": _stream(dns.parse_stream),
    "dtls": _connection(dtls.ClientHandshake),
    "gquic": _connection(gquic.ClientHandshake),
    "http": _stream(http.parse),
    "http2": _conversation(lambda: http2.Connection().read),
    "logs": fuzz_logs.read_log,
    "mdns": _datagram(mdns.parse),
    "nd": _datagram(neighbor.parse),
    "quic": _connection(quic.ClientHandshake),
    "quic-frames": _frames,
    "socks": _stream(socks.parse),
    "tls": _stream(tls.parse),
    "tls-server": _stream(tls_server.parse),
    **fuzz_flows.TARGETS,
}


def _datagrams(*datagrams: bytes) -> bytes:
    return b"".join(samples.vector(2, datagram) for datagram in datagrams)


def seeds(name: str) -> list[bytes]:
    """Inputs of the target `name` that the fuzzer changes: sound ones, and those kept."""
    return [*map(bytes, _SEEDS[name]()), *load(name)]


_NAME = samples.server_name(b"www.example.com")
_ECH = samples.extension(0xFE0D, b"\0\0\1\0\1\7" + samples.vector(2, bytes(32)) + b"\0\4echo")
_ALPN = samples.extension(16, samples.vector(2, samples.vector(1, b"h2")))
_HELLO = samples.hello(_NAME + _ALPN + _ECH + samples.extension(43, b"\2\3\4"))
_ASKED = bytes.fromhex("123401000001000000000000") + b"\3www\7example\3com\0\0\1\0\1"
_ANSWERED = (
    bytes.fromhex("123481800001000200000000")
    + b"\3www\7example\3com\0\0\1\0\1"
    + b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\6\3cdn\xc0\x10"
    + b"\xc0\x2d\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
)
_CHLO = handshakes.padded_chlo(b"www.example.com", 20)
_BODY = handshakes.dtls_hello(_HELLO)
_FLIGHT = handshakes.server_hello(alpn=b"h2") + handshakes.certificates(
    handshakes.certificate("www.example.com", "*.example.com")
)

_MAC = bytes.fromhex("020000200614")
_IP, _IP6 = bytes([10, 20, 6, 20]), bytes.fromhex("20010db8002000060000000000000014")
_BOOTP = b"\2\1\6\0\0\0\0\7" + bytes(8) + _IP + bytes(8) + _MAC + bytes(202) + b"\x63\x82\x53\x63"
_REPLY = (
    b"\7\0\0\7\0\1\0\x0a\0\3\0\1" + _MAC + b"\0\x27\0\x08\1\6ws-014"
    b"\0\3\0\x28" + bytes(12) + b"\0\5\0\x18" + _IP6 + b"\0\0\x0e\x10\0\0\x0e\x10"
)
_ANNOUNCED = (
    bytes.fromhex("000084000000000100000001")
    + b"\6ws-014\5local\0\0\1\x80\1\0\0\0\x78\0\4"
    + _IP
    + b"\xc0\x0c\0\x1c\x80\1\0\0\0\x78\0\x10"
    + _IP6
)

_SEEDS: Mapping[str, Callable[[], list[bytes]]] = {
    "arp": lambda: [b"\0\1\x08\0\6\4\0\1" + _MAC + _IP + bytes(6) + _IP],
    "certificate": lambda: [handshakes.certificate("www.example.com", "*.example.com")],
    "chlo": lambda: [_CHLO],
    "client-hello": lambda: [_HELLO, samples.real_hello()[5:]],
    "client-hello-dtls": lambda: [b"\1" + samples.vector(3, _BODY)],
    "dhcp": lambda: [
        _BOOTP + b"\x35\1\5\x33\4\0\0\x0e\x10\x36\4\x0a\x14\6\1\x0c\6ws-014\xff",
        _BOOTP + b"\x34\1\3\x35\1\5\x51\x0a\5\0\0\6ws-014\xff",
    ],
    "dhcpv6": lambda: [
        _REPLY,
        b"\x0c\0" + bytes(32) + b"\0\x4f\0\x08\0\1" + _MAC + b"\0\x09" + samples.vector(2, _REPLY),
    ],
    "dns": lambda: [_ASKED, _ANSWERED],
    "dns-tcp": lambda: [b"\x10" + samples.vector(2, each) for each in (_ASKED, _ANSWERED)],
    "dtls": lambda: [
        _datagrams(handshakes.dtls_record(handshakes.fragment(_BODY, 0, len(_BODY)))),
        _datagrams(
            handshakes.dtls_record(handshakes.fragment(_BODY, 40, len(_BODY))),
            handshakes.dtls_record(handshakes.fragment(_BODY, 0, 50)),
        ),
    ],
    "gquic": lambda: [
        _datagrams(
            handshakes.clear_packet_of(version, handshakes.stream_frame(version, _CHLO[:30])),
            handshakes.clear_packet_of(version, handshakes.stream_frame(version, _CHLO[30:], 30)),
        )
        for version in (25, 33, 43, 46)
    ],
    "http": lambda: [
        b"\x10GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        b"\x10CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n folded\r\n\r\n",
        b"\x90POST http://a.example/ HTTP/1.0\r\nContent-Length: 2\r\n\r\nabGET / HTTP/1.1\r\n",
    ],
    "http2": lambda: [b"\x20\0" + handshakes.http2_requests("www.example.com", "a.example:80")],
    "logs": fuzz_logs.seeds,
    "mdns": lambda: [_ANNOUNCED],
    "nd": lambda: [
        b"\x88\0\0\0\x20\0\0\0" + _IP6 + b"\2\1" + _MAC,
        b"\x86\0\0\0" + bytes(12) + b"\5\1\0\0\0\0\5\xdc\1\1" + _MAC,
    ],
    "quic": lambda: [
        _datagrams(samples.sealed(samples.crypto(0, _HELLO), b"12345678", pad_to=300)),
        _datagrams(samples.sealed(b"\1", b"12345678") + samples.sealed(b"\1", b"12345678", 1)),
    ],
    "quic-frames": lambda: [
        samples.crypto(0, _HELLO),
        b"\2\5\0\1\0\3\2" + samples.crypto(30, _HELLO[30:]) + b"\1\0" + samples.crypto(0, _HELLO),
    ],
    "socks": lambda: [
        b"\x08\5\1\2\1\5alice\6secret\5\1\0\3\x0fwww.example.com\1\xbb",
        b"\x08\4\1\1\xbb\0\0\0\1alice\0www.example.com\0",
    ],
    "tls": lambda: [b"\x10" + samples.records(_HELLO, 60), b"\xff" + samples.real_hello()],
    "tls-server": lambda: [
        b"\x10" + samples.records(_FLIGHT, 500),
        b"\x90" + samples.records(handshakes.server_hello(selected=0x0304)),
    ],
    **{name: partial(fuzz_flows.seeds, name) for name in fuzz_flows.TARGETS},
}
