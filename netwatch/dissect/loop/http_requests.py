# cython: language_level=3, boundscheck=True, wraparound=False
"""HTTP/1 requests: where the hosts are in a head, and rows for them.

`RequestHead` is the only reader of heads (RFC 9112). It finds the parts and notes deviations from
the RFC, but builds nothing from them. `HttpRequests` uses it in the packet loop: a head that fills
its segment and has no deviations is counted, or becomes rows of the observation batch.
`netwatch.protocols.http` makes a message of any other head, once its segments are reassembled.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.domain_filter import DomainFilter, DomainSet
    from cython.cimports.netwatch.dissect.loop.observation_rows import NameTexts, ObservationRows
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.core import observation_columns as columns
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.domain_filter import DomainFilter, DomainSet
    from netwatch.dissect.loop.observation_rows import NameTexts, ObservationRows
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Octets, Words

MAX_HEAD = cython.declare(cython.Py_ssize_t, 65536)
"""The longest head that is read, in bytes."""
MAX_METHOD = cython.declare(cython.Py_ssize_t, 32)
"""The longest plausible method, in bytes."""
LONGEST_HOST = cython.declare(cython.Py_ssize_t, 255)
"""The longest host that does not count as an anomaly, in bytes."""
MAX_BREAKS = cython.declare(cython.int, 8)
"""Empty lines before a request that are skipped (RFC 9112 section 2.2)."""

# What `RequestHead.read` finds, in the order of `FOUND` in `netwatch.protocols.http`.
MORE = cython.declare(cython.int, 0)
WHOLE = cython.declare(cython.int, 1)
CUT = cython.declare(cython.int, 2)
NO_LINE = cython.declare(cython.int, 3)
OTHER = cython.declare(cython.int, 4)
PREFACE = cython.declare(cython.int, 5)

# Deviations of a head, as bits in the order of `DEVIATIONS` there.
ODD_VERSION = cython.declare(cython.int, 1)
BARE_LF = cython.declare(cython.int, 2)
FOLDED = cython.declare(cython.int, 4)
SPACE = cython.declare(cython.int, 8)
MANY_HOSTS = cython.declare(cython.int, 16)

# The fields that are read, with their full names.
HOST = cython.declare(cython.int, 1)
LENGTH = cython.declare(cython.int, 2)
CODING = cython.declare(cython.int, 3)
_FIELDS = b"hostcontent-lengthtransfer-encoding"

LF = cython.declare(cython.int, 10)
CR = cython.declare(cython.int, 13)
DOT = cython.declare(cython.int, 46)
COLON = cython.declare(cython.int, 58)

_TOKEN = bytes(
    ord(chr(byte).lower()) if chr(byte).isalnum() or byte in b"!#$%&'*+-.^_`|~" else 0
    for byte in range(128)
) + bytes(128)
"""The bytes of tokens (RFC 9110 section 5.6.2) in lower case, 0 for any other."""


@cython.final
@cython.cclass
class RequestHead(Window):
    """Reads the head of one request, including what servers accept beyond the RFC.

    The last head that was read ends at `end`. The fields are from `fields` to `fields_end`, with
    `hosts` Host fields among them, the first of which is from `host` to `host_end`. The authority
    of the target, if it has one, is from `authority` to `authority_end`. `connect` means that a
    tunnel follows, `too_long` that the head exceeds `MAX_HEAD`.
    """

    def __init__(self) -> None:
        Window.__init__(self)
        self.token: Octets = _TOKEN
        self.words: Octets = _FIELDS
        self.end = self.fields = self.fields_end = 0
        self.hosts = self.host = self.host_end = 0
        self.authority = self.authority_end = 0
        self.value = self.value_end = self.next = 0
        self.name = self.name_end = 0
        self.deviations = 0
        self.connect = self.too_long = False

    def read(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, last: cython.bint) -> cython.int:
        """Read the head at `at`, which may have empty lines before it, in the bytes up to `end`;
        with `last` no more will come."""
        limit: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        status: cython.int
        self.deviations = 0
        for _ in range(MAX_BREAKS):
            if at < end and self.data[at] == LF:
                at += 1
            elif at + 1 < end and self.u16(at) == 0x0D0A:
                at += 2
        limit = min(end, at + MAX_HEAD)
        self.too_long = limit < end
        stop = self.line_end(at, limit)
        if stop < 0:
            if not self.may_be_method(at, end):
                return OTHER
            return NO_LINE if last or self.too_long else MORE
        status = self.request_line(at, stop)
        if status != WHOLE:
            return status
        self.fields = self.fields_end = stop + 1
        while True:
            stop = self.line_end(self.fields_end, limit)
            if stop < 0:
                if not (last or self.too_long):
                    return MORE
                status = CUT
                self.end = end
                break
            if self.data[stop - 1] != CR:
                self.deviations |= BARE_LF
            if stop == self.fields_end or (
                stop == self.fields_end + 1 and self.data[self.fields_end] == CR
            ):
                self.end = stop + 1
                break
            if self.data[self.fields_end] == 32 or self.data[self.fields_end] == 9:
                self.deviations |= FOLDED
            self.fields_end = stop + 1
        self.read_fields(self.fields, self.fields_end)
        return status

    def line_end(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The position of the line feed that ends a line; -1 if there is none."""
        while at < end:
            if self.data[at] == LF:
                return at
            at += 1
        return -1

    def method_end(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the method at `at` ends, or where it exceeds its limit."""
        end = min(end, at + MAX_METHOD + 1)
        while at < end and self.token[self.data[at]]:
            at += 1
        return at

    def may_be_method(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether an incomplete line can become a request line."""
        stop: cython.Py_ssize_t = self.method_end(at, end)
        if stop - at > MAX_METHOD:
            return False
        return stop == end or (stop > at and self.data[stop] == 32)

    def request_line(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """Read the request line (RFC 9112 section 3), whose line feed is at `end`: `WHOLE`,
        `OTHER` or `PREFACE`."""
        start: cython.Py_ssize_t = self.method_end(at, end)
        method: cython.Py_ssize_t = start - at
        version: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        if method == 0 or method > MAX_METHOD or start >= end or self.data[start] != 32:
            return OTHER
        while start < end and self.is_blank(start):
            start += 1
        while end > start and self.is_blank(end - 1):
            end -= 1
        version = end
        while version > start and self.data[version - 1] != 32:
            version -= 1
        stop = version
        while stop > start and self.data[stop - 1] == 32:
            stop -= 1
        if not self.version(version, end):
            return OTHER
        # "PRI ", "HTTP", "/2", ".0"
        if (
            method == 3
            and self.u32(at) == 0x50524920
            and end - version == 8
            and self.u32(version) == 0x48545450
            and self.u32(version + 4) == 0x2F322E30
        ):
            return PREFACE
        if stop == start:
            return OTHER
        # "CONNECT"
        self.connect = method == 7 and self.u32(at) == 0x434F4E4E and self.u32(at + 3) == 0x4E454354
        self.find_authority(start, stop)
        return WHOLE

    def is_blank(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether there is white space that servers accept between the parts of a line."""
        return self.data[at] == 32 or self.data[at] == 9 or self.data[at] == CR

    def version(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether there is a version; one other than HTTP/1's (RFC 9112 section 2.3) is a
        deviation."""
        i: cython.Py_ssize_t
        if not 6 <= end - at <= 21 or self.u32(at) | 0x20202020 != 0x68747470:
            return False
        if self.data[at + 4] != 47:
            return False
        for i in range(at + 5, end):
            # Only the letters, digits and the dot of a token.
            if self.data[i] != DOT and not (
                48 <= self.token[self.data[i]] <= 57 or 97 <= self.token[self.data[i]] <= 122
            ):
                return False
        if (
            end - at != 8
            or self.u32(at) != 0x48545450
            or self.u16(at + 4) != 0x2F31
            or self.data[at + 6] != DOT
            or not 48 <= self.data[at + 7] <= 57
        ):
            self.deviations |= ODD_VERSION
        return True

    def find_authority(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.void:
        """The authority of a target: all of it after CONNECT, none in a path, and in absolute form
        the part between two slashes and the next one (RFC 9112 section 3.2)."""
        pos: cython.Py_ssize_t = at
        byte: cython.int
        self.authority = at
        self.authority_end = end if self.connect else at
        if self.connect:
            return
        while pos < end:
            byte = self.token[self.data[pos]]
            if not (97 <= byte <= 122) and (
                pos == at or not (48 <= byte <= 57 or byte == 43 or byte == 45 or byte == DOT)
            ):
                break
            pos += 1
        if pos == at or end - pos < 3 or self.data[pos] != COLON or self.u16(pos + 1) != 0x2F2F:
            return
        pos += 3
        self.authority = pos
        while pos < end and self.data[pos] != 47 and self.data[pos] != 63 and self.data[pos] != 35:
            pos += 1
        self.authority_end = pos

    def read_fields(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.void:
        """Look for Hosts in the fields from `at` to `end`, none of which is folded."""
        self.hosts = 0
        self.deviations &= ~(SPACE | MANY_HOSTS)
        while at < end:
            if self.field(at, end) == HOST:
                self.hosts += 1
                if self.hosts > 1:
                    self.deviations |= MANY_HOSTS
                else:
                    self.host = self.value
                    self.host_end = self.value_end
            at = self.next

    def field(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """Read the line at `at`: 1 for a Host, 2 for Content-Length, 3 for Transfer-Encoding, 0 for
        any other. Its value is from `value` to `value_end`; the next line is at `next`."""
        stop: cython.Py_ssize_t = self.line_end(at, end)
        kind: cython.int = 0
        self.next = end if stop < 0 else stop + 1
        if self.data[at] | 32 == 104:
            kind = HOST
            at = self.word_end(at, stop, 0, 4)
        elif self.data[at] | 32 == 99:
            kind = LENGTH
            at = self.word_end(at, stop, 4, 14)
        elif self.data[at] | 32 == 116:
            kind = CODING
            at = self.word_end(at, stop, 18, 17)
        if kind == 0 or at < 0:
            return 0
        self.value = at
        while at < stop and (self.data[at] == 32 or self.data[at] == 9):
            at += 1
        if at >= stop or self.data[at] != COLON:
            return 0
        if at > self.value:
            self.deviations |= SPACE
        at += 1
        while at < stop and self.is_blank(at):
            at += 1
        while stop > at and self.is_blank(stop - 1):
            stop -= 1
        self.value = at
        self.value_end = stop
        return kind

    def word_end(
        self,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        word: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Where the name of a field ends if it is the `word` of `size` bytes; otherwise -1."""
        i: cython.Py_ssize_t
        if at + size >= end:
            return -1
        for i in range(size):
            if self.token[self.data[at + i]] != self.words[word + i]:
                return -1
        return at + size

    def find_name(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.void:
        """The host in an authority (RFC 3986 section 3.2), from `name` to `name_end`: without user
        information, port and the brackets of an IPv6 literal."""
        pos: cython.Py_ssize_t = end
        first: cython.Py_ssize_t = -1
        colons: cython.int = 0
        byte: cython.int
        is_address: cython.bint = True
        while pos > at and self.data[pos - 1] != 64:
            pos -= 1
        at = pos
        self.name = at
        self.name_end = end
        if at < end and self.data[at] == 91:
            while pos < end and self.data[pos] != 93:
                pos += 1
            if pos < end:
                self.name = at + 1
                self.name_end = pos
            return
        while pos < end:
            byte = self.token[self.data[pos]]
            if self.data[pos] == COLON:
                colons += 1
                if first < 0:
                    first = pos
            elif not (48 <= byte <= 57 or 97 <= byte <= 102 or byte == DOT):
                is_address = False
            pos += 1
        # An IPv6 literal without brackets is invalid, but some clients send it.
        if first >= 0 and not (is_address and colons > 1):
            self.name_end = first


@cython.final
@cython.cclass
class HttpRequests:
    """Reads the requests in the packets that `rows` writes rows for, while it is `active`. Names
    are counted in `counts` (`layout.NAMES_HTTP_HOST`); those outside `domains` have no row."""

    def __init__(
        self, rows: ObservationRows, domains: DomainSet, counts: Words, active: bool
    ) -> None:
        self.rows = rows
        self.names = NameTexts(rows.batch)
        self.head = RequestHead()
        self.domains = DomainFilter(domains)
        self.counts = counts
        self.active = active

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.head.set_data(data)
        self.names.set_data(data)
        self.domains.set_data(data)

    def read(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether the bytes are the head of one request without deviations."""
        return (
            (self.active or self.domains.domains.active)
            and self.head.read(at, end, False) == WHOLE
            and self.head.end == end
            and self.head.deviations == 0
        )

    def uninteresting(self) -> cython.bint:
        """Whether the head shows one host, which is of no interest. If so the name is counted.
        Unlike addresses, names do not end in a digit (RFC 3696 section 2)."""
        byte: cython.int
        if (
            not self.domains.domains.active
            or self.head.hosts == 0
            or self.head.authority_end > self.head.authority
        ):
            return False
        self.head.find_name(self.head.host, self.head.host_end)
        if self.head.name_end == self.head.name:
            return False
        byte = self.head.data[self.head.name_end - 1]
        if byte == DOT or 48 <= byte <= 57:
            return False
        if not (
            self.domains.hash_name(self.head.name, self.head.name_end)
            and self.domains.not_matched()
        ):
            return False
        self.counts[layout.NAMES_HTTP_HOST] += 1
        return True

    def add_rows(self, flow: cython.longlong) -> cython.bint:
        """Add the rows of the head; false, without adding anything, if it shows no host, or one
        whose spelling differs from the packet's."""
        name: cython.longlong = 0
        raw: cython.longlong = 0
        target: cython.longlong
        if not self.active or not self.rows.can_add():
            return False
        if self.head.hosts:
            name = self.text(self.head.host, self.head.host_end)
            if name == 0:
                return False
            raw = self.raw(name)
        if self.head.authority_end > self.head.authority:
            target = self.text(self.head.authority, self.head.authority_end)
            if target == 0:
                return False
            if name and name != target:
                self.add_row(name, raw, flow)
                name = 0
            if name == 0:
                name = target
                raw = self.raw(name)
        if name == 0:
            return False
        self.add_row(name, raw, flow)
        return True

    def add_row(
        self, name: cython.longlong, raw: cython.longlong, flow: cython.longlong
    ) -> cython.void:
        """Add the row of a host."""
        at: cython.Py_ssize_t = self.rows.add(columns.EVIDENCE_HTTP_HOST, name, False, flow)
        self.rows.batch.words[at + columns.WORD_RAW] = raw
        self.counts[layout.NAMES_HTTP_HOST] += 1

    def text(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """The text of the host in an authority; 0 if `NameTexts.host` has none."""
        self.head.find_name(at, end)
        if self.head.name_end - self.head.name > LONGEST_HOST:
            return 0
        return self.names.host(self.head.name, self.head.name_end)

    def raw(self, name: cython.longlong) -> cython.longlong:
        """The last host as spelled in the packet; 0 if that is `name`."""
        if self.names.capitals == 0 and self.head.data[self.head.name_end - 1] != DOT:
            return 0
        return self.names.octets(self.head.name, self.head.name_end - self.head.name)
