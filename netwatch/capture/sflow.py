"""Datagrams of sFlow version 5: bytes in, heads of sampled packets out.

An agent takes one packet in N and sends its first bytes, 128 by default
(sflow_version_5.txt of sflow.org, section 5). Those are packets as those of a capture that was cut.
Samples of counters say nothing of who talked to whom and are skipped.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from netwatch.core.errors import ParseError

MAX_SAMPLES = 256
"""Samples of a datagram, which has 64 KiB at most."""

_ADDRESS_SIZES = {1: 4, 2: 16}
_FLOW_SAMPLE, _EXPANDED_FLOW_SAMPLE = 1, 3
_RAW_HEADER = 1
_LINKS = {1: 1, 11: 101, 12: 101}
"""The link types of pcap by the ``header_protocol`` of sFlow: Ethernet, IPv4, IPv6."""


class SampledPacket(NamedTuple):
    """The head of a packet: its link type as in pcap, how long it was, its first bytes, and of how
    many packets it was taken."""

    link_type: int
    length: int
    head: bytes
    rate: int


class Datagram(NamedTuple):
    """The samples of a datagram. `agent` is the packed address of who took them, `domain` its
    number of a part of that, `sequence` counts the datagrams of both. `dropped` has, for each
    source of samples, how many it could not take since the agent was started; `unread` counts
    packets whose link type is not read."""

    agent: bytes
    domain: int
    sequence: int
    uptime: int
    packets: tuple[SampledPacket, ...]
    dropped: tuple[tuple[int, int], ...]
    unread: int


def read(data: bytes) -> Datagram:
    """A datagram. Raises `ParseError`."""
    try:
        return _datagram(data)
    except struct.error:
        raise ParseError("sflow-cut") from None


def _datagram(data: bytes) -> Datagram:
    version, kind = struct.unpack_from(">II", data)
    size = _ADDRESS_SIZES.get(kind)
    if version != 5 or size is None:
        raise ParseError("sflow-version")
    agent = data[8 : 8 + size]
    domain, sequence, uptime, count = struct.unpack_from(">IIII", data, 8 + size)
    packets: list[SampledPacket] = []
    dropped: list[tuple[int, int]] = []
    unread = 0
    at = 24 + size
    for _ in range(min(count, MAX_SAMPLES)):
        sample, length = struct.unpack_from(">II", data, at)
        at += 8
        if at + length > len(data):
            raise ParseError("sflow-cut")
        if sample in (_FLOW_SAMPLE, _EXPANDED_FLOW_SAMPLE):
            found, lost, left = _flow_sample(data[at : at + length], sample)
            packets += found
            dropped.append(lost)
            unread += left
        at += length
    return Datagram(agent, domain, sequence, uptime, tuple(packets), tuple(dropped), unread)


def _flow_sample(data: bytes, kind: int) -> tuple[list[SampledPacket], tuple[int, int], int]:
    """The packets of a sample, its source with what that dropped, and how many are not read."""
    # Sequence number, source, rate, pool, drops, input, output, number of records.
    if kind == _FLOW_SAMPLE:
        _, source, rate, _, drops, _, _, count = struct.unpack_from(">8I", data)
        at = 32
    else:
        _, _, source, rate, _, drops, _, _, _, _, count = struct.unpack_from(">11I", data)
        at = 44
    packets, unread = [], 0
    for record, body in _records(data, at, count):
        if record == _RAW_HEADER:
            protocol, length, _, size = struct.unpack_from(">4I", body)
            link_type = _LINKS.get(protocol)
            if size > len(body) - 16:
                raise ParseError("sflow-cut")
            if link_type is None:
                unread += 1
            else:
                packets.append(SampledPacket(link_type, length, body[16 : 16 + size], max(1, rate)))
    return packets, (source, drops), unread


def _records(data: bytes, at: int, count: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(min(count, MAX_SAMPLES)):
        record, length = struct.unpack_from(">II", data, at)
        at += 8
        if at + length > len(data):
            raise ParseError("sflow-cut")
        yield record, data[at : at + length]
        at += length
