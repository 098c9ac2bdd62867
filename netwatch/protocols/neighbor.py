"""Which host uses which address on a link: ARP for IPv4 over Ethernet (RFC 826), and neighbor
discovery for IPv6 (RFC 4861 section 4).

Every ARP request and reply contains the IP address and the hardware address of its sender. The
sender of a probe (RFC 5227 section 2.1.1) has no IP address yet, so a probe makes no claim. A
gratuitous ARP, a request for the sender's own address, makes the same claim as other requests.

Of neighbor discovery, the packet loop has verified that the hop limit is 255, which means that no
router forwarded the message. A solicitation makes a claim for the source address of the packet. In
duplicate address detection (RFC 4862 section 5.4.2) the source address is unspecified and there is
no link-layer address, so that there is no claim.
"""

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, Message
from netwatch.protocols.reader import Reader

MAX_OPTIONS = 64
"""Maximum number of options per message; further ones are the anomaly ``nd-many-options``."""

_ROUTER_ADVERTISEMENT, _SOLICITATION, _ADVERTISEMENT = 134, 135, 136
_HEADER_SIZES = {133: 4, 134: 12, 135: 20, 136: 20, 137: 36}
_SOURCE, _TARGET = 1, 2
_ROUTER_FLAG, _OVERRIDE_FLAG = 0x80, 0x20


def parse(payload: bytes) -> Message:
    """Parse one ICMPv6 message of type 133 to 137, which starts at its type.

    Router and neighbor solicitations and router advertisements make an ``announcement`` of the
    source of the packet, if they have its link-layer address. Neighbor advertisements make one of
    their target if the override flag is set; without it, the sender may answer for another host (a
    proxy) or an anycast address. Redirects make no claim. Anomalies: ``nd-many-options``. Raises
    `ParseError`: ``nd-cut``, ``nd-type`` (another type, or a code other than 0), ``nd-option`` (an
    option of length 0, or one that exceeds the message). Receivers discard such messages too (RFC
    4861 section 7.1).
    """
    reader = Reader(payload, "nd-cut")
    kind, code = reader.uint(1), reader.uint(1)
    if kind not in _HEADER_SIZES or code:
        raise ParseError("nd-type")
    reader.read(2)
    head = reader.read(_HEADER_SIZES[kind])
    reader.anomaly = "nd-option"
    options: dict[int, bytes] = {}
    anomalies: tuple[str, ...] = ()
    count = 0
    while reader.remaining:
        count += 1
        if count > MAX_OPTIONS:
            anomalies = ("nd-many-options",)
            break
        option, units = reader.uint(1), reader.uint(1)
        value = reader.read(8 * units - 2) if units else None
        if value is None:
            raise ParseError("nd-option")
        options[option] = value
    claims = tuple(_claims(kind, head, options.get(_SOURCE), options.get(_TARGET)))
    return Message((), len(payload), anomalies=anomalies, claims=claims)


def _claims(
    kind: int, head: bytes, source: bytes | None, target: bytes | None
) -> list[AddressClaim]:
    if kind == _ADVERTISEMENT:
        if target is None or len(target) != 6 or not head[0] & _OVERRIDE_FLAG:
            return []
        router = bool(head[0] & _ROUTER_FLAG)
        return [AddressClaim("announcement", (head[4:20],), target, on_link=True, is_router=router)]
    if source is None or len(source) != 6 or kind > _SOLICITATION:
        return []
    return [
        AddressClaim(
            "announcement", (), source, on_link=True, is_router=kind == _ROUTER_ADVERTISEMENT
        )
    ]


_ETHERNET, _IEEE_802, _IPV4 = 1, 6, 0x0800
_REQUEST, _REPLY = 1, 2
_UNSPECIFIED = bytes(4)


def parse_arp(payload: bytes) -> Message:
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
