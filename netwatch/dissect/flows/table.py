# cython: language_level=3, boundscheck=True, wraparound=False
"""The flow table: a slot with the state of each conversation.

The table is set-associative with eight slots per set. A full set evicts the slot that was silent
longest, connections without data first. An eviction is counted if the flow may still have been
alive. If flows are recorded, evicted ones, and at the end all others, are appended to a list of
closed flows. The words of a slot are the ``FLOW_`` constants of `netwatch.dissect.loop.layout`.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy, memset
    from cython.cimports.netwatch.dissect.flows.table import prefetch
    from cython.cimports.netwatch.dissect.loop import layout
else:
    from netwatch.dissect.loop import layout

from netwatch.core.buffers import Buffer, Words, zeroed

WAYS = cython.declare(cython.Py_ssize_t, 8)
"""Slots in a set."""

LINE = cython.declare(cython.Py_ssize_t, 8)
"""Words in a cache line of the processor."""

REGION = cython.declare(cython.Py_ssize_t, 512)
"""Slots that share a flag whether any was used: their keys fill a page of memory."""

EXPECTING_GRACE = cython.declare(cython.longlong, 30_000_000_000)
"""A flow that expects more bytes is evicted so much later than others, ns."""

NEW_CONNECTION = cython.declare(cython.longlong, 10_000_000_000)
"""Silence after which the same ports may start another connection, ns, as in
`netwatch.dissect.reassembly.handshakes`."""

ALIVE = cython.declare(cython.longlong, 60_000_000_000)
"""A flow that was silent for less may still be alive when its slot is reused, ns."""

CAPACITY = cython.declare(cython.longlong, 4096)
MARGIN = cython.declare(cython.longlong, 128)
"""Closed flows that may wait before the loop stops to report them, and how many more one packet may
close."""

LATEST = cython.declare(cython.longlong, 0x7FFFFFFFFFFFFFFF)
SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)
PLACED = cython.declare(cython.longlong, 1 << 34)
CONTESTED = cython.declare(cython.longlong, 1 << 35)
"""The word `FLOW_ACKED` of a side if it is unknown which bytes its peer took."""

KEY_MASK = cython.declare(cython.longlong, 0x7FFFFFFFFFFFFF00)


@cython.final
@cython.cclass
class FlowTable:
    """A table of `slots` conversations (a power of two), both sides of each in one slot.

    A key has 63 bits and is the same for both directions; its low 8 bits are not used. A side is 0
    or 1, by which end sends. `index` contains only the keys, close together, 0 if a slot is free;
    `used` is 1 for each region of slots any of which was used. `is_new` tells whether `find` has
    created the slot that it returned. `total` counts all conversations, `evicted` those whose slot
    was reused while they may have been alive. With `recording`, `closed` flows wait in a list, each
    with the words of its slot. Of these, `held` were reported before.
    """

    def __init__(self, slots: int, recording: bool = False) -> None:
        if slots < 8 or slots & (slots - 1):
            raise ValueError("slots must be a power of two, at least eight")
        # It starts at a page, so that the first words of a slot share one cache line.
        self.table: Words = zeroed("q", layout.FLOW_WORDS * slots)
        self.index: Words = zeroed("q", slots)
        self.ranks: Words = zeroed("q", slots)
        self.used: Buffer = bytearray(-(-slots // REGION))
        self.slots = slots
        self.mask = slots // 8 - 1
        self.total = 0
        self.evicted = 0
        self.is_new = False
        self.recording = recording
        self.store = zeroed("q", layout.FLOW_WORDS * 2 * (CAPACITY + MARGIN) if recording else 0)
        self.closed_words: Words = self.store
        self.capacity = len(self.store) // layout.FLOW_WORDS
        self.closed = 0
        self.held = 0

    def prefetch_set(self, key: cython.longlong) -> cython.void:
        """Prefetch what tells where the flow `key` is or will be into the processor's cache."""
        if cython.compiled:
            first: cython.Py_ssize_t = ((key >> 9) & self.mask) * WAYS
            prefetch(cython.address(self.index[first]))
            prefetch(cython.address(self.ranks[first]))

    def prefetch_slot(self, key: cython.longlong) -> cython.void:
        """Prefetch the slot of the flow `key`, or the one that it will replace."""
        if cython.compiled:
            line: cython.Py_ssize_t
            slot: cython.Py_ssize_t = self.seek(key)
            if slot < 0 and self.seek_free(key) < 0:
                slot = self.least_recent(key)
            if slot >= 0:
                for line in range(layout.FLOW_WORDS // LINE):
                    prefetch(cython.address(self.table[slot + line * LINE]))

    def seek(self, key: cython.longlong) -> cython.Py_ssize_t:
        """Where the slot of `key` starts; -1 if it has none."""
        first: cython.Py_ssize_t = ((key >> 9) & self.mask) * WAYS
        place: cython.Py_ssize_t
        for place in range(first, first + WAYS):
            if self.index[place] == key:
                return place * layout.FLOW_WORDS
        return -1

    def find(self, key: cython.longlong, now: cython.longlong) -> cython.Py_ssize_t:
        """The start of the slot of `key`. It is created if there was none, and replaces the slot of
        its set that was silent longest if all are used."""
        slot: cython.Py_ssize_t = self.seek(key)
        if slot >= 0:
            self.ranks[slot // layout.FLOW_WORDS] += now - self.table[slot + layout.FLOW_LAST]
            self.table[slot + layout.FLOW_LAST] = now
            self.is_new = False
            return slot
        # Only keys are compared: most sets have a free slot, and a slot that was never used is not
        # in memory yet.
        slot = self.seek_free(key)
        if slot < 0:
            slot = self.least_recent(key)
            if now - self.table[slot + layout.FLOW_LAST] < ALIVE:
                self.evicted += 1
            self.close(slot)
        self.total += 1
        self.clear(slot)
        self.table[slot] = key
        self.index[slot // layout.FLOW_WORDS] = key
        self.ranks[slot // layout.FLOW_WORDS] = now - EXPECTING_GRACE
        self.used[slot // layout.FLOW_WORDS // REGION] = 1
        self.table[slot + layout.FLOW_LAST] = now
        self.table[slot + layout.FLOW_FIRST] = now
        self.is_new = True
        return slot

    def seek_free(self, key: cython.longlong) -> cython.Py_ssize_t:
        """The start of the first free slot in the set of `key`; -1 if all are used."""
        first: cython.Py_ssize_t = ((key >> 9) & self.mask) * WAYS
        place: cython.Py_ssize_t
        for place in range(first, first + WAYS):
            if self.index[place] == 0:
                return place * layout.FLOW_WORDS
        return -1

    def least_recent(self, key: cython.longlong) -> cython.Py_ssize_t:
        """The start of the slot that was silent longest in the full set of `key`."""
        first: cython.Py_ssize_t = ((key >> 9) & self.mask) * WAYS
        way: cython.Py_ssize_t
        rank: cython.longlong
        # The number of the slot is in the lowest bits, so that the processor need not guess.
        oldest: cython.longlong = LATEST
        for way in range(WAYS):
            rank = (self.ranks[first + way] & ~7) | way
            oldest = rank if rank < oldest else oldest
        return (first + (oldest & 7)) * layout.FLOW_WORDS

    def rank(self, slot: cython.Py_ssize_t) -> cython.void:
        """Decide how soon a slot is evicted, after a side has sent its first byte, or its state has
        changed. A flow that expects more bytes counts as less silent, one without data as more."""
        state: cython.longlong = self.table[slot + layout.FLOW_STATE]
        rank: cython.longlong = self.table[slot + layout.FLOW_LAST]
        if state & 7 == layout.STATE_EXPECTING or (state >> 8) & 7 == layout.STATE_EXPECTING:
            rank += EXPECTING_GRACE
        elif self.table[slot + layout.FLOW_BYTES] + self.table[slot + layout.FLOW_BYTES + 1] == 0:
            rank -= EXPECTING_GRACE
        self.ranks[slot // layout.FLOW_WORDS] = rank

    def set_client(
        self, slot: cython.Py_ssize_t, side: cython.int, started: cython.bint
    ) -> cython.void:
        """Set which side is the client; `started` if the first packet of the flow was seen."""
        word: cython.longlong = self.table[slot + layout.FLOW_FLAGS]
        if word & layout.FLAG_CLIENT_KNOWN == 0 or started:
            word &= ~layout.FLAG_CLIENT_1
            word |= (
                layout.FLAG_CLIENT_KNOWN
                | (layout.FLAG_CLIENT_1 if side else 0)
                | (layout.FLAG_START_SEEN if started else 0)
            )
            self.table[slot + layout.FLOW_FLAGS] = word

    def close(self, slot: cython.Py_ssize_t) -> cython.void:
        """A flow is over: append it to the list, if flows are recorded."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t = self.closed * layout.FLOW_WORDS
        if self.closed >= self.capacity:
            return
        if cython.compiled:
            memcpy(
                cython.address(self.closed_words[at]),
                cython.address(self.table[slot]),
                layout.FLOW_WORDS * 8,
            )
        else:
            for i in range(layout.FLOW_WORDS):
                self.closed_words[at + i] = self.table[slot + i]
        self.closed += 1

    def clear(self, slot: cython.Py_ssize_t) -> cython.void:
        """Set all words of a slot to 0."""
        i: cython.Py_ssize_t
        if cython.compiled:
            memset(cython.address(self.table[slot]), 0, layout.FLOW_WORDS * 8)
        else:
            for i in range(layout.FLOW_WORDS):
                self.table[slot + i] = 0

    def raise_name_status(
        self, slot: cython.Py_ssize_t, name_status: cython.longlong
    ) -> cython.void:
        """Set the flow's name status, a number, unless it has a greater one."""
        word: cython.longlong = self.table[slot + layout.FLOW_GENERATION]
        if name_status > (word >> 8) & 255:
            self.table[slot + layout.FLOW_GENERATION] = (word & 255) | (name_status << 8)

    def report_hello(
        self, slot: cython.Py_ssize_t, side: cython.int, begun: cython.longlong
    ) -> cython.void:
        """The name in the hello that `side` sent in datagrams, starting at the time `begun`, was
        counted."""
        self.table[slot + layout.FLOW_FLAGS] |= layout.FLAG_HELLO_REPORTED | (
            layout.FLAG_HELLO_1 if side else 0
        )
        self.table[slot + layout.FLOW_EXPECTED] = begun
        self.table[slot + layout.FLOW_HELLO_SENT] = self.table[slot + layout.FLOW_LAST]

    def hello_reported(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.bint:
        """Whether the name in the flow's hello was counted, so that what `side` sends shows nothing
        more. After a silence, the same ports may be another connection."""
        about: cython.longlong = self.table[slot + layout.FLOW_FLAGS]
        now: cython.longlong = self.table[slot + layout.FLOW_LAST]
        if about & layout.FLAG_HELLO_REPORTED == 0:
            return False
        if now - self.table[slot + layout.FLOW_HELLO_SENT] > NEW_CONNECTION:
            self.table[slot + layout.FLOW_FLAGS] = about & ~(
                layout.FLAG_HELLO_REPORTED | layout.FLAG_HELLO_1
            )
            return False
        if side == (1 if about & layout.FLAG_HELLO_1 else 0):
            self.table[slot + layout.FLOW_HELLO_SENT] = now
        return True

    def report_stream_hello(
        self,
        slot: cython.Py_ssize_t,
        side: cython.int,
        sequence: cython.longlong,
        size: cython.longlong,
    ) -> cython.void:
        """The hello that `side` sent in `size` bytes of its stream, from a sequence number on, was
        reported."""
        self.table[slot + layout.FLOW_FLAGS] |= layout.FLAG_HELLO_REPORTED | (
            layout.FLAG_HELLO_1 if side else 0
        )
        self.table[slot + layout.FLOW_HELLO_SENT] = sequence | (size << 32)

    def repeats_hello(
        self, slot: cython.Py_ssize_t, side: cython.int, sequence: cython.longlong
    ) -> cython.bint:
        """Whether a message that `side` begins at a sequence number is the reported hello in its
        stream or, if nothing else was complete since, a part of it."""
        about: cython.longlong = self.table[slot + layout.FLOW_FLAGS]
        hello: cython.longlong = self.table[slot + layout.FLOW_HELLO_SENT]
        ahead: cython.longlong = (sequence - hello) & SEQ
        if about & layout.FLAG_HELLO_REPORTED == 0 or side != (
            1 if about & layout.FLAG_HELLO_1 else 0
        ):
            return False
        return ahead == 0 or (
            ahead < hello >> 32
            and self.table[slot + layout.FLOW_EXPECTED + side] & SEQ == hello & SEQ
        )

    def hand_to_parser(self, flow: cython.longlong) -> cython.void:
        """From now on, hellos of the flow that rows call `flow` go to the parsers."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot >= 0 and self.table[slot + layout.FLOW_GENERATION] & 255 == flow & 255:
            self.table[slot + layout.FLOW_FLAGS] |= layout.FLAG_HANDLED_BY_PARSER
            self.set_entry(slot, 0)

    def set_entry(self, slot: cython.Py_ssize_t, entry: cython.longlong) -> cython.void:
        """Set the flow's entry of the hello buffer plus 1, 0 for none."""
        word: cython.longlong = self.table[slot + layout.FLOW_ENTRY]
        self.table[slot + layout.FLOW_ENTRY] = (word & ~255) | entry

    def keep(self, slot: cython.Py_ssize_t, number: cython.longlong) -> cython.void:
        """Set the number of the flow's last kept message."""
        word: cython.longlong = self.table[slot + layout.FLOW_ENTRY]
        self.table[slot + layout.FLOW_ENTRY] = (word & 255) | (number << 8)

    def kept(self, slot: cython.Py_ssize_t) -> cython.longlong:
        """The number of the flow's last kept message; 0 if there is none."""
        return self.table[slot + layout.FLOW_ENTRY] >> 8

    def kept_of(self, flow: cython.longlong) -> int:
        """The same for the flow that rows call `flow`; 0 if its slot was evicted or reused."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot < 0 or self.table[slot + layout.FLOW_GENERATION] & 255 != flow & 255:
            return 0
        return self.kept(slot)

    def add_bytes(
        self, slot: cython.Py_ssize_t, side: cython.int, size: cython.longlong
    ) -> cython.void:
        """Count `size` bytes of payload that `side` sent."""
        first: cython.bint = self.table[slot + layout.FLOW_BYTES + side] == 0
        self.table[slot + layout.FLOW_BYTES + side] += size
        if first:
            self.rank(slot)

    def name(self, slot: cython.Py_ssize_t) -> cython.longlong:
        """The flow's id in rows: its key, with the generation in the low bits."""
        return self.table[slot] | (self.table[slot + layout.FLOW_GENERATION] & 255)

    def bytes_of(self, flow: cython.longlong) -> tuple[int, int]:
        """Payload bytes of side 0 and side 1 of the flow that rows call `flow`; zeros if its slot
        was evicted or reused."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot < 0 or self.table[slot + layout.FLOW_GENERATION] & 255 != flow & 255:
            return (0, 0)
        return (self.table[slot + layout.FLOW_BYTES], self.table[slot + layout.FLOW_BYTES + 1])

    def condition_of(self, flow: cython.longlong) -> tuple[int, int]:
        """The time of the last packet (ns) and the word `layout.FLOW_STATE` of the flow that rows
        call `flow`; zeros if its slot was evicted or reused."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot < 0 or self.table[slot + layout.FLOW_GENERATION] & 255 != flow & 255:
            return (0, 0)
        return (self.table[slot + layout.FLOW_LAST], self.table[slot + layout.FLOW_STATE])

    def acknowledged_of(self, flow: cython.longlong, side: cython.int) -> int:
        """The word `layout.FLOW_ACKED` of a side of the flow that rows call `flow`; 0 if its slot
        was evicted or reused."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot < 0 or self.table[slot + layout.FLOW_GENERATION] & 255 != flow & 255:
            return 0
        return self.table[slot + layout.FLOW_ACKED + side]

    def contest(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.void:
        """At `seq`, `side` has sent other bytes than before, or another hello. Bytes acknowledged
        before are not in doubt."""
        acked: cython.longlong = self.table[slot + layout.FLOW_ACKED + side]
        if acked & PLACED and 0 < (acked - seq) & SEQ <= SEQ >> 1:
            return
        self.table[slot + layout.FLOW_ACKED + side] = CONTESTED

    def contest_flow(self, flow: cython.longlong, side: cython.int) -> bool:
        """The same for the flow that rows call `flow`, whatever was acknowledged: rows are read
        after packets that came later. False if its slot was evicted or reused."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot >= 0 and self.table[slot + layout.FLOW_GENERATION] & 255 == flow & 255:
            self.table[slot + layout.FLOW_ACKED + side] = CONTESTED
            return True
        return False

    def set_name_status(self, flow: cython.longlong, name_status: cython.longlong) -> bool:
        """Set the name status of the flow that rows call `flow`, unless it has a greater one; false
        if its slot was evicted or reused."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot >= 0 and self.table[slot + layout.FLOW_GENERATION] & 255 == flow & 255:
            self.raise_name_status(slot, name_status)
            return True
        return False

    def forget_name(self, flow: cython.longlong) -> bool:
        """Reset the name status of the flow that rows call `flow`: what gave its name came at the
        place of something that could not be read. False if its slot was evicted or reused."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot >= 0 and self.table[slot + layout.FLOW_GENERATION] & 255 == flow & 255:
            self.table[slot + layout.FLOW_GENERATION] &= 255
            return True
        return False

    def report_end(self, flow: cython.longlong) -> bool:
        """Report the end of the flow that rows call `flow` individually; false if its slot was
        evicted or reused."""
        slot: cython.Py_ssize_t = self.seek(flow & KEY_MASK)
        if slot >= 0 and self.table[slot + layout.FLOW_GENERATION] & 255 == flow & 255:
            self.table[slot + layout.FLOW_FLAGS] |= layout.FLAG_REPORT_END
            return True
        return False

    def hold_closed(self) -> memoryview:
        """The flows that were closed and not taken, in order: the words of their slots,
        `layout.FLOW_WORDS` integers each, valid until another flow is closed. There is room for
        more then, which is needed after each list of the loop's rows."""
        self.held = self.closed
        if self.recording and self.held + CAPACITY + MARGIN > self.capacity:
            store = zeroed("q", layout.FLOW_WORDS * 2 * (self.held + CAPACITY + MARGIN))
            size = self.closed * layout.FLOW_WORDS
            store[:size] = self.store[:size]
            self.store = self.closed_words = store
            self.capacity = len(store) // layout.FLOW_WORDS
        return self.store[: self.closed * layout.FLOW_WORDS]

    def take_closed(self, start: cython.Py_ssize_t = 0) -> memoryview:
        """The same from a number on. They are closed no longer."""
        taken = self.store[start * layout.FLOW_WORDS : self.closed * layout.FLOW_WORDS]
        self.closed = self.held = start
        return taken

    def copy_open(self, place: cython.Py_ssize_t) -> int:
        """Append copies of the open flows, from a place on, to the list of closed ones; returns the
        place to continue from when they were taken, -1 at the end."""
        while place < self.slots:
            if self.closed - self.held >= CAPACITY:
                return place
            if self.used[place // REGION] != 0 and self.index[place] != 0:
                self.close(place * layout.FLOW_WORDS)
            place += 1
        return -1

    def usage(self) -> tuple[int, int]:
        """How many slots are used, and how many there are."""
        place: cython.Py_ssize_t
        count: cython.longlong = 0
        for place in range(self.slots):
            if self.used[place // REGION] != 0 and self.index[place] != 0:
                count += 1
        return count, self.slots

    def close_flows(self, before: cython.longlong = LATEST) -> bool:
        """Close all flows whose last packet came earlier than `before` (ns), by default all; false
        if the list is full, to be called again after `hold_closed` or `take_closed`."""
        place: cython.Py_ssize_t
        slot: cython.Py_ssize_t
        for place in range(self.slots):
            if self.used[place // REGION] == 0 or self.index[place] == 0:
                continue
            slot = place * layout.FLOW_WORDS
            if self.table[slot + layout.FLOW_LAST] < before:
                if self.closed - self.held >= CAPACITY:
                    return False
                self.close(slot)
                self.table[slot] = 0
                self.index[place] = 0
        return True
