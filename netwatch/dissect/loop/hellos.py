# cython: language_level=3, boundscheck=True, wraparound=False
"""ClientHellos in several packets: of TLS in segments, of QUIC in Initial packets."""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.tcp_state import TcpState
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.hello_reassembly import HelloReassembly
    from cython.cimports.netwatch.dissect.quic.initial_packets import InitialPackets
else:
    from netwatch.dissect.flows.tcp_state import TcpState
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.hello_reassembly import HelloReassembly
    from netwatch.dissect.quic.initial_packets import InitialPackets

from netwatch.core.buffers import Buffer

ID_SIZE = cython.declare(cython.Py_ssize_t, 22)
"""A version, and a connection id after its length, bytes."""

SAME = cython.declare(cython.int, 1)
"""An answer of `KeptMessages.compare`."""

SIDE = cython.declare(cython.longlong, 1 << 32)
"""The bit next to an offset that says that side 1 has sent a hello."""

CRYPTO = cython.declare(cython.int, 1)
END = cython.declare(cython.int, 0)
"""What `InitialPackets.frame` finds."""

SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)


@cython.final
@cython.cclass
class QuicHellos:
    """Opens the Initial packets of clients and reassembles the hellos in them. `connection_ids` has
    the input of the keys of each buffered hello."""

    def __init__(self, cursor: Cursor, state: TcpState, hellos: HelloReassembly) -> None:
        self.cursor = cursor
        self.state = state
        self.hellos = hellos
        self.packets = InitialPackets()
        self.connection_ids: Buffer = array("B", bytes(ID_SIZE * (layout.MAX_HELLOS + 1)))

    def datagram(self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t) -> cython.bint:
        """Whether a datagram that starts with an Initial packet needs no row: it was buffered, its
        hello was read, or it is the server's answer to such a hello."""
        side: cython.int = self.hellos.candidates.side
        flow: cython.longlong = self.hellos.flows.name(slot)
        entry: cython.Py_ssize_t
        place: cython.Py_ssize_t
        acked: cython.longlong
        if self.hellos.flows.hello_reported(slot, side):
            if self.is_another(slot, at):
                self.hellos.flows.table[slot + layout.FLOW_FLAGS] &= ~layout.FLAG_HELLO_REPORTED
                self.hellos.hand_to_parser(slot, flow)
                if self.state.repeats:
                    # The server's answer has the same id, whichever of the two it answers.
                    acked = self.hellos.flows.table[slot + layout.FLOW_ACKED + side]
                    self.hellos.flows.contest(slot, side, acked)
                self.hellos.candidates.side = side | layout.SIDE_OTHER_BYTES
                return False
            if self.hellos.rows.active:
                self.hellos.candidates.total += 1
            return True
        if not self.hellos.are_read(slot):
            return False
        entry = self.hellos.entry(slot, flow)
        place = layout.ENTRY_WORDS * entry
        if self.hellos.buffer.entries[place + layout.ENTRY_SIDE] != side:
            # A datagram sent before the hello, but reassembled later, is not an answer.
            if self.cursor.time < self.hellos.buffer.entries[place + layout.ENTRY_TIME]:
                return False
            if self.hellos.rows.active:
                self.hellos.candidates.total += 1
            return True
        if (
            self.cursor.end == self.cursor.wire_end
            and not self.hellos.is_aged(entry)
            and self.add(slot, entry, at)
        ):
            return True
        self.hellos.hand_to_parser(slot, flow)
        return False

    def is_another(self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t) -> cython.bint:
        """Whether a datagram of the client that has sent a hello carries another hello, or other
        bytes of it, before the server has answered: the server may take either."""
        side: cython.int = self.hellos.candidates.side
        size: cython.longlong
        if self.hellos.flows.table[slot + layout.FLOW_BYTES + 1 - side] or side != (
            1 if self.hellos.flows.table[slot + layout.FLOW_FLAGS] & layout.FLAG_HELLO_1 else 0
        ):
            return False
        size = self.packets.open(self.cursor.data, at, self.cursor.end)
        self.packets.pos = 0
        while self.packets.frame(size) == CRYPTO:
            if self.packets.length and (
                self.hellos.kept.compare(
                    self.hellos.flows.kept(slot),
                    self.packets.offset | (SIDE if side else 0),
                    self.packets.plain,
                    self.packets.pos,
                    self.packets.length,
                )
                != SAME
            ):
                return True
            self.packets.pos += self.packets.length
        return False

    def add(
        self, slot: cython.Py_ssize_t, entry: cython.Py_ssize_t, at: cython.Py_ssize_t
    ) -> cython.bint:
        """Add the content of a client's Initial packet to its hello; false if anything is
        unusual."""
        side: cython.int = self.hellos.candidates.side
        hello: cython.Py_ssize_t = layout.MAX_HELLO * entry
        total: cython.longlong
        told: cython.int
        behind: cython.Py_ssize_t
        size: cython.longlong = self.packets.open(self.cursor.data, at, self.cursor.end)
        if size < 0:
            return False
        # Zeros after the packet are padding; another packet with a long header is not.
        behind = self.packets.packet_end
        if behind < self.cursor.end and self.cursor.data[behind] >= 128:
            return False
        if not (self.same_keys(entry) and self.add_frames(entry, size)):
            return False
        size = self.hellos.buffer.contiguous(entry)
        if size >= 4:
            total = 4 + self.hellos.number(hello + 1, 3)
            if self.hellos.buffer.hellos[hello] != 1 or size > total or total > layout.MAX_HELLO:
                return False
            if size == total:
                told = self.hellos.told_without_parser(
                    slot, hello, hello + total, self.packets.connection[0]
                )
                if told == 0:
                    return False
                if self.hellos.rows.active:
                    self.hellos.count_packets(entry)
                self.state.ignore(slot, side)
                self.hellos.flows.report_hello(
                    slot,
                    side,
                    self.hellos.buffer.entries[layout.ENTRY_WORDS * entry + layout.ENTRY_TIME],
                )
                self.hellos.keep(slot, 0, self.hellos.buffer.hellos, hello, total)
                self.hellos.complete(slot, entry, told)
                return True
        self.state.expect_datagrams(slot, side)
        return self.hellos.store(slot, entry, layout.KIND_QUIC, at, 0)

    def same_keys(self, entry: cython.Py_ssize_t) -> cython.bint:
        """Whether the opened packet has the same keys as those before it."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t = ID_SIZE * entry
        first: cython.bint = entry == self.hellos.buffer.spare
        for i in range(2 + self.packets.connection[1]):
            if first:
                self.connection_ids[at + i] = self.packets.connection[i]
            elif self.connection_ids[at + i] != self.packets.connection[i]:
                return False
        return True

    def add_frames(self, entry: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.bint:
        """Copy the CRYPTO frames of the opened packet to their places in the hello; false if there
        are none, or frames that an Initial packet may not contain."""
        found: cython.bint = False
        kind: cython.int
        self.packets.pos = 0
        kind = self.packets.frame(size)
        while kind == CRYPTO:
            if self.packets.length:
                if not self.hellos.buffer.place(
                    entry,
                    self.packets.offset,
                    self.packets.plain,
                    self.packets.pos,
                    self.packets.length,
                ):
                    return False
                found = True
            self.packets.pos += self.packets.length
            kind = self.packets.frame(size)
        return found and kind == END


@cython.final
@cython.cclass
class TlsHellos:
    """Reassembles hellos of one TLS record from segments in any order."""

    def __init__(self, cursor: Cursor, tcp: TcpState, hellos: HelloReassembly) -> None:
        self.cursor = cursor
        self.tcp = tcp
        self.hellos = hellos

    def segment(
        self,
        slot: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        sequence: cython.longlong,
    ) -> cython.bint:
        """Whether a segment that starts a ClientHello (`layout.KIND_TLS`), or may continue one
        (`layout.KIND_MORE`), needs no row: it was buffered, or its hello was read."""
        if not self.hellos.are_read(slot):
            return False
        if self.cursor.end == self.cursor.wire_end and self.add(slot, kind, at, sequence):
            return True
        self.hellos.hand_to_parser(slot, self.hellos.flows.name(slot))
        return False

    def add(
        self,
        slot: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        sequence: cython.longlong,
    ) -> cython.bint:
        """Add a segment to its hello; false if anything is unusual."""
        entry: cython.Py_ssize_t = self.hellos.entry(slot, self.hellos.flows.name(slot))
        place: cython.Py_ssize_t = layout.ENTRY_WORDS * entry
        hello: cython.Py_ssize_t = layout.MAX_HELLO * entry
        base: cython.longlong
        position: cython.longlong
        size: cython.longlong = self.cursor.end - at
        total: cython.longlong
        told: cython.int
        if entry == self.hellos.buffer.spare:
            if not self.start(slot, kind, sequence):
                return False
        elif self.hellos.buffer.entries[
            place + layout.ENTRY_SIDE
        ] != self.hellos.candidates.side or self.hellos.is_aged(entry):
            return False
        base = self.hellos.buffer.entries[place + layout.ENTRY_BASE]
        position = (sequence - base) & SEQ
        if (kind == layout.KIND_TLS) != (position == 0) or (position == 0 and size < 9):
            return False
        if not self.hellos.buffer.place(entry, position, self.cursor.data, at, size):
            return False
        size = self.hellos.buffer.contiguous(entry)
        if size > 0:
            total = 5 + self.hellos.number(hello + 3, 2)
            if total != 9 + self.hellos.number(hello + 6, 3) or total > layout.MAX_HELLO:
                return False
            if size >= total:
                told = self.hellos.told_without_parser(slot, hello + 5, hello + total, -1)
                if told == 0:
                    return False
                self.tcp.ignore(slot, self.hellos.candidates.side)
                if self.hellos.shows_another_name(slot):
                    self.hellos.flows.contest(slot, self.hellos.candidates.side, sequence)
                self.tcp.complete(slot, self.hellos.candidates.side, base, total)
                self.hellos.keep(slot, base, self.hellos.buffer.hellos, hello, total)
                if self.hellos.rows.active:
                    self.hellos.count_packets(entry)
                    self.hellos.flows.report_stream_hello(
                        slot, self.hellos.candidates.side, base, total
                    )
                self.hellos.complete(slot, entry, told)
                return True
        return self.hellos.store(slot, entry, kind, at, sequence)

    def start(
        self, slot: cython.Py_ssize_t, kind: cython.longlong, sequence: cython.longlong
    ) -> cython.bint:
        """Set the number of the first byte of the hello in the spare entry; false if it is not
        known. It is the number of a segment that starts a hello, or the one announced by the
        SYN."""
        side: cython.int = self.hellos.candidates.side
        base: cython.longlong = sequence
        if kind != layout.KIND_TLS:
            if not self.tcp.only_opened(slot, side):
                return False
            base = self.hellos.flows.table[slot + layout.FLOW_EXPECTED + side] & SEQ
        self.hellos.buffer.entries[
            layout.ENTRY_WORDS * self.hellos.buffer.spare + layout.ENTRY_BASE
        ] = base
        return True
