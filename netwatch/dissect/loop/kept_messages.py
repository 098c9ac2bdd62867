# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
"""Copies of bytes that the packet loop needs again: of incomplete hellos, and of messages that were
read.

With a post-quantum key share a ClientHello takes two packets. Each entry of the hello buffer is one
such hello: the bytes received so far, and copies of the packets that brought them. Once the hello
is complete it is either of no interest and dropped, or its packets leave the packet loop as rows,
as if they had just arrived. They also do so if anything is unusual, if there are too many, and if
the rest does not arrive. The words of an entry are the ``ENTRY_`` constants of
`netwatch.dissect.loop.layout`.

TCP repeats segments, and then the bytes are the same. A sender may also put other bytes at the
place of a message, of which the receiver takes only one, and an observer cannot tell which. So the
bytes of each message in one segment or hello are kept for a while, and a segment with the sequence
numbers of a message only counts as a repetition if it has the same bytes.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.octets import copy
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.octets import copy

from netwatch.core.buffers import Buffer, Octets, Words, zeroed

MESSAGES = 16384
"""Messages to keep, at most."""

OCTETS = 1 << 24
"""Bytes of all of them, at most."""

MAX_KEPT = cython.declare(cython.longlong, 65536)
"""The longest message whose bytes are kept, bytes."""

SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)
HALF = cython.declare(cython.longlong, 0x80000000)

# Words before the bytes of a message: its sequence number with bit 32 for its side, its size, and
# where the previous message of its flow is kept.
PLACE = cython.declare(cython.Py_ssize_t, 0)
SIZE = cython.declare(cython.Py_ssize_t, 1)
BEFORE = cython.declare(cython.Py_ssize_t, 2)
HEADS = cython.declare(cython.Py_ssize_t, 3)

NOTHING = cython.declare(cython.int, 0)
SAME = cython.declare(cython.int, 1)
OTHER = cython.declare(cython.int, 2)

HANDSHAKE = cython.declare(cython.int, 22)
ALERT = cython.declare(cython.int, 21)
"""The TLS record types with which a hello begins: its own, or an alert before it."""

MAX_COMPARED = cython.declare(cython.int, 8)
"""Messages of a flow to compare a segment with, last one first."""


@cython.final
@cython.cclass
class HelloBuffer:
    """Entries for hellos, and the rows and bytes of the packets that brought them.

    `spare` is an entry that is always free, for a packet that may contain all of a hello; `used`
    others are in use. An entry is released once its packets have become rows: it is free again when
    these rows have been read. Packet `n` of entry `e` has the number ``layout.MAX_PIECES * e + n``.
    """

    def __init__(self) -> None:
        size = layout.MAX_HELLOS + 1
        self.entries: Words = zeroed("q", layout.ENTRY_WORDS * size)
        self.spans: Words = zeroed("q", 2 * layout.MAX_SPANS * size)
        self.hellos: Buffer = zeroed("B", layout.MAX_HELLO * size)
        self.packets: Buffer = zeroed("B", layout.MAX_PACKET * layout.MAX_PIECES * size)
        self.rows: Words = zeroed("q", layout.BUFFERED_COLUMNS * layout.MAX_PIECES * size)
        self.free: Words = array("q", range(layout.MAX_HELLOS))
        self.count_free = layout.MAX_HELLOS
        self.released: Words = array("q", bytes(8 * size))
        self.count_released = 0
        self.spare = layout.MAX_HELLOS
        self.used = 0

    def begin(
        self,
        flow: cython.longlong,
        side: cython.longlong,
        base: cython.longlong,
        now: cython.longlong,
    ) -> cython.void:
        """Prepare the spare entry for a hello of which nothing has arrived yet."""
        at: cython.Py_ssize_t = layout.ENTRY_WORDS * self.spare
        self.entries[at + layout.ENTRY_FLOW] = flow
        self.entries[at + layout.ENTRY_SIDE] = side
        self.entries[at + layout.ENTRY_BASE] = base
        self.entries[at + layout.ENTRY_TIME] = now
        self.entries[at + layout.ENTRY_SPANS] = 0
        self.entries[at + layout.ENTRY_PACKETS] = 0
        self.entries[at + layout.ENTRY_BYTES] = 0
        self.entries[at + layout.ENTRY_END] = 0

    def place(
        self,
        entry: cython.Py_ssize_t,
        position: cython.longlong,
        data: Octets,
        at: cython.Py_ssize_t,
        size: cython.longlong,
    ) -> cython.bint:
        """Copy the `size` bytes at `at` to `position` of the hello; false if they do not fit or
        overlap with others."""
        i: cython.Py_ssize_t = 0
        place: cython.Py_ssize_t = layout.ENTRY_WORDS * entry
        span: cython.Py_ssize_t = 2 * layout.MAX_SPANS * entry
        count: cython.Py_ssize_t = self.entries[place + layout.ENTRY_SPANS]
        end: cython.longlong
        if (
            size <= 0
            or size > layout.MAX_HELLO
            or position < 0
            or position > layout.MAX_HELLO - size
        ):
            return False
        end = position + size
        if count >= layout.MAX_SPANS:
            return False
        while i < count:
            if position < self.spans[span + 1] and self.spans[span] < end:
                return False
            span += 2
            i += 1
        if not copy(data, at, size, self.hellos, layout.MAX_HELLO * entry + position):
            return False
        self.spans[span] = position
        self.spans[span + 1] = end
        self.entries[place + layout.ENTRY_SPANS] = count + 1
        self.entries[place + layout.ENTRY_BYTES] += size
        self.entries[place + layout.ENTRY_END] = max(end, self.entries[place + layout.ENTRY_END])
        return True

    def contiguous(self, entry: cython.Py_ssize_t) -> cython.longlong:
        """How many bytes from the start of the hello have arrived; 0 while there is a gap."""
        place: cython.Py_ssize_t = layout.ENTRY_WORDS * entry
        if self.entries[place + layout.ENTRY_BYTES] != self.entries[place + layout.ENTRY_END]:
            return 0
        return self.entries[place + layout.ENTRY_END]

    def use_spare(self) -> cython.bint:
        """Use the spare entry and make another one the spare; false if none is free."""
        if self.count_free == 0:
            return False
        self.count_free -= 1
        self.used += 1
        self.spare = self.free[self.count_free]
        self.entries[layout.ENTRY_WORDS * self.spare + layout.ENTRY_FLOW] = 0
        return True

    def drop(self, entry: cython.Py_ssize_t) -> cython.void:
        """A used entry is free again."""
        self.entries[layout.ENTRY_WORDS * entry + layout.ENTRY_FLOW] = 0
        self.free[self.count_free] = entry
        self.count_free += 1
        self.used -= 1

    def release(self, entry: cython.Py_ssize_t) -> cython.void:
        """The packets of a used entry have become rows."""
        self.entries[layout.ENTRY_WORDS * entry + layout.ENTRY_FLOW] = 0
        self.released[self.count_released] = entry
        self.count_released += 1
        self.used -= 1

    def oldest(self) -> cython.Py_ssize_t:
        """The entry whose hello began first; -1 if none is used."""
        i: cython.Py_ssize_t
        found: cython.Py_ssize_t = -1
        for i in range(layout.MAX_HELLOS + 1):
            if (
                i != self.spare
                and self.entries[layout.ENTRY_WORDS * i + layout.ENTRY_FLOW] != 0
                and (
                    found < 0
                    or self.entries[layout.ENTRY_WORDS * i + layout.ENTRY_TIME]
                    < self.entries[layout.ENTRY_WORDS * found + layout.ENTRY_TIME]
                )
            ):
                found = i
        return found

    def store_packet(
        self,
        entry: cython.Py_ssize_t,
        data: Octets,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Copy a packet that brought a part of the hello. Returns the place for its row, or -1 if
        it does not fit."""
        place: cython.Py_ssize_t = layout.ENTRY_WORDS * entry + layout.ENTRY_PACKETS
        piece: cython.Py_ssize_t = layout.MAX_PIECES * entry + self.entries[place]
        if self.entries[place] >= layout.MAX_PIECES or size > layout.MAX_PACKET:
            return -1
        if not copy(data, at, size, self.packets, layout.MAX_PACKET * piece):
            return -1
        self.entries[place] += 1
        return layout.BUFFERED_COLUMNS * piece

    def take_released(self) -> list[int]:
        """The entries that were released since the last call."""
        entries = [self.released[i] for i in range(self.count_released)]
        self.count_released = 0
        return entries

    def free_entries(self, entries: list[int]) -> None:
        """Released entries can be used again."""
        for entry in entries:
            self.free[self.count_free] = entry
            self.count_free += 1

    def is_empty(self) -> bool:
        """Whether no entry is used or released."""
        return self.count_free == layout.MAX_HELLOS

    def packet(self, number: int) -> tuple[list[int], bytes]:
        """The words after the columns of a packet's row, and the packet."""
        row: cython.Py_ssize_t = layout.BUFFERED_COLUMNS * number
        start: cython.Py_ssize_t = layout.MAX_PACKET * number
        size: cython.Py_ssize_t = self.rows[row + layout.BUFFERED_CAPTURED]
        behind = range(row + layout.ROW_COLUMNS, row + layout.BUFFERED_COLUMNS)
        words = [self.rows[i] for i in behind]
        return words, bytes(self.packets[start : start + size])


