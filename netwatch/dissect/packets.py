"""A row of the kernel as a packet: whose it is, with its bytes cut out of the block.

Most rows lead to nothing that is told, so a row is first a `Seen`, which holds what the
block will not hold for long, and becomes a `Packet` with the message that it shows.
"""

import cython

from netwatch.capture.block import FIELDS, Block
from netwatch.frame import Frame

if cython.compiled:
    from cython.cimports.netwatch.model import Packet
else:
    from netwatch.model import Packet

Row = tuple[int, ...]
"""The integers of `netwatch.dissect.kernel.COLUMNS`."""


class Seen:
    """A row of `block`, whose bytes are copied as far as its packet needs them; `time` in ns
    since the epoch, `flow` and `side` as in the row."""

    __slots__ = ("_digits", "_ends", "_first", "_macs", "_row", "_source", "flow", "side", "time")

    def __init__(self, row: Row, block: Block, source: str) -> None:
        at = row[1] * FIELDS
        data, records, addr = block.data, block.records, row[7]
        self.time = records[at]
        self.flow = row[13]
        self.side = row[14]
        self._row = row
        self._first = block.first
        self._source = source
        self._digits = block.interfaces[records[at + 4]].digits
        self._ends = bytes(data[addr : addr + 2 * row[8]])
        self._macs = [bytes(data[mac : mac + 6]) if mac >= 0 else None for mac in (row[9], row[10])]

    def packet(self, frames: tuple[Frame, ...] = ()) -> Packet:
        """The packet that the row tells of, with the frames that prove it."""
        row, ends, size = self._row, self._ends, self._row[8]
        return Packet(
            source=self._source,
            number=self._first + row[1],
            time=self.time,
            digits=self._digits,
            transport="tcp" if row[15] == 6 else "udp",
            src=ends[:size],
            sport=row[5],
            dst=ends[size:],
            dport=row[6],
            src_mac=self._macs[0],
            dst_mac=self._macs[1],
            vlan=row[11] if row[11] >= 0 else None,
            flow=self.flow,
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
        digits=on.digits,
        link_type=on.link_type,
        interface=on.name or "",
        wire=wire,
        tag=tag,
        data=bytes(block.data[offset : offset + captured]),
    )
