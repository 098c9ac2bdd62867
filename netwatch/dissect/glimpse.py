# cython: language_level=3, boundscheck=True, wraparound=False
"""A glimpse at the names in the usual messages: are they all known to be of no interest.

Names repeat. Once a parser has read one and no rule takes it, the next message with
nothing but such names is counted here and goes no further. What is not laid out as
usual, or shows one name that is not known, goes to its parser as ever, so a glimpse can
spare work and never hides a name.

Known names are kept as salted 63-bit sums in a table of fixed size, where new ones take
the place of old; nobody outside can tell which names share a sum.
"""

from array import array

import cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.prefaces import Prefaces
else:
    from netwatch.dissect.prefaces import Prefaces

PASSED = ("dns-query", "dns-answer", "dns-cname", "tls-sni", "quic-sni")
"""Evidence whose names are counted here, by number."""

MIX = cython.declare(cython.ulonglong, 0x2545F4914F6CDD1D)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)
SLOTS = cython.declare(cython.ulonglong, 65536)
TLS_SNI = cython.declare(cython.Py_ssize_t, 3)
QUIC_SNI = cython.declare(cython.Py_ssize_t, 4)
WATCHED = cython.declare(cython.ulonglong, 8192)
MAX_ANSWERS = cython.declare(cython.longlong, 32)
MAX_JUMPS = cython.declare(cython.int, 16)


