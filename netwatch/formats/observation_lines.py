# cython: language_level=3, boundscheck=True, wraparound=False
"""The rows of an observation batch as lines of text, of JSON or of CSV, without an object a row.

What a line contains follows from `netwatch.core.observation_columns.COLUMNS`, and how it is
written from a `LineStyle`. The texts of a batch are quoted once each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.core.community_ids import CommunityIds
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.formats.row_values import (
        put_fraction,
        put_ip,
        put_mac,
        put_number,
        put_second,
    )
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.community_ids import CommunityIds
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.formats.row_values import (
        put_fraction,
        put_ip,
        put_mac,
        put_number,
        put_second,
    )

from netwatch.core.buffers import Buffer, Words, array
from netwatch.core.observation_columns import EVIDENCE, TRANSPORTS, Column, Kind
from netwatch.formats.row_values import LONGEST

PIECE = 1 << 20
"""Bytes after which lines are handed over amid a batch."""

# Kinds of columns as numbers.
TIME = cython.declare(cython.int, 0)
EVIDENCE_KIND = cython.declare(cython.int, 1)
TEXT = cython.declare(cython.int, 2)
ADDRESS = cython.declare(cython.int, 3)
NUMBER = cython.declare(cython.int, 4)
OPTIONAL_NUMBER = cython.declare(cython.int, 5)
MAC = cython.declare(cython.int, 6)
TRANSPORT = cython.declare(cython.int, 7)
SOURCE = cython.declare(cython.int, 8)
TEXTS = cython.declare(cython.int, 9)
ADDRESSES = cython.declare(cython.int, 10)
COMMUNITY_ID = cython.declare(cython.int, 11)

_KINDS: Mapping[Kind, int] = {
    "time": TIME,
    "evidence": EVIDENCE_KIND,
    "text": TEXT,
    "address": ADDRESS,
    "number": NUMBER,
    "optional number": OPTIONAL_NUMBER,
    "mac": MAC,
    "transport": TRANSPORT,
    "source": SOURCE,
    "texts": TEXTS,
    "addresses": ADDRESSES,
    "community id": COMMUNITY_ID,
}

PLACE_SHIFT = cython.declare(cython.int, 32)
PLACE_MASK = cython.declare(cython.longlong, 0xFFFFFFFF)
BILLION = cython.declare(cython.longlong, 1_000_000_000)

_NEVER = -(1 << 63)
_ABSENT: Mapping[Kind, int] = {
    "text": 0,
    "address": 0,
    "optional number": -1,
    "mac": 0,
    "texts": 0,
    "addresses": 0,
}
"""The word of a column without a value, by its kind."""


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How the values of a row become a line.

    A line is `begin`, the values of `columns` and `end`. Before a value is what `key` gives for its
    column; the second argument says whether the value before is in the same group (has the same
    first part of a path), which otherwise ends with `close`. With `cells` the key is there without
    a value, too.
    Texts, times and addresses are between `quote`, lists between the two of `brackets`, with
    `separator` between entries. Texts with characters that are in `unsafe` or not printable ASCII
    need `odd_text`, and so do those that start with one of `unsafe_start`. Lists with such texts
    need `odd_list`, where there is one.
    """

    columns: Sequence[Column]
    begin: str
    end: str
    close: str
    key: Callable[[Column, bool], str]
    quote: str
    brackets: tuple[str, str]
    separator: str
    unsafe: bytes
    unsafe_start: bytes
    odd_text: Callable[[str], str]
    odd_list: Callable[[Sequence[str]], str] | None
    cells: bool


