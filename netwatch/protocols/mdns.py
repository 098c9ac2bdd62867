"""Multicast DNS: names on the local link, and the hosts that announce addresses for them.

A message is parsed like other DNS messages for the names that it shows. This module adds the claims
of its address records (RFC 6762): a host responds for its own name with all its addresses, among
the answers or the additional records. Goodbye records (a TTL of 0, section 10.1) make no claim, nor
do queries with the records that they probe for or already know.
"""

import struct
from dataclasses import replace

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, Message
from netwatch.dissect.loop.dns_messages import MAX_QUESTIONS
from netwatch.dissect.loop.dns_names import name_at
from netwatch.dissect.loop.dns_records import MAX_RECORDS
from netwatch.protocols import dns

_LOCAL = ".local"
_IN, _CLASS = 1, 0x7FFF
_SIZES = {1: 4, 28: 16}  # A and AAAA
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
    addresses: dict[str, list[bytes]] = {}
    try:
        _read_addresses(payload, addresses)
    except (ParseError, IndexError, struct.error):
        anomalies = message.anomalies
        if "dns-cut" not in anomalies:
            message = replace(message, anomalies=(*anomalies, "dns-cut"))
    claims = tuple(
        AddressClaim("announcement", tuple(ips), on_link=True, hostname=name.removesuffix(_LOCAL))
        for name, ips in addresses.items()
    )
    return replace(message, claims=claims) if claims else message


def _read_addresses(data: bytes, addresses: dict[str, list[bytes]]) -> None:
    """Read the addresses in all complete records into `addresses`, by name."""
    questions, answers, authorities, additionals = struct.unpack_from(">4H", data, 4)
    pos = 12
    for _ in range(min(questions, MAX_QUESTIONS)):
        pos = name_at(data, pos)[1] + 4
    if questions > MAX_QUESTIONS:
        return
    for _ in range(min(answers + authorities + additionals, MAX_RECORDS)):
        owner, pos = name_at(data, pos)
        kind, klass, ttl, length = struct.unpack_from(">HHIH", data, pos)
        start, pos = pos + 10, pos + 10 + length
        if pos > len(data):
            raise ParseError("dns-cut")
        if klass & _CLASS != _IN or _SIZES.get(kind) != length or not 0 < ttl <= 0x7FFFFFFF:
            continue
        if owner.endswith(_LOCAL) and owner.count(".") == 1:
            ips = addresses.setdefault(owner, [])
            if data[start:pos] not in ips:
                ips.append(data[start:pos])
