# cython: language_level=3, boundscheck=True, wraparound=False
"""The flows that are owed more bytes: the state of TCP in the hot loop.

A ClientHello or request head does not fit one segment any more, and its continuation
looks like nothing. So each conversation has a slot in a table of fixed size; a side of
it is *opened* by its SYN, *owed* from the first byte of something that goes on, *early*
when it was met in mid-flow (its first segments may be a hello's end that came before
its start), and else *quiet*. Only segments of sides that are not quiet are passed on.
The slot also counts the payload bytes of each side.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.table import Slots
else:
    from netwatch.dissect.flows.table import Slots

LAST = cython.declare(cython.Py_ssize_t, 1)
OWED = cython.declare(cython.Py_ssize_t, 2)
BYTES = cython.declare(cython.Py_ssize_t, 4)
STATE = cython.declare(cython.Py_ssize_t, 6)
GENERATION = cython.declare(cython.Py_ssize_t, 7)
FIRST = cython.declare(cython.Py_ssize_t, 8)

NEW = cython.declare(cython.longlong, 0)
OPENED = cython.declare(cython.longlong, 1)
WAITING = cython.declare(cython.longlong, 2)
EARLY = cython.declare(cython.longlong, 3)
QUIET = cython.declare(cython.longlong, 4)

EARLY_SEGMENTS = cython.declare(cython.longlong, 16)
"""Segments passed on of a side that was met in mid-flow and looked like nothing yet."""

WINDOW = cython.declare(cython.longlong, 65536)
"""How far behind the SYN's number a segment may lie that came before the first one."""

WHOLE = cython.declare(cython.longlong, 1)
SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)


@cython.cclass
class Flows(Slots):
    """What each side of a conversation has begun, and owes."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def set_state(
        self, slot: cython.Py_ssize_t, side: cython.int, state: cython.longlong
    ) -> cython.void:
        """Put one side into a state, leaving the other's."""
        shift: cython.int = 8 * side
        keep: cython.longlong = self.table[slot + STATE] & (255 << (8 - shift))
        self.table[slot + STATE] = keep | (state << shift)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def syn(self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong) -> cython.bint:
        """A connection is asked for: the first byte of `side` will have the number `seq`.
        Ports used again make a new generation, a SYN that comes again or late does not;
        whether it did."""
        known: cython.longlong = self.table[slot + OWED + side]
        again: cython.bint = self.table[slot + STATE] != 0
        if again:
            if known >> 32 and known & SEQ == seq:
                return False
            self.close(slot)
            self.table[slot + GENERATION] = (self.table[slot + GENERATION] + 1) & 255
            self.table[slot + BYTES] = 0
            self.table[slot + BYTES + 1] = 0
            self.table[slot + FIRST] = self.table[slot + LAST]
            self.flows += 1
        self.table[slot + STATE] = OPENED << (8 * side)
        self.table[slot + OWED + side] = seq | (WINDOW << 32)
        return again

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def opened(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.void:
        """The side that was asked answers: its first byte will have the number `seq`."""
        self.set_state(slot, side, OPENED)
        self.table[slot + OWED + side] = seq | (WINDOW << 32)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def is_open(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.bint:
        """Whether of `side` no more than its SYN is known."""
        return (self.table[slot + STATE] >> (8 * side)) & 255 == OPENED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def first(self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong) -> cython.bint:
        """Whether `seq` is the number of the first byte of `side`, as far as is known."""
        return self.is_open(slot, side) and self.table[slot + OWED + side] & SEQ == seq

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def may_begin(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.bint:
        """Whether `seq` may be the number of the first byte of `side`: it is known to
        be, or nothing is known."""
        state: cython.longlong = (self.table[slot + STATE] >> (8 * side)) & 7
        return state in (NEW, EARLY) or self.first(slot, side, seq)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def quiet(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """Nothing more is wanted of `side`, whatever it looks like later is."""
        self.set_state(slot, side, QUIET)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def finish(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.void:
        """A whole message started at `seq`; nothing more is wanted of `side`."""
        self.set_state(slot, side, QUIET)
        self.table[slot + OWED + side] = seq | (WHOLE << 32)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def repeated(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.bint:
        """Whether the last whole message of `side` started at `seq` as well."""
        state: cython.longlong = (self.table[slot + STATE] >> (8 * side)) & 255
        return state == QUIET and self.table[slot + OWED + side] == seq | (WHOLE << 32)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def alone(self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong) -> cython.bint:
        """Whether a message of `side` at `seq` stands alone: it is the first one, or begins
        behind the start of the last, which was whole."""
        state: cython.longlong = (self.table[slot + STATE] >> (8 * side)) & 255
        known: cython.longlong = self.table[slot + OWED + side]
        ahead: cython.longlong = (seq - known) & SEQ
        if state == QUIET:
            return known >> 32 == WHOLE and 0 < ahead <= SEQ >> 1
        return state == NEW or self.first(slot, side, seq)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def wait(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """`side` began a message in datagrams, which may or may not become whole."""
        self.set_state(slot, side, WAITING)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def owe(
        self,
        slot: cython.Py_ssize_t,
        side: cython.int,
        seq: cython.longlong,
        need: cython.longlong,
    ) -> cython.void:
        """`side` owes `need` bytes from `seq` on."""
        self.set_state(slot, side, WAITING)
        self.table[slot + OWED + side] = seq | (need << 32)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def talks(self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong) -> cython.int:
        """1 where `side` owes more than a message, and a segment at `seq` is of that: it is
        to be passed on whatever it looks like; 2 where it is the first behind that."""
        owed: cython.longlong = self.table[slot + OWED + side]
        ahead: cython.longlong = (seq - owed) & SEQ
        state: cython.longlong = (self.table[slot + STATE] >> (8 * side)) & 255
        if owed >> 32 <= WINDOW or state != WAITING or ahead > SEQ >> 1:
            return 0
        if ahead < owed >> 32:
            return 1
        self.quiet(slot, side)
        return 2

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def wants(
        self,
        slot: cython.Py_ssize_t,
        side: cython.int,
        seq: cython.longlong,
        size: cython.longlong,
    ) -> cython.bint:
        """Whether a segment that looks like nothing is to be passed on all the same."""
        state: cython.longlong = (self.table[slot + STATE] >> (8 * side)) & 255
        owed: cython.longlong = self.table[slot + OWED + side]
        start: cython.longlong = owed & SEQ
        ahead: cython.longlong = (seq - start) & SEQ
        if state == QUIET:
            return False
        if state == OPENED:
            if ahead == 0 and size >= 8:
                self.quiet(slot, side)
                return False
            return ahead < WINDOW
        if state == WAITING:
            return ahead < owed >> 32 or ahead + size > SEQ + 1
        if state == NEW:
            state = EARLY
        if state >> 3 >= EARLY_SEGMENTS:
            self.quiet(slot, side)
            return False
        self.set_state(slot, side, state + 8)
        return True
