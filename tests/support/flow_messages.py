"""Messages of NetFlow and IPFIX, written by the layouts of their RFCs, for tests."""

import struct

SECONDS = 1_700_000_000
STARTED = 100_000
"""The uptime of exporters, ms."""


def fields(*pairs):
    """The descriptions of fields: numbers of elements and lengths, with an enterprise as a third.
    A field with an enterprise has the bit 0x8000."""
    described = b""
    for element, length, *enterprise in pairs:
        if enterprise:
            described += struct.pack(">HHI", element | 0x8000, length, *enterprise)
        else:
            described += struct.pack(">HH", element, length)
    return described


def template(number, *pairs):
    """A template, as IPFIX and NetFlow v9 have it."""
    return struct.pack(">HH", number, len(pairs)) + fields(*pairs)


def options_template(number, scopes, options):
    """An options template of IPFIX."""
    head = struct.pack(">HHH", number, len(scopes) + len(options), len(scopes))
    return head + fields(*scopes, *options)


def set_of(number, *bodies):
    """A set, not padded."""
    body = b"".join(bodies)
    return struct.pack(">HH", number, len(body) + 4) + body


def ipfix(*sets, sequence=0, domain=1, seconds=SECONDS):
    """A message of IPFIX."""
    body = b"".join(sets)
    return struct.pack(">HHIII", 10, 16 + len(body), seconds, sequence, domain) + body


def netflow9(*sets, sequence=0, domain=1, seconds=SECONDS, uptime=STARTED):
    """A message of NetFlow v9."""
    head = struct.pack(">HHIIII", 9, len(sets), uptime, seconds, sequence, domain)
    return head + b"".join(sets)


def netflow5(*records, sequence=0, seconds=SECONDS, uptime=STARTED, sampling=0):
    """A message of NetFlow v5; records are keyword arguments of `record5`."""
    head = struct.pack(">HHIIIIBBH", 5, len(records), uptime, seconds, 0, sequence, 0, 0, sampling)
    return head + b"".join(record5(**each) for each in records)


def record5(
    source=b"\x0a\x14\x06\x14",
    destination=b"\xc0\x00\x02\x01",
    source_port=40000,
    destination_port=443,
    protocol=6,
    octets=1000,
    packets=5,
    first=STARTED - 10_000,
    last=STARTED - 1000,
    flags=0x1B,
):
    """A record of NetFlow v5."""
    counted = struct.pack(">IIII", packets, octets, first, last)
    ports = struct.pack(">HHxBBB", source_port, destination_port, flags, protocol, 0)
    return source + destination + bytes(8) + counted + ports + bytes(8)


FLOW = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 8), (2, 8), (152, 8), (153, 8))
"""The fields of an ordinary template of IPFIX."""


def flow(
    source=b"\x0a\x14\x06\x14",
    destination=b"\xc0\x00\x02\x01",
    source_port=40000,
    destination_port=443,
    protocol=6,
    octets=1000,
    packets=5,
    first=SECONDS * 1000 - 10_000,
    last=SECONDS * 1000 - 1000,
):
    """A record of `FLOW`."""
    ports = struct.pack(">HHB", source_port, destination_port, protocol)
    return source + destination + ports + struct.pack(">QQQQ", octets, packets, first, last)
