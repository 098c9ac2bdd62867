# cython: language_level=3, boundscheck=True, wraparound=False
"""Hellos that are not whole in one segment, and those of QUIC, held against the zones here.

Where such a hello shows a name of no interest it is counted, and no packet of it is handed
on. Anything that is not as usual is: then all packets of the hello become rows, and so does
all that its flow sends later, so that one reader alone has the whole story.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.candidates import Rows
    from cython.cimports.netwatch.dissect.quic.initial_packets import Initials
else:
    from netwatch.dissect.loop.candidates import Rows
    from netwatch.dissect.quic.initial_packets import Initials

from netwatch.dissect.loop.hello_buffer import Desk

HELLOS = cython.declare(cython.Py_ssize_t, 129)
HELLO = cython.declare(cython.longlong, 4096)
FLOW = cython.declare(cython.Py_ssize_t, 0)
SIDE = cython.declare(cython.Py_ssize_t, 1)
BASE = cython.declare(cython.Py_ssize_t, 2)
TIME = cython.declare(cython.Py_ssize_t, 3)
WORDS = cython.declare(cython.Py_ssize_t, 8)
ID = cython.declare(cython.Py_ssize_t, 22)

NAMED = cython.declare(cython.longlong, 3)
TLS_SNI = cython.declare(cython.Py_ssize_t, 3)
QUIC_SNI = cython.declare(cython.Py_ssize_t, 4)
KIND_TLS = cython.declare(cython.longlong, 2)
KIND_QUIC = cython.declare(cython.longlong, 3)
SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)
CRYPTO = cython.declare(cython.int, 6)

# Words and bits of a slot of the flow table.
ABOUT = cython.declare(cython.Py_ssize_t, 18)
ENTRY = cython.declare(cython.Py_ssize_t, 23)
OWED = cython.declare(cython.Py_ssize_t, 2)
ELSEWHERE = cython.declare(cython.longlong, 1 << 14)


@cython.cclass
class Hellos(Rows):
    """`ids` has the keys' version and connection id for each entry of the desk."""

    def furnish(self) -> None:
        """Make the desk."""
        self.desk = Desk()
        self.initials = Initials()
        self.ids = array("B", bytes(ID * HELLOS))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def entry(self, slot: cython.Py_ssize_t, flow: cython.longlong) -> cython.Py_ssize_t:
        """The entry of the desk that a flow has; the spare one, made ready, where none."""
        found: cython.Py_ssize_t = self.flows.table[slot + ENTRY] - 1
        if found >= 0 and self.desk.entries[WORDS * found + FLOW] == flow:
            return found
        self.desk.begin(flow, self.side, 0, self.now)
        return self.desk.spare

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def give_up(self, slot: cython.Py_ssize_t, flow: cython.longlong) -> cython.void:
        """Hand on what the desk has of a flow, and all that comes of it."""
        found: cython.Py_ssize_t = self.flows.table[slot + ENTRY] - 1
        if found >= 0 and self.desk.entries[WORDS * found + FLOW] == flow:
            self.release(found)
        self.flows.table[slot + ABOUT] |= ELSEWHERE

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def first_seen(self, slot: cython.Py_ssize_t) -> cython.bint:
        """Whether nothing of a hello of this flow waits, nor is read elsewhere."""
        return (
            self.flows.table[slot + ENTRY] == 0 and self.flows.table[slot + ABOUT] & ELSEWHERE == 0
        )

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def let_go(self, slot: cython.Py_ssize_t) -> cython.void:
        """Something else comes of a flow: what the desk has of it goes first."""
        if self.flows.table[slot + ENTRY] != 0:
            self.give_up(slot, self.flows.name(slot))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def put_by(
        self,
        slot: cython.Py_ssize_t,
        entry: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        seq: cython.longlong,
        flow: cython.longlong,
    ) -> cython.bint:
        """Keep the packet at hand, whose piece is in its place; false where it cannot be."""
        if not self.hold(entry, kind, at, seq, flow):
            return False
        if entry != self.desk.spare:
            return True
        if not self.desk.settle():
            return False
        self.flows.table[slot + ENTRY] = entry + 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def idle_in(
        self, entry: cython.Py_ssize_t, start: cython.Py_ssize_t, stop: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether the ClientHello that lies so in an entry of the desk is of no interest."""
        there: cython.const[cython.uchar][::1] = self.data
        idle: cython.bint
        self.data = self.desk.hellos
        idle = self.hello_idle(HELLO * entry + start, HELLO * entry + stop)
        self.data = there
        return idle

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def done(self, slot: cython.Py_ssize_t, entry: cython.Py_ssize_t) -> cython.void:
        """The hello of an entry was told."""
        self.flows.tell(slot, NAMED)
        self.flows.table[slot + ENTRY] = 0
        if entry != self.desk.spare:
            self.desk.drop(entry)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def number(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.longlong:
        """A number of `size` bytes in the hellos on the desk."""
        value: cython.longlong = 0
        while size > 0:
            value = (value << 8) | self.desk.hellos[at]
            at += 1
            size -= 1
        return value

    # TLS

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def segment(
        self,
        slot: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        seq: cython.longlong,
    ) -> cython.bint:
        """Whether a segment that starts a ClientHello, or may go on with one, needs no row:
        it is kept, or the hello was told."""
        flow: cython.longlong = self.flows.name(slot)
        if not self.filtering or self.flows.table[slot + ABOUT] & ELSEWHERE:
            return False
        if self.end == self.wire_end and self.joined(slot, kind, at, seq, flow):
            return True
        self.give_up(slot, flow)
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def joined(
        self,
        slot: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        seq: cython.longlong,
        flow: cython.longlong,
    ) -> cython.bint:
        """Take a segment to what the desk has of its hello: whether all is as usual."""
        entry: cython.Py_ssize_t = self.entry(slot, flow)
        place: cython.Py_ssize_t = WORDS * entry
        hello: cython.Py_ssize_t = HELLO * entry
        position: cython.longlong
        size: cython.longlong = self.end - at
        total: cython.longlong
        if entry == self.desk.spare:
            # Of a side whose SYN was seen the number of the first byte is known.
            if kind == KIND_TLS:
                self.desk.entries[place + BASE] = seq
            elif self.flows.is_open(slot, self.side):
                self.desk.entries[place + BASE] = self.flows.table[slot + OWED + self.side] & SEQ
            else:
                return False
        elif self.desk.entries[place + SIDE] != self.side:
            return False
        position = (seq - self.desk.entries[place + BASE]) & SEQ
        if (kind == KIND_TLS) != (position == 0) or (position == 0 and size < 9):
            return False
        if not self.desk.place(entry, position, self.data, at, size):
            return False
        size = self.desk.reaches(entry)
        if size > 0:
            total = 5 + self.number(hello + 3, 2)
            if total != 9 + self.number(hello + 6, 3) or total > HELLO:
                return False
            if size >= total:
                if not self.idle_in(entry, 5, total):
                    return False
                self.flows.finish(slot, self.side, self.desk.entries[place + BASE])
                self.passed[TLS_SNI] += 1
                self.done(slot, entry)
                return True
        return self.put_by(slot, entry, kind, at, seq, flow)

    # QUIC

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def initial(self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t) -> cython.bint:
        """Whether a datagram that starts with a QUIC Initial packet needs no row: it is
        kept, its hello was told, or it is the server's answer to one."""
        flow: cython.longlong = self.flows.name(slot)
        entry: cython.Py_ssize_t
        if self.flows.settled(slot, self.side):
            return True
        if not self.filtering or self.flows.table[slot + ABOUT] & ELSEWHERE:
            return False
        entry = self.entry(slot, flow)
        if self.desk.entries[WORDS * entry + SIDE] != self.side:
            # What was sent before that, and put together since, answers nothing.
            return self.now >= self.desk.entries[WORDS * entry + TIME]
        if self.end == self.wire_end and self.opened(slot, entry, at, flow):
            return True
        self.give_up(slot, flow)
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def opened(
        self,
        slot: cython.Py_ssize_t,
        entry: cython.Py_ssize_t,
        at: cython.Py_ssize_t,
        flow: cython.longlong,
    ) -> cython.bint:
        """Take what a client's Initial packet holds to what the desk has of its hello:
        whether all is as usual."""
        hello: cython.Py_ssize_t = HELLO * entry
        total: cython.longlong
        size: cython.longlong = self.initials.open(self.data, at, self.end)
        if size < 0:
            return False
        # Zeros behind it are padding; another packet with a long header is not.
        if self.initials.behind < self.end and self.data[self.initials.behind] >= 128:
            return False
        if not (self.same_keys(entry) and self.frames(entry, size)):
            return False
        size = self.desk.reaches(entry)
        if size >= 4:
            total = 4 + self.number(hello + 1, 3)
            if self.desk.hellos[hello] != 1 or size > total or total > HELLO:
                return False
            if size == total:
                if not self.idle_in(entry, 0, total):
                    return False
                self.flows.quiet(slot, self.side)
                self.flows.told(slot, self.side, self.desk.entries[WORDS * entry + TIME])
                self.passed[QUIC_SNI] += 1
                self.done(slot, entry)
                return True
        self.flows.wait(slot, self.side)
        return self.put_by(slot, entry, KIND_QUIC, at, 0, flow)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def same_keys(self, entry: cython.Py_ssize_t) -> cython.bint:
        """Whether the packet that was opened has the keys of those before it."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t = ID * entry
        fresh: cython.bint = entry == self.desk.spare
        for i in range(2 + self.initials.known[1]):
            if fresh:
                self.ids[at + i] = self.initials.known[i]
            elif self.ids[at + i] != self.initials.known[i]:
                return False
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def frames(self, entry: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.bint:
        """Put what the CRYPTO frames of the packet that was opened carry (RFC 9000 section
        19.6) into their places; false where there are none, or any but PADDING and PING
        beside them."""
        plain: cython.uchar[::1] = self.initials.plain
        offset: cython.longlong
        length: cython.longlong
        found: cython.bint = False
        self.initials.pos = 0
        while self.initials.pos < size:
            if plain[self.initials.pos] == CRYPTO:
                self.initials.pos += 1
                offset = self.initials.varint(plain, size)
                length = self.initials.varint(plain, size)
                if offset < 0 or length < 0 or length > size - self.initials.pos:
                    return False
                if not self.desk.place(entry, offset, plain, self.initials.pos, length):
                    return False
                self.initials.pos += length
                found = True
            elif plain[self.initials.pos] > 1:
                return False
            else:
                self.initials.pos += 1
        return found
