"""Payload bytes in, names out: one parser a protocol, and the table that lists them.

`PROTOCOLS` is keyed by the kinds that the kernel gives its candidates. A new protocol is
a module here and a row in it. Each row has one of three shapes: `parse` takes a datagram
that stands alone; `parse_stream` takes the bytes of a stream from the start of a message
on, is called again with more when it raises `Incomplete`, and with ``last=True`` when no
more will come; `connect` makes the state of one client whose message may be spread over
datagrams. All raise `ParseError` for what is not theirs, and nothing else.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netwatch.model import Message
from netwatch.protocols import dns, http, quic, tls

DNS, TLS, QUIC, HTTP, DNS_TCP = 1, 2, 3, 4, 5
"""Kinds of candidates, as the kernel numbers them."""

_REQUEST_LINE = re.compile(rb"[A-Z][A-Z_-]{2,23} [!-~]")

Parse = Callable[[bytes], Message]
ParseStream = Callable[[bytes, bool], Message]
Connect = Callable[[], quic.Connection]


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one kind of candidate is read: exactly one of the three is not None.
    `persistent` says that the next message of a stream starts where one ends."""

    name: str
    parse: Parse | None = None
    parse_stream: ParseStream | None = None
    connect: Connect | None = None
    persistent: bool = False


PROTOCOLS: Mapping[int, Protocol] = {
    DNS: Protocol("dns", parse=dns.parse),
    TLS: Protocol("tls", parse_stream=tls.parse),
    QUIC: Protocol("quic", connect=quic.Connection),
    HTTP: Protocol("http", parse_stream=http.parse),
    DNS_TCP: Protocol("dns-tcp", parse_stream=dns.parse_stream, persistent=True),
}
"""The protocols by kind."""


def looks_like(data: bytes) -> int:
    """The kind of stream that `data` starts, 0 where it looks like none: for bytes whose
    first segment was too short, or came too late, for the kernel to tell."""
    if _REQUEST_LINE.match(data):
        return HTTP
    return TLS if data[:2] == b"\x16\x03" and data[5:6] == b"\x01" else 0
