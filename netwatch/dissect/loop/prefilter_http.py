# cython: language_level=3, boundscheck=True, wraparound=False
"""The prefilter of HTTP/1 requests: is the host of interest.

As with other messages (`netwatch.dissect.loop.prefilter_dns`), only the usual layout is read: one
head that fills its segment, with a path as target and one Host field. All others go to the parser.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.domain_filter import DomainFilter
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.domain_filter import DomainFilter
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Words

LF = cython.declare(cython.int, 10)
CR = cython.declare(cython.int, 13)
COLON = cython.declare(cython.int, 58)


@cython.final
@cython.cclass
class RequestPrefilter(Window):
    """Compares the host of a request with `domains`, which reads the same bytes; `counts` as in
    `DnsPrefilter`."""

    def __init__(self, domains: DomainFilter, counts: Words) -> None:
        Window.__init__(self)
        self.domains = domains
        self.counts = counts

    def uninteresting(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether the bytes are one request head, valid in all that its parser looks at (RFC 9112
        sections 3 and 5), for a host of no interest. If so the name is counted."""
        pos: cython.Py_ssize_t
        colon: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        hosts: cython.int = 0
        if not self.domains.domains.active:
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
            # "host", in upper or lower case
            if colon - pos == 4 and self.u32(pos) | 0x20202020 == 0x686F7374:
                hosts += 1
                if hosts > 1 or not self.host_uninteresting(colon + 1, stop):
                    return False
            pos = stop + 2
        if hosts != 1 or pos + 2 != end or self.u16(pos) != 0x0D0A:
            return False
        self.counts[layout.NAMES_HTTP_HOST] += 1
        return True

    def request_line(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the line behind the request line starts; -1 where the request line is not a
        method of capital letters other than CONNECT, a path, and a version of HTTP/1."""
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

    def field_name(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the colon behind a field name is; -1 where the name is empty or has other bytes
        than printable ASCII."""
        pos: cython.Py_ssize_t = at
        while pos < end and 32 < self.data[pos] < 127 and self.data[pos] != COLON:
            pos += 1
        return pos if at < pos < end and self.data[pos] == COLON else -1

    def line_end(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the CRLF is that ends a line; -1 where the line ends otherwise, or not at all."""
        while at + 1 < end and self.data[at] != LF and self.data[at] != CR:
            at += 1
        return at if at + 1 < end and self.u16(at) == 0x0D0A else -1

    def host_uninteresting(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a Host field is a name of no interest, with or without a port. Unlike
        addresses, names do not end in a digit (RFC 3696 section 2)."""
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
        return self.domains.hash_name(at, end) and self.domains.not_matched()
