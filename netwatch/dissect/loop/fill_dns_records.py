# cython: language_level=3, boundscheck=True, wraparound=False
"""The answer section of a DNS response, read in the packet loop.

As `netwatch.protocols.dns_answers` reads it: aliases, hosts of services and addresses, each with
the name that owns it. Names are texts of the observation batch, so that two
of them are equal where their numbers are. A section with anything that is an anomaly there, or that
is not laid out as usual, or has an ECH configuration, is left to the parser.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.observation_rows import NameTexts
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop.observation_rows import NameTexts
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Words, array

MAX_ANSWERS = cython.declare(cython.Py_ssize_t, 32)
"""Records in the answer section of a message that the packet loop reads."""

MAX_ADDRESSES = cython.declare(cython.Py_ssize_t, 64)
"""Addresses in such a message."""

LONGEST_TTL = cython.declare(cython.longlong, 0x7FFFFFFF)
QUESTION = cython.declare(cython.longlong, 0xC00C)

# Types of records (IANA, DNS parameters).
A = cython.declare(cython.longlong, 1)
CNAME = cython.declare(cython.longlong, 5)
AAAA = cython.declare(cython.longlong, 28)
SVCB = cython.declare(cython.longlong, 64)
HTTPS = cython.declare(cython.longlong, 65)


def words(count: int) -> Words:
    """So many zeros."""
    return array("q", bytes(8 * count))


@cython.final
@cython.cclass
class DnsRecords(Window):
    """What one answer section contains, in the order of its records, until `clear`.

    There are so many `aliases` with an owner and a target, `services` with an owner and the host
    that provides it, and `addresses` with owner, text and TTL (seconds).
    """

    def __init__(self, names: NameTexts) -> None:
        Window.__init__(self)
        self.names = names
        self.alias_owners = words(MAX_ANSWERS)
        self.alias_targets = words(MAX_ANSWERS)
        self.alias_raws = words(MAX_ANSWERS)
        self.service_owners = words(MAX_ANSWERS)
        self.service_hosts = words(MAX_ANSWERS)
        self.address_owners = words(MAX_ADDRESSES)
        self.address_texts = words(MAX_ADDRESSES)
        self.address_ttls = words(MAX_ADDRESSES)
        self.clear()

    def clear(self) -> cython.void:
        """Forget all records."""
        self.aliases = 0
        self.services = 0
        self.addresses = 0
        self.pointer = 0
        self.pointed = 0

    def read(
        self,
        start: cython.Py_ssize_t,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        question: cython.longlong,
    ) -> cython.Py_ssize_t:
        """Read the section at `pos` of the message at `start`, whose question is for the name
        `question`. Where the section ends; -1 where it is left to the parser."""
        left: cython.longlong = self.u16(start + 6)
        kind: cython.longlong
        size: cython.longlong
        owner: cython.longlong
        if left > MAX_ANSWERS:
            return -1
        while left > 0:
            left -= 1
            owner = self.owner(start, pos, end, question)
            if owner == 0:
                return -1
            pos = self.names.name_end
            if pos + 10 > end:
                return -1
            kind = self.u16(pos)
            size = self.u16(pos + 8)
            if pos + 10 + size > end:
                return -1
            # Class IN; mDNS uses the top bit as a flag (RFC 6762 section 10.2).
            if self.u16(pos + 2) & 0x7FFF == 1 and not self.record(
                start, kind, owner, pos + 10, pos + 10 + size
            ):
                return -1
            pos += 10 + size
        return pos

    def owner(
        self,
        start: cython.Py_ssize_t,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        question: cython.longlong,
    ) -> cython.longlong:
        """The name at `pos`, which most often is a pointer to the question or to the last alias."""
        pointer: cython.longlong
        if pos + 2 <= end:
            pointer = self.u16(pos)
            if pointer == QUESTION or (pointer == self.pointer and pointer):
                self.names.name_end = pos + 2
                return question if pointer == QUESTION else self.pointed
        return self.names.domain(start, pos, end)

    def record(
        self,
        start: cython.Py_ssize_t,
        kind: cython.longlong,
        owner: cython.longlong,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.bint:
        """Read the data of a record of type `kind`, whose TTL is six bytes before it; false where
        the message is left to the parser."""
        target: cython.longlong
        ttl: cython.longlong
        if kind not in (A, AAAA, CNAME, SVCB, HTTPS):
            return True
        ttl = self.u32(pos - 6)
        if ttl > LONGEST_TTL:  # to be treated as zero (RFC 2181 section 8)
            ttl = 0
        if kind == A:
            return end - pos == 4 and self.address(owner, pos, 4, ttl)
        if kind == AAAA:
            return end - pos == 16 and self.address(owner, pos, 16, ttl)
        if kind != CNAME:
            return self.service(start, owner, pos, end, ttl)
        target = self.names.domain(start, pos, end)
        if target == 0 or self.names.name_end != end:
            return False
        if pos - start < 0x4000:
            self.pointer = 0xC000 | (pos - start)
            self.pointed = target
        return self.alias(owner, target, self.names.raw_domain(start, pos, end))

    def alias(
        self, owner: cython.longlong, target: cython.longlong, raw: cython.longlong
    ) -> cython.bint:
        """Add an alias, whose target is `raw` in the letters of the packet."""
        self.alias_owners[self.aliases] = owner
        self.alias_targets[self.aliases] = target
        self.alias_raws[self.aliases] = raw
        self.aliases += 1
        return True

    def service(
        self,
        start: cython.Py_ssize_t,
        owner: cython.longlong,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        ttl: cython.longlong,
    ) -> cython.bint:
        """Read an SVCB or HTTPS record (RFC 9460 section 2.2): of priority 0 it is an alias. Hints
        are addresses of its target."""
        if end - pos < 3:
            return False
        if self.data[pos + 2] == 0:
            return self.parameters(owner, pos + 3, end, ttl)
        target: cython.longlong = self.names.domain(start, pos + 2, end)
        if target == 0:
            return False
        if self.u16(pos) == 0:
            self.alias(owner, target, self.names.raw_domain(start, pos + 2, end))
        else:
            self.service_owners[self.services] = owner
            self.service_hosts[self.services] = target
            self.services += 1
        return self.parameters(target, self.names.name_end, end, ttl)

    def address(
        self,
        owner: cython.longlong,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
        ttl: cython.longlong,
    ) -> cython.bint:
        """Add an address; false where there are too many."""
        if self.addresses >= MAX_ADDRESSES:
            return False
        self.address_owners[self.addresses] = owner
        self.address_texts[self.addresses] = self.names.octets(at, size)
        self.address_ttls[self.addresses] = ttl
        self.addresses += 1
        return True

    def parameters(
        self,
        owner: cython.longlong,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        ttl: cython.longlong,
    ) -> cython.bint:
        """Read the parameters of an SVCB or HTTPS record, up to `end`."""
        key: cython.longlong
        part: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        while pos + 4 <= end:
            key = self.u16(pos)
            stop = pos + 4 + self.u16(pos + 2)
            pos += 4
            if stop > end:
                return False
            if key == 4 or key == 6:
                part = 4 if key == 4 else 16
                while pos + part <= stop:
                    if not self.address(owner, pos, part, ttl):
                        return False
                    pos += part
                if pos != stop:
                    return False
            elif key == 5:  # ECH
                return False
            pos = stop
        return pos == end
