# cython: language_level=3, boundscheck=True, wraparound=False
"""Protocol masks: may a payload carry a name, and of which protocol?

The masks run before the parsers of `netwatch.protocols`, in compiled code because every payload
passes them. Each looks at a few bytes and returns a kind of `layout`, or 0. They do not decide: the
parser does. A payload that a mask lets through in vain costs microseconds, one that it wrongly
rejects is lost, so masks are only as strict as the RFCs.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.octets import Window

HELLO_LIMIT = cython.declare(cython.longlong, 65536)
"""The longest ClientHello whose end is expected, bytes."""

HEAD_LIMIT = cython.declare(cython.longlong, 65536)
"""The longest HTTP request head whose end is expected, bytes."""


@cython.final
@cython.cclass
class ProtocolMasks(Window):
    """The masks of TLS, HTTP/1, QUIC and DNS. Each takes the start and the end of a payload."""

    def behind_skipped(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The first TLS record, from `at` on, that servers do not skip before a hello. They skip
        empty records and warning alerts (`netwatch.protocols.tls`); a record of which the payload
        only has the start counts as skipped."""
        while end - at >= 5 and self.data[at + 1] == 3 and self.data[at + 3] == 0:
            if (self.data[at] == 22 or self.data[at] == 20) and self.data[at + 4] == 0:
                at += 5
            elif (
                end - at >= 7
                and self.data[at] == 21
                and self.data[at + 4] == 2
                and self.data[at + 5] == 1
            ):
                at += 7
            else:
                break
        if 0 < end - at < 7 and (self.data[at] == 20 or self.data[at] == 21):
            return end
        return at

    def tls(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """A TLS record (RFC 8446 section 5.1) that starts a ClientHello, of any version. A payload
        of 1 to 8 bytes matches if these could be the start of one."""
        size: cython.Py_ssize_t = end - at
        if size < 1 or self.data[at] != 22:
            return 0
        if size > 1 and self.data[at + 1] != 3:
            return 0
        if size > 4 and not 0 < self.u16(at + 3) <= 16384 + 2048:
            return 0
        if size > 5 and self.data[at + 5] != 1:
            return 0
        # The first record may contain only the message type. The next bytes are then another record
        # header and not the length.
        if size > 6 and self.u16(at + 3) > 1 and self.data[at + 6] != 0:
            return 0
        return layout.KIND_TLS

    def tls_expected(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """How many bytes from `at` on may belong to the ClientHello that starts there; 0 if the
        payload contains all of it."""
        start: cython.Py_ssize_t = self.behind_skipped(at, end)
        size: cython.longlong = end - at
        record: cython.longlong
        hello: cython.longlong
        if start > at:
            return HELLO_LIMIT if start == end or self.tls_expected(start, end) else 0
        if size < 9:
            return HELLO_LIMIT
        record = self.u16(at + 3)
        if record < 4:
            return HELLO_LIMIT
        hello = 4 + self.u32(at + 5) % 16777216
        if hello > HELLO_LIMIT:
            return HELLO_LIMIT
        if record >= hello:
            return 0 if size >= hello + 5 else hello + 5
        # It spans records, and there may be empty ones between them.
        return HELLO_LIMIT

    def http(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """An HTTP/1 request line (RFC 9112 section 3): a method, a space, a target. The usual
        methods match by themselves, any other only if the line ends with its HTTP version."""
        i: cython.Py_ssize_t = at
        stop: cython.Py_ssize_t
        c: cython.int
        first: cython.longlong
        if end - at < 16 or not 65 <= self.data[at] <= 90:
            return 0
        while i < end and i - at < 24:
            c = self.data[i]
            if c == 32:
                break
            if not (65 <= c <= 90 or c == 45 or c == 95):
                return 0
            i += 1
        if i - at < 3 or i >= end - 1 or self.data[i] != 32 or self.data[i + 1] <= 32:
            return 0
        first = self.u32(at)
        if (
            first == 0x47455420  # "GET "
            or first == 0x504F5354  # "POST"
            or first == 0x434F4E4E  # "CONN"
            or first == 0x48454144  # "HEAD"
            or first == 0x50555420  # "PUT "
            or first == 0x4F505449  # "OPTI"
        ):
            return layout.KIND_HTTP
        stop = min(end - 7, at + 4096)
        while i < stop:
            c = self.data[i]
            if c == 13 or c == 10:
                return 0
            if c == 32 and self.u32(i + 1) == 0x48545450 and self.u16(i + 5) == 0x2F31:
                return layout.KIND_HTTP
            i += 1
        return 0

    def http_beginning(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """Whether the first bytes of a connection could become a request line that `http`
        matches: all of them belong to its method or target."""
        i: cython.Py_ssize_t = at
        stop: cython.Py_ssize_t = min(end, at + 4096)
        c: cython.int
        while i < stop and i - at < 24:
            c = self.data[i]
            if not (65 <= c <= 90 or (i > at and (c == 45 or c == 95))):
                break
            i += 1
        if i == stop:
            return layout.KIND_HTTP
        if i - at < 3 or self.data[i] != 32:
            return 0
        while i < stop:
            if self.data[i] < 32:
                return 0
            i += 1
        return layout.KIND_HTTP

    def http_expected(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """How many bytes from `at` on may belong to the request head that starts there; 0 if the
        last head in the payload is whole."""
        body: cython.Py_ssize_t = self.head_end(at, end)
        while body > 0:
            if body >= end or self.http(body, end) == 0:
                return 0
            at = body
            body = self.head_end(at, end)
        return HEAD_LIMIT

    def head_end(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the body after the first blank line starts; 0 if there is no such line."""
        i: cython.Py_ssize_t = at + 1
        while i < end:
            if self.data[i] == 10 and (
                self.data[i - 1] == 10
                or (i - at > 2 and self.data[i - 1] == 13 and self.data[i - 2] == 10)
            ):
                return i + 1
            i += 1
        return 0

    def quic(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """A QUIC long header (RFC 9000 section 17.2, RFC 9369 section 3.2) of an Initial, or of the
        0-RTT packet that may precede one, in a version that can be read. The fixed bit may be
        cleared (RFC 9287)."""
        version: cython.longlong
        form: cython.int
        dcid: cython.Py_ssize_t
        if end - at < 24 or self.data[at] < 0x80:
            return 0
        version = self.u32(at + 1)
        form = (self.data[at] >> 4) & 3
        if version == 0x6B3343CF:
            form = (form + 3) & 3
        elif not (
            version == 1
            or (version >> 16 == 0xFF02 and version & 0xFFFF == 0)  # a draft of version 2
            or (version >> 8 == 0xFF0000 and 22 <= version & 255 <= 34)
            or (version >> 16 == 0xFACE and version & 0xFFF0 == 0xB000)
            or version & 0x0F0F0F0F == 0x0A0A0A0A  # reserved, to exercise version negotiation
            or version == 0x54303530  # "T050", Google's
            or version == 0x54303531
        ):
            return 0
        if form > 1:
            return 0
        dcid = self.data[at + 5]
        if dcid > 20 or at + 6 + dcid >= end or self.data[at + 6 + dcid] > 20:
            return 0
        return layout.KIND_QUIC

    def dns(
        self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, wire_end: cython.Py_ssize_t
    ) -> cython.int:
        """A DNS message (RFC 1035 section 4.1) on a port that is not assigned to DNS: one question
        of class IN with a name of letters, digits, ``-`` and ``_``, record counts that fit the
        bytes up to `wire_end`, and nothing after the question of a query that has no other
        records."""
        i: cython.Py_ssize_t = at + 12
        label: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        flags: cython.longlong
        answers: cython.longlong
        more: cython.longlong
        c: cython.int
        if end - at < 19:
            return 0
        flags = self.u16(at + 2)
        if flags & 0x7840 or flags & 15 > 10 or self.u16(at + 4) != 1:
            return 0
        answers = self.u16(at + 6)
        more = self.u16(at + 8) + self.u16(at + 10)
        if flags & 0x8000 == 0 and (answers or self.u16(at + 8)):
            return 0
        if 11 * (answers + more) > wire_end - at:
            return 0
        while True:
            if i >= end or i - at > 12 + 255:
                return 0
            label = self.data[i]
            if label == 0:
                break
            stop = i + 1 + label
            if label > 63 or stop >= end:
                return 0
            i += 1
            while i < stop:
                c = self.data[i]
                if not (97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57 or c == 45 or c == 95):
                    return 0
                i += 1
        if i == at + 12 or i + 5 > end:
            return 0
        if self.u16(i + 1) == 0 or self.u16(i + 1) > 260 or self.u16(i + 3) & 0x7FFF != 1:
            return 0
        if answers + more == 0 and i + 5 != wire_end:
            return 0
        return layout.KIND_DNS
