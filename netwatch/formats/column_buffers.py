# cython: language_level=3, boundscheck=True, wraparound=False
"""Columns of an observation batch as memory in the layout of Arrow (Columnar Format 1.5): integers,
offsets of strings and of lists, and a bit for each row that has a value.

Rows are in the order of packets. Nothing here needs pyarrow.
"""

from typing import NamedTuple

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.core.community_id import CommunityIds
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.formats.row_values import put_ip, put_mac
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.community_id import CommunityIds
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.formats.row_values import put_ip, put_mac

from netwatch.core.buffers import Buffer, Words, array
from netwatch.formats.row_values import LONGEST

NEVER = -(1 << 63)
"""A word that does not occur in any column: all rows have a value."""


class Integers(NamedTuple):
    """Integers, `valid` with a bit for each row that has one, and the number of rows without."""

    values: bytearray
    valid: bytearray
    missing: int


class Strings(NamedTuple):
    """Strings: string `i` is ``octets[offsets[i]:offsets[i + 1]]``; there are `number`."""

    number: int
    offsets: bytearray
    octets: memoryview


@cython.final
@cython.cclass
class ColumnBuffers:
    """The columns of the `count` rows of a batch. Returned values are not changed later."""

    def __init__(self, batch: ObservationBatch) -> None:
        row: cython.Py_ssize_t
        i: cython.Py_ssize_t = 0
        self.batch = batch
        self.count = sum([stop - start for start, stop in batch.spans])
        self.rows: Words = array("q", bytes(8 * self.count + 8))
        for start, stop in batch.spans:
            for row in range(start, stop):
                self.rows[i] = row * columns.WORDS
                i += 1
        # The string of each text, from 1 on.
        self.codes: Words = array("q", bytes(8 * batch.texts + 8))
        self.octets: Buffer = bytearray(1)
        self.used = 0
        self.offsets: Words = array("i", [0])
        self.strings = 0
        # The column that is made.
        self.bits: Buffer = bytearray(1)
        self.values: Buffer = bytearray(1)
        self.indices: Words = array("i", [0])

    def integers(self, word: int, size: int, absent: int = NEVER) -> Integers:
        """The words of a column in `size` bytes each. A row whose word is `absent` has none."""
        i: cython.Py_ssize_t
        value: cython.longlong
        at: cython.Py_ssize_t = word
        width: cython.Py_ssize_t = size
        none: cython.longlong = absent
        missing: cython.Py_ssize_t = 0
        values, valid = self._start_numbers(self.count * width), self._start_bits()
        for i in range(self.count):
            value = self.batch.words[self.rows[i] + at]
            if value == none:
                missing += 1
                continue
            self.bits[i >> 3] |= 1 << (i & 7)
            self._put(i, width, value)
        return Integers(values, valid, missing)

    def dictionary(self, word: int, is_address: bool) -> tuple[Integers, Strings]:
        """A column of texts or addresses as 32-bit indices into its distinct strings."""
        i: cython.Py_ssize_t
        text: cython.longlong
        code: cython.longlong
        at: cython.Py_ssize_t = word
        address: cython.bint = is_address
        missing: cython.Py_ssize_t = 0
        values, valid = self._start_indices(self.count), self._start_bits()
        if self._is_empty(at):
            self._start_strings(0)
            return Integers(values, valid, self.count), self._strings()
        for i in range(self.batch.texts):
            self.codes[i] = 0
        self._start_strings(self.batch.texts)
        for i in range(self.count):
            text = self.batch.words[self.rows[i] + at]
            if text == 0:
                missing += 1
                continue
            code = self.codes[text]
            if code == 0:
                self._add_string(text, address)
                code = self.codes[text] = self.strings
            self.bits[i >> 3] |= 1 << (i & 7)
            self.indices[i] = code - 1
        return Integers(values, valid, missing), self._strings()

    def lists(self, word: int, is_address: bool) -> tuple[Integers, Strings]:
        """A column of lists as 32-bit offsets into the strings of all of them."""
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        value: cython.longlong
        start: cython.Py_ssize_t
        entries: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = word
        address: cython.bint = is_address
        step: cython.Py_ssize_t = 2 if is_address else 1
        missing: cython.Py_ssize_t = 0
        values, valid = self._start_indices(self.count + 1), self._start_bits()
        for i in range(self.count):
            entries += self.batch.words[self.rows[i] + at] & columns.LIST_MASK
        self._start_strings(entries)
        for i in range(self.count):
            value = self.batch.words[self.rows[i] + at]
            if value == 0:
                missing += 1
            else:
                self.bits[i >> 3] |= 1 << (i & 7)
                start = value >> columns.LIST_SHIFT
                for j in range(value & columns.LIST_MASK):
                    self._add_string(self.batch.lists[start + step * j], address)
            self.indices[i + 1] = self.strings
        return Integers(values, valid, missing), self._strings()

    def list_numbers(self, word: int) -> tuple[Integers, bytearray]:
        """The numbers of a column of pairs of an address and a number (a TTL), as 32-bit offsets
        into the numbers of all rows, which have 32 bits each."""
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        value: cython.longlong
        start: cython.Py_ssize_t
        entries: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = word
        missing: cython.Py_ssize_t = 0
        values, valid = self._start_indices(self.count + 1), self._start_bits()
        for i in range(self.count):
            entries += self.batch.words[self.rows[i] + at] & columns.LIST_MASK
        numbers = self._start_numbers(4 * entries)
        entries = 0
        for i in range(self.count):
            value = self.batch.words[self.rows[i] + at]
            if value == 0:
                missing += 1
            else:
                self.bits[i >> 3] |= 1 << (i & 7)
                start = value >> columns.LIST_SHIFT
                for j in range(value & columns.LIST_MASK):
                    value = self.batch.lists[start + 2 * j + 1]
                    self._put(entries, 4, value)
                    entries += 1
            self.indices[i + 1] = entries
        return Integers(values, valid, missing), numbers

    def macs(self, word: int) -> tuple[Integers, Strings]:
        """A column of MAC addresses; the strings belong to all rows, some of them empty."""
        i: cython.Py_ssize_t
        value: cython.longlong
        at: cython.Py_ssize_t = word
        missing: cython.Py_ssize_t = 0
        valid = self._start_bits()
        self._start_strings(self.count)
        for i in range(self.count):
            value = self.batch.words[self.rows[i] + at]
            if value == 0:
                missing += 1
            else:
                self.bits[i >> 3] |= 1 << (i & 7)
                self._reserve(LONGEST)
                self.used = put_mac(self.octets, self.used, value)
            self._end_string()
        return Integers(bytearray(), valid, missing), self._strings()

    def community_ids(self) -> tuple[Integers, Strings]:
        """The Community ID of each row; the strings belong to all rows, some of them empty."""
        i: cython.Py_ssize_t
        row: cython.Py_ssize_t
        ids: CommunityIds = CommunityIds()
        missing: cython.Py_ssize_t = 0
        valid = self._start_bits()
        self._start_strings(self.count)
        for i in range(self.count):
            row = self.rows[i] // columns.WORDS
            if ids.has_id(self.batch, row):
                self.bits[i >> 3] |= 1 << (i & 7)
                self._reserve(LONGEST)
                self.used = ids.write(self.batch, row, self.octets, self.used)
            else:
                missing += 1
            self._end_string()
        return Integers(bytearray(), valid, missing), self._strings()

    def _is_empty(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether a word is 0 in all rows."""
        i: cython.Py_ssize_t = 0
        while i < self.count and self.batch.words[self.rows[i] + at] == 0:
            i += 1
        return i == self.count

    def _start_bits(self) -> bytearray:
        """Begin a column: a bit for each row, none of which is set."""
        valid = bytearray((self.count + 7) >> 3)
        self.bits = valid
        return valid

    def _start_indices(self, count: cython.Py_ssize_t) -> bytearray:
        """Begin `count` indices of 32 bits, which are 0."""
        values = bytearray(4 * count)
        self.indices = memoryview(values).cast("i")
        return values

    def _start_numbers(self, size: cython.Py_ssize_t) -> bytearray:
        """Begin numbers in `size` bytes, which are 0."""
        values = bytearray(size)
        self.values = values
        return values

    def _put(
        self, i: cython.Py_ssize_t, width: cython.Py_ssize_t, value: cython.longlong
    ) -> cython.int:
        """Write number `i`, which has `width` bytes."""
        byte: cython.Py_ssize_t
        for byte in range(width):
            self.values[i * width + byte] = value >> (8 * byte) & 255
        return 0

    def _start_strings(self, most: cython.Py_ssize_t) -> None:
        """Begin other strings, so many at most."""
        self.offsets = memoryview(bytearray(4 * most + 4)).cast("i")
        self.octets = bytearray(16 * most + LONGEST)
        self.used = self.strings = 0

    def _add_string(self, text: cython.longlong, address: cython.bint) -> cython.int:
        """Add a text of the batch, or the address that it contains, as a string."""
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = self.batch.starts[text]
        size: cython.Py_ssize_t = self.batch.starts[text + 1] - start
        if address:
            self._reserve(LONGEST)
            self.used = put_ip(self.octets, self.used, self.batch.octets, start, size)
        elif size:
            self._reserve(size)
            if cython.compiled:
                memcpy(
                    cython.address(self.octets[self.used]),
                    cython.address(self.batch.octets[start]),
                    size,
                )
            else:
                for i in range(size):
                    self.octets[self.used + i] = self.batch.octets[start + i]
            self.used += size
        self._end_string()
        return 0

    def _end_string(self) -> cython.int:
        self.strings += 1
        self.offsets[self.strings] = self.used
        return 0

    def _strings(self) -> Strings:
        offsets = bytearray(memoryview(self.offsets)[: self.strings + 1])
        return Strings(self.strings, offsets, memoryview(self.octets)[: self.used])

    def _reserve(self, size: cython.Py_ssize_t) -> cython.int:
        """Make room for so many more bytes of strings."""
        if self.used + size > len(self.octets):
            larger = bytearray(2 * (self.used + size))
            memoryview(larger)[: self.used] = memoryview(self.octets)[: self.used]
            self.octets = larger
        return 0
