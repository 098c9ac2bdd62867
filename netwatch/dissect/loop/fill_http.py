# cython: language_level=3, boundscheck=True, wraparound=False
"""HTTP/1 requests, read in the packet loop: rows of the observation batch for their hosts.

A request whose head fills its segment and is laid out as usual becomes the rows that
`netwatch.protocols.http` and `ObservationBatch.append` would make of it. Any other is left to the
parser. Where the consumer has to be asked what a request tells of its flow, all requests of
interest go to the parser.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.observation_rows import NameTexts, ObservationRows
    from cython.cimports.netwatch.dissect.loop.octets import Window
    from cython.cimports.netwatch.dissect.loop.prefilter import RequestPrefilter
else:
    from netwatch.core import observation_columns as columns
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.observation_rows import NameTexts, ObservationRows
    from netwatch.dissect.loop.octets import Window
    from netwatch.dissect.loop.prefilter import RequestPrefilter

from netwatch.core.buffers import Octets, Words

MAX_HOST = cython.declare(cython.Py_ssize_t, 255)
"""The longest host of a request that is read, bytes."""

COLON = cython.declare(cython.int, 58)
DOT = cython.declare(cython.int, 46)


@cython.final
@cython.cclass
class HttpRequests(Window):
    """Reads the requests in the packets that `rows` writes rows for, while it is `active`;
    `requests` reads the same bytes, and `counts` is as in `RequestPrefilter`.

    Of the request at hand, the target that names a host is from `target` to `target_end`; `raw` is
    the host that was read last in the letters of the packet, 0 where these do not differ.
    """

    def __init__(
        self, rows: ObservationRows, requests: RequestPrefilter, counts: Words, active: bool
    ) -> None:
        Window.__init__(self)
        self.rows = rows
        self.names = NameTexts(rows.batch)
        self.requests = requests
        self.counts = counts
        self.active = active
        self.target = 0
        self.target_end = 0
        self.raw = 0

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.data = data
        self.names.data = data

    def request(
        self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, flow: cython.longlong
    ) -> cython.bint:
        """Add the rows of the request at `at`; false where it is left to the parser."""
        pos: cython.Py_ssize_t
        colon: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        field: cython.longlong = 0
        field_raw: cython.longlong = 0
        target: cython.longlong = 0
        if not self.active or not self.rows.can_add():
            return False
        pos = self.request_line(at, end)
        if pos < 0:
            return False
        while pos + 2 < end:
            colon = self.requests.field_name(pos, end)
            if colon < 0:
                return False
            stop = self.requests.line_end(colon, end)
            if stop < 0:
                return False
            # "host", in upper or lower case
            if colon - pos == 4 and self.u32(pos) | 0x20202020 == 0x686F7374:
                if field:
                    return False
                field = self.host(colon + 1, stop)
                if field == 0:
                    return False
                field_raw = self.raw
            pos = stop + 2
        if pos + 2 != end or self.u16(pos) != 0x0D0A:
            return False
        if self.target_end > self.target:
            target = self.host(self.target, self.target_end)
            if target == 0:
                return False
        if field:
            self.add_row(field, field_raw, flow)
        if target and target != field:
            self.add_row(target, self.raw, flow)
        return field != 0 or target != 0

    def add_row(
        self, name: cython.longlong, raw: cython.longlong, flow: cython.longlong
    ) -> cython.void:
        """Add the row of a host."""
        at: cython.Py_ssize_t = self.rows.add(columns.EVIDENCE_HTTP_HOST, name, False, flow)
        self.rows.batch.words[at + columns.WORD_RAW] = raw
        self.counts[layout.NAMES_HTTP_HOST] += 1

    def request_line(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the line behind the request line starts; -1 where the request line is not a
        method of capital letters, a target, and a version of HTTP/1."""
        pos: cython.Py_ssize_t = at
        method: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        while pos < end and pos - at < 24 and 65 <= self.data[pos] <= 90:
            pos += 1
        method = pos - at
        if method < 3 or pos + 13 > end or self.data[pos] != 32:
            return -1
        pos += 1
        self.target = pos
        while pos < end and 32 < self.data[pos] < 127:
            pos += 1
        self.target_end = pos
        stop = pos + 9
        if stop + 2 > end or self.data[pos] != 32 or self.u32(pos + 1) != 0x48545450:
            return -1
        if self.u16(pos + 5) != 0x2F31 or self.data[pos + 7] != 46:
            return -1
        if not 48 <= self.data[pos + 8] <= 57 or self.u16(stop) != 0x0D0A:
            return -1
        # "CONNECT"
        if not self.find_authority(
            method == 7 and self.u32(at) == 0x434F4E4E and self.u32(at + 3) == 0x4E454354
        ):
            return -1
        return stop + 2

    def find_authority(self, connect: cython.bint) -> cython.bint:
        """Narrow the target to its authority: all of it after `connect`, nothing of a path, and of
        a target in absolute form what is between two slashes and the next. False where it is none
        of these."""
        pos: cython.Py_ssize_t = self.target
        end: cython.Py_ssize_t = self.target_end
        if pos == end:
            return False
        if connect:
            return True
        if self.data[pos] == 47:
            self.target_end = self.target
            return True
        # "http://"
        if end - pos < 8 or self.u32(pos) | 0x20202020 != 0x68747470:
            return False
        if self.data[pos + 4] != COLON or self.u16(pos + 5) != 0x2F2F:
            return False
        pos += 7
        self.target = pos
        while pos < end and self.data[pos] not in (47, 63, 35):
            pos += 1
        self.target_end = pos
        return pos > self.target

    def host(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """The text of the host of an authority, which may have a port behind it (RFC 3986 section
        3.2); 0 where it is left to the parser."""
        digits: cython.Py_ssize_t
        name: cython.longlong
        while at < end and (self.data[at] == 32 or self.data[at] == 9):
            at += 1
        while end > at and (self.data[end - 1] == 32 or self.data[end - 1] == 9):
            end -= 1
        digits = end
        while digits > at and 48 <= self.data[digits - 1] <= 57:
            digits -= 1
        if digits > at and self.data[digits - 1] == COLON:
            end = digits - 1
        if end - at > MAX_HOST:
            return 0
        name = self.names.host(at, end)
        self.raw = 0
        if name and (self.names.capitals or self.data[end - 1] == DOT):
            self.raw = self.names.octets(at, end - at)
        return name
