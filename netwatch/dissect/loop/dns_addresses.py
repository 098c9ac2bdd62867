# cython: language_level=3, boundscheck=True, wraparound=False
"""Lookups over UDP: those of no interest are counted, and their addresses remembered.

A flow without a name may be known by an address that its device had resolved for a name
of interest, unless another name led there as well. Names of no interest never leave the
packet loop, so their addresses are kept here: a table of fixed size, by client and
address, in which a new entry takes the place of an old one.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.links import Links
else:
    from netwatch.dissect.loop.links import Links

from netwatch.core.flow import DNS_TTL_GRACE

SLOTS = cython.declare(cython.ulonglong, 65536)
KEPT = cython.declare(cython.longlong, 300_000_000_000)
SECOND = cython.declare(cython.longlong, 1_000_000_000)
LONGEST_TTL = cython.declare(cython.longlong, 0x7FFFFFFF)
MIX = cython.declare(cython.ulonglong, 0x1E3779B97F4A7C15)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)


@cython.cclass
class Lookups(Links):
    """Holds DNS messages of UDP against what is of interest. An entry of `answers` is the
    sum of client and address, and the times (ns) from and until which the answer may be
    in use; `forgotten` counts entries that were in use when another took their place."""

    def remember(self) -> None:
        """Make the table of addresses."""
        assert KEPT == DNS_TTL_GRACE
        self.answers = array("q", bytes(8 * 3 * SLOTS))
        self.forgotten = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def lookup(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether the DNS message at `at` is of no interest; if so it is counted, and the
        addresses in it are remembered for its destination."""
        i: cython.Py_ssize_t = 0
        sum_: cython.ulonglong
        ttl: cython.longlong
        if self.end < self.wire_end or not self.dns_idle(at, self.end):
            return False
        while i < self.count_spots:
            sum_ = self.fold(self.salt, self.addr + self.addr_len, self.addr_len)
            ttl = self.ttls[i] if self.ttls[i] <= LONGEST_TTL else 0
            self.enter(
                self.fold(sum_, self.spots[i], self.sizes[i]) | 1,
                self.now,
                self.now + ttl * SECOND + KEPT,
            )
            i += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def fold(
        self, sum_: cython.ulonglong, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.ulonglong:
        """Take an address of `size` bytes into a sum."""
        stop: cython.Py_ssize_t = at + size
        word: cython.ulonglong
        while at < stop:
            word = self.u32(at)
            sum_ = ((sum_ ^ word) * MIX) & LOW63
            sum_ ^= sum_ >> 29
            at += 4
        return sum_

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def enter(
        self, sum_: cython.ulonglong, now: cython.longlong, until: cython.longlong
    ) -> cython.void:
        """Remember an answer; one that is in use already stays so for longer."""
        entry: cython.Py_ssize_t = 3 * (sum_ & (SLOTS - 1))
        key: cython.longlong = sum_
        if self.answers[entry] == key and now <= self.answers[entry + 2]:
            self.answers[entry + 2] = max(until, self.answers[entry + 2])
            return
        if self.answers[entry] != key and now <= self.answers[entry + 2]:
            self.forgotten += 1
        self.answers[entry] = key
        self.answers[entry + 1] = now
        self.answers[entry + 2] = until

    def note(
        self, client: bytes, address: bytes, now: cython.longlong, until: cython.longlong
    ) -> None:
        """Remember what a parser read: an answer for a name of no interest gave this address
        to this client at `now` (ns). Not while a block is walked."""
        self.enter(self.sum_of(client, address), now, until)

    def sum_of(self, client: bytes, address: bytes) -> cython.ulonglong:
        """The sum that an entry is known by."""
        sum_: cython.ulonglong
        self.data = client + address
        sum_ = self.fold(self.salt, 0, len(client))
        return self.fold(sum_, len(client), len(address)) | 1

    def answered(self, client: bytes, address: bytes, time: cython.longlong) -> bool:
        """Whether an answer for a name of no interest gave this address to this client and
        may have been in use at `time` (ns). Not while a block is walked."""
        entry: cython.Py_ssize_t
        key: cython.longlong
        sum_: cython.ulonglong = self.sum_of(client, address)
        entry = 3 * (sum_ & (SLOTS - 1))
        key = sum_
        return (
            self.answers[entry] == key
            and self.answers[entry + 1] <= time <= self.answers[entry + 2]
        )
