"""The log of HAProxy as a forward proxy: its formats ``httplog`` and ``httpslog``, of which the
documentation says the fields ("Log formats" in the Configuration Manual).

HAProxy mostly stands before servers, where a name in its log is not what a client of ours asked
for; only the user can say that it is a proxy for clients. The host is that of the request line
(CONNECT or a URL), else of the first captured request header that is a host name.
"""

import re
from collections.abc import Iterable

from netwatch.core.errors import RecordError
from netwatch.core.verdict import Outcome
from netwatch.logs.fields import HOST_NAME, Target, authority, packed_ip, target
from netwatch.logs.records import (
    Carried,
    Endpoint,
    LogEntry,
    LogName,
    RecordReader,
    Sample,
)
from netwatch.logs.times import access_time

FORWARD_PROXY = "Its log is mostly of servers, whose clients are not devices of this network."
"""Why the format is read only where it is named."""

_LINE = re.compile(
    rb"(?P<client>\S+):(?P<port>\d{1,5}) \[(?P<time>[^\]]{1,40})\] \S+ (?P<server>\S+) "
    rb"(?P<timers>[+-]?\d+(?:/[+-]?\d+){1,5}) (?P<rest>.*)"
)
_HTTP = re.compile(
    rb"(?P<status>-?\d{1,3}) \+?(?P<size>\d{1,18}) \S+ \S+ (?P<state>[A-Za-z-]{4}) "
    rb"\d+(?:/\+?\d+){4} \d+/\d+ (?P<captured>(?:\{[^}]*\} ){0,2})\"(?P<request>[^\"]*)\"?"
)
_REQUEST = re.compile(rb"([!-~]{1,32}) (\S+)(?: HTTP/[\d.]+)?")


def recognise(sample: Sample) -> int:
    """Client and port, the accept date in brackets, frontend, backend and server, and the
    timers."""
    return sum(1 for line in sample.lines if _is_line(line))


def _is_line(line: bytes) -> bool:
    found = _LINE.match(line)
    return found is not None and b"/" in found["server"]


class HaproxyReader(RecordReader):
    """Reads one log."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a line says (see `netwatch.logs.records.RecordReader`)."""
        found = _LINE.match(record)
        if found is None:
            return ()  # starts and stops of servers, errors
        http = _HTTP.match(found["rest"])
        if http is None:
            raise RecordError("host-missing")  # ``tcplog`` has no name
        request = _REQUEST.match(http["request"])
        if request is None:
            return ()  # ``<BADREQ>``
        asked = _host(request[1], request[2], http["captured"])
        if asked is None:
            raise RecordError("host-missing")
        time, digits = access_time(found["time"], self._times)
        outcome, blocked_by = _outcome(int(http["status"]), http["state"], found["server"])
        client = packed_ip(found["client"].decode("ascii", "replace"))
        port = int(found["port"])
        return (
            LogName(
                time,
                digits,
                "http-host",
                asked.name,
                Endpoint(client, port if port < 65536 else 0),
                transport="tcp",
                raw=asked.raw,
                outcome=outcome,
                blocked_by=blocked_by,
            ),
        )


def _host(method: bytes, url: bytes, captured: bytes) -> Target | None:
    asked = target(method, url)
    if asked is not None:
        return asked
    first = captured.partition(b"}")[0].lstrip(b"{")
    for value in first.split(b"|")[:16]:
        if HOST_NAME.fullmatch(value.partition(b":")[0]):
            return authority(value)
    return None


def _outcome(status: int, state: bytes, server: bytes) -> tuple[Outcome, str]:
    """What came of a request: a rule of the proxy has denied it (its session state begins with P
    and it went to no server), or a server has answered."""
    if server.endswith(b"/<NOSRV>"):
        if state.startswith(b"P") and status in (401, 403, 429):
            return "blocked", f"{state.decode('ascii')} {status}"
        return "attempted", ""
    return ("reached" if status > 0 and not state.startswith(b"S") else "attempted"), ""
