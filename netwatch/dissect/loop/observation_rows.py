# cython: language_level=3, boundscheck=True, wraparound=False
"""Rows of the observation batch that the packet loop writes itself, without a parser.

A message with the usual layout is read in the loop; what it shows becomes rows of the batch, the
same as its parser would return. Any other message is a candidate for its parser.

The same is true of names, which become texts of the batch in the spelling of `netwatch.core.names`.
Only names of letters, digits, ``-`` and ``_`` are read here: in lower case they are spelled as they
are. Any other is left to a parser, which escapes its bytes or reads them as UTF-8.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.core.buffers import lowered, lowered_name, put_word
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.octets import Window
    from cython.cimports.netwatch.dissect.loop.seen_marks import mark_of
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.buffers import lowered, lowered_name, put_word
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.octets import Window
    from netwatch.dissect.loop.seen_marks import mark_of

from netwatch.core.buffers import Words, array

MAC_BIT = cython.declare(cython.longlong, 1 << 48)
NUMBERS = cython.declare(cython.longlong, 0xFFFFFFFFFF)

MAX_JUMPS = cython.declare(cython.int, 16)
"""Compression pointers to follow in a name of a DNS message, at most."""

LONGEST_NAME = cython.declare(cython.Py_ssize_t, 254)
"""The longest name of a DNS message that is read: length octets and labels without the root's (RFC
1035 section 2.3.4), bytes."""

LONGEST_HOST = cython.declare(cython.Py_ssize_t, 255)
"""The longest name in text form that is read, bytes."""

MARGIN = cython.declare(cython.Py_ssize_t, 72)
"""Bytes that must be free to write a label."""

DOT = cython.declare(cython.int, 46)


@cython.final
@cython.cclass
class ObservationRows:
    """Writes rows for the packet at the cursor to `batch`.

    While it is not `active` the loop reads no message itself. With `fingerprints` the rows of
    hellos have a JA4. Of the current block, `records` are its records, `digits` the digits of time
    by interface, and `first_packet` the number of its first packet, from bit 40 on with its
    source's. `start` is the first row of the current walk.
    """

    def __init__(
        self, cursor: Cursor, batch: ObservationBatch, active: bool, fingerprints: bool
    ) -> None:
        self.cursor = cursor
        self.batch = batch
        self.active = active
        self.fingerprints = fingerprints
        self.records: Words = array("q", [0])
        self.digits: Words = array("i", [0])
        self.first_packet = 0
        self.start = 0
        self.counted = 0

    def is_full(self) -> cython.bint:
        """Whether the walk must stop before the next packet, so that the batch can grow."""
        if self.batch.count == self.counted:
            return False
        self.counted = self.batch.count
        return self.active and not self.batch.has_room()

    def can_add(self) -> cython.bint:
        """Whether there is room for what a message shows, so that it can be read here."""
        return self.active and self.batch.has_room()

    def source_address(self) -> cython.longlong:
        """The text of the source address of the packet."""
        return self.address_at(self.cursor.addresses)

    def destination_address(self) -> cython.longlong:
        """The text of the destination address of the packet."""
        return self.address_at(self.cursor.addresses + self.cursor.address_size)

    def address_at(self, at: cython.Py_ssize_t) -> cython.longlong:
        """The text of an address of the packet."""
        size: cython.Py_ssize_t = self.cursor.address_size
        to: cython.Py_ssize_t = self.batch.used
        i: cython.Py_ssize_t
        if at + size > len(self.cursor.data) or to + size > len(self.batch.octets):
            return 0
        if cython.compiled:
            memcpy(
                cython.address(self.batch.octets[to]), cython.address(self.cursor.data[at]), size
            )
        else:
            for i in range(size):
                self.batch.octets[to + i] = self.cursor.data[at + i]
        return self.batch.add_text(size)

    def add(
        self,
        evidence: cython.longlong,
        name: cython.longlong,
        to_client: cython.bint,
        flow: cython.longlong,
    ) -> cython.Py_ssize_t:
        """Add a row for a name (a text) in the packet, with what is known about the packet. Returns
        where its words start. With `to_client` the packet was sent to the client; `flow` is the
        flow as rows call it."""
        at: cython.Py_ssize_t = self.batch.new_row()
        record: cython.Py_ssize_t = self.cursor.record * layout.RECORD_FIELDS
        source_port: cython.longlong = self.cursor.u16(self.cursor.at)
        destination_port: cython.longlong = self.cursor.u16(self.cursor.at + 2)
        source: cython.longlong = self.source_address()
        destination: cython.longlong = self.destination_address()
        self.batch.words[at + columns.WORD_TIME] = self.cursor.time
        self.batch.words[at + columns.WORD_TIME_DIGITS] = self.digits[
            self.records[record + layout.RECORD_INTERFACE]
        ]
        self.batch.words[at + columns.WORD_EVIDENCE] = evidence
        self.batch.words[at + columns.WORD_NAME] = name
        self.batch.words[at + columns.WORD_CLIENT_IP] = destination if to_client else source
        self.batch.words[at + columns.WORD_CLIENT_PORT] = (
            destination_port if to_client else source_port
        )
        self.batch.words[at + columns.WORD_CLIENT_MAC] = self.mac(
            self.cursor.destination_mac if to_client else self.cursor.source_mac
        )
        self.batch.words[at + columns.WORD_SERVER_IP] = source if to_client else destination
        self.batch.words[at + columns.WORD_SERVER_PORT] = (
            source_port if to_client else destination_port
        )
        self.batch.words[at + columns.WORD_TRANSPORT] = self.cursor.protocol
        self.batch.words[at + columns.WORD_VLAN] = self.cursor.vlan
        self.batch.words[at + columns.WORD_SOURCE] = self.first_packet >> 40
        self.batch.words[at + columns.WORD_PACKET] = (
            self.first_packet & NUMBERS
        ) + self.cursor.record
        self.batch.words[at + columns.WORD_FLOW] = flow
        self.batch.words[at + columns.WORD_MARK] = mark_of(self.cursor)
        return at

    def mac(self, at: cython.Py_ssize_t) -> cython.longlong:
        """The word of the MAC address at `at`, 0 if it is negative."""
        if at < 0:
            return 0
        return MAC_BIT | (self.cursor.u16(at) << 32) | self.cursor.u32(at + 2)


@cython.final
@cython.cclass
class NameTexts(Window):
    """Reads names into `batch`. `name_end` is where the bytes of the last domain end; `capitals` is
    not 0 if the last name has some."""

    def __init__(self, batch: ObservationBatch) -> None:
        Window.__init__(self)
        self.batch = batch
        self.name_end = 0
        self.capitals = 0

    def domain(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.longlong:
        """The text of the DNS name at `at` (RFC 1035 section 4.1.4) of the message at `start`; 0
        for the root and for a name that is left to the parser. The bytes from `at` up to `end` are
        read."""
        size: cython.Py_ssize_t
        there: cython.Py_ssize_t
        used: cython.Py_ssize_t = self.batch.used
        to: cython.Py_ssize_t = used
        floor: cython.Py_ssize_t = at
        jumps: cython.int = 0
        self.capitals = 0
        while at < end:
            size = self.data[at]
            if size == 0:
                if jumps == 0:
                    self.name_end = at + 1
                return self.batch.add_text(to - used - 1)
            if size >= 192:
                if at + 1 >= end:
                    return 0
                if jumps == 0:
                    self.name_end = at + 2
                there = start + (((size & 63) << 8) | self.data[at + 1])
                jumps += 1
                if there >= floor or jumps > MAX_JUMPS:
                    return 0
                at = there
                floor = there
                continue
            if size > 63 or at + 1 + size >= end or to + 1 + size - used > LONGEST_NAME:
                return 0
            if not self.label(at + 1, size, to):
                return 0
            at += 1 + size
            to += 1 + size
        return 0

    def raw_domain(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.longlong:
        """The text of the DNS name at `at`, which `domain` has read, as spelled in the packet; 0 if
        it has no capitals."""
        size: cython.Py_ssize_t
        i: cython.Py_ssize_t
        to: cython.Py_ssize_t = self.batch.used
        if self.capitals == 0:
            return 0
        while at < end:
            size = self.data[at]
            if size == 0:
                return self.batch.add_text(to - self.batch.used - 1)
            if size >= 192:
                at = start + (((size & 63) << 8) | self.data[at + 1])
                continue
            if to + size >= len(self.batch.octets):
                return 0
            for i in range(size):
                self.batch.octets[to + i] = self.data[at + 1 + i]
            self.batch.octets[to + size] = DOT
            at += 1 + size
            to += 1 + size
        return 0

    def label(
        self, at: cython.Py_ssize_t, size: cython.Py_ssize_t, to: cython.Py_ssize_t
    ) -> cython.bint:
        """Write the label of `size` bytes at `at`, in lower case and followed by a dot, at `to` of
        the batch; false if it has another byte."""
        word: cython.ulonglong
        raw: cython.ulonglong
        if to + MARGIN > len(self.batch.octets):
            return False
        while True:
            raw = self.word(at, size)
            word = lowered(raw)
            if word == 0:
                return False
            self.capitals |= word ^ raw
            if cython.compiled:
                put_word(cython.address(self.batch.octets[to]), word)
            else:
                put_word(self.batch.octets, to, word)
            if size <= 8:
                break
            at += 8
            to += 8
            size -= 8
        self.batch.octets[to + size] = DOT
        return True

    def host(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """The text of a name in text form, without the dot at its end; 0 if there is none, or where
        it is left to the parser."""
        size: cython.Py_ssize_t = end - at
        to: cython.Py_ssize_t = self.batch.used
        left: cython.Py_ssize_t
        word: cython.ulonglong
        raw: cython.ulonglong
        if size > 0 and self.data[end - 1] == DOT:
            size -= 1
        if size <= 0 or size > LONGEST_HOST or to + size + 8 > len(self.batch.octets):
            return 0
        left = size
        self.capitals = 0
        while left > 0:
            raw = self.word(at, left)
            word = lowered_name(raw)
            if word == 0:
                return 0
            self.capitals |= word ^ raw
            if cython.compiled:
                put_word(cython.address(self.batch.octets[to]), word)
            else:
                put_word(self.batch.octets, to, word)
            at += 8
            to += 8
            left -= 8
        return self.batch.add_text(size)

    def octets(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.longlong:
        """The text of the `size` bytes at `at` as they are."""
        to: cython.Py_ssize_t = self.batch.used
        i: cython.Py_ssize_t
        if at + size > len(self.data) or to + size > len(self.batch.octets):
            return 0
        if cython.compiled:
            memcpy(cython.address(self.batch.octets[to]), cython.address(self.data[at]), size)
        else:
            for i in range(size):
                self.batch.octets[to + i] = self.data[at + i]
        return self.batch.add_text(size)
