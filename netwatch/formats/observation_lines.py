# cython: language_level=3, boundscheck=True, wraparound=False
"""The rows of an observation batch as lines of text, of JSON or of CSV, without an object per row.

The content of a line follows from `netwatch.core.observation_columns.COLUMNS`, its form from a
`LineStyle`. The texts of a batch are quoted once each.
"""

from collections.abc import Callable, Mapping

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.core.community_id import CommunityIds
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.formats.quoted_texts import QuotedTexts, TextBuffer
    from cython.cimports.netwatch.formats.row_values import (
        put_fraction,
        put_mac,
        put_number,
        put_second,
    )
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.community_id import CommunityIds
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.formats.quoted_texts import QuotedTexts, TextBuffer
    from netwatch.formats.row_values import (
        put_fraction,
        put_mac,
        put_number,
        put_second,
    )

from netwatch.core.buffers import Buffer, Words, array
from netwatch.core.observation_columns import EVIDENCE, TRANSPORTS, Kind
from netwatch.formats.quoted_texts import LineStyle
from netwatch.formats.row_values import LONGEST

PIECE = 1 << 20
"""Bytes after which lines are handed over within a batch."""

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
POSITIVE_NUMBER = cython.declare(cython.int, 12)
PLACE = cython.declare(cython.int, 13)

_KINDS: Mapping[Kind, int] = {
    "time": TIME,
    "evidence": EVIDENCE_KIND,
    "text": TEXT,
    "address": ADDRESS,
    "number": NUMBER,
    "optional number": OPTIONAL_NUMBER,
    "positive number": POSITIVE_NUMBER,
    "mac": MAC,
    "transport": TRANSPORT,
    "source": SOURCE,
    "place": PLACE,
    "texts": TEXTS,
    "addresses": ADDRESSES,
    "community id": COMMUNITY_ID,
}

BILLION = cython.declare(cython.longlong, 1_000_000_000)

_NEVER = -(1 << 63)
_ABSENT: Mapping[Kind, int] = {
    "text": 0,
    "address": 0,
    "place": 0,
    "optional number": -1,
    "positive number": 0,
    "mac": 0,
    "texts": 0,
    "addresses": 0,
}
"""The word of a column without a value, by its kind."""


