# cython: language_level=3, boundscheck=True, wraparound=False
"""The answer section of a DNS response: aliases, services, and the addresses they lead to.

Records may have any order, and each comes with the name that owns it. SVCB and HTTPS records of
priority 0 are aliases (RFC 9460 section 2.4.2); those of another priority name the host that
provides the service. Their hints count as addresses (section 7.3), because clients connect to them.
Their ECH configurations have the public names and config_ids that outer ClientHellos will show.

Names are texts of an observation batch, so two are equal if their numbers are. The packet loop
skips a section with an anomaly, with a name whose spelling differs from the packet's, with many
records or with an ECH configuration. Such a section is read when the message comes again, on its
own and as a `bytes` object: then Python reads these names and configurations.
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

from netwatch.core.buffers import Octets, zeroed
from netwatch.core.errors import ParseError
from netwatch.core.names import normalise_name
from netwatch.core.protocol_numbers import EchConfig, key_id
from netwatch.dissect.loop.dns_names import name_at, raw_name_at

MAX_RECORDS = 512
"""Maximum number of records per section; further ones are the anomaly ``dns-many-records``."""

MAX_ECH_CONFIGS = 64
"""Maximum number of ECH configurations per section; further ones are the anomaly
``dns-many-ech-configs``."""

MAX_ANSWERS = cython.declare(cython.Py_ssize_t, 32)
"""Records in the answer section of a message that the packet loop reads, at most."""

MAX_ADDRESSES = cython.declare(cython.Py_ssize_t, 64)
"""Addresses in such a message, at most."""

RECORDS = cython.declare(cython.Py_ssize_t, MAX_RECORDS)
ADDRESSES = cython.declare(cython.Py_ssize_t, 16384)
"""Room for the addresses of the longest message."""

LONGEST_TTL = cython.declare(cython.longlong, 0x7FFFFFFF)
QUESTION = cython.declare(cython.longlong, 0xC00C)

# Types of records (IANA, DNS parameters).
A = cython.declare(cython.longlong, 1)
CNAME = cython.declare(cython.longlong, 5)
AAAA = cython.declare(cython.longlong, 28)
SVCB = cython.declare(cython.longlong, 64)
HTTPS = cython.declare(cython.longlong, 65)

ECH_VERSION = 0xFE0D


@cython.final
@cython.cclass
class DnsRecords(Window):
    """The content of one answer section, in the order of its records, until `clear`.

    There are `aliases` with an owner and a target, `services` with an owner and the host that
    provides it, and `addresses` with owner, text and TTL (seconds). `first_owner` and `first_kind`
    are from the first record, -1 and 0 if there is none. If a message comes `alone`, all of it is
    read: `anomalies` are those that were found, and `ech` has the ECH configurations with their
    owners.
    """

    def __init__(self, names: NameTexts) -> None:
        Window.__init__(self)
        self.names = names
        self.alias_owners = zeroed("q", RECORDS)
        self.alias_targets = zeroed("q", RECORDS)
        self.alias_raws = zeroed("q", RECORDS)
        self.service_owners = zeroed("q", RECORDS)
        self.service_hosts = zeroed("q", RECORDS)
        self.address_owners = zeroed("q", ADDRESSES)
        self.address_texts = zeroed("q", ADDRESSES)
        self.address_ttls = zeroed("q", ADDRESSES)
        self.holder = 0
        self.at = 0
        self.alone = False
        self.odd = False
        self.whole = b""
        self.anomalies: list[str] = []
        self.ech: dict[tuple[int, EchConfig], None] = {}
        self.clear()

    def clear(self) -> cython.void:
        """Forget all records."""
        self.aliases = 0
        self.services = 0
        self.addresses = 0
        self.pointer = 0
        self.pointed = 0
        self.first_owner = -1
        self.first_kind = 0

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.data = data
        self.names.data = data

    def set_message(self, message: bytes) -> None:
        """Read this message on its own."""
        self.set_data(message)
        self.clear()
        self.alone = True
        self.whole = message
        self.anomalies = []
        self.ech = {}

    def fails(self, anomaly: str) -> None:
        """Note an anomaly."""
        self.anomalies.append(anomaly)

    def name(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.longlong:
        """The name at `at` of the message at `start`, looking at the bytes up to `end` first: 0 for
        the root, -1 if there is none, or none that the packet loop reads."""
        number: cython.longlong = self.names.domain(start, at, end)
        self.odd = number == 0
        if number == 0:
            number = -1
            if self.alone:
                with cython.gil:
                    number = self.odd_name(at)
        return number

    def odd_name(self, at: int) -> int:
        """The same for a message on its own."""
        try:
            name, end = name_at(self.whole, at)
        except ParseError as error:
            self.fails(error.anomaly)
            return -1
        self.names.name_end = end
        return self.names.batch.number_of_text(name)

    def raw_name(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.longlong:
        """The last name, at `at`, as spelled in the packet; 0 if the spelling is the same."""
        raw: cython.longlong
        if not self.odd:
            return self.names.raw_domain(start, at, end)
        with cython.gil:
            raw = self.odd_raw_name(at)
        return raw

    def odd_raw_name(self, at: int) -> int:
        """The same for a message on its own."""
        name, _ = name_at(self.whole, at)
        return self.names.batch.number_of_text(raw_name_at(self.whole, at, name))

    def read(
        self,
        start: cython.Py_ssize_t,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        question: cython.longlong,
    ) -> cython.bint:
        """Read the section at `pos` of the message at `start`, whose question is for the name
        `question`, -1 if it has none; false if the packet loop leaves it."""
        left: cython.longlong = self.u16(start + 6)
        kind: cython.longlong
        stop: cython.Py_ssize_t
        if left > MAX_ANSWERS and not self.alone:
            return False
        if left > RECORDS:
            with cython.gil:
                self.fails("dns-many-records")
            left = RECORDS
        while left > 0:
            left -= 1
            stop = self.next_record(start, pos, end, question)
            if stop < 0:
                return False
            pos = self.at
            kind = self.u16(pos - 10)
            if self.first_owner < 0:
                self.first_owner = self.holder
                self.first_kind = kind
            # Class IN; mDNS uses the top bit as a flag (RFC 6762 section 10.2).
            if (
                self.u16(pos - 8) & 0x7FFF == 1
                and not self.record(start, kind, self.holder, pos, stop, end)
                and not self.alone
            ):
                return False
            pos = stop
        return True

    def next_record(
        self,
        start: cython.Py_ssize_t,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        question: cython.longlong,
    ) -> cython.Py_ssize_t:
        """Read the owner of the record at `pos`, which is then the `holder`; its data is at `at`.
        Returns where it ends, -1 if it cannot be read."""
        owner: cython.longlong = self.owner(start, pos, end, question)
        stop: cython.Py_ssize_t = end + 1
        if owner < 0:
            return -1
        pos = self.names.name_end
        if pos + 10 <= end:
            stop = pos + 10 + self.u16(pos + 8)
        if stop > end:
            self.failed(1)
            return -1
        self.holder = owner
        self.at = pos + 10
        return stop

    def failed(self, which: cython.int) -> cython.bint:
        """False; the anomaly is noted for a message on its own."""
        if self.alone:
            with cython.gil:
                self.fails(("dns-rdata-length", "dns-cut", "dns-svcb")[which])
        return False

    def owner(
        self,
        start: cython.Py_ssize_t,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        question: cython.longlong,
    ) -> cython.longlong:
        """The name at `pos`, which is usually a pointer to the question or to the last alias."""
        pointer: cython.longlong
        if pos + 2 <= end:
            pointer = self.u16(pos)
            if (pointer == QUESTION and question >= 0) or (pointer == self.pointer and pointer):
                self.names.name_end = pos + 2
                return question if pointer == QUESTION else self.pointed
        return self.name(start, pos, end)

    def record(
        self,
        start: cython.Py_ssize_t,
        kind: cython.longlong,
        owner: cython.longlong,
        pos: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.bint:
        """Read the data of a record of type `kind`, up to `stop`; its TTL is six bytes before it.
        False if it is not valid, or the packet loop leaves it."""
        target: cython.longlong
        ttl: cython.longlong
        if kind not in (A, AAAA, CNAME, SVCB, HTTPS):
            return True
        ttl = self.u32(pos - 6)
        if ttl > LONGEST_TTL:  # to be treated as zero (RFC 2181 section 8)
            ttl = 0
        if kind in (A, AAAA):
            if stop - pos != (4 if kind == A else 16):
                return self.failed(0)
            return self.address(owner, pos, stop - pos, ttl)
        if kind != CNAME:
            return self.service(start, owner, pos, stop, ttl, end)
        target = self.name(start, pos, end)
        if target < 0:
            return False
        if self.names.name_end != stop:
            return self.failed(0)
        if pos - start < 0x4000:
            self.pointer = 0xC000 | (pos - start)
            self.pointed = target
        self.alias(owner, target, self.raw_name(start, pos, end))
        return True

    def alias(
        self, owner: cython.longlong, target: cython.longlong, raw: cython.longlong
    ) -> cython.void:
        """Add an alias, whose target is spelled `raw` in the packet."""
        self.alias_owners[self.aliases] = owner
        self.alias_targets[self.aliases] = target
        self.alias_raws[self.aliases] = raw
        self.aliases += 1

    def service(
        self,
        start: cython.Py_ssize_t,
        owner: cython.longlong,
        pos: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        ttl: cython.longlong,
        end: cython.Py_ssize_t,
    ) -> cython.bint:
        """Read an SVCB or HTTPS record (RFC 9460 section 2.2): with priority 0 it is an alias.
        Hints are addresses of its target, which is the owner itself if it is the root."""
        target: cython.longlong = 0
        if pos + 2 < end and self.data[pos + 2] == 0:
            self.names.name_end = pos + 3
        else:
            target = self.name(start, pos + 2, end)
            if target < 0:
                return False
        if self.names.name_end > stop:
            return self.failed(0)
        ends: cython.Py_ssize_t = self.names.name_end
        if target == 0:
            target = owner
        elif self.u16(pos) == 0:
            self.alias(owner, target, self.raw_name(start, pos + 2, end))
        else:
            self.service_owners[self.services] = owner
            self.service_hosts[self.services] = target
            self.services += 1
        return self.parameters(owner, target, ends, stop, ttl)

    def parameters(
        self,
        owner: cython.longlong,
        target: cython.longlong,
        pos: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        ttl: cython.longlong,
    ) -> cython.bint:
        """Read the parameters of an SVCB or HTTPS record, up to `end`."""
        key: cython.longlong
        part: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        valid: cython.bint
        while pos + 4 <= end:
            key = self.u16(pos)
            stop = pos + 4 + self.u16(pos + 2)
            pos += 4
            if stop > end:
                return self.failed(2)
            if key == 4 or key == 6:
                part = 4 if key == 4 else 16
                while pos + part <= stop:
                    if not self.address(target, pos, part, ttl):
                        return False
                    pos += part
                if pos != stop:
                    return self.failed(0)
            elif key == 5:
                if not self.alone:
                    return False
                with cython.gil:
                    valid = self.read_ech(owner, pos, stop, ttl)
                if not valid:
                    return self.failed(2)
            pos = stop
        return pos == end or self.failed(2)

    def address(
        self,
        owner: cython.longlong,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
        ttl: cython.longlong,
    ) -> cython.bint:
        """Add an address; false if there is no room for it."""
        if self.addresses >= (ADDRESSES if self.alone else MAX_ADDRESSES):
            return False
        self.address_owners[self.addresses] = owner
        self.address_texts[self.addresses] = self.names.octets(at, size)
        self.address_ttls[self.addresses] = ttl
        self.addresses += 1
        return True

    def read_ech(self, owner: int, at: int, end: int, ttl: int) -> bool:
        """Read an ECHConfigList (RFC 9849 section 4) of a message on its own; unknown versions are
        skipped. Returns whether it is valid."""
        data = self.whole
        if at + 2 > end or at + 2 + int.from_bytes(data[at : at + 2]) > end:
            return False
        end = at + 2 + int.from_bytes(data[at : at + 2])
        at += 2
        while at < end:
            stop = at + 4 + int.from_bytes(data[at + 2 : at + 4])
            if at + 4 > end or stop > end:
                return False
            if int.from_bytes(data[at : at + 2]) == ECH_VERSION:
                # config_id, KEM, key, cipher suites, the longest name, public name
                key = at + 9
                suites = key + int.from_bytes(data[at + 7 : key])
                name = suites + 2 + int.from_bytes(data[suites : suites + 2]) + 2
                if key > stop or suites + 2 > stop or name > stop:
                    return False
                if name + data[name - 1] > stop:
                    return False
                public = normalise_name(data[name : name + data[name - 1]])
                if public and len(self.ech) >= MAX_ECH_CONFIGS:
                    self.fails("dns-many-ech-configs")
                    return True
                if public:
                    config = EchConfig(public, data[at + 4], key_id(data[key:suites]), ttl)
                    self.ech[owner, config] = None
            at = stop
        return True
