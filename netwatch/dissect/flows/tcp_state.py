# cython: language_level=3, boundscheck=True, wraparound=False
"""TCP in the packet loop: which side of which flow expects more bytes.

Most ClientHellos and request heads do not fit one segment, and their continuation matches no mask.
So the flow table has a state for each side: *opened* by its SYN, *expecting* from the first byte of
an incomplete message, *midstream* if the capture began in the middle of the connection (the first
segments may then be the end of an earlier hello), and otherwise *ignored*. Only segments of sides
that are not ignored go to the parsers.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.table import FlowTable
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.seen_marks import (
        answers,
        called_of,
        checksum_of,
        place_of,
    )
else:
    from netwatch.dissect.flows.table import FlowTable
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.seen_marks import answers, called_of, checksum_of, place_of

EARLY_SEGMENTS = cython.declare(cython.longlong, 16)
"""Segments of a side that was met in midstream to hand to the parser without a matching mask."""

WINDOW = cython.declare(cython.longlong, 65536)
"""How far after the number in its SYN a segment of a side may start that arrives before the first
one, bytes."""

WHOLE = cython.declare(cython.longlong, 1 << 30)
"""The bit next to a size that marks it as the size of a whole message."""
PLACED = cython.declare(cython.longlong, 1 << 34)
CONTESTED = cython.declare(cython.longlong, 1 << 35)
"""The word `FLOW_ACKED` of a side if it is unknown which bytes its peer took."""
SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)


@cython.final
@cython.cclass
class TcpState:
    """What each side of a conversation has begun and is expected to send, in the slots of `flows`.
    Sequence numbers are TCP's, modulo 2**32. The packet is at `cursor`."""

    def __init__(self, flows: FlowTable, cursor: Cursor) -> None:
        self.flows = flows
        self.cursor = cursor
        self.repeats = False

    def set_state(
        self, slot: cython.Py_ssize_t, side: cython.int, state: cython.longlong
    ) -> cython.void:
        """Set the state of one side, with its count of early segments."""
        shift: cython.int = 8 * side
        word: cython.longlong = self.flows.table[slot + layout.FLOW_STATE]
        before: cython.longlong = word >> shift
        self.flows.table[slot + layout.FLOW_STATE] = word & ~(255 << shift) | (state << shift)
        if state == layout.STATE_EXPECTING or before & 7 == layout.STATE_EXPECTING:
            self.flows.rank(slot)

    def syn(self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong) -> cython.bint:
        """A SYN: the first byte of `side` will have the number `seq`. Returns whether the ports are
        reused, for a new generation of the flow; a repeated or late SYN begins none."""
        known: cython.longlong = self.flows.table[slot + layout.FLOW_EXPECTED + side]
        again: cython.bint = self.flows.table[slot + layout.FLOW_STATE] != 0
        if again:
            if known >> 32 and known & SEQ == seq:
                return False
            self.flows.close(slot)
            self.flows.table[slot + layout.FLOW_GENERATION] = (
                self.flows.table[slot + layout.FLOW_GENERATION] + 1
            ) & 255
            self.flows.table[slot + layout.FLOW_BYTES] = 0
            self.flows.table[slot + layout.FLOW_BYTES + 1] = 0
            self.flows.keep(slot, 0)
            self.flows.table[slot + layout.FLOW_FIRST] = self.flows.table[slot + layout.FLOW_LAST]
            self.flows.total += 1
            self.flows.table[slot + layout.FLOW_STATE] = 0
            self.flows.rank(slot)
        self.flows.table[slot + layout.FLOW_STATE] = layout.STATE_OPENED << (8 * side)
        self.flows.table[slot + layout.FLOW_EXPECTED + side] = seq | (WINDOW << 32)
        self.flows.table[slot + layout.FLOW_ACKED] = 0
        self.flows.table[slot + layout.FLOW_ACKED + 1] = 0
        return again

    def syn_ack(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.void:
        """A SYN with ACK: the first byte of `side` will have the number `seq`."""
        self.set_state(slot, side, layout.STATE_OPENED)
        self.flows.table[slot + layout.FLOW_EXPECTED + side] = seq | (WINDOW << 32)

    def refuse(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """The connection was refused or reset in the name of `side`; this only matters before
        `side` has sent payload."""
        if self.flows.table[slot + layout.FLOW_BYTES + side] == 0:
            self.flows.table[slot + layout.FLOW_STATE] |= (
                layout.REFUSED_1 if side else layout.REFUSED_0
            )

    def expect_answer(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """The packet at the cursor may carry a name: the next packet of the other side may
        acknowledge it."""
        self.flows.table[slot + layout.FLOW_STATE] |= layout.NAMED_0 << side

    def accept(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """The segment at the cursor, of `side`, acknowledges what the other side has sent (RFC 9293
        section 3.1)."""
        self.note_acked(slot, 1 - side, PLACED | self.cursor.u32(self.cursor.at + 8))

    def note_acked(
        self, slot: cython.Py_ssize_t, side: cython.int, acked: cython.longlong
    ) -> cython.void:
        """What `side` has sent is acknowledged up to here, unless it is contested."""
        if self.flows.table[slot + layout.FLOW_ACKED + side] != CONTESTED:
            self.flows.table[slot + layout.FLOW_ACKED + side] = acked

    def acknowledge(
        self, slot: cython.Py_ssize_t, side: cython.int, acknowledges: cython.bint
    ) -> cython.bint:
        """A segment with payload of `side`: its first one, or one after a packet of the other side
        that may carry a name, or one whose checksum is to be checked. With `acknowledges` it has
        ACK. Returns whether its acknowledgement was noted."""
        if self.flows.table[slot + layout.FLOW_STATE] & (layout.VERIFY_0 << side):
            self.verify(slot, side)
        if not acknowledges:
            return False
        self.accept(slot, side)
        self.flows.table[slot + layout.FLOW_STATE] &= ~(layout.NAMED_0 << (1 - side))
        return True

    def answer(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.bint:
        """Whether a datagram of `side` is the first answer to one of the other side that may carry
        a name."""
        state: cython.longlong = self.flows.table[slot + layout.FLOW_STATE]
        named: cython.longlong = self.flows.table[slot + layout.FLOW_NAMED + 1 - side]
        if named == 0 and self.flows.table[slot + layout.FLOW_BYTES + side] == 0:
            # The capture may have the answer before the question.
            self.note_acked(slot, 1 - side, called_of(self.cursor))
            return True
        if state & ((layout.NAMED_0 << (1 - side)) | (layout.VERIFY_0 << side)) == 0:
            return False
        if state & (layout.VERIFY_0 << side):
            self.verify(slot, side)
        if state & (layout.NAMED_0 << (1 - side)) == 0 or not answers(self.cursor, named):
            return False
        self.note_acked(slot, 1 - side, named)
        self.flows.table[slot + layout.FLOW_STATE] &= ~(layout.NAMED_0 << (1 - side))
        return True

    def expect_datagram(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """The datagram at the cursor may carry a name, and the other side may answer it."""
        place: cython.longlong = place_of(self.cursor)
        self.expect_answer(slot, side)
        self.repeats = self.flows.table[slot + layout.FLOW_NAMED + side] == place
        self.flows.table[slot + layout.FLOW_NAMED + side] = place

    def note_checksum(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """The packet at the cursor carries a name, and its checksum was checked. If it is wrong,
        further packets of `side` tell whether all are."""
        if self.cursor.checksum == layout.CHECKSUM_RIGHT:
            self.flows.table[slot + layout.FLOW_STATE] |= layout.CHECKSUMS_RIGHT_0 << side
        elif self.cursor.checksum == layout.CHECKSUM_WRONG:
            self.flows.table[slot + layout.FLOW_STATE] |= layout.VERIFY_0 << side
        self.cursor.checksum = layout.CHECKSUM_UNKNOWN

    def verify(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """Check the checksum of a packet of `side` without a name. Once one is right, or several
        were checked, no others are."""
        state: cython.longlong = self.flows.table[slot + layout.FLOW_STATE]
        found: cython.int = checksum_of(self.cursor)
        place: cython.int = layout.VERIFIED_1 if side else layout.VERIFIED_0
        if found == layout.CHECKSUM_UNKNOWN:
            return
        if found == layout.CHECKSUM_RIGHT:
            state |= layout.CHECKSUMS_RIGHT_0 << side
        else:
            state |= layout.CHECKSUMS_WRONG_0 << side
        if (state >> place) & 7 < 7:
            state += cython.cast(cython.longlong, 1) << place
        if found == layout.CHECKSUM_RIGHT or (state >> place) & 7 == 7:
            state &= ~(layout.VERIFY_0 << side)
        self.flows.table[slot + layout.FLOW_STATE] = state

    def only_opened(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.bint:
        """Whether nothing but the SYN of `side` was seen."""
        return (
            self.flows.table[slot + layout.FLOW_STATE] >> (8 * side)
        ) & 255 == layout.STATE_OPENED

    def is_first(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.bint:
        """Whether `seq` is known to be the number of the first byte of `side`."""
        return (
            self.only_opened(slot, side)
            and self.flows.table[slot + layout.FLOW_EXPECTED + side] & SEQ == seq
        )

    def may_be_first(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.bint:
        """Whether `seq` may be the number of the first byte of `side`: it is known to be, or
        nothing is known."""
        state: cython.longlong = (self.flows.table[slot + layout.FLOW_STATE] >> (8 * side)) & 7
        return state in (layout.STATE_NEW, layout.STATE_MIDSTREAM) or self.is_first(slot, side, seq)

    def begins(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.bint:
        """Whether a message at `seq` is the first thing of interest from `side`: its parser has
        nothing of this side."""
        state: cython.longlong = (self.flows.table[slot + layout.FLOW_STATE] >> (8 * side)) & 255
        return state == layout.STATE_NEW or self.is_first(slot, side, seq)

    def ignore(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """Nothing more of `side` is of interest unless it looks like the start of a message."""
        self.set_state(slot, side, layout.STATE_IGNORED)

    def complete(
        self,
        slot: cython.Py_ssize_t,
        side: cython.int,
        seq: cython.longlong,
        size: cython.longlong,
    ) -> cython.bint:
        """A whole message of `size` bytes started at `seq`. Nothing more of `side` is expected,
        unless bytes before the message were not seen. False if there is an incomplete message at
        this place, which may be another one."""
        expected: cython.longlong = self.flows.table[slot + layout.FLOW_EXPECTED + side]
        state: cython.longlong = (self.flows.table[slot + layout.FLOW_STATE] >> (8 * side)) & 255
        ahead: cython.longlong = (seq - expected) & SEQ
        if state == layout.STATE_OPENED and 0 < ahead < WINDOW:
            self.expect(slot, side, expected & SEQ, ahead)
            return True
        if state == layout.STATE_EXPECTING and ahead < expected >> 32:
            return False
        self.set_state(slot, side, layout.STATE_IGNORED)
        self.flows.table[slot + layout.FLOW_EXPECTED + side] = seq | ((WHOLE | size) << 32)
        return True

    def is_again(
        self,
        slot: cython.Py_ssize_t,
        side: cython.int,
        seq: cython.longlong,
        size: cython.longlong,
    ) -> cython.bint:
        """Whether a segment of `size` bytes starts before the end of the last whole message of
        `side`, or a message is incomplete. One byte at that end is not other content but a
        keep-alive (RFC 9293 section 3.8.4)."""
        known: cython.longlong = self.flows.table[slot + layout.FLOW_EXPECTED + side]
        state: cython.longlong = (self.flows.table[slot + layout.FLOW_STATE] >> (8 * side)) & 255
        ahead: cython.longlong = (seq - known) & SEQ
        whole: cython.longlong = known >> 32
        if state != layout.STATE_IGNORED:
            return state == layout.STATE_EXPECTING
        if whole & WHOLE == 0:
            return False
        whole &= ~WHOLE
        return (ahead < whole and (size > 1 or ahead < whole - 1)) or ahead > SEQ >> 1

    def is_outside(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.bint:
        """Whether nothing but the SYN of `side` was seen, and `seq` is not within a window after
        it."""
        return (
            self.only_opened(slot, side)
            and (seq - self.flows.table[slot + layout.FLOW_EXPECTED + side]) & SEQ >= WINDOW
        )

    def reopen(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.void:
        """A segment at `seq`: if it is the first of `side`, and nothing of interest came there
        before, it may begin a message."""
        state: cython.longlong = (self.flows.table[slot + layout.FLOW_STATE] >> (8 * side)) & 255
        if state == layout.STATE_IGNORED and self.flows.table[
            slot + layout.FLOW_EXPECTED + side
        ] == seq | (WINDOW << 32):
            self.set_state(slot, side, layout.STATE_OPENED)

    def is_separate(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.bint:
        """Whether a message of `side` at `seq` can be read by itself: it is the first one, or it
        begins after the start of the last one, which was whole."""
        state: cython.longlong = (self.flows.table[slot + layout.FLOW_STATE] >> (8 * side)) & 255
        known: cython.longlong = self.flows.table[slot + layout.FLOW_EXPECTED + side]
        ahead: cython.longlong = (seq - known) & SEQ
        if state == layout.STATE_IGNORED:
            return (known >> 32) & WHOLE != 0 and 0 < ahead <= SEQ >> 1
        return state == layout.STATE_NEW or self.is_first(slot, side, seq)

    def expect_datagrams(self, slot: cython.Py_ssize_t, side: cython.int) -> cython.void:
        """`side` began a message in datagrams, of which more may follow."""
        self.set_state(slot, side, layout.STATE_EXPECTING)

    def expect(
        self,
        slot: cython.Py_ssize_t,
        side: cython.int,
        seq: cython.longlong,
        size: cython.longlong,
    ) -> cython.void:
        """`size` bytes of `side` are expected from `seq` on."""
        self.set_state(slot, side, layout.STATE_EXPECTING)
        self.flows.table[slot + layout.FLOW_EXPECTED + side] = seq | (size << 32)

    def in_conversation(
        self, slot: cython.Py_ssize_t, side: cython.int, seq: cython.longlong
    ) -> cython.int:
        """1 if `side` is expected to send more of a message and the segment at `seq` is part of it,
        so that it goes to the parser whatever it looks like; 2 if the segment is the first after
        that; otherwise 0."""
        expected: cython.longlong = self.flows.table[slot + layout.FLOW_EXPECTED + side]
        ahead: cython.longlong = (seq - expected) & SEQ
        state: cython.longlong = (self.flows.table[slot + layout.FLOW_STATE] >> (8 * side)) & 255
        if state != layout.STATE_EXPECTING or expected >> 32 <= WINDOW or ahead > SEQ >> 1:
            return 0
        if ahead < expected >> 32:
            return 1
        self.ignore(slot, side)
        return 2

    def is_expected(
        self,
        slot: cython.Py_ssize_t,
        side: cython.int,
        seq: cython.longlong,
        size: cython.longlong,
    ) -> cython.bint:
        """Whether a segment that matches no mask goes to the parser anyway."""
        state: cython.longlong = (self.flows.table[slot + layout.FLOW_STATE] >> (8 * side)) & 255
        expected: cython.longlong = self.flows.table[slot + layout.FLOW_EXPECTED + side]
        start: cython.longlong = expected & SEQ
        ahead: cython.longlong = (seq - start) & SEQ
        if state == layout.STATE_IGNORED:
            return False
        if state == layout.STATE_OPENED:
            if ahead == 0 and size >= 8:
                self.ignore(slot, side)
                return False
            return ahead < WINDOW
        if state == layout.STATE_EXPECTING:
            return ahead < expected >> 32 or ahead + size > SEQ + 1
        if state == layout.STATE_NEW:
            state = layout.STATE_MIDSTREAM
        if state >> 3 >= EARLY_SEGMENTS:
            self.ignore(slot, side)
            return False
        self.set_state(slot, side, state + 8)
        return True
