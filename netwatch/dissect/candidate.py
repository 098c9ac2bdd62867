# cython: language_level=3
"""A row of the kernel as a packet: whose it is, with its bytes cut out of the block.

Most rows lead to nothing that is told, so a row is first a `Seen`, which holds what the
block will not hold for long, and becomes a `Packet` with the message that it shows.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

from netwatch.capture.block import FIELDS, Block
from netwatch.core.frame import Frame

if not cython.compiled:
    from netwatch.core.packet import Packet
else:
    from cython.cimports.netwatch.core.packet import Packet

Row = tuple[int, ...]
"""The integers of `netwatch.dissect.loop.layout` (``ROW_``)."""


@cython.cclass
class Seen:
    """A row of `block`, whose bytes are copied as far as its packet needs them; `time` in ns
    since the epoch, `flow` and `side` as in the row."""

    __slots__ = (
        "_digits",
        "_dst_mac",
        "_ends",
        "_first",
        "_row",
        "_source",
        "_src_mac",
        "flow",
        "side",
        "time",
    )

    def __init__(self, row: Row, block: Block, source: str) -> None:
        at: cython.Py_ssize_t = row[1] * FIELDS
        addr: cython.Py_ssize_t = row[7]
        data, records = block.data, block.records
        self.time = records[at]
        self.flow = row[13]
        self.side = row[14]
        self._row = row
        self._first = block.first
        self._source = source
        self._digits = block.interfaces[records[at + 4]].time_digits
        self._ends = bytes(data[addr : addr + 2 * row[8]])
        self._src_mac = bytes(data[row[9] : row[9] + 6]) if row[9] >= 0 else None
        self._dst_mac = bytes(data[row[10] : row[10] + 6]) if row[10] >= 0 else None

    def packet(self, frames: tuple[Frame, ...] = ()) -> Packet:
        """The packet that the row tells of, with the frames that prove it."""
        row, ends = self._row, self._ends
        size: cython.Py_ssize_t = row[8]
        return Packet(
            source=self._source,
            number=self._first + row[1],
            time=self.time,
            time_digits=self._digits,
            transport="tcp" if row[15] == 6 else "udp",
            src=ends[:size],
            sport=row[5],
            dst=ends[size:],
            dport=row[6],
            src_mac=self._src_mac,
            dst_mac=self._dst_mac,
            vlan=row[11] if row[11] >= 0 else None,
            flow_id=self.flow,
            frames=frames,
        )


def frame_of(record: int, block: Block, source: str) -> Frame:
    """A record of `block` as it was captured; its bytes are copied."""
    at = record * FIELDS
    time, offset, captured, wire, interface, tag = tuple(block.records[at : at + FIELDS])
    on = block.interfaces[interface]
    return Frame(
        source=source,
        number=block.first + record,
        time=time,
        time_digits=on.time_digits,
        link_type=on.link_type,
        interface=on.name or "",
        wire_length=wire,
        vlan_tci=tag,
        data=bytes(block.data[offset : offset + captured]),
    )
