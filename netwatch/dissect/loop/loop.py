# cython: language_level=3, boundscheck=True, wraparound=False
"""The one hot loop: of all packets in a block, the few that can carry a name.

It walks the records of a block, peels headers, asks what the payload looks like, keeps
count of the flows that are owed more bytes, and writes a row of integers for each
packet that is worth a parser's while. It allocates nothing per packet and holds no
lock. Written in Cython's pure Python mode: the same file runs interpreted, to the same
rows, where no compiler was at hand.
"""

from array import array
from collections.abc import Iterable, Iterator

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

from netwatch.capture.block import FIELDS, TIME, Block, Interface

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.tcp_state import Flows
    from cython.cimports.netwatch.dissect.loop.transport import Transport
else:
    from netwatch.dissect.flows.tcp_state import Flows
    from netwatch.dissect.loop.transport import Transport

from netwatch.dissect.loop.headers import ANOMALIES
from netwatch.dissect.loop.preface_masks import LEADS
from netwatch.dissect.loop.prefilter import PASSED

COMPILED: bool = cython.compiled
"""Whether this is the compiled form; the interpreted one is some hundred times slower."""

COLUMNS = 16
"""Integers a row: kind, index of the record in its block (negative: see `Kernel.kept`),
offset and length of the payload as captured, its length on the wire, source and destination
port, offset of the source address (the destination's follows it), length of an address,
offsets of the source and destination MAC address (-1: none), VLAN id (-1: none), TCP
sequence number, flow, side of the flow that sent, IP protocol."""

MORE = 6
"""The kind of a segment that looks like nothing but is owed; the others are those of
the protocol table."""

FRAGMENT = 7
"""The kind of a fragment of an IP packet: sequence number and flow are its offset and
identification (see `netwatch.dissect.reassembly.fragments`)."""

OPENING = 0
"""The kind of the first packet of a flow, where these are asked for; what it carries may
have a row of its own."""

NUMBERS = 0xFFFFFFFFFF
"""The bits of a packet's number, below those of its source."""

LATEST = 0x7FFFFFFFFFFFFFFF
"""Later than any packet, ns."""

MAX_LISTS = 64
"""Lists of interfaces that packets on the desk came with: one a source, and one more for
whatever else a section of pcapng names."""

CAPACITY = cython.declare(cython.longlong, 4096)
WIDTH = cython.declare(cython.longlong, 16)
RECORD = cython.declare(cython.longlong, 6)
ROOM = cython.declare(cython.longlong, 4096 + 64)
RELEASED = cython.declare(cython.longlong, 16)
"""Rows that one packet may bring about."""
AGE = cython.declare(cython.longlong, 2_000_000_000)
"""How long a hello in pieces is kept, ns of packet time."""
AMSDU = cython.declare(cython.int, 18)
COUNTED = cython.declare(cython.longlong, (1 << 39) - 1)
KIND_FRAGMENT = cython.declare(cython.longlong, 7)


