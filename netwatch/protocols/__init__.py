"""Payload bytes in, names out: one parser a protocol, and the table that lists them.

`PROTOCOLS` is keyed by the kinds that the kernel gives its candidates. A new protocol is
a module here and a row in it. Each row has one of four shapes: `parse` takes a datagram
that stands alone; `parse_stream` takes the bytes of a stream from the start of a message
on, is called again with more when it raises `Incomplete`, and with ``last=True`` when no
more will come; `converse` makes one that remembers the messages before, for one side of a
connection; `connect` makes the state of one client whose message may be spread over
datagrams. All raise `ParseError` for what is not theirs, and nothing else.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netwatch.core.message import Message
from netwatch.protocols import (
    arp,
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
"""Kinds of candidates, as the kernel numbers them; 6 and 7 are its own, and those from
13 on it gives only where devices are to be learned."""

_REQUEST_LINE = re.compile(rb"[A-Z][A-Z_-]{2,23} [!-~]")

Parse = Callable[[bytes], Message]
ParseStream = Callable[[bytes, bool], Message]
Converse = Callable[[], ParseStream]
Known = Callable[[bytes], bool]
Connect = Callable[[Known | None], quic.Connection | dtls.Connection | gquic.Connection]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one kind of candidate is read: exactly one of the four is not None.
    `persistent` says that the next message of a stream starts where one ends."""

    name: str
    parse: Parse | None = None
    parse_stream: ParseStream | None = None
    converse: Converse | None = None
    connect: Connect | None = None
    persistent: bool = False


PROTOCOLS: Mapping[int, Protocol] = {
    DNS: Protocol("dns", parse=dns.parse),
    TLS: Protocol("tls", parse_stream=tls.parse),
    QUIC: Protocol("quic", connect=quic.Connection),
    HTTP: Protocol("http", parse_stream=http.parse),
    DNS_TCP: Protocol("dns-tcp", parse_stream=dns.parse_stream, persistent=True),
    DTLS: Protocol("dtls", connect=dtls.Connection),
    SOCKS: Protocol("socks", parse_stream=socks.parse),
    TLS_SERVER: Protocol("tls-server", parse_stream=tls_server.parse),
    HTTP2: Protocol("http2", converse=lambda: http2.Connection().read),
    GQUIC: Protocol("gquic", connect=gquic.Connection),
    DHCP: Protocol("dhcp", parse=dhcp.parse),
    DHCPV6: Protocol("dhcpv6", parse=dhcpv6.parse),
    MDNS: Protocol("mdns", parse=mdns.parse),
    ARP: Protocol("arp", parse=arp.parse),
    ND: Protocol("nd", parse=neighbor.parse),
}
"""The protocols by kind."""


def looks_like(data: bytes) -> int:
    """The kind of stream that `data` starts, 0 where it looks like none: for bytes whose
    first segment was too short, or came too late, for the kernel to tell."""
    if data[:2] == b"\x16\x03":
        return {b"\x01": TLS, b"\x02": TLS_SERVER}.get(data[5:6], 0)
    if data.startswith(http2.PREFACE[:16]):
        return HTTP2
    return HTTP if _REQUEST_LINE.match(data) else 0
