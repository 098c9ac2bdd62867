"""Unbound: lines of ``log-queries``, ``log-replies`` and ``log-local-actions`` (unbound.conf(5)).

A query is ``ADDRESS NAME TYPE CLASS``; a reply adds the response code, the seconds that it took,
whether it came from the cache, and its size. Neither contains the answer itself. A local zone that
denies a name, or redirects it to other data, is logged with the client's port before the reply: it
has blocked the name if its type only serves to block. If no reply follows (``log-replies: no``, or
a zone that denies the answer), the action itself shows the query.

Lines come from Unbound itself, with the time in seconds since the epoch, in the form of ``ctime``
(``log-time-ascii``), or as RFC 3339 (``log-time-iso``), or from syslog. Names keep their letters.
Bytes that cannot be printed are ``?`` in them.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from netwatch.core.errors import RecordError
from netwatch.logs.dns_values import address, answer_info, carried_time, port, query_info, shown
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    LogEntry,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import SECOND, rfc3339

MAX_ACTIONS = 1024
"""Maximum number of actions of local zones waiting for their reply; the oldest has none."""

PATIENCE = 5 * SECOND
"""How long to wait for a reply by the times of lines, ns."""

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

_LINE = re.compile(
    rb"(?:\[(\d{9,11})\] |(\d{4}-\d\d-\d\dT\S{8,24}) )?"
    rb"(?:unbound)?(?:\[\d+:[0-9a-f]+\] )?(?:info|reply|query): (\S.*)"
)
_LOOKUP = re.compile(
    rb"([0-9a-fA-F.:]+(?:%\S{1,32})?) (\S+) ([A-Z0-9-]{1,16}) ([A-Z]{2,8}\d{0,5})"
    rb"(?: ([A-Z]{2,12}\d{0,5}) \d+\.\d+ [01] \d+(?: on (udp|tcp|\S+) (\S+) (\d+))?)?"
)
_LOCAL = re.compile(
    rb"(?:rpz: applied (?:\[.{0,200}\] )?)?\S+ ([a-z_-]{3,32}) "
    rb"([0-9a-fA-F.:]+(?:%\S{1,32})?)@\d{1,5} (\S+) ([A-Z0-9-]{1,16}) [A-Z]+"
)
_CUT = re.compile(rb"[0-9a-fA-F]*[.:][0-9a-fA-F.:]+(?:%\S{1,32})? \S+ [A-Z0-9-]{1,16} IN(?: |$)")
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


class _Action(NamedTuple):
    """An action of a local zone: the type of the zone, and the query that it shows."""

    zone: bytes
    time: int
    query: tuple[LogEntry, ...]


class UnboundReader(RecordReader):
    """Reads the records of one log of Unbound."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        # What local zones did, by the address, the name and the type of the query.
        self._actions: OrderedDict[tuple[bytes, bytes, bytes], _Action] = OrderedDict()
        # Whether replies are logged, as far as that is known.
        self._has_replies: bool | None = None

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line."""
        line = _LINE.fullmatch(record)
        if line is None:
            return ()
        found = _LOOKUP.fullmatch(line[3])
        if found is not None:
            return self._lookup(line, found, carried)
        found = _LOCAL.fullmatch(line[3])
        if found is not None:
            return self._act(line, found, carried)
        if _CUT.match(line[3]):
            raise RecordError("lookup-invalid")
        return ()

    def flush(self) -> Iterable[LogEntry]:
        """The actions without a reply."""
        waiting, self._actions = self._actions, OrderedDict()
        return [entry for action in waiting.values() for entry in action.query]

    def _lookup(
        self, line: re.Match[bytes], found: re.Match[bytes], carried: Carried
    ) -> Iterable[LogEntry]:
        source, name, kind, _, rcode, transport, server, number = found.groups()
        when = self._time(line, carried)
        client = Endpoint(address(source))
        if rcode is None:
            return [*self._unanswered(when[0]), *shown(name, query_info(kind), when, client)]
        self._has_replies = True
        action = self._actions.pop((source, name, kind), None)
        zone = action.zone if action is not None and _denies(action.zone) else b""
        answer = shown(
            name,
            answer_info(kind, rcode),
            when,
            client,
            Endpoint(address(server), port(number)) if server else NOWHERE,
            "tcp" if transport == b"tcp" else "udp",
            outcome="blocked" if zone else None,
            blocked_by=zone.decode("ascii"),
        )
        return [*self._unanswered(when[0]), *answer]

    def _act(
        self, line: re.Match[bytes], found: re.Match[bytes], carried: Carried
    ) -> Iterable[LogEntry]:
        zone, source, name, kind = found.groups()
        when = self._time(line, carried)
        blocks = _denies(zone)
        query = tuple(
            shown(
                name,
                query_info(kind),
                when,
                Endpoint(address(source)),
                outcome="blocked" if blocks else None,
                blocked_by=zone.decode("ascii") if blocks else "",
                shown_at=self._current.place(*when),
            )
        )
        entries = self._unanswered(when[0])
        if self._has_replies is False:
            return [*entries, *query]
        key = source, name, kind
        # One that is asked again had no reply.
        if (before := self._actions.pop(key, None)) is not None:
            entries += before.query
        self._actions[key] = _Action(zone, when[0], query)
        if len(self._actions) > MAX_ACTIONS:
            entries += self._actions.popitem(last=False)[1].query
        return entries

    def _unanswered(self, now: int) -> list[LogEntry]:
        """Questions that are too old to get a reply."""
        entries: list[LogEntry] = []
        while self._actions:
            key, action = next(iter(self._actions.items()))
            if now - action.time < PATIENCE:
                break
            del self._actions[key]
            entries += action.query
            if self._has_replies is None:
                self._has_replies = False
        return entries

    def _time(self, line: re.Match[bytes], carried: Carried) -> tuple[int, int]:
        if line[1]:
            return int(line[1]) * SECOND, 0
        if line[2]:
            return rfc3339(line[2].decode("ascii", "replace"), self._times)
        return carried_time(carried)


def _denies(zone: bytes) -> bool:
    """Whether a local zone of this type only serves to block, or a policy zone has blocked."""
    return zone in DENYING_ZONES or (zone.startswith(b"rpz-") and zone not in _PASSED)