@cython.cclass
class Kernel(Transport):
    """One capture's walk. `slots` is the size of the flow table, a power of two; `seed`
    (62 bits) varies how flows spread over it, so that nobody can aim at it. With `zones`
    (see `interest`) messages whose names are all outside of them are counted and give no
    row; None wants all. With `recording`, flows that are over are kept until `flows.take`
    is called, which must be after each list of rows. With `opening` the first packet of
    each flow gives a row. `learning` has a bit for each of `LEARNING_SOURCES` that is passed
    on too, to learn devices from it. Unset `holding` while a block is walked that is read
    amid the rows of another."""

    def __init__(
        self,
        slots: int = 65536,
        seed: int = 0,
        zones: Iterable[bytes] | None = None,
        recording: bool = False,
        opening: bool = False,
        learning: int = 0,
    ) -> None:
        self.flows = Flows(slots, recording)
        self.learning = learning
        self.odd = array("q", bytes(8 * len(ANOMALIES)))
        self.rows = array("q", bytes(8 * (ROOM + RELEASED) * WIDTH))
        self.out = self.rows
        self.seed = (seed >> 31) & 0x7FFFFFFF
        self.salt = (seed & 0x3FFFFFFFFFFFFFFF) + 1
        self.opening = opening
        self.holding = True
        self.lists: list[tuple[Interface, ...]] = []
        self.passed = array("q", bytes(8 * len(PASSED)))
        self.leads = LEADS
        self.prepare()
        self.look()
        self.remember()
        self.furnish()
        self.interest(zones)
        self.packets = 0
        self.octets = 0
        self.candidates = 0

    def walk(self, block: Block, source: int = 0) -> Iterator[list[int]]:
        """Yield the block's rows as flat lists of whole rows (``COLUMNS`` integers each).

        `source` is a small number that flows keep with the number of their first packet.
        Offsets are into the block's buffer, valid as long as the block is.
        """
        links = array("q", [interface.link_type for interface in block.interfaces] or [0])
        start = 0
        assert RECORD == FIELDS
        assert WIDTH == COLUMNS
        if self.holding:
            if self.desk.used:
                # A block without packets says that none came for a while.
                early = block.count and len(self.lists) < MAX_LISTS
                yield from self._aged(block.records[TIME] - AGE if early else LATEST)
            if self.desk.clear():
                self.lists.clear()
            if block.interfaces not in self.lists:
                self.lists.append(block.interfaces)
            self.listed = self.lists.index(block.interfaces)
        if not block.count:
            # The memory of the last block is let go of: its source may want to give it back.
            self._walk(block.data, block.records, links, 0, 0)
        while start < block.count:
            self.first_number = source << 40 | block.first & COUNTED
            start = self._walk(block.data, block.records, links, start, block.count)
            yield from self._handed()

    def rest(self) -> Iterator[list[int]]:
        """Yield rows for all packets that were kept: the capture is over."""
        yield from self._aged(LATEST)

    def kept(self, row: tuple[int, ...]) -> tuple[tuple[int, ...], Block, int]:
        """A row of a packet that was kept, whose record is negative, as one of the first
        record of a block; that block, and the number of the source that it came from.
        Valid as long as the list with the row is not done with."""
        words, data = self.desk.piece(-1 - row[1])
        time, size, wire, interface, tag, number, listed = words
        record = array("q", (time, 0, size, wire, interface, tag))
        block = Block(data, record, 1, self.lists[listed], number & NUMBERS, 0)
        return (row[0], 0, *row[2:]), block, number >> 40

    def _aged(self, before: int) -> Iterator[list[int]]:
        """Yield rows for what the desk holds since before a time."""
        self.count = 0
        self.age(before)
        yield from self._handed()

    def _handed(self) -> Iterator[list[int]]:
        """Yield the rows that there are, and clear off the desk what is among them."""
        if self.count or self.flows.over:
            left = self.desk.left()
            yield self.rows[: self.count * COLUMNS].tolist()
            self.desk.give_back(left)

    def anomalies(self) -> dict[str, int]:
        """How often each thing of `headers.ANOMALIES` was met; those never met left out."""
        return {name: self.odd[i] for i, name in enumerate(ANOMALIES) if self.odd[i]}

    def shown(self) -> dict[str, int]:
        """How many names were counted here and gave no row, by evidence."""
        return {name: self.passed[i] for i, name in enumerate(PASSED) if self.passed[i]}

    def _walk(
        self,
        data: cython.const[cython.uchar][::1],
        records: cython.longlong[::1],
        links: cython.longlong[::1],
        start: cython.longlong,
        stop: cython.longlong,
    ) -> int:
        """Walk records from `start` on until all are done or the rows are full; the
        number of the record to go on with."""
        i: cython.longlong
        at: cython.longlong
        self.data = data
        self.records = records
        self.count = 0
        with cython.nogil:
            i = start
            while i < stop and self.count < CAPACITY and self.flows.over < CAPACITY:
                at = i * RECORD
                self.record = i
                i += 1
                self.now = records[at]
                self.at = records[at + 1]
                self.end = self.at + records[at + 2]
                self.wire_end = self.at + max(records[at + 2], records[at + 3])
                self.packets += 1
                self.octets += records[at + 3]
                self.vlan = records[at + 5]
                if self.vlan >= 0:
                    self.vlan &= 0xFFF
                if self.link(links[records[at + 4]]):
                    self.transport()
                while self.subframes:
                    if self.count >= ROOM or self.flows.over >= ROOM:
                        self.odd[AMSDU] += 1
                        break
                    if self.subframe():
                        self.transport()
        return i

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def transport(self) -> cython.void:
        """What stands at `at`: a fragment, TCP, or UDP with what may be wrapped in it."""
        while True:
            if self.fragment >= 0:
                self.piece()
                return
            if self.proto == 6:
                self.tcp()
                return
            if not self.udp():
                return

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def piece(self) -> cython.void:
        """Write a row for a fragment of an IP packet: no ports, as sequence number its
        offset in bytes (bit 16: more follow), as flow its identification."""
        self.side = 0
        self.emit(KIND_FRAGMENT, self.at, self.fragment, self.fragment_id)
