# cython: language_level=3, boundscheck=True, wraparound=False
"""The table of flows: a slot for each conversation, what is known of it, and its end.

The table is set-associative, eight slots a set: a full set drops the slot that was
silent longest, opened ones without data first, and counts it where the flow may still
have been alive. Where flows are recorded, what is dropped, and at the end all that is
left, is written to a list of flows that are over, with their ends and what came of them.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

WIDTH = cython.declare(cython.Py_ssize_t, 24)
WAYS = cython.declare(cython.Py_ssize_t, 8)
LINE = cython.declare(cython.Py_ssize_t, 8)
"""Words of a line of the cache."""

# A slot: flow key, time of the last packet, for each side where what is owed starts
# (TCP sequence number) and its length above it, payload bytes of each side, the state
# of each side with the number of early segments passed on, and the generation with the
# name_status above it. Then, looked at when the flow starts and ends only: time of the first
# packet, addresses of side 0 and side 1 (four words each), ports, and what else is known:
# protocol, whether IPv6, VLAN, who opened it; number of the first packet, and the MACs of
# both sides in it. Last, of hellos that the loop itself reads: when the side whose hello
# was told sent last, and the flow's entry on the desk and 1. With datagrams, the first word
# of what is owed is when that hello began.
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
SPOKE = cython.declare(cython.Py_ssize_t, 22)
ENTRY = cython.declare(cython.Py_ssize_t, 23)

# In ABOUT: protocol in 8 bits, IPv6, client known, client is side 1, start seen, a hello in
# datagrams was told here, side 1 sent that, hellos of the flow are read elsewhere, its end
# is to be told; VLAN and 1 from bit 16 on.
IPV6 = cython.declare(cython.longlong, 1 << 8)
CLIENT = cython.declare(cython.longlong, 1 << 9)
CLIENT_1 = cython.declare(cython.longlong, 1 << 10)
STARTED = cython.declare(cython.longlong, 1 << 11)
TOLD = cython.declare(cython.longlong, 1 << 12)
TOLD_1 = cython.declare(cython.longlong, 1 << 13)
ELSEWHERE = cython.declare(cython.longlong, 1 << 14)
FOLLOWED = cython.declare(cython.longlong, 1 << 15)

WAITING = cython.declare(cython.longlong, 2)
"""The state of a side that owes bytes (`netwatch.dissect.flows.tcp_state`)."""

FIELDS = 24
"""Words of a slot, as a flow that is over is told."""

GRACE = cython.declare(cython.longlong, 30_000_000_000)
"""A waiting side is kept this much longer than others when its set is full, ns."""

AGAIN = cython.declare(cython.longlong, 10_000_000_000)
"""Silence after which the same ports may start another connection, ns, as
`netwatch.dissect.reassembly.handshakes` has it."""

ALIVE = cython.declare(cython.longlong, 60_000_000_000)
"""A flow silent for less may still be alive when its slot is taken, ns."""

LIST = cython.declare(cython.longlong, 4096)
MARGIN = cython.declare(cython.longlong, 128)

FOREVER = cython.declare(cython.longlong, 0x7FFFFFFFFFFFFFFF)
KEY_MASK = cython.declare(cython.longlong, 0x7FFFFFFFFFFFFF00)


@cython.cclass
class Slots:
    """A table of `slots` conversations (a power of two), both sides of each in one slot.

    A key is 63 bits, the same for both directions, its low 8 bits are not used; `side`
    is 0 or 1, by which end sends. `index` has the keys alone, close together. `fresh` is
    whether `find` made the slot that it gave.
    """

    def __init__(self, slots: int, recording: bool = False) -> None:
        if slots < 8 or slots & (slots - 1):
            raise ValueError("slots must be a power of two, eight at least")
        table = array("q", bytes(8 * (WIDTH * slots + LINE)))
        # so that the first words of a slot share a line of the processor's cache
        start = -(table.buffer_info()[0] // 8) % LINE
        self.table = memoryview(table)[start : start + WIDTH * slots]
        self.index = array("q", bytes(8 * slots))
        self.mask = slots // 8 - 1
        self.flows = 0
        self.evicted = 0
        self.fresh = False
        self.recording = recording
        self.store = array("q", bytes(8 * WIDTH * (LIST + MARGIN)) if recording else bytes(8))
        self.ended = self.store
        self.over = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    @cython.final
    def seek(self, key: cython.longlong) -> cython.Py_ssize_t:
        """Where the slot of `key` starts, or -1."""
        first: cython.Py_ssize_t = ((key >> 9) & self.mask) * WAYS
        place: cython.Py_ssize_t
        for place in range(first, first + WAYS):
            if self.index[place] == key:
                return place * WIDTH
        return -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def find(self, key: cython.longlong, now: cython.longlong) -> cython.Py_ssize_t:
        """Where the slot of `key` starts, made where there was none."""
        slot: cython.Py_ssize_t = self.seek(key)
        victim: cython.Py_ssize_t
        way: cython.Py_ssize_t
        age: cython.longlong
        oldest: cython.longlong = 0
        state: cython.longlong
        if slot >= 0:
            self.table[slot + LAST] = now
            self.fresh = False
            return slot
        slot = ((key >> 9) & self.mask) * WAYS * WIDTH
        victim = slot
        for way in range(WAYS):
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
        self.index[victim // WIDTH] = key
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
    def tell(self, slot: cython.Py_ssize_t, name_status: cython.longlong) -> cython.void:
        """What became of the flow's name, a number; a greater one stands over a lesser."""
        word: cython.longlong = self.table[slot + GENERATION]
        if name_status > (word >> 8) & 255:
            self.table[slot + GENERATION] = (word & 255) | (name_status << 8)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def told(
        self, slot: cython.Py_ssize_t, side: cython.int, begun: cython.longlong
    ) -> cython.void:
        """The hello that `side` sent in datagrams, from the time `begun` on, was told."""
        self.table[slot + ABOUT] |= TOLD | (TOLD_1 if side else 0)
        self.table[slot + OWED] = begun
        self.table[slot + SPOKE] = self.table[slot + LAST]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def settled(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.bint:
        """Whether the hello in datagrams was told, so that what `side` sends shows nothing;
        not after a silence, and not what was sent before that and put together since."""
        about: cython.longlong = self.table[slot + ABOUT]
        now: cython.longlong = self.table[slot + LAST]
        if about & TOLD == 0:
            return False
        if now - self.table[slot + SPOKE] > AGAIN:
            self.table[slot + ABOUT] = about & ~(TOLD | TOLD_1)
            return False
        if side == (1 if about & TOLD_1 else 0):
            self.table[slot + SPOKE] = now
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def elsewhere(self, flow: cython.longlong) -> cython.void:
        """Hellos of the flow that rows name `flow` are read elsewhere from now on."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot >= 0 and self.table[slot + GENERATION] & 255 == flow & 255:
            self.table[slot + ABOUT] |= ELSEWHERE
            self.table[slot + ENTRY] = 0

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

    def mark(self, flow: cython.longlong, name_status: cython.longlong) -> bool:
        """What a message told of the name of the flow that rows name `flow` (see `tell`);
        false where its slot was dropped or taken over."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot >= 0 and self.table[slot + GENERATION] & 255 == flow & 255:
            self.tell(slot, name_status)
            return True
        return False

    def follow(self, flow: cython.longlong) -> bool:
        """The end of the flow that rows name `flow` is to be told; false where its slot was
        dropped or taken over."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot >= 0 and self.table[slot + GENERATION] & 255 == flow & 255:
            self.table[slot + ABOUT] |= FOLLOWED
            return True
        return False

    def take(self) -> "array[int]":
        """The flows that are over since the last call, `FIELDS` integers each, in the order
        they ended: the words of a slot."""
        words = self.store[: self.over * WIDTH]
        self.over = 0
        return words

    def used(self) -> tuple[int, int]:
        """How many slots hold a conversation, and how many there are."""
        slot: cython.Py_ssize_t
        count: cython.longlong = 0
        for slot in range(0, len(self.table), WIDTH):
            if self.table[slot] != 0:
                count += 1
        return count, len(self.table) // WIDTH

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
                self.index[slot // WIDTH] = 0
        return True
