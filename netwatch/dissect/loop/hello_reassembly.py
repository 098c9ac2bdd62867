# cython: language_level=3, boundscheck=True, wraparound=False
"""ClientHellos in several packets: what TLS and QUIC have in common.

A hello that shows a name of no interest is counted, and none of its packets becomes a row. If
anything about a hello is unusual, all its packets become rows, and so does everything that its flow
sends later, so that a single reader, the parser, has all of it.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.table import FlowTable
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.candidates import Candidates
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.fill_hello import HelloRows
    from cython.cimports.netwatch.dissect.loop.kept_messages import HelloBuffer, KeptMessages
    from cython.cimports.netwatch.dissect.loop.prefilter import HelloPrefilter
else:
    from netwatch.dissect.flows.table import FlowTable
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.candidates import Candidates
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.fill_hello import HelloRows
    from netwatch.dissect.loop.kept_messages import HelloBuffer, KeptMessages
    from netwatch.dissect.loop.prefilter import HelloPrefilter

from array import array

from netwatch.core.buffers import Octets, Words

LATEST = cython.declare(cython.longlong, 0x7FFFFFFFFFFFFFFF)

SIDE = cython.declare(cython.longlong, 1 << 32)
"""The bit next to a sequence number which says that side 1 has sent a message."""


@cython.final
@cython.cclass
class HelloReassembly:
    """Finds the entry of a flow in `buffer`, stores packets in it and releases them.

    `prefilter` reads the hellos in the buffer, and `rows` has what those of interest show. Packets
    are only buffered while `buffering`. `kept` has the bytes of whole messages. Of the block,
    `records` are its records, `first_packet` is the number of its first packet (from bit 40 on, the
    number of its source) and `interfaces` the number of its list of interfaces.
    """

    def __init__(
        self,
        cursor: Cursor,
        flows: FlowTable,
        candidates: Candidates,
        prefilter: HelloPrefilter,
        rows: HelloRows,
    ) -> None:
        self.cursor = cursor
        self.flows = flows
        self.candidates = candidates
        self.buffer = HelloBuffer()
        self.kept = KeptMessages()
        self.prefilter = prefilter
        prefilter.set_data(self.buffer.hellos)
        self.rows = rows
        self.buffering = True
        self.first_packet = 0
        self.interfaces = 0
        self.records: Words = array("q")

    def buffered_entry(self, slot: cython.Py_ssize_t, flow: cython.longlong) -> cython.Py_ssize_t:
        """The entry of a flow; -1 if it has none."""
        entry: cython.Py_ssize_t = (self.flows.table[slot + layout.FLOW_ENTRY] & 255) - 1
        if entry < 0:
            return -1
        place: cython.Py_ssize_t = layout.ENTRY_WORDS * entry
        return entry if self.buffer.entries[place + layout.ENTRY_FLOW] == flow else -1

    def entry(self, slot: cython.Py_ssize_t, flow: cython.longlong) -> cython.Py_ssize_t:
        """The entry of a flow; if it has none, the spare one, prepared."""
        entry: cython.Py_ssize_t = self.buffered_entry(slot, flow)
        if entry >= 0:
            return entry
        self.buffer.begin(flow, self.candidates.side, 0, self.cursor.time)
        return self.buffer.spare

    def is_aged(self, entry: cython.Py_ssize_t) -> cython.bint:
        """Whether the packet at the cursor is later than the time for which an entry is buffered.
        Such entries are released between blocks; within a block, the result must not depend on its
        size."""
        begun: cython.longlong = self.buffer.entries[layout.ENTRY_WORDS * entry + layout.ENTRY_TIME]
        return self.cursor.time - begun > layout.MAX_AGE

    def are_read(self, slot: cython.Py_ssize_t) -> cython.bint:
        """Whether hellos of a flow are read here, as long as they have the usual layout."""
        return (
            self.prefilter.domains.domains.active or self.rows.active
        ) and not self.is_handled_by_parser(slot)

    def is_handled_by_parser(self, slot: cython.Py_ssize_t) -> cython.bint:
        """Whether hellos of a flow go to the parsers."""
        return self.flows.table[slot + layout.FLOW_FLAGS] & layout.FLAG_HANDLED_BY_PARSER != 0

    def is_untouched(self, slot: cython.Py_ssize_t) -> cython.bint:
        """Whether no hello of a flow is buffered, and none goes to the parsers."""
        return self.flows.table[
            slot + layout.FLOW_ENTRY
        ] & 255 == 0 and not self.is_handled_by_parser(slot)

    def hand_to_parser(self, slot: cython.Py_ssize_t, flow: cython.longlong) -> cython.void:
        """Emit the rows of the buffered packets of a flow; everything that it sends from now on
        goes to the parsers."""
        entry: cython.Py_ssize_t = self.buffered_entry(slot, flow)
        if entry >= 0:
            self.release(entry)
        self.flows.table[slot + layout.FLOW_FLAGS] |= layout.FLAG_HANDLED_BY_PARSER

    def release_flow(self, slot: cython.Py_ssize_t) -> cython.void:
        """A flow continues with something else: the rows of its buffered packets come first."""
        if self.flows.table[slot + layout.FLOW_ENTRY] & 255 != 0:
            self.hand_to_parser(slot, self.flows.name(slot))

    def release(self, entry: cython.Py_ssize_t) -> cython.void:
        """Emit the rows of the packets of an entry, in the order in which they came; everything
        that its flow sends from now on goes to the parsers."""
        place: cython.Py_ssize_t = layout.ENTRY_WORDS * entry
        count: cython.longlong = self.buffer.entries[place + layout.ENTRY_PACKETS]
        row: cython.Py_ssize_t = layout.BUFFERED_COLUMNS * layout.MAX_PIECES * entry
        self.flows.hand_to_parser(self.buffer.entries[place + layout.ENTRY_FLOW])
        while count > 0:
            self.candidates.emit_buffered(self.buffer.rows, row)
            row += layout.BUFFERED_COLUMNS
            count -= 1
        self.buffer.release(entry)

    def catch_up(self, flow: cython.longlong) -> cython.void:
        """Tell the parsers the time before a message of a flow, along with everything that they
        would have by now."""
        self.release_before(self.cursor.time - layout.MAX_AGE)
        self.candidates.emit_clock(flow)

    def oldest_time(self) -> cython.longlong:
        """When the oldest buffered hello began, ns; `LATEST` if there is none."""
        entry: cython.Py_ssize_t = self.buffer.oldest()
        if entry < 0:
            return LATEST
        return self.buffer.entries[layout.ENTRY_WORDS * entry + layout.ENTRY_TIME]

    def release_before(self, before: cython.longlong) -> cython.void:
        """Emit the rows of hellos that began before a time, ns."""
        entry: cython.Py_ssize_t = self.buffer.oldest()
        while entry >= 0:
            if self.buffer.entries[layout.ENTRY_WORDS * entry + layout.ENTRY_TIME] >= before:
                return
            self.release(entry)
            entry = self.buffer.oldest()

    def store(
        self,
        slot: cython.Py_ssize_t,
        entry: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        sequence: cython.longlong,
    ) -> cython.bint:
        """Store the packet at the cursor, whose part of the hello is in place; false if it does not
        fit."""
        if not self.store_packet(entry, kind, at, sequence, self.flows.name(slot)):
            return False
        if entry != self.buffer.spare:
            return True
        if not self.buffer.use_spare():
            return False
        self.flows.set_entry(slot, entry + 1)
        return True

    def store_packet(
        self,
        entry: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        sequence: cython.longlong,
        flow: cython.longlong,
    ) -> cython.bint:
        """Copy the packet at the cursor to an entry, with its row and its record; false if it does
        not fit."""
        record: cython.Py_ssize_t = layout.RECORD_FIELDS * self.cursor.record
        start: cython.Py_ssize_t = self.records[record + layout.RECORD_OFFSET]
        size: cython.Py_ssize_t = self.records[record + layout.RECORD_CAPTURED]
        row: cython.Py_ssize_t
        if not self.buffering:
            return False
        row = self.buffer.store_packet(entry, self.cursor.data, start, size)
        if row < 0:
            return False
        self.candidates.write(self.buffer.rows, row, kind, at, sequence, flow)
        self.buffer.rows[row + layout.ROW_RECORD] = -1 - row // layout.BUFFERED_COLUMNS
        self.buffer.rows[row + layout.ROW_PAYLOAD] -= start
        self.buffer.rows[row + layout.ROW_ADDRESSES] -= start
        if self.cursor.source_mac >= 0:
            self.buffer.rows[row + layout.ROW_SOURCE_MAC] -= start
        if self.cursor.destination_mac >= 0:
            self.buffer.rows[row + layout.ROW_DESTINATION_MAC] -= start
        self.buffer.rows[row + layout.BUFFERED_TIME] = self.cursor.time
        self.buffer.rows[row + layout.BUFFERED_CAPTURED] = size
        self.buffer.rows[row + layout.BUFFERED_WIRE] = self.records[record + layout.RECORD_WIRE]
        self.buffer.rows[row + layout.BUFFERED_INTERFACE] = self.records[
            record + layout.RECORD_INTERFACE
        ]
        self.buffer.rows[row + layout.BUFFERED_VLAN] = self.records[record + layout.RECORD_VLAN]
        self.buffer.rows[row + layout.BUFFERED_PACKET] = self.first_packet + self.cursor.record
        self.buffer.rows[row + layout.BUFFERED_INTERFACES] = self.interfaces
        return True

    def told_without_parser(
        self,
        slot: cython.Py_ssize_t,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        quic: cython.Py_ssize_t,
    ) -> cython.int:
        """What the ClientHello from `at` to `end` of the buffered bytes reveals about its flow
        (``NAME_``), if it shows a name of no interest, or there is a row for it (see
        `HelloRows.add`, also for `quic`). The name is then counted. Otherwise 0, and its packet is
        marked as prefiltered."""
        told: cython.int = 0
        if self.prefilter.hello.is_plain(at, end):
            if self.prefilter.name_uninteresting():
                told = layout.NAME_NAMED
            elif self.buffering:
                told = self.rows.add(self.prefilter.hello, quic, self.flows.name(slot))
        if told == 0:
            self.candidates.prefiltered = True
        elif self.prefilter.hello.name_size:
            self.prefilter.counts[layout.NAMES_TLS_SNI if quic < 0 else layout.NAMES_QUIC_SNI] += 1
        return told

    def keep(
        self,
        slot: cython.Py_ssize_t,
        sequence: cython.longlong,
        data: Octets,
        at: cython.Py_ssize_t,
        size: cython.longlong,
    ) -> cython.void:
        """Keep a message of `size` bytes at `at` whose first byte has a sequence number."""
        before: cython.longlong = self.flows.kept(slot)
        place: cython.longlong = sequence | (SIDE if self.candidates.side else 0)
        number: cython.longlong = self.kept.keep(place, before, data, at, size)
        if number:
            self.flows.keep(slot, number)

    def compare(
        self,
        slot: cython.Py_ssize_t,
        sequence: cython.longlong,
        at: cython.Py_ssize_t,
        size: cython.longlong,
    ) -> cython.int:
        """Whether the `size` bytes at `at` of the packet at the cursor, a segment, belong to a
        message that its side has sent before (see `KeptMessages.compare`)."""
        place: cython.longlong = sequence | (SIDE if self.candidates.side else 0)
        return self.kept.compare(self.flows.kept(slot), place, self.cursor.data, at, size)

    def is_another_name(
        self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether no TLS record that its side has sent before contains the name of `size` bytes at
        `at` of the packet at the cursor (see `KeptMessages.lacks`)."""
        side: cython.longlong = 1 if self.candidates.side else 0
        return self.kept.lacks(self.flows.kept(slot), side, self.cursor.data, at, size)

    def shows_another_name(self, slot: cython.Py_ssize_t) -> cython.bint:
        """The same for the name in the last hello read in the buffer."""
        side: cython.longlong = 1 if self.candidates.side else 0
        size: cython.Py_ssize_t = self.prefilter.hello.name_size
        number: cython.longlong = self.flows.kept(slot)
        return (
            number > 0
            and size > 0
            and self.kept.lacks(number, side, self.buffer.hellos, self.prefilter.hello.name, size)
        )

    def count_packets(self, entry: cython.Py_ssize_t) -> cython.void:
        """Count the packet at the cursor and the packets of an entry as candidates for a name."""
        place: cython.Py_ssize_t = layout.ENTRY_WORDS * entry + layout.ENTRY_PACKETS
        self.candidates.total += 1 + self.buffer.entries[place]

    def complete(
        self, slot: cython.Py_ssize_t, entry: cython.Py_ssize_t, told: cython.int
    ) -> cython.void:
        """The hello of an entry needs no parser. `told` is what it reveals about its flow."""
        self.flows.raise_name_status(slot, told)
        self.flows.set_entry(slot, 0)
        if entry != self.buffer.spare:
            self.buffer.drop(entry)

    def number(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.longlong:
        """A number of `size` bytes at `at` of the buffered hellos."""
        value: cython.longlong = 0
        while size > 0:
            value = (value << 8) | self.buffer.hellos[at]
            at += 1
            size -= 1
        return value
