# cython: language_level=3, boundscheck=True, wraparound=False
"""The texts of an observation batch in lines: quoted once each, in one style.

Most texts are printable ASCII and are only put between quotes; the style defines how others are
written: `JSON` and `CSV` for lines of observations. The texts are UTF-8 bytes in a growing buffer,
each of which is known by its place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.formats.row_values import put_ip
else:
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.formats.row_values import put_ip

from netwatch.core.buffers import Buffer, Words, array
from netwatch.core.observation_columns import COLUMNS, ORDERED_COLUMNS, Column
from netwatch.core.tabular import FORMULA_STARTS, csv_line
from netwatch.formats.row_values import LONGEST
from netwatch.formats.values import json_line

PLACE_SHIFT = cython.declare(cython.int, 32)
PLACE_MASK = cython.declare(cython.longlong, 0xFFFFFFFF)


@cython.final
@cython.cclass
class TextBuffer:
    """The bytes of texts, one after the other; `used` bytes are written.

    The place of a text is where it starts, shifted by 32 bits, and its size in bytes.
    """

    def __init__(self, size: int) -> None:
        self.octets: Buffer = bytearray(size)
        self.used = 0

    def reserve(self, size: cython.Py_ssize_t) -> cython.int:
        """Make room for so many more bytes."""
        if self.used + size > len(self.octets):
            larger = bytearray(2 * (self.used + size))
            memoryview(larger)[: self.used] = memoryview(self.octets)[: self.used]
            self.octets = larger
        return 0

    def place_since(self, start: cython.Py_ssize_t) -> cython.longlong:
        """The place of the text that begins at `start` and ends with the buffer."""
        return cython.cast(cython.longlong, start) << PLACE_SHIFT | (self.used - start)

    def add(self, other: "TextBuffer", place: cython.longlong) -> cython.int:
        """Add a text of another buffer. It copies the bytes itself: passing a view of them takes
        longer than copying a text."""
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = place >> PLACE_SHIFT
        size: cython.Py_ssize_t = place & PLACE_MASK
        if size == 0 or start + size > other.used:
            return 0
        if self.used + size > len(self.octets):
            self.reserve(size)
        if cython.compiled:
            memcpy(
                cython.address(self.octets[self.used]), cython.address(other.octets[start]), size
            )
        else:
            for i in range(size):
                self.octets[self.used + i] = other.octets[start + i]
        self.used += size
        return 0

    def add_octets(
        self, octets: Buffer, start: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.int:
        """Add the `size` bytes at `start`."""
        i: cython.Py_ssize_t
        if size <= 0 or start < 0 or start + size > len(octets):
            return 0
        self.reserve(size)
        if cython.compiled:
            memcpy(cython.address(self.octets[self.used]), cython.address(octets[start]), size)
        else:
            for i in range(size):
                self.octets[self.used + i] = octets[start + i]
        self.used += size
        return 0

    def add_text(self, text: str) -> int:
        """Add a text; returns its place."""
        raw = bytearray(text.encode())
        start: cython.Py_ssize_t = self.used
        self.add_octets(raw, 0, len(raw))
        return self.place_since(start)

    def take(self) -> str:
        """All texts as one; they are removed."""
        text = str(memoryview(self.octets)[: self.used], "utf-8")
        self.used = 0
        return text


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How the values of a row become a line.

    A line is `begin`, the values of `columns` and `end`. Each value is preceded by the result of
    `key` for its column; the second argument tells whether the previous value is in the same group
    (has the same first part of a path), which otherwise ends with `close`. With `cells` the key is
    there without a value, too.

    Texts, times and addresses are between `quote`, lists between the two of `brackets`, with
    `separator` between entries. Texts with characters that are in `unsafe` or not printable ASCII
    need `odd_text`, and so do those that start with one of `unsafe_start`. Lists with such texts
    need `odd_list`, if there is one.
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


def _json_key(column: Column, same_group: bool) -> str:
    comma = "" if column is COLUMNS[0] else ","
    *groups, key = column.path
    if groups and not same_group:
        return f'{comma}"{groups[0]}":{{"{key}":'
    return f'{comma}"{key}":'


def _json_text(text: str) -> str:
    """A text as a string of JSON."""
    return json_line({"": text})[4:-1]


JSON = LineStyle(
    columns=COLUMNS,
    begin="{",
    end="}\n",
    close="}",
    key=_json_key,
    quote='"',
    brackets=("[", "]"),
    separator=",",
    unsafe=b'"\\',
    unsafe_start=b"",
    odd_text=_json_text,
    odd_list=None,
    cells=False,
)
"""An observation as a line of JSON, with the keys of its record in the order of `COLUMNS`."""


def _csv_cell(value: Any) -> str:
    """A cell as it is in a row."""
    return csv_line([value, ""])[:-1]


CSV = LineStyle(
    columns=ORDERED_COLUMNS,
    begin="",
    end="\n",
    close="",
    key=lambda column, same_group: "" if column is ORDERED_COLUMNS[0] else ",",
    quote="",
    brackets=("", ""),
    separator=" ",
    unsafe=b'",',
    unsafe_start="".join(FORMULA_STARTS).encode("ascii"),
    odd_text=_csv_cell,
    odd_list=_csv_cell,
    cells=True,
)
"""An observation as a row of CSV."""


@cython.final
@cython.cclass
class QuotedTexts:
    """Quoted texts of one batch in `buffer`, in one style.

    `text_places` and `address_places` have the places by the number of a text, 0 if it has not been
    quoted yet: the same bytes may be both a text and an address. `odd` is 1 for texts that the
    style writes in its own way.
    """

    def __init__(self, style: LineStyle) -> None:
        self.odd_text = style.odd_text
        self.marks = TextBuffer(16)
        self.quote = self.marks.add_text(style.quote)
        self.buffer = TextBuffer(1 << 16)
        self.unsafe: Buffer = bytearray(256)
        self.unsafe_start: Buffer = bytearray(256)
        for code in range(256):
            unsafe = not 0x20 <= code < 0x7F or code in style.unsafe
            self.unsafe[code] = unsafe
            self.unsafe_start[code] = unsafe or code in style.unsafe_start
        self.text_places: Words = array("q", [0])
        self.address_places: Words = array("q", [0])
        self.odd: Buffer = bytearray(1)

    def forget(self, texts: cython.Py_ssize_t) -> None:
        """Forget what was quoted: the next texts are from a batch with so many."""
        i: cython.Py_ssize_t
        if len(self.text_places) < texts:
            self.text_places = array("q", bytes(16 * texts))
            self.address_places = array("q", bytes(16 * texts))
            self.odd = bytearray(2 * texts)
        for i in range(texts):
            self.text_places[i] = 0
            self.address_places[i] = 0
            self.odd[i] = 0
        self.buffer.used = 0

    def text(self, batch: ObservationBatch, number: cython.longlong) -> cython.longlong:
        """The place of a text."""
        i: cython.Py_ssize_t
        to: cython.Py_ssize_t = self.buffer.used
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
            place = self.buffer.add_text(self.odd_text(batch.text(number)))
        else:
            self.buffer.add(self.marks, self.quote)
            self.buffer.add_octets(batch.octets, start, size)
            self.buffer.add(self.marks, self.quote)
            place = self.buffer.place_since(to)
        self.text_places[number] = place
        return place

    def address(self, batch: ObservationBatch, number: cython.longlong) -> cython.longlong:
        """The place of an address."""
        to: cython.Py_ssize_t = self.buffer.used
        start: cython.Py_ssize_t
        place: cython.longlong = self.address_places[number]
        if place:
            return place
        self.buffer.add(self.marks, self.quote)
        self.buffer.reserve(LONGEST)
        start = batch.starts[number]
        self.buffer.used = put_ip(
            self.buffer.octets,
            self.buffer.used,
            batch.octets,
            start,
            batch.starts[number + 1] - start,
        )
        self.buffer.add(self.marks, self.quote)
        place = self.buffer.place_since(to)
        self.address_places[number] = place
        return place
