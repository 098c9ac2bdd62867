# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
"""The bytes of the messages that were read last, to compare with what comes at their place again.

TCP repeats segments, and then the bytes are the same. A sender may also put other bytes at the
place of a message, of which the receiver takes only one, and nobody else can tell which. So the
bytes of each message in one segment or hello are kept for a while, and a segment that has the
sequence numbers of a message is taken for a repetition only if it has its bytes.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.octets import copy
else:
    from netwatch.dissect.loop.octets import copy

from netwatch.core.buffers import Buffer, Octets, Words, zeroed

MESSAGES = 16384
"""Messages that are kept."""

OCTETS = 1 << 24
"""Bytes of all of them."""

MAX_KEPT = cython.declare(cython.longlong, 65536)
"""The longest message whose bytes are kept, bytes."""

SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)
HALF = cython.declare(cython.longlong, 0x80000000)

# Words before the bytes of a message: its sequence number with bit 32 for its side, its size, and
# where the message of its flow before it is kept.
PLACE = cython.declare(cython.Py_ssize_t, 0)
SIZE = cython.declare(cython.Py_ssize_t, 1)
BEFORE = cython.declare(cython.Py_ssize_t, 2)
HEADS = cython.declare(cython.Py_ssize_t, 3)

NOTHING = cython.declare(cython.int, 0)
SAME = cython.declare(cython.int, 1)
OTHER = cython.declare(cython.int, 2)

HANDSHAKE = cython.declare(cython.int, 22)
ALERT = cython.declare(cython.int, 21)
"""The types of a TLS record with which a hello begins: it, or an alert before it."""

MAX_COMPARED = cython.declare(cython.int, 8)
"""Messages of a flow that a segment is compared with, the last one first."""


@cython.final
@cython.cclass
class KeptMessages:
    """A ring of `octets`, and one of the words before each message. A message has a number, counted
    from 1, by which its flow finds it; `ends` has where the bytes of each end, counted from the
    first byte that was ever kept."""

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
        """Keep the `size` bytes of a message at `at`; its number, 0 where it is too long. `place`
        is its sequence number with bit 32 for its side, `before` the number of the message that
        its flow has kept before."""
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
        """Whether the `size` bytes at `at` of a segment, which has this place, are bytes of the
        message with a number, or of one that its flow has kept before it: `NOTHING` where it
        overlaps with none of them."""
        head: cython.Py_ssize_t
        ahead: cython.longlong
        skipped: cython.longlong
        compared: cython.int = 0
        while compared < MAX_COMPARED and self.has(number):
            compared += 1
            head = HEADS * (number % self.messages)
            if (self.heads[head + PLACE] ^ place) >> 32 == 0:
                # How far the segment starts behind the start of the message, or before it.
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
        """Whether the `size` bytes at `at` are those of a message from `ahead` on."""
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
        """Whether the message with a number, or one that its flow has kept before it, is a TLS
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
        """The side, sequence number and bytes of the message with a number, and of those that its
        flow has kept before it, the first one first."""
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
