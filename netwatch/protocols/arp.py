"""ARP for IPv4 over Ethernet: who says that it has which address (RFC 826).

Whoever asks or answers tells its own address, with its hardware address beside it. A
probe (RFC 5227 section 2.1.1) has no address yet and claims none; an announcement, which
asks for the sender's own address, claims it like any other.
"""

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, Message
from netwatch.protocols.reader import Reader

_ETHERNET, _IEEE_802, _IPV4 = 1, 6, 0x0800
_REQUEST, _REPLY = 1, 2
_NOBODY = bytes(4)


def parse(payload: bytes) -> Message:
    """One ARP packet, from its hardware type on; what pads the frame is passed over.

    Requests and replies claim ``announcement`` for the sender, probes claim nothing. Raises
    `ParseError`: ``arp-cut``, ``arp-type`` (no IPv4 over Ethernet), ``arp-operation``
    (another than request and reply, such as those of RFC 2390).
    """
    reader = Reader(payload, "arp-cut")
    hardware, protocol, sizes = reader.uint(2), reader.uint(2), reader.take(2)
    if hardware not in (_ETHERNET, _IEEE_802) or protocol != _IPV4 or sizes != b"\6\4":
        raise ParseError("arp-type")
    operation = reader.uint(2)
    mac, ip = reader.take(6), reader.take(4)
    reader.take(10)
    if operation not in (_REQUEST, _REPLY):
        raise ParseError("arp-operation")
    claims = (AddressClaim("announcement", (ip,), mac, on_link=True),) if ip != _NOBODY else ()
    return Message((), reader.pos, claims=claims)
