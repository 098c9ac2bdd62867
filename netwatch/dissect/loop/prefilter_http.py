# cython: language_level=3, boundscheck=True, wraparound=False
"""A glimpse at an HTTP/1 request: is its host of any interest.

As with other messages (`netwatch.dissect.loop.prefilter`) only the usual layout is read: one head
that fills its segment, with a target that is a path and one Host. All else has its parser.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.prefilter import Glimpse
else:
    from netwatch.dissect.loop.prefilter import Glimpse

HTTP_HOST = cython.declare(cython.Py_ssize_t, 5)
LF = cython.declare(cython.int, 10)
CR = cython.declare(cython.int, 13)
COLON = cython.declare(cython.int, 58)


@cython.cclass
class Requests(Glimpse):
    """The usual request, held against the zones; offsets are absolute in the window."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def request_idle(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether the bytes are one request head, sound in all that its parser looks at
        (RFC 9112 sections 3 and 5), for a host of no interest; if so it is counted."""
        pos: cython.Py_ssize_t
        colon: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        hosts: cython.int = 0
        if not self.filtering:
            return False
        pos = self.request_line(at, end)
        if pos < 0:
            return False
        while pos + 2 < end:
            colon = self.field_name(pos, end)
            if colon < 0:
                return False
            stop = self.line_end(colon, end)
            if stop < 0:
                return False
            # "host" in letters of either case
            if colon - pos == 4 and self.u32(pos) | 0x20202020 == 0x686F7374:
                hosts += 1
                if hosts > 1 or not self.host_idle(colon + 1, stop):
                    return False
            pos = stop + 2
        if hosts != 1 or pos + 2 != end or self.u16(pos) != 0x0D0A:
            return False
        self.passed[HTTP_HOST] += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def request_line(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the line behind the request line starts; -1 where that is not a method of
        capital letters but CONNECT, a path without spaces, and a version of HTTP/1."""
        pos: cython.Py_ssize_t = at
        stop: cython.Py_ssize_t
        while pos < end and pos - at < 24 and 65 <= self.data[pos] <= 90:
            pos += 1
        if pos - at < 3 or pos + 13 > end or self.u32(at) == 0x434F4E4E:
            return -1
        if self.u16(pos) != 0x202F:
            return -1
        pos += 2
        while pos < end and self.data[pos] > 32:
            pos += 1
        stop = pos + 9
        if stop + 2 > end or self.data[pos] != 32 or self.u32(pos + 1) != 0x48545450:
            return -1
        if self.u16(pos + 5) != 0x2F31 or self.data[pos + 7] != 46:
            return -1
        if not 48 <= self.data[pos + 8] <= 57 or self.u16(stop) != 0x0D0A:
            return -1
        return stop + 2

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def field_name(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the colon behind a field's name is; -1 where there is anything but printable
        ASCII before it, or nothing."""
        pos: cython.Py_ssize_t = at
        while pos < end and 32 < self.data[pos] < 127 and self.data[pos] != COLON:
            pos += 1
        return pos if at < pos < end and self.data[pos] == COLON else -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def line_end(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the CRLF is that ends a line; -1 where it ends otherwise, or not."""
        while at + 1 < end and self.data[at] != LF and self.data[at] != CR:
            at += 1
        return at if at + 1 < end and self.u16(at) == 0x0D0A else -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def host_idle(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a Host is a name of no interest, with or without a port. Names do not end
        in a digit, as addresses do (RFC 3696 section 2)."""
        while at < end and (self.data[at] == 32 or self.data[at] == 9):
            at += 1
        while end > at and 48 <= self.data[end - 1] <= 57:
            end -= 1
        if end <= at + 1:
            return False
        if self.data[end - 1] == COLON:
            end -= 1
        elif 48 <= self.data[end] <= 57:
            return False
        if end <= at or self.data[end - 1] == 46 or 48 <= self.data[end - 1] <= 57:
            return False
        self.anew()
        return self.spell(at, end, True) and self.is_idle()
