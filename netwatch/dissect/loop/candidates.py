# cython: language_level=3, boundscheck=True, wraparound=False
"""Rows: what the packet loop hands on, at once or from the desk.

A row tells where in its packet things lie (`netwatch.dissect.loop.loop.COLUMNS`). One of a
packet that was kept on the desk has as its record a negative number, by which the packet
is found there, and offsets from the packet's start.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.dns_addresses import Lookups
else:
    from netwatch.dissect.loop.dns_addresses import Lookups

WIDTH = cython.declare(cython.Py_ssize_t, 16)
KIND_FRAGMENT = cython.declare(cython.longlong, 7)
KIND_ARP = cython.declare(cython.longlong, 16)

# An entry of the desk and its rows, as `netwatch.dissect.loop.hello_buffer` has them. Behind
# the columns of such a row are the time of the packet, its length as captured and on the wire,
# its interface and tag, as in its record; its number below its source, and its interface list.
FLOW = cython.declare(cython.Py_ssize_t, 0)
TIME = cython.declare(cython.Py_ssize_t, 3)
PIECES = cython.declare(cython.Py_ssize_t, 5)
ENTRY = cython.declare(cython.Py_ssize_t, 8)
ROW = cython.declare(cython.Py_ssize_t, 24)
RECORD = cython.declare(cython.Py_ssize_t, 6)
EACH = cython.declare(cython.Py_ssize_t, 4)


@cython.cclass
class Rows(Lookups):
    """Writes rows into `out`, of which `count` are there; `candidates` counts them all.
    `records` are those of the block, `holding` is whether packets may be kept."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def write(
        self,
        out: cython.longlong[::1],
        row: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        seq: cython.longlong,
        flow: cython.longlong,
    ) -> cython.void:
        """Write a row for the payload at `at` of the packet at hand."""
        ported: cython.bint = kind != KIND_FRAGMENT and kind < KIND_ARP
        out[row] = kind
        out[row + 1] = self.record
        out[row + 2] = at
        out[row + 3] = self.end - at
        out[row + 4] = self.wire_end - at
        out[row + 5] = self.u16(self.at) if ported else 0
        out[row + 6] = self.u16(self.at + 2) if ported else 0
        out[row + 7] = self.addr
        out[row + 8] = self.addr_len
        out[row + 9] = self.src_mac
        out[row + 10] = self.dst_mac
        out[row + 11] = self.vlan
        out[row + 12] = seq
        out[row + 13] = flow
        out[row + 14] = self.side
        out[row + 15] = self.proto

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def emit(
        self,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        seq: cython.longlong,
        flow: cython.longlong,
    ) -> cython.void:
        """Hand on the payload at `at`."""
        self.write(self.out, self.count * WIDTH, kind, at, seq, flow)
        self.count += 1
        self.candidates += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def hold(
        self,
        entry: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        seq: cython.longlong,
        flow: cython.longlong,
    ) -> cython.bint:
        """Keep the packet at hand with an entry of the desk; false where it has no room."""
        words: cython.Py_ssize_t = RECORD * self.record
        start: cython.Py_ssize_t = self.records[words + 1]
        row: cython.Py_ssize_t
        if not self.holding:
            return False
        row = self.desk.keep(entry, self.data, start, self.records[words + 2])
        if row < 0:
            return False
        self.write(self.desk.rows, row, kind, at, seq, flow)
        self.desk.rows[row + 1] = -1 - row // ROW
        self.desk.rows[row + 2] -= start
        self.desk.rows[row + 7] -= start
        if self.src_mac >= 0:
            self.desk.rows[row + 9] -= start
        if self.dst_mac >= 0:
            self.desk.rows[row + 10] -= start
        self.desk.rows[row + 16] = self.now
        self.desk.rows[row + 17] = self.records[words + 2]
        self.desk.rows[row + 18] = self.records[words + 3]
        self.desk.rows[row + 19] = self.records[words + 4]
        self.desk.rows[row + 20] = self.records[words + 5]
        self.desk.rows[row + 21] = self.first_number + self.record
        self.desk.rows[row + 22] = self.listed
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def release(self, entry: cython.Py_ssize_t) -> cython.void:
        """Hand on the packets of an entry of the desk, in the order in which they came; and
        all that its flow sends from now on."""
        place: cython.Py_ssize_t = ENTRY * entry
        count: cython.longlong = self.desk.entries[place + PIECES]
        row: cython.Py_ssize_t = ROW * EACH * entry
        to: cython.Py_ssize_t
        i: cython.Py_ssize_t
        self.flows.elsewhere(self.desk.entries[place + FLOW])
        while count > 0:
            to = self.count * WIDTH
            for i in range(WIDTH):
                self.out[to + i] = self.desk.rows[row + i]
            self.count += 1
            self.candidates += 1
            row += ROW
            count -= 1
        self.desk.leave(entry)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def age(self, before: cython.longlong) -> cython.void:
        """Hand on the packets of entries that wait since before a time."""
        entry: cython.Py_ssize_t = self.desk.oldest()
        while entry >= 0 and self.desk.entries[ENTRY * entry + TIME] < before:
            self.release(entry)
            entry = self.desk.oldest()