@cython.final
@cython.cclass
class ObservationLines:
    """Writes the lines of batches in one style, in large pieces.

    `out` has the lines, `constants` the texts that do not depend on a batch, and `texts` the
    batch's texts.
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
        self.constants = constants = TextBuffer(4096)

        # Cython turns the method itself into a pointer that GCC 14 and newer refuse.
        def constant(text: str) -> int:
            return constants.add_text(text)

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
        self.cells = style.cells
        self.odd_list = style.odd_list
        self.out = TextBuffer(PIECE + 65536)
        self.texts = QuotedTexts(style)
        self.source = -1
        self.source_place = 0
        self.second = 0
        self.second_text: Buffer = bytearray(19)
        put_second(self.second_text, 0, 0)
        self.community_ids = CommunityIds()

    def write(self, batch: ObservationBatch, write: Callable[[str], object]) -> None:
        """Pass the lines of all rows, in the order of packets, to `write`."""
        row: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        self.texts.forget(batch.texts)
        self.source = -1
        self.community_ids.forget()
        for span in batch.spans:
            row, stop = span
            while row < stop:
                self._row(batch, row)
                row += 1
                if self.out.used >= PIECE:
                    write(self.out.take())
        if self.out.used:
            write(self.out.take())

    def _row(self, batch: ObservationBatch, row: cython.Py_ssize_t) -> None:
        """Add the line of a row."""
        i: cython.Py_ssize_t
        word: cython.longlong
        at: cython.Py_ssize_t = row * columns.WORDS
        group: cython.longlong = 0
        self.out.add(self.constants, self.begin)
        for i in range(self.columns):
            word = batch.words[at + self.words[i]]
            if word == self.absent[i] or (
                self.kinds[i] == COMMUNITY_ID and not self.community_ids.has_id(batch, row)
            ):
                if self.cells:
                    self.out.add(self.constants, self.same_keys[i])
            elif self.groups[i] == group:
                self.out.add(self.constants, self.same_keys[i])
                self._value(batch, row, self.kinds[i], word)
            else:
                if group:
                    self.out.add(self.constants, self.close)
                group = self.groups[i]
                self.out.add(self.constants, self.keys[i])
                self._value(batch, row, self.kinds[i], word)
        if group:
            self.out.add(self.constants, self.close)
        self.out.add(self.constants, self.end)

    def _value(
        self,
        batch: ObservationBatch,
        row: cython.Py_ssize_t,
        kind: cython.longlong,
        word: cython.longlong,
    ) -> None:
        if kind == TEXT:
            self.out.add(self.texts.buffer, self.texts.text(batch, word))
        elif kind == ADDRESS:
            self.out.add(self.texts.buffer, self.texts.address(batch, word))
        elif kind in (NUMBER, OPTIONAL_NUMBER, POSITIVE_NUMBER):
            self.out.reserve(LONGEST)
            self.out.used = put_number(self.out.octets, self.out.used, word)
        elif kind == TIME:
            self.out.add(self.constants, self.quote)
            self._time(word, batch.words[row * columns.WORDS + columns.WORD_TIME_DIGITS])
            self.out.add(self.constants, self.quote)
        elif kind == EVIDENCE_KIND:
            self.out.add(self.constants, self.evidence[word])
        elif kind == TRANSPORT:
            self.out.add(self.constants, self.transports[word])
        elif kind == MAC:
            self.out.add(self.constants, self.quote)
            self.out.reserve(LONGEST)
            self.out.used = put_mac(self.out.octets, self.out.used, word)
            self.out.add(self.constants, self.quote)
        elif kind == COMMUNITY_ID:
            self.out.add(self.constants, self.quote)
            self.out.reserve(LONGEST)
            self.out.used = self.community_ids.write(batch, row, self.out.octets, self.out.used)
            self.out.add(self.constants, self.quote)
        elif kind == SOURCE:
            if word != self.source:
                self.source = word
                self.source_place = self.texts.buffer.add_text(
                    self.style.odd_text(batch.sources[word])
                )
            self.out.add(self.texts.buffer, self.source_place)
        elif kind == PLACE:
            self.out.add_text(self.style.odd_text(batch.sources[word - 1]))
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
        self.out.reserve(LONGEST)
        for i in range(19):
            self.out.octets[self.out.used + i] = self.second_text[i]
        self.out.used += 19
        self.out.used = put_fraction(self.out.octets, self.out.used, time % BILLION, digits)

    def _texts(self, batch: ObservationBatch, word: cython.longlong) -> None:
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = word >> columns.LIST_SHIFT
        count: cython.Py_ssize_t = word & columns.LIST_MASK
        if self.odd_list is not None:
            for i in range(start, start + count):
                self.texts.text(batch, batch.lists[i])
                if self.texts.odd[batch.lists[i]]:
                    self.out.add_text(self.odd_list(batch.text_list(word)))
                    return
        self.out.add(self.constants, self.open_list)
        for i in range(start, start + count):
            if i > start:
                self.out.add(self.constants, self.separator)
            self.out.add(self.texts.buffer, self.texts.text(batch, batch.lists[i]))
        self.out.add(self.constants, self.close_list)

    def _addresses(self, batch: ObservationBatch, word: cython.longlong) -> None:
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = word >> columns.LIST_SHIFT
        self.out.add(self.constants, self.open_list)
        for i in range(word & columns.LIST_MASK):
            if i:
                self.out.add(self.constants, self.separator)
            self.out.add(self.texts.buffer, self.texts.address(batch, batch.lists[start + 2 * i]))
        self.out.add(self.constants, self.close_list)
