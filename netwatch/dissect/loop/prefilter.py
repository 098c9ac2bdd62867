# cython: language_level=3, boundscheck=True, wraparound=False
"""A glimpse at the names in the usual messages: can a rule take any of them.

Most names are of no interest, and can be told so without a parser: none of the zones that
the rules speak of holds them. A message with nothing but such names is counted here and
goes no further. What is not laid out as usual, or shows one name in a zone, goes to its
parser as ever, so a glimpse can spare work and never hides a name, nor anything odd.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.domain_filter import Zones
else:
    from netwatch.dissect.loop.domain_filter import Zones

PASSED = ("dns-query", "dns-answer", "dns-cname", "tls-sni", "quic-sni", "http-host")
"""Evidence whose names are counted here, by number."""

TLS_SNI = cython.declare(cython.Py_ssize_t, 3)
QUIC_SNI = cython.declare(cython.Py_ssize_t, 4)
MAX_ANSWERS = cython.declare(cython.longlong, 32)
MAX_SPOTS = cython.declare(cython.Py_ssize_t, 64)
MAX_EXTENSIONS = cython.declare(cython.Py_ssize_t, 64)


@cython.cclass
class Glimpse(Zones):
    """The usual messages, held against the zones."""

    def look(self) -> None:
        """Make the tables of what is found in a message."""
        self.spots = array("q", bytes(8 * MAX_SPOTS))
        self.sizes = array("q", bytes(8 * MAX_SPOTS))
        self.ttls = array("q", bytes(8 * MAX_SPOTS))
        self.types = array("q", bytes(8 * MAX_EXTENSIONS))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def dns_idle(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a DNS message is a plain query or answer whose name and alias targets
        are of no interest; if so they are counted, and `spots` are where its addresses are."""
        flags: cython.longlong
        answers: cython.longlong
        aliases: cython.longlong = 0
        kind: cython.longlong
        size: cython.longlong
        pos: cython.Py_ssize_t
        if not self.filtering or end - at < 17:
            return False
        flags = self.u16(at + 2)
        # Opcode QUERY, not truncated.
        if flags & 0x7A00 or self.u16(at + 4) != 1:
            return False
        if not (self.labels(at, at + 12, end) and self.is_idle()):
            return False
        self.count_spots = 0
        pos = self.stopped + 4
        if pos > end:
            return False
        if flags & 0x8000 == 0:
            self.passed[0] += 1
            return True
        answers = self.u16(at + 6)
        if answers > MAX_ANSWERS:
            return False
        while answers > 0:
            answers -= 1
            if pos + 2 <= end and self.u16(pos) == 0xC00C:
                pos += 2
            elif self.labels(at, pos, end):
                pos = self.stopped
            else:
                return False
            if pos + 10 > end:
                return False
            kind = self.u16(pos)
            size = self.u16(pos + 8)
            pos += 10
            if pos + size > end or kind == 39:
                return False
            if kind == 5:
                if not (self.labels(at, pos, pos + size) and self.is_idle()):
                    return False
                if self.stopped != pos + size:
                    return False
                aliases += 1
            elif kind == 1 or kind == 28:
                if size != (4 if kind == 1 else 16) or not self.spot(pos, size, pos - 6):
                    return False
            elif kind == 64 or kind == 65:
                if size < 3:
                    return False
                if self.data[pos + 2] != 0:
                    if not (self.labels(at, pos + 2, pos + size) and self.is_idle()):
                        return False
                    aliases += 1
                else:
                    self.stopped = pos + 3
                if not self.parameters(self.stopped, pos + size, pos - 6):
                    return False
            pos += size
        self.passed[1] += 1
        self.passed[2] += aliases
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def spot(
        self, at: cython.Py_ssize_t, size: cython.Py_ssize_t, ttl: cython.Py_ssize_t
    ) -> cython.bint:
        """Note an address and its TTL, by where they are; false where there are too many."""
        if self.count_spots >= MAX_SPOTS:
            return False
        self.spots[self.count_spots] = at
        self.sizes[self.count_spots] = size
        self.ttls[self.count_spots] = self.u32(ttl)
        self.count_spots += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def parameters(
        self, pos: cython.Py_ssize_t, end: cython.Py_ssize_t, ttl: cython.Py_ssize_t
    ) -> cython.bint:
        """Note the hints in the parameters of SVCB and HTTPS (RFC 9460 section 2.2), whose
        TTL is at `ttl`; whether they are sound."""
        key: cython.longlong
        size: cython.longlong
        part: cython.longlong
        stop: cython.Py_ssize_t
        while pos + 4 <= end:
            key = self.u16(pos)
            size = self.u16(pos + 2)
            pos += 4
            stop = pos + size
            if stop > end:
                return False
            if key == 4 or key == 6:
                part = 4 if key == 4 else 16
                if size % part != 0:
                    return False
                while pos < stop:
                    if not self.spot(pos, part, ttl):
                        return False
                    pos += part
            elif key == 5 and not self.keys(pos, stop):
                return False
            pos = stop
        return pos == end

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def keys(self, pos: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether an ECHConfigList (RFC 9849 section 4) fits together: of each configuration
        a public key behind three bytes, suites, and a name behind one byte."""
        stop: cython.Py_ssize_t
        if pos + 2 > end or pos + 2 + self.u16(pos) != end:
            return False
        pos += 2
        while pos + 4 <= end:
            stop = pos + 4 + self.u16(pos + 2)
            if stop > end:
                return False
            if self.u16(pos) == 0xFE0D:
                pos += 7
                if pos + 2 > stop:
                    return False
                pos += 2 + self.u16(pos)
                if pos + 2 > stop:
                    return False
                pos += 2 + self.u16(pos) + 1
                if pos + 1 > stop or pos + 1 + self.data[pos] > stop:
                    return False
            pos = stop
        return pos == end

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def tls_idle(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a ClientHello that is whole in the one TLS record at `at` shows nothing
        but a name of no interest; if so it is counted."""
        if end - at < 52 or self.u16(at + 3) != 4 + self.u32(at + 5) % 16777216:
            return False
        if not self.hello_idle(at + 5, end):
            return False
        self.passed[TLS_SNI] += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def hello_idle(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a ClientHello that is whole (RFC 8446 section 4.1.2), from its header on,
        has one server_name, of no interest, and is sound."""
        pos: cython.Py_ssize_t = at + 4
        stop: cython.Py_ssize_t
        size: cython.Py_ssize_t
        first: cython.longlong
        found: cython.bint = False
        if not self.filtering or end - at < 47:
            return False
        stop = pos + self.u32(at) % 16777216
        if stop > end or stop - at < 47:
            return False
        pos += 34
        pos += 1 + self.data[pos]
        if pos + 4 > stop:
            return False
        first = self.u16(pos + 2)
        pos += 2 + self.u16(pos)
        if pos >= stop:
            return False
        pos += 1 + self.data[pos]
        if pos + 2 > stop or pos + 2 + self.u16(pos) != stop:
            return False
        pos += 2
        if not self.distinct(pos, stop):
            return False
        while pos + 4 <= stop:
            size = self.u16(pos + 2)
            if self.u16(pos) == 0:
                # server_name_list of one host_name (RFC 6066 section 3).
                if (
                    size < 6
                    or self.u16(pos + 4) != size - 2
                    or self.data[pos + 6] != 0
                    or self.u16(pos + 7) != size - 5
                    or self.data[pos + 3 + size] == 46
                ):
                    return False
                self.anew()
                found = self.spell(pos + 9, pos + 4 + size, True) and self.is_idle()
                if not found:
                    return False
            elif not self.sound(self.u16(pos), pos + 4, size) or not self.meant(first, pos, size):
                return False
            pos += 4 + size
        return found

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def distinct(self, pos: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> cython.bint:
        """Whether extensions fill the bytes up to `stop`, each of another type."""
        count: cython.Py_ssize_t = 0
        i: cython.Py_ssize_t
        while pos + 4 <= stop:
            if count >= MAX_EXTENSIONS:
                return False
            self.types[count] = self.u16(pos)
            i = 0
            while i < count:
                if self.types[i] == self.types[count]:
                    return False
                i += 1
            count += 1
            pos += 4 + self.u16(pos + 2)
        self.count_types = count
        return pos == stop

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def sound(
        self, kind: cython.longlong, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether an extension that the parser opens is laid out as it expects, and does
        not say that the name in clear stands for another (`netwatch.protocols.ech`)."""
        pos: cython.Py_ssize_t
        if kind == 16:
            pos = 2
            while pos < size:
                pos += 1 + self.data[at + pos]
            return pos == size
        if kind == 43:
            return size > 0 and self.data[at] < size
        if kind == 13:
            return size >= 2 and 2 + self.u16(at) <= size
        if kind == 0xFE0D:
            if size < 11 or self.data[at] != 0:
                return False
            pos = 8 + self.u16(at + 6)
            if pos == 8 or pos + 2 >= size:
                return False
            return pos + 2 + self.u16(at + pos) == size
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def meant(
        self, first: cython.longlong, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether the name is meant for all that the extension at `at`, of this size, and the
        client's mark say (`netwatch.protocols.ech`), which is its first cipher suite or one
        of its `types`: it is no encrypted_client_hello, or may be a dummy."""
        payload: cython.longlong
        marked: cython.bint = first & 0x0F0F == 0x0A0A and first >> 8 == first & 255
        i: cython.Py_ssize_t
        if self.u16(at) != 0xFE0D:
            return True
        for i in range(self.count_types):
            marked = marked or self.types[i] == 17513 or self.types[i] == 17613
        payload = size - 10 - self.u16(at + 10)
        return not marked or payload == 144 or payload == 176 or payload == 208 or payload == 240

    def idle(self, kind: cython.int, message: bytes) -> bool:
        """Whether a message that was put together elsewhere shows nothing but a name of no
        interest: 2 is a ClientHello in a TLS record, 3 one from QUIC, from its handshake
        header on. If so it is counted. Not while a block is walked."""
        idle: cython.bint
        if not self.filtering:
            return False
        self.data = message
        if kind == 2:
            return self.tls_idle(0, len(message))
        idle = kind == 3 and self.hello_idle(0, len(message))
        if idle:
            self.passed[QUIC_SNI] += 1
        return idle
