"""IPv6 neighbor discovery: which host uses which address (RFC 4861 section 4).

The packet loop has verified that the hop limit is 255, which means that no router forwarded the
message. A solicitation makes a claim for the source address of the packet. In duplicate address
detection (RFC 4862 section 5.4.2) the source address is unspecified and there is no link-layer
address, so that there is no claim.
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
