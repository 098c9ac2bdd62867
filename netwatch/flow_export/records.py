# cython: language_level=3
"""A flow record, whatever protocol or log it comes from."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

MOST_COUNTED = (1 << 46) - 1
"""Bytes or packets of a record: at 400 Gbit/s 70 TB take 23 minutes, and records are sent more
often. Thousands of them fit into the 64 bits of a sum."""

MOST_SAMPLING = 1 << 24
"""The N of one packet in N."""

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
        self.source_port = source_port
        self.destination_port = destination_port
        self.protocol = protocol
        self.octets = octets
        self.packets = packets
        self.tcp_flags = tcp_flags
        self.reverse_octets = reverse_octets
        self.reverse_packets = reverse_packets
        self.reverse_tcp_flags = reverse_tcp_flags
        self.is_biflow = is_biflow
        self.vlan = vlan
        self.source_mac = source_mac
        self.sampling = sampling

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


def sampled(records: list[FlowRecord]) -> int:
    """How many records are of traffic of which not all packets were looked at."""
    record: FlowRecord
    count: cython.Py_ssize_t = 0
    for record in records:
        if record.sampling > 1:
            count += 1
    return count
