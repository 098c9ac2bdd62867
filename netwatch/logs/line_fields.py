# cython: language_level=3, boundscheck=True, wraparound=False
"""The fields of a plain line, by their roles, and how lines of columns and of a pattern have them.

What cannot be read exactly as the reader of the format would read it is no plain line: bytes beyond
printable ASCII, escapes, a word that the layout does not list.
"""

import re

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.logs import layout as roles
else:
    from netwatch.logs import layout as roles

from netwatch.core.buffers import Octets, Words, array
from netwatch.logs.layout import Layout

RECORDS = cython.declare(cython.Py_ssize_t, 32)
"""Records of an answer, and values of a list, that are read here."""

LONGEST_TIME = cython.declare(cython.Py_ssize_t, 32)

COLUMN = cython.declare(cython.longlong, 4)

# Parts of a pattern: what it is, where its bytes are and how many, or the role of the field and
# whether it has only hexadecimal digits; and for what may be missing, the part after it.
PART_WORDS = cython.declare(cython.Py_ssize_t, 4)
PART_TEXT = cython.declare(cython.longlong, 0)
PART_BLANKS = cython.declare(cython.longlong, 1)
PART_MAYBE = cython.declare(cython.longlong, 2)
PART_FIELD = cython.declare(cython.longlong, 3)

TAB = cython.declare(cython.uchar, 9)
BLANK = cython.declare(cython.uchar, 32)
PLUS = cython.declare(cython.uchar, 43)
MINUS = cython.declare(cython.uchar, 45)
POINT = cython.declare(cython.uchar, 46)
ZERO = cython.declare(cython.uchar, 48)
NINE = cython.declare(cython.uchar, 57)
LETTER_T = cython.declare(cython.uchar, 84)
TCP = cython.declare(cython.longlong, 6)
UDP = cython.declare(cython.longlong, 17)

_PLAIN = bytes(0x20 <= byte <= 0x7E and byte != 0x5C for byte in range(256))
_HEX = bytes(byte in b"0123456789abcdef" for byte in range(256))
_PARTS = re.compile(r"\{(\w*)\}|(  )|([][])|((?:(?!  )[^][{}])+)")


