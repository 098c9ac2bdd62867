"""A syslog message for an alert: its header (RFC 5424 section 6.2) and its framing (RFC 6587)."""

import re

from netwatch.core.alert import AlertRecord

FACILITIES = {
    "user": 1,
    "daemon": 3,
    "auth": 4,
    "authpriv": 10,
    "audit": 13,
    "alert": 14,
    **{f"local{number}": 16 + number for number in range(8)},
}
"""Facility codes (RFC 5424 table 1) by the names that syslog daemons use."""

FRAMINGS = ("octet-counting", "lf")
"""How messages are separated in a stream (RFC 6587 section 3.4)."""

_SEVERITIES = {"critical": 2, "high": 3, "medium": 4, "low": 5}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?Z")
_NOT_PRINTUSASCII = re.compile(r"[^!-~]")


def header(record: AlertRecord, facility: int, hostname: str) -> bytes:
    """Everything before the message text: PRI, the time of the alert (`last_seen`), HOSTNAME,
    APP-NAME ``netwatch``, no PROCID, MSGID ``alert`` and no structured data. A byte order mark is
    omitted, because parsers of JSON and CEF do not expect one."""
    priority = facility * 8 + _SEVERITIES.get(str(record.get("severity")), 3)
    host = _NOT_PRINTUSASCII.sub("", hostname)[:255] or "-"
    return f"<{priority}>1 {_timestamp(record)} {host} netwatch - alert - ".encode("ascii")


def _timestamp(record: AlertRecord) -> str:
    """TIMESTAMP allows at most six digits of a second's fraction."""
    match = _TIME.fullmatch(str(record.get("last_seen")))
    if not match:
        return "-"
    return f"{match[1]}.{match[2]}Z" if match[2] else f"{match[1]}Z"


def frame(message: bytes, framing: str) -> bytes:
    """A message as part of a stream, with one of `FRAMINGS`."""
    if framing == "lf":
        return message.replace(b"\n", b" ") + b"\n"
    return b"%d %b" % (len(message), message)
