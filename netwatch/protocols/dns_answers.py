# cython: language_level=3
"""The answer section of a DNS response: aliases, services, and the addresses they lead to.

Records may have any order. Which of them answer the question is decided after reading all of them,
by following the aliases from the queried name. SVCB and HTTPS records of priority 0 are aliases
(RFC 9460 section 2.4.2); those of another priority say which host provides the service, and whether
a client goes there is not known yet. Their hints count as addresses (section 7.3), because clients
connect to them. Their ECH configurations have the
public names and config_ids that outer ClientHellos will show.
"""

import struct
from functools import lru_cache
from socket import AF_INET, AF_INET6, AddressFamily, inet_ntop

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import ParseError
from netwatch.core.names import normalise_name
from netwatch.core.protocol_numbers import EchConfig, key_id
from netwatch.protocols.dns_name import name_at

if not cython.compiled:
    from netwatch.protocols.reader import Reader
else:
    from cython.cimports.netwatch.protocols.reader import Reader

MAX_RECORDS = 512
"""Maximum number of records per section; further ones are the anomaly ``dns-many-records``."""

MAX_ECH_CONFIGS = 64
"""Maximum number of ECH configurations per section; further ones are the anomaly
``dns-many-ech-configs``."""

A, CNAME, AAAA, SVCB, HTTPS = 1, 5, 28, 64, 65
_HINTS = {4: (AF_INET, 4), 6: (AF_INET6, 16)}
_ECH, _ECH_VERSION = 5, 0xFE0D
# Pointers have 14 bits for an offset (RFC 1035 section 4.1.4).
_POINTED = cython.declare(cython.Py_ssize_t, 0x4000)
_IN = cython.declare(cython.int, 1)
# mDNS uses the top bit of the class as a flag (RFC 6762 section 10.2).
_CLASS_MASK = cython.declare(cython.int, 0x7FFF)

record = struct.Struct(">HHIH").unpack_from
"""Type, class, TTL and RDLENGTH, which follow the owner name (RFC 1035 section 3.2.1)."""