@cython.cclass
class LineFields:
    """The fields of a line of a layout.

    The value of a role is ``data[begins[role]:ends[role]]``; `begins` is -1 where there is none.
    `values` are what the words of the layout stand for. There are `records` of an answer, and the
    value of a role of the record ``i`` is at ``i * ROLES + role`` of `record_begins` and
    `record_ends`.
    """

    def __init__(self, layout: Layout) -> None:
        self.data: Octets = b""
        self.plain: Octets = _PLAIN
        self.begins: Words = array("q", bytes(8 * roles.ROLES))
        self.ends: Words = array("q", bytes(8 * roles.ROLES))
        self.values: Words = array("q", bytes(8 * roles.ROLES))
        self.record_begins: Words = array("q", bytes(8 * roles.ROLES * RECORDS))
        self.record_ends: Words = array("q", bytes(8 * roles.ROLES * RECORDS))
        self.records = 0
        self.forms: Words = array("q", bytes(8 * roles.ROLES))
        self.columns = layout.columns
        self.column_roles: Words = array("q", bytes(8 * (layout.columns + 1)))
        for path, role in layout.fields.items():
            if isinstance(path, int):
                self.column_roles[path] = role
        self._set_words(layout)
        self._set_pattern(layout)

    def _set_words(self, layout: Layout) -> None:
        """The words of each role, one after the other."""
        parts: list[int] = []
        octets = b""
        self.first_words: Words = array("q", bytes(8 * (roles.ROLES + 1)))
        for role in range(roles.ROLES):
            self.first_words[role] = len(parts) // 3
            for word, value in layout.words.get(role, {}).items():
                parts += len(octets), len(word), value
                octets += word.encode("ascii")
        self.first_words[roles.ROLES] = len(parts) // 3
        self.words: Words = array("q", parts or [0])
        self.word_octets: Octets = octets or b"\0"

    def _set_pattern(self, layout: Layout) -> None:
        """The parts of the pattern, and for each the bytes that a field there may have."""
        known = {str(name): role for name, role in layout.fields.items()}
        parts: list[list[int]] = []
        octets = b""
        maybe = -1
        for found in _PARTS.finditer(layout.pattern):
            name, blanks, bracket, text = found.groups()
            if name is not None:
                parts.append([PART_FIELD, known.get(name, roles.ROLE_NONE), name == "hex", 0])
            elif blanks:
                parts.append([PART_BLANKS, 0, 0, 0])
            elif bracket == "[":
                maybe = len(parts)
            elif bracket:
                parts[maybe][3] = len(parts)
            else:
                if maybe == len(parts):
                    parts.append([PART_MAYBE, len(octets), len(text), 0])
                parts.append([PART_TEXT, len(octets), len(text), 0])
                octets += text.encode("ascii")
        goes_on = b""
        for at in range(len(parts)):
            is_hex = parts[at][0] == PART_FIELD and parts[at][2]
            own = bytearray(_HEX if is_hex else _PLAIN)
            own[BLANK] = 0
            after = at + 1
            while after < len(parts) and parts[after][0] in (PART_TEXT, PART_MAYBE):
                own[octets[parts[after][1]]] = 0
                if parts[after][0] == PART_TEXT:
                    break
                after = parts[after][3]
            goes_on += own
        self.parts = len(parts)
        self.pattern: Words = array("q", [word for part in parts for word in part] or [0])
        self.pattern_octets: Octets = octets or b"\0"
        self.goes_on: Octets = goes_on or b"\0"

    @cython.boundscheck(False)
    def by_pattern(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Divide a line of the pattern, which begins with a digit as one of columns does."""
        i: cython.Py_ssize_t
        size: cython.Py_ssize_t
        start: cython.Py_ssize_t
        part: cython.Py_ssize_t = 0
        kind: cython.longlong
        role: cython.longlong
        if end - at < 5 or not ZERO <= self.data[at] <= NINE or self.data[at + 4] == MINUS:
            return False
        while part < self.parts:
            i = part * PART_WORDS
            kind = self.pattern[i]
            size = self.pattern[i + 2]
            start = at
            if kind == PART_FIELD:
                role = self.pattern[i + 1]
                at = self.end_of_field(at, end, part)
                if at == start or (role and not self.take_text(role, start, at)):
                    return False
            elif kind == PART_BLANKS:
                at = self.after_blanks(at, end)
                if at == start:
                    return False
            elif end - at >= size and self.is_at(
                at, at + size, self.pattern_octets, self.pattern[i + 1], size
            ):
                if kind == PART_TEXT:
                    at += size
            elif kind == PART_MAYBE:
                part = self.pattern[i + 3]
                continue
            else:
                return False
            part += 1
        return at == end

    @cython.boundscheck(False)
    def end_of_field(
        self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, part: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """The end of the field of a part. A time may have blanks before its fraction."""
        until: cython.Py_ssize_t = at + LONGEST_TIME
        if self.pattern[part * PART_WORDS + 1] == roles.ROLE_TIME:
            while at < end and at < until and self.data[at] != POINT and self.plain[self.data[at]]:
                at += 1
        while at < end and self.goes_on[256 * part + self.data[at]]:
            at += 1
        return at

    @cython.boundscheck(False)
    def take_text(
        self, role: cython.longlong, start: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """Take the value of a role of a pattern, in which names have no dot at the end."""
        i: cython.Py_ssize_t
        if role == roles.ROLE_NAME and self.data[end - 1] == POINT:
            return False
        if role == roles.ROLE_FLAGS:
            if self.data[start] != PLUS and self.data[start] != MINUS:
                return False
            self.values[roles.ROLE_TRANSPORT] = UDP
            for i in range(start, end):
                if self.data[i] == LETTER_T:
                    self.values[roles.ROLE_TRANSPORT] = TCP
        return self.take(role, start, end, COLUMN, 0)

    @cython.boundscheck(False)
    def by_tabs(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Divide a line of columns, the first of which begins with a digit: no carrier does, but
        for dates."""
        column: cython.Py_ssize_t = 0
        start: cython.Py_ssize_t = at
        role: cython.longlong
        if end - at < 5 or not ZERO <= self.data[at] <= NINE or self.data[at + 4] == MINUS:
            return False
        while True:
            while at < end and self.plain[self.data[at]]:
                at += 1
            if at < end and self.data[at] != TAB:
                return False
            if column >= self.columns:
                return False
            role = self.column_roles[column]
            if (
                role
                and (at - start != 1 or self.data[start] != MINUS)
                and not self.take(role, start, at, COLUMN, 0)
            ):
                return False
            column += 1
            if at >= end:
                return column == self.columns
            at += 1
            start = at

    @cython.boundscheck(False)
    def take(
        self,
        role: cython.longlong,
        start: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        form: cython.longlong,
        record: cython.Py_ssize_t,
    ) -> cython.bint:
        """Take the value of a role; false if the line is not plain because of it."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t
        if role == roles.ROLE_REFUSED or (form != COLUMN and form != self.forms[role]):
            return False
        if roles.ROLE_OWNER <= role <= roles.ROLE_DATA:
            at = record * roles.ROLES + role
            if self.record_begins[at] >= 0:
                return False
            self.record_begins[at] = start
            self.record_ends[at] = end
            return True
        if self.begins[role] >= 0:
            return False
        self.begins[role] = start
        self.ends[role] = end
        if self.first_words[role] == self.first_words[role + 1]:
            return True
        for i in range(self.first_words[role], self.first_words[role + 1]):
            if self.is_at(start, end, self.word_octets, self.words[3 * i], self.words[3 * i + 1]):
                self.values[role] = self.words[3 * i + 2]
                return True
        return False

    @cython.boundscheck(False)
    def is_at(
        self,
        start: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        octets: Octets,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
    ) -> cython.bint:
        """Whether a value is the text in ``octets[at:at + size]``."""
        i: cython.Py_ssize_t = 0
        if end - start != size:
            return False
        while i < size and self.data[start + i] == octets[at + i]:
            i += 1
        return i == size

    @cython.boundscheck(False)
    def after_blanks(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The first byte from `at` on that is not a blank; `end` if there is none."""
        while at < end and self.data[at] == BLANK:
            at += 1
        return at