@cython.final
@cython.cclass
class KeptMessages:
    """A ring of `octets`, and one of the words before each message. A message has a number, from 1,
    by which its flow finds it; `ends` has where the bytes of each end, counted from the first byte
    ever kept."""

    def __init__(self, messages: int = MESSAGES, octets: int = OCTETS) -> None:
        self.octets: Buffer = zeroed("B", octets)
        self.heads: Words = zeroed("q", HEADS * messages)
        self.ends: Words = zeroed("q", messages)
        self.capacity = octets
        self.messages = messages
        self.count = 0
        self.end = 0

    def keep(
        self,
        place: cython.longlong,
        before: cython.longlong,
        data: Octets,
        at: cython.Py_ssize_t,
        size: cython.longlong,
    ) -> cython.longlong:
        """Keep the `size` bytes of a message at `at`. Returns its number, 0 if it is too long.
        `place` is its sequence number with bit 32 for its side, `before` the number of the previous
        message kept for its flow."""
        head: cython.Py_ssize_t
        start: cython.longlong
        if size <= 0 or size > MAX_KEPT:
            return 0
        start = self.end % self.capacity
        if start + size > self.capacity:
            self.end += self.capacity - start
            start = 0
        if not copy(data, at, size, self.octets, start):
            return 0
        self.end += size
        self.count += 1
        head = self.count % self.messages
        self.ends[head] = self.end
        self.heads[HEADS * head + PLACE] = place
        self.heads[HEADS * head + SIZE] = size
        self.heads[HEADS * head + BEFORE] = before
        return self.count

    def has(self, number: cython.longlong) -> cython.bint:
        """Whether the message with a number is still kept."""
        head: cython.Py_ssize_t = number % self.messages
        return (
            0 < number <= self.count
            and self.count - number < self.messages
            and self.end - self.ends[head] + self.heads[HEADS * head + SIZE] <= self.capacity
        )

    def compare(
        self,
        number: cython.longlong,
        place: cython.longlong,
        data: Octets,
        at: cython.Py_ssize_t,
        size: cython.longlong,
    ) -> cython.int:
        """Whether the `size` bytes at `at` of a segment with this place are bytes of the message
        with a number, or of an earlier one kept for its flow: `NOTHING` if it overlaps with none of
        them."""
        head: cython.Py_ssize_t
        ahead: cython.longlong
        skipped: cython.longlong
        compared: cython.int = 0
        while compared < MAX_COMPARED and self.has(number):
            compared += 1
            head = HEADS * (number % self.messages)
            if (self.heads[head + PLACE] ^ place) >> 32 == 0:
                # How far the segment starts after the start of the message, or before it.
                ahead = ((place - self.heads[head + PLACE] + HALF) & SEQ) - HALF
                skipped = max(0, -ahead)
                ahead = max(0, ahead)
                if skipped < size and ahead < self.heads[head + SIZE]:
                    size = min(size - skipped, self.heads[head + SIZE] - ahead)
                    if self.equals(number, ahead, data, at + skipped, size):
                        return SAME
                    return OTHER
            number = self.heads[head + BEFORE]
        return NOTHING

    def equals(
        self,
        number: cython.longlong,
        ahead: cython.longlong,
        data: Octets,
        at: cython.Py_ssize_t,
        size: cython.longlong,
    ) -> cython.bint:
        """Whether the `size` bytes at `at` equal the bytes of a message from `ahead` on."""
        i: cython.Py_ssize_t = 0
        head: cython.Py_ssize_t = number % self.messages
        start: cython.Py_ssize_t = (
            self.ends[head] - self.heads[HEADS * head + SIZE]
        ) % self.capacity + ahead
        while i < size and self.octets[start + i] == data[at + i]:
            i += 1
        return i == size

    def lacks(
        self,
        number: cython.longlong,
        side: cython.longlong,
        data: Octets,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
    ) -> cython.bint:
        """Whether the message with a number, or an earlier one kept for its flow, is a TLS
        handshake record of `side` without the `size` bytes at `at`."""
        head: cython.Py_ssize_t
        start: cython.Py_ssize_t
        compared: cython.int = 0
        while compared < MAX_COMPARED and self.has(number):
            compared += 1
            head = number % self.messages
            start = (self.ends[head] - self.heads[HEADS * head + SIZE]) % self.capacity
            if (
                self.heads[HEADS * head + PLACE] >> 32 == side
                and (self.octets[start] == HANDSHAKE or self.octets[start] == ALERT)
                and not self.contains(number, data, at, size)
            ):
                return True
            number = self.heads[HEADS * head + BEFORE]
        return False

    def contains(
        self,
        number: cython.longlong,
        data: Octets,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
    ) -> cython.bint:
        """Whether the `size` bytes at `at` are anywhere in the message with a number."""
        ahead: cython.longlong
        last: cython.longlong = self.heads[HEADS * (number % self.messages) + SIZE] - size
        for ahead in range(last + 1):  # noqa: SIM110 - compiled without a generator
            if self.equals(number, ahead, data, at, size):
                return True
        return False

    def messages_of(self, number: int) -> list[tuple[int, int, bytes]]:
        """The side, sequence number and bytes of the message with a number, and of the earlier ones
        kept for its flow, first one first."""
        found: list[tuple[int, int, bytes]] = []
        head: cython.Py_ssize_t
        start: cython.Py_ssize_t
        size: cython.Py_ssize_t
        while len(found) < MAX_COMPARED and self.has(number):
            head = number % self.messages
            size = self.heads[HEADS * head + SIZE]
            start = (self.ends[head] - size) % self.capacity
            place: int = self.heads[HEADS * head + PLACE]
            found.append((place >> 32, place & SEQ, bytes(self.octets[start : start + size])))
            number = self.heads[HEADS * head + BEFORE]
        return found[::-1]
