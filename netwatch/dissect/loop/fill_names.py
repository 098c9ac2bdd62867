# cython: language_level=3, boundscheck=True, wraparound=False
"""Names in packets as texts of the observation batch, in the spelling of `netwatch.core.names`.

Only names of letters, digits, ``-`` and ``_`` are read here: in lower case they are spelled as they
are. Any other is left to a parser, which escapes its bytes or takes them as UTF-8.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.netwatch.core.host_words import lowered, lowered_name, put_word
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.core.host_words import lowered, lowered_name, put_word
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.dissect.loop.octets import Window

MAX_JUMPS = cython.declare(cython.int, 16)
"""Compression pointers in a name of a DNS message that is read."""

LONGEST_NAME = cython.declare(cython.Py_ssize_t, 254)
"""The longest name of a DNS message that is read: length octets and labels without that of the root
(RFC 1035 section 2.3.4), bytes."""

LONGEST_HOST = cython.declare(cython.Py_ssize_t, 255)
"""The longest name in text form that is read, bytes."""

MARGIN = cython.declare(cython.Py_ssize_t, 72)
"""Bytes that have to be free where a label is written."""

DOT = cython.declare(cython.int, 46)


@cython.final
@cython.cclass
class NameTexts(Window):
    """Reads names into `batch`. `name_end` is where the bytes of the last domain end; `capitals` is
    not 0 where the last name has some."""

    def __init__(self, batch: ObservationBatch) -> None:
        Window.__init__(self)
        self.batch = batch
        self.name_end = 0
        self.capitals = 0

    def domain(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.longlong:
        """The text of the DNS name at `at` (RFC 1035 section 4.1.4) of the message at `start`; 0
        for the root and for a name that is left to the parser. Of the bytes behind `at` those up
        to `end` are read."""
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
        """The text of the DNS name at `at`, which `domain` has read, in the letters of the packet;
        0 where it has no capitals."""
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
        """Write the label of `size` bytes at `at`, in lower case and with a dot behind it, to the
        place `to` of the batch; false where it has another byte."""
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
        """The text of a name in text form, without the dot at its end; 0 where there is none, or
        where it is left to the parser."""
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