@cython.cclass
class Glimpse(Prefaces):
    """Names learned, and the usual messages held against them."""

    def learn(self, name: bytes) -> None:
        """A name (lower-case, as `netwatch.names` spells it) is of no interest."""
        byte: cython.int
        self.sum = self.salt
        for byte in name:
            self.feed(byte)
        self.known[self.sum & (SLOTS - 1)] = self.sum

    def forget(self) -> None:
        """All names may be of interest again: rules have changed."""
        self.known = array("q", bytes(8 * SLOTS))
        self.watched = array("q", bytes(8 * WATCHED))
        self.watching = False

    def watch(self, address: bytes) -> None:
        """Answers with this address (4 or 16 bytes) are of interest whatever name they
        are for. The table is of fixed size; new ones take the place of old."""
        byte: cython.int
        self.sum = self.salt
        for byte in address:
            self.feed(byte)
        self.watched[self.sum & (WATCHED - 1)] = self.sum
        self.watching = True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def is_watched(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.bint:
        """Whether the address of `size` bytes at `at` is watched."""
        sum_: cython.longlong
        stop: cython.Py_ssize_t = at + size
        self.sum = self.salt
        while at < stop:
            self.feed(self.data[at])
            at += 1
        sum_ = self.sum
        return self.watched[self.sum & (WATCHED - 1)] == sum_

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def feed(self, byte: cython.int) -> cython.void:
        """Take a byte of a name into the sum."""
        self.sum = ((self.sum ^ byte) * MIX) & LOW63
        self.sum ^= self.sum >> 31

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def is_known(self) -> cython.bint:
        """Whether the name summed up was learned."""
        sum_: cython.longlong = self.sum
        return self.known[self.sum & (SLOTS - 1)] == sum_

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def text(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Sum up letters, digits, ``-`` and ``_`` in lower case, and dots where they are
        written; false where there is anything else."""
        c: cython.int
        while at < end:
            c = self.data[at]
            if 65 <= c <= 90:
                c += 32
            elif not (97 <= c <= 122 or 48 <= c <= 57 or c == 45 or c == 95 or c == 46):
                return False
            self.feed(c)
            at += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def labels(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """Sum up a DNS name (RFC 1035 section 4.1.4) of the message at `start`; true when
        it is one that was learned. `stopped` is where its bytes at `at` end."""
        size: cython.Py_ssize_t
        there: cython.Py_ssize_t
        dot: cython.Py_ssize_t
        jumps: cython.int = 0
        first: cython.bint = True
        self.sum = self.salt
        self.stopped = self.behind(at, end)
        if self.stopped == 0:
            return False
        while at < end:
            size = self.data[at]
            if size == 0:
                return not first and self.is_known()
            if size >= 192:
                if at + 1 >= end:
                    return False
                there = start + (((size & 63) << 8) | self.data[at + 1])
                jumps += 1
                if there >= at or jumps > MAX_JUMPS:
                    return False
                at = there
                continue
            if size > 63 or at + 1 + size >= end:
                return False
            if not first:
                self.feed(46)
            dot = at + 1
            while dot <= at + size:
                if self.data[dot] == 46:
                    return False
                dot += 1
            if not self.text(at + 1, at + 1 + size):
                return False
            first = False
            at += 1 + size
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def behind(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the bytes of the DNS name at `at` end; 0 where they do not."""
        size: cython.Py_ssize_t
        while at < end:
            size = self.data[at]
            if size == 0:
                return at + 1
            if size >= 192:
                return at + 2 if at + 2 <= end else 0
            if size > 63:
                return 0
            at += 1 + size
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def dns_known(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a DNS message is a plain query or answer whose name and alias targets
        were all learned; if so they are counted."""
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
        if not self.labels(at, at + 12, end):
            return False
        pos = self.stopped + 4
        if flags & 0x8000 == 0:
            if pos > end:
                return False
            self.passed[0] += 1
            return True
        answers = self.u16(at + 6)
        if answers > MAX_ANSWERS:
            return False
        while answers > 0:
            answers -= 1
            pos = self.behind(pos, end)
            if pos == 0 or pos + 10 > end:
                return False
            kind = self.u16(pos)
            size = self.u16(pos + 8)
            pos += 10
            if pos + size > end or kind == 39:
                return False
            if kind == 5:
                if not self.labels(at, pos, pos + size):
                    return False
                aliases += 1
            elif kind == 1 or kind == 28:
                if self.watching and self.is_watched(pos, size):
                    return False
            elif kind == 64 or kind == 65:
                # SVCB and HTTPS (RFC 9460 section 2.2); a target "." is the owner.
                if size < 3:
                    return False
                if self.data[pos + 2] != 0:
                    if not self.labels(at, pos + 2, pos + size):
                        return False
                    aliases += 1
            pos += size
        if pos > end:
            return False
        self.passed[1] += 1
        self.passed[2] += aliases
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def tls_known(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a ClientHello that is whole in the one TLS record at `at` shows nothing
        but a name that was learned; if so it is counted."""
        if end - at < 52 or self.u16(at + 3) != 4 + self.u32(at + 5) % 16777216:
            return False
        if not self.hello_known(at + 5, end):
            return False
        self.passed[TLS_SNI] += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def hello_known(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a ClientHello that is whole (RFC 8446 section 4.1.2), from its header on,
        has one server_name and that was learned."""
        pos: cython.Py_ssize_t = at + 4
        stop: cython.Py_ssize_t
        size: cython.Py_ssize_t
        found: cython.bint = False
        if not self.filtering or end - at < 47:
            return False
        stop = pos + self.u32(at) % 16777216
        if stop > end or stop - at < 47:
            return False
        pos += 34
        pos += 1 + self.data[pos]
        if pos + 2 > stop:
            return False
        pos += 2 + self.u16(pos)
        if pos >= stop:
            return False
        pos += 1 + self.data[pos]
        if pos + 2 > stop or pos + 2 + self.u16(pos) != stop:
            return False
        pos += 2
        while pos + 4 <= stop:
            size = self.u16(pos + 2)
            if pos + 4 + size > stop:
                return False
            if self.u16(pos) == 0:
                # server_name_list of one host_name (RFC 6066 section 3).
                if (
                    found
                    or size < 6
                    or self.u16(pos + 4) != size - 2
                    or self.data[pos + 6] != 0
                    or self.u16(pos + 7) != size - 5
                    or self.data[pos + 3 + size] == 46
                ):
                    return False
                self.sum = self.salt
                found = self.text(pos + 9, pos + 4 + size) and self.is_known()
                if not found:
                    return False
            pos += 4 + size
        return found and pos == stop

    def knows(self, kind: cython.int, message: bytes) -> bool:
        """Hold a message that was put together elsewhere against the names learned: 2 is a
        ClientHello in a TLS record, 3 one from QUIC, from its handshake header on. If it
        shows nothing but such a name it is counted. Not while a block is walked."""
        known: cython.bint
        if not self.filtering:
            return False
        self.data = message
        if kind == 2:
            return self.tls_known(0, len(message))
        known = kind == 3 and self.hello_known(0, len(message))
        if known:
            self.passed[QUIC_SNI] += 1
        return known
