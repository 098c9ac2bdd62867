# cython: language_level=3, boundscheck=True, wraparound=False
"""The flows that are owed more bytes: the only state of the hot loop.

A ClientHello or request head does not fit one segment any more, and its continuation
looks like nothing. So each conversation has a slot in a table of fixed size; a side of
it is *opened* by its SYN, *owed* from the first byte of something that goes on, *early*
when it was met in mid-flow (its first segments may be a hello's end that came before
its start), and else *quiet*. Only segments of sides that are not quiet are passed on.
The slot also counts the payload bytes of each side.

The table is set-associative, eight slots a set: a full set drops the slot that was
silent longest, opened ones without data first, and counts it where the flow may still
have been alive. Where flows are recorded, what is dropped, and at the end all that is
left, is written to a list of flows that are over, with their ends and what came of them.
"""

from array import array

import cython

WIDTH = cython.declare(cython.Py_ssize_t, 24)
WAYS = cython.declare(cython.Py_ssize_t, 8)

# A slot: flow key, time of the last packet, for each side where what is owed starts
# (TCP sequence number) and its length above it, payload bytes of each side, the state
# of each side with the number of early segments passed on, and the generation with the
# outcome above it. Then, looked at when the flow starts and ends only: time of the first
# packet, addresses of side 0 and side 1 (four words each), ports, and what else is known:
# protocol, whether IPv6, VLAN, who opened it; number of the first packet, and the MACs of
# both sides in it.
KEY = cython.declare(cython.Py_ssize_t, 0)
LAST = cython.declare(cython.Py_ssize_t, 1)
OWED = cython.declare(cython.Py_ssize_t, 2)
BYTES = cython.declare(cython.Py_ssize_t, 4)
STATE = cython.declare(cython.Py_ssize_t, 6)
GENERATION = cython.declare(cython.Py_ssize_t, 7)
FIRST = cython.declare(cython.Py_ssize_t, 8)
ADDRESSES = cython.declare(cython.Py_ssize_t, 9)
PORTS = cython.declare(cython.Py_ssize_t, 17)
ABOUT = cython.declare(cython.Py_ssize_t, 18)
NUMBER = cython.declare(cython.Py_ssize_t, 19)
MACS = cython.declare(cython.Py_ssize_t, 20)

# In ABOUT: protocol in 8 bits, IPv6, client known, client is side 1, start seen; VLAN
# and 1 from bit 16 on.
IPV6 = cython.declare(cython.longlong, 1 << 8)
CLIENT = cython.declare(cython.longlong, 1 << 9)
CLIENT_1 = cython.declare(cython.longlong, 1 << 10)
STARTED = cython.declare(cython.longlong, 1 << 11)

NEW = cython.declare(cython.longlong, 0)
OPENED = cython.declare(cython.longlong, 1)
WAITING = cython.declare(cython.longlong, 2)
EARLY = cython.declare(cython.longlong, 3)
QUIET = cython.declare(cython.longlong, 4)

EARLY_SEGMENTS = cython.declare(cython.longlong, 16)
"""Segments passed on of a side that was met in mid-flow and looked like nothing yet."""

WINDOW = cython.declare(cython.longlong, 65536)
"""How far behind the SYN's number a segment may lie that came before the first one."""

FIELDS = 24
"""Words of a slot, as a flow that is over is told."""

GRACE = cython.declare(cython.longlong, 30_000_000_000)
"""A waiting side is kept this much longer than others when its set is full, ns."""

WHOLE = cython.declare(cython.longlong, 1)
SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)
ALIVE = cython.declare(cython.longlong, 60_000_000_000)
"""A flow silent for less may still be alive when its slot is taken, ns."""

LIST = cython.declare(cython.longlong, 4096)
MARGIN = cython.declare(cython.longlong, 128)

FOREVER = cython.declare(cython.longlong, 0x7FFFFFFFFFFFFFFF)
KEY_MASK = cython.declare(cython.longlong, 0x7FFFFFFFFFFFFF00)


