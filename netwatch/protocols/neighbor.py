"""IPv6 neighbour discovery: who says that it has which address (RFC 4861 section 4).

The loop has seen to it that the hop limit is 255, so that no router passed the message
on. The source address, which solicitations speak for, is that of the packet. A
solicitation for duplicate address detection (RFC 4862 section 5.4.2) comes from no
address and has no link-layer address to claim.
"""

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, Message
from netwatch.protocols.reader import Reader

MAX_OPTIONS = 64
"""Options read of one message; of further ones ``nd-many-options`` tells."""

_ROUTER_ADVERTISEMENT, _SOLICITATION, _ADVERTISEMENT = 134, 135, 136
_BEFORE_OPTIONS = {133: 4, 134: 12, 135: 20, 136: 20, 137: 36}
_SOURCE, _TARGET = 1, 2
_ROUTER_FLAG, _OVERRIDE_FLAG = 0x80, 0x20


def parse(payload: bytes) -> Message:
    """One message of ICMPv6 of type 133 to 137, from its type on.

    Solicitations of routers and neighbours, and advertisements of routers, claim
    ``announcement`` for the source of the packet where they carry its link-layer address, and
    advertisements of neighbours for their target. One that must not override what is
    known speaks for others (a proxy, an anycast address) and claims nothing, nor does a
    redirect. Anomalies: ``nd-many-options``. Raises `ParseError`: ``nd-cut``, ``nd-type``
    (another type, or a code other than 0), ``nd-option`` (an option of length 0, or one
    that runs out of the message): RFC 4861 section 7.1 has such messages thrown away.
    """
    reader = Reader(payload, "nd-cut")
    kind, code = reader.uint(1), reader.uint(1)
    if kind not in _BEFORE_OPTIONS or code:
        raise ParseError("nd-type")
    reader.take(2)
    head = reader.take(_BEFORE_OPTIONS[kind])
    reader.anomaly = "nd-option"
    found: dict[int, bytes] = {}
    anomalies: tuple[str, ...] = ()
    count = 0
    while reader.left:
        count += 1
        if count > MAX_OPTIONS:
            anomalies = ("nd-many-options",)
            break
        option, units = reader.uint(1), reader.uint(1)
        value = reader.take(8 * units - 2) if units else None
        if value is None:
            raise ParseError("nd-option")
        found[option] = value
    claims = tuple(_claims(kind, head, found.get(_SOURCE), found.get(_TARGET)))
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
