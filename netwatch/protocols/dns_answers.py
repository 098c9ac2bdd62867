# cython: language_level=3
"""The answer section of a DNS response: aliases, and the addresses they end at.

Records are read in any order; which of them answer the question is decided afterwards,
by following the aliases from the name asked. Hints in SVCB and HTTPS records are
addresses like any other (RFC 9460 section 7.3): a client connects to them. ECH keys in
them say under which names hellos will go that stand for others.
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
from netwatch.protocols.dns_name import name_at

if not cython.compiled:
    from netwatch.protocols.reader import Reader
else:
    from cython.cimports.netwatch.protocols.reader import Reader

MAX_RECORDS = 512
"""Records read of one section; what stands behind is named ``dns-many-records``."""

A, CNAME, AAAA, SVCB, HTTPS = 1, 5, 28, 64, 65
_HINTS = {4: (AF_INET, 4), 6: (AF_INET6, 16)}
_ECH, _ECH_VERSION = 5, 0xFE0D
_IN = cython.declare(cython.int, 1)
# mDNS keeps the top bit for itself (RFC 6762 section 10.2).
_CLASS = cython.declare(cython.int, 0x7FFF)

record = struct.Struct(">HHIH").unpack_from
"""Type, class, TTL and RDLENGTH, which follow the owner name (RFC 1035 3.2.1)."""


@cython.cclass
class Answers:
    """What one answer section says.

    `read` fills it; `anomalies` names what ended or disturbed the reading. `first_owner`
    and `first_type` are those of the first record, ``""`` and 0 where there is none.
    """

    __slots__ = ("_addresses", "_aliases", "_ech", "anomalies", "first_owner", "first_type")

    def __init__(self) -> None:
        self.first_owner = ""
        self.first_type = 0
        self.anomalies: list[str] = []
        self._aliases: dict[str, list[str]] = {}
        self._addresses: list[tuple[str, str, int]] = []
        self._ech: dict[str, None] = {}

    def read(
        self, data: bytes, pos: cython.Py_ssize_t, count: cython.Py_ssize_t, asked: str | None
    ) -> None:
        """Read `count` records at `pos` of the message `data`, as far as they are whole.

        `asked` is the name at offset 12, where most owners point; None where the message
        has no question.
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
        known = {} if asked is None else {0xC00C: asked}
        try:
            for number in range(count):
                pointer = data[pos] << 8 | data[pos + 1]
                if pointer >= 0xC000 and pointer in known:
                    owner = known[pointer]
                    pos += 2
                else:
                    owner, behind = name_at(data, pos)
                    if pointer >= 0xC000:
                        known[pointer] = owner
                    pos = behind
                kind, klass, ttl, length = record(data, pos)
                start = pos + 10
                pos = start + length
                if pos > len(data):
                    raise ParseError("dns-cut")
                if number == 0:
                    self.first_owner = owner
                    self.first_type = kind
                if klass & _CLASS != _IN:
                    continue
                if ttl > 0x7FFFFFFF:  # RFC 2181 section 8: to be taken for zero
                    ttl = 0
                try:
                    if kind == A:
                        self._address(owner, AF_INET, data[start:pos], ttl)
                    elif kind == AAAA:
                        self._address(owner, AF_INET6, data[start:pos], ttl)
                    elif kind == CNAME:
                        target, end = name_at(data, start)
                        if end != pos:
                            raise ParseError("dns-rdata-length")
                        known[0xC000 | start] = target
                        self._aliases.setdefault(owner, []).append(target)
                    elif kind in (SVCB, HTTPS):
                        self._binding(owner, data, start, pos, ttl)
                except ParseError as error:  # RDLENGTH says where the next record is
                    self.anomalies.append(error.anomaly)
        except (IndexError, struct.error):
            self.anomalies.append("dns-cut")
        except ParseError as error:
            self.anomalies.append(error.anomaly)

    def has_aliases(self) -> bool:
        """Whether any record leads to another name."""
        return bool(self._aliases)

    def chain(self, asked: list[str]) -> tuple[str, ...]:
        """The alias targets that the names `asked` (distinct) lead to, nearest first, each
        once."""
        if not self._aliases:
            return ()
        reached = set(asked)
        queue = list(asked)
        for name in queue:  # grows while walked
            for target in self._aliases.get(name, ()):
                if target and target not in reached:
                    reached.add(target)
                    queue.append(target)
        return tuple(queue[len(asked) :])

    def addresses(self, names: set[str] | None) -> tuple[tuple[str, int], ...]:
        """Address text and TTL in seconds of each A, AAAA and hint of `names`, None for
        those of every record, each address once."""
        found: dict[str, int] = {}
        for owner, text, ttl in self._addresses:
            if names is None or owner in names:
                found.setdefault(text, ttl)
        return tuple(found.items())

    def ech(self) -> tuple[str, ...]:
        """The public names of the ECH configurations, each once."""
        return tuple(self._ech)

    @cython.cfunc
    def _address(
        self, owner: str, family: AddressFamily, packed: bytes, ttl: cython.longlong
    ) -> None:
        if len(packed) != (4 if family == AF_INET else 16):
            raise ParseError("dns-rdata-length")
        self._addresses.append((owner, _text(family, packed), ttl))

    @cython.cfunc
    def _binding(
        self,
        owner: str,
        data: bytes,
        start: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        ttl: cython.longlong,
    ) -> None:
        # RFC 9460 section 2.2: priority, target, then the parameters. A target of "."
        # is the owner itself, and nobody where the priority is 0 (section 2.5).
        target, pos = name_at(data, start + 2)
        if pos > end:
            raise ParseError("dns-rdata-length")
        if target:
            self._aliases.setdefault(owner, []).append(target)
        params: Reader = Reader(data, "dns-svcb", pos, end)
        while params.pos < params.end:
            key = params.uint(2)
            value = params.vector(2)
            if key in _HINTS:
                family, size = _HINTS[key]
                for at in range(0, len(value), size):
                    self._address(target or owner, family, value[at : at + size], ttl)
            elif key == _ECH:
                self._configurations(value)

    def _configurations(self, value: bytes) -> None:
        """Read an ECHConfigList (RFC 9849 section 4); versions that are not known are passed
        over."""
        configurations: Reader = Reader(Reader(value, "dns-svcb").vector(2), "dns-svcb")
        while configurations.left:
            version = configurations.uint(2)
            reader: Reader = Reader(configurations.vector(2), "dns-svcb")
            if version != _ECH_VERSION:
                continue
            reader.take(3)  # configuration id, KEM
            reader.vector(2)
            reader.vector(2)
            reader.take(1)
            name = normalise_name(reader.vector(1))
            if name:
                self._ech[name] = None


@lru_cache(16384)
def _text(family: AddressFamily, packed: bytes) -> str:
    return inet_ntop(family, packed)
