"""Flow records as exporters send them: NetFlow v5 and v9, IPFIX.

Messages in, values out: who talked to which address, when and how much, without a name. Every
reader of flow records gives a `FlowRecord`, whatever the protocol or the log.
"""

from typing import NamedTuple


class FlowRecord(NamedTuple):
    """Packets from one side to the other, as the exporter counted them, and those of the other
    direction where the record has both (`is_biflow`; the source is then who opened the flow).

    `first` and `last` are ns since the epoch. Addresses are packed (4 or 16 bytes), `protocol` is
    the number of the IP protocol, ports are 0 where there are none. `octets` are those of IP, not
    of the payload. `sampling` says that one packet of so many was looked at, 1 that all were; the
    counters are as the exporter sent them, never multiplied.
    """

    first: int
    last: int
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    protocol: int
    octets: int
    packets: int
    tcp_flags: int = 0
    reverse_octets: int = 0
    reverse_packets: int = 0
    reverse_tcp_flags: int = 0
    is_biflow: bool = False
    vlan: int | None = None
    source_mac: bytes | None = None
    sampling: int = 1
