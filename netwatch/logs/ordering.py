# cython: language_level=3, boundscheck=True, wraparound=False
"""What several files of logs say, in order of time as far as a bounded buffer can put it.

Programs write a record when they know all of it, so that the records of one file are nearly in the
order of their times. Streams are merged by what comes next in each, and what comes late in its
stream waits for its place. Flow records show many conversations at a time, each with a time of its
own; they come out in runs, as many as there are before anything else.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.buffers import Words, array

if cython.compiled:
    from cython.cimports.netwatch.flow_export.conversations import Conversation
else:
    from netwatch.flow_export.conversations import Conversation

MAX_REORDERED = 4096
"""Entries that wait for earlier ones. What is earlier than one that was handed on is late."""

RUN = 4096
"""Conversations that are handed on together at most."""

T = TypeVar("T")

Streams = list["Stream"]

Timed = Iterator[tuple[int, T | list[Conversation]]]
"""Entries with their times in ns since the epoch. Conversations have their own."""


@cython.final
@cython.cclass
class Stream:
    """The entries of the stream with a number. `entry` is the next one, which has this `time`."""

    def __init__(self, entries: Timed[object], number: int) -> None:
        self.entries = entries
        self.stream = number
        self.entry: object = None
        self.conversations: list[Conversation] | None = None
        self.at = 0
        self.time = 0

    def advance(self) -> cython.bint:
        """Go on to the next entry; false where there is none."""
        if self.conversations is not None:
            self.at += 1
        else:
            found = next(self.entries, None)
            if found is None:
                return False
            self.time, self.entry = found
            if not isinstance(self.entry, list):
                return True
            self.conversations, self.at = self.entry, 0
        if self.at >= len(self.conversations):
            self.conversations = None
            return self.advance()
        conversation: Conversation = self.conversations[self.at]
        self.entry, self.time = conversation, conversation.last
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
    came first is first. `handed_on` is the time of the last one that was exchanged."""

    def __init__(self, size: int) -> None:
        self.size, self.count, self.arrived = size, 0, 0
        self.handed_on = 0
        self.times: Words = array("q", bytes(8 * size))
        self.numbers: Words = array("q", bytes(8 * size))
        self.slots: Words = array("q", bytes(8 * size))
        self.entries: list[object] = [None] * size

    def add(self, time: cython.longlong, entry: object) -> cython.void:
        """Let an entry wait, for which there is room."""
        at: cython.Py_ssize_t = self.count
        above: cython.Py_ssize_t
        number: cython.longlong = self.arrived
        self.entries[at] = entry
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

    def exchange(self, time: cython.longlong, entry: object) -> object:
        """Let an entry wait in the place of the first one, which is handed on; or hand it on if it
        comes before that."""
        slot: cython.longlong = self.slots[0]
        if not self.is_before(0, time, self.arrived):
            self.handed_on = time
            return entry
        self.handed_on = self.times[0]
        first = self.entries[slot]
        self.entries[slot] = entry
        self.sink(time, self.arrived, slot)
        self.arrived += 1
        return first

    def take(self) -> object:
        """Hand on the first entry of those that are left."""
        last: cython.Py_ssize_t = self.count - 1
        first = self.entries[self.slots[0]]
        self.entries[self.slots[0]] = None
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


def one_by_one(streams: list[Stream], window: Window, anomalies: Counter[str]) -> Iterator[object]:
    """The entries of streams, which have some, in their order."""
    stream: Stream | None = None
    other: Stream | None = None
    while streams:
        if stream is None:
            stream = earliest(streams, None)
            other = earliest(streams, stream)
        assert stream is not None
        if stream.time < window.handed_on:
            anomalies["log-record-late"] += 1
            yield stream.entry
        elif window.count == window.size:
            yield window.exchange(stream.time, stream.entry)
        else:
            window.add(stream.time, stream.entry)
        if not stream.advance():
            streams.remove(stream)
            stream = None
        elif other is not None and other.precedes(stream):
            stream = None
    while window.count:
        yield window.take()


def in_order(
    timed: Iterable[Timed[T]], anomalies: Counter[str], size: int = MAX_REORDERED
) -> Iterator[T | list[Conversation]]:
    """The entries of several streams, the earliest of `size` first; of those with the same time,
    the one that came first. Late ones are counted and handed on when they come. Conversations come
    out in runs."""
    stream: Stream
    streams = []
    for number, entries in enumerate(timed):
        stream = Stream(entries, number)
        if stream.advance():
            streams.append(stream)
    run: list[Conversation] = []
    for entry in one_by_one(streams, Window(size), anomalies):
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
