"""The header of a syslog message (RFC 5424 section 6.2) for an alert."""

import re

from netwatch.sinks.base import Record

FACILITIES = {
    "user": 1,
    "daemon": 3,
    "auth": 4,
    "authpriv": 10,
    "audit": 13,
    "alert": 14,
    **{f"local{number}": 16 + number for number in range(8)},
}
"""By the name that syslog daemons give it (RFC 5424 table 1)."""

_SEVERITIES = {"critical": 2, "high": 3, "medium": 4, "low": 5}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?Z")
_NOT_PRINTED = re.compile(r"[^!-~]")


def header(record: Record, facility: int, hostname: str) -> bytes:
    """All in front of the message: priority, time of the alert (`last_seen`), host, APP-NAME
    ``netwatch``, no PROCID, MSGID ``alert``, no structured data. No BOM: parsers of JSON
    and CEF trip over it."""
    priority = facility * 8 + _SEVERITIES.get(str(record.get("severity")), 3)
    host = _NOT_PRINTED.sub("", hostname)[:255] or "-"
    return f"<{priority}>1 {_time(record)} {host} netwatch - alert - ".encode("ascii")


def _time(record: Record) -> str:
    """At most six digits of a second's fraction, as TIMESTAMP has them."""
    written = _TIME.fullmatch(str(record.get("last_seen")))
    if not written:
        return "-"
    return f"{written[1]}.{written[2]}Z" if written[2] else f"{written[1]}Z"
