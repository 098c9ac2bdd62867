# cython: language_level=3, boundscheck=True, wraparound=False
"""Finds the lines of a log that may be of interest, before any of them is read.

A line passes if it has, in upper or lower case, a name in one of the domains of interest, or one of
the requested words (addresses that such names were resolved to). Names are compared at the
boundaries of their labels, wherever they are: between blanks, quotes, commas, in a URL. Lines that
may hide a name from such a comparison pass too: bytes beyond ASCII, and escapes of characters
(``\\u0074``). Most lines of most logs are of no interest, so this decides how fast a log is read.
"""

import re
from collections.abc import Iterable

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.logs.name_finder import NameFinder
else:
    from netwatch.logs.name_finder import NameFinder

from netwatch.core.buffers import Words, array

HITS = 4096
"""Lines that are found in one call at most."""

HEAD = 64
"""The first lines of a file pass whatever they contain."""

SAMPLE_EVERY, LONG_SAMPLE_EVERY, SAMPLE = 1024, 8192, 8
"""So do the first 8 of each 1024 lines, after `LONG` lines of each 8192, to notice an unreadable
log. They are consecutive, because some belong together."""

LONG = 1 << 16
"""Lines of a file whose share of samples is higher."""

MAX_AROUND = 16
"""Lines before and after one of interest that pass with it, at most."""

MAX_WORDS = 1 << 20
"""Words to compare. If there are more, all lines pass."""

_HITS = cython.declare(cython.Py_ssize_t, HITS)
_HEAD = cython.declare(cython.longlong, HEAD)
_SAMPLE_EVERY = cython.declare(cython.longlong, SAMPLE_EVERY)
_LONG_SAMPLE_EVERY = cython.declare(cython.longlong, LONG_SAMPLE_EVERY)
_LONG = cython.declare(cython.longlong, LONG)
_MAX_AROUND = cython.declare(cython.Py_ssize_t, MAX_AROUND)

_ANCHOR = re.compile(rb"(?s).*[^A-Za-z0-9_.-]([A-Za-z0-9_-]{1,63})(?=[^A-Za-z0-9_.-])")


def _anchor(needle: bytes) -> "tuple[int, int] | None":
    """The position of the last complete word in a needle: the needle can only be in a line with
    this word; None if there is none."""
    found = _ANCHOR.match(needle) if cython.compiled else None
    return found.span(1) if found is not None and found.end() < len(needle) <= 255 else None


