# cython: language_level=3, boundscheck=True, wraparound=False
"""Finds names in certain domains, and certain words, in the bytes of a line.

Names are compared at the boundaries of their labels, wherever they are: between blanks, quotes,
commas, in a URL. They are compared by a hash over their letters from the last to the first, which
at each dot is the hash of the domain after it. Two domains with the same hash only let more lines
through. If this file is not compiled, regular expressions do the same, several times slower.
"""

import os
import re
from array import array
from collections.abc import Iterable, Mapping
from functools import lru_cache

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.buffers import Octets, Words

_MULTIPLIER = cython.declare(cython.ulonglong, 0x2545F4914F6CDD1D)
_LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)
# Names in a log cannot be chosen to collide.
_SALT = cython.declare(cython.ulonglong, int.from_bytes(os.urandom(7)))

_BETWEEN = cython.declare(cython.uchar, 0)
_LETTER = cython.declare(cython.uchar, 1)
_DOT = cython.declare(cython.uchar, 2)
_LINE_FEED = cython.declare(cython.uchar, 3)
_BEYOND = cython.declare(cython.uchar, 4)
_BACKSLASH = cython.declare(cython.uchar, 5)
_PARENTHESIS = cython.declare(cython.uchar, 6)
_POINT = cython.declare(cython.uchar, 46)
_OPENING = cython.declare(cython.uchar, 40)
_CLOSING = cython.declare(cython.uchar, 41)

_HOST_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
_WORD_BYTES = _HOST_BYTES + b".:/"
_TOKEN = re.compile(rb"\\?[A-Za-z0-9_.-]+")
_WORD = re.compile(rb"[A-Za-z0-9_.:/-]+")
_LABEL = re.compile(rb"\(\d+\)|[()]")
_HIDDEN = re.compile(rb"\\[ux0-9]|[\x80-\xff]")


def _kinds(labels: bool) -> bytes:
    """What each byte is to a name."""
    kinds = bytearray(256)
    for byte in _HOST_BYTES:
        kinds[byte] = 1
    for byte in range(128, 256):
        kinds[byte] = 4
    kinds[ord(".")], kinds[ord("\n")], kinds[ord("\\")] = 2, 3, 5
    if labels:
        kinds[ord("(")] = kinds[ord(")")] = 6
    return bytes(kinds)


_LOWERED = bytes(range(256)).lower()
_IS_OF_WORD = bytes(byte in _WORD_BYTES for byte in range(256))


def _hash(text: bytes) -> cython.ulonglong:
    """The hash of a text in lower case, from its last byte to its first."""
    hash_: cython.ulonglong = _SALT
    byte: cython.ulonglong
    for byte in reversed(text):
        hash_ = ((hash_ ^ byte) * _MULTIPLIER) & _LOW63
        hash_ = hash_ ^ (hash_ >> 32)
    return hash_


def _end_of(
    first: cython.ulonglong, second: cython.ulonglong, third: cython.ulonglong
) -> cython.ulonglong:
    """A number of 16 bits for the last three bytes of a word."""
    return (first | second << 5 | third << 10) & 0xFFFF


