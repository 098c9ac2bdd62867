"""Unbound: lines of ``log-queries``, ``log-replies`` and ``log-local-actions`` (unbound.conf(5)).

A query is ``ADDRESS NAME TYPE CLASS``; a reply adds the response code, the seconds that it took,
whether it came from the cache, and its size. What the answer was is in neither. A local zone that
denies a name, or redirects it to other data, is logged with the port of the client before the
reply: it has blocked the name, where its type is one that only serves to block.

Lines come from Unbound itself, with the time in seconds since the epoch, as ``ctime`` has it
(``log-time-ascii``), or as RFC 3339 (``log-time-iso``), or from syslog. Names keep their letters.
Bytes that cannot be printed are ``?`` in them.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable

from netwatch.core.patterns import pattern
from netwatch.logs.dns_text import address, answer_info, carried_time, port, query_info, shown
from netwatch.logs.reading import Carried, ReaderContext, Sample
from netwatch.logs.records import NOWHERE, Endpoint, LogEntry
from netwatch.logs.times import SECOND
from netwatch.logs.timestamps import rfc3339

MAX_DENIED = 1024
"""Maximum number of names that a local zone denied and whose reply is awaited; the oldest is
forgotten."""

DENYING_ZONES = frozenset(
    {
        b"deny",
        b"refuse",
        b"always_deny",
        b"always_null",
        b"always_nodata",
        b"always_nxdomain",
        b"always_refuse",
        b"inform_deny",
        b"inform_redirect",
    }
)
"""Types of local zones that only serve to block (``local-zone`` in unbound.conf(5))."""

_LINE = pattern(
    rb"(?:\[(\d{9,11})\] |(\d{4}-\d\d-\d\dT\S{8,24}) )?"
    rb"(?:unbound)?(?:\[\d+:[0-9a-f]+\] )?(?:info|reply|query): (\S.*)"
)
_LOOKUP = pattern(
    rb"([0-9a-fA-F.:]+(?:%\S{1,32})?) (\S+) ([A-Z0-9-]{1,16}) ([A-Z]{2,8}\d{0,5})"
    rb"(?: ([A-Z]{2,12}\d{0,5}) \d+\.\d+ [01] \d+(?: on (udp|tcp|\S+) (\S+) (\d+))?)?"
)
_LOCAL = pattern(
    rb"(?:rpz: applied (?:\[.{0,200}\] )?)?\S+ ([a-z_-]{3,32}) "
    rb"([0-9a-fA-F.:]+(?:%\S{1,32})?)@\d{1,5} (\S+) ([A-Z0-9-]{1,16}) [A-Z]+"
)
_PASSED = (b"rpz-passthru", b"rpz-disabled", b"rpz-invalid")


def recognise(sample: Sample) -> int:
    """The number of lines of the sample that only Unbound writes."""
    found = 0
    for line, carried in zip(sample.lines, sample.carried, strict=True):
        if carried.program == "unbound" or b"unbound[" in line:
            match = _LINE.fullmatch(line)
            found += match is not None and bool(
                _LOOKUP.fullmatch(match[3]) or _LOCAL.fullmatch(match[3])
            )
    return found


class Reader:
    """Reads the records of one log of Unbound."""

    def __init__(self, context: ReaderContext) -> None:
        self._context = context
        # What denied a name to a client, by the address, the name and the type.
        self._denied: OrderedDict[tuple[bytes, bytes, bytes], bytes] = OrderedDict()

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a line says."""
        line = _LINE.fullmatch(record)
        if line is None:
            return ()
        found = _LOOKUP.fullmatch(line[3])
        if found is not None:
            return self._lookup(line, found, carried)
        found = _LOCAL.fullmatch(line[3])
        if found is not None:
            self._deny(found)
        return ()

    def flush(self) -> Iterable[LogEntry]:
        """Nothing waits."""
        return ()

    def _lookup(
        self, line: re.Match[bytes], found: re.Match[bytes], carried: Carried
    ) -> Iterable[LogEntry]:
        source, name, kind, _, rcode, transport, server, number = found.groups()
        when = self._time(line, carried)
        client = Endpoint(address(source))
        if rcode is None:
            return shown(name, query_info(kind), when, client)
        zone = self._denied.pop((source, name, kind), b"")
        return shown(
            name,
            answer_info(kind, rcode),
            when,
            client,
            Endpoint(address(server), port(number)) if server else NOWHERE,
            "tcp" if transport == b"tcp" else "udp",
            outcome="blocked" if zone else None,
            blocked_by=zone.decode("ascii"),
        )

    def _deny(self, found: re.Match[bytes]) -> None:
        zone, source, name, kind = found.groups()
        if zone in DENYING_ZONES or (zone.startswith(b"rpz-") and zone not in _PASSED):
            self._denied[source, name, kind] = zone
            if len(self._denied) > MAX_DENIED:
                self._denied.popitem(last=False)

    def _time(self, line: re.Match[bytes], carried: Carried) -> tuple[int, int]:
        if line[1]:
            return int(line[1]) * SECOND, 0
        if line[2]:
            return rfc3339(line[2].decode("ascii", "replace"), self._context.times)
        return carried_time(carried)
