"""A syslog message for an alert: its header (RFC 5424 section 6.2), its framing (RFC 6587), and its
size, which receivers limit.

Lists that only add detail are shortened first, which is done by the formats; then long free text.
Only if a message is too long even then, it is cut off at a character boundary and marked. An alert
is never split over two messages, because the receiver would take the second half for a message of
its own.
"""

import re
from typing import Any

from netwatch.core.alert import AlertRecord
from netwatch.sinks.base import OutgoingAlert

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


MARK = "…"
"""Replaces what was cut off."""

_TEXT_LIMITS = (120, 40, 12)
_FREE_TEXT = {
    *("name", "names", "hostname", "owner", "authority", "legal_basis", "vendor", "as_org"),
    *("basis", "reason", "approved_by", "source", "rule"),
    *("text", "file", "sources", "raw", "chain"),
}


def encode_within(alert: OutgoingAlert, limit: int) -> tuple[bytes, bool]:
    """The alert in the output's format as UTF-8 in at most `limit` bytes, and whether something
    had to be left out for that."""
    data = _encode(alert.text)
    if len(data) <= limit:
        return data, False
    for text_limit in (None, *_TEXT_LIMITS):
        record = alert.record if text_limit is None else _shorten_texts(alert.record, text_limit)
        data = _encode(alert.render_within(record, limit))
        if len(data) <= limit:
            return data, True
    mark = MARK.encode()
    return data[: max(0, limit - len(mark))].decode("utf-8", "ignore").encode() + mark, True


def _shorten_texts(value: Any, limit: int, free_text: bool = False) -> Any:
    """A copy with free text cut to `limit` characters. Fixed words, times and addresses are never
    cut."""
    if isinstance(value, str):
        return value[:limit] + MARK if free_text and len(value) > limit else value
    if isinstance(value, dict):
        return {
            key: _shorten_texts(inner, limit, key in _FREE_TEXT) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_shorten_texts(inner, limit, free_text) for inner in value]
    return value


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