def _table(texts: Iterable[bytes], count: int) -> tuple[Words, int, bytearray]:
    """The hashes of texts as a table with open addressing, the mask of its places, and two bits for
    each place, set for hashes in the table: they fit into the first cache of a CPU, and rule out
    most names that are not in the table."""
    hash_: cython.longlong
    place: cython.ulonglong
    mask: cython.ulonglong
    size: cython.ulonglong = 64
    while size < 3 * count:
        size *= 2
    made: Words = array("q", bytes(8 * size))
    table = cython.declare(cython.longlong[::1], made)  # type: ignore[misc]
    bits = bytearray(size // 4)
    mask = size - 1
    for text in texts:
        hash_ = _hash(text) | 1
        place = (hash_ >> 20) & (2 * mask + 1)
        bits[place >> 3] |= 1 << (place & 7)
        place = (hash_ >> 7) & mask
        while table[place] != 0 and table[place] != hash_:
            place = (place + 1) & mask
        table[place] = hash_
    return made, mask, bits


@lru_cache(maxsize=2)
def _domain_table(domains: tuple[bytes, ...]) -> tuple[Words, int, bytearray]:
    """The table of the domains of interest, which all files of a run share."""
    return _table(domains, len(domains))


@lru_cache(maxsize=2)
def _domain_set(domains: tuple[bytes, ...]) -> frozenset[bytes]:
    """The same if this file is not compiled."""
    return frozenset(domains)


@cython.cclass
class NameFinder:
    """Finds names in `domains`, in lower case, and texts by a word of them, whose place `anchored`
    says. With `labels` names may also be written label by label (``(3)www(6)tiktok(3)com(0)``). The
    lines are in `data`; `line_end` is the end of the last one in which nothing was found.
    """

    def __init__(
        self, domains: tuple[bytes, ...], anchored: Mapping[bytes, tuple[int, int]], labels: bool
    ) -> None:
        self.labels = labels
        self.line_end = 0
        self.anchored: Octets = b"".join(anchored)
        self.anchors = len(anchored)
        self.anchor_parts: Words = array("q", bytes(8 * 3 * (len(anchored) + 1)))
        self.anchor_sizes = 0
        for number, (needle, (start, end)) in enumerate(anchored.items()):
            self.anchor_parts[3 * number] = len(needle)
            self.anchor_parts[3 * number + 1] = start
            self.anchor_parts[3 * number + 2] = end - start
            self.anchor_sizes |= 1 << (end - start)
        self.data: Octets = b""
        self.kinds: Octets = _kinds(labels)
        self.lowered: Octets = _LOWERED
        self.is_of_word: Octets = _IS_OF_WORD
        self.words = 0
        self.word_table, self.word_mask, self.word_bits = _table((), 0)
        self.word_ends: Octets = b"\0"
        self.any_end = False
        self.word_set: frozenset[bytes] = frozenset()
        # Nearly all domains have a dot, so most words of a line are not even compared.
        self.single = any(b"." not in domain for domain in domains)
        self.domain_set: frozenset[bytes] = frozenset()
        self.table, self.mask, self.bits = _domain_table(domains)
        # In nearly all logs, words that end with a digit are addresses.
        self.numeric = any(domain.rstrip(b"0123456789") != domain for domain in domains)
        if not cython.compiled:
            self.domain_set = _domain_set(domains)

    def look_for(self, words: frozenset[bytes]) -> None:
        """Find lines that have one of these words, in lower case: a run of letters, digits, ``-``,
        ``_``, ``.``, ``:`` and ``/`` as a whole, or what follows a colon in it."""
        self.words = len(words)
        self.word_table, self.word_mask, self.word_bits = _table(words, len(words))
        ends = bytearray(1 << 13)
        self.any_end = any(len(word) < 3 for word in words)
        for word in words:
            size = len(word)
            if size > 2:
                end = _end_of(word[size - 3], word[size - 2], word[size - 1])
                ends[end >> 3] |= 1 << (end & 7)
        self.word_ends = ends
        if not cython.compiled:
            self.word_set = words

    @cython.boundscheck(False)
    def has_name(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a line has a name in one of the domains, or may have one that is hidden."""
        kind: cython.uchar
        byte: cython.uchar
        token: cython.Py_ssize_t = at
        line: cython.Py_ssize_t = at
        dotted: cython.bint = self.single
        if at < 0 or end > len(self.data):
            return True
        # Only the compiled form gets here.
        octets = cython.address(self.data[0])
        kinds = cython.address(self.kinds[0])
        while at < end:
            kind = kinds[octets[at]]
            if kind == _LETTER:
                at += 1
                continue
            if kind in (_DOT, _PARENTHESIS):
                dotted = True
                at += 1
                continue
            if dotted and at > token and self.is_in_domain(line, token, at):
                return True
            if (
                self.anchors > 0
                and at - token < 64
                and (self.anchor_sizes >> (at - token)) & 1
                and self.is_in_needle(line, token, at - token, end)
            ):
                return True
            if kind == _LINE_FEED:
                self.line_end = at
                return False
            if kind == _BEYOND:
                return True
            if kind == _BACKSLASH and at + 1 < end:
                byte = octets[at + 1]
                # A character by its number, in JSON, in Zeek, and in DNS names.
                if byte in (117, 120) or (byte >= 48 and byte <= 57):
                    return True
            at += 1
            token = at
            dotted = self.single
        self.line_end = end
        return dotted and at > token and self.is_in_domain(line, token, at)

    @cython.boundscheck(False)
    def is_in_needle(
        self,
        line: cython.Py_ssize_t,
        token: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.bint:
        """Whether a needle is around this word of the line at `line`, where all bytes end at
        `end`."""
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        length: cython.Py_ssize_t
        start: cython.Py_ssize_t
        at: cython.Py_ssize_t = 0
        for i in range(self.anchors):
            length = self.anchor_parts[3 * i]
            start = token - self.anchor_parts[3 * i + 1]
            if self.anchor_parts[3 * i + 2] == size and start >= line and start + length <= end:
                j = length - 1
                while j >= 0 and self.data[start + j] == self.anchored[at + j]:
                    j -= 1
                if j < 0:
                    return True
            at += length
        return False

    @cython.boundscheck(False)
    def is_in_domain(
        self, line: cython.Py_ssize_t, start: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether the name in these bytes of the line at `line` is in one of the domains."""
        hash_: cython.ulonglong = _SALT
        byte: cython.uchar
        # The letter after a backslash may belong to it, as in ``\t`` in JSON.
        is_escaped: cython.bint = start > line and self.data[start - 1] == 92
        at: cython.Py_ssize_t = self.end_of_name(start, end) - 1
        octets = cython.address(self.data[0])
        lowered = cython.address(self.lowered[0])
        if not self.numeric and at >= start and 48 <= octets[at] <= 57:
            return False
        while at >= start:
            byte = octets[at]
            if byte == _POINT or (self.labels and byte in (_CLOSING, _OPENING)):
                if self.is_domain(hash_):
                    return True
                if byte == _CLOSING:
                    at = self.start_of_length(start, at)
                byte = _POINT
            elif is_escaped and at == start and self.is_domain(hash_):
                return True
            hash_ = ((hash_ ^ lowered[byte]) * _MULTIPLIER) & _LOW63
            hash_ = hash_ ^ (hash_ >> 32)
            at -= 1
        return self.is_domain(hash_)

    @cython.boundscheck(False)
    def end_of_name(self, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The end of a name without the dots and the empty label after it."""
        while end > start:
            if self.data[end - 1] == _POINT or (self.labels and self.data[end - 1] == _OPENING):
                end -= 1
            elif self.labels and self.data[end - 1] == _CLOSING:
                end = self.start_of_length(start, end - 1)
            else:
                break
        return end

    @cython.boundscheck(False)
    def start_of_length(
        self, start: cython.Py_ssize_t, closing: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """The position of ``(3)`` that ends at `closing`; `closing` if there are no digits."""
        at: cython.Py_ssize_t = closing - 1
        while at >= start and self.data[at] >= 48 and self.data[at] <= 57:
            at -= 1
        return at if start <= at < closing - 1 and self.data[at] == _OPENING else closing

    @cython.boundscheck(False)
    def is_domain(self, hash_: cython.ulonglong) -> cython.bint:
        """Whether a domain of interest has this hash."""
        key: cython.longlong = hash_ | 1
        place: cython.ulonglong = (key >> 20) & (2 * self.mask + 1)
        if not (self.bits[place >> 3] >> (place & 7)) & 1:
            return False
        place = (key >> 7) & self.mask
        while self.table[place] != 0:
            if self.table[place] == key:
                return True
            place = (place + 1) & self.mask
        return False

    @cython.boundscheck(False)
    def has_word(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether the line from `at` to `line_end` has one of the words."""
        hash_: cython.ulonglong
        last: cython.ulonglong
        end: cython.Py_ssize_t = self.line_end
        if at < 0 or end > len(self.data):
            return True
        octets = cython.address(self.data[0])
        lowered = cython.address(self.lowered[0])
        is_of_word = cython.address(self.is_of_word[0])
        while end > at:
            end -= 1
            if not is_of_word[octets[end]]:
                continue
            if not self.any_end:
                # Hardly any run ends as one of the words does.
                last = 0
                if end - at >= 2:
                    last = _end_of(
                        lowered[octets[end - 2]],
                        lowered[octets[end - 1]],
                        lowered[octets[end]],
                    )
                if end - at < 2 or not (self.word_ends[last >> 3] >> (last & 7)) & 1:
                    while end > at and is_of_word[octets[end]]:
                        end -= 1
                    continue
            hash_ = _SALT
            while end >= at and is_of_word[octets[end]]:
                if octets[end] == 58 and self.is_word(hash_):
                    return True
                hash_ = ((hash_ ^ lowered[octets[end]]) * _MULTIPLIER) & _LOW63
                hash_ = hash_ ^ (hash_ >> 32)
                end -= 1
            if self.is_word(hash_):
                return True
        return False

    @cython.boundscheck(False)
    def is_word(self, hash_: cython.ulonglong) -> cython.bint:
        """Whether one of the words has this hash."""
        key: cython.longlong = hash_ | 1
        place: cython.ulonglong = (key >> 20) & (2 * self.word_mask + 1)
        if not (self.word_bits[place >> 3] >> (place & 7)) & 1:
            return False
        place = (key >> 7) & self.word_mask
        while self.word_table[place] != 0:
            if self.word_table[place] == key:
                return True
            place = (place + 1) & self.word_mask
        return False

    def _matches(self, line: bytes) -> bool:
        """`has_name` and `has_word`, if this file is not compiled."""
        if _HIDDEN.search(line):
            return True
        if self.words and any(map(self._is_asked_for, _WORD.findall(line))):
            return True
        text = re.sub(_LABEL.pattern, b".", line) if self.labels else line
        return any(map(self._is_of_interest, _TOKEN.findall(text)))

    def _is_asked_for(self, run: bytes) -> bool:
        parts = run.lower().split(b":")
        return any(b":".join(parts[at:]) in self.word_set for at in range(len(parts)))

    def _is_of_interest(self, token: bytes) -> bool:
        name = token.lower().rstrip(b".")
        if not self.single and b"." not in token:
            return False
        if name.startswith(b"\\"):
            if name[2:] in self.domain_set:
                return True
            name = name[1:]
        parts = name.split(b".")
        return any(b".".join(parts[at:]) in self.domain_set for at in range(len(parts)))
