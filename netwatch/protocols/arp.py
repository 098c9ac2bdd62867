"""ARP for IPv4 over Ethernet: which host uses which address (RFC 826).

Every request and reply contains the IP address and the hardware address of its sender. The sender
of a probe (RFC 5227 section 2.1.1) has no IP address yet, so a probe makes no claim. A gratuitous
ARP, a request for the sender's own address, makes the same claim as other requests.
"""

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, Message
from netwatch.protocols.reader import Reader

_ETHERNET, _IEEE_802, _IPV4 = 1, 6, 0x0800
_REQUEST, _REPLY = 1, 2
_UNSPECIFIED = bytes(4)


def parse(payload: bytes) -> Message:
    """Parse one ARP packet, which starts at its hardware type; padding after it is ignored.

    A request or reply makes an ``announcement`` of its sender, a probe makes no claim. Raises
    `ParseError`: ``arp-cut``, ``arp-type`` (not IPv4 over Ethernet), ``arp-operation`` (neither
    request nor reply, for example one of RFC 2390).
    """
    reader = Reader(payload, "arp-cut")
    hardware, protocol, sizes = reader.uint(2), reader.uint(2), reader.read(2)
    if hardware not in (_ETHERNET, _IEEE_802) or protocol != _IPV4 or sizes != b"\6\4":
        raise ParseError("arp-type")
    operation = reader.uint(2)
    mac, ip = reader.read(6), reader.read(4)
    reader.read(10)
    if operation not in (_REQUEST, _REPLY):
        raise ParseError("arp-operation")
    claims = (AddressClaim("announcement", (ip,), mac, on_link=True),) if ip != _UNSPECIFIED else ()
    return Message((), reader.pos, claims=claims)
