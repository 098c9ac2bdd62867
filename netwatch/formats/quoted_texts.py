# cython: language_level=3, boundscheck=True, wraparound=False
"""The texts of an observation batch as lines have them: quoted once each, in one style.

Most texts are printable ASCII and go between quotes as they are; the style says how others are
written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.formats.row_values import put_ip
    from cython.cimports.netwatch.formats.text_buffer import TextBuffer
else:
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.formats.row_values import put_ip
    from netwatch.formats.text_buffer import TextBuffer

from netwatch.core.buffers import Buffer, Words, array
from netwatch.core.observation_columns import Column
from netwatch.formats.row_values import LONGEST


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
class QuotedTexts:
    """Quoted texts of one batch in `buffer`, in one style.

    `text_places` and `address_places` have the places by the number of a text, 0 where it was not
    yet quoted: the same bytes may be both a text and an address. `odd` is 1 for texts that the
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
        """Forget what was quoted: the next texts are of a batch with so many."""
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