@cython.cclass
class Flows:
    """A table of `slots` conversations (a power of two), both sides of each in one slot.

    A key is 63 bits, the same for both directions, its low 8 bits are not used; `side`
    is 0 or 1, by which end sends. `fresh` is whether `find` made the slot that it gave.
    """

    def __init__(self, slots: int, recording: bool = False) -> None:
        if slots < 8 or slots & (slots - 1):
            raise ValueError("slots must be a power of two, eight at least")
        self.table = array("q", bytes(8 * WIDTH * slots))
        self.mask = slots // 8 - 1
        self.flows = 0
        self.evicted = 0
        self.fresh = False
        self.recording = recording
        self.ended = array("q", bytes(8 * WIDTH * (LIST + MARGIN)) if recording else bytes(8))
        self.over = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def seek(self, key: cython.longlong) -> cython.Py_ssize_t:
        """Where the slot of `key` starts, or -1."""
        slot: cython.Py_ssize_t = ((key >> 9) & self.mask) * WAYS * WIDTH
        _: cython.Py_ssize_t
        for _ in range(WAYS):
            if self.table[slot] == key:
                return slot
            slot += WIDTH
        return -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def find(self, key: cython.longlong, now: cython.longlong) -> cython.Py_ssize_t:
        """Where the slot of `key` starts, made where there was none."""
        slot: cython.Py_ssize_t = ((key >> 9) & self.mask) * WAYS * WIDTH
        victim: cython.Py_ssize_t = slot
        way: cython.Py_ssize_t
        age: cython.longlong
        oldest: cython.longlong = 0
        state: cython.longlong
        for way in range(WAYS):
            if self.table[slot] == key:
                self.table[slot + LAST] = now
                self.fresh = False
                return slot
            state = self.table[slot + STATE]
            age = self.table[slot + LAST]
            if state & 7 == WAITING or (state >> 8) & 7 == WAITING:
                age += GRACE
            elif self.table[slot + BYTES] + self.table[slot + BYTES + 1] == 0:
                age -= GRACE
            if self.table[slot] == 0:
                age = -GRACE - 1
            if way == 0 or age < oldest:
                oldest = age
                victim = slot
            slot += WIDTH
        if self.table[victim] != 0:
            if now - self.table[victim + LAST] < ALIVE:
                self.evicted += 1
            self.close(victim)
        self.flows += 1
        for way in range(WIDTH):
            self.table[victim + way] = 0
        self.table[victim] = key
        self.table[victim + LAST] = now
        self.table[victim + FIRST] = now
        self.fresh = True
        return victim

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def client(
        self, slot: cython.Py_ssize_t, side: cython.int, started: cython.bint
    ) -> cython.void:
        """Which side of the flow asks; `started` where its very start was seen."""
        word: cython.longlong = self.table[slot + ABOUT]
        if word & CLIENT == 0 or started:
            word &= ~CLIENT_1
            word |= CLIENT | (CLIENT_1 if side else 0) | (STARTED if started else 0)
            self.table[slot + ABOUT] = word

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def close(self, slot: cython.Py_ssize_t) -> cython.void:
        """A flow is over: write it to the list, where flows are recorded."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t = self.over * WIDTH
        if not self.recording or self.over >= LIST + MARGIN:
            return
        for i in range(WIDTH):
            self.ended[at + i] = self.table[slot + i]
        self.over += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def tell(self, slot: cython.Py_ssize_t, outcome: cython.longlong) -> cython.void:
        """What became of the flow's name, a number; a greater one stands over a lesser."""
        word: cython.longlong = self.table[slot + GENERATION]
        if outcome > (word >> 8) & 255:
            self.table[slot + GENERATION] = (word & 255) | (outcome << 8)

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
    def first(self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong) -> cython.bint:
        """Whether `seq` is the number of the first byte of `side`, as far as is known."""
        return (self.table[slot + STATE] >> (8 * side)) & 255 == OPENED and self.table[
            slot + OWED + side
        ] & SEQ == seq

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

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def count(
        self, slot: cython.Py_ssize_t, side: cython.int, size: cython.longlong
    ) -> cython.void:
        """Add `size` bytes of payload to `side`."""
        self.table[slot + BYTES + side] += size

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def name(self, slot: cython.Py_ssize_t) -> cython.longlong:
        """The conversation's name in rows: its key, and the generation in the low bits."""
        return self.table[slot] | (self.table[slot + GENERATION] & 255)

    def bytes_of(self, flow: cython.longlong) -> tuple[int, int]:
        """Payload bytes of side 0 and side 1 of the conversation that rows name `flow`;
        zeros when its slot was dropped or taken over."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot < 0 or self.table[slot + GENERATION] & 255 != flow & 255:
            return (0, 0)
        return (self.table[slot + BYTES], self.table[slot + BYTES + 1])

    def mark(self, flow: cython.longlong, outcome: cython.longlong) -> bool:
        """What a message told of the name of the flow that rows name `flow` (see `tell`);
        false where its slot was dropped or taken over."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot >= 0 and self.table[slot + GENERATION] & 255 == flow & 255:
            self.tell(slot, outcome)
            return True
        return False

    def take(self) -> list[int]:
        """The flows that are over since the last call, `FIELDS` integers each, in the order
        they ended: the words of a slot."""
        words = [self.ended[i] for i in range(self.over * WIDTH)]
        self.over = 0
        return words

    def drain(self, before: cython.longlong = FOREVER) -> bool:
        """Close flows whose last packet came earlier than `before` (ns), all where nothing
        is said, as many as the list has room for; whether that were all."""
        slot: cython.Py_ssize_t
        for slot in range(0, len(self.table), WIDTH):
            if self.table[slot] != 0 and self.table[slot + LAST] < before:
                if self.over >= LIST:
                    return False
                self.close(slot)
                self.table[slot] = 0
        return True