@cython.cclass
class Answers:
    """The content of one answer section, as `read` reads it.

    `first_owner` and `first_type` are those of the first record, ``""`` and 0 if there is none.
    `anomalies` are those of the section.
    """

    __slots__ = (
        "_addresses",
        "_aliases",
        "_ech",
        "_targets",
        "anomalies",
        "first_owner",
        "first_type",
    )

    def __init__(self) -> None:
        self.first_owner = ""
        self.first_type = 0
        self.anomalies: list[str] = []
        # The targets by their owners, with their offsets in the message.
        self._aliases: dict[str, list[tuple[str, int]]] = {}
        self._targets: dict[str, list[str]] = {}
        self._addresses: list[tuple[str, str, int]] = []
        # The owner of the record, and the configuration.
        self._ech: dict[tuple[str, EchConfig], None] = {}

    def read(
        self, data: bytes, pos: cython.Py_ssize_t, count: cython.Py_ssize_t, queried: str | None
    ) -> None:
        """Read the complete ones of the `count` records at `pos` of the message `data`.

        `queried` is the name at offset 12, to which most owner names point; None if the message has
        no question.
        """
        if count > MAX_RECORDS:
            self.anomalies.append("dns-many-records")
            count = MAX_RECORDS
        number: cython.Py_ssize_t
        pointer: cython.int
        kind: cython.int
        klass: cython.int
        ttl: cython.longlong
        start: cython.Py_ssize_t
        known = {} if queried is None else {0xC00C: queried}
        try:
            for number in range(count):
                pointer = data[pos] << 8 | data[pos + 1]
                if pointer >= 0xC000 and pointer in known:
                    owner = known[pointer]
                    pos += 2
                else:
                    owner, end = name_at(data, pos)
                    if pointer >= 0xC000:
                        known[pointer] = owner
                    pos = end
                kind, klass, ttl, length = record(data, pos)
                start = pos + 10
                pos = start + length
                if pos > len(data):
                    raise ParseError("dns-cut")
                if number == 0:
                    self.first_owner = owner
                    self.first_type = kind
                if klass & _CLASS_MASK != _IN:
                    continue
                if ttl > 0x7FFFFFFF:  # to be treated as zero (RFC 2181 section 8)
                    ttl = 0
                try:
                    if kind == A:
                        self._add_address(owner, AF_INET, data[start:pos], ttl)
                    elif kind == AAAA:
                        self._add_address(owner, AF_INET6, data[start:pos], ttl)
                    elif kind == CNAME:
                        target, end = name_at(data, start)
                        if end != pos:
                            raise ParseError("dns-rdata-length")
                        if start < _POINTED:
                            known[0xC000 | start] = target
                        self._aliases.setdefault(owner, []).append((target, start))
                    elif kind in (SVCB, HTTPS):
                        self._read_service_binding(owner, data, start, pos, ttl)
                except ParseError as error:  # the next record is found by RDLENGTH
                    self.anomalies.append(error.anomaly)
        except (IndexError, struct.error):
            self.anomalies.append("dns-cut")
        except ParseError as error:
            self.anomalies.append(error.anomaly)

    def has_aliases(self) -> bool:
        """Whether any record is an alias or names the host of a service."""
        return bool(self._aliases or self._targets)

    def chain(self, queried: list[str]) -> dict[str, int]:
        """The alias targets that the distinct names `queried` lead to, each once, nearest first,
        with their offsets in the message."""
        places: dict[str, int] = {}
        if not self._aliases:
            return places
        reached = set(queried)
        queue = list(queried)
        for name in queue:  # which grows in this loop
            for target, place in self._aliases.get(name, ()):
                if target and target not in reached:
                    reached.add(target)
                    queue.append(target)
                    places[target] = place
        return places

    def service_targets(self, names: set[str]) -> tuple[str, ...]:
        """The hosts that provide the services of `names`, except for these names themselves, each
        once."""
        if not self._targets:
            return ()
        found = [
            target
            for owner, targets in self._targets.items()
            if owner in names
            for target in targets
            if target not in names
        ]
        return tuple(dict.fromkeys(found))

    def addresses(self, names: set[str] | None) -> tuple[tuple[str, int], ...]:
        """Address and TTL (seconds) of each A and AAAA record and each hint of `names`, or of all
        records for None; each address once."""
        found: dict[str, int] = {}
        for owner, text, ttl in self._addresses:
            if names is None or owner in names:
                found.setdefault(text, ttl)
        return tuple(found.items())

    def ech_public_names(self) -> tuple[str, ...]:
        """The public names of the ECH configurations, each once."""
        return tuple(dict.fromkeys(config.public_name for _, config in self._ech))

    def ech_configs(self, names: set[str] | None) -> tuple[str, ...]:
        """The ECH configurations of `names`, or of all records for None, each once, as texts."""
        return tuple(
            dict.fromkeys(
                config.text for owner, config in self._ech if names is None or owner in names
            )
        )

    @cython.cfunc
    def _add_address(
        self, owner: str, family: AddressFamily, packed: bytes, ttl: cython.longlong
    ) -> None:
        if len(packed) != (4 if family == AF_INET else 16):
            raise ParseError("dns-rdata-length")
        self._addresses.append((owner, _address_text(family, packed), ttl))

    @cython.cfunc
    def _read_service_binding(
        self,
        owner: str,
        data: bytes,
        start: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        ttl: cython.longlong,
    ) -> None:
        # Priority, target, then the parameters (RFC 9460 section 2.2). A target of "." is the
        # owner itself; with priority 0 it means that there is no service (section 2.5).
        in_alias_mode = data[start : start + 2] == b"\0\0"
        target, pos = name_at(data, start + 2)
        if pos > end:
            raise ParseError("dns-rdata-length")
        if target:
            if in_alias_mode:
                self._aliases.setdefault(owner, []).append((target, start + 2))
            else:
                self._targets.setdefault(owner, []).append(target)
        params: Reader = Reader(data, "dns-svcb", pos, end)
        while params.pos < params.end:
            key = params.uint(2)
            value = params.vector(2)
            if key in _HINTS:
                family, size = _HINTS[key]
                for at in range(0, len(value), size):
                    self._add_address(target or owner, family, value[at : at + size], ttl)
            elif key == _ECH:
                self._read_ech_configurations(owner, value, ttl)

    def _read_ech_configurations(self, owner: str, value: bytes, ttl: int) -> None:
        """Read an ECHConfigList (RFC 9849 section 4); unknown versions are skipped."""
        configurations: Reader = Reader(Reader(value, "dns-svcb").vector(2), "dns-svcb")
        while configurations.remaining:
            version = configurations.uint(2)
            reader: Reader = Reader(configurations.vector(2), "dns-svcb")
            if version != _ECH_VERSION:
                continue
            config_id = reader.uint(1)
            reader.read(2)  # the KEM
            key = reader.vector(2)
            reader.vector(2)  # cipher suites
            reader.read(1)  # the longest name
            name = normalise_name(reader.vector(1))
            if not name:
                continue
            if len(self._ech) >= MAX_ECH_CONFIGS:
                self.anomalies.append("dns-many-ech-configs")
                return
            self._ech[owner, EchConfig(name, config_id, key_id(key), ttl)] = None


@lru_cache(16384)
def _address_text(family: AddressFamily, packed: bytes) -> str:
    return inet_ntop(family, packed)
