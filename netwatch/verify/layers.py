"""What a reader tells of a packet, whichever library it uses; names as packets have them, compared
with names as records spell them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from netwatch.core.names import normalise_name
from netwatch.core.text import escaped


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of an IP datagram: its identification, its offset in bytes, whether more follow."""

    identification: int
    offset: int
    more: bool


@dataclass(frozen=True, slots=True)
class Link:
    """What the frames around a packet say: the MAC addresses of their senders and receivers, and
    the VLANs of their tags."""

    senders: frozenset[str]
    receivers: frozenset[str]
    vlans: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IpPacket:
    """The innermost IP packet of a frame: its ends, the number of the protocol it carries, the
    bytes of that, and what is around it. `fragment` is None for a whole datagram. `size` is the
    number of those bytes by its header, -1 where it does not say."""

    source: str
    destination: str
    protocol: int
    payload: bytes
    link: Link
    fragment: Fragment | None = None
    size: int = -1


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment or a UDP datagram (`sequence` 0). `begins` says that SYN is set;
    `acknowledges` is what it acknowledges, None where ACK is not set."""

    source_port: int
    destination_port: int
    payload: bytes
    sequence: int = 0
    begins: bool = False
    acknowledges: int | None = None


@dataclass(frozen=True, slots=True)
class DnsMessage:
    """What a DNS message says: names as on the wire, without the last dot.

    `aliases` are the targets of CNAME and DNAME, and of SVCB and HTTPS records where the library
    reads them, by owner; `addresses` are those of A and AAAA records by owner. `partly` says that
    there are records of these kinds that the library does not read."""

    is_response: bool
    questions: tuple[bytes, ...]
    aliases: tuple[tuple[bytes, bytes], ...]
    addresses: tuple[tuple[bytes, str], ...]
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """An address of a device, or its name, as a frame of ARP, neighbour discovery, DHCP or mDNS
    says it; what it does not say is empty."""

    ip: str
    mac: str
    name: str = ""


class Reader(Protocol):
    """A library that reads packets. Every method returns None, or nothing, for what its library
    does not read; it may raise anything for damaged bytes, which `guarded` turns into that."""

    name: str

    def ip_packet(self, link_type: int, data: bytes) -> IpPacket | None:
        """The innermost IP packet of a frame."""

    def segment(self, protocol: int, payload: bytes) -> Segment | None:
        """TCP (6) or UDP (17)."""

    def dns(self, payload: bytes) -> DnsMessage | None:
        """A DNS message without the length that TCP puts before it."""

    def server_name(self, hello: bytes) -> bytes | None:
        """The server name of a ClientHello, a whole handshake message (RFC 8446 section 4)."""

    def request_names(self, head: bytes) -> Sequence[bytes]:
        """The Host field and the authority of the target of an HTTP/1 request's head."""

    def certificate_names(self, message: bytes) -> Sequence[bytes]:
        """The host names in the first certificate of a Certificate message of TLS 1.2."""

    def bindings(self, link_type: int, data: bytes) -> Sequence[Binding]:
        """What a frame says of addresses and names of devices."""


def same_name(raw: bytes, name: str) -> bool:
    """Whether bytes of the wire are a name as records spell it; a port of HTTP's is no part of the
    name."""
    host = raw
    before, colon, port = raw.rpartition(b":")
    if colon and (port.isdigit() or not port) and b":" not in before:
        host = before
    if escaped(normalise_name(host)) == name:
        return True
    return _unescaped(name) == host.lower().removesuffix(b".")


def _unescaped(name: str) -> bytes:
    """The bytes of a name in the spelling of zone files (RFC 1035 section 5.1)."""
    out, at = bytearray(), 0
    while at < len(name):
        digits = name[at + 1 : at + 4]
        if name[at] == "\\" and digits.isdigit() and len(digits) == 3 and int(digits) < 256:
            out.append(int(digits))
            at += 4
        elif name[at] == "\\" and at + 1 < len(name):
            out += name[at + 1].encode()
            at += 2
        else:
            out += name[at].encode("utf-8", "surrogatepass")
            at += 1
    return bytes(out)
