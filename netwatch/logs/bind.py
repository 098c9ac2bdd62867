"""BIND: the query log, the log of responses, and what response policy zones rewrote.

The lines belong to named's categories ``queries``, ``responses`` (from 9.20), ``rpz`` and, for
denied queries, ``security`` (BIND 9 Administrator Reference Manual, "The category Phrase"), also of
patched versions (Infoblox), which write the records of the answer. Each has ``client @0x…
ADDRESS#PORT (NAME):`` (older versions without the pointer or the name) after the time, category and
severity that the channel is configured to print. The address in parentheses at the end is the
server's.

A policy zone that rewrites an answer has blocked it, unless the policy is ``PASSTHRU``. named logs
this before the response, so a response that follows to the same client and port is not shown again.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from itertools import islice

from netwatch.core.errors import RecordError
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import DnsInfo
from netwatch.logs.dns_values import (
    address,
    address_text,
    alias,
    answer_info,
    carried_time,
    port,
    query_info,
    record_type,
    response_code,
    shown,
    unescaped,
)
from netwatch.logs.layout import (
    ROLE_CLIENT_IP,
    ROLE_CLIENT_PORT,
    ROLE_FLAGS,
    ROLE_NAME,
    ROLE_SERVER_IP,
    ROLE_TIME,
    ROLE_TYPE,
    Layout,
)
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    Lack,
    LogEntry,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import MONTHS, rfc3339

MAX_REWRITTEN = 1024
"""Maximum number of rewritten answers waiting for their response; the oldest is forgotten."""

MAX_RECORDS = 64
"""Records of one answer that are read, at most."""

_LINE = re.compile(
    rb"(?:(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)"
    rb"(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)? +)?"
    rb"(?:[a-z-]{1,32}: )?(?:(?:info|debug \d+|notice|warning|error): )?"
    rb"client (?:@0x[0-9a-f]+ )?([0-9a-fA-F.:]+(?:%[^# ]{1,32})?)#(\d+)"
    rb"(?:/key \S+)?(?: \([^ ]*\))?:? (?:view \S+: )?(.*)"
)
_QUERY = re.compile(
    rb"query: (\S+) \S+ (\S+)(?: ([+-][^ ]*))?(?: \(([0-9a-fA-F.:%]+[^)]*)\))?(?: \[[^\]]*\])*"
)
_RESPONSE = re.compile(
    rb"response: (\S+) \S+ (\S+) (\S+) (\d+) \d+ \d+ ([+-][^ ]*)(?: \(([0-9a-fA-F.:]+)[^)]*\))?.*"
)
_ANSWER = re.compile(
    rb"(?:(UDP|TCP)(?: [a-z]+)?: )query: (\S+) \S+ (\S+) response: (\S+) [+-][^ ]*(?: (.*))?"
)
_RECORDED = re.compile(
    rb"answer: (\S+) \S+ (\S+) ([+-][^ ]*)(?: \(([0-9a-fA-F.:]+)[^)]*\))? -> (\S+)(?: (.*))?"
)
_DENIED = re.compile(rb"query(?: \(cache\))? '(\S+)/(\S+?)/\S+' denied.*")
_REWRITTEN = re.compile(rb"rpz \S+ (\S+) rewrite (\S+?)(?:/(\S+?)/\S+|(?: \[(\S+)\]))? via \S+.*")
_CEF = re.compile(
    rb"CEF:0\|Infoblox\|NIOS\|[^|]{0,64}\|RPZ-[^|]{1,32}\|[^|]{1,32}\|\d{1,2}\|.{0,200}? "
    rb'src=([0-9a-fA-F.:]+) spt=(\d{1,5}) .{0,200}?msg="(rpz [^"]*)".*'
)
_REWRITE_CODES = {
    b"NXDOMAIN": b"NXDOMAIN",
    b"NODATA": b"NOERROR",
    b"Local-Data": b"NOERROR",
    b"CNAME": b"NOERROR",
}
_PARTS = (b": query: ", b": response: ", b": rpz ", b" query: ", b": answer: ", b"' denied")
_RECORD = re.compile(rb"(\S+) (\d+) IN (A|AAAA|CNAME) (\S+)", re.IGNORECASE)
_LISTED = re.compile(rb"(\S+) (\d{1,10})(?: IN)? (A|AAAA|CNAME) (\S+)", re.IGNORECASE)
_PATTERN = (
    "{time} [queries: ][info: ]client [@0x{hex} ]{client}#{port}[ ({})]: [view {}: ]"
    "query: {name} IN {type} {flags}[ ({server})]"
)
"""A query, as a channel writes it with its time."""
_FIELDS = {
    "time": ROLE_TIME,
    "client": ROLE_CLIENT_IP,
    "port": ROLE_CLIENT_PORT,
    "name": ROLE_NAME,
    "type": ROLE_TYPE,
    "flags": ROLE_FLAGS,
    "server": ROLE_SERVER_IP,
}
_MINUTE = re.compile(r"\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:00\.0{6}", re.ASCII)
_ANSWER_LACKS: tuple[Lack, ...] = ("answer",)
_REWRITE_LACKS: tuple[Lack, ...] = ("answer", "server")


def recognise(sample: Sample) -> int:
    """The number of lines of the sample that only BIND writes."""
    found = 0
    for line in sample.lines:
        found += line.startswith(b"CEF:0|Infoblox|") and _CEF.fullmatch(line) is not None
        if b"client " in line and any(part in line for part in _PARTS):
            match = _LINE.search(line)
            found += match is not None and _content(match[6]) is not None
    return found


def _content(text: bytes) -> re.Match[bytes] | None:
    for each in (_QUERY, _RESPONSE, _REWRITTEN, _ANSWER, _RECORDED, _DENIED):
        if found := each.fullmatch(text):
            return found
    return None


class BindReader(RecordReader):
    """Reads the records of one log of BIND."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        # The second and the zone of the last line, which most lines share, and when it began.
        self._second: tuple[bytes, bytes | None] = (b"", None)
        self._start = 0
        # The client, its port and the name of answers that were rewritten, in lower case.
        self._rewritten: LimitedDict[tuple[bytes, bytes, bytes], None] = LimitedDict(MAX_REWRITTEN)
        self._plain = Layout("text", _FIELDS, (), minute=self._minute, pattern=_PATTERN)

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line."""
        if b"client " not in record:
            found = _CEF.fullmatch(record)
            if found is None:
                return ()
            return self._rewrite(found[1], found[2], found[3], carried_time(carried))
        # Something that a syslog relay added may come first.
        line = _LINE.search(record)
        if line is None:
            return self._malformed(record)
        content = line[6]
        if content.startswith(b"query: "):
            return self._query(line, carried)
        if content.startswith(b"response: "):
            return self._response(line, carried)
        if content.startswith(b"rpz "):
            return self._rewrite(line[4], line[5], content, self._time(line, carried))
        if content.startswith((b"UDP", b"TCP")):
            return self._answer(line, carried)
        if content.startswith(b"answer: "):
            return self._recorded(line, carried)
        if found := _DENIED.fullmatch(content):
            return self._denied(found, line, carried)
        return ()

    def _malformed(self, record: bytes) -> Iterable[LogEntry]:
        if b": query: " in record or b": response: " in record:
            raise RecordError("line-invalid")
        return ()

    def _query(self, line: re.Match[bytes], carried: Carried) -> Iterable[LogEntry]:
        found = _QUERY.fullmatch(line[6])
        if found is None:
            raise RecordError("query-invalid")
        name, kind, flags, server = found.groups()
        info, when = query_info(kind), self._time(line, carried)
        if line[1] and line[1][2:3] == b"-":
            # From now on it is known what such times assume.
            self.layout = self._plain
        return shown(
            unescaped(name),
            info,
            when,
            Endpoint(address(line[4]), port(line[5])),
            _server(server),
            "tcp" if flags and b"T" in flags else "udp",
        )

    def _response(self, line: re.Match[bytes], carried: Carried) -> Iterable[LogEntry]:
        found = _RESPONSE.fullmatch(line[6])
        if found is None:
            raise RecordError("response-invalid")
        name, kind, rcode, answers, flags, server = found.groups()
        if self._rewritten.pop((line[4], line[5], name.lower()), self) is None:
            return ()
        return shown(
            unescaped(name),
            answer_info(kind, rcode),
            self._time(line, carried),
            Endpoint(address(line[4]), port(line[5])),
            _server(server),
            "tcp" if b"T" in flags else "udp",
            lacks=_ANSWER_LACKS if int(answers) else (),
        )

    def _rewrite(
        self, source: bytes, number: bytes, text: bytes, when: tuple[int, int]
    ) -> Iterable[LogEntry]:
        """An answer to a client and its port that a policy zone changed."""
        if b" failed: " in text:
            return ()  # named could not rewrite it, and answers as if there were no policy
        found = _REWRITTEN.fullmatch(text)
        if found is None:
            raise RecordError("rewrite-invalid")
        policy, name, *kinds = found.groups()
        if policy == b"PASSTHRU":
            return ()
        kind = kinds[0] or kinds[1]
        info = DnsInfo(
            record_type(kind.decode("latin-1")) if kind else "",
            response_code(_REWRITE_CODES.get(policy, b"NOERROR").decode("ascii")),
        )
        self._rewritten[source, number, name.lower()] = None
        return shown(
            unescaped(name),
            info,
            when,
            Endpoint(address(source), port(number)),
            outcome="blocked",
            blocked_by=f"rpz-{policy.decode('latin-1').lower()}",
            lacks=_REWRITE_LACKS,
        )

    def _answer(self, line: re.Match[bytes], carried: Carried) -> Iterable[LogEntry]:
        """A response of Infoblox, with the records of its answer."""
        found = _ANSWER.fullmatch(line[6])
        if found is None:
            return ()
        transport, name, kind, rcode, records = found.groups()
        parts = map(_RECORD.fullmatch, map(bytes.strip, (records or b"").split(b";", MAX_RECORDS)))
        info = _answered(kind, rcode, filter(None, parts))
        return shown(
            unescaped(name),
            info,
            self._time(line, carried),
            Endpoint(address(line[4]), port(line[5])),
            transport="tcp" if transport == b"TCP" else "udp",
        )

    def _recorded(self, line: re.Match[bytes], carried: Carried) -> Iterable[LogEntry]:
        """A response with the records of its answer after an arrow."""
        found = _RECORDED.fullmatch(line[6])
        if found is None:
            raise RecordError("answer-invalid")
        name, kind, flags, server, rcode, records = found.groups()
        return shown(
            unescaped(name),
            _answered(kind, rcode, _LISTED.finditer(records or b"")),
            self._time(line, carried),
            Endpoint(address(line[4]), port(line[5])),
            _server(server),
            "tcp" if b"T" in flags else "udp",
        )

    def _denied(
        self, found: re.Match[bytes], line: re.Match[bytes], carried: Carried
    ) -> Iterable[LogEntry]:
        """A query that named has refused because the client may not ask it."""
        name, kind = found.groups()
        return shown(
            unescaped(name),
            answer_info(kind, b"REFUSED"),
            self._time(line, carried),
            Endpoint(address(line[4]), port(line[5])),
            outcome="blocked",
            blocked_by="denied",
            lacks=("server",),
        )

    def _time(self, line: re.Match[bytes], carried: Carried) -> tuple[int, int]:
        if not line[1]:
            return carried_time(carried)
        second = line[1], line[3]
        if second != self._second:
            self._start = self._local(line[1]) if line[1][2:3] == b"-" else self._iso(*second)
            self._second = second
        digits = line[2] or b""
        return self._start + int(digits.ljust(9, b"0")), len(digits)

    def _iso(self, text: bytes, zone: bytes | None) -> int:
        return rfc3339((text + (zone or b"")).decode("ascii"), self._times)[0]

    def _minute(self, text: str) -> int | None:
        """The beginning of a minute in ns since the epoch; None for a time in another form."""
        if not _MINUTE.fullmatch(text):
            return None
        try:
            return self._local(text[:20].encode())
        except RecordError:
            return None

    def _local(self, text: bytes) -> int:
        """A time like ``27-Nov-2026 02:04:10``."""
        day, month, year = text[:11].split(b"-")
        hour, minute, second = (int(part) for part in text[12:].split(b":"))
        try:
            moment = datetime(
                int(year), MONTHS[month.decode()], int(day), hour, minute, min(second, 59)
            )
            return self._times.local(moment)
        except (KeyError, ValueError, OverflowError):
            raise RecordError("time-invalid") from None


@lru_cache(maxsize=256)
def _server(text: bytes | None) -> Endpoint:
    return Endpoint(address(text)) if text else NOWHERE


def _answered(kind: bytes, rcode: bytes, records: Iterable[re.Match[bytes]]) -> DnsInfo:
    """A response with records, each as owner, TTL, type and data."""
    addresses: dict[str, int] = {}
    chain: dict[str, None] = {}
    for record in islice(records, MAX_RECORDS):
        if record[3].upper() == b"CNAME":
            chain[alias(record[4])] = None
        elif text := address_text(record[4]):
            addresses.setdefault(text, int(record[2][:9]))
    return DnsInfo(
        record_type(kind.decode("latin-1")),
        response_code(rcode.decode("latin-1")),
        tuple(addresses.items()),
        tuple(chain),
    )