@cython.final
@cython.cclass
class LineFilter(NameFinder):
    """Finds lines in a buffer, which it divides into lines.

    `domains` are the domains of interest in lower case, None if every line passes. Lines that
    contain one of `needles` pass. With `labels` names may also be written label by label
    (``(3)www(6)tiktok(3)com(0)``). So many lines `around` one that passes for its content pass as
    well: in a log that does not tell which lines belong together, the lines of one lookup are next
    to each other. Without `sample` only the head of a file passes whatever its content.

    After `find` there are `count` lines: ``starts[i]`` and ``ends[i]`` are where the line with the
    number ``numbers[i]`` is, without its line feed. `lines` counts the lines that were checked.
    """

    def __init__(
        self,
        domains: Iterable[bytes] | None,
        needles: tuple[bytes, ...] = (),
        labels: bool = False,
        around: int = 0,
        *,
        sample: bool = True,
    ) -> None:
        # Searching all bytes for each needle takes longer than comparing one word of each.
        anchored = {needle: found for needle in needles if (found := _anchor(needle)) is not None}
        NameFinder.__init__(self, tuple(domains or ()), anchored, labels)
        self.needles = tuple(needle for needle in needles if needle not in anchored)
        self.starts: Words = array("q", bytes(8 * HITS))
        self.ends: Words = array("q", bytes(8 * HITS))
        self.numbers: Words = array("q", bytes(8 * HITS))
        self.count = 0
        self.lines = 0
        self.passes_all = domains is None
        self.sample = SAMPLE if sample else 0
        self.around = min(around, MAX_AROUND)
        self.following = 0
        self.held = 0
        self.held_starts: Words = array("q", bytes(8 * MAX_AROUND))
        self.held_ends: Words = array("q", bytes(8 * MAX_AROUND))

    def pass_all(self) -> None:
        """Let every line pass from now on."""
        self.passes_all = True

    def set_words(self, words: frozenset[bytes]) -> None:
        """Let lines pass that have one of these words (`NameFinder.look_for`)."""
        if len(words) > MAX_WORDS:
            self.passes_all = True
            return
        self.look_for(words)

    def keep_from(self, end: int) -> int:
        """The start of the bytes that are still needed, among the checked ones before `end`."""
        return self.held_starts[0] if self.held else end

    def moved(self, by: int) -> None:
        """The bytes that are still needed have moved forward by so many places."""
        i: cython.Py_ssize_t
        for i in range(self.held):
            self.held_starts[i] -= by
            self.held_ends[i] -= by

    def forget(self) -> None:
        """The checked lines are no longer needed."""
        self.held = 0
        self.following = 0

    def find(self, data: bytearray, start: int, end: int) -> int:
        """Find lines in ``data[start:end]``, which begins with a line and ends with one. Returns
        where it stopped: before `end` if there was no room for more lines."""
        at: cython.Py_ssize_t = start
        until: cython.Py_ssize_t = end
        next_needle: cython.Py_ssize_t = self._next_needle(data, start, end)
        is_of_interest: cython.bint
        passes: cython.bint
        self.data = data
        self.count = 0
        while at < until and self.count < _HITS - _MAX_AROUND:
            passes = self.passes_all or self.lines < _HEAD or self.is_sample()
            is_of_interest = False
            if not passes or (self.around > 0 and not self.passes_all):
                is_of_interest = self._passes(data, at, until)
            if passes or is_of_interest:
                self._find_end(data, at, until)
            if next_needle < self.line_end:
                is_of_interest = True
                next_needle = self._next_needle(data, self.line_end, until)
            self.lines += 1
            if is_of_interest and self.around > 0:
                self.following = self.around
            elif self.following > 0:
                self.following -= 1
                passes = True
            if is_of_interest or passes:
                self._add_held()
                self._add(at, self.line_end, self.lines)
            elif self.around > 0:
                self._hold(at)
            at = self.line_end + 1
        self.data = b""
        return min(at, until)

    def is_sample(self) -> cython.bint:
        """Whether the next line passes whatever it contains."""
        if self.lines < _LONG:
            return self.lines % _SAMPLE_EVERY < self.sample
        return self.lines % _LONG_SAMPLE_EVERY < self.sample

    def _add(
        self, start: cython.longlong, end: cython.longlong, number: cython.longlong
    ) -> cython.void:
        self.starts[self.count] = start
        self.ends[self.count] = end
        self.numbers[self.count] = number
        self.count += 1

    def _add_held(self) -> cython.void:
        """Add the lines before the one just counted that were not of interest so far."""
        i: cython.Py_ssize_t
        for i in range(self.held):
            self._add(self.held_starts[i], self.held_ends[i], self.lines - self.held + i)
        self.held = 0

    def _hold(self, at: cython.longlong) -> cython.void:
        """Hold a line in case one after it is of interest."""
        i: cython.Py_ssize_t
        if self.held == self.around:
            for i in range(1, self.held):
                self.held_starts[i - 1] = self.held_starts[i]
                self.held_ends[i - 1] = self.held_ends[i]
            self.held -= 1
        self.held_starts[self.held] = at
        self.held_ends[self.held] = self.line_end
        self.held += 1

    def _next_needle(self, data: bytearray, start: int, end: int) -> int:
        """The position of the first needle, `end` if there is none."""
        first = end
        for needle in self.needles:
            found = data.find(needle, start, first + len(needle) - 1 if first < end else end)
            if found >= 0:
                first = min(first, found)
        return first

    def _find_end(
        self, data: bytearray, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.void:
        """Set `line_end`, for a line that is not checked to its end."""
        found: cython.Py_ssize_t = data.find(b"\n", at, end)
        self.line_end = end if found < 0 else found

    def _passes(
        self, data: bytearray, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether the line at `at` is of interest; if it is not, `line_end` is its end."""
        if cython.compiled:
            return self.has_name(at, end) or (self.words > 0 and self.has_word(at))
        self._find_end(data, at, end)
        return self._matches(bytes(data[at : self.line_end]))
