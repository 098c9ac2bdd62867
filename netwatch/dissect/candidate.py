# cython: language_level=3
"""A packet that the packet loop passed on because it may carry a name.

The loop describes it by a row of integers that point into its block. Most candidates show nothing
that is reported, so a row first becomes a `Candidate`, which copies what would be lost with the
block; it only becomes a `Packet` if a message is reported.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.capture.block import FIELDS, Block
from netwatch.core.flow import Frame

if not cython.compiled:
    from netwatch.core.message import Packet
else:
    from cython.cimports.netwatch.core.message import Packet

Row = tuple[int, ...]
"""A candidate row: its columns are named in `netwatch.dissect.loop.layout` (``ROW_``)."""


@cython.cclass
class Candidate:
    """A candidate row with the addresses of its packet copied from `block`.

    `time` is in ns since the epoch; `flow` and `side` (which end of the flow sent it, with
    SIDE_STRAY) are taken from the row.
    """

    __slots__ = (
        "_addresses",
        "_digits",
        "_dst_mac",
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
        # without SIDE_OTHER_BYTES
        self.side = row[14] & 7
        self._row = row
        self._first = block.first
        self._source = source
        self._digits = block.interfaces[records[at + 4]].time_digits
        self._addresses = bytes(data[addr : addr + 2 * row[8]])
        self._src_mac = bytes(data[row[9] : row[9] + 6]) if row[9] >= 0 else None
        self._dst_mac = bytes(data[row[10] : row[10] + 6]) if row[10] >= 0 else None

    def to_packet(self, frames: tuple[Frame, ...] = ()) -> Packet:
        """The packet of this candidate, with the captured frames that prove what it shows."""
        row, addresses = self._row, self._addresses
        size: cython.Py_ssize_t = row[8]
        return Packet(
            source=self._source,
            number=self._first + row[1],
            time=self.time,
            time_digits=self._digits,
            transport="tcp" if row[15] == 6 else "udp",
            src=addresses[:size],
            sport=row[5],
            dst=addresses[size:],
            dport=row[6],
            src_mac=self._src_mac,
            dst_mac=self._dst_mac,
            vlan=row[11] if row[11] >= 0 else None,
            flow_id=self.flow,
            frames=frames,
            mark=row[19],
        )


def copy_frame(record: int, block: Block, source: str) -> Frame:
    """A copy of a record of `block`, as captured."""
    at = record * FIELDS
    time, offset, captured, wire, interface, tag = tuple(block.records[at : at + FIELDS])
    captured_on = block.interfaces[interface]
    return Frame(
        source=source,
        number=block.first + record,
        time=time,
        time_digits=captured_on.time_digits,
        link_type=captured_on.link_type,
        interface=captured_on.name or "",
        wire_length=wire,
        vlan_tci=tag,
        data=bytes(block.data[offset : offset + captured]),
    )
