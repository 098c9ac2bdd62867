"""Multicast DNS: names on the local link, and the hosts that announce addresses for them.

A message is parsed like other DNS messages for the names that it shows. This module adds the claims
of its address records (RFC 6762): a host responds for its own name with all its addresses, among
the answers or the additional records. Goodbye records (a TTL of 0, section 10.1) make no claim, nor
do queries with the records that they probe for or already know.
"""

from dataclasses import replace

from netwatch.core.message import AddressClaim, Message
from netwatch.protocols import dns

_LOCAL = ".local"
_RESPONSE = 0x80


def parse(payload: bytes) -> Message:
    """Parse one mDNS message, the payload of a UDP datagram from port 5353.

    It shows the same names as with `dns.parse`, and raises the same errors. A response makes an
    ``announcement`` for each name of one label below ``.local`` (section 3), with all its
    addresses.
    """
    message = dns.parse(payload)
    if len(payload) < 12 or not payload[2] & _RESPONSE or payload[2] & 0x78:
        return message
    addresses: dict[str, dict[bytes, None]] = {}
    found, complete = dns.announced(payload)
    for owner, address in found:
        if owner.endswith(_LOCAL) and owner.count(".") == 1:
            addresses.setdefault(owner, {})[address] = None
    if not complete and "dns-cut" not in message.anomalies:
        message = replace(message, anomalies=(*message.anomalies, "dns-cut"))
    claims = tuple(
        AddressClaim("announcement", tuple(ips), on_link=True, hostname=name.removesuffix(_LOCAL))
        for name, ips in addresses.items()
    )
    return replace(message, claims=claims) if claims else message
