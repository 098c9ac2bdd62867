"""Multicast DNS: the names of a link, and who announces which address under one.

A message is read like any other of DNS for the names that it shows; this adds what its
address records claim (RFC 6762). A host answers for its own name with all of its
addresses, among the answers or the additional records. Records with a TTL of 0 say
goodbye and claim nothing (section 10.1); a query, with the records that it probes for
or knows already, neither.
"""

import struct
from dataclasses import replace

from netwatch.core.errors import ParseError
from netwatch.core.message import AddressClaim, Message
from netwatch.protocols import dns
from netwatch.protocols.dns_answers import AAAA, MAX_RECORDS, A, record
from netwatch.protocols.dns_name import name_at

_LOCAL = ".local"
_IN, _CLASS = 1, 0x7FFF
_SIZES = {A: 4, AAAA: 16}
_RESPONSE = 0x80


def parse(payload: bytes) -> Message:
    """One message of mDNS, the payload of one UDP datagram from port 5353.

    It shows what `dns.parse` says and raises the same. A response claims ``announcement`` once
    for each name below ``.local`` of one label (section 3), with all its addresses.
    """
    message = dns.parse(payload)
    if len(payload) < 12 or not payload[2] & _RESPONSE or payload[2] & 0x78:
        return message
    held: dict[str, list[bytes]] = {}
    try:
        _records(payload, held)
    except (ParseError, IndexError, struct.error):
        anomalies = message.anomalies
        if "dns-cut" not in anomalies:
            message = replace(message, anomalies=(*anomalies, "dns-cut"))
    claims = tuple(
        AddressClaim("announcement", tuple(ips), on_link=True, hostname=name.removesuffix(_LOCAL))
        for name, ips in held.items()
    )
    return replace(message, claims=claims) if claims else message


def _records(data: bytes, held: dict[str, list[bytes]]) -> None:
    """Read the addresses of all records into `held`, as far as they are whole."""
    questions, answers, authorities, additionals = struct.unpack_from(">4H", data, 4)
    pos = 12
    for _ in range(min(questions, dns.MAX_QUESTIONS)):
        pos = name_at(data, pos)[1] + 4
    if questions > dns.MAX_QUESTIONS:
        return
    for _ in range(min(answers + authorities + additionals, MAX_RECORDS)):
        owner, pos = name_at(data, pos)
        kind, klass, ttl, length = record(data, pos)
        start, pos = pos + 10, pos + 10 + length
        if pos > len(data):
            raise ParseError("dns-cut")
        if klass & _CLASS != _IN or _SIZES.get(kind) != length or not 0 < ttl <= 0x7FFFFFFF:
            continue
        if owner.endswith(_LOCAL) and owner.count(".") == 1:
            ips = held.setdefault(owner, [])
            if data[start:pos] not in ips:
                ips.append(data[start:pos])
