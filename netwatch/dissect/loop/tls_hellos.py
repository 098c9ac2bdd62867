# cython: language_level=3, boundscheck=True, wraparound=False
"""ClientHellos of TLS in several segments."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.tcp_state import TcpState
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.hello_reassembly import HelloReassembly
else:
    from netwatch.dissect.flows.tcp_state import TcpState
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.hello_reassembly import HelloReassembly

SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)


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
        (`layout.KIND_MORE`), needs no row: it was buffered, or its hello read."""
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
        """Add a segment to its hello; false where anything is unusual."""
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
        """Set the number of the first byte of the hello in the spare entry; false where it is not
        known. It is that of a segment that starts a hello, or the one that the SYN announced."""
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
