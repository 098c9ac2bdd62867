# cython: language_level=3, boundscheck=True, wraparound=False
"""What several files of logs say, in order of time as far as a bounded buffer can put it.

Programs write a record when they know all of it, so that the records of one file are nearly in the
order of their times. Streams are merged by what comes next in each, and what comes late in its
stream waits for its place. Flow records show many conversations at a time, each with a time of its
own; they come out in runs, as many as there are before anything else.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.buffers import Words, array
from netwatch.core.observation_columns import EVIDENCE

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.flow_export.conversations import Conversation
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.flow_export.conversations import Conversation

MAX_REORDERED = 4096
"""Entries that wait for earlier ones. What is earlier than one that was handed on is late."""

RUN = 4096
"""Conversations that are handed on together at most."""

T = TypeVar("T")

Streams = list["Stream"]


@cython.final
@cython.cclass
class Rows:
    """The rows of a batch from `first` on, before `last`, of the file `source`."""

    def __init__(self, batch: ObservationBatch, first: int, last: int, source: str) -> None:
        self.batch, self.source = batch, source
        self.first, self.last = first, last


Timed = Iterator[tuple[int, T | list[Conversation] | Rows]]
"""Entries with their times in ns since the epoch. Conversations and rows have their own."""


@cython.final
@cython.cclass
class RowSink:
    """Takes rows into a batch in their order, `limit` at most, whose sources are numbered by
    `number_of`. The caller empties it when it `is_full`. `evidence` counts rows by the number of
    their evidence, and may be reset."""

    def __init__(
        self, batch: ObservationBatch, number_of: Callable[[str], int], limit: int
    ) -> None:
        self.batch, self.number_of, self.limit = batch, number_of, limit
        self.source = ""
        self.number = -1
        self.evidence = [0] * len(EVIDENCE)

    def is_full(self) -> cython.bint:
        """Whether there is no room for a row."""
        return self.batch.count >= self.limit

    def take(self, rows: Rows, row: cython.Py_ssize_t) -> cython.void:
        """Take a row, for which there is room."""
        at: cython.Py_ssize_t
        if self.number < 0 or rows.source != self.source:
            self.source, self.number = rows.source, self.number_of(rows.source)
        at = self.batch.take_row(rows.batch, row)
        self.batch.words[at + columns.WORD_SOURCE] = self.number
        self.batch.add_span(self.batch.count - 1, self.batch.count)
        self.evidence[self.batch.words[at + columns.WORD_EVIDENCE]] += 1


@cython.final
@cython.cclass
class Stream:
    """The entries of the stream with a number. `entry` is the next one, which has this `time`, and
    with a `row` that is not -1 it is this one of its rows."""

    def __init__(self, entries: Timed[object], number: int) -> None:
        self.entries = entries
        self.stream = number
        self.entry: object = None
        self.conversations: list[Conversation] | None = None
        self.rows: Rows | None = None
        self.at = 0
        self.row = -1
        self.time = 0

    def advance(self) -> cython.bint:
        """Go on to the next entry; false where there is none."""
        if self.rows is not None:
            return self.advance_row(self.row + 1)
        if self.conversations is not None:
            self.at += 1
        else:
            found = next(self.entries, None)
            if found is None:
                return False
            self.time, self.entry = found
            if isinstance(self.entry, Rows):
                self.rows = self.entry
                return self.advance_row(self.rows.first)
            if not isinstance(self.entry, list):
                return True
            self.conversations, self.at = self.entry, 0
        if self.at >= len(self.conversations):
            self.conversations = None
            return self.advance()
        conversation: Conversation = self.conversations[self.at]
        self.entry, self.time = conversation, conversation.last
        return True

    def advance_row(self, row: cython.Py_ssize_t) -> cython.bint:
        """Go on to a row, or to what follows the last one."""
        rows: Rows | None = self.rows
        if rows is None or row >= rows.last:
            self.rows, self.row = None, -1
            return self.advance()
        self.row = row
        self.time = rows.batch.words[row * columns.WORDS + columns.WORD_TIME]
        return True

    def precedes(self, other: "Stream") -> cython.bint:
        """Whether its next entry comes before that of another."""
        if self.time != other.time:
            return self.time < other.time
        return self.stream < other.stream


@cython.final
@cython.cclass
class Window:
    """The entries that wait, `size` at most, as a heap: of those with the same time the one that
    came first is first. `handed_on` is the time of the last one that was exchanged, `row` which of
    its rows the last one is that was handed on, -1 if it has none."""

    def __init__(self, size: int) -> None:
        self.size, self.count, self.arrived = size, 0, 0
        self.handed_on = 0
        self.times: Words = array("q", bytes(8 * size))
        self.numbers: Words = array("q", bytes(8 * size))
        self.slots: Words = array("q", bytes(8 * size))
        self.entries: list[object] = [None] * size
        self.rows: Words = array("q", bytes(8 * size))
        self.row = -1

    def add(self, time: cython.longlong, entry: object, row: cython.Py_ssize_t) -> cython.void:
        """Let an entry wait, for which there is room."""
        at: cython.Py_ssize_t = self.count
        above: cython.Py_ssize_t
        number: cython.longlong = self.arrived
        self.entries[at] = entry
        self.rows[at] = row
        slot: cython.longlong = at
        while at > 0:
            above = (at - 1) >> 1
            if self.is_before(above, time, number):
                break
            self.put(at, self.times[above], self.numbers[above], self.slots[above])
            at = above
        self.put(at, time, number, slot)
        self.count += 1
        self.arrived += 1

    def exchange(self, time: cython.longlong, entry: object, row: cython.Py_ssize_t) -> object:
        """Let an entry wait in the place of the first one, which is handed on; or hand it on if it
        comes before that."""
        slot: cython.longlong = self.slots[0]
        if not self.is_before(0, time, self.arrived):
            self.handed_on = time
            self.row = row
            return entry
        self.handed_on = self.times[0]
        first = self.entries[slot]
        self.entries[slot] = entry
        self.row = self.rows[slot]
        self.rows[slot] = row
        self.sink(time, self.arrived, slot)
        self.arrived += 1
        return first

    def take(self) -> object:
        """Hand on the first entry of those that are left."""
        last: cython.Py_ssize_t = self.count - 1
        first = self.entries[self.slots[0]]
        self.entries[self.slots[0]] = None
        self.row = self.rows[self.slots[0]]
        self.count = last
        if last:
            self.sink(self.times[last], self.numbers[last], self.slots[last])
        return first

    def sink(
        self, time: cython.longlong, number: cython.longlong, slot: cython.longlong
    ) -> cython.void:
        """Put an entry in the place of the first one, and from there to where it belongs."""
        at: cython.Py_ssize_t = 0
        below: cython.Py_ssize_t = 1
        while below < self.count:
            if below + 1 < self.count and not self.is_before(
                below, self.times[below + 1], self.numbers[below + 1]
            ):
                below += 1
            if not self.is_before(below, time, number):
                break
            self.put(at, self.times[below], self.numbers[below], self.slots[below])
            at, below = below, 2 * below + 1
        self.put(at, time, number, slot)

    def is_before(
        self, at: cython.Py_ssize_t, time: cython.longlong, number: cython.longlong
    ) -> cython.bint:
        """Whether the entry at a place of the heap comes before another."""
        if self.times[at] != time:
            return self.times[at] < time
        return self.numbers[at] < number

    def put(
        self,
        at: cython.Py_ssize_t,
        time: cython.longlong,
        number: cython.longlong,
        slot: cython.longlong,
    ) -> cython.void:
        """Write an entry of the heap."""
        self.times[at], self.numbers[at], self.slots[at] = time, number, slot


def earliest(streams: "Streams", but: Stream | None) -> Stream | None:
    """The stream whose next entry is the earliest, of several the first; leaving one out."""
    found: Stream | None = None
    stream: Stream
    for stream in streams:
        if stream is not but and (found is None or stream.time < found.time):
            found = stream
    return found


def one_by_one(
    streams: list[Stream], window: Window, anomalies: Counter[str], sink: RowSink | None
) -> Iterator[object]:
    """The entries of streams, which have some, in their order. Rows go to the `sink`, which comes
    itself when it is full."""
    entry: object
    row: cython.Py_ssize_t
    stream: Stream | None = None
    other: Stream | None = None
    while streams:
        if stream is None:
            stream = earliest(streams, None)
            other = earliest(streams, stream)
        assert stream is not None
        if stream.time < window.handed_on:
            anomalies["log-record-late"] += 1
            entry, row = stream.entry, stream.row
        elif window.count == window.size:
            entry = window.exchange(stream.time, stream.entry, stream.row)
            row = window.row
        else:
            window.add(stream.time, stream.entry, stream.row)
            entry, row = None, -1
        if row >= 0:
            assert sink is not None
            assert isinstance(entry, Rows)
            if sink.is_full():
                yield sink
            sink.take(entry, row)
        elif entry is not None:
            yield entry
        if not stream.advance():
            streams.remove(stream)
            stream = None
        elif other is not None and other.precedes(stream):
            stream = None
    while window.count:
        entry = window.take()
        if window.row < 0:
            yield entry
            continue
        row = window.row
        assert sink is not None
        assert isinstance(entry, Rows)
        if sink.is_full():
            yield sink
        sink.take(entry, row)


def in_order(
    timed: Iterable[Timed[T]],
    anomalies: Counter[str],
    size: int = MAX_REORDERED,
    sink: RowSink | None = None,
) -> Iterator[T | list[Conversation] | RowSink]:
    """The entries of several streams, the earliest of `size` first; of those with the same time,
    the one that came first. Late ones are counted and handed on when they come. Conversations come
    out in runs. Rows go to `sink`, which comes out when it is full."""
    stream: Stream
    streams = []
    for number, entries in enumerate(timed):
        stream = Stream(entries, number)
        if stream.advance():
            streams.append(stream)
    run: list[Conversation] = []
    for entry in one_by_one(streams, Window(size), anomalies, sink):
        if isinstance(entry, Conversation):
            run.append(entry)
            if len(run) < RUN:
                continue
            entry, run = run, []
        elif run:
            yield run
            run = []
        yield entry  # type: ignore[misc]
    if run:
        yield run
