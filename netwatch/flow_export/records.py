# cython: language_level=3
"""A flow record, whatever protocol or log it comes from."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

MOST_COUNTED = (1 << 46) - 1
"""Bytes or packets of a record: at 400 Gbit/s 70 TB take 23 minutes, and records are sent more
often. Thousands of them fit into the 64 bits of a sum."""

MOST_SAMPLING = 1 << 24
"""The N of one packet in N."""

# What is greater cannot be either, and has no place in a record.
_SMALL, _LARGE = (1 << 31) - 1, 1 << 62
_RIGHT: Mapping[str, int] = {}
_WRONG = ("flow-time-impossible", "flow-sampling-differs", "flow-sampled")
_MOST_COUNTED = cython.declare(cython.longlong, MOST_COUNTED)
_MOST_SAMPLING = cython.declare(cython.longlong, MOST_SAMPLING)
_LAST_PORT = cython.declare(cython.int, 0xFFFF)
_LAST_VLAN = cython.declare(cython.int, 0xFFF)

UNTAGGED = -1
"""The VLAN of a record that has none."""


@cython.final
@cython.cclass
class FlowRecord:
    """Packets from one side to the other, as the exporter counted them, and those of the other
    direction where the record has both (`is_biflow`; the source is then who opened the flow).

    `first` and `last` are ns since the epoch. Addresses are packed (4 or 16 bytes), `protocol` is
    the number of the IP protocol, ports are 0 where there are none, `vlan` is `UNTAGGED`. `octets`
    are those of IP, not of the payload. `sampling` says that one packet of so many was looked at, 1
    that all were; the counters are as the exporter sent them, never multiplied.
    """

    def __init__(
        self,
        first: int,
        last: int,
        source: bytes,
        destination: bytes,
        source_port: int,
        destination_port: int,
        protocol: int,
        octets: int,
        packets: int,
        *,
        tcp_flags: int = 0,
        reverse_octets: int = 0,
        reverse_packets: int = 0,
        reverse_tcp_flags: int = 0,
        is_biflow: bool = False,
        vlan: int = UNTAGGED,
        source_mac: bytes | None = None,
        sampling: int = 1,
    ) -> None:
        self.first = first
        self.last = last
        self.source = source
        self.destination = destination
        self.source_port = min(source_port, _SMALL)
        self.destination_port = min(destination_port, _SMALL)
        self.protocol = min(protocol, _SMALL)
        self.octets = min(octets, _LARGE)
        self.packets = min(packets, _LARGE)
        self.tcp_flags = min(tcp_flags, _SMALL)
        self.reverse_octets = min(reverse_octets, _LARGE)
        self.reverse_packets = min(reverse_packets, _LARGE)
        self.reverse_tcp_flags = min(reverse_tcp_flags, _SMALL)
        self.is_biflow = is_biflow
        self.vlan = min(vlan, _SMALL)
        self.source_mac = source_mac
        self.sampling = min(sampling, _LARGE)

    def is_possible(self) -> cython.bint:
        """Whether its counters and ports can be."""
        return (
            0 <= self.octets <= _MOST_COUNTED
            and 0 <= self.packets <= _MOST_COUNTED
            and 0 <= self.reverse_octets <= _MOST_COUNTED
            and 0 <= self.reverse_packets <= _MOST_COUNTED
            and 0 <= self.source_port <= _LAST_PORT
            and 0 <= self.destination_port <= _LAST_PORT
        )

    def mend(self) -> cython.bint:
        """Leave out a VLAN or a sampling that cannot be; whether there was one."""
        is_wrong: cython.bint = self.vlan > _LAST_VLAN or self.sampling > _MOST_SAMPLING
        if self.vlan > _LAST_VLAN:
            self.vlan = UNTAGGED
        self.sampling = min(self.sampling, _MOST_SAMPLING)
        return is_wrong


class Known(NamedTuple):
    """What is known of the records of a message better than they say: how many ns are to be added
    to their times, their sampling (0: what they say), and when the latest can have ended."""

    shift: int = 0
    sampling: int = 0
    latest: int = (1 << 63) - 1


def corrected(
    records: list[FlowRecord], known: Known
) -> tuple[list[FlowRecord], Mapping[str, int]]:
    """Records by what is known of them, and what was wrong with them."""
    record: FlowRecord
    shift: cython.longlong = known.shift
    sampling: cython.longlong = known.sampling
    latest: cython.longlong = known.latest
    late: cython.Py_ssize_t = 0
    differing: cython.Py_ssize_t = 0
    sampled: cython.Py_ssize_t = 0
    for record in records:
        record.first += shift
        record.last += shift
        if record.last > latest:
            late += 1
            continue
        if sampling and record.sampling != sampling:
            # Most exporters that sample do not say so; one that does says something else.
            differing += record.sampling > 1
            record.sampling = sampling
        sampled += record.sampling > 1
    if not (late or differing or sampled):
        return records, _RIGHT
    kept = [record for record in records if record.last <= latest] if late else records
    return kept, +Counter(dict(zip(_WRONG, (late, differing, sampled), strict=True)))
