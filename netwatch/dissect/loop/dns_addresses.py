# cython: language_level=3, boundscheck=True, wraparound=False
"""The DNS address cache: which names of no interest clients looked up, and their addresses.

A flow without a name may be identified by an address that its client had resolved for a name of
interest, unless another name led there as well. Names of no interest never leave the packet loop,
so they and their addresses are stored here: in tables of fixed size, by client and address and by
client and name, in which a new entry evicts an old one.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.domain_filter import domain_hash
    from cython.cimports.netwatch.dissect.loop.octets import AddressHash, netwatch_prefetch
    from cython.cimports.netwatch.dissect.loop.prefilter_dns import DnsPrefilter
else:
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.domain_filter import domain_hash
    from netwatch.dissect.loop.octets import AddressHash
    from netwatch.dissect.loop.prefilter_dns import DnsPrefilter

from netwatch.core.buffers import Words, zeroed
from netwatch.core.flow import DNS_TTL_GRACE

SLOTS = cython.declare(cython.ulonglong, 65536)
"""Answers to store, at most."""

STORED = cython.declare(cython.longlong, 300_000_000_000)
"""How long an answer is valid after its TTL, ns: `netwatch.core.flow.DNS_TTL_GRACE`."""

WAITING = cython.declare(cython.Py_ssize_t, 16)
"""Answers that wait, a power of two."""

SECOND = cython.declare(cython.longlong, 1_000_000_000)
MIX = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)
LONGEST_TTL = cython.declare(cython.longlong, 0x7FFFFFFF)


@cython.final
@cython.cclass
class DnsAddresses:
    """Two tables of answers: for each the hash of client and address, or of client and name, and
    the times (ns) from and until which the answer may be in use.

    `salt` (63 bits, not 0) varies the hashes, so that addresses cannot be chosen to collide.
    `evicted` counts answers that were replaced while in use. `packets` hashes addresses in the
    packets of a block, `pair` a pair that a parser has read. Both tables are larger than the
    processor's cache, so the latest `WAITING` answers of packets wait while their places are
    prefetched: which table, hash, and the two times of each, in the order of their arrival.
    """

    def __init__(self, salt: int) -> None:
        assert STORED == DNS_TTL_GRACE
        # Answers by address, then those by name.
        self.tables: Words = zeroed("q", 2 * 3 * SLOTS)
        self.salt = salt
        self.packets = AddressHash()
        self.pair = AddressHash()
        self.waiting: Words = zeroed("q", 4 * WAITING)
        self.came = 0
        self.entered = 0
        self.replaced = 0

    @property
    def evicted(self) -> int:
        """How many answers were replaced while in use."""
        self.enter_all()
        return self.replaced

    def remember_message(self, message: DnsPrefilter, cursor: Cursor) -> cython.void:
        """Remember the addresses in the last prefiltered message, and the name asked for, for the
        destination of the packet at the cursor."""
        i: cython.Py_ssize_t = 0
        last: cython.longlong = 0
        client: cython.ulonglong
        ttl: cython.longlong
        if message.addresses == 0:
            return
        client = self.packets.hashed(
            self.salt, cursor.addresses + cursor.address_size, cursor.address_size
        )
        while i < message.addresses:
            ttl = message.ttls[i] if message.ttls[i] <= LONGEST_TTL else 0
            last = max(last, ttl)
            self.expect(
                False,
                self.packets.hashed(client, message.starts[i], message.sizes[i]) | 1,
                cursor.time,
                cursor.time + ttl * SECOND + STORED,
            )
            i += 1
        self.expect(
            True,
            of_name(client, message.asked),
            cursor.time,
            cursor.time + last * SECOND + STORED,
        )

    def expect(
        self,
        is_name: cython.bint,
        hash_: cython.ulonglong,
        now: cython.longlong,
        until: cython.longlong,
    ) -> cython.void:
        """Enter an answer later, in the table of names or of addresses."""
        at: cython.Py_ssize_t = 4 * (self.came & (WAITING - 1))
        if self.came - self.entered == WAITING:
            self.enter_oldest()
        self.waiting[at] = is_name
        self.waiting[at + 1] = hash_
        self.waiting[at + 2] = now
        self.waiting[at + 3] = until
        self.came += 1
        if cython.compiled:
            netwatch_prefetch(cython.address(self.tables[place_of(is_name, hash_)]))

    def enter_oldest(self) -> cython.void:
        """Enter the answer that has waited longest."""
        at: cython.Py_ssize_t = 4 * (self.entered & (WAITING - 1))
        self.entered += 1
        self.enter(
            self.waiting[at] != 0,
            self.waiting[at + 1],
            self.waiting[at + 2],
            self.waiting[at + 3],
        )

    def enter_all(self) -> cython.void:
        """Enter all answers that wait."""
        while self.entered < self.came:
            self.enter_oldest()

    def enter(
        self,
        is_name: cython.bint,
        hash_: cython.ulonglong,
        now: cython.longlong,
        until: cython.longlong,
    ) -> cython.void:
        """Store an answer; one that is already in use stays so for longer."""
        at: cython.Py_ssize_t = place_of(is_name, hash_)
        key: cython.longlong = hash_
        if self.tables[at] == key and now <= self.tables[at + 2]:
            self.tables[at + 2] = max(until, self.tables[at + 2])
            return
        if self.tables[at] != key and now <= self.tables[at + 2]:
            self.replaced += 1
        self.tables[at] = key
        self.tables[at + 1] = now
        self.tables[at + 2] = until

    def is_in_use(
        self, is_name: cython.bint, hash_: cython.ulonglong, time: cython.longlong
    ) -> cython.bint:
        """Whether an answer may have been in use at `time` (ns)."""
        at: cython.Py_ssize_t = place_of(is_name, hash_)
        key: cython.longlong = hash_
        self.enter_all()
        return self.tables[at] == key and self.tables[at + 1] <= time <= self.tables[at + 2]

    def hash_of(self, client: bytes, address: bytes) -> cython.ulonglong:
        """The hash of a packed pair of addresses."""
        hash_: cython.ulonglong
        self.pair.set_data(client + address)
        hash_ = self.pair.hashed(self.salt, 0, len(client))
        return self.pair.hashed(hash_, len(client), len(address)) | 1

    def remember(
        self, client: bytes, address: bytes, now: cython.longlong, until: cython.longlong
    ) -> None:
        """Store a result from a parser: at `now` (ns) a name of no interest led this client to this
        address, until the time `until`."""
        self.enter_all()
        self.enter(False, self.hash_of(client, address), now, until)

    def remember_name(
        self, client: bytes, name: str, now: cython.longlong, until: cython.longlong
    ) -> None:
        """Store a result from a parser: at `now` (ns) this client had addresses for a name of no
        interest, until the time `until`."""
        self.enter_all()
        self.enter(True, self.hash_of_name(client, name), now, until)

    def hash_of_name(self, client: bytes, name: str) -> cython.ulonglong:
        """The hash of a packed address and a name."""
        self.pair.set_data(client)
        return of_name(self.pair.hashed(self.salt, 0, len(client)), domain_hash(name.encode()))

    def asked(self, client: bytes, name: str, time: cython.longlong) -> bool:
        """Whether this client had addresses for a name of no interest, from an answer that may have
        been in use at `time` (ns)."""
        return self.is_in_use(True, self.hash_of_name(client, name), time)

    def answered(self, client: bytes, address: bytes, time: cython.longlong) -> bool:
        """Whether a name of no interest led this client to this address, from an answer that may
        have been in use at `time` (ns)."""
        return self.is_in_use(False, self.hash_of(client, address), time)


def place_of(is_name: cython.bint, hash_: cython.ulonglong) -> cython.Py_ssize_t:
    """Where the answer with a hash is stored."""
    return 3 * ((hash_ & (SLOTS - 1)) + (SLOTS if is_name else 0))


def of_name(client: cython.ulonglong, name: cython.ulonglong) -> cython.ulonglong:
    """The hash of a client and a name, from both hashes."""
    hash_: cython.ulonglong = ((client ^ name) * MIX) & LOW63
    return (hash_ ^ (hash_ >> 32)) | 1
