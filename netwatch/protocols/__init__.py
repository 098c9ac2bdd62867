"""Parsers: payload bytes in, names out. One module per protocol, and the table that lists them.

The packet loop gives each candidate a kind, a number by which `PROTOCOLS` is keyed. A new protocol
is a module in this package and a row in the table. A parser has one of four shapes:

- ``datagram``: a function that parses one datagram, which contains whole messages.
- ``stream``: a function that parses the bytes of a TCP stream from the start of a message on. It
  raises `Incomplete` until the message is complete, and is then called again with more bytes; with
  ``last=True`` no more bytes will come.
- ``conversation``: makes a parser like that of a stream, which remembers the previous messages of
  one direction of a connection.
- ``handshake``: makes the state of the handshake of one client, whose first message may be spread
  over several datagrams.

All parsers raise `ParseError` for bytes of another protocol, and no other error.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from netwatch.core.message import Message
from netwatch.protocols import (
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

DNS, TLS, QUIC, HTTP, DNS_TCP = 1, 2, 3, 4, 5
DTLS, SOCKS, TLS_SERVER, HTTP2, GQUIC = 8, 9, 10, 11, 12
DHCP, DHCPV6, MDNS, ARP, ND = 13, 14, 15, 16, 17
"""The kinds of candidates, as the packet loop numbers them. The loop uses 6 and 7 itself, and it
passes on kinds from 13 on only if devices are learned from them."""

_REQUEST_LINE = re.compile(rb"[A-Z][A-Z_-]{2,23} [!-~]")

Shape = Literal["datagram", "stream", "conversation", "handshake"]
ParseDatagram = Callable[[bytes], Message]
ParseStream = Callable[[bytes, bool], Message]
NewConversation = Callable[[], ParseStream]
IsUninteresting = Callable[[bytes], bool]
"""Whether a complete ClientHello contains no name of interest, so that it need not be parsed."""
NewHandshake = Callable[
    [IsUninteresting | None], quic.ClientHandshake | dtls.ClientHandshake | gquic.ClientHandshake
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One row of the table: the kind of the candidates, the name of the protocol, and its parser.

    Exactly one of the four parsers is not None; it determines the `shape`. `persistent` is true if
    a stream contains one message after another, so that parsing continues after each.
    """

    kind: int
    name: str
    parse_datagram: ParseDatagram | None = None
    parse_stream: ParseStream | None = None
    new_conversation: NewConversation | None = None
    new_handshake: NewHandshake | None = None
    persistent: bool = False

    @property
    def shape(self) -> Shape:
        """Which of the four shapes the parser has."""
        if self.parse_datagram is not None:
            return "datagram"
        if self.parse_stream is not None:
            return "stream"
        return "handshake" if self.new_conversation is None else "conversation"

    @property
    def module(self) -> str:
        """The full name of the module that contains the parser."""
        parsers = self.parse_datagram, self.parse_stream, self.new_conversation, self.new_handshake
        return next(parser for parser in parsers if parser is not None).__module__


PROTOCOLS: Mapping[int, Protocol] = {
    row.kind: row
    for row in (
        Protocol(kind=DNS, name="dns", parse_datagram=dns.parse),
        Protocol(kind=TLS, name="tls", parse_stream=tls.parse),
        Protocol(kind=QUIC, name="quic", new_handshake=quic.ClientHandshake),
        Protocol(kind=HTTP, name="http", parse_stream=http.parse),
        Protocol(kind=DNS_TCP, name="dns-tcp", parse_stream=dns.parse_stream, persistent=True),
        Protocol(kind=DTLS, name="dtls", new_handshake=dtls.ClientHandshake),
        Protocol(kind=SOCKS, name="socks", parse_stream=socks.parse),
        Protocol(kind=TLS_SERVER, name="tls-server", parse_stream=tls_server.parse),
        Protocol(kind=HTTP2, name="http2", new_conversation=http2.new_conversation),
        Protocol(kind=GQUIC, name="gquic", new_handshake=gquic.ClientHandshake),
        Protocol(kind=DHCP, name="dhcp", parse_datagram=dhcp.parse),
        Protocol(kind=DHCPV6, name="dhcpv6", parse_datagram=dhcpv6.parse),
        Protocol(kind=MDNS, name="mdns", parse_datagram=mdns.parse),
        Protocol(kind=ARP, name="arp", parse_datagram=neighbor.parse_arp),
        Protocol(kind=ND, name="nd", parse_datagram=neighbor.parse),
    )
}
"""The protocols by the kind of their candidates."""


def detect_stream_kind(data: bytes) -> int:
    """The kind of the stream that starts with `data`, 0 if it is none of them.

    This is for streams whose first segment was too short for the packet loop to decide, or
    arrived too late.
    """
    if tls.begins(data):
        return TLS
    if data[:2] == b"\x16\x03":
        return TLS_SERVER if data[5:6] == b"\x02" else 0
    if data.startswith(http2.PREFACE[:16]):
        return HTTP2
    if _REQUEST_LINE.match(data):
        return HTTP
    return DNS_TCP if dns.begins_stream(data) else 0
