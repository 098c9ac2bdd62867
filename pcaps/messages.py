"""DNS messages and HTTP requests as bytes, for captures and generated traffic.

A DNS answer here is built as a resolver builds it: names compressed by pointers to where
their tail stood first (RFC 1035 section 4.1.4), alias chains in order, HTTPS records
(RFC 9460) with their parameters.
"""

import ipaddress
import struct
from collections.abc import Sequence

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "TXT": 16, "AAAA": 28, "SVCB": 64, "HTTPS": 65}
"""Record types by name (IANA registry)."""

Record = tuple[str, str, int, str]
"""Owner, type, TTL in seconds, and the value in text form: an address for A and AAAA, a
name for CNAME and PTR, ``priority target`` for SVCB and HTTPS, any text for TXT. After a target may
come ``ech=`` with an ECHConfigList in hex digits, and ``ipv4hint=`` with an address."""


class _Message:
    def __init__(self, head: bytes) -> None:
        self.data = bytearray(head)
        self.places: dict[str, int] = {}

    def name(self, name: str) -> None:
        """Append `name`, pointing to its longest tail that stands already."""
        while name:
            at = self.places.get(name)
            if at is not None:
                self.data += struct.pack(">H", 0xC000 | at)
                return
            if len(self.data) < 0x4000:
                self.places[name] = len(self.data)
            label, _, name = name.partition(".")
            self.data += bytes([len(label)]) + label.encode("ascii")
        self.data += b"\0"

    def record(self, record: Record) -> None:
        owner, kind, ttl, value = record
        self.name(owner)
        self.data += struct.pack(">HHIH", TYPES[kind], 1, ttl, 0)
        start = len(self.data)
        if kind in ("A", "AAAA"):
            self.data += ipaddress.ip_address(value).packed
        elif kind == "TXT":
            self.data += bytes([len(value)]) + value.encode("ascii")
        elif kind in ("SVCB", "HTTPS"):
            priority, target, *parameters = value.split(" ")
            self.data += struct.pack(">H", int(priority))
            # A target is never compressed (RFC 9460 section 2.2).
            labels = [label for label in target.split(".") if label]
            self.data += b"".join(bytes([len(part)]) + part.encode("ascii") for part in labels)
            self.data += b"\0" + struct.pack(">HH", 1, 6) + b"\2h3\2h2"
            for key, _, text in (each.partition("=") for each in parameters):
                number, body = (
                    (4, ipaddress.ip_address(text).packed)
                    if key == "ipv4hint"
                    else (5, bytes.fromhex(text))
                )
                self.data += struct.pack(">HH", number, len(body)) + body
        else:
            self.name(value)
        struct.pack_into(">H", self.data, start - 2, len(self.data) - start)


def query(ident: int, name: str, kind: str) -> bytes:
    """A query for one name with an EDNS record (RFC 6891), as stub resolvers send it."""
    message = _Message(struct.pack(">6H", ident, 0x0100, 1, 0, 0, 1))
    message.name(name)
    message.data += struct.pack(">HH", TYPES[kind], 1)
    return bytes(message.data) + b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0)


def answer(ident: int, name: str, kind: str, records: Sequence[Record], rcode: int = 0) -> bytes:
    """The response to `query`, with `records` in its answer section."""
    message = _Message(struct.pack(">6H", ident, 0x8180 | rcode, 1, len(records), 0, 0))
    message.name(name)
    message.data += struct.pack(">HH", TYPES[kind], 1)
    for record in records:
        message.record(record)
    return bytes(message.data)


def request(method: str, target: str, host: str, *fields: str, body: bytes = b"") -> bytes:
    """An HTTP/1.1 request (RFC 9112) with its Host, further field lines and body."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def response(body: bytes, status: str = "200 OK") -> bytes:
    """An HTTP/1.1 response with a length, so that the connection stays open."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body
