# cython: language_level=3, boundscheck=True, wraparound=False
"""The prefilter of DNS messages: does a plain query or answer show a name of interest?

Most names are of no interest, which can be told without a parser: they are below no domain that the
rules contain. A message with only such names is counted and goes no further. One without the usual
layout, or with a name of interest, goes to its parser, so a prefilter can save work and never hides
a name or an anomaly.

It walks records that `netwatch.dissect.loop.dns_messages` could read too because hashes need no
texts: a scan of 600,000 messages takes 1.3 s of CPU, without it 6.3 s.
"""

from array import array

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

MAX_ANSWERS = cython.declare(cython.longlong, 32)
"""Records in the answer section of a prefiltered message, at most."""

MAX_ADDRESSES = cython.declare(cython.Py_ssize_t, 64)
"""Addresses in such a message, at most."""

QUESTION = cython.declare(cython.longlong, 0xC00C)
"""A pointer to the name asked for."""

# Types of records (IANA, DNS parameters).
A = cython.declare(cython.longlong, 1)
CNAME = cython.declare(cython.longlong, 5)
AAAA = cython.declare(cython.longlong, 28)
DNAME = cython.declare(cython.longlong, 39)
SVCB = cython.declare(cython.longlong, 64)
HTTPS = cython.declare(cython.longlong, 65)


@cython.final
@cython.cclass
class DnsPrefilter(Window):
    """Compares the names of one DNS message with `domains`, which reads the same bytes.

    `counts` is shared by all prefilters: names by evidence (`layout.NAMES_DNS_QUERY` and the like).
    Of the last message `asked` is the hash of the name asked for, as in `domain_hash`. It had
    `addresses` addresses; each `starts` somewhere, has a size in bytes and a TTL in seconds.
    `pointer` is the pointer to the target of its last alias.
    """

    def __init__(self, domains: DomainFilter, counts: Words) -> None:
        Window.__init__(self)
        self.domains = domains
        self.counts = counts
        self.starts: Words = array("q", bytes(8 * MAX_ADDRESSES))
        self.sizes: Words = array("q", bytes(8 * MAX_ADDRESSES))
        self.ttls: Words = array("q", bytes(8 * MAX_ADDRESSES))
        self.asked = 0
        self.addresses = 0
        self.aliases = 0
        self.pointer = 0

    def uninteresting(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a DNS message is a plain query or answer whose name and alias targets are of no
        interest. If so they are counted, and `starts`, `sizes` and `ttls` describe its
        addresses."""
        flags: cython.longlong
        pos: cython.Py_ssize_t
        if not self.domains.domains.active or end - at < 17:
            return False
        flags = self.u16(at + 2)
        # Opcode QUERY, not truncated.
        if flags & 0x7A00 or self.u16(at + 4) != 1:
            return False
        if not (self.domains.hash_labels(at, at + 12, end) and self.domains.not_matched()):
            return False
        self.asked = self.domains.hash | 1
        self.addresses = 0
        pos = self.domains.name_end + 4
        if pos > end:
            return False
        if flags & 0x8000 == 0:
            self.counts[layout.NAMES_DNS_QUERY] += 1
            return True
        return self.answers_uninteresting(at, pos, end)

    def answers_uninteresting(
        self, at: cython.Py_ssize_t, pos: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """The same for the answer section, which is at `pos` of the message at `at`."""
        answers: cython.longlong = self.u16(at + 6)
        kind: cython.longlong
        size: cython.longlong
        pointer: cython.longlong
        self.aliases = 0
        self.pointer = 0
        if answers > MAX_ANSWERS:
            return False
        while answers > 0:
            answers -= 1
            pointer = self.u16(pos) if pos + 2 <= end else 0
            if pointer == QUESTION or (pointer == self.pointer and pointer):
                pos += 2
            elif self.domains.hash_labels(at, pos, end):
                pos = self.domains.name_end
            else:
                return False
            if pos + 10 > end:
                return False
            kind = self.u16(pos)
            size = self.u16(pos + 8)
            pos += 10
            if pos + size > end or not self.record_uninteresting(at, kind, pos, pos + size):
                return False
            pos += size
        self.counts[layout.NAMES_DNS_ANSWER] += 1
        self.counts[layout.NAMES_DNS_CNAME] += self.aliases
        return True

    def record_uninteresting(
        self,
        at: cython.Py_ssize_t,
        kind: cython.longlong,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.bint:
        """The same for the data of one record of type `kind`; its TTL is six bytes before it."""
        if kind == CNAME:
            if not (self.domains.hash_labels(at, pos, end) and self.domains.not_matched()):
                return False
            self.aliases += 1
            if pos - at < 0x4000:
                self.pointer = 0xC000 | (pos - at)
            return self.domains.name_end == end
        if kind == A:
            return end - pos == 4 and self.add_address(pos, 4, pos - 6)
        if kind == AAAA:
            return end - pos == 16 and self.add_address(pos, 16, pos - 6)
        if kind in (SVCB, HTTPS):
            if end - pos < 3:
                return False
            if self.data[pos + 2] != 0:
                if not self.domains.hash_labels(at, pos + 2, end):
                    return False
                # It is only an alias with priority 0, and then shows its target (RFC 9460 section
                # 2.4).
                if self.u16(pos) == 0:
                    if not self.domains.not_matched():
                        return False
                    self.aliases += 1
                return self.parameters(self.domains.name_end, end, pos - 6)
            return self.parameters(pos + 3, end, pos - 6)
        return kind != DNAME

    def add_address(
        self, at: cython.Py_ssize_t, size: cython.Py_ssize_t, ttl: cython.Py_ssize_t
    ) -> cython.bint:
        """Add an address at `at` whose TTL is at `ttl`; false if there are too many."""
        if self.addresses >= MAX_ADDRESSES:
            return False
        self.starts[self.addresses] = at
        self.sizes[self.addresses] = size
        self.ttls[self.addresses] = self.u32(ttl)
        self.addresses += 1
        return True

    def parameters(
        self, pos: cython.Py_ssize_t, end: cython.Py_ssize_t, ttl: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether the parameters of an SVCB or HTTPS record (RFC 9460 section 2.2) are valid, and
        none is ECH. Address hints in them are added, with the TTL at `ttl`."""
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
                    if not self.add_address(pos, part, ttl):
                        return False
                    pos += part
            elif key == 5:  # ECH, which its parser reads
                return False
            pos = stop
        return pos == end