@cython.final
@cython.cclass
class ObservationLines:
    """Writes the lines of batches in one style, in large pieces.

    Constant texts and those of a batch that were quoted are places in `constants` and `quoted`:
    a start, shifted, and a size. `text_places` and `address_places` have them by the number of a
    text, 0 where it was not yet quoted: the same bytes may be both a text and an address.
    """

    def __init__(self, style: LineStyle) -> None:
        self.style = style
        self.columns = len(style.columns)
        self.kinds: Words = array("q", [_KINDS[each.kind] for each in style.columns])
        self.words: Words = array("q", [max(each.word, 0) for each in style.columns])
        self.absent: Words = array("q", [_ABSENT.get(each.kind, _NEVER) for each in style.columns])
        groups = [each.path[0] if len(each.path) > 1 else "" for each in style.columns]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(["", *groups]))}
        self.groups: Words = array("q", [numbers[group] for group in groups])
        constants = bytearray()

        def constant(text: str) -> int:
            raw = text.encode()
            constants.extend(raw)
            return len(constants) - len(raw) << PLACE_SHIFT | len(raw)

        def quoted(text: str) -> int:
            return constant(f"{style.quote}{text}{style.quote}")

        same = [constant(style.key(each, True)) for each in style.columns]
        self.same_keys: Words = array("q", same)
        self.keys: Words = array("q", [constant(style.key(each, False)) for each in style.columns])
        self.evidence: Words = array("q", [quoted(each) for each in EVIDENCE])
        self.transports: Words = array("q", [quoted(TRANSPORTS.get(n, "")) for n in range(256)])
        self.begin = constant(style.begin)
        self.end = constant(style.end)
        self.close = constant(style.close)
        self.quote = constant(style.quote)
        self.open_list = constant(style.brackets[0])
        self.close_list = constant(style.brackets[1])
        self.separator = constant(style.separator)
        self.constants: Buffer = constants
        self.cells = style.cells
        self.odd_list = style.odd_list
        self.unsafe: Buffer = bytearray(256)
        self.unsafe_start: Buffer = bytearray(256)
        for code in range(256):
            unsafe = not 0x20 <= code < 0x7F or code in style.unsafe
            self.unsafe[code] = unsafe
            self.unsafe_start[code] = unsafe or code in style.unsafe_start
        self.out: Buffer = bytearray(PIECE + 65536)
        self.used = 0
        self.quoted: Buffer = bytearray(1 << 16)
        self.quoted_used = 0
        self.text_places: Words = array("q", [0])
        self.address_places: Words = array("q", [0])
        self.odd: Buffer = bytearray(1)
        self.source = -1
        self.source_place = 0
        self.second = 0
        self.second_text: Buffer = bytearray(19)
        put_second(self.second_text, 0, 0)
        self.community_ids = CommunityIds()

    def write(self, batch: ObservationBatch, write: Callable[[str], object]) -> None:
        """Give the lines of all rows, in the order of packets, to `write`."""
        row: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        self._forget(batch.texts)
        for span in batch.spans:
            row, stop = span
            while row < stop:
                self._row(batch, row)
                row += 1
                if self.used >= PIECE:
                    self._hand_over(write)
        self._hand_over(write)

    def _forget(self, texts: cython.Py_ssize_t) -> None:
        """Forget what was quoted: the next rows are of a batch with so many texts."""
        i: cython.Py_ssize_t
        if len(self.text_places) < texts:
            self.text_places = array("q", bytes(16 * texts))
            self.address_places = array("q", bytes(16 * texts))
            self.odd = bytearray(2 * texts)
        for i in range(texts):
            self.text_places[i] = 0
            self.address_places[i] = 0
            self.odd[i] = 0
        self.quoted_used = 0
        self.source = -1
        self.community_ids.forget()

    def _hand_over(self, write: Callable[[str], object]) -> None:
        if self.used:
            text = str(memoryview(self.out)[: self.used], "utf-8")
            self.used = 0
            write(text)

    def _row(self, batch: ObservationBatch, row: cython.Py_ssize_t) -> None:
        """Add the line of a row."""
        i: cython.Py_ssize_t
        word: cython.longlong
        at: cython.Py_ssize_t = row * columns.WORDS
        group: cython.longlong = 0
        self._put(self.begin)
        for i in range(self.columns):
            word = batch.words[at + self.words[i]]
            if word == self.absent[i]:
                if self.cells:
                    self._put(self.same_keys[i])
            elif self.groups[i] == group:
                self._put(self.same_keys[i])
                self._value(batch, row, self.kinds[i], word)
            else:
                if group:
                    self._put(self.close)
                group = self.groups[i]
                self._put(self.keys[i])
                self._value(batch, row, self.kinds[i], word)
        if group:
            self._put(self.close)
        self._put(self.end)

    def _value(
        self,
        batch: ObservationBatch,
        row: cython.Py_ssize_t,
        kind: cython.longlong,
        word: cython.longlong,
    ) -> None:
        if kind == TEXT:
            self._put_quoted(self._text(batch, word))
        elif kind == ADDRESS:
            self._put_quoted(self._address(batch, word))
        elif kind in (NUMBER, OPTIONAL_NUMBER):
            self._reserve(LONGEST)
            self.used = put_number(self.out, self.used, word)
        elif kind == TIME:
            self._put(self.quote)
            self._time(word, batch.words[row * columns.WORDS + columns.WORD_TIME_DIGITS])
            self._put(self.quote)
        elif kind == EVIDENCE_KIND:
            self._put(self.evidence[word])
        elif kind == TRANSPORT:
            self._put(self.transports[word])
        elif kind == MAC:
            self._put(self.quote)
            self._reserve(LONGEST)
            self.used = put_mac(self.out, self.used, word)
            self._put(self.quote)
        elif kind == COMMUNITY_ID:
            self._put(self.quote)
            self._reserve(LONGEST)
            self.used = self.community_ids.write(batch, row, self.out, self.used)
            self._put(self.quote)
        elif kind == SOURCE:
            if word != self.source:
                self.source = word
                self.source_place = self._quoted(self.style.odd_text(batch.sources[word]))
            self._put_quoted(self.source_place)
        elif kind == TEXTS:
            self._texts(batch, word)
        else:
            self._addresses(batch, word)

    def _time(self, time: cython.longlong, digits: cython.longlong) -> None:
        i: cython.Py_ssize_t
        second: cython.longlong = time // BILLION
        if second != self.second:
            self.second = second
            put_second(self.second_text, 0, second)
        self._reserve(LONGEST)
        for i in range(19):
            self.out[self.used + i] = self.second_text[i]
        self.used += 19
        self.used = put_fraction(self.out, self.used, time % BILLION, digits)

    def _texts(self, batch: ObservationBatch, word: cython.longlong) -> None:
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = word >> columns.LIST_SHIFT
        count: cython.Py_ssize_t = word & columns.LIST_MASK
        if self.odd_list is not None:
            for i in range(start, start + count):
                self._text(batch, batch.lists[i])
                if self.odd[batch.lists[i]]:
                    self._put_text(self.odd_list(batch.text_list(word)))
                    return
        self._put(self.open_list)
        for i in range(start, start + count):
            if i > start:
                self._put(self.separator)
            self._put_quoted(self._text(batch, batch.lists[i]))
        self._put(self.close_list)

    def _addresses(self, batch: ObservationBatch, word: cython.longlong) -> None:
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = word >> columns.LIST_SHIFT
        self._put(self.open_list)
        for i in range(word & columns.LIST_MASK):
            if i:
                self._put(self.separator)
            self._put_quoted(self._address(batch, batch.lists[start + 2 * i]))
        self._put(self.close_list)

    def _text(self, batch: ObservationBatch, number: cython.longlong) -> cython.longlong:
        """The place of a text in `quoted`."""
        i: cython.Py_ssize_t
        size: cython.Py_ssize_t
        start: cython.Py_ssize_t
        place: cython.longlong = self.text_places[number]
        if place:
            return place
        start = batch.starts[number]
        size = batch.starts[number + 1] - start
        odd: cython.bint = size > 0 and self.unsafe_start[batch.octets[start]] != 0
        for i in range(start, start + size):
            if self.unsafe[batch.octets[i]]:
                odd = True
        if odd:
            self.odd[number] = 1
            place = self._quoted(self.style.odd_text(batch.text(number)))
        else:
            place = self._quoted_plain(batch, start, size)
        self.text_places[number] = place
        return place

    def _quoted(self, text: str) -> cython.longlong:
        """The place of a text that is quoted already."""
        raw: bytes = text.encode()
        size: cython.Py_ssize_t = len(raw)
        start: cython.Py_ssize_t = self.quoted_used
        self._reserve_quoted(size)
        memoryview(self.quoted)[start : start + size] = raw
        self.quoted_used += size
        return cython.cast(cython.longlong, start) << PLACE_SHIFT | size

    def _quoted_plain(
        self, batch: ObservationBatch, start: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.longlong:
        """The place of a text of a batch between quotes."""
        i: cython.Py_ssize_t
        to: cython.Py_ssize_t = self.quoted_used
        self._reserve_quoted(size + 2)
        self._add_quote()
        if cython.compiled:
            if size:
                memcpy(
                    cython.address(self.quoted[self.quoted_used]),
                    cython.address(batch.octets[start]),
                    size,
                )
        else:
            for i in range(size):
                self.quoted[self.quoted_used + i] = batch.octets[start + i]
        self.quoted_used += size
        self._add_quote()
        return cython.cast(cython.longlong, to) << PLACE_SHIFT | (self.quoted_used - to)

    def _address(self, batch: ObservationBatch, number: cython.longlong) -> cython.longlong:
        """The place of an address in `quoted`."""
        to: cython.Py_ssize_t = self.quoted_used
        start: cython.Py_ssize_t
        place: cython.longlong = self.address_places[number]
        if place:
            return place
        self._reserve_quoted(LONGEST)
        self._add_quote()
        start = batch.starts[number]
        self.quoted_used = put_ip(
            self.quoted, self.quoted_used, batch.octets, start, batch.starts[number + 1] - start
        )
        self._add_quote()
        place = cython.cast(cython.longlong, to) << PLACE_SHIFT | (self.quoted_used - to)
        self.address_places[number] = place
        return place

    def _add_quote(self) -> cython.void:
        """Add the quote, which has at most one character, to `quoted`."""
        if self.quote & PLACE_MASK:
            self.quoted[self.quoted_used] = self.constants[self.quote >> PLACE_SHIFT]
            self.quoted_used += 1

    def _put_text(self, text: str) -> None:
        raw: bytes = text.encode()
        size: cython.Py_ssize_t = len(raw)
        self._reserve(size)
        memoryview(self.out)[self.used : self.used + size] = raw
        self.used += size

    def _put(self, place: cython.longlong) -> cython.int:
        """Add the constant text at a place."""
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = place >> PLACE_SHIFT
        size: cython.Py_ssize_t = place & PLACE_MASK
        if size == 0:
            return 0
        self._reserve(size)
        if cython.compiled:
            memcpy(cython.address(self.out[self.used]), cython.address(self.constants[start]), size)
        else:
            for i in range(size):
                self.out[self.used + i] = self.constants[start + i]
        self.used += size
        return 0

    def _put_quoted(self, place: cython.longlong) -> cython.int:
        """Add the quoted text at a place."""
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = place >> PLACE_SHIFT
        size: cython.Py_ssize_t = place & PLACE_MASK
        if size == 0:
            return 0
        self._reserve(size)
        if cython.compiled:
            memcpy(cython.address(self.out[self.used]), cython.address(self.quoted[start]), size)
        else:
            for i in range(size):
                self.out[self.used + i] = self.quoted[start + i]
        self.used += size
        return 0

    def _reserve(self, size: cython.Py_ssize_t) -> cython.int:
        """Make room for so many more bytes of lines."""
        if self.used + size > len(self.out):
            larger = bytearray(2 * (self.used + size))
            memoryview(larger)[: self.used] = memoryview(self.out)[: self.used]
            self.out = larger
        return 0

    def _reserve_quoted(self, size: cython.Py_ssize_t) -> cython.int:
        """Make room for so many more bytes of quoted texts."""
        if self.quoted_used + size > len(self.quoted):
            larger = bytearray(2 * (self.quoted_used + size))
            memoryview(larger)[: self.quoted_used] = memoryview(self.quoted)[: self.quoted_used]
            self.quoted = larger
        return 0
